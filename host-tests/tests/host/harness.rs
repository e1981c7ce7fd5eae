//! The harness itself, with a guest that knows only std.

use std::time::Duration;

use anyhow::Result;
use wasi_streams_host::peer::{Listener, Peer};
use wasi_streams_host::{Denial, Guest, Policy, Status, block_on, open_fds, patiently};

#[test]
fn a_guest_gets_its_arguments_after_its_name() -> Result<()> {
    block_on(async {
        let outcome = plain("echo-args").arg("--flag").run().await?.success()?;
        assert_eq!(outcome.stdout, "plain.wasm\necho-args\n--flag\n");
        Ok(())
    })
}

#[test]
fn a_line_can_be_read_while_the_guest_runs_and_after_it_is_gone() -> Result<()> {
    block_on(async {
        let mut guest = plain("ready-then-cat").piped_stdin().start().await?;
        guest.wait_line("ready").await?;
        guest.write_stdin(b"first\nsecond\nthird\n").await?;
        assert_eq!(guest.wait_line("sec").await?, "second");
        guest.close_stdin();
        assert_eq!(guest.wait_line("").await?, "third");
        let error = guest.wait_line("fourth").await.unwrap_err().to_string();
        assert!(error.contains("plain.wasm") && error.contains("fourth") && error.contains("third"), "{error}");
        guest.finish().await.success()?;
        Ok(())
    })
}

#[test]
fn a_guest_reads_the_input_it_is_given_to_its_end() -> Result<()> {
    block_on(async {
        let outcome = plain("cat").stdin("input").run().await?.success()?;
        assert_eq!(outcome.stdout, "input");
        Ok(())
    })
}

#[test]
fn a_guest_in_a_tight_loop_ends_at_its_deadline() -> Result<()> {
    block_on(async {
        let outcome = plain("spin").deadline(Duration::from_millis(200)).run().await?;
        assert_eq!(outcome.status, Status::DeadlineExceeded);
        assert_eq!(outcome.stdout, "spinning\n");
        assert!(outcome.elapsed < Duration::from_secs(20), "{:?}", outcome.elapsed);
        Ok(())
    })
}

#[test]
fn a_guest_in_a_tight_loop_can_be_stopped() -> Result<()> {
    block_on(async {
        let mut guest = plain("spin").deadline(None).start().await?;
        guest.wait_line("spinning").await?;
        assert_eq!(guest.stop().await.status, Status::Stopped);
        Ok(())
    })
}

#[test]
fn a_trap_is_told_apart_from_a_failure() -> Result<()> {
    block_on(async {
        let outcome = plain("trap").run().await?;
        let Status::Trapped { cause, report } = &outcome.status else { panic!("{outcome}") };
        assert!(cause.contains("unreachable"), "{cause}");
        assert!(report.contains("backtrace"), "{report}");
        let outcome = plain("fail").run().await?;
        assert_eq!(outcome.status, Status::Exited(1));
        assert!(outcome.stderr.contains("asked to fail"), "{outcome}");
        let error = outcome.success().unwrap_err().to_string();
        assert!(error.contains("asked to fail"), "{error}");
        Ok(())
    })
}

#[test]
fn a_guest_serves_a_native_peer_on_loopback() -> Result<()> {
    block_on(async {
        let mut guest = plain("serve-one").arg("127.0.0.1:0").start().await?;
        let line = guest.wait_line("Serving on ").await?;
        let mut peer = Peer::connect(line["Serving on ".len()..].parse()?).await?;
        peer.write_all(b"hello\n").await?;
        assert_eq!(peer.read_line().await?, b"hello\n");
        guest.wait_until(|now| now.resources.tcp_sockets == 2).await?;
        peer.half_close().await?;
        assert_eq!(peer.read_to_end().await?, b"");
        guest.finish().await.success()?;
        Ok(())
    })
}

#[test]
fn what_a_guest_holds_is_counted_and_gone_at_its_end() -> Result<()> {
    block_on(async {
        let mut guest = plain("serve-one").arg("127.0.0.1:0").start().await?;
        let line = guest.wait_line("Serving on ").await?;
        let listening = guest.wait_until(|now| now.resources.pollables > 0).await?;
        assert_eq!(listening.resources.tcp_sockets, 1, "{listening:?}");
        assert!(listening.memory_bytes > 0 && listening.polls > 0, "{listening:?}");
        let mut peer = Peer::connect(line["Serving on ".len()..].parse()?).await?;
        let connected = guest.wait_until(|now| now.resources.tcp_sockets == 2).await?;
        assert!(connected.resources.total() > listening.resources.total(), "{connected:?}");
        assert!(open_fds() > 2);
        peer.half_close().await?;
        let outcome = guest.finish().await.success()?;
        assert_eq!(outcome.last.resources.tcp_sockets, 0, "{:?}", outcome.last);
        Ok(())
    })
}

#[test]
fn memory_is_counted_to_its_peak() -> Result<()> {
    block_on(async {
        let small = plain("grow").arg("1000").run().await?.success()?;
        let large = plain("grow").arg("20000000").run().await?.success()?;
        let difference = large.last.memory_bytes - small.last.memory_bytes;
        assert!((19_000_000..22_000_000).contains(&difference), "{difference}");
        Ok(())
    })
}

#[test]
fn what_hangs_is_given_up_and_what_was_held_up_with_the_whole_process_is_not() {
    let patience = Duration::from_millis(500);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (hung, late) = runtime.block_on(async {
        let hung = patiently(patience, std::future::pending::<()>()).await;
        // The one thread stands still for longer than there is patience, and then it takes two turns more.
        let late = patiently(patience, async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            std::thread::sleep(2 * patience);
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        });
        (hung, late.await)
    });
    assert_eq!((hung, late), (None, Some(())));
}

#[test]
fn more_resources_than_allowed_are_a_trap() -> Result<()> {
    block_on(async {
        let listener = Listener::v4()?;
        let guest = plain("connect").arg(listener.addr().to_string());
        let outcome = guest.max_resources(2).run().await?;
        assert!(matches!(outcome.status, Status::Trapped { .. }), "{outcome}");
        Ok(())
    })
}

#[test]
fn a_denial_is_recorded_once_and_seen_by_the_guest_as_permission_denied() -> Result<()> {
    block_on(async {
        let outcome = plain("connect").arg("10.1.2.3:80").run().await?.success()?;
        assert_eq!(outcome.stdout, "PermissionDenied\n");
        assert_eq!(outcome.denials, [Denial::Connect("10.1.2.3:80".parse()?)]);
        let outcome = plain("lookup").arg("localhost").run().await?.success()?;
        assert_ne!(outcome.stdout, "ok\n");
        assert_eq!(outcome.denials, [Denial::Lookup("localhost".into())]);
        let outcome = plain("lookup").arg("localhost").policy(Policy::loopback().dns(true)).run().await?.success()?;
        assert_eq!((outcome.stdout.as_str(), outcome.denials.len()), ("ok\n", 0));
        Ok(())
    })
}

#[test]
fn a_component_that_is_not_built_says_how_to_build_it() -> Result<()> {
    block_on(async {
        let error = Guest::named("no-such-component").start().await.unwrap_err().to_string();
        assert!(error.contains("no-such-component.wasm") && error.contains("make components"), "{error}");
        Ok(())
    })
}

fn plain(command: &str) -> Guest {
    Guest::named("plain").arg(command)
}
