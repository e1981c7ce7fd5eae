//! `examples/embed`: a program that embeds the host library, as a program.

use std::ffi::OsStr;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use wasi_streams_host::components_dir;

use crate::support::Folder;

fn embed(options: &[&str], component: &str, arguments: &[&str]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_wasi-streams-run")).with_file_name("embed");
    assert!(program.exists(), "{}: run make components", program.display());
    let component = components_dir().join(format!("{component}.wasm"));
    let all = options.iter().map(OsStr::new).chain([component.as_os_str()]).chain(arguments.iter().map(OsStr::new));
    Command::new(program).args(all).stdin(Stdio::null()).output().expect("it starts")
}

/// Its exit status, standard output, and standard error without the line that a first run has.
fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let stderr = text(&output.stderr).split_inclusive('\n').filter(|line| !line.contains("compiling")).collect();
    (output.status.code(), text(&output.stdout), stderr)
}

#[test]
fn what_is_allowed_works_and_what_is_denied_is_listed_at_the_end() {
    let folder = Folder::new();
    let _listener = UnixListener::bind(folder.path().join("sock")).expect("a socket");
    let unix = format!("/run={}", folder.path().display());
    let output = embed(&["--unix", &unix], "unix", &["try", "connect", "/run/sock", "connect", "/etc/sock"]);
    let (status, stdout, stderr) = told(&output);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stdout.starts_with("ok\nPermissionDenied "), "{stdout}");
    assert_eq!(stderr, "embed: denied connect to Unix socket /etc/sock: allow it with --unix /etc=HOST_DIR\n");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    assert_eq!(told(&embed(&[], "plain", &["connect", &address])), (Some(0), "ok\n".into(), String::new()));
    let (status, stdout, stderr) =
        told(&embed(&["--allow", "10.0.0.0/8:80-90"], "plain", &["connect", "192.0.2.1:80"]));
    assert_eq!((status, stdout.as_str()), (Some(0), "PermissionDenied\n"));
    assert!(stderr.starts_with("embed: denied connect to 192.0.2.1:80"), "{stderr}");
    // The hook is stronger than the rule.
    let (_, stdout, _) = told(&embed(&["--allow", "192.0.2.1"], "plain", &["connect", "192.0.2.1:25"]));
    assert_eq!(stdout, "PermissionDenied\n");
}

#[test]
fn its_time_ends_a_loop_without_end_and_one_that_waits() {
    for arguments in [&["spin"][..], &["serve-one", "127.0.0.1:0"]] {
        let begun = Instant::now();
        let (status, _, stderr) = told(&embed(&["--timeout", "0.3"], "plain", arguments));
        assert_eq!((status, stderr.as_str()), (Some(124), "embed: ended it after 300ms\n"));
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn its_limits_end_the_component_and_not_the_host() {
    let (status, stdout, stderr) = told(&embed(&["--max-memory", "8000000"], "plain", &["grow", "50000000"]));
    assert_eq!((status, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("embed: the component trapped"), "{stderr}");
    let folder = Folder::new();
    let _listener = UnixListener::bind(folder.path().join("sock")).expect("a socket");
    let unix = format!("/run={}", folder.path().display());
    let (_, stdout, stderr) =
        told(&embed(&["--unix", &unix, "--max-sockets", "2"], "unix", &["hold", "/run/sock", "3"]));
    assert!(stdout.starts_with("2 then ") && stdout.ends_with("one more\n"), "{stdout}{stderr}");
}

#[test]
fn it_explains_itself_and_what_is_wrong_in_one_line() {
    let (status, stdout, _) = told(&embed(&["--help"], "plain", &[]));
    assert!(status == Some(0) && stdout.contains("--allow") && stdout.contains("--timeout"), "{stdout}");
    for (options, component, expected) in [
        (&["--allow", "a*b"][..], "plain", "a*b"),
        (&["--unix", "x"], "plain", "GUEST_DIR=FOLDER"),
        (&["--unix", "/run=/nowhere/at/all"], "plain", "/nowhere/at/all"),
        (&["--timeout", "soon"], "plain", "soon"),
        (&["--bogus"], "plain", "--bogus"),
        (&[], "none", "no such file"),
        (&[], "wasi-streams-driver", "wac plug"),
    ] {
        let (status, _, stderr) = told(&embed(options, component, &["exit", "0"]));
        assert_eq!(status, Some(2), "{options:?} {stderr}");
        assert!(stderr.starts_with("embed: ") && stderr.contains(expected), "{stderr}");
    }
}
