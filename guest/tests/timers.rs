//! Ten thousand timers: one at a time is the host's, and whoever arms, cancels or fires one leaves the others alone.

mod common;

use std::cell::Cell;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use wasi_streams::sim::Network;
use wasi_streams::{JoinHandle, sleep, spawn, timeout};

use common::{connected, ms, pass, secs, settle, simulate};

#[test]
fn of_ten_thousand_pending_timers_one_is_the_hosts_and_traffic_does_not_touch_it() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        let before = net.counts();
        let sleeping: Vec<JoinHandle<()>> = (0..MANY).map(|i| spawn(sleep(secs(3600) - ms(i)))).collect();
        settle().await;
        let armed = net.counts();
        for _ in 0..1000 {
            peer.send(b"ping");
            let ping = reader.readexactly(4).await.unwrap();
            writer.write(&ping).unwrap();
            assert_eq!(peer.recv(4).await, b"ping");
            pass(&net, Duration::from_micros(10)).await; // so that the loop waits for the host
        }
        let counts = net.counts();
        assert_eq!(counts.timers - before.timers, 1, "timers of the host, for ten thousand of ours");
        assert!(counts.pollables <= armed.pollables + 1, "that timer, and the connection");
        let (polls, polled) = (counts.polls - armed.polls, counts.polled - armed.polled);
        assert!(polls >= 1000);
        assert!(polled <= 2 * polls, "the timer and the connection: {polled} entries in {polls} polls");
        drop(sleeping);
        writer.close();
    });
}

#[test]
fn a_timer_that_fires_wakes_nobody_else() {
    simulate(async |net| {
        let polls_of_tasks = Rc::new(Cell::new(0));
        let before = net.counts();
        let sleeping: Vec<_> = (0..MANY)
            .map(|i| {
                let polls = Rc::clone(&polls_of_tasks);
                spawn(async move {
                    let mut asleep = pin!(sleep(ms(1 + i / 2))); // two of each
                    std::future::poll_fn(|cx| {
                        polls.set(polls.get() + 1);
                        asleep.as_mut().poll(cx)
                    })
                    .await;
                })
            })
            .collect();
        for task in sleeping {
            task.await.unwrap();
        }
        let counts = net.counts();
        assert_eq!(polls_of_tasks.get(), 2 * MANY, "each is polled when it is armed and when it is due");
        assert_eq!(counts.timers - before.timers, MANY / 2, "one timer of the host for each deadline");
        let polls = counts.polls - before.polls;
        assert!(polls <= MANY / 2 + LOOKS, "and one poll: {polls}");
        assert_eq!(counts.polled - before.polled, polls, "of that timer alone");
    });
}

#[test]
fn ten_thousand_timeouts_that_never_fire_leave_nothing_behind() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        let before = net.counts();
        for _ in 0..MANY {
            let mut answer = pin!(timeout(secs(30), reader.readexactly(4)));
            let mut asked = false;
            let pong = std::future::poll_fn(|cx| {
                let poll = answer.as_mut().poll(cx);
                if poll.is_pending() && !asked {
                    asked = true;
                    peer.send(b"pong"); // now that the timeout waits
                }
                poll
            })
            .await;
            assert_eq!(pong.unwrap().unwrap(), "pong");
        }
        let counts = net.counts();
        assert!(counts.timers - before.timers <= MANY, "no more than one timer of the host for each wait");
        assert!(counts.pollables <= before.pollables + 2, "{} pollables", counts.pollables);
        assert_nothing_is_pending(&net).await;
        writer.close();
    });
}

#[test]
fn ten_thousand_timeouts_at_once_that_never_fire_leave_nothing_behind() {
    simulate(async |net| {
        let done = Rc::new(Cell::new(false));
        let waiting: Vec<_> = (0..MANY)
            .map(|i| {
                let done = Rc::clone(&done);
                spawn(timeout(secs(30) + ms(i), async move {
                    let after = sleep(ms(1 + i % 100));
                    after.await;
                    done.set(true);
                }))
            })
            .collect();
        for task in waiting {
            task.await.unwrap().unwrap();
        }
        assert!(done.get());
        assert_nothing_is_pending(&net).await;
    });
}

#[test]
fn ten_thousand_cancelled_timers_are_gone() {
    simulate(async |net| {
        let sleeping: Vec<_> = (0..MANY).map(|i| spawn(sleep(secs(1) + ms(i)))).collect();
        let timed: Vec<_> = (0..MANY).map(|i| spawn(timeout(secs(1) + ms(i), pending::<()>()))).collect();
        settle().await;
        sleeping.iter().for_each(JoinHandle::abort);
        timed.iter().for_each(JoinHandle::abort);
        assert_nothing_is_pending(&net).await;
    });
}

/// An hour passes, in which no timer of ours wakes the program, and none is among what it waits for.
async fn assert_nothing_is_pending(net: &Network) {
    settle().await;
    let (peer, before) = (connected(net).await, net.counts());
    pass(net, secs(3600)).await;
    let counts = net.counts();
    let polls = counts.polls - before.polls;
    assert!(polls <= 3, "{polls} polls in an hour without anything to do");
    assert_eq!(counts.timers, before.timers, "timers of the host in that hour");
    assert!(counts.polled - before.polled <= 2 * polls, "{} entries in {polls} polls", counts.polled - before.polled);
    peer.1.close();
}

const MANY: u64 = 10_000;
/// The host is looked at after each 1024 tasks that run, and these are armed and awaited.
const LOOKS: u64 = 2 * MANY / 1024 + 2;
