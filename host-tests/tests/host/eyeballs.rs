//! Connecting to names with several addresses: racing them, giving up the losers, and telling all that failed.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::timeout;
use wasi_streams_host::peer::{BlackHole, refusing_address};
use wasi_streams_host::{Guest, Outcome, Policy, block_on};

use crate::loopback::{Echo, V4, V4_TOO, V6, addresses_of_others, attempts_at, eventually, hole_and_echo, refusing};

#[test]
fn h02_h04_a_black_hole_costs_the_delay_and_is_given_up() -> Result<()> {
    block_on(async {
        let (hole, echo) = hole_and_echo(V6).await?;
        let mut guest = opening(&hole, "say=hello", [V4, V6]).args(["then", "pause"]).piped_stdin().start().await?;
        let (mut peer, _) = echo.accept().await?;
        assert_eq!(peer.read_line().await?, b"hello\n");
        // The connection is in use, and the loser is gone: from the guest's table and from the system's.
        guest.wait_until(|now| now.resources.tcp_sockets == 1).await?;
        eventually("the loser to go", || Ok(attempts_at(hole.addr())? == 0)).await?;
        peer.write_all(b"hello\n").await?;
        guest.wait_line("pausing").await?;
        assert_eq!(peer.read_to_end().await?, b"");
        guest.wait_until(|now| now.resources.tcp_sockets == 0).await?;
        guest.close_stdin();
        let outcome = guest.finish().await.success()?;
        let took = took(&outcome)?;
        assert!((DEFAULT_DELAY..DEFAULT_DELAY + SLACK).contains(&took), "{took:?}\n{outcome}");
        assert!(outcome.stdout.contains(&format!("connected {}", python(echo.addr()))), "{outcome}");
        Ok(())
    })
}

#[test]
fn h02_the_delay_is_the_one_given() -> Result<()> {
    block_on(async {
        let (hole, echo) = hole_and_echo(V4_TOO).await?;
        for (option, delay) in [("delay=20", Duration::from_millis(20)), ("delay=1200", Duration::from_millis(1200))] {
            let guest = opening(&hole, option, [V4, V4_TOO]).arg("say=hello").run();
            let (outcome, served) = tokio::join!(guest, echo.answer());
            served?;
            let outcome = outcome?.success()?;
            let took = took(&outcome)?;
            assert!((delay..delay + SLACK).contains(&took), "{option}: {took:?}");
        }
        Ok(())
    })
}

#[test]
fn h07_a_failed_attempt_is_followed_at_once_by_the_next() -> Result<()> {
    block_on(async {
        // The black hole at 0, the refusing address after the delay, and the listener right after: one delay, not two.
        let (hole, echo) = hole_and_echo(V6).await?;
        let guest = opening(&hole, "delay=1500", [V4, V4_TOO, V6]).args(["interleave=0", "say=hello"]).run();
        let (outcome, served) = tokio::join!(guest, echo.answer());
        served?;
        let took = took(&outcome?.success()?)?;
        assert!((Duration::from_millis(1500)..Duration::from_millis(3000)).contains(&took), "{took:?}");
        Ok(())
    })
}

#[test]
fn h04_a_second_success_at_the_same_moment_is_closed() -> Result<()> {
    block_on(async {
        // Without a head start both are under way before either has answered; nearly always, hence several tries.
        for _ in 0..20 {
            let first = Echo::on(V4, 0).await?;
            let Ok(second) = Echo::on(V6, first.addr().port()).await else { continue };
            let guest = open("two.test", first.addr().port(), ["delay=0", "say=hello"]).host("two.test", [V4, V6]);
            let guest = guest.policy(names()).start().await?;
            let both = timeout(BOTH, async { tokio::try_join!(first.accept(), second.accept()) });
            let Ok(Ok(((mut one, _), (mut other, _)))) = both.await else { continue };
            // One is in use, and the other one has ended.
            let (said, too) = tokio::try_join!(one.read_line(), other.read_line())?;
            let winner = match (said.as_slice(), too.as_slice()) {
                (b"hello\n", b"") => &mut one,
                (b"", b"hello\n") => &mut other,
                _ => panic!("{said:?} and {too:?}"),
            };
            winner.write_all(b"hello\n").await?;
            assert_eq!(winner.read_to_end().await?, b"");
            guest.finish().await.success()?;
            return Ok(());
        }
        anyhow::bail!("two listeners were never reached at once")
    })
}

#[test]
fn o13_o26_without_a_delay_a_black_hole_is_waited_for_until_the_caller_gives_up() -> Result<()> {
    block_on(async {
        let (hole, echo) = hole_and_echo(V6).await?;
        let guest = opening(&hole, "delay=none", [V4, V6]).arg("timeout=700").run();
        let outcome = guest.await?.success()?;
        assert!(outcome.stdout.contains("error TimedOut: timed out after 700 ms\n"), "{outcome}");
        assert!(!echo.has_visitor().await, "the second address was tried beside the first");
        Ok(())
    })
}

#[test]
fn o13_without_a_delay_the_next_address_is_tried_when_one_fails() -> Result<()> {
    block_on(async {
        let echo = Echo::on(V4, 0).await?;
        let guest = open("two.test", echo.addr().port(), ["delay=none", "say=hello"]).host("two.test", [V4_TOO, V4]);
        let (outcome, served) = tokio::join!(guest.policy(names()).run(), echo.answer());
        served?;
        assert!(outcome?.success()?.stdout.contains(&format!("connected {}", python(echo.addr()))));
        Ok(())
    })
}

#[test]
fn h09_o17_every_attempt_of_a_race_that_is_given_up_is_closed() -> Result<()> {
    block_on(async {
        let hole = BlackHole::v4().await?;
        let guest = opening(&hole, "delay=10", [V4, V4, V4]).args(["timeout=2000", "then", "pause"]);
        let mut guest = guest.piped_stdin().start().await?;
        guest.wait_until(|now| now.resources.tcp_sockets == 3).await?;
        eventually("three attempts", || Ok(attempts_at(hole.addr())? == 3)).await?;
        guest.wait_line("error TimedOut").await?;
        guest.wait_until(|now| now.resources.tcp_sockets == 0).await?;
        eventually("the attempts to go", || Ok(attempts_at(hole.addr())? == 0)).await?;
        guest.close_stdin();
        guest.finish().await.success()?;
        Ok(())
    })
}

#[test]
fn o16_o17_a_refusal_names_the_address_and_leaves_no_socket() -> Result<()> {
    block_on(async {
        let (address, _guard) = refusing_address()?;
        let outcome = open("127.0.0.1", address.port(), []).run().await?.success()?;
        let expected = format!("error ConnectionRefused: cannot connect to {address}: connection refused\n");
        assert!(outcome.stdout.ends_with(&expected), "{outcome}");
        assert_eq!(outcome.last.resources.tcp_sockets, 0);
        Ok(())
    })
}

#[test]
fn o14_o17_h06_every_address_that_failed_is_named_in_the_order_of_the_attempts() -> Result<()> {
    block_on(async {
        let (port, _guards) = refusing(&[V4, V4_TOO, V6])?;
        let orders = [
            ("interleave=0", [V4, V4_TOO, V6]),
            ("interleave=1", [V4, V6, V4_TOO]),
            ("delay=250", [V4, V6, V4_TOO]),
            ("delay=none", [V4, V4_TOO, V6]),
        ];
        for (option, order) in orders {
            let guest = open("three.test", port, [option]).host("three.test", [V4, V4_TOO, V6]);
            let outcome = guest.policy(names()).run().await?.success()?;
            let lines: Vec<&str> = outcome.stdout.lines().filter(|line| line.starts_with("each ")).collect();
            let line = |ip| {
                let address = SocketAddr::new(ip, port);
                format!("each ConnectionRefused: cannot connect to {address}: connection refused")
            };
            assert_eq!(lines, order.map(line), "{option}");
            assert!(outcome.stdout.contains("error ConnectionRefused: multiple errors: "), "{outcome}");
            assert_eq!(outcome.last.resources.tcp_sockets, 0);
        }
        Ok(())
    })
}

#[test]
fn o14_failures_that_say_the_same_are_one() -> Result<()> {
    block_on(async {
        let (address, _guard) = refusing_address()?;
        let guest = open("twice.test", address.port(), []).host("twice.test", [V4, V4]);
        let outcome = guest.policy(names()).run().await?.success()?;
        assert!(
            outcome.stdout.contains(&format!("error ConnectionRefused: cannot connect to {address}: ")),
            "{outcome}"
        );
        assert!(!outcome.stdout.contains("each "), "{outcome}");
        Ok(())
    })
}

#[test]
fn both_families_are_reached_by_literal_and_by_name() -> Result<()> {
    block_on(async {
        for ip in [V4, V6] {
            let echo = Echo::on(ip, 0).await?;
            // The name has the other family first, where nobody listens: refused, so no delay.
            let addresses = if ip == V4 { [V6, V4] } else { [V4, V6] };
            for host in [ip.to_string().as_str(), "both.test"] {
                let guest = open(host, echo.addr().port(), ["say=hello", "delay=20000"]).host("both.test", addresses);
                let (outcome, from) = tokio::join!(guest.policy(names()).run(), echo.answer());
                let outcome = outcome?.success()?;
                let (peer, local) = (python(echo.addr()), python(from?));
                assert!(outcome.stdout.contains(&format!("connected {peer} from {local}\n")), "{outcome}");
                let family = if ip.is_ipv4() { "family Inet," } else { "family Inet6," };
                assert!(outcome.stdout.contains(family), "{outcome}");
                assert!(took(&outcome)? < Duration::from_secs(10), "{outcome}");
            }
        }
        Ok(())
    })
}

#[test]
fn the_machine_s_own_localhost_is_looked_up_and_reached() -> Result<()> {
    block_on(async {
        // Machines differ in which families localhost has: the echo listens in IPv4, which all have, and where IPv6
        // comes first it is refused.
        let echo = Echo::on(V4, 0).await?;
        let guest = open("localhost", echo.addr().port(), ["say=hello"]).policy(names());
        let (outcome, served) = tokio::join!(guest.run(), echo.answer());
        served?;
        assert!(outcome?.success()?.stdout.contains("heard b\"hello\\n\""));
        Ok(())
    })
}

#[test]
fn o22_only_addresses_of_the_wanted_family_are_tried() -> Result<()> {
    block_on(async {
        let echo = Echo::on(V4, 0).await?;
        let port = echo.addr().port();
        let guest = |option| open("both.test", port, [option, "say=hello"]).host("both.test", [V6, V4]).policy(names());
        let (outcome, served) = tokio::join!(guest("family=4").run(), echo.answer());
        served?;
        assert!(outcome?.success()?.stdout.contains("family Inet,"));
        let outcome = guest("family=6").run().await?.success()?;
        let expected = format!("error ConnectionRefused: cannot connect to [::1]:{port}: connection refused\n");
        assert!(outcome.stdout.ends_with(&expected), "{outcome}");
        let guest = open("four.test", port, ["family=6"]).host("four.test", [V4]).policy(names());
        assert!(guest.run().await?.success()?.stdout.contains("resolve error UnknownName\n"));
        Ok(())
    })
}

#[test]
fn o10_a_literal_needs_no_lookup() -> Result<()> {
    block_on(async {
        for ip in [V4, V6] {
            let echo = Echo::on(ip, 0).await?;
            for numeric in ["numeric", "family="] {
                let options = if numeric == "numeric" { vec!["numeric", "say=x"] } else { vec!["say=x"] };
                let guest = open(&ip.to_string(), echo.addr().port(), options);
                let (outcome, served) = tokio::join!(guest.run(), echo.answer());
                served?;
                assert_eq!(outcome?.success()?.denials, []);
            }
        }
        // Of the wrong family, or a name where only literals will do: an unknown name, and nobody is asked.
        for arguments in [["127.0.0.1", "family=6"], ["::1", "family=4"], ["localhost", "numeric"]] {
            let outcome = open(arguments[0], 80, [arguments[1]]).run().await?.success()?;
            assert!(outcome.stdout.contains("resolve error UnknownName\n"), "{arguments:?}\n{outcome}");
            assert_eq!(outcome.denials, []);
        }
        Ok(())
    })
}

#[test]
fn o11_o12_a_name_without_addresses_is_a_resolve_error_that_names_it() -> Result<()> {
    block_on(async {
        let guest = open("empty.test", 80, []).host("empty.test", [] as [IpAddr; 0]).policy(names());
        let outcome = guest.run().await?.success()?;
        assert!(outcome.stdout.contains("error NotFound: cannot resolve \"empty.test\": "), "{outcome}");
        assert!(outcome.stdout.ends_with("resolve error UnknownName\n"), "{outcome}");
        // Reserved for being unknown; the machine's own resolver says so.
        let outcome = open("no-such-host.invalid", 80, []).policy(names()).run().await?.success()?;
        assert!(outcome.stdout.contains("cannot resolve \"no-such-host.invalid\": "), "{outcome}");
        assert!(outcome.stdout.contains("resolve error "), "{outcome}");
        let outcome = open("not a name", 80, []).policy(names()).run().await?.success()?;
        assert!(outcome.stdout.contains("error InvalidInput: \"not a name\" is not a valid host name\n"), "{outcome}");
        Ok(())
    })
}

#[test]
fn o18_a_local_address_is_bound_before_connecting() -> Result<()> {
    block_on(async {
        let echo = Echo::on(V4, 0).await?;
        // Any port of it, and a certain port.
        let (free, guards) = refusing(&[V4_TOO])?;
        drop(guards);
        for local in [SocketAddr::new(V4_TOO, 0), SocketAddr::new(V4_TOO, free)] {
            let guest = open("127.0.0.1", echo.addr().port(), [&format!("local={local}"), "say=hello"]);
            let (outcome, from) = tokio::join!(guest.run(), echo.answer());
            let (outcome, from) = (outcome?.success()?, from?);
            assert_eq!(from.ip(), V4_TOO);
            assert!(local.port() == 0 || from.port() == local.port(), "{from}");
            assert!(outcome.stdout.contains(&format!(" from {}\n", python(from))), "{outcome}");
        }
        Ok(())
    })
}

#[test]
fn o19_a_local_address_of_another_family_is_refused() -> Result<()> {
    block_on(async {
        let outcome = open("127.0.0.1", 80, ["local=::1:0"]).run().await?.success()?;
        let expected = "error AddrNotAvailable: no matching local address with family IPv4 found for 127.0.0.1:80\n";
        assert!(outcome.stdout.ends_with(expected), "{outcome}");
        Ok(())
    })
}

#[test]
fn o20_local_addresses_are_tried_in_order_and_the_last_failure_is_told() -> Result<()> {
    block_on(async {
        let echo = Echo::on(V4, 0).await?;
        let port = echo.addr().port();
        let [missing, missing_too] = addresses_of_others()?;
        let guest = |locals: [IpAddr; 2]| {
            let guest = open("127.0.0.1", port, ["local=here.test:0", "say=hello"]).host("here.test", locals);
            guest.policy(Policy::everything().dns(true))
        };
        let (outcome, from) = tokio::join!(guest([missing, V4_TOO]).run(), echo.answer());
        outcome?.success()?;
        assert_eq!(from?.ip(), V4_TOO);
        let outcome = guest([missing, missing_too]).run().await?.success()?;
        let expected = format!(
            "error AddrNotAvailable: error while attempting to bind on address {missing_too}:0: address not available\n"
        );
        assert!(outcome.stdout.ends_with(&expected), "{outcome}");
        Ok(())
    })
}

#[test]
fn o21_a_local_address_in_use_is_named() -> Result<()> {
    block_on(async {
        let (echo, taken) = (Echo::on(V4, 0).await?, Echo::on(V4, 0).await?);
        let guest = open("127.0.0.1", echo.addr().port(), [format!("local={}", taken.addr()).as_str()]);
        let outcome = guest.run().await?.success()?;
        let expected = format!(
            "error AddrInUse: error while attempting to bind on address {}: address already in use\n",
            taken.addr()
        );
        assert!(outcome.stdout.ends_with(&expected), "{outcome}");
        assert!(!echo.has_visitor().await);
        Ok(())
    })
}

#[test]
fn x02_c15_addresses_read_as_in_python_and_outlive_the_connection() -> Result<()> {
    block_on(async {
        for ip in [V4, V6] {
            let echo = Echo::on(ip, 0).await?;
            let guest = open(&ip.to_string(), echo.addr().port(), ["say=hello", "keep-alive"]).run();
            let (outcome, from) = tokio::join!(guest, echo.answer());
            let (outcome, port, from) = (outcome?.success()?, echo.addr().port(), from?.port());
            let names = match ip {
                IpAddr::V4(_) => format!("('127.0.0.1', {port}) from ('127.0.0.1', {from})\n"),
                IpAddr::V6(_) => format!("('::1', {port}, 0, 0) from ('::1', {from}, 0, 0)\n"),
            };
            for when in ["connected", "closed"] {
                assert!(outcome.stdout.contains(&format!("{when} {names}")), "{outcome}");
            }
            assert!(outcome.stdout.contains("keep-alive Some(true)\n"), "{outcome}");
        }
        Ok(())
    })
}

fn open<'a>(host: &str, port: u16, options: impl IntoIterator<Item = &'a str>) -> Guest {
    Guest::named("connect").args(["open", host, &port.to_string()]).args(options)
}

/// Opens a name with these addresses at the port of a black hole.
fn opening(hole: &BlackHole, option: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Guest {
    open("race.test", hole.addr().port(), [option]).host("race.test", addresses).policy(names())
}

/// Loopback, and names.
fn names() -> Policy {
    Policy::loopback().dns(true)
}

/// How long the guest took to connect, or to fail.
fn took(outcome: &Outcome) -> Result<Duration> {
    let time = outcome.stdout.lines().find_map(|line| line.strip_prefix("after ")?.strip_suffix(" ms"));
    Ok(Duration::from_millis(time.with_context(|| outcome.to_string())?.parse()?))
}

/// An address as Python writes it.
fn python(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) => format!("('{}', {})", v4.ip(), v4.port()),
        SocketAddr::V6(v6) => format!("('{}', {}, 0, 0)", v6.ip(), v6.port()),
    }
}

const DEFAULT_DELAY: Duration = Duration::from_millis(250);
/// What a busy machine may add. The system's own timeout is two minutes.
const SLACK: Duration = Duration::from_secs(5);
/// How long two connections may be apart on one machine.
const BOTH: Duration = Duration::from_secs(2);
