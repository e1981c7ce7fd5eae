//! `examples/embed`: a program that embeds the host library, as a program.

use std::ffi::OsStr;
use std::iter;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use wasi_streams_host::components_dir;

use crate::support::Folder;

/// Runs it in `folder`, which is the component's /run.
fn embed(folder: &Folder, component: &str, arguments: &[&str]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_wasi-streams-run")).with_file_name("embed");
    assert!(program.exists(), "{}: run make components", program.display());
    let component = components_dir().join(format!("{component}.wasm"));
    let all = iter::once(component.as_os_str()).chain(arguments.iter().map(OsStr::new));
    Command::new(program).current_dir(folder.path()).args(all).stdin(Stdio::null()).output().expect("it starts")
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
    let output = embed(&folder, "unix", &["try", "connect", "/run/sock", "connect", "/etc/sock"]);
    let (status, stdout, stderr) = told(&output);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stdout.starts_with("ok\nPermissionDenied "), "{stdout}");
    assert_eq!(stderr, "embed: denied connect to Unix socket /etc/sock: allow it with --unix /etc=HOST_DIR\n");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let connect = |to: &str| told(&embed(&folder, "plain", &["connect", to]));
    let address = listener.local_addr().expect("an address").to_string();
    assert_eq!(connect(&address), (Some(0), "ok\n".into(), String::new()));
    for refused in ["192.0.2.1:80", "10.0.0.1:80", "127.0.0.1:25"] {
        let (status, stdout, stderr) = connect(refused);
        assert_eq!((status, stdout.as_str()), (Some(0), "PermissionDenied\n"), "{refused}");
        assert!(stderr.starts_with(&format!("embed: denied connect to {refused}")), "{stderr}");
    }
}

#[test]
fn its_time_ends_a_loop_without_end_and_one_that_waits() {
    for arguments in [&["spin"][..], &["serve-one", "127.0.0.1:0"]] {
        let (status, _, stderr) = told(&embed(&Folder::new(), "plain", arguments));
        assert_eq!(status, Some(2));
        assert!(stderr.starts_with("embed: it has run for five seconds, which is as long as it may"), "{stderr}");
    }
}

#[test]
fn its_limits_end_the_component_and_not_the_host() {
    let folder = Folder::new();
    let (status, stdout, stderr) = told(&embed(&folder, "plain", &["grow", "100000000"]));
    assert_eq!((status, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("embed: the component trapped"), "{stderr}");
    let _listener = UnixListener::bind(folder.path().join("sock")).expect("a socket");
    let (_, stdout, stderr) = told(&embed(&folder, "unix", &["hold", "/run/sock", "21"]));
    assert!(stdout.starts_with("20 then ") && stdout.ends_with("one more\n"), "{stdout}{stderr}");
}

#[test]
fn its_status_is_the_component_s() {
    let folder = Folder::new();
    assert_eq!(told(&embed(&folder, "plain", &["exit", "0"])).0, Some(0));
    assert_eq!(told(&embed(&folder, "plain", &["exit", "1"])).0, Some(1));
}

#[test]
fn what_cannot_be_started_is_explained_in_one_line() {
    let folder = Folder::new();
    for (component, expected) in [("none", "no such file"), ("wasi-streams-driver", "wac plug")] {
        let (status, _, stderr) = told(&embed(&folder, component, &[]));
        assert_eq!(status, Some(2), "{stderr}");
        assert!(stderr.starts_with("embed: ") && stderr.contains(expected), "{stderr}");
    }
}
