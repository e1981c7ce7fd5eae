//! A chat room: what one client sends goes to all others, and one that does not read holds nobody up.
//!
//! ```text
//! cargo run -p wasi-streams-examples --bin chat --target wasm32-wasip2 -- --port 8888
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup target/components/chat.wasm --port 8888
//! ```

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use lexopt::prelude::*;
use wasi_streams::{Error, Server, StreamReader, StreamWriter, run, start_server, timeout, yield_now};

const USAGE: &str = "
Passes every line of a client on to all others. A client that reads too slowly is dropped.

Usage: chat [OPTIONS]

  --host HOST           a name or address to listen on (127.0.0.1), '' for every interface; repeatable
  --port PORT           the port (8888), 0 for any that is free
  --buffer BYTES        how much may wait for a client before it is dropped (65536)
  --until-stdin-closes  at the end of standard input accept no more, let the connections finish, end
  --help                show this
";

/// The longest line, in bytes.
const LONGEST_LINE: usize = 4096;

/// How long a client that leaves may take to read the rest.
const FAREWELL: Duration = Duration::from_secs(5);

struct Options {
    hosts: Vec<String>,
    port: u16,
    buffer: usize,
    until_stdin_closes: bool,
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options { hosts: Vec::new(), port: 8888, buffer: 64 * 1024, until_stdin_closes: false };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("host") => options.hosts.push(parser.value()?.string()?),
            Long("port") => options.port = parser.value()?.parse()?,
            Long("buffer") => options.buffer = parser.value()?.parse()?,
            Long("until-stdin-closes") => options.until_stdin_closes = true,
            other => return Err(other.unexpected()),
        }
    }
    if options.hosts.is_empty() {
        options.hosts.push("127.0.0.1".into());
    }
    Ok(options)
}

/// Who is there.
struct Room {
    buffer: usize,
    last_id: Cell<u32>,
    writers: RefCell<BTreeMap<u32, Rc<StreamWriter>>>,
}

impl Room {
    fn new(buffer: usize) -> Self {
        Self { buffer, last_id: Cell::new(0), writers: RefCell::default() }
    }

    fn enter(&self, writer: Rc<StreamWriter>) -> u32 {
        let id = self.last_id.get() + 1;
        self.last_id.set(id);
        self.writers.borrow_mut().insert(id, writer);
        id
    }

    /// Returns whether the client was still there.
    fn leave(&self, id: u32) -> bool {
        self.writers.borrow_mut().remove(&id).is_some()
    }

    /// Queues a line for everyone but its sender; waits for nobody. Those who have too much waiting are dropped, and the
    /// others are told.
    fn tell_others(&self, sender: u32, line: Vec<u8>) -> anyhow::Result<()> {
        let mut lines = VecDeque::from([(sender, line)]);
        while let Some((sender, line)) = lines.pop_front() {
            let mut slow = Vec::new();
            for (&id, writer) in self.writers.borrow().iter().filter(|(id, _)| **id != sender) {
                if writer.is_closing() {
                    continue; // lost: its own task will notice
                }
                if self.has_room(writer, line.len()) {
                    writer.write(&line)?;
                } else {
                    writer.transport().abort();
                    slow.push(id);
                }
            }
            for id in slow {
                self.leave(id);
                log(format_args!("client {id} dropped: more than {} bytes wait for it", self.buffer));
                lines.push_back((id, format!("* client {id} was dropped: it reads too slowly\n").into()));
            }
        }
        Ok(())
    }

    /// Whether a client may get a line. One that took all before may always, or a long line could empty the room.
    fn has_room(&self, writer: &StreamWriter, line: usize) -> bool {
        let waiting = writer.transport().get_write_buffer_size();
        waiting == 0 || waiting + line <= self.buffer
    }
}

/// Prints a line; those who chat do not mind when nobody reads it.
fn log(line: fmt::Arguments<'_>) {
    let _ = writeln!(stdout(), "{line}");
}

/// One client, from its arrival to its end.
async fn client(room: Rc<Room>, reader: StreamReader, writer: StreamWriter) -> anyhow::Result<()> {
    let peer = writer.get_extra_info("peername").map_or("nowhere".into(), |peer| peer.to_string());
    let writer = Rc::new(writer);
    let id = room.enter(Rc::clone(&writer));
    log(format_args!("client {id} joined from {peer}"));
    writer.write(format!("* you are client {id}\n"))?;
    room.tell_others(id, format!("* client {id} joined\n").into())?;

    let ended = listen(&room, id, reader, &writer).await;

    if room.leave(id) {
        match ended {
            Ok(()) => log(format_args!("client {id} left")),
            Err(error) => log(format_args!("client {id} left: {error:#}")),
        }
        room.tell_others(id, format!("* client {id} left\n").into())?;
    }
    writer.close();
    if timeout(FAREWELL, writer.wait_closed()).await.is_err() {
        writer.transport().abort();
    }
    Ok(())
}

/// Passes a client's lines on until it ends.
async fn listen(room: &Room, id: u32, mut reader: StreamReader, writer: &StreamWriter) -> anyhow::Result<()> {
    let mut in_long_line = false;
    loop {
        let line = match reader.readline().await {
            Err(Error::LineTooLong { found }) => {
                if !in_long_line {
                    writer.write(format!("* a line may have {LONGEST_LINE} bytes\n"))?;
                    writer.drain().await?; // nobody waits for this but the one who sends such lines
                }
                in_long_line = !found; // if its end was not there yet, the next line is the rest of it
                continue;
            }
            line => line?,
        };
        if line.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut in_long_line) {
            continue;
        }
        let text = line.trim_ascii_end();
        room.tell_others(id, [format!("client {id}: ").as_bytes(), text, b"\n"].concat())?;
        // A thousand lines may be here already: give what was queued a chance to leave before there is more.
        yield_now().await;
    }
}

async fn chat(options: &Options) -> wasi_streams::Result<Server> {
    let room = Rc::new(Room::new(options.buffer));
    let handler = move |reader, writer| client(Rc::clone(&room), reader, writer);
    start_server(handler, options.hosts.clone(), options.port).limit(LONGEST_LINE).await
}

fn main() -> ExitCode {
    examples::main("chat", USAGE, parse, |options| {
        run(async {
            let server = chat(&options).await?;
            writeln!(stdout(), "Serving on {}", examples::addresses(&server))?;
            examples::serve(server, options.until_stdin_closes).await
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasi_streams::{Instant, sim::Network, sim::Peer, sleep};

    /// Runs `test` with a function that lets another client join.
    fn with_chat(buffer: &str, test: impl AsyncFnOnce(&dyn Fn() -> Peer)) {
        let net = Network::new();
        net.set_send_buffer(4096);
        let options = parse(lexopt::Parser::from_args(["--port=0", "--buffer", buffer])).unwrap();
        run(async {
            let server = chat(&options).await.unwrap();
            let address = server.sockets()[0];
            test(&|| net.connect(address).unwrap()).await;
        });
        assert_eq!(net.freezes(), 0);
    }

    async fn line(peer: &Peer) -> String {
        String::from_utf8(peer.recv_until(b"\n").await).unwrap()
    }

    #[test]
    fn a_line_goes_to_all_others_with_its_sender() {
        with_chat("65536", async |join| {
            let one = join();
            assert_eq!(line(&one).await, "* you are client 1\n");
            let two = join();
            assert_eq!(line(&two).await, "* you are client 2\n");
            assert_eq!(line(&one).await, "* client 2 joined\n");
            one.send(b"hello\r\nand");
            assert_eq!(line(&two).await, "client 1: hello\n");
            one.send(b" bye");
            one.finish();
            assert_eq!(line(&two).await, "client 1: and bye\n");
            assert_eq!(line(&two).await, "* client 1 left\n");
            assert_eq!(one.recv_to_end().await, b"");
        });
    }

    #[test]
    fn a_client_that_does_not_read_is_dropped_and_holds_nobody_up() {
        with_chat("65536", async |join| {
            let (talker, reader, stalled) = (join(), join(), join());
            assert_eq!(line(&reader).await, "* you are client 2\n");
            assert_eq!(line(&reader).await, "* client 3 joined\n");
            stalled.stall();
            let start = Instant::now();
            let text = "x".repeat(1000);
            let mut dropped_after = None;
            for number in 0..1000 {
                talker.send(format!("{text}\n").as_bytes());
                let mut got = line(&reader).await;
                if got.starts_with('*') {
                    assert_eq!(got, "* client 3 was dropped: it reads too slowly\n");
                    dropped_after = Some(number);
                    got = line(&reader).await;
                }
                assert_eq!(got, format!("client 1: {text}\n"));
            }
            let dropped_after = dropped_after.expect("the stalled client is dropped");
            assert!((64..300).contains(&dropped_after), "after {dropped_after} lines");
            assert_eq!(start.elapsed(), Duration::ZERO);
        });
    }

    #[test]
    fn a_burst_of_lines_drops_nobody_who_reads() {
        with_chat("100", async |join| {
            let (talker, reader) = (join(), join());
            assert_eq!(line(&reader).await, "* you are client 2\n");
            talker.send("some line\n".repeat(300).as_bytes());
            talker.finish();
            let got = reader.recv_until(b"* client 1 left\n").await;
            let got = String::from_utf8(got).unwrap();
            assert_eq!(got.matches("client 1: some line").count(), 300);
        });
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_and_the_next_one_is_not() {
        with_chat("65536", async |join| {
            let (one, two) = (join(), join());
            sleep(Duration::from_millis(1)).await;
            one.take_received();
            two.take_received();
            for length in [LONGEST_LINE + 1, 10 * LONGEST_LINE] {
                one.send(&vec![b'x'; length]);
                sleep(Duration::from_millis(1)).await;
                one.send(b" the rest\nshort\n");
                assert_eq!(line(&one).await, "* a line may have 4096 bytes\n");
                assert_eq!(line(&two).await, "client 1: short\n");
            }
        });
    }
}
