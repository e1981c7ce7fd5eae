//! The server: takes mail over TLS only, and prints it.

use std::io::{Write, stdout};
use std::path::PathBuf;

use lexopt::prelude::*;
use wasi_streams::{Error, Pem, Server, StreamReader, StreamWriter, TlsAcceptor, start_server};

use crate::{LONGEST_LINE, is_address, read_line};

/// The most recipients of a mail (RFC 5321, section 4.5.3.1.8: as many must be possible).
const MOST_RECIPIENTS: usize = 100;

/// The largest mail, in bytes.
const LARGEST_MAIL: usize = 10 << 20;

pub(crate) struct Options {
    hosts: Vec<String>,
    port: u16,
    tls_cert: PathBuf,
    tls_key: PathBuf,
    pub(crate) until_stdin_closes: bool,
}

pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut hosts, mut port, mut until_stdin_closes) = (Vec::new(), 2525, false);
    let (mut tls_cert, mut tls_key) = (None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("tls-cert") => tls_cert = Some(parser.value()?.into()),
            Long("tls-key") => tls_key = Some(parser.value()?.into()),
            Long("host") => hosts.push(parser.value()?.string()?),
            Long("port") => port = parser.value()?.parse()?,
            Long("until-stdin-closes") => until_stdin_closes = true,
            other => return Err(other.unexpected()),
        }
    }
    if hosts.is_empty() {
        hosts.push("127.0.0.1".into());
    }
    let tls_cert = tls_cert.ok_or("--tls-cert FILE is needed")?;
    let tls_key = tls_key.ok_or("--tls-key FILE is needed")?;
    Ok(Options { hosts, port, tls_cert, tls_key, until_stdin_closes })
}

pub(crate) async fn start(options: &Options) -> wasi_streams::Result<Server> {
    let (cert, key) = (Pem::file(&options.tls_cert), Pem::file(&options.tls_key));
    let acceptor = TlsAcceptor::builder().identity_pem(cert, key).build()?;
    let handler = move |reader, writer| talk(reader, writer, acceptor.clone());
    start_server(handler, options.hosts.clone(), options.port).limit(LONGEST_LINE).await
}

/// One client, from its arrival to its end.
async fn talk(mut reader: StreamReader, writer: StreamWriter, acceptor: TlsAcceptor) -> wasi_streams::Result<()> {
    match listen(&mut reader, &writer, acceptor).await {
        Err(Error::LimitOverrun { .. }) => writer.write("500 Line too long\r\n")?,
        outcome => outcome?,
    }
    writer.close();
    writer.wait_closed().await
}

/// Answers a client until it leaves.
async fn listen(reader: &mut StreamReader, writer: &StreamWriter, acceptor: TlsAcceptor) -> wasi_streams::Result<()> {
    let mut session = Session::default();
    writer.write("220 wasi-streams SMTP\r\n")?;
    while let Some(line) = read_line(reader).await? {
        let line = String::from_utf8_lossy(&line);
        match session.step(line.trim_end(), writer.tls().is_some()) {
            Step::Answer(answer) => writer.write(format!("{answer}\r\n"))?,
            Step::StartTls => {
                writer.write("220 Go ahead\r\n")?;
                // What was sent in the clear behind STARTTLS becomes a part of the handshake, which fails by it: commands that
                // somebody on the way put there are never obeyed.
                writer.start_tls(acceptor.clone()).await?;
                // Nor is remembered what was said before (RFC 3207, section 4.2).
                session = Session::default();
            }
            Step::Data => {
                writer.write("354 End with a dot alone\r\n")?;
                let Some(mail) = receive(reader).await? else { break };
                if mail.len() <= LARGEST_MAIL {
                    session.print(&mail)?;
                    writer.write("250 Taken\r\n")?;
                } else {
                    writer.write("552 Too large\r\n")?;
                }
                session.forget_mail();
            }
            Step::Quit => {
                writer.write("221 Goodbye\r\n")?;
                break;
            }
        }
        writer.drain().await?;
    }
    Ok(())
}

/// Reads a mail, to the dot alone; none when the client leaves before. Of one that is too large the beginning is given, which is
/// too large as well.
async fn receive(reader: &mut StreamReader) -> wasi_streams::Result<Option<Vec<u8>>> {
    let mut mail = Vec::new();
    while let Some(line) = read_line(reader).await? {
        if line == "." {
            return Ok(Some(mail));
        }
        if mail.len() <= LARGEST_MAIL {
            // A dot in front was doubled on the way.
            mail.extend(line.strip_prefix(b".").unwrap_or(&line));
            mail.push(b'\n');
        }
    }
    Ok(None)
}

/// What a client has said about itself and its mail.
#[derive(Default)]
struct Session {
    greeted: bool,
    sender: Option<String>,
    recipients: Vec<String>,
}

/// What to do about a line.
#[derive(Debug, PartialEq)]
enum Step {
    Answer(&'static str),
    StartTls,
    Data,
    Quit,
}

impl Session {
    fn step(&mut self, line: &str, over_tls: bool) -> Step {
        let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
        Step::Answer(match command.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" if argument.is_empty() => "501 Your name is needed",
            "EHLO" if !over_tls => self.greet("250-wasi-streams\r\n250 STARTTLS"),
            "EHLO" | "HELO" => self.greet("250 wasi-streams"),
            "NOOP" => "250 Nothing done",
            "QUIT" => return Step::Quit,
            "STARTTLS" if over_tls => "503 This is TLS already",
            "STARTTLS" if !argument.is_empty() => "501 No parameters are known",
            "STARTTLS" => return Step::StartTls,
            "RSET" => {
                self.forget_mail();
                "250 Forgotten"
            }
            "MAIL" | "RCPT" | "DATA" if !over_tls => "530 Must issue a STARTTLS command first",
            "MAIL" | "RCPT" | "DATA" if !self.greeted => "503 EHLO comes first",
            "MAIL" if self.sender.is_some() => "503 One mail at a time",
            "RCPT" if self.sender.is_none() => "503 MAIL comes first",
            "RCPT" if self.recipients.len() == MOST_RECIPIENTS => "452 Too many recipients",
            "DATA" if self.recipients.is_empty() => "503 RCPT comes first",
            "DATA" => return Step::Data,
            "MAIL" => match address(argument, "FROM:<") {
                Some(sender) => {
                    self.sender = Some(sender.into()); // empty for what is not to be answered
                    "250 Fine"
                }
                None => "501 MAIL FROM:<ADDRESS> is needed",
            },
            "RCPT" => match address(argument, "TO:<").filter(|recipient| !recipient.is_empty()) {
                Some(recipient) => {
                    self.recipients.push(recipient.into());
                    "250 Fine"
                }
                None => "501 RCPT TO:<ADDRESS> is needed",
            },
            _ => "500 Unknown command",
        })
    }

    fn greet(&mut self, answer: &'static str) -> &'static str {
        *self = Self { greeted: true, ..Self::default() };
        answer
    }

    fn forget_mail(&mut self) {
        *self = Self { greeted: self.greeted, ..Self::default() };
    }

    fn print(&self, mail: &[u8]) -> std::io::Result<()> {
        let mut stdout = stdout().lock();
        let sender = self.sender.as_deref().unwrap_or_default();
        writeln!(stdout, "Mail from <{sender}> to <{}>:", self.recipients.join(">, <"))?;
        stdout.write_all(mail)?;
        writeln!(stdout, "End of mail")
    }
}

/// The address in `FROM:<ADDRESS>` or `TO:<ADDRESS>`.
fn address<'a>(argument: &'a str, before: &str) -> Option<&'a str> {
    let (found, address) = argument.split_at_checked(before.len())?;
    let address = address.strip_suffix('>')?;
    (found.eq_ignore_ascii_case(before) && is_address(address)).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasi_streams::sim::Network;
    use wasi_streams::{TlsConnector, open_connection, run};

    /// The answers to a conversation over TLS.
    fn answers(lines: &[&str]) -> Vec<String> {
        let mut session = Session::default();
        let answer = |line: &&str| match session.step(line, true) {
            Step::Answer(answer) => answer[..3].to_owned(),
            other => format!("{other:?}"),
        };
        lines.iter().map(answer).collect()
    }

    #[test]
    fn a_mail_has_an_order() {
        let (from, to) = ("MAIL FROM:<a@a.test>", "rcpt to:<b@b.test>");
        assert_eq!(answers(&["ehlo me", from, to, to, "DATA"]), ["250", "250", "250", "250", "Data"]);
        assert_eq!(
            answers(&[from, to, "DATA", "HELO me", to, "DATA", from, "DATA"]),
            ["503", "503", "503", "250", "503", "503", "250", "503"]
        );
        assert_eq!(answers(&["EHLO me", from, from]), ["250", "250", "503"]);
        assert_eq!(answers(&["EHLO me", from, "RSET", to]), ["250", "250", "250", "503"]);
        assert_eq!(answers(&["EHLO me", from, "EHLO me", to]), ["250", "250", "250", "503"]);
        assert_eq!(answers(&["EHLO me", "MAIL FROM:<>", "RCPT TO:<>"]), ["250", "250", "501"]);
        assert_eq!(
            answers(&["EHLO", "NOOP", "STARTTLS", "EXPN x", "", "quit"]),
            ["501", "250", "503", "500", "500", "Quit"]
        );
        let crowd = [&["EHLO me", from][..], &[to; MOST_RECIPIENTS + 1]].concat();
        assert_eq!(answers(&crowd).last().unwrap(), "452");
    }

    #[test]
    fn in_the_clear_there_is_no_mail() {
        let mut session = Session::default();
        assert_eq!(session.step("EHLO me", false), Step::Answer("250-wasi-streams\r\n250 STARTTLS"));
        for line in ["MAIL FROM:<a@a.test>", "RCPT TO:<a@a.test>", "DATA"] {
            assert_eq!(session.step(line, false), Step::Answer("530 Must issue a STARTTLS command first"));
        }
        assert_eq!(session.step("STARTTLS now", false), Step::Answer("501 No parameters are known"));
        assert_eq!(session.step("starttls", false), Step::StartTls);
    }

    #[test]
    fn addresses_are_between_angle_brackets() {
        assert_eq!(address("FROM:<a@b>", "FROM:<"), Some("a@b"));
        assert_eq!(address("from:<>", "FROM:<"), Some(""));
        for text in ["", "FROM:", "FROM:<", "FROM:a@b", "TO:<a@b>", "FROM:<a b>", "FROM:<a>b>", "FROM:<\u{e9}@b>"] {
            assert_eq!(address(text, "FROM:<"), None, "{text}");
        }
    }

    /// Runs `test` on a server at port 25 that has the certificate it is given.
    fn with_server(test: impl AsyncFnOnce(&Network, String)) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".into()]).unwrap();
        let pem = made.cert.pem();
        let acceptor = TlsAcceptor::builder().identity_pem(&pem, made.signing_key.serialize_pem()).build().unwrap();
        let net = Network::new();
        run(async {
            let handler = move |reader, writer| talk(reader, writer, acceptor.clone());
            let server = start_server(handler, "127.0.0.1", 25).limit(LONGEST_LINE).await.unwrap();
            test(&net, pem).await;
            server.close();
            server.wait_closed().await;
        });
        assert_eq!(net.freezes(), 0);
    }

    #[test]
    fn commands_injected_behind_starttls_are_not_obeyed() {
        with_server(async |net, _| {
            let client = net.connect("127.0.0.1:25".parse().unwrap()).unwrap();
            client.send(b"EHLO me\r\nSTARTTLS\r\nNOOP\r\nMAIL FROM:<evil@a.test>\r\n");
            let heard = client.recv_to_end().await;
            let heard = String::from_utf8_lossy(&heard);
            assert!(heard.starts_with("220 ") && heard.ends_with("\r\n220 Go ahead\r\n"), "{heard}");
        });
    }

    #[test]
    fn a_line_that_is_too_long_is_the_last() {
        with_server(async |net, _| {
            let client = net.connect("127.0.0.1:25".parse().unwrap()).unwrap();
            client.send(&[b'x'; 2 * LONGEST_LINE]);
            let heard = client.recv_to_end().await;
            assert!(heard.ends_with(b"\r\n500 Line too long\r\n"), "{}", heard.escape_ascii());
        });
    }

    #[test]
    fn what_was_said_in_the_clear_is_forgotten_and_too_large_a_mail_refused() {
        with_server(async |_, pem| {
            let (mut reader, writer) = open_connection("127.0.0.1", 25).await.unwrap();
            writer.write("EHLO me\r\nSTARTTLS\r\n").unwrap();
            assert!(reader.readuntil("Go ahead\r\n").await.unwrap().starts_with(b"220 "));
            let connector = TlsConnector::builder().roots_pem(pem).build().unwrap();
            writer.start_tls(connector).await.unwrap();
            let mut ask = async |text: &str, code: &str| {
                writer.write(text).unwrap();
                let answer = reader.readuntil("\r\n").await.unwrap();
                assert!(answer.starts_with(code.as_bytes()), "{text}: {}", answer.escape_ascii());
            };
            ask("MAIL FROM:<a@a.test>\r\n", "503").await;
            ask("EHLO me\r\n", "250 ").await;
            ask("MAIL FROM:<a@a.test>\r\n", "250").await;
            ask("RCPT TO:<b@b.test>\r\n", "250").await;
            ask("DATA\r\n", "354").await;
            let line = format!("{}\r\n", "x".repeat(998));
            ask(&(line.repeat(LARGEST_MAIL / 999 + 1) + ".\r\n"), "552").await;
            ask("RCPT TO:<b@b.test>\r\n", "503").await;
            ask("QUIT\r\n", "221").await;
            writer.close();
            writer.wait_closed().await.unwrap();
        });
    }

    #[test]
    fn the_dots_of_a_mail_are_as_they_were() {
        let mut reader = StreamReader::new(LONGEST_LINE).unwrap();
        reader.feed_data(b"a\r\n..b\r\n...\r\n\r\nc\n.\nd\r\n.\r\ne").unwrap();
        let mail = run(receive(&mut reader)).unwrap().unwrap();
        assert_eq!(mail, b"a\n.b\n..\n\nc\n.\nd\n");
        let mut reader = StreamReader::new(LONGEST_LINE).unwrap();
        reader.feed_data(b"half\r\n").unwrap();
        reader.feed_eof();
        assert!(run(receive(&mut reader)).unwrap().is_none(), "the client left");
    }
}
