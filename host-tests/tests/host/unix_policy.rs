//! Which Unix sockets a guest may use: every way to name one, and every way out of a granted folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Result;
use wasi_streams_host::unix::{UnixPerms, UnixReason};
use wasi_streams_host::{Denial, Guest, Outcome, Policy, Status, block_on};

use crate::support::Folder;

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Allowed,
    /// The policy knows no such place.
    Denied,
    /// It leads out of what is granted.
    Escape,
    /// It is allowed, and nothing is there.
    Missing,
}
use Is::{Allowed, Denied, Escape, Missing};

/// `/run` is `granted`, where one may do all; `/run/listen` and `/run/connect` are folders in it for one of both; `/other` is beside it, and
/// `relative` without a slash; `secret` is granted to nobody.
fn policy(folder: &Folder) -> Policy {
    let at = |name: &str| folder.path().join(name);
    Policy::none()
        .allow_unix("/run", at("granted"), UnixPerms::ALL)
        .allow_unix("/run/listen", at("granted/listen"), UnixPerms::LISTEN)
        .allow_unix("/run/connect", at("granted/connect"), UnixPerms::CONNECT)
        .allow_unix("/other/", at("other"), UnixPerms::CONNECT)
        .allow_unix("relative", at("granted"), UnixPerms::CONNECT)
        .allow_unix_abstract("exact", UnixPerms::CONNECT)
        .allow_unix_abstract("begin-*", UnixPerms::LISTEN)
}

/// The folders, with a listener named `sock` in each, and links in and out.
fn world() -> Result<(Folder, Vec<UnixListener>)> {
    let folder = Folder::new();
    let at = |name: &str| folder.path().join(name);
    let mut listeners = Vec::new();
    for name in ["granted", "granted/deep", "granted/listen", "granted/connect", "other", "secret", "granted-not"] {
        fs::create_dir(at(name))?;
        listeners.push(UnixListener::bind(at(name).join("sock"))?);
    }
    for (link, target) in [
        ("granted/inside", "deep/sock"),
        ("granted/inside-folder", "deep"),
        ("granted/deep/up-and-in", "../sock"),
        ("granted/outside", "../secret/sock"),
        ("granted/outside-folder", "../secret"),
        ("granted/up", ".."),
        ("granted/deep/chain", "../outside"),
        ("granted/loop", "loop"),
        ("granted/magic", "/proc/self/cwd"),
        ("granted/dangling", "../secret/new"),
    ] {
        symlink(target, at(link))?;
    }
    symlink(at("secret/sock"), at("granted/absolute"))?;
    symlink(at("granted/sock"), at("granted/absolute-inside"))?;
    symlink(at("secret"), at("granted/absolute-folder"))?;
    Ok((folder, listeners))
}

const CASES: &[(&str, &str, Is)] = &[
    // What is granted.
    ("connect", "/run/sock", Allowed),
    ("connect", "/run/deep/sock", Allowed),
    ("connect", "/run/./deep//sock", Allowed),
    ("connect", "//run/sock", Allowed),
    ("connect", "/./run/sock", Allowed),
    ("connect", "/run/deep/../sock", Allowed),
    ("connect", "/run/deep/../deep/sock", Allowed),
    ("connect", "relative/sock", Allowed),
    ("connect", "./relative/sock", Allowed),
    ("connect", "/other/sock", Allowed),
    ("connect", "/run/connect/sock", Allowed),
    ("listen", "/run/new", Allowed),
    ("listen", "/run/deep/new", Allowed),
    ("listen", "/run/deep/../new", Allowed),
    ("listen", "/run/listen/new", Allowed),
    ("connect", "/run/none", Missing),
    ("listen", "/run/none/new", Missing),
    // Links that stay inside.
    ("connect", "/run/inside", Allowed),
    ("connect", "/run/inside-folder/sock", Allowed),
    ("connect", "/run/deep/up-and-in", Allowed),
    ("listen", "/run/inside-folder/new", Allowed),
    // What nobody has granted.
    ("connect", "/sock", Denied),
    ("connect", "sock", Denied),
    ("connect", "run/sock", Denied),
    ("connect", "/relative/sock", Denied),
    ("connect", "/run", Denied),
    ("connect", "/running/sock", Denied),
    ("connect", "/secret/sock", Denied),
    ("connect", "/RUN/sock", Denied),
    ("connect", "/", Denied),
    ("connect", ".", Denied),
    ("listen", "/new", Denied),
    ("listen", "relative/new", Denied),
    ("listen", "/other/new", Denied),
    ("listen", "/run/connect/new", Denied),
    ("connect", "/run/listen/sock", Denied),
    // `..`, which the kernel judges.
    ("connect", "/run/../secret/sock", Escape),
    ("connect", "/run/..", Escape),
    ("connect", "/run/../granted/sock", Escape),
    ("connect", "/run/../granted-not/sock", Escape),
    ("connect", "/run/deep/../../secret/sock", Escape),
    ("connect", "relative/../secret/sock", Escape),
    ("connect", "/run/./.././secret/sock", Escape),
    ("listen", "/run/../secret/new", Escape),
    ("listen", "/run/deep/../../new", Escape),
    // Links that lead out.
    ("connect", "/run/outside", Escape),
    ("connect", "/run/outside-folder/sock", Escape),
    ("connect", "/run/up/secret/sock", Escape),
    ("connect", "/run/deep/chain", Escape),
    ("connect", "/run/absolute", Escape),
    ("connect", "/run/absolute-inside", Escape),
    ("connect", "/run/absolute-folder/sock", Escape),
    ("connect", "/run/magic/sock", Escape),
    ("connect", "/run/dangling", Escape),
    ("listen", "/run/outside-folder/new", Escape),
    ("listen", "/run/up/new", Escape),
    ("listen", "/run/absolute-folder/new", Escape),
    // Abstract names (the fixture reads @ as a null character).
    ("connect", "@exact", Is::Missing),
    ("listen", "@begin-1", Allowed),
    ("listen", "@exact", Denied),
    ("connect", "@exactly", Denied),
    ("connect", "@exac", Denied),
    ("connect", "@begin-1", Denied),
    ("listen", "@begin", Denied),
];

#[test]
fn what_is_granted_can_be_used_and_nothing_else_by_whatever_name() -> Result<()> {
    block_on(async {
        let (folder, _listeners) = world()?;
        let arguments = CASES.iter().flat_map(|(what, path, _)| [*what, *path]);
        let guest = Guest::named("unix").policy(policy(&folder)).arg("try").args(arguments);
        let outcome = guest.run().await?.success()?;
        let told: Vec<&str> = outcome.stdout.lines().collect();
        assert_eq!(told.len(), CASES.len(), "{outcome}");
        for (told, (what, path, expected)) in told.iter().zip(CASES) {
            let kind = told.split(' ').next().unwrap_or_default();
            let is = match (kind, refusal(&outcome, what, path)) {
                ("ok", None) => Allowed,
                ("NotFound" | "ConnectionRefused", None) => Missing,
                ("PermissionDenied", Some(false)) => Denied,
                ("PermissionDenied", Some(true)) => Escape,
                other => panic!("{what} {path}: {told}, {other:?}"),
            };
            assert_eq!(is, *expected, "{what} {path}: {told}");
        }
        assert_eq!(fs::read_dir(folder.path().join("secret"))?.count(), 1, "nothing was made where nothing may be");
        Ok(())
    })
}

/// Whether the log has a refusal of this, and whether as an escape.
fn refusal(outcome: &Outcome, what: &str, path: &str) -> Option<bool> {
    let path = path.strip_prefix('@').map_or(path.to_owned(), |name| format!("b'\\x00{name}'"));
    outcome.denials.iter().find_map(|denial| {
        let Denial::Unix(denial) = denial else { return None };
        let purpose = format!("{:?}", denial.purpose).to_lowercase();
        (purpose == what && denial.address == path).then_some(denial.reason == UnixReason::Escapes)
    })
}

#[test]
fn the_log_says_what_was_refused_and_what_to_do() -> Result<()> {
    block_on(async {
        let (folder, _listeners) = world()?;
        let tries = ["try", "connect", "/secret/sock", "listen", "/other/new", "connect", "/run/outside"];
        let outcome = Guest::named("unix").policy(policy(&folder)).args(tries).run().await?.success()?;
        let log: Vec<String> = outcome.denials.iter().map(ToString::to_string).collect();
        assert_eq!(
            log,
            [
                "denied connect to Unix socket /secret/sock: allow it with --unix /secret=HOST_DIR",
                "denied listen on Unix socket /other/new: allow it with --unix /other=HOST_DIR",
                "denied connect to Unix socket /run/outside: it leads out of the folder that --unix allows",
            ]
        );
        let nothing = Guest::named("unix").policy(Policy::loopback()).args(tries).run().await?.success()?;
        let log: Vec<String> = nothing.denials.iter().map(ToString::to_string).collect();
        assert_eq!(log, ["denied Unix sockets: allow them with --unix GUEST_DIR=HOST_DIR"]);
        assert!(nothing.stdout.lines().all(|line| line.starts_with("PermissionDenied ")), "{nothing}");
        Ok(())
    })
}

/// One thread exchanges a folder for a link out of the grant and back, as fast as it can; no connect may ever arrive outside.
#[test]
fn a_link_that_is_exchanged_meanwhile_leads_nowhere() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let at = |name: &str| folder.path().join(name);
        for name in ["granted", "granted/real", "secret"] {
            fs::create_dir(at(name))?;
        }
        let _inside = UnixListener::bind(at("granted/real/sock"))?;
        let outside = UnixListener::bind(at("secret/sock"))?;
        outside.set_nonblocking(true)?;
        symlink("real", at("granted/in"))?;
        symlink("../secret", at("granted/out"))?;
        let over = Arc::new(AtomicBool::new(false));
        let exchanging = thread::spawn({
            let (over, turn, spare, out) =
                (Arc::clone(&over), at("granted/turn"), at("granted/spare"), at("granted/out"));
            let inside = at("granted/in");
            move || -> Result<u64> {
                let mut turns = 0;
                while !over.load(Ordering::Relaxed) {
                    for from in [&inside, &out] {
                        symlink(fs::read_link(from)?, &spare)?;
                        fs::rename(&spare, &turn)?;
                        turns += 1;
                    }
                }
                Ok(turns)
            }
        });
        let tries = ["connect", "/run/turn/sock", "listen", "/run/turn/new"].repeat(500);
        let policy = Policy::none().allow_unix("/run", at("granted"), UnixPerms::ALL);
        let outcome = Guest::named("unix").policy(policy).arg("try").args(tries).run().await?;
        over.store(true, Ordering::Relaxed);
        let turns = exchanging.join().expect("it does not panic")?;
        assert_eq!(outcome.status, Status::Exited(0), "{outcome}");
        let count = |word: &str| outcome.stdout.lines().filter(|line| line.starts_with(word)).count();
        let (allowed, denied) = (count("ok"), count("PermissionDenied"));
        assert!(allowed > 0 && denied > 0, "{allowed} allowed, {denied} denied in {turns} turns");
        assert!(outside.accept().is_err(), "a connect has arrived outside");
        assert_eq!(fs::read_dir(at("secret"))?.count(), 1, "a socket was made outside");
        Ok(())
    })
}
