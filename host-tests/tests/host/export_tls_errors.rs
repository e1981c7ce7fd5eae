//! The exported interface: every kind of TLS error, PEM of no use, and the component without TLS.

use std::net::SocketAddr;

use anyhow::Result;
use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};
use wasi_streams_host::exported::{Exported, connections};
use wasi_streams_host::peer::Listener;
use wasi_streams_host::{Guest, block_on};
use wasmtime::component::ResourceAny;

use crate::certificates::{Authority, KeyKind, self_signed};
use crate::export_support::{
    Error, ErrorKind, FORMS, call, client_config, expect_error, listen, net, pair, perform, server_config, tls_options,
};
use crate::tls_support::{NAME, Pki};

#[test]
fn certificates_are_refused_by_kind_in_every_form() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let (past, future) = (date_time_ymd(2001, 2, 3), date_time_ymd(3000, 1, 1));
        pki.issue_by(&Authority::new("another"), "stranger", &[NAME], KeyKind::Ecdsa, |_| {});
        pki.issue("expired", &[NAME], KeyKind::Ecdsa, |params| params.not_after = past);
        pki.issue("early", &[NAME], KeyKind::Ecdsa, |params| params.not_before = future);
        pki.issue("named", &["other.test"], KeyKind::Ecdsa, |_| {});
        pki.issue("revoked", &[NAME], KeyKind::Ecdsa, |params| params.serial_number = Some(77_u64.into()));
        pki.issue("purpose", &[NAME], KeyKind::Ecdsa, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        });
        let own = self_signed(&[NAME]);
        pki.write("own.pem", own.chain);
        pki.write("own.key", own.key);
        let mut net = net().await?;
        let config = client_config(&mut net, &pki).await?;
        let lists = pki.authority.revoke(&[77]);
        call!(net.tls_client_config.call_add_revocation_lists_pem(config, &lists));
        for (file, kind) in [
            ("stranger", ErrorKind::TlsUnknownIssuer),
            ("own", ErrorKind::TlsSelfSigned),
            ("expired", ErrorKind::TlsExpired),
            ("early", ErrorKind::TlsNotYetValid),
            ("named", ErrorKind::TlsWrongName),
            ("revoked", ErrorKind::TlsRevoked),
            ("purpose", ErrorKind::TlsBadCertificate),
        ] {
            let (_server, address) = pki.s_server_as(file, &["-rev"]).await?;
            let error = refused(&mut net, address, config).await?;
            assert_eq!(error.kind, kind, "{file}: {error:?}");
        }
        // What is dangerous accepts what it says.
        let (_server, address) = pki.s_server_as("named", &["-rev"]).await?;
        let nameless = client_config(&mut net, &pki).await?;
        call!(net.tls_client_config.call_dangerous_skip_name_check(nameless));
        let options = tls_options(&mut net, nameless, Some(NAME)).await?;
        call!(net.call_connect("127.0.0.1", address.port(), Some(options)))?;
        let (_server, address) = pki.s_server_as("own", &["-rev"]).await?;
        assert_eq!(refused(&mut net, address, nameless).await?.kind, ErrorKind::TlsSelfSigned);
        let careless = call!(net.tls_client_config.call_constructor());
        call!(net.tls_client_config.call_dangerous_skip_verification(careless));
        let options = tls_options(&mut net, careless, Some(NAME)).await?;
        let (_, writer) = call!(net.call_connect("127.0.0.1", address.port(), Some(options)))?;
        assert!(call!(net.writer.call_tls(writer)).is_some_and(|tls| !tls.verified));
        Ok(())
    })
}

#[test]
fn handshakes_fail_by_kind_in_every_form() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut net = net().await?;
        let config = client_config(&mut net, &pki).await?;
        let (_server, address) = pki.s_server(&["-tls1_1"]).await?;
        assert_eq!(refused(&mut net, address, config).await?.kind, ErrorKind::TlsNothingInCommon);

        // An old enough server asks for the certificate within the handshake, and refuses by an alert.
        let ca = pki.path("ca.pem");
        let (_server, address) = pki.s_server(&["-tls1_2", "-Verify", "1", "-CAfile", &ca]).await?;
        let error = refused(&mut net, address, config).await?;
        assert!(matches!(error.kind, ErrorKind::TlsAlert | ErrorKind::TlsNothingInCommon), "{error:?}");

        // Peers of our own making: one that speaks something else, one that breaks the rules, one that says nothing, one that goes.
        for (bytes, kind) in [
            (&b"HTTP/1.0 400 Bad Request\r\n\r\n"[..], ErrorKind::TlsNotTls),
            (&[0x16, 3, 3, 0, 4, 1, 0, 0, 0], ErrorKind::TlsProtocol),
            (&[0x15, 3, 3, 0, 2, 2, 80], ErrorKind::TlsAlert),
        ] {
            let listener = Listener::v4()?;
            let address = listener.addr();
            let answering = tokio::spawn(async move {
                loop {
                    let mut peer = listener.accept().await?;
                    peer.write_all(bytes).await?;
                    peer.half_close().await?;
                    peer.read_to_end().await.unwrap_or_default();
                }
                #[expect(unreachable_code, reason = "says the type")]
                anyhow::Ok(())
            });
            let error = refused(&mut net, address, config).await?;
            assert_eq!(error.kind, kind, "{error:?}");
            if kind == ErrorKind::TlsAlert {
                assert!(matches!(error.detail, Some(connections::ErrorDetail::Alert(80))), "{error:?}");
            }
            answering.abort();
        }
        let silent = Listener::v4()?;
        let options = tls_options(&mut net, config, Some(NAME)).await?;
        call!(net.connect_options.call_set_tls_handshake_timeout(options, 100));
        for form in FORMS {
            let connecting = call!(net.call_start_connect("127.0.0.1", silent.port(), Some(options)))?;
            let failed = perform!(form, net.connecting: call_finish | call_try_finish as Connected(connecting));
            assert_eq!(expect_error(failed).kind, ErrorKind::ConnectionAborted, "{form:?}");
            silent.accept().await?;
        }
        let connecting = call!(net.call_start_connect("127.0.0.1", silent.port(), Some(options)))?;
        assert!(call!(net.connecting.call_try_finish(connecting))?.is_none());
        silent.accept().await?.reset()?;
        let failed = expect_error(call!(net.connecting.call_finish(connecting)));
        assert_eq!(failed.kind, ErrorKind::ConnectionReset, "{failed:?}");
        Ok(())
    })
}

#[test]
fn upgrades_fail_by_kind_and_the_same_way_from_then_on() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut net = net().await?;
        let (as_client, as_server) = (client_config(&mut net, &pki).await?, server_config(&mut net, &pki).await?);
        let ca = pki.authority.pem();
        call!(net.tls_server_config.call_set_client_roots_pem(as_server, &ca, true));
        let (server, address) = listen(&mut net, None).await?;
        for form in FORMS {
            let (_, writer) = call!(net.call_connect("127.0.0.1", address.port(), None))?;
            let (reader, accepted) = call!(net.server.call_accept(server))?;
            // Nobody knows the name of who has connected to us.
            let nameless = expect_error(call!(net.writer.call_start_tls_client(accepted, as_client, None)));
            assert_eq!(nameless.kind, ErrorKind::InvalidArgument, "{form:?}");
            call!(net.writer.call_start_tls_server(accepted, as_server))?;
            call!(net.writer.call_start_tls_client(writer, as_client, Some(NAME)))?;
            for _ in 0..2 {
                let failed = perform!(form, net.writer: call_handshake | call_try_handshake as Handshaken(accepted));
                assert_eq!(expect_error(failed).kind, ErrorKind::TlsNoCertificate, "{form:?}");
            }
            let lost = perform!(form, net.writer: call_wait_closed | call_try_wait_closed as Closed(accepted));
            assert_eq!(expect_error(lost).kind, ErrorKind::TlsNoCertificate, "{form:?}");
            let lost = perform!(form, net.reader: call_read | call_try_read as Readable(reader, 1));
            assert_eq!(expect_error(lost).kind, ErrorKind::TlsNoCertificate, "{form:?}");
            assert!(call!(net.writer.call_tls(accepted)).is_none());

            // What came in the clear before may have been injected.
            let mut pair = pair(&mut net).await?;
            pair.peer.write_all(b"220 go\r\n250 injected\r\n").await?;
            assert_eq!(call!(net.reader.call_read_line(pair.reader))?, b"220 go\r\n");
            call!(net.writer.call_start_tls_client(pair.writer, as_client, Some(NAME)))?;
            let failed = perform!(form, net.writer: call_handshake | call_try_handshake as Handshaken(pair.writer));
            let failed = expect_error(failed);
            assert_eq!(failed.kind, ErrorKind::Other, "{form:?}: {failed:?}");

            let pair = crate::export_support::pair(&mut net).await?;
            call!(net.writer.call_write_eof(pair.writer))?;
            let error = expect_error(call!(net.writer.call_start_tls_client(pair.writer, as_client, Some(NAME))));
            assert_eq!(error.kind, ErrorKind::InvalidState, "{form:?}");
        }
        Ok(())
    })
}

#[test]
fn an_end_without_goodbye_is_an_end_or_an_error_as_is_asked_for() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut net = net().await?;
        for (form, suppress) in FORMS.into_iter().flat_map(|form| [(form, true), (form, false)]) {
            let config = client_config(&mut net, &pki).await?;
            call!(net.tls_client_config.call_set_suppress_ragged_eofs(config, suppress));
            let options = tls_options(&mut net, config, Some(NAME)).await?;
            let (server, address) = pki.s_server(&[]).await?;
            let (reader, writer) = call!(net.call_connect("127.0.0.1", address.port(), Some(options)))?;
            call!(net.writer.call_write(writer, b"hello\n"))?;
            assert_eq!(call!(net.reader.call_read_line(reader))?, b"olleh\n");
            server.kill().await?;
            let read = perform!(form, net.reader: call_read | call_try_read as Readable(reader, 1));
            if suppress {
                assert_eq!(read?, b"", "{form:?}");
                assert!(call!(net.writer.call_tls(writer)).is_some_and(|tls| tls.truncated), "{form:?}");
            } else {
                assert_eq!(expect_error(read).kind, ErrorKind::TlsTruncated, "{form:?}");
            }
        }
        let config = server_config(&mut net, &pki).await?;
        call!(net.tls_server_config.call_set_suppress_ragged_eofs(config, false));
        let options = call!(net.listen_options.call_constructor());
        call!(net.listen_options.call_set_tls(options, config));
        let (server, address) = listen(&mut net, Some(options)).await?;
        let mut client = pki.s_client(address, &["-quiet"])?;
        let (reader, writer) = call!(net.server.call_accept(server))?;
        // Once it has read everything, its end is no reset.
        call!(net.writer.call_write(writer, b"hello\n"))?;
        call!(net.writer.call_drain(writer))?;
        client.wait_line("hello").await?;
        client.kill().await?;
        assert_eq!(expect_error(call!(net.reader.call_read(reader, 1))).kind, ErrorKind::TlsTruncated);
        Ok(())
    })
}

#[test]
fn pem_of_no_use_is_refused_where_it_is_used_first() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue("other", &["other.test"], KeyKind::Ecdsa, |_| {});
        let mut net = net().await?;
        let (chain, key) = (pki.read("server.pem")?, pki.read("other.key")?);
        let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        let huge = "no PEM at all\n".repeat(100_000);
        let pair = pair(&mut net).await?;
        for (number, text) in ["", "hello", broken, &huge].into_iter().enumerate() {
            for setter in 0..4 {
                let config = call!(net.tls_client_config.call_constructor());
                match setter {
                    0 => call!(net.tls_client_config.call_add_roots_pem(config, text)),
                    1 => call!(net.tls_client_config.call_set_identity_pem(config, text, text)),
                    2 => call!(net.tls_client_config.call_set_identity_pem(config, &chain, text)),
                    _ => call!(net.tls_client_config.call_add_revocation_lists_pem(config, text)),
                }
                let options = tls_options(&mut net, config, Some(NAME)).await?;
                let errors = [
                    call!(net.call_start_connect("127.0.0.1", 1, Some(options))).map(|_| ()),
                    call!(net.call_connect("127.0.0.1", 1, Some(options))).map(|_| ()),
                    call!(net.writer.call_start_tls_client(pair.writer, config, Some(NAME))),
                ];
                for error in errors {
                    assert_eq!(expect_error(error).kind, ErrorKind::InvalidArgument, "{number} {setter}");
                }
                let config = server_config(&mut net, &pki).await?;
                match setter {
                    0 => call!(net.tls_server_config.call_add_identity_pem(config, text, text)),
                    1 => call!(net.tls_server_config.call_add_identity_pem(config, &chain, text)),
                    2 => call!(net.tls_server_config.call_set_client_roots_pem(config, text, true)),
                    _ => call!(net.tls_server_config.call_add_revocation_lists_pem(config, text)),
                }
                assert_eq!(
                    serve_refused(&mut net, config).await?.kind,
                    ErrorKind::InvalidArgument,
                    "{number} {setter}"
                );
                let error = expect_error(call!(net.writer.call_start_tls_server(pair.writer, config)));
                assert_eq!(error.kind, ErrorKind::InvalidArgument, "{number} {setter}");
            }
        }
        // A key that belongs to another certificate, and no certificate at all.
        let config = call!(net.tls_server_config.call_constructor());
        assert_eq!(serve_refused(&mut net, config).await?.kind, ErrorKind::InvalidArgument);
        call!(net.tls_server_config.call_add_identity_pem(config, &chain, &key));
        assert_eq!(serve_refused(&mut net, config).await?.kind, ErrorKind::InvalidArgument);
        // The connection that was to be upgraded is none the worse.
        let mut peer = pair.peer;
        peer.write_all(b"still there\n").await?;
        assert_eq!(call!(net.reader.call_read_line(pair.reader))?, b"still there\n");

        // Versions that exclude each other, and authorities in a file that is not there.
        let config = call!(net.tls_client_config.call_constructor());
        call!(net.tls_client_config.call_set_minimum_version(config, connections::TlsVersion::Tls13));
        call!(net.tls_client_config.call_set_maximum_version(config, connections::TlsVersion::Tls12));
        let options = tls_options(&mut net, config, Some(NAME)).await?;
        let error = expect_error(call!(net.call_start_connect("127.0.0.1", 1, Some(options))));
        assert_eq!(error.kind, ErrorKind::InvalidArgument, "{error:?}");
        let mut net = Guest::named("wasi-streams").env("SSL_CERT_FILE", "/none.pem").export().await?;
        let config = call!(net.tls_client_config.call_constructor());
        let options = tls_options(&mut net, config, Some(NAME)).await?;
        let error = expect_error(call!(net.call_start_connect("127.0.0.1", 1, Some(options))));
        assert!(error.message.contains("/none.pem"), "{error:?}");
        assert_eq!(error.kind, ErrorKind::NotFound, "{error:?}");
        Ok(())
    })
}

#[test]
fn without_tls_everything_about_it_is_unsupported_and_the_rest_works() -> Result<()> {
    block_on(async {
        let mut net = Guest::named("wasi-streams-plain").export().await?;
        let mut pair = pair(&mut net).await?;
        let client = call!(net.tls_client_config.call_constructor());
        let server = call!(net.tls_server_config.call_constructor());
        call!(net.tls_client_config.call_add_roots_pem(client, "anything"));
        call!(net.tls_server_config.call_add_identity_pem(server, "anything", "at all"));
        let options = tls_options(&mut net, client, None).await?;
        let (timeout, shutdown) =
            (call!(net.connect_options.call_constructor()), call!(net.connect_options.call_constructor()));
        call!(net.connect_options.call_set_tls_handshake_timeout(timeout, 1));
        call!(net.connect_options.call_set_tls_shutdown_timeout(shutdown, 1));
        let errors = [
            call!(net.call_start_connect("127.0.0.1", 1, Some(options))).map(|_| ()),
            call!(net.call_connect("127.0.0.1", 1, Some(timeout))).map(|_| ()),
            call!(net.call_connect("127.0.0.1", 1, Some(shutdown))).map(|_| ()),
            call!(net.writer.call_start_tls_client(pair.writer, client, Some(NAME))),
            call!(net.writer.call_start_tls_server(pair.writer, server)),
            call!(net.call_parse_certificate(b"")).map(|_| ()),
        ];
        for error in errors {
            let error = expect_error(error);
            assert_eq!(error.kind, ErrorKind::Unsupported);
            assert!(error.message.contains("wasi-streams.wasm"), "{error:?}");
        }
        assert_eq!(serve_refused(&mut net, server).await?.kind, ErrorKind::Unsupported);
        for form in FORMS {
            pair.peer.write_all(b"plain\n").await?;
            let read = perform!(form, net.reader: call_read_line | call_try_read_line as Readable(pair.reader))?;
            assert_eq!(read, b"plain\n", "{form:?}");
            perform!(form, net.writer: call_handshake | call_try_handshake as Handshaken(pair.writer))?;
        }
        assert!(call!(net.writer.call_tls(pair.writer)).is_none());
        let (server, address) = listen(&mut net, None).await?;
        let _peer = wasi_streams_host::peer::Peer::connect(address).await?;
        call!(net.server.call_accept(server))?;
        assert_eq!(call!(net.server.call_failed_handshakes(server)), 0);
        Ok(())
    })
}

/// The error of a connection that must fail, the same in every form.
async fn refused(net: &mut Exported, address: SocketAddr, config: ResourceAny) -> Result<Error> {
    let options = tls_options(net, config, Some(NAME)).await?;
    let error = expect_error(call!(net.call_connect("127.0.0.1", address.port(), Some(options))));
    for form in FORMS {
        let connecting = call!(net.call_start_connect("127.0.0.1", address.port(), Some(options)))?;
        let failed = perform!(form, net.connecting: call_finish | call_try_finish as Connected(connecting));
        let failed = expect_error(failed);
        assert_eq!((failed.kind, &failed.message), (error.kind, &error.message), "{form:?}");
    }
    Ok(error)
}

/// The error of a server that must not begin.
async fn serve_refused(net: &mut Exported, config: ResourceAny) -> Result<Error> {
    let options = call!(net.listen_options.call_constructor());
    call!(net.listen_options.call_set_tls(options, config));
    Ok(expect_error(call!(net.call_listen(&["127.0.0.1".to_owned()], 0, Some(options)))))
}
