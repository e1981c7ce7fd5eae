// asyncio's streams for JavaScript in components, over the interface `wasi-streams:net/connections`.
//
//     await using connection = await openConnection("example.org", 443, { tls: true });
//     connection.writer.write("HEAD / HTTP/1.0\r\nHost: example.org\r\n\r\n");
//     for await (const line of connection.reader.lines()) console.log(line);
//
// Promises go on only inside `run(main)`, which the component's export calls; see command.js. The functions take options as an object.

import * as net from "wasi-streams:net/connections@0.1.0";
import { Connection } from "./connection.js";
import { StreamError, checked, optional, port16, text, uint32 } from "./errors.js";
import { Handle, configure } from "./handle.js";
import { Server, report } from "./server.js";
import { TlsClient, TlsServer, withTls } from "./tls.js";

export { StreamError } from "./errors.js";
export { run, sleep, timeout } from "./scheduler.js";
export { TlsClient, TlsServer } from "./tls.js";

const both = {
  tlsHandshakeTimeout: (options, value) => options.setTlsHandshakeTimeout(uint32(value, "tlsHandshakeTimeout")),
  tlsShutdownTimeout: (options, value) => options.setTlsShutdownTimeout(uint32(value, "tlsShutdownTimeout")),
  limit: (options, value) => options.setLimit(uint32(value, "limit")),
  family: (options, value) => options.setFamily(value),
};
const connecting = {
  ...both,
  tls: (options, { tls, serverName }) => {
    const name = optional(text, serverName, "serverName");
    withTls(TlsClient, tls, (config) => options.setTls(config, name));
  },
  timeout: (options, value) => options.setTimeout(uint32(value, "timeout")),
  localAddress: (options, { host, port }) =>
    options.setLocalAddress({ host: text(host, "localAddress.host"), port: port16(port, "localAddress.port") }),
  happyEyeballsDelay: (options, value) =>
    options.setHappyEyeballsDelay(value === null ? undefined : uint32(value, "happyEyeballsDelay")),
  interleave: (options, value) => options.setInterleave(uint32(value, "interleave")),
  keepAlive: (options, { idle, interval, count }) =>
    options.setKeepAlive(
      optional(uint32, idle, "keepAlive.idle"),
      optional(uint32, interval, "keepAlive.interval"),
      optional(uint32, count, "keepAlive.count"),
    ),
};
const listening = {
  ...both,
  tls: (options, tls) => withTls(TlsServer, tls, (config) => options.setTls(config)),
  backlog: (options, value) => options.setBacklog(uint32(value, "backlog")),
};

/**
 * Connects. Options are `tls` (true, settings, or a `TlsClient`), `serverName`, `timeout` in milliseconds, `limit` in bytes, `signal`,
 * and what else `connect-options` has.
 *
 * @returns {Promise<Connection>} `{ reader, writer }`
 */
export async function openConnection(host, port, { signal, tls, serverName, ...settings } = {}) {
  if (tls) settings.tls = { tls, serverName };
  else if (serverName !== undefined) throw new StreamError("invalid-argument", "serverName: only with tls");
  const options = new Handle("options", configure(new net.ConnectOptions(), settings, connecting));
  let start;
  try {
    start = checked(() => net.startConnect(text(host, "host"), port16(port), options.resource));
  } finally {
    options.free();
  }
  const attempt = new Handle("attempt", start);
  try {
    return new Connection(await attempt.attempt("connected", (connecting) => connecting.tryFinish(), signal));
  } finally {
    attempt.free(); // one that has not finished is given up
  }
}

/**
 * Listens on a host, several, or with "" on every interface, and calls `handler(reader, writer)` for each connection, which is closed
 * when the handler is done. Options are `tls` (settings, or a `TlsServer`), `limit`, `backlog`, `failed(error)` for what a handler
 * throws, and what else `listen-options` has.
 */
export function startServer(handler, host, port, { failed = report, ...settings } = {}) {
  const server = listen(host, port, settings);
  server.serve(handler, failed);
  return server;
}

/** Listens; `for await (const connection of server)` gives the connections, which are the caller's to close. */
export function listen(host, port, settings = {}) {
  const options = new Handle("options", configure(new net.ListenOptions(), settings, listening));
  try {
    const hosts = [host].flat().map((name) => text(name, "host"));
    return new Server(checked(() => net.listen(hosts, port16(port), options.resource)));
  } finally {
    options.free();
  }
}
