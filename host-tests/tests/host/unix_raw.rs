//! What `wit/unix` promises of the host, by a component that calls it without the library. It looks at the answers itself.

use std::io::Read;
use std::os::unix::net::UnixListener;

use anyhow::{Context, Result, ensure};
use wasi_streams_host::unix::UnixPerms;
use wasi_streams_host::{Guest, Limits, Outcome, Policy, Status, block_on, patiently};

use crate::support::{DEADLINE, Folder};

async fn asked(folder: &Folder, what: &str, limits: Limits) -> Result<Outcome> {
    let policy = Policy::none().allow_unix("/run", folder.path(), UnixPerms::ALL);
    let policy = policy.allow_unix_abstract("*", UnixPerms::ALL);
    let guest = Guest::named("unix-raw").args([what, "/run/raw.sock"]).policy(policy).limits(limits);
    patiently(DEADLINE, guest.run()).await.context("it takes too long")?
}

fn is_as_promised(what: &str, limits: Limits) -> Result<Folder> {
    block_on(async {
        let folder = Folder::new();
        let outcome = asked(&folder, what, limits).await?.success()?;
        ensure!(outcome.stdout == "as promised\n", "{outcome}");
        Ok(folder)
    })
}

#[test]
fn each_operation_has_its_states_and_its_two_halves() -> Result<()> {
    is_as_promised("states", Limits::default()).map(drop)
}

#[test]
fn what_is_no_address_is_refused_and_a_failed_bind_leaves_nothing() -> Result<()> {
    is_as_promised("addresses", Limits::default()).map(drop)
}

#[test]
fn that_the_file_stays_can_be_said_before_there_is_one() -> Result<()> {
    let folder = is_as_promised("keep", Limits::default())?;
    ensure!(folder.path().join("raw.sock").exists());
    Ok(())
}

#[test]
fn connecting_goes_on_while_the_queue_is_full_and_ends_when_it_grows() -> Result<()> {
    is_as_promised("queue", Limits::default()).map(drop)
}

#[test]
fn what_is_accepted_counts_among_the_sockets() -> Result<()> {
    is_as_promised("limit", Limits::default().sockets(3)).map(drop)
}

#[test]
fn each_direction_ends_by_itself_and_behind_what_was_written() -> Result<()> {
    is_as_promised("shutdown", Limits::default()).map(drop)
}

#[test]
fn a_peer_that_has_gone_is_a_reset_or_an_end() -> Result<()> {
    is_as_promised("gone", Limits::default()).map(drop)
}

#[test]
fn dropping_a_stream_waits_for_what_was_written() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let listener = UnixListener::bind(folder.path().join("raw.sock"))?;
        let peer = tokio::task::spawn_blocking(move || -> Result<usize> {
            let (mut stream, _) = listener.accept()?;
            let mut all = Vec::new();
            Ok(stream.read_to_end(&mut all)?)
        });
        let outcome = asked(&folder, "write-and-leave", Limits::default()).await?.success()?;
        ensure!(outcome.stdout == format!("{}\nas promised\n", peer.await??), "{outcome}");
        Ok(())
    })
}

#[test]
fn writing_more_than_was_permitted_is_a_trap() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let _listener = UnixListener::bind(folder.path().join("raw.sock"))?;
        let outcome = asked(&folder, "too-much", Limits::default()).await?;
        ensure!(
            matches!(&outcome.status, Status::Trapped { report, .. } if report.contains("check-write")),
            "{outcome}"
        );
        Ok(())
    })
}
