//! The exported interface: TLS in the middle of a connection in both roles, against OpenSSL and against itself.

use std::time::Duration;

use anyhow::{Context, Result};
use wasi_streams_host::block_on;
use wasi_streams_host::peer::Listener;

use crate::export_support::{
    ErrorKind, FORMS, Interest, any_ready, call, client_config, drop_all, expect_error, listen, net, perform,
    server_config, settle, shake_hands,
};
use crate::export_tls::{echo, reverse};
use crate::tls_support::{NAME, Pki};

#[test]
fn a_connection_goes_over_to_tls_in_the_middle_in_both_roles_and_every_form() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut net = net().await?;
        let (as_client, as_server) = (client_config(&mut net, &pki).await?, server_config(&mut net, &pki).await?);
        let (server, address) = listen(&mut net, None).await?;
        let (_peer, address_of_s_server) = pki.s_server(&[]).await?;
        for form in FORMS {
            // OpenSSL's client asks for it, as mail programs do.
            let client = pki.s_client(address, &["-starttls", "smtp", "-quiet"])?;
            let (reader, writer) = call!(net.server.call_accept(server))?;
            call!(net.writer.call_write(writer, b"220 hello\r\n"))?;
            assert!(call!(net.reader.call_read_line(reader))?.starts_with(b"EHLO "));
            call!(net.writer.call_write(writer, b"250 STARTTLS\r\n"))?;
            assert_eq!(call!(net.reader.call_read_line(reader))?, b"STARTTLS\r\n");
            call!(net.writer.call_write(writer, b"220 go\r\n"))?;
            call!(net.writer.call_start_tls_server(writer, as_server))?;
            perform!(form, net.writer: call_handshake | call_try_handshake as Handshaken(writer))?;
            assert!(call!(net.writer.call_tls(writer)).is_some());
            echo(&mut net, form, reader, writer, client).await?;

            // And OpenSSL's server, to which nothing was said before.
            let port = address_of_s_server.port();
            let (reader, writer) = call!(net.call_connect("127.0.0.1", port, None))?;
            assert!(call!(net.writer.call_tls(writer)).is_none());
            perform!(form, net.writer: call_handshake | call_try_handshake as Handshaken(writer))?;
            call!(net.writer.call_start_tls_client(writer, as_client, Some(NAME)))?;
            let again = expect_error(call!(net.writer.call_start_tls_client(writer, as_client, Some(NAME))));
            assert_eq!(again.kind, ErrorKind::InvalidState, "{form:?}: it is under way");
            perform!(form, net.writer: call_handshake | call_try_handshake as Handshaken(writer))?;
            let tls = call!(net.writer.call_tls(writer)).context("it is TLS")?;
            assert!(tls.verified);
            reverse(&mut net, form, reader, writer).await?;
            let again = expect_error(call!(net.writer.call_start_tls_client(writer, as_client, Some(NAME))));
            assert_eq!(again.kind, ErrorKind::InvalidState, "{form:?}: it is over TLS");
            let again = expect_error(call!(net.writer.call_start_tls_server(writer, as_server)));
            assert_eq!(again.kind, ErrorKind::InvalidState, "{form:?}: it is over TLS");
            perform!(form, net.writer: call_handshake | call_try_handshake as Handshaken(writer))?;
            reverse(&mut net, form, reader, writer).await?;
            // OpenSSL's server talks to one at a time.
            call!(net.writer.call_close(writer));
            perform!(form, net.writer: call_wait_closed | call_try_wait_closed as Closed(writer))?;
        }
        Ok(())
    })
}

#[test]
fn both_ends_of_an_upgrade_can_be_ours() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut net = net().await?;
        let (as_client, as_server) = (client_config(&mut net, &pki).await?, server_config(&mut net, &pki).await?);
        let (server, address) = listen(&mut net, None).await?;
        for form in FORMS {
            let (theirs, writer) = call!(net.call_connect("127.0.0.1", address.port(), None))?;
            let (reader, accepted) = call!(net.server.call_accept(server))?;
            // A reader that has said "not yet" meanwhile is none in the way.
            assert!(call!(net.reader.call_try_read(theirs, 1))?.is_none());
            let pollables = call!(net.reader.call_subscribe(theirs));
            call!(net.writer.call_start_tls_server(accepted, as_server))?;
            call!(net.writer.call_start_tls_client(writer, as_client, Some(NAME)))?;
            for done in shake_hands(&mut net, form, [writer, accepted]).await? {
                done?;
            }
            drop_all(&mut net, pollables)?;
            call!(net.writer.call_write(writer, b"ping\n"))?;
            let read = perform!(form, net.reader: call_read_line | call_try_read_line as Readable(reader))?;
            assert_eq!(read, b"ping\n", "{form:?}");
            call!(net.writer.call_write(accepted, b"pong\n"))?;
            let read = perform!(form, net.reader: call_read_line | call_try_read_line as Readable(theirs))?;
            assert_eq!(read, b"pong\n", "{form:?}");
        }
        Ok(())
    })
}

#[test]
fn a_handshake_takes_no_longer_than_is_said() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut net = net().await?;
        let config = client_config(&mut net, &pki).await?;
        let listener = Listener::v4()?;
        for form in FORMS {
            let (_, writer) = call!(net.call_connect("127.0.0.1", listener.port(), None))?;
            let _silent = listener.accept().await?;
            call!(net.writer.call_set_start_tls_timeouts(writer, Some(50), Some(0)));
            let error = expect_error(call!(net.writer.call_start_tls_client(writer, config, Some(NAME))));
            assert_eq!(error.kind, ErrorKind::InvalidArgument, "{form:?}: no time for a goodbye");
            call!(net.writer.call_set_start_tls_timeouts(writer, Some(50), None));
            call!(net.writer.call_start_tls_client(writer, config, Some(NAME)))?;
            let done = perform!(form, net.writer: call_handshake | call_try_handshake as Handshaken(writer));
            assert_eq!(expect_error(done).kind, ErrorKind::ConnectionAborted, "{form:?}");
        }
        Ok(())
    })
}

#[test]
fn a_handshake_that_waits_wakes_nobody() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut net = net().await?;
        let config = client_config(&mut net, &pki).await?;
        let listener = Listener::v4()?;
        let (_, writer) = call!(net.call_connect("127.0.0.1", listener.port(), None))?;
        let mut peer = listener.accept().await?;
        call!(net.writer.call_start_tls_client(writer, config, Some(NAME)))?;
        assert!(!call!(net.writer.call_try_handshake(writer))?);
        let pollables = call!(net.writer.call_subscribe(writer));
        assert!(!any_ready(&mut net, &pollables).await?);
        // The peer's first bytes are what it waits for, whoever else is called meanwhile.
        peer.write_all(&[0x16, 3, 3]).await?;
        tokio::time::sleep(Duration::from_millis(30)).await;
        settle(&mut net).await?;
        assert!(any_ready(&mut net, &pollables).await?);
        drop_all(&mut net, pollables)?;
        assert!(!call!(net.writer.call_try_handshake(writer))?);
        let before = net.snapshot().polls;
        assert_eq!(call!(net.call_wait(&[Interest::Handshaken(writer)], Some(300)))?, []);
        assert!(net.snapshot().polls - before <= 8);
        // Given up half-way.
        net.drop_resource(writer).await?;
        settle(&mut net).await?;
        assert_eq!(peer.read_to_end().await?.first(), Some(&0x16));
        Ok(())
    })
}
