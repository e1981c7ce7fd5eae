//! Happy eyeballs: staggered attempts, exact to the nanosecond of virtual time.

mod common;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use wasi_streams::sim::{Event, Faults, Listener, Network};
use wasi_streams::{OpenConnection, open_connection, sleep, timeout};

use common::{addr, ms, secs, settle, simulate};

#[test]
fn h01_the_delay_is_a_quarter_of_a_second_unless_set() {
    simulate(async |net| {
        let at = hosts(&net, 2);
        net.black_hole(at[0]);
        let _second = net.listen(at[1]);
        let (_reader, writer) = connect().await.unwrap();
        assert_eq!(starts(&net), [(ms(0), at[0]), (ms(250), at[1])]);
        assert_eq!(writer.peer_addr(), Some(at[1]));
        writer.close();
    });
}

#[test]
fn h01_without_a_delay_the_next_address_waits_for_the_failure() {
    simulate(async |net| {
        let at = hosts(&net, 3);
        net.refuse(at[0], secs(7));
        net.refuse(at[1], secs(3));
        let _third = net.connect_after(at[2], secs(1));
        let (_reader, writer) = connect().happy_eyeballs_delay(None).await.unwrap();
        assert_eq!(starts(&net), [(secs(0), at[0]), (secs(7), at[1]), (secs(10), at[2])]);
        assert_eq!(net.now(), secs(11));
        writer.close();
    });
}

#[test]
fn h02_the_next_attempt_starts_at_a_failure_or_after_the_delay() {
    simulate(async |net| {
        let at = hosts(&net, 4);
        net.refuse(at[0], ms(70)); // fails before the delay is over
        net.black_hole(at[1]);
        net.refuse(at[2], ms(1000)); // fails after it
        let _last = net.connect_after(at[3], ms(5));
        let (_reader, writer) = connect().happy_eyeballs_delay(ms(100)).await.unwrap();
        assert_eq!(starts(&net), [(ms(0), at[0]), (ms(70), at[1]), (ms(170), at[2]), (ms(270), at[3])]);
        assert_eq!(net.now(), ms(275));
        writer.close();
    });
}

#[test]
fn h02_only_the_failure_of_the_newest_attempt_starts_the_next_one() {
    simulate(async |net| {
        let at = hosts(&net, 3);
        net.refuse(at[0], ms(150));
        net.black_hole(at[1]);
        let _third = net.listen(at[2]);
        let (_reader, writer) = connect().happy_eyeballs_delay(ms(100)).await.unwrap();
        assert_eq!(starts(&net), [(ms(0), at[0]), (ms(100), at[1]), (ms(200), at[2])]);
        writer.close();
    });
}

#[test]
fn h03_earlier_attempts_go_on_and_nothing_caps_their_number() {
    simulate(async |net| {
        let at = hosts(&net, 20);
        at[1..].iter().for_each(|at| net.black_hole(*at));
        let _first = net.connect_after(at[0], ms(1950));
        let (_reader, writer) = connect().happy_eyeballs_delay(ms(100)).await.unwrap();
        assert_eq!(writer.peer_addr(), Some(at[0]), "the first one wins after all");
        let expected: Vec<_> = (0..).map(|k| ms(100 * k)).zip(at).collect();
        assert_eq!(starts(&net), expected);
        assert_eq!(net.now(), ms(1950));
        writer.close();
    });
}

#[test]
fn h04_one_success_cancels_the_others_and_the_rest_never_starts() {
    simulate(async |net| {
        let at = hosts(&net, 4);
        net.black_hole(at[0]);
        let _slow = net.connect_after(at[1], secs(60));
        let winner = net.connect_after(at[2], ms(50));
        let _never = net.listen(at[3]);
        let (_reader, writer) = connect().happy_eyeballs_delay(ms(100)).await.unwrap();
        assert_eq!(writer.peer_addr(), Some(at[2]));
        assert_eq!(net.counts().sockets, 1, "the others are closed");
        assert!(net.events().contains(&(ms(250), Event::ConnectAbandoned(at[0]))));
        assert!(net.events().contains(&(ms(250), Event::ConnectAbandoned(at[1]))));
        sleep(secs(100)).await;
        assert_eq!(starts(&net).len(), 3);
        assert!(winner.try_accept().is_some());
        writer.close();
    });
}

#[test]
fn h04_a_simultaneous_second_success_is_closed() {
    simulate(async |net| {
        let at = hosts(&net, 2);
        let first = net.connect_after(at[0], ms(300));
        let second = net.connect_after(at[1], ms(200));
        let (_reader, writer) = connect().happy_eyeballs_delay(ms(100)).await.unwrap();
        assert_eq!((net.now(), writer.peer_addr()), (ms(300), Some(at[0])));
        assert_eq!(net.counts().sockets, 1);
        let (winner, loser) = (first.try_accept().unwrap(), second.try_accept().unwrap());
        settle().await;
        assert!(loser.saw_eof() && !winner.saw_eof());
        writer.close();
    });
}

#[test]
fn h06_all_errors_are_told_in_the_order_of_the_starts_once_the_last_attempt_failed() {
    simulate(async |net| {
        let at = hosts(&net, 3);
        net.refuse(at[0], ms(900));
        net.unreachable(at[1], ms(600));
        net.refuse(at[2], ms(10));
        let error = connect().happy_eyeballs_delay(ms(100)).await.unwrap_err();
        assert_eq!(net.now(), ms(900));
        let texts: Vec<String> = error.errors().iter().map(ToString::to_string).collect();
        for (text, at) in texts.iter().zip(&at) {
            assert!(text.contains(&at.to_string()), "{texts:?}");
        }
        assert_eq!(texts.len(), 3);
    });
}

#[test]
fn h07_the_trace() {
    simulate(async |net| {
        let at = hosts(&net, 4);
        net.black_hole(at[0]);
        net.refuse(at[1], ms(50));
        let winner = net.connect_after(at[2], ms(300));
        net.black_hole(at[3]);
        let (_reader, writer) = connect().happy_eyeballs_delay(ms(200)).await.unwrap();
        assert_eq!(starts(&net), [(ms(0), at[0]), (ms(200), at[1]), (ms(250), at[2]), (ms(450), at[3])]);
        assert_eq!((net.now(), writer.peer_addr()), (ms(550), Some(at[2])));
        let abandoned = |at| net.events().contains(&(ms(550), Event::ConnectAbandoned(at)));
        assert!(abandoned(at[0]) && abandoned(at[3]));
        assert_eq!(net.counts().sockets, 1);
        drop(winner);
        writer.close();
    });
}

#[test]
fn h08_with_one_address_nothing_waits() {
    simulate(async |net| {
        let at = hosts(&net, 1);
        let listener = net.connect_after(at[0], ms(1));
        let (_reader, writer) = connect().happy_eyeballs_delay(secs(1000)).await.unwrap();
        assert_eq!(net.now(), ms(1));
        writer.close();
        drop(listener);
        net.refuse(at[0], ms(1));
        connect().happy_eyeballs_delay(secs(1000)).await.unwrap_err();
        assert_eq!(net.now(), ms(2));
    });
}

#[test]
fn h09_giving_up_cancels_every_attempt_and_leaks_nothing() {
    simulate(async |net| {
        let at = hosts(&net, 5);
        at.iter().for_each(|at| net.black_hole(*at));
        let before = net.counts();
        for limit in [0, 1, 99, 100, 101, 450, 5000] {
            assert!(timeout(ms(limit), connect().happy_eyeballs_delay(ms(100))).await.is_err());
            let counts = net.counts();
            assert_eq!((counts.sockets, counts.lookups), (before.sockets, before.lookups), "after {limit} ms");
            assert!(counts.pollables <= before.pollables + 2, "after {limit} ms");
        }
    });
}

#[test]
fn h11_the_names_are_resolved_before_the_first_attempt() {
    simulate(async |net| {
        let at = addr("10.0.0.1:80");
        net.name_after("slow.test", &[at.ip()], secs(2));
        let _listener: Listener = net.listen(at);
        let (_reader, writer) = open_connection("slow.test", 80).await.unwrap();
        assert_eq!(net.events()[0], (secs(0), Event::Lookup("slow.test".into())));
        assert_eq!(starts(&net), [(secs(2), at)]);
        writer.close();
    });
}

#[test]
fn h05_o23_families_alternate_with_happy_eyeballs_and_not_without() {
    let orders: [(Option<Duration>, Option<usize>, [usize; 5]); 5] = [
        (Some(ms(10)), None, [0, 3, 1, 4, 2]),
        (None, None, [0, 1, 2, 3, 4]),
        (Some(ms(10)), Some(0), [0, 1, 2, 3, 4]),
        (None, Some(1), [0, 3, 1, 4, 2]),
        (Some(ms(10)), Some(2), [0, 1, 3, 2, 4]),
    ];
    for (delay, first_count, order) in orders {
        simulate(async |net| {
            let ips = ["fd00::1", "fd00::2", "fd00::3", "10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap());
            net.name("many.test", &ips);
            ips.iter().for_each(|ip| net.refuse((*ip, 80).into(), ms(1)));
            let mut connect = connect().happy_eyeballs_delay(delay);
            if let Some(count) = first_count {
                connect = connect.interleave(count);
            }
            connect.await.unwrap_err();
            let tried: Vec<IpAddr> = starts(&net).iter().map(|(_, at)| at.ip()).collect();
            assert_eq!(tried, order.map(|i| ips[i]), "{delay:?}, {first_count:?}");
        });
    }
}

#[test]
fn spurious_readiness_wins_no_race() {
    for seed in 0..50 {
        simulate(async |net| {
            net.set_faults(Faults { seed, spurious: 50, ..Faults::default() });
            let at = hosts(&net, 3);
            net.black_hole(at[0]);
            net.refuse(at[1], ms(30));
            let _third = net.connect_after(at[2], ms(40));
            let (_reader, writer) = connect().happy_eyeballs_delay(ms(100)).await.unwrap();
            assert_eq!(starts(&net), [(ms(0), at[0]), (ms(100), at[1]), (ms(130), at[2])], "seed {seed}");
            assert_eq!(net.now(), ms(170), "seed {seed}");
            writer.close();
        });
    }
}

/// Gives the name `many.test` so many IPv4 addresses.
fn hosts(net: &Network, n: u8) -> Vec<SocketAddr> {
    let addresses: Vec<SocketAddr> = (1..=n).map(|i| SocketAddr::from(([10, 0, 0, i], 80))).collect();
    let ips: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    net.name("many.test", &ips);
    addresses
}

fn connect() -> OpenConnection {
    open_connection("many.test", 80)
}

/// Which attempts started when.
fn starts(net: &Network) -> Vec<(Duration, SocketAddr)> {
    let started = |(at, event)| match event {
        Event::ConnectStarted(to) => Some((at, to)),
        _ => None,
    };
    net.events().into_iter().filter_map(started).collect()
}
