//! Guests that talk over Unix sockets, with peers that know nothing of us: CPython, socat, and the system itself.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener as StdListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use wasi_streams_host::peer::{Program, Python};
use wasi_streams_host::unix::UnixPerms;
use wasi_streams_host::{Guest, Policy, Running, Status, block_on, components_dir, engine, load, patiently};

use crate::support::{DEADLINE, Folder, LONGEST_PAUSE, assert_same, heavy, number, pattern, timely};
use crate::tls_support::{NAME, Pki};

/// A guest that may use the sockets of a folder, which it knows as /run.
fn with_sockets(name: &str, folder: &Folder) -> Guest {
    Guest::named(name).policy(Policy::none().allow_unix("/run", folder.path(), UnixPerms::ALL))
}

async fn server(folder: &Folder, options: &[&str]) -> Result<Running> {
    let guest = with_sockets("unix-echo", folder).args(["server", "/run/echo.sock", "--until-stdin-closes"]);
    let mut running = guest.args(options.iter().copied()).piped_stdin().start().await?;
    assert_eq!(running.wait_line("Serving on ").await?, "Serving on '/run/echo.sock'");
    Ok(running)
}

fn echo_client(folder: &Folder) -> Guest {
    with_sockets("unix-echo", folder).args(["client", "/run/echo.sock", "Hello World!"])
}

fn path(folder: &Folder) -> PathBuf {
    folder.path().join("echo.sock")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

async fn end(mut guest: Running) -> Result<()> {
    guest.close_stdin();
    let outcome = guest.finish().await.success()?;
    ensure!(outcome.stderr.is_empty() && outcome.last.resources.unix_sockets == 0, "{outcome}");
    Ok(())
}

#[test]
fn our_client_and_our_server_understand_each_other_and_leave_nothing() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let guest = server(&folder, &[]).await?;
        let client = echo_client(&folder).run().await?.success()?;
        assert_eq!(client.stdout, "Send: 'Hello World!'\nReceived: 'Hello World!'\n");
        assert!(path(&folder).symlink_metadata()?.file_type().is_socket());
        end(guest).await?;
        assert!(!path(&folder).exists());
        Ok(())
    })
}

#[test]
fn cpython_s_client_and_our_server_echo_a_megabyte() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let guest = server(&folder, &[]).await?;
        let client = Python::run(ASYNCIO, ["connect", &text(&path(&folder))])?.finish().await?;
        ensure!(client.code == Some(0) && client.stderr.is_empty(), "{client}");
        assert_eq!(client.stdout, "echoed True\n");
        end(guest).await
    })
}

#[test]
fn our_client_and_cpython_s_server_echo() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let mut server = Python::run(ASYNCIO, ["serve", &text(&path(&folder))])?;
        server.wait_line("Serving").await?;
        let client = echo_client(&folder).run().await?.success()?;
        assert!(client.stdout.ends_with("Received: 'Hello World!'\n"), "{client}");
        assert_eq!(server.wait_line("peername ").await?, "peername '' sockname True");
        server.wait_line("ended").await?;
        ensure!(server.finish().await?.code == Some(0));
        Ok(())
    })
}

#[test]
fn socat_and_we_echo_in_both_directions() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let guest = server(&folder, &[]).await?;
        let mut socat = Program::run("socat", ["-t10", "-", &format!("UNIX-CONNECT:{}", text(&path(&folder)))])?;
        socat.write_stdin(b"by socat\n").await?;
        assert_eq!(socat.wait_line("").await?, "by socat");
        socat.close_stdin();
        ensure!(socat.finish().await?.code == Some(0));
        end(guest).await?;

        let address = format!("UNIX-LISTEN:{},fork", text(&path(&folder)));
        let socat = Program::run("socat", [&address, "EXEC:cat"])?;
        wait_for(&path(&folder)).await?;
        let client = echo_client(&folder).run().await?.success()?;
        assert!(client.stdout.ends_with("Received: 'Hello World!'\n"), "{client}");
        socat.kill().await
    })
}

#[test]
fn tls_over_unix_sockets_with_cpython_in_both_directions() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let folder = Folder::new();
        let certificates = text(pki.folder());
        let fixture = || with_sockets("unix", &folder).dir(pki.folder(), "/pki");

        let mut server = Python::run(ASYNCIO, ["serve", &text(&path(&folder)), &certificates])?;
        server.wait_line("Serving").await?;
        let client = fixture().args(["tls-client", "/run/echo.sock", "/pki/ca.pem", NAME]).run().await?.success()?;
        assert_eq!(client.stdout, "over TLS from 1\n");
        let wrong = fixture().args(["tls-client", "/run/echo.sock", "/pki/ca.pem", "other.test"]).run().await?;
        assert_eq!(wrong.status, Status::Exited(1));
        assert!(wrong.stderr.contains("'/run/echo.sock': ") && wrong.stderr.contains("other.test"), "{wrong}");
        server.finish().await?;
        fs::remove_file(path(&folder))?;

        let guest = fixture().args(["tls-server", "/run/echo.sock", "/pki/server.pem", "/pki/server.key"]);
        let mut guest = guest.piped_stdin().start().await?;
        guest.wait_line("Serving on ").await?;
        let client = Python::run(ASYNCIO, ["connect", &text(&path(&folder)), &certificates])?.finish().await?;
        assert_eq!((client.code, client.stdout.as_str()), (Some(0), "echoed True\n"), "{client}");
        guest.close_stdin();
        guest.finish().await.success()?;
        Ok(())
    })
}

#[test]
fn sockets_that_the_program_made_itself_are_taken_over() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        for how in ["take-over", "take-over-listening"] {
            let outcome = with_sockets("unix", &folder).args([how, "/run/own.sock"]).run().await?.success()?;
            assert_eq!(outcome.stdout, "Serving on '/run/own.sock'\npeer '/run/own.sock'\ntaken over\n", "{how}");
            assert!(!folder.path().join("own.sock").exists());
        }
        let outcome =
            with_sockets("unix", &folder).args(["take-over-wrong", "/run/own.sock"]).run().await?.success()?;
        let expected = [
            "InvalidInput path and socket can not be specified at the same time",
            "InvalidInput the socket is not bound",
            "InvalidInput a TCP socket was expected, this is a Unix socket",
        ];
        assert_eq!(outcome.stdout.lines().collect::<Vec<_>>(), expected);
        ensure!(outcome.last.resources.unix_sockets == 0, "{outcome}");
        Ok(())
    })
}

#[test]
fn the_file_of_a_server_long_gone_is_replaced_and_no_other() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let at = path(&folder);
        drop(StdListener::bind(&at)?); // the file stays
        let guest = server(&folder, &[]).await?;
        // A second one: the first is alive, and stays so.
        let second = with_sockets("unix-echo", &folder).args(["server", "/run/echo.sock"]).run().await?;
        assert_eq!(second.status, Status::Exited(1));
        assert_eq!(second.stderr, "unix-echo: address '/run/echo.sock' is already in use\n");
        echo_client(&folder).run().await?.success()?;
        end(guest).await?;

        fs::write(&at, "notes")?;
        let refused = with_sockets("unix-echo", &folder).args(["server", "/run/echo.sock"]).run().await?;
        assert!(refused.stderr.contains("already in use"), "{refused}");
        assert_eq!(fs::read_to_string(&at)?, "notes");
        fs::remove_file(&at)?;

        // A link is not followed, not even to a socket that is stale.
        let elsewhere = folder.path().join("elsewhere");
        drop(StdListener::bind(&elsewhere)?);
        symlink(&elsewhere, &at)?;
        let refused = with_sockets("unix-echo", &folder).args(["server", "/run/echo.sock"]).run().await?;
        assert!(refused.stderr.contains("already in use"), "{refused}");
        assert!(elsewhere.exists() && at.symlink_metadata()?.is_symlink());
        Ok(())
    })
}

#[test]
fn the_file_goes_with_the_server_however_that_ends_unless_it_shall_stay_or_is_another_s() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let at = path(&folder);
        end(server(&folder, &["--keep-socket"]).await?).await?;
        assert!(at.exists());

        // Stopped by us, and by a panic of its own.
        let guest = server(&folder, &[]).await?;
        guest.stop().await;
        assert!(!at.exists());
        let outcome = with_sockets("unix", &folder).args(["trap", "/run/echo.sock"]).run().await?;
        assert!(matches!(outcome.status, Status::Trapped { .. }), "{outcome}");
        assert!(!at.exists());

        let guest = server(&folder, &[]).await?;
        fs::remove_file(&at)?;
        let other = StdListener::bind(&at)?;
        end(guest).await?;
        assert!(at.exists(), "it belongs to the other one");
        drop(other);
        Ok(())
    })
}

#[test]
fn a_listener_whose_file_is_deleted_serves_those_that_it_has() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let guest = server(&folder, &[]).await?;
        let mut peer = UnixStream::connect(path(&folder)).await?;
        fs::remove_file(path(&folder))?;
        let gone = echo_client(&folder).run().await?;
        assert!(gone.stderr.contains("no such file"), "{gone}");
        peer.write_all(b"still").await?;
        let mut answer = [0; 5];
        patiently(DEADLINE, peer.read_exact(&mut answer)).await.context("it takes too long")??;
        assert_eq!(&answer, b"still");
        drop(peer);
        end(guest).await
    })
}

#[test]
fn every_failure_has_its_kind_and_its_words() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let make = |name: &str| folder.path().join(name);
        drop(StdListener::bind(make("stale"))?);
        fs::write(make("notes"), "")?;
        fs::create_dir(make("deep"))?;
        let _datagrams = UnixDatagram::bind(make("datagrams"))?;
        let (long, longer) = ("x".repeat(120), format!("/run/{}", "x".repeat(300)));
        let deep_long = format!("/run/deep/{long}");
        let tries = [
            ("connect", "/run/none", "NotFound"),
            ("connect", "/run/none/none", "NotFound"),
            ("connect", "/run/notes/none", "NotFound"),
            ("connect", "/run/stale", "ConnectionRefused"),
            ("connect", "/run/notes", "ConnectionRefused"),
            ("connect", "/run/deep", "ConnectionRefused"),
            ("connect", "/run/datagrams", "ConnectionRefused"),
            ("connect", &longer, "InvalidFilename"),
            ("connect", &deep_long, "NotFound"),
            ("listen", "/run/none/a", "NotFound"),
            ("listen", "/run/datagrams", "AddrInUse"),
            ("listen", "/run/deep", "AddrInUse"),
            ("listen", &deep_long, "InvalidFilename"),
        ];
        let arguments = tries.iter().flat_map(|(what, path, _)| [*what, *path]);
        let outcome = with_sockets("unix", &folder).arg("try").args(arguments).run().await?.success()?;
        for (told, (what, path, kind)) in outcome.stdout.lines().zip(tries) {
            assert!(told.starts_with(&format!("{kind} ")) && told.contains(path), "{what} {path}: {told}");
        }
        assert_eq!(outcome.stdout.lines().count(), tries.len());
        Ok(())
    })
}

#[test]
fn programs_that_are_started_meanwhile_inherit_no_socket() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let guest = server(&folder, &[]).await?;
        let mut peer = UnixStream::connect(path(&folder)).await?;
        peer.write_all(b"accepted").await?;
        peer.read_exact(&mut [0; 8]).await?;
        let listed = std::process::Command::new("ls").args(["-l", "/proc/self/fd"]).stdin(Stdio::null()).output()?;
        let listed = String::from_utf8(listed.stdout)?;
        ensure!(listed.contains("/dev/null") && !listed.contains("socket:"), "{listed}");
        drop(peer);
        end(guest).await
    })
}

#[test]
fn nobody_waits_for_a_peer_that_takes_nothing() -> Result<()> {
    let _timely = timely();
    block_on(async {
        let folder = Folder::new();
        let listener = UnixListener::bind(path(&folder))?;
        let mut guest = with_sockets("unix", &folder).args(["freeze", "/run/echo.sock"]).start().await?;
        let (_stalled, _) = patiently(DEADLINE, listener.accept()).await.context("it takes too long")??;
        assert_eq!(guest.wait_line("queued ").await?, "queued true");
        let gap = number(&guest.wait_line("largest gap ").await?, "largest gap ")?;
        assert!(gap < LONGEST_PAUSE, "the program stood still for {gap} ms");
        guest.stop().await;
        Ok(())
    })
}

#[test]
fn what_was_written_before_a_close_arrives_whole_at_a_slow_peer() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        const LENGTH: usize = 8 << 20;
        let folder = Folder::new();
        let listener = UnixListener::bind(path(&folder))?;
        let length = LENGTH.to_string();
        let guest = with_sockets("unix", &folder).args(["upload", "/run/echo.sock", &length]).start().await?;
        let (mut peer, _) = patiently(DEADLINE, listener.accept()).await.context("it takes too long")??;
        let mut received = Vec::new();
        let mut piece = vec![0; 256 * 1024];
        loop {
            let n = patiently(DEADLINE, peer.read(&mut piece)).await.context("it takes too long")??;
            if n == 0 {
                break;
            }
            received.extend_from_slice(&piece[..n]);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_same(&received, &pattern(LENGTH));
        assert_eq!(guest.finish().await.success()?.stdout, "closed\n");
        Ok(())
    })
}

#[test]
fn abstract_names_are_used_where_the_policy_allows() -> Result<()> {
    block_on(async {
        let name = format!("wasi-streams-test-{}", std::process::id());
        let policy = Policy::none().allow_unix_abstract("wasi-streams-test-*", UnixPerms::ALL);
        let guest = Guest::named("unix").policy(policy.clone()).args(["serve-abstract", &name]);
        let mut guest = guest.piped_stdin().start().await?;
        assert_eq!(guest.wait_line("Serving on ").await?, format!(r"Serving on b'\x00{name}'"));
        let tries = ["try", "connect", &format!("@{name}"), "listen", &format!("@{name}"), "connect", "@other"];
        let outcome = Guest::named("unix").policy(policy).args(tries).run().await?.success()?;
        let told: Vec<&str> = outcome.stdout.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
        assert_eq!(told, ["ok", "AddrInUse", "PermissionDenied"], "{outcome}");
        assert_eq!(outcome.denials.len(), 1);
        let denial = outcome.denials[0].to_string();
        assert_eq!(denial, r"denied connect to Unix socket b'\x00other': allow it with --unix-abstract other");
        guest.close_stdin();
        guest.finish().await.success()?;
        Ok(())
    })
}

#[test]
fn many_clients_at_once_are_served_behind_a_short_queue() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let folder = Folder::new();
        let guest = server(&folder, &[]).await?;
        let mut clients = Vec::new();
        for n in 0..300_u32 {
            let at = path(&folder);
            clients.push(tokio::spawn(async move {
                // The system refuses at once when the queue is full; asyncio and we try again.
                let mut peer = loop {
                    match UnixStream::connect(&at).await {
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                        other => break other?,
                    }
                };
                peer.write_all(&n.to_le_bytes()).await?;
                peer.shutdown().await?;
                let mut answer = Vec::new();
                peer.read_to_end(&mut answer).await?;
                ensure!(answer == n.to_le_bytes());
                Ok(())
            }));
        }
        for client in clients {
            patiently(DEADLINE, client).await.context("it takes too long")???;
        }
        end(guest).await
    })
}

#[test]
fn only_components_with_the_feature_import_the_interface() -> Result<()> {
    for (name, expected) in [("unix-echo", true), ("unix", true), ("echo-server", false), ("tls", false)] {
        let component = load(&components_dir().join(format!("{name}.wasm")), || {})?.component;
        let imports: Vec<String> =
            component.component_type().imports(engine()).map(|(name, _)| name.to_owned()).collect();
        let ours: Vec<&String> = imports.iter().filter(|import| import.starts_with("wasi-streams:")).collect();
        assert_eq!(ours == ["wasi-streams:unix/sockets@0.1.0"], expected, "{name}: {ours:?}");
        assert!(expected || ours.is_empty(), "{name}: {ours:?}");
    }
    Ok(())
}

async fn wait_for(path: &Path) -> Result<()> {
    let waited = patiently(DEADLINE, async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.with_context(|| format!("{} does not come", path.display()))
}

const ASYNCIO: &str = include_str!("../../peers/unix_asyncio.py");
