//! Connecting and lookups that are late, or never answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use wasi_streams_host::faults::{
    Answer, ConnectionFaults, Direction, DirectionFaults, Faults, Happened, LookupFaults, Stall,
};
use wasi_streams_host::peer::{BlackHole, Peer};
use wasi_streams_host::{ErrorCode, Guest, Policy, Resources, Snapshot, block_on};

use super::end;
use crate::loopback::{Echo, V4, V4_TOO, eventually};

/// Opens a name at one port and gives up after 300 ms, and says hello at another one.
fn opening_two(first: u16, second: u16) -> Guest {
    let (first, second) = (first.to_string(), second.to_string());
    let guest = Guest::named("connect").args(["open", "here.test", &first, "timeout=300"]);
    let guest = guest.args(["then", "open", "here.test", &second, "say=hello"]);
    guest.policy(Policy::loopback().dns(true)).host("here.test", [V4])
}

/// What came of such a guest whose first attempt ran into its timeout; what it has left is what it leaves without faults.
async fn timed_out(faults: &Faults) -> Result<()> {
    let (echo, hole) = (Echo::on(V4, 0).await?, BlackHole::v4().await?);
    let port = echo.addr().port();
    let (outcome, served) = tokio::join!(opening_two(port, port).faults(faults.clone()).run(), echo.answer());
    served?;
    let outcome = outcome?.success()?;
    assert!(outcome.stdout.contains("error TimedOut: timed out after 300 ms\n"), "{outcome}");
    assert!(outcome.stdout.contains("heard b\"hello\\n\""), "{outcome}");
    assert!(!echo.has_visitor().await, "the peer has seen the first attempt");
    let (really, served) = tokio::join!(opening_two(hole.addr().port(), port).run(), echo.answer());
    served?;
    assert_eq!(without_timers(outcome.last.resources), without_timers(really?.success()?.last.resources));
    Ok(())
}

/// Sockets, streams, and what of the others has no pollable. A timer has one, and whether one is left depends on when a program ends.
fn without_timers(left: Resources) -> (usize, usize, usize, isize) {
    let Resources { tcp_sockets, input_streams, output_streams, pollables, others, .. } = left;
    (tcp_sockets, input_streams, output_streams, others.cast_signed() - pollables.cast_signed())
}

#[test]
fn who_is_never_answered_runs_into_its_timeout_and_the_next_socket_is_another_connection() -> Result<()> {
    block_on(async {
        let stall = Stall { after: 0, time: Some(Duration::from_millis(1)) };
        let faults = Faults::on_connections(move |number| match number {
            0 => ConnectionFaults::never_answered(),
            _ => ConnectionFaults::none().read(DirectionFaults::none().stall(stall.after, stall.time)),
        });
        timed_out(&faults).await?;
        let happened = [Happened::ConnectDelayed(0, Answer::Never), Happened::Stalled(1, Direction::Read, stall)];
        assert_eq!(faults.happened(), happened);
        Ok(())
    })
}

#[test]
fn an_address_that_is_never_answered_is_passed_over() -> Result<()> {
    block_on(async {
        let first = Echo::on(V4, 0).await?;
        let second = Echo::on(V4_TOO, first.addr().port()).await?;
        let faults = Faults::on_connections(|number| match number {
            0 => ConnectionFaults::never_answered(),
            _ => ConnectionFaults::none(),
        });
        let guest = Guest::named("connect").args(["open", "race.test", &first.addr().port().to_string(), "say=hello"]);
        let guest = guest.policy(Policy::loopback().dns(true)).host("race.test", [V4, V4_TOO]).faults(faults.clone());
        let (outcome, served) = tokio::join!(guest.run(), second.answer());
        served?;
        let outcome = outcome?.success()?;
        assert!(outcome.stdout.contains("connected ('127.0.0.2', "), "{outcome}");
        assert!(!first.has_visitor().await);
        assert_eq!(outcome.last.resources.tcp_sockets, 0);
        assert_eq!(faults.happened(), [Happened::ConnectDelayed(0, Answer::Never)]);
        Ok(())
    })
}

#[test]
fn connecting_late_succeeds_or_is_refused_late_and_nobody_asks_meanwhile() -> Result<()> {
    block_on(async {
        let time = Duration::from_millis(400);
        let echo = Echo::on(V4, 0).await?;
        let address = echo.addr().to_string();
        for (faults, told) in [(ConnectionFaults::none(), "ok\n"), (ConnectionFaults::refused(), "ConnectionRefused\n")]
        {
            let faults = Faults::on_connections(move |_| faults.answered_after(time));
            // A program on std, whose pollable is older than its connection.
            let guest = Guest::named("plain").args(["connect", &address]).faults(faults.clone());
            let outcome = guest.run().await?.success()?;
            assert_eq!(outcome.stdout, told, "{outcome}");
            assert!(outcome.elapsed >= time, "{:?}", outcome.elapsed);
            assert!(outcome.last.polls < 20, "it spins: {:?}", outcome.last);
            assert_eq!(outcome.last.resources.tcp_sockets, 0);
            assert_eq!(faults.happened()[0], Happened::ConnectDelayed(0, Answer::After(time)));
            drop(echo.accept().await?);
        }
        Ok(())
    })
}

#[test]
fn a_late_lookup_is_waited_for_and_others_go_on_meanwhile() -> Result<()> {
    block_on(async {
        let time = Duration::from_millis(700);
        let echo = Echo::on(V4, 0).await?;
        let faults = Faults::default().on_lookups(move |number| match number {
            0 => LookupFaults::none().answered_after(time),
            _ => LookupFaults::none(),
        });
        let to = format!("here.test:{}", echo.addr().port());
        let proxy = Guest::named("proxy").args(["--listen=127.0.0.1:0", "--until-stdin-closes", "--to", &to]);
        let proxy = proxy.policy(Policy::loopback().dns(true)).host("here.test", [V4]).faults(faults.clone());
        let mut server = proxy.piped_stdin().start().await?;
        let address: SocketAddr = server.wait_line("Serving on ").await?["Serving on ".len()..].parse()?;
        let before = server.snapshot();

        let begin = Instant::now();
        let late = Peer::connect(address).await?;
        eventually("the late lookup", || Ok(!faults.happened().is_empty())).await?;
        assert_eq!(faults.happened(), [Happened::LookupDelayed(0, Answer::After(time))]);
        for mut client in [Peer::connect(address).await?, late] {
            client.write_all(b"hello\n").await?;
            let (mut far, _) = echo.accept().await?;
            let line = far.read_line().await?;
            far.write_all(&line).await?;
            assert_eq!(client.read_line().await?, b"hello\n");
        }
        assert!(begin.elapsed() >= time, "{:?}", begin.elapsed());
        // The guest keeps its network, which it has for its first client.
        let idle =
            |now: &Snapshot| (now.resources.tcp_sockets, now.resources.others) == (1, before.resources.others + 1);
        server.wait_until(idle).await?;
        end(server).await
    })
}

#[test]
fn a_lookup_that_is_never_answered_runs_into_the_timeout_and_one_that_fails_late_fails() -> Result<()> {
    block_on(async {
        let never = Faults::default().on_lookups(|number| match number {
            0 => LookupFaults::never_answered(),
            _ => LookupFaults::none(),
        });
        timed_out(&never).await?;
        assert_eq!(never.happened(), [Happened::LookupDelayed(0, Answer::Never)]);

        let (code, time) = (ErrorCode::NameUnresolvable, Duration::from_millis(200));
        let fails = Faults::default().on_lookups(move |_| LookupFaults::failing(code).answered_after(time));
        let failed = opening_two(1, 1).faults(fails.clone()).run().await?.success()?;
        assert_eq!(failed.stdout.matches("resolve error UnknownName\n").count(), 2, "{failed}");
        assert!(failed.elapsed >= 2 * time, "{:?}", failed.elapsed);
        assert_eq!(failed.last.resources.tcp_sockets, 0);
        let late =
            |number| [Happened::LookupDelayed(number, Answer::After(time)), Happened::LookupFailed(number, code)];
        assert_eq!(fails.happened(), [late(0), late(1)].concat());
        Ok(())
    })
}
