//! How handlers end, and what becomes of their connections.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use wasi_streams::sim::{Network, Peer};
use wasi_streams::{Error, Report, Server, StreamReader, StreamWriter, run, sleep, spawn};

use common::place::{client_of, name_of, start};
use common::{assert_nothing_is_left, collect_reports, network, secs, settle, simulate, take_reports, with_state};

#[test]
fn s35_a_handler_that_fails_is_reported_once_and_its_connection_closed() {
    simulate(async |net| {
        let kept = Kept::default();
        let failing = with_state(&kept, async |kept: Kept, mut reader, writer| {
            writer.write(b"sorry").unwrap();
            kept.keep(writer);
            reader.readexactly(10).await.map(drop)
        });
        let server = start(failing).await.unwrap();
        let peer = client(&net, &server).await;
        peer.send(b"short");
        peer.finish();
        assert_eq!(peer.recv_to_end().await, b"sorry", "closed, although the writer was kept");
        let text = "5 bytes read on a total of 10 expected bytes";
        assert!(matches!(&failures()[..], [(at, error)] if *at == name_of(&peer) && error == text));
        still_up(&net, &server).await;
        kept.0.take();
    });
}

#[test]
fn s35_any_error_that_can_be_shown_is_reported() {
    simulate(async |net| {
        let failing = async |_: StreamReader, writer: StreamWriter| -> anyhow::Result<()> {
            writer.close();
            Err(anyhow::anyhow!("the cause").context("what failed"))
        };
        let server = start(failing).await.unwrap();
        client(&net, &server).await.ended().await;
        assert!(matches!(&failures()[..], [(_, error)] if error == "what failed: the cause"));
    });
}

#[test]
fn s35_natively_a_handler_that_panics_fails_alone() {
    // Not by `simulate`, which does not want panics.
    let net = network();
    collect_reports();
    let kept = Kept::default();
    run(async {
        let panicking = with_state(&kept, async |kept: Kept, mut reader, writer| {
            kept.keep(writer);
            assert!(reader.readline().await.unwrap().is_empty(), "a line came");
        });
        let server = start(panicking).await.unwrap();
        let peer = client(&net, &server).await;
        peer.send(b"line\n");
        peer.ended().await;
        let panics = |report: &Report| matches!(report, Report::TaskPanicked { message } if message == "a line came");
        assert_eq!(take_reports().iter().filter(|report| panics(report)).count(), 1);
        still_up(&net, &server).await;
        kept.0.take();
    });
    assert_nothing_is_left(&net);
}

#[test]
fn s36_a_handler_that_is_cancelled_is_not_reported_and_its_connection_closed() {
    simulate(async |net| {
        let kept = Kept::default();
        let cancelled = with_state(&kept, async |kept: Kept, _, writer| {
            kept.keep(writer);
            let task = spawn(std::future::pending::<()>());
            task.abort();
            task.await // gives `Error::Cancelled`
        });
        let server = start(cancelled).await.unwrap();
        let peer = client(&net, &server).await;
        peer.ended().await;
        assert_eq!(take_reports().len(), 0);
        still_up(&net, &server).await;
        kept.0.take();
    });
}

#[test]
fn s36_handlers_dropped_at_the_end_of_the_program_close_quietly() {
    let net = network();
    collect_reports();
    let kept = Kept::default();
    let peer = run(async {
        let endless = with_state(&kept, async |kept: Kept, _, writer| {
            writer.write(b"accepted, so delivered").unwrap();
            kept.keep(writer);
            std::future::pending::<()>().await;
        });
        let server = start(endless).await.unwrap();
        client(&net, &server).await
    });
    assert_eq!((peer.take_received(), peer.saw_eof()), (b"accepted, so delivered".to_vec(), true));
    assert_eq!(take_reports().len(), 0);
    assert_nothing_is_left(&net);
}

#[test]
fn s37_a_plain_handler_that_fails_is_reported_and_its_connection_closed() {
    simulate(async |net| {
        let kept = Kept::default();
        let failing = {
            let kept = kept.clone();
            move |_: StreamReader, writer: StreamWriter| {
                kept.keep(writer);
                Err::<(), _>(Error::io(std::io::ErrorKind::Other, "not today"))
            }
        };
        let server = start(failing).await.unwrap();
        let peer = client(&net, &server).await;
        peer.ended().await;
        assert!(matches!(&failures()[..], [(at, error)] if *at == name_of(&peer) && error == "not today"));
        still_up(&net, &server).await;
        kept.0.take();
    });
}

#[test]
fn s37_natively_a_plain_handler_that_panics_is_reported_too() {
    simulate(async |net| {
        let panicking = |_: StreamReader, _: StreamWriter| {
            if true {
                panic!("not today either")
            }
        };
        let server = start(panicking).await.unwrap();
        client(&net, &server).await.ended().await;
        assert!(matches!(&failures()[..], [(_, error)] if error == "not today either"));
        still_up(&net, &server).await;
    });
}

#[test]
fn s38_a_handler_that_returns_closes_only_what_it_dropped() {
    simulate(async |net| {
        let kept = Kept::default();
        let returning = with_state(&kept, async |kept: Kept, mut reader, writer| {
            if reader.readline().await.unwrap() == "keep\n" {
                kept.keep(writer);
            }
        });
        let server = start(returning).await.unwrap();
        let (dropped, stays) = (client(&net, &server).await, client(&net, &server).await);
        dropped.send(b"drop\n");
        dropped.ended().await;
        stays.send(b"keep\n");
        sleep(secs(1000)).await;
        assert!(!stays.saw_eof());
        assert_eq!(server.connections(), 1);
        let writer = kept.0.borrow_mut().pop().unwrap();
        writer.write(b"still open").unwrap();
        assert_eq!(stays.recv(10).await, b"still open");
        writer.close();
    });
}

/// Writers that outlive their handlers.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<StreamWriter>>>);

impl Kept {
    fn keep(&self, writer: StreamWriter) {
        self.0.borrow_mut().push(writer);
    }
}

/// A client that has been accepted.
async fn client(net: &Network, server: &Server) -> Peer {
    let peer = client_of(net, server);
    settle().await;
    peer
}

/// Which handlers failed, and how.
fn failures() -> Vec<(Option<std::net::SocketAddr>, String)> {
    let failed = |report| match report {
        Report::HandlerFailed { peer, error } => Some((peer, error)),
        _ => None,
    };
    take_reports().into_iter().filter_map(failed).collect()
}

async fn still_up(net: &Network, server: &Server) {
    assert!(server.is_serving());
    let calls = net.counts().sockets;
    let peer = client(net, server).await;
    assert!(net.counts().sockets > calls || peer.saw_eof(), "accepted");
    take_reports();
}
