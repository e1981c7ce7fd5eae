//! The exported interface: TLS in both roles from the beginning of a connection, against OpenSSL.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use wasi_streams_host::exported::{Exported, connections};
use wasi_streams_host::peer::{Peer, Program};
use wasi_streams_host::{Guest, block_on};
use wasmtime::component::ResourceAny;

use crate::certificates::{Authority, KeyKind};
use crate::export_support::{
    ErrorKind, FORMS, Form, any_ready, call, client_config, drop_all, expect_error, listen, net, perform,
    server_config, settle, tls_options,
};
use crate::tls_support::{NAME, Pki, serving};

#[test]
fn a_client_speaks_tls_with_openssl_in_every_form() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let (_server, address) = pki.s_server(&["-alpn", "one,two"]).await?;
        let mut net = net().await?;
        let config = client_config(&mut net, &pki).await?;
        call!(net.tls_client_config.call_set_alpn(config, &[b"three".to_vec(), b"two".to_vec()]));
        let options = tls_options(&mut net, config, Some(NAME)).await?;
        for (number, form) in FORMS.into_iter().enumerate() {
            let (reader, writer) = connect(&mut net, form, address, options).await?;
            let tls = call!(net.writer.call_tls(writer)).context("it is TLS")?;
            assert_eq!(tls.version, connections::TlsVersion::Tls13);
            assert_eq!((tls.cipher.as_str(), tls.secret_bits), ("TLS_CHACHA20_POLY1305_SHA256", 256));
            assert_eq!(tls.alpn.as_deref(), Some(&b"two"[..]));
            assert_eq!((tls.server_name, tls.verified, tls.truncated), (None, true, false));
            assert_eq!(tls.resumed, number > 0, "connections of one configuration resume each other's sessions");
            let certificate = call!(net.call_parse_certificate(&tls.peer_certificates[0]))?;
            assert_eq!(certificate.subject, format!("CN={NAME}"));
            assert_eq!(certificate.issuer, "CN=the authority");
            assert_eq!(certificate.subject_alt_names, [format!("DNS:{NAME}")]);
            assert!(certificate.not_before < certificate.not_after && !certificate.serial_number.is_empty());
            reverse(&mut net, form, reader, writer).await?;
            // TLS has no half.
            assert!(!call!(net.writer.call_can_write_eof(writer)));
            assert_eq!(expect_error(call!(net.writer.call_write_eof(writer))).kind, ErrorKind::Unsupported);
            call!(net.writer.call_close(writer));
            perform!(form, net.writer: call_wait_closed | call_try_wait_closed as Closed(writer))?;
            assert!(call!(net.writer.call_tls(writer)).is_some(), "it stays known");
        }
        let error = expect_error(call!(net.call_parse_certificate(b"no certificate")));
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
        Ok(())
    })
}

#[test]
fn default_authorities_are_trusted_beside_others_when_that_is_said() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let another = Authority::new("another");
        pki.issue_by(&another, "stranger", &[NAME], KeyKind::Ecdsa, |_| {});
        let (_ours, ours) = pki.s_server(&[]).await?;
        let (_theirs, theirs) = pki.s_server_as("stranger", &[]).await?;
        let guest = Guest::named("wasi-streams").dir(pki.folder(), "/pki").env("SSL_CERT_FILE", "/pki/ca.pem");
        let mut net = guest.export().await?;
        let config = call!(net.tls_client_config.call_constructor());
        call!(net.tls_client_config.call_add_roots_pem(config, &another.pem()));
        let options = tls_options(&mut net, config, Some(NAME)).await?;
        // OpenSSL's server talks to one at a time.
        let (_, writer) = call!(net.call_connect("127.0.0.1", theirs.port(), Some(options)))?;
        call!(net.writer.call_abort(writer));
        let error = expect_error(call!(net.call_connect("127.0.0.1", ours.port(), Some(options))));
        assert_eq!(error.kind, ErrorKind::TlsUnknownIssuer, "{error:?}");

        let config = call!(net.tls_client_config.call_constructor());
        call!(net.tls_client_config.call_add_default_roots(config));
        call!(net.tls_client_config.call_add_roots_pem(config, &another.pem()));
        let options = tls_options(&mut net, config, Some(NAME)).await?;
        for server in [theirs, ours] {
            let (_, writer) = call!(net.call_connect("127.0.0.1", server.port(), Some(options)))?;
            call!(net.writer.call_abort(writer));
        }
        Ok(())
    })
}

#[test]
fn versions_and_suites_are_those_chosen() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let (_server, address) = pki.s_server(&[]).await?;
        let mut net = net().await?;
        for (version, prefer, suite) in [
            (connections::TlsVersion::Tls12, true, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
            (connections::TlsVersion::Tls12, false, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
            (connections::TlsVersion::Tls13, true, "TLS_CHACHA20_POLY1305_SHA256"),
            (connections::TlsVersion::Tls13, false, "TLS_AES_256_GCM_SHA384"),
        ] {
            // As the client of OpenSSL's server, and as the server of its client, which takes what the server prefers.
            let config = client_config(&mut net, &pki).await?;
            call!(net.tls_client_config.call_set_minimum_version(config, version));
            call!(net.tls_client_config.call_set_maximum_version(config, version));
            call!(net.tls_client_config.call_set_prefer_chacha20(config, prefer));
            let options = tls_options(&mut net, config, Some(NAME)).await?;
            let (_, writer) = connect(&mut net, Form::Blocking, address, options).await?;
            let tls = call!(net.writer.call_tls(writer)).context("it is TLS")?;
            assert_eq!((tls.version, tls.cipher.as_str()), (version, suite));
            // OpenSSL's server talks to one at a time.
            call!(net.writer.call_close(writer));
            call!(net.writer.call_wait_closed(writer))?;

            let config = server_config(&mut net, &pki).await?;
            call!(net.tls_server_config.call_set_minimum_version(config, version));
            call!(net.tls_server_config.call_set_maximum_version(config, version));
            call!(net.tls_server_config.call_set_prefer_chacha20(config, prefer));
            let (server, address) = listen_tls(&mut net, config).await?;
            let _client = pki.s_client(address, &[])?;
            let (_, writer) = call!(net.server.call_accept(server))?;
            let tls = call!(net.writer.call_tls(writer)).context("it is TLS")?;
            assert_eq!(tls.version, version);
            assert_eq!(tls.cipher.contains("CHACHA20"), prefer, "{}", tls.cipher);
        }
        Ok(())
    })
}

#[test]
fn a_server_speaks_tls_with_openssl_in_every_form() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue("other", &["other.test"], KeyKind::Ecdsa, |_| {});
        let mut net = net().await?;
        let config = server_config(&mut net, &pki).await?;
        let (chain, key) = (pki.read("other.pem")?, pki.read("other.key")?);
        call!(net.tls_server_config.call_add_identity_pem(config, &chain, &key));
        call!(net.tls_server_config.call_set_alpn(config, &[b"two".to_vec()]));
        let (server, address) = listen_tls(&mut net, config).await?;
        for form in FORMS {
            for name in [NAME, "other.test"] {
                // Each gets the certificate for the name that it asks for.
                let named = ["-servername", name, "-verify_hostname", name, "-alpn", "one,two", "-quiet"];
                let client = pki.s_client_to(address, &named)?;
                let (reader, writer) = perform!(form, net.server: call_accept | call_try_accept as Acceptable(server))?;
                let tls = call!(net.writer.call_tls(writer)).context("it is TLS")?;
                assert_eq!(tls.server_name.as_deref(), Some(name));
                assert_eq!((tls.alpn.as_deref(), tls.verified), (Some(&b"two"[..]), false));
                assert!(tls.peer_certificates.is_empty());
                echo(&mut net, form, reader, writer, client).await?;
            }
        }
        assert_eq!(call!(net.server.call_failed_handshakes(server)), 0);
        Ok(())
    })
}

#[test]
fn failed_handshakes_are_counted_and_one_that_stalls_delays_nobody() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut net = net().await?;
        let config = server_config(&mut net, &pki).await?;
        let (server, address) = listen_tls(&mut net, config).await?;
        let mut silent = Peer::connect(address).await?;
        let mut plain = Peer::connect(address).await?;
        plain.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
        for form in FORMS {
            let client = pki.s_client(address, &["-quiet"])?;
            let (reader, writer) = perform!(form, net.server: call_accept | call_try_accept as Acceptable(server))?;
            echo(&mut net, form, reader, writer, client).await?;
        }
        assert_eq!(call!(net.server.call_failed_handshakes(server)), 1);
        // Handshakes are driven by pollables, too, and wake nobody while nothing comes.
        assert!(call!(net.server.call_try_accept(server))?.is_none());
        let pollables = call!(net.server.call_subscribe(server));
        assert!(!any_ready(&mut net, &pollables).await?);
        drop_all(&mut net, pollables)?;
        call!(net.server.call_close(server));
        settle(&mut net).await?;
        assert_eq!(silent.read_to_end().await?, b"", "it is dropped with the server");

        let config = server_config(&mut net, &pki).await?;
        let options = call!(net.listen_options.call_constructor());
        call!(net.listen_options.call_set_tls(options, config));
        call!(net.listen_options.call_set_tls_handshake_timeout(options, 100));
        call!(net.listen_options.call_set_tls_shutdown_timeout(options, 100));
        let (server, address) = listen(&mut net, Some(options)).await?;
        let mut silent = Peer::connect(address).await?;
        while call!(net.server.call_failed_handshakes(server)) == 0 {
            call!(net.call_wait(&[], Some(10)))?;
        }
        assert_eq!(silent.read_to_end().await?, b"");
        Ok(())
    })
}

#[test]
fn client_certificates_are_asked_for_and_shown() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue("client", &["client.test"], KeyKind::Ed25519, |params| params.serial_number = Some(77_u64.into()));
        let mut net = net().await?;
        let (chain, key) = (pki.read("client.pem")?, pki.read("client.key")?);
        let (ca, shows, hides) =
            (pki.authority.pem(), client_config(&mut net, &pki).await?, client_config(&mut net, &pki).await?);
        call!(net.tls_client_config.call_set_identity_pem(shows, &chain, &key));
        for required in [true, false] {
            let config = server_config(&mut net, &pki).await?;
            call!(net.tls_server_config.call_set_client_roots_pem(config, &ca, required));
            let (server, address) = listen_tls(&mut net, config).await?;
            for (client, shown) in [(shows, true), (hides, false)] {
                let options = tls_options(&mut net, client, Some(NAME)).await?;
                let (reader, _writer) = connect(&mut net, Form::Blocking, address, options).await?;
                if required && !shown {
                    // Over TLS 1.3 a client learns that after its own handshake.
                    let error = expect_error(call!(net.reader.call_read(reader, 1)));
                    assert_eq!(error.kind, ErrorKind::TlsAlert);
                    assert!(matches!(error.detail, Some(connections::ErrorDetail::Alert(116))), "{error:?}");
                    assert_eq!(call!(net.server.call_failed_handshakes(server)), 1);
                    continue;
                }
                let (_, writer) = call!(net.server.call_accept(server))?;
                let tls = call!(net.writer.call_tls(writer)).context("it is TLS")?;
                assert_eq!((tls.verified, tls.peer_certificates.len()), (shown, usize::from(shown)));
            }
            // One that was revoked is as good as none, or worse.
            let (revoked, list) = (server_config(&mut net, &pki).await?, pki.authority.revoke(&[77]));
            call!(net.tls_server_config.call_set_client_roots_pem(revoked, &ca, required));
            call!(net.tls_server_config.call_add_revocation_lists_pem(revoked, &list));
            let (refusing, at) = listen_tls(&mut net, revoked).await?;
            let options = tls_options(&mut net, shows, Some(NAME)).await?;
            let (reader, _writer) = connect(&mut net, Form::Blocking, at, options).await?;
            let error = expect_error(call!(net.reader.call_read(reader, 1)));
            assert!(matches!(error.detail, Some(connections::ErrorDetail::Alert(44))), "{error:?}");
            assert_eq!(call!(net.server.call_failed_handshakes(refusing)), 1);
            // A real one, too.
            let (chain, key) = (pki.path("client.pem"), pki.path("client.key"));
            let client = pki.s_client(address, &["-quiet", "-cert", &chain, "-key", &key])?;
            let (reader, writer) = call!(net.server.call_accept(server))?;
            let tls = call!(net.writer.call_tls(writer)).context("it is TLS")?;
            let certificate = call!(net.call_parse_certificate(&tls.peer_certificates[0]))?;
            assert_eq!(certificate.subject_alt_names, ["DNS:client.test"]);
            echo(&mut net, Form::Blocking, reader, writer, client).await?;
        }
        Ok(())
    })
}

#[test]
fn a_goodbye_that_is_not_answered_is_waited_for_as_long_as_is_said() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut net = net().await?;
        let config = client_config(&mut net, &pki).await?;
        let options = tls_options(&mut net, config, Some(NAME)).await?;
        call!(net.connect_options.call_set_tls_shutdown_timeout(options, 100));
        for form in FORMS {
            let mut silent = pki.python(include_str!("../../peers/tls_endings.py"), &["silent"])?;
            let address = serving(&silent.wait_line("Serving on ").await?)?;
            let (_, writer) = connect(&mut net, form, address, options).await?;
            call!(net.writer.call_close(writer));
            // By default it would be as long as any call here may take.
            let closed = perform!(form, net.writer: call_wait_closed | call_try_wait_closed as Closed(writer));
            assert_eq!(expect_error(closed).kind, ErrorKind::TimedOut, "{form:?}");
            silent.finish().await?;
        }
        Ok(())
    })
}

/// Connects in this form.
async fn connect(
    net: &mut Exported,
    form: Form,
    address: SocketAddr,
    options: ResourceAny,
) -> Result<(ResourceAny, ResourceAny)> {
    let connecting = call!(net.call_start_connect("127.0.0.1", address.port(), Some(options)))?;
    Ok(perform!(form, net.connecting: call_finish | call_try_finish as Connected(connecting))?)
}

async fn listen_tls(net: &mut Exported, config: ResourceAny) -> Result<(ResourceAny, SocketAddr)> {
    let options = call!(net.listen_options.call_constructor());
    call!(net.listen_options.call_set_tls(options, config));
    listen(net, Some(options)).await
}

/// A line that `openssl s_server -rev` sends back reversed.
pub(crate) async fn reverse(net: &mut Exported, form: Form, reader: ResourceAny, writer: ResourceAny) -> Result<()> {
    call!(net.writer.call_write(writer, b"hello\n"))?;
    call!(net.writer.call_drain(writer))?;
    let read = perform!(form, net.reader: call_read_line | call_try_read_line as Readable(reader))?;
    assert_eq!(read, b"olleh\n", "{form:?}");
    Ok(())
}

/// A line that `openssl s_client` gets back.
pub(crate) async fn echo(
    net: &mut Exported,
    form: Form,
    reader: ResourceAny,
    writer: ResourceAny,
    mut client: Program,
) -> Result<()> {
    client.write_stdin(b"hello\n").await?;
    let read = perform!(form, net.reader: call_read_line | call_try_read_line as Readable(reader))?;
    assert_eq!(read, b"hello\n", "{form:?}");
    call!(net.writer.call_write(writer, &read))?;
    call!(net.writer.call_close(writer));
    let closing = async {
        perform!(form, net.writer: call_wait_closed | call_try_wait_closed as Closed(writer))?;
        anyhow::Ok(())
    };
    let hearing = async {
        client.wait_line("hello").await?;
        client.close_stdin();
        client.finish().await
    };
    let (closed, heard) = tokio::join!(closing, hearing);
    closed?;
    heard?;
    Ok(())
}
