//! Each kind of fault of the library's `faults`, and that it does what it says: seen by the guest, and by its peer.

mod late;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
#[cfg(target_os = "linux")]
use rustix::io::Errno;
use wasi_streams_host::faults::{
    Answer, ConnectionFaults, Direction, DirectionFaults, Faults, Happened, LookupFaults, Stall,
};
use wasi_streams_host::peer::{Listener, Peer};
use wasi_streams_host::{ErrorCode, Guest, Policy, Running, Status, block_on};

use crate::support::pattern;

/// A server that echoes whole streams.
async fn echo_server(faults: &Faults) -> Result<(Running, SocketAddr)> {
    let guest = Guest::named("echo-server").args(["--stream", "--port=0", "--until-stdin-closes"]).piped_stdin();
    let mut server = guest.faults(faults.clone()).start().await?;
    let address = server.wait_line("Serving on ").await?["Serving on ".len()..].parse()?;
    Ok((server, address))
}

async fn end(mut server: Running) -> Result<()> {
    server.close_stdin();
    let outcome = server.finish().await.success()?;
    ensure!(outcome.last.resources.tcp_sockets == 0, "a socket is left: {outcome}");
    Ok(())
}

/// Sends `data` and its end, and gives what comes back with how that ended.
async fn exchange(address: SocketAddr, data: &[u8]) -> Result<(Vec<u8>, Duration)> {
    let begin = Instant::now();
    let mut peer = Peer::connect(address).await?;
    peer.write_all(data).await?;
    peer.half_close().await?;
    Ok((peer.read_to_end().await?, begin.elapsed()))
}

fn both_ways(faults: DirectionFaults) -> ConnectionFaults {
    ConnectionFaults::none().read(faults).write(faults)
}

#[test]
fn bytes_in_small_pieces_arrive_whole() -> Result<()> {
    block_on(async {
        let faults = Faults::on_connections(|_| both_ways(DirectionFaults::none().pieces(1)));
        let (server, address) = echo_server(&faults).await?;
        let data = pattern(5000);
        assert_eq!(exchange(address, &data).await?.0, data);
        assert_eq!(faults.happened(), [], "pieces are not worth telling");
        assert!((9_000..=10_000).contains(&faults.pieces()), "{} of 5000 each way", faults.pieces());
        assert_eq!(faults.delays(), 0);
        end(server).await
    })
}

#[test]
fn a_stall_ends_when_it_is_over_and_others_do_not_notice() -> Result<()> {
    block_on(async {
        let time = Duration::from_millis(400);
        let stall = DirectionFaults::none().stall(3, time);
        let faults = Faults::on_connections(move |number| match number {
            0 => ConnectionFaults::none().read(stall),
            1 => ConnectionFaults::none().write(stall),
            _ => ConnectionFaults::none(),
        });
        let (server, address) = echo_server(&faults).await?;
        for n in 0..2 {
            let mut stalled = Peer::connect(address).await?;
            let begin = Instant::now();
            stalled.write_all(b"hello").await?;
            assert_eq!(stalled.read_exact(3).await?, b"hel");
            if n == 1 {
                assert_eq!(exchange(address, b"others").await?.0, b"others");
            }
            assert_eq!(stalled.read_exact(2).await?, b"lo");
            assert!(begin.elapsed() >= time, "{n}: {:?}", begin.elapsed());
        }
        let told = Stall { after: 3, time: Some(time) };
        let happened = [Happened::Stalled(0, Direction::Read, told), Happened::Stalled(1, Direction::Write, told)];
        assert_eq!(faults.happened(), happened);
        end(server).await
    })
}

/// Whether the system lets peers be told of resets.
fn are_told() -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
        let ourselves = pidfd_open(getpid(), PidfdFlags::empty());
        ourselves.is_ok_and(|process| {
            let copy = pidfd_getfd(&process, process.as_raw_fd(), PidfdGetfdFlags::empty());
            !matches!(copy, Err(Errno::PERM | Errno::NOSYS))
        })
    }
    #[cfg(not(target_os = "linux"))]
    false
}

#[test]
fn a_reset_comes_at_its_byte_and_guest_and_peer_are_told() -> Result<()> {
    block_on(async {
        for direction in [Direction::Read, Direction::Write] {
            let reset = DirectionFaults::none().reset_after(10);
            let faults = Faults::on_connections(move |_| match direction {
                Direction::Read => ConnectionFaults::none().read(reset),
                Direction::Write => ConnectionFaults::none().write(reset),
            });
            let (mut server, address) = echo_server(&faults).await?;
            let mut peer = Peer::connect(address).await?;
            peer.write_all(b"0123456789").await?;
            if direction == Direction::Write {
                assert_eq!(peer.read_exact(10).await?, b"0123456789", "the reset is behind the last byte");
            }
            // What the guest had not sent by then is lost with the connection, as after any reset.
            if are_told() {
                assert_eq!(peer.expect_loss().await?, ErrorKind::ConnectionReset);
            } else {
                assert_eq!(peer.read_to_end().await.unwrap_or_default(), b"");
            }
            assert!(server.wait_stderr_line("").await?.contains("reset"), "{}", server.stderr());
            assert_eq!(faults.happened(), [Happened::Reset(0, direction)]);
            end(server).await?;
        }
        Ok(())
    })
}

#[test]
fn a_delay_makes_each_piece_take_its_time() -> Result<()> {
    block_on(async {
        let slow = DirectionFaults::none().pieces(1).delay(Duration::from_millis(4));
        let faults = Faults::on_connections(move |_| ConnectionFaults::none().read(slow));
        let (server, address) = echo_server(&faults).await?;
        // 2 ms each on average; a hundred of them are never all near zero.
        let (got, time) = exchange(address, &pattern(100)).await?;
        assert_eq!(got, pattern(100));
        assert!(time >= Duration::from_millis(50), "{time:?}");
        assert!(faults.delays() >= 100, "{}", faults.delays());
        end(server).await
    })
}

#[test]
fn a_client_that_is_refused_is_gone_and_the_next_is_served() -> Result<()> {
    block_on(async {
        let faults = Faults::on_connections(|number| match number {
            0 => ConnectionFaults::refused(),
            _ => ConnectionFaults::none(),
        });
        let (server, address) = echo_server(&faults).await?;
        let mut first = Peer::connect(address).await?;
        assert_eq!(first.read_to_end().await.unwrap_or_default(), b"");
        assert_eq!(exchange(address, b"hello").await?.0, b"hello");
        assert_eq!(faults.happened(), [Happened::Refused(0)]);
        end(server).await
    })
}

#[test]
fn a_connection_that_is_refused_and_a_lookup_that_fails_are_errors_of_the_client() -> Result<()> {
    block_on(async {
        let listener = Listener::v4()?;
        let port = listener.port().to_string();
        let client = |host: &str, faults: &Faults| {
            let guest = Guest::named("echo-client").args(["--host", host, "--port", &port, "hello"]);
            let policy = Policy::loopback().dns(true);
            guest.policy(policy).host("here.test", [Ipv4Addr::LOCALHOST]).faults(faults.clone()).run()
        };
        let refused = Faults::on_connections(|_| ConnectionFaults::refused());
        let outcome = client("127.0.0.1", &refused).await?;
        assert!(matches!(outcome.status, Status::Exited(1)), "{outcome}");
        assert!(outcome.stderr.contains("refused"), "{outcome}");
        assert_eq!(refused.happened(), [Happened::Refused(0)]);

        for (code, reason) in [
            (ErrorCode::NameUnresolvable, "name unknown"),
            (ErrorCode::TemporaryResolverFailure, "failed for now"),
            (ErrorCode::PermanentResolverFailure, "resolver refused"),
        ] {
            let unknown =
                Faults::on_connections(|_| ConnectionFaults::none()).on_lookups(move |_| LookupFaults::failing(code));
            let outcome = client("here.test", &unknown).await?;
            assert!(matches!(outcome.status, Status::Exited(1)), "{outcome}");
            assert!(
                outcome.stderr.to_lowercase().contains(reason) && outcome.stderr.contains("here.test"),
                "{outcome}"
            );
            assert_eq!(unknown.happened(), [Happened::LookupFailed(0, code)]);
        }
        Ok(())
    })
}

#[test]
fn some_seeds_connect_and_look_up_late_and_none_for_ever() {
    let (mut connections, mut lookups) = (0, 0);
    for seed in 0..100 {
        for number in 0..3 {
            let faults = Faults::seeded(seed);
            let late = |answer| match answer {
                Answer::AtOnce => 0,
                Answer::After(time) if time <= Duration::from_millis(50) => 1,
                other => panic!("{other:?} in {faults}"),
            };
            connections += late(faults.of_connection(number).answer);
            lookups += late(faults.of_lookup(number).answer);
        }
    }
    assert!((20..150).contains(&connections) && (20..150).contains(&lookups), "{connections}, {lookups}");
}

#[test]
fn a_seed_is_a_script_that_says_what_it_does() -> Result<()> {
    let scripts = |seed| (0..100).map(|number| Faults::seeded(seed).of_connection(number)).collect::<Vec<_>>();
    assert_eq!(scripts(1), scripts(1));
    assert_ne!(scripts(1), scripts(2));
    let all = scripts(3);
    assert!(all.iter().any(|one| one.refused) && all.iter().any(ConnectionFaults::are_survivable));
    assert!(all.iter().all(|one| one.read.stall.is_none_or(|stall| stall.time.is_some())), "no stall is for ever");
    let one = ConnectionFaults::none()
        .read(DirectionFaults::none().pieces(7).delay(Duration::from_millis(2)).stall(10, None).reset_after(20));
    let text = "in: pieces of at most 7 bytes, up to 2ms behind each piece, stalled for ever behind 10 bytes, reset behind 20 bytes; \
                out: no faults";
    assert_eq!(one.to_string(), text);
    let late = Duration::from_millis(7);
    assert_eq!(ConnectionFaults::refused().to_string(), "refused");
    assert_eq!(ConnectionFaults::refused().answered_after(late).to_string(), "answered after 7ms, refused");
    assert_eq!(ConnectionFaults::never_answered().to_string(), "never answered");
    let fine = ConnectionFaults::none().answered_after(late);
    assert_eq!(fine.to_string(), "answered after 7ms, in: no faults; out: no faults");
    assert!(fine.are_survivable() && !ConnectionFaults::never_answered().are_survivable());
    let failing = LookupFaults::failing(ErrorCode::NameUnresolvable);
    assert_eq!(failing.to_string(), "fails, name-unresolvable");
    assert_eq!(failing.answered_after(late).to_string(), "answered after 7ms, fails, name-unresolvable");
    assert_eq!(LookupFaults::none().to_string(), "no faults");
    assert!(!failing.are_survivable() && LookupFaults::none().answered_after(late).are_survivable());
    assert_eq!(Faults::seeded(1).of_lookup(0), LookupFaults::none(), "the first lookup of seed 1 is a good one");
    Ok(())
}

#[test]
fn no_seed_delays_thousands_of_small_pieces() {
    // A wait takes a millisecond at least: 70 000 bytes one by one would take more than a minute.
    for seed in 0..1000 {
        for number in 0..3 {
            let ConnectionFaults { read, write, .. } = Faults::seeded(seed).of_connection(number);
            let soon = |one: DirectionFaults| one.delay.is_zero() || one.pieces.is_none_or(|most| most >= 1000);
            assert!(soon(read) && soon(write), "{}", Faults::seeded(seed));
        }
    }
}

#[test]
fn a_script_in_words_has_its_seed_and_what_happens_to_each_connection() {
    let told = Faults::seeded(17).to_string();
    assert!(told.starts_with("seed 17\n  connection 0: "), "{told}");
    assert_eq!(told, Faults::seeded(17).to_string());
    assert_ne!(told.lines().nth(1), Faults::seeded(18).to_string().lines().nth(1));
    let refused = Faults::on_connections(|_| ConnectionFaults::refused()).to_string();
    assert!(refused.starts_with("a script\n  connection 0: refused\n"), "{refused}");
}
