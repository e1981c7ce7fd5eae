// Shows the headers of a web page over TLS, in C. With wasi-sdk, wit-bindgen and wac:
//
//     wit-bindgen c ../wit --world wasi-streams:net/consumer --out-dir bindings
//     wasm32-wasip2-clang -Os -Ibindings https_headers.c bindings/consumer.c bindings/consumer_component_type.o -o https-headers.wasm
//     wac plug https-headers.wasm --plug wasi-streams.wasm -o out.wasm
//     wasmtime run -S tcp,inherit-network,allow-ip-name-lookup out.wasm example.org 443 /
//
// Or with zig instead of wasi-sdk; its output is of preview 1, so that it needs the adapter of a release of wasmtime:
//
//     zig cc --target=wasm32-wasi -Os -Ibindings https_headers.c bindings/consumer.c bindings/consumer_component_type.o -o core.wasm
//     wasm-tools component new core.wasm --adapt wasi_snapshot_preview1.command.wasm -o https-headers.wasm
//
// The authorities are those of the web, or those in the file that the environment variable SSL_CERT_FILE names.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumer.h"

// The names that wit-bindgen makes are long.
#define NET(name) wasi_streams_net_connections_##name

typedef NET(error_t) net_error;
typedef NET(tuple2_own_reader_own_writer_t) net_connection;

static consumer_string_t text(const char *string) {
    return (consumer_string_t){(uint8_t *)string, strlen(string)};
}

// Says what has failed, and frees the error; false, for `return failed(…)`.
static bool failed(const char *what, net_error *error) {
    fprintf(stderr, "%s: %.*s\n", what, (int)error->message.len, (const char *)error->message.ptr);
    NET(error_free)(error);
    return false;
}

static bool parse_port(const char *string, uint16_t *port) {
    char *end;
    errno = 0;
    unsigned long number = strtoul(string, &end, 10);
    if (errno != 0 || end == string || *end != '\0' || number > UINT16_MAX) {
        fprintf(stderr, "%s is no port\n", string);
        return false;
    }
    *port = (uint16_t)number;
    return true;
}

static bool open_connection(const char *host, uint16_t port, net_connection *connection) {
    NET(own_connect_options_t) options = NET(constructor_connect_options)();
    NET(borrow_connect_options_t) borrowed = NET(borrow_connect_options)(options);
    NET(own_tls_client_config_t) tls = NET(constructor_tls_client_config)();
    NET(method_connect_options_set_tls)(borrowed, NET(borrow_tls_client_config)(tls), NULL);
    NET(method_connect_options_set_timeout)(borrowed, 30000);

    consumer_string_t name = text(host);
    net_error error;
    bool connected = NET(connect)(&name, port, &borrowed, connection, &error);
    NET(connect_options_drop_own)(options);
    NET(tls_client_config_drop_own)(tls);
    return connected || failed("connect", &error);
}

static bool send_request(NET(borrow_writer_t) writer, const char *host, const char *path) {
    const char *format = "HEAD %s HTTP/1.0\r\nHost: %s\r\n\r\n";
    int length = snprintf(NULL, 0, format, path, host);
    char *request = length < 0 ? NULL : malloc((size_t)length + 1);
    if (request == NULL) {
        fputs("out of memory\n", stderr);
        return false;
    }
    snprintf(request, (size_t)length + 1, format, path, host);

    consumer_list_u8_t data = {(uint8_t *)request, (size_t)length};
    net_error error;
    bool sent = NET(method_writer_write)(writer, &data, &error) && NET(method_writer_drain)(writer, &error);
    free(request);
    return sent || failed("write", &error);
}

// Prints lines up to an empty one, or the end of the stream.
static bool print_headers(NET(borrow_reader_t) reader) {
    for (;;) {
        consumer_list_u8_t line;
        net_error error;
        if (!NET(method_reader_read_line)(reader, &line, &error)) return failed("read", &error);
        size_t length = line.len;
        while (length > 0 && (line.ptr[length - 1] == '\r' || line.ptr[length - 1] == '\n')) length--;
        if (length > 0) printf("HTTP header> %.*s\n", (int)length, (const char *)line.ptr);
        consumer_list_u8_free(&line);
        if (length == 0) return true;
    }
}

// Nothing moves between calls: without waiting, the goodbye of TLS may never be sent.
static bool close_connection(NET(borrow_writer_t) writer) {
    NET(method_writer_close)(writer);
    net_error error;
    return NET(method_writer_wait_closed)(writer, &error) || failed("close", &error);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fputs("usage: https-headers HOST PORT PATH\n", stderr);
        return EXIT_FAILURE;
    }
    uint16_t port;
    net_connection connection;
    if (!parse_port(argv[2], &port) || !open_connection(argv[1], port, &connection)) return EXIT_FAILURE;

    NET(borrow_reader_t) reader = NET(borrow_reader)(connection.f0);
    NET(borrow_writer_t) writer = NET(borrow_writer)(connection.f1);
    bool done = send_request(writer, argv[1], argv[3]) && print_headers(reader) && close_connection(writer);
    NET(reader_drop_own)(connection.f0);
    NET(writer_drop_own)(connection.f1);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
