//! `Server`: serving, and whom it serves.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wasi_streams::sim::{ErrorCode, Peer};
use wasi_streams::{Error, Instant, Server, StreamReader, StreamWriter, sleep, spawn, timeout, yield_now};

use common::place::{Place, client_of, start};
use common::{ms, secs, settle, simulate, take_reports, with_state};

#[test]
fn s01_the_server_accepts_already() {
    simulate(async |net| {
        let server = start(echo).await.unwrap();
        let peer = client_of(&net, &server);
        peer.send(b"hello");
        peer.finish();
        assert_eq!(peer.recv_to_end().await, b"hello");
    });
}

#[test]
fn s02_the_handler_is_called_once_for_each_connection() {
    simulate(async |net| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let note = with_state(&seen, async |seen, mut reader, writer| {
            let name = reader.read(1).await.unwrap()[0];
            seen.borrow_mut().push(name);
            writer.close();
        });
        let server = start(note).await.unwrap();
        let client = |i: u8| {
            let peer = client_of(&net, &server);
            peer.send(&[i]);
            peer
        };
        for peer in (1..=50).map(client).collect::<Vec<Peer>>() {
            peer.ended().await;
        }
        let mut seen = seen.take();
        seen.sort_unstable();
        assert_eq!(seen, (1..=50).collect::<Vec<u8>>());
    });
}

#[test]
fn s02_a_plain_handler_is_just_called() {
    simulate(async |net| {
        let calls = Rc::new(Cell::new(0));
        let plain = {
            let calls = Rc::clone(&calls);
            move |_: StreamReader, writer: StreamWriter| {
                calls.set(calls.get() + 1);
                writer.write(b"plain").unwrap();
                writer.close();
            }
        };
        let server = start(plain).await.unwrap();
        for expected in 1..=3 {
            let peer = client_of(&net, &server);
            assert_eq!(peer.recv_to_end().await, b"plain");
            assert_eq!(calls.get(), expected);
        }
    });
}

#[test]
fn s03_slow_handlers_delay_nobody() {
    simulate(async |net| {
        let slow_unless_asked = async |mut reader: StreamReader, writer: StreamWriter| {
            if reader.readline().await.unwrap() == "slow\n" {
                sleep(secs(1000)).await;
            }
            writer.write(b"done").unwrap();
            writer.close();
        };
        let server = start(slow_unless_asked).await.unwrap();
        let start = Instant::now();
        let mut slow = Vec::new();
        for _ in 0..300 {
            let peer = client_of(&net, &server);
            peer.send(b"slow\n");
            slow.push(peer);
            if slow.len() % 50 == 0 {
                settle().await; // the backlog is 100
            }
        }
        let quick = client_of(&net, &server);
        quick.send(b"quick\n");
        assert_eq!(quick.recv_to_end().await, b"done");
        assert_eq!((start.elapsed(), server.connections()), (ms(0), 300));
        for peer in slow {
            assert_eq!(peer.recv_to_end().await, b"done");
        }
        assert_eq!(start.elapsed(), secs(1000));
    });
}

#[test]
fn s04_the_limit_applies_to_every_accepted_reader() {
    simulate(async |net| {
        let too_long = async |mut reader: StreamReader, writer: StreamWriter| {
            assert_eq!(reader.limit(), 10);
            let error = reader.readline().await.unwrap_err();
            writer.write(format!("{}", matches!(error, Error::LineTooLong { .. }))).unwrap();
            writer.close();
        };
        let server = start(too_long).limit(10).await.unwrap();
        for _ in 0..2 {
            let peer = client_of(&net, &server);
            peer.send(b"0123456789a\n");
            assert_eq!(peer.recv_to_end().await, b"true");
        }
    });
}

#[test]
fn s19_without_start_serving_it_is_bound_and_connecting_is_refused() {
    simulate(async |net| {
        let server = start(echo).start_serving(false).await.unwrap();
        let at = Place::of(&server);
        assert_eq!(at.connect(&net).unwrap_err(), ErrorCode::ConnectionRefused);
        server.start_serving().await.unwrap();
        assert!(at.connect(&net).is_ok());
        settle().await;
    });
}

#[test]
fn s20_starting_again_has_no_effect() {
    simulate(async |net| {
        let server = start(echo).await.unwrap();
        let calls = net.counts().host_calls;
        for _ in 0..3 {
            server.start_serving().await.unwrap();
        }
        assert_eq!(net.counts().host_calls, calls);
        let peer = client_of(&net, &server);
        settle().await;
        assert_eq!(server.connections(), 1);
        peer.close();
    });
}

#[test]
fn s21_s24_serving_on_a_closed_server_is_an_error() {
    simulate(async |_net| {
        let server = start(echo).await.unwrap();
        server.close();
        for error in [server.start_serving().await.unwrap_err(), server.serve_forever().await.unwrap_err()] {
            assert!(matches!(error, Error::Closed(_)), "{error:?}");
            assert!(error.to_string().contains("is closed"), "{error}");
        }
        assert!(server.sockets().is_empty());
    });
}

#[test]
fn s22_serve_forever_starts_and_waits() {
    simulate(async |net| {
        let server = start(echo).start_serving(false).await.unwrap();
        let at = Place::of(&server);
        let serving = spawn(async move { server.serve_forever().await });
        settle().await;
        let peer = at.connect(&net).unwrap();
        peer.send(b"hello");
        peer.finish();
        assert_eq!(peer.recv_to_end().await, b"hello");
        sleep(secs(1_000_000)).await;
        assert!(!serving.is_finished());
    });
}

#[test]
fn s23_a_second_serve_forever_while_one_waits_is_an_error() {
    simulate(async |net| {
        let server = Rc::new(start(echo).await.unwrap());
        let first = spawn({
            let server = Rc::clone(&server);
            async move { server.serve_forever().await }
        });
        settle().await;
        let error = server.serve_forever().await.unwrap_err();
        assert!(matches!(error, Error::Busy(_)), "{error:?}");
        assert!(error.to_string().contains("already being awaited on serve_forever()"));
        assert!(!first.is_finished() && server.is_serving(), "the first goes on");
        assert!(Place::of(&server).connect(&net).is_ok());
        server.close();
        assert!(first.await.unwrap().is_err());
    });
}

#[test]
fn s39_a_client_that_sent_something_and_left_before_it_was_accepted_is_heard() {
    simulate(async |net| {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let listen = with_state(&heard, async |heard, mut reader, writer| {
            let all = reader.read_to_end().await.unwrap();
            heard.borrow_mut().push(all);
            writer.close();
        });
        let server = start(listen).await.unwrap();
        let peer = client_of(&net, &server);
        peer.send(b"fire and forget");
        drop(peer);
        settle().await;
        assert_eq!(heard.take(), ["fire and forget"]);
    });
}

#[test]
fn s40_out_of_descriptors_is_reported_and_tried_again_after_a_second() {
    simulate(async |net| {
        let server = start(echo).await.unwrap();
        settle().await;
        net.fail_accepts(ErrorCode::NewSocketLimit, 3);
        let peer = client_of(&net, &server);
        peer.send(b"patience");
        peer.finish();
        assert_eq!(peer.recv_to_end().await, b"patience");
        assert_eq!(net.now(), secs(3), "one second for each failure");
        let reports = take_reports();
        assert_eq!(reports.len(), 3);
        let at = Place::of(&server).to_string();
        assert!(reports.iter().all(|report| report.to_string().contains(&at)), "{reports:?}");
        assert!(reports[0].to_string().contains("too many open files"), "{reports:?}");
        assert!(server.is_serving());
    });
}

#[test]
fn s40_a_server_that_waits_to_try_again_can_be_closed() {
    simulate(async |net| {
        let server = start(echo).await.unwrap();
        net.fail_accepts(ErrorCode::OutOfMemory, 1);
        sleep(ms(100)).await;
        server.close();
        timeout(ms(1), server.wait_closed()).await.unwrap();
        assert_eq!(net.counts().sockets, 0);
    });
}

#[test]
fn s41_one_wake_up_accepts_at_most_backlog_and_one() {
    simulate(async |net| {
        let calls = Rc::new(Cell::new(0));
        let server = Rc::new(RefCell::new(None::<Server>));
        // Each client is followed by another: without a bound the listener would go on and on.
        let another = {
            let (net, calls, server) = (net.clone(), Rc::clone(&calls), Rc::clone(&server));
            move |_: StreamReader, writer: StreamWriter| {
                writer.close();
                calls.set(calls.get() + 1);
                if calls.get() < 1000 {
                    client_of(&net, server.borrow().as_ref().unwrap());
                }
            }
        };
        *server.borrow_mut() = Some(start(another).backlog(7).await.unwrap());
        client_of(&net, server.borrow().as_ref().unwrap());
        let mut before = 0;
        while calls.get() < 1000 {
            yield_now().await;
            assert!(calls.get() - before <= 8, "{} in a row", calls.get() - before);
            before = calls.get();
        }
        server.take();
    });
}

async fn echo(mut reader: StreamReader, writer: StreamWriter) -> wasi_streams::Result<()> {
    loop {
        let data = reader.read(1000).await?;
        if data.is_empty() {
            writer.close();
            return Ok(());
        }
        writer.write(data)?;
        writer.drain().await?;
    }
}
