//! The client: a short conversation, shown line by line.

use std::fmt;
use std::io::{Write, stdout};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_lite::AsyncReadExt;
use lexopt::prelude::*;
use wasi_streams::{Error, Pem, StreamReader, StreamWriter, TlsConnector, open_connection, stdin, timeout};

use crate::{LONGEST_LINE, is_address, read_line};

/// The most lines of one reply.
const LONGEST_REPLY: usize = 100;

pub(crate) struct Options {
    host: String,
    port: u16,
    mail: Option<(String, String)>,
    ca: Option<PathBuf>,
    server_name: String,
    timeout: Duration,
}

pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut host, mut port) = (None, None);
    let (mut mail, mut ca, mut server_name, mut timeout) = (None, None, None, Duration::from_secs(60));
    while let Some(argument) = parser.next()? {
        match argument {
            Long("mail") => mail = Some((parser.value()?.parse_with(address)?, parser.value()?.parse_with(address)?)),
            Long("ca") => ca = Some(parser.value()?.into()),
            Long("server-name") => server_name = Some(parser.value()?.string()?),
            Long("timeout") => timeout = parser.value()?.parse_with(examples::seconds)?,
            Value(value) if host.is_none() => host = Some(value.string()?),
            Value(value) if port.is_none() => port = Some(value.parse()?),
            other => return Err(other.unexpected()),
        }
    }
    let host: String = host.ok_or("HOST and PORT are needed")?;
    let port = port.ok_or("PORT is needed, behind HOST")?;
    let server_name = server_name.unwrap_or_else(|| host.clone());
    Ok(Options { host, port, mail, ca, server_name, timeout })
}

fn address(text: &str) -> Result<String, &'static str> {
    if is_address(text) { Ok(text.into()) } else { Err("an address of mail is ASCII without spaces, < and >") }
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let mut builder = TlsConnector::builder();
    if let Some(ca) = &options.ca {
        builder = builder.roots_pem(Pem::file(ca));
    }
    let connector = builder.build()?;
    // Before connecting: a server does not wait for somebody who types.
    let mut mail = Vec::new();
    if options.mail.is_some() {
        stdin().read_to_end(&mut mail).await?;
    }
    let patience = options.timeout;
    let connecting = open_connection(&options.host, options.port).limit(LONGEST_LINE).into_future();
    let (reader, writer) = timeout(patience, connecting)
        .await
        .with_context(|| format!("cannot connect to {}, port {}", options.host, options.port))??;
    let transport = writer.transport();
    let outcome = timeout(patience, talk(Conversation { reader, writer }, &options, connector, &mail)).await;
    // Whatever an error leaves is not worth waiting for; after QUIT nothing is left.
    transport.abort();
    outcome.context("the conversation is not over")?
}

async fn talk(mut server: Conversation, options: &Options, connector: TlsConnector, mail: &[u8]) -> anyhow::Result<()> {
    let name = server.writer.local_addr().map_or("localhost".into(), |local| literal(local.ip()));
    server.hear(220).await?;
    let offered = server.ask(format_args!("EHLO {name}"), 250).await?;
    // Behind the server's name. Somebody on the way may have removed the offer: going on without TLS would do them the favour.
    let starttls = offered.iter().skip(1).any(|keyword| keyword.eq_ignore_ascii_case("STARTTLS"));
    ensure!(starttls, "the server does not offer STARTTLS");
    server.ask("STARTTLS", 220).await?;
    server.writer.start_tls(connector).server_name(&options.server_name).await?;
    let tls = server.writer.tls().context("TLS was started")?;
    writeln!(stdout(), "TLS: {}, {}", tls.protocol_version(), tls.cipher().name)?;

    // What was said in the clear may be forged: ask again (RFC 3207, section 4.2).
    server.ask(format_args!("EHLO {name}"), 250).await?;
    if let Some((from, to)) = &options.mail {
        server.ask(format_args!("MAIL FROM:<{from}>"), 250).await?;
        server.ask(format_args!("RCPT TO:<{to}>"), 250).await?;
        server.ask("DATA", 354).await?;
        writeln!(stdout(), "C: ({} bytes of mail)", mail.len())?;
        server.writer.write(stuffed(mail))?;
        server.hear(250).await?;
    } else {
        server.ask("NOOP", 250).await?;
    }
    server.ask("QUIT", 221).await?;
    server.writer.close();
    // Everything is said and answered: how the connection ends does not matter any more.
    let _ = server.writer.wait_closed().await;
    Ok(())
}

/// An address as a client without a name introduces itself.
fn literal(ip: IpAddr) -> String {
    if ip.is_ipv4() { format!("[{ip}]") } else { format!("[IPv6:{ip}]") }
}

/// A mail as it is sent: each line with CRLF, a dot in front doubled, and a dot alone behind (RFC 5321, section 4.5.2).
fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(mail.len() + 1024);
    for line in mail.strip_suffix(b"\n").unwrap_or(mail).split(|&byte| byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend(line.strip_suffix(b"\r").unwrap_or(line));
        out.extend(b"\r\n");
    }
    out.extend(b".\r\n");
    out
}

struct Conversation {
    reader: StreamReader,
    writer: StreamWriter,
}

impl Conversation {
    /// Sends a command and returns the text of the reply, which must have this code.
    async fn ask(&mut self, command: impl fmt::Display, code: u16) -> anyhow::Result<Vec<String>> {
        writeln!(stdout(), "C: {command}")?;
        self.writer.write(format!("{command}\r\n"))?;
        self.hear(code).await
    }

    /// Returns the text of a reply, which must have this code: one line or, with hyphens behind the code, several.
    async fn hear(&mut self, code: u16) -> anyhow::Result<Vec<String>> {
        self.writer.drain().await?;
        let mut reply = Vec::new();
        loop {
            let line = match read_line(&mut self.reader).await {
                Err(Error::LimitOverrun { .. }) => bail!("the server sent a line of more than {LONGEST_LINE} bytes"),
                line => line?.context("the server closed the connection")?,
            };
            let line = String::from_utf8_lossy(&line);
            writeln!(stdout(), "S: {line}")?;
            let (found, more, text) = reply_line(&line).context("that is no reply of SMTP")?;
            ensure!(found == code, "the server did not answer {code}, but: {line}");
            reply.push(text.to_owned());
            if !more {
                return Ok(reply);
            }
            ensure!(reply.len() < LONGEST_REPLY, "the server's reply has no end");
        }
    }
}

/// Takes a line of a reply apart: its code, whether more lines follow, and its text.
fn reply_line(line: &str) -> Option<(u16, bool, &str)> {
    let (code, rest) = line.split_at_checked(3)?;
    let code = code.bytes().all(|byte| byte.is_ascii_digit()).then(|| code.parse().ok())??;
    match rest.split_at_checked(1) {
        None => Some((code, false, "")),
        Some((" ", text)) => Some((code, false, text)),
        Some(("-", text)) => Some((code, true, text)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasi_streams::sim::{Network, Peer};
    use wasi_streams::{run, spawn};

    /// How the client ends on a server that says these things, one after each line it hears.
    fn outcome(answers: &'static [&str]) -> String {
        let net = Network::new();
        let listener = net.listen("10.0.0.1:25".parse().unwrap());
        spawn(async move {
            let peer: Peer = listener.accept().await;
            for answer in answers {
                peer.send(answer.as_bytes());
                peer.recv_until(b"\r\n").await;
            }
            peer.ended().await;
        });
        let options = parse(lexopt::Parser::from_args(["10.0.0.1", "25", "--timeout=5"])).unwrap();
        let error = run(super::run(options)).unwrap_err();
        assert!(net.now() <= Duration::from_secs(5), "nothing lingers");
        format!("{error:#}")
    }

    #[test]
    fn what_the_server_does_wrong_is_said() {
        for (answers, part) in [
            (&["220 hello\r\n", "250-a.test\r\n250 SIZE\r\n"][..], "does not offer STARTTLS"),
            (&["220 hello\r\n", "250 STARTTLS\r\n"], "does not offer STARTTLS"),
            (&["554 go away\r\n"], "did not answer 220, but: 554 go away"),
            (&["220 hello\r\n", "250-a\r\n250 starttls\r\n", "454 not now\r\n"], "454 not now"),
            (&["220 hello\r\n", "250-a\r\n250 STARTTLS\r\n", "220 go\r\n250 injected\r\n"], "injected"),
            (&["220 hello\r\n", "250-a\r\n250 STARTTLS\r\n", "220 go\r\n"], "not over: timed out after 5000 ms"),
            (&["HTTP/1.0 200 OK\r\n"], "no reply of SMTP"),
            (&["220-hello\r\n"], "not over: timed out after 5000 ms"),
        ] {
            let error = outcome(answers);
            assert!(error.contains(part), "{answers:?}: {error}");
        }
        let long = format!("220 {}\r\n", "x".repeat(LONGEST_LINE));
        assert!(outcome(vec![&*long.leak()].leak()).contains("more than 4096 bytes"));
        let endless = "220-hello\r\n".repeat(LONGEST_REPLY);
        assert!(outcome(vec![&*endless.leak()].leak()).contains("no end"));
    }

    #[test]
    fn replies_have_a_code_and_may_go_on() {
        assert_eq!(reply_line("250 OK"), Some((250, false, "OK")));
        assert_eq!(reply_line("250-PIPELINING"), Some((250, true, "PIPELINING")));
        assert_eq!(reply_line("220"), Some((220, false, "")));
        for line in ["", "25", "2500", "250_OK", "+25 OK", "OK 250", "2\u{e9}0"] {
            assert_eq!(reply_line(line), None, "{line}");
        }
    }

    #[test]
    fn a_mail_is_sent_with_its_dots_doubled() {
        assert_eq!(stuffed(b"a\n.b\r\n..\n\nc"), b"a\r\n..b\r\n...\r\n\r\nc\r\n.\r\n");
        assert_eq!(stuffed(b"a\r\n"), b"a\r\n.\r\n");
        assert_eq!(stuffed(b""), b"\r\n.\r\n");
    }

    #[test]
    fn addresses_introduce_themselves() {
        assert_eq!(literal("192.0.2.1".parse().unwrap()), "[192.0.2.1]");
        assert_eq!(literal("2001:db8::1".parse().unwrap()), "[IPv6:2001:db8::1]");
    }
}
