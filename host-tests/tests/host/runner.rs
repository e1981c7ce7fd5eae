//! The runner as a program: its options, its exit statuses, its words, its cache.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use wasi_streams_host::components_dir;

use crate::support::Folder;

#[test]
fn help_lists_every_option_and_exits_with_success() {
    let output = run(["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for option in [
        "--allow ",
        "--allow-listen",
        "--net",
        "--no-net",
        "--dns",
        "--env",
        "--dir",
        "--timeout",
        "--max-memory",
        "--max-sockets",
        "--max-resources",
        "--unix ",
        "--unix-abstract",
        "--help",
        "--version",
    ] {
        assert!(help.contains(option), "{option}");
    }
    assert!(text(&run(["--version"]).stdout).starts_with("wasi-streams-run "));
}

#[test]
fn a_command_line_that_means_nothing_is_one_clear_line_and_status_2() {
    let cases: [(&[&str], &str); 24] = [
        (&[], "no component given"),
        (&["--bogus"], "--bogus"),
        (&["--timeout", "10", "x.wasm"], "10s"),
        (&["--timeout", "0s", "x.wasm"], "10s"),
        (&["--allow", "1.2.3.4:x", "x.wasm"], "HOST:PORT"),
        (&["--allow", "a.*.org", "x.wasm"], "a.*.org"),
        (&["--allow", "10.0.0.1:9-8", "x.wasm"], "10.0.0.1:9-8"),
        (&["--allow-listen", "80", "x.wasm"], "IP:PORT"),
        (&["--max-memory", "0", "x.wasm"], "--max-memory 0: "),
        (&["--max-memory", "M", "x.wasm"], "64M"),
        (&["--max-memory", "64MB", "x.wasm"], "64M"),
        (&["--max-memory", "-1", "x.wasm"], "64M"),
        (&["--max-memory", "99999999999999999999G", "x.wasm"], "64M"),
        (&["--max-memory", "18446744073709551615G", "x.wasm"], "64M"),
        (&["--max-memory", "ü", "x.wasm"], "64M"),
        (&["--max-sockets", "0", "x.wasm"], "--max-sockets 0: give a number from 1"),
        (&["--max-sockets", "+1", "x.wasm"], "--max-sockets +1"),
        (&["--max-sockets", "many", "x.wasm"], "--max-sockets many"),
        (&["--max-resources", "0", "x.wasm"], "--max-resources 0"),
        (&["--max-resources", "", "x.wasm"], "give a number from 1"),
        (&["--no-net", "--net", "x.wasm"], "drop one"),
        (&["--unix-abstract", "", "x.wasm"], "give NAME, NAME* or *"),
        (&["--env", "=x", "x.wasm"], "NAME=VALUE"),
        (&["--allow"], "--allow"),
    ];
    for (arguments, expected) in cases {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let line = complaints(&output);
        assert!(line.starts_with("wasi-streams-run: ") && line.contains(expected), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn what_is_not_a_component_is_named_with_the_remedy() {
    let folder = Folder::new();
    let cases: [(&str, &[u8], &str); 4] = [
        ("module.wasm", b"\0asm\x01\0\0\0", "wasm32-wasip2"),
        ("text.wasm", b"hello, this is text", "not WebAssembly"),
        ("short.wasm", b"\0as", "not WebAssembly"),
        ("damaged.wasm", b"\0asm\x0d\0\x01\0\xff\xff", "not a valid component"),
    ];
    for (name, bytes, expected) in cases {
        assert_unstartable(&run([folder.write(name, bytes)]), name, expected);
    }
    assert_unstartable(&run([folder.path().join("none.wasm")]), "none.wasm", "no such file");
    // The smallest component: it is valid, but has nothing to run.
    let empty = folder.write("empty.wasm", b"\0asm\x0d\0\x01\0");
    assert_unstartable(
        &run([&empty]),
        "empty.wasm",
        "not a program: a program exports wasi:cli/run, and this exports nothing",
    );
    assert_unstartable(
        &run([component("wasi-streams")]),
        "wasi-streams.wasm",
        "wac plug PROGRAM --plug wasi-streams.wasm",
    );
}

fn assert_unstartable(output: &Output, name: &str, expected: &str) {
    let line = complaints(output);
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert!(line.contains(name) && line.contains(expected), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn everything_after_the_component_goes_to_the_component() {
    let output = run([OsStr::new("--net"), plain().as_os_str(), "echo-args".as_ref(), "--net".as_ref(), "--".as_ref()]);
    assert_eq!(text(&output.stdout), "plain.wasm\necho-args\n--net\n--\n");
    assert_eq!(complaints(&output), "");
}

#[test]
fn the_exit_status_of_the_guest_is_that_of_the_runner() {
    assert_eq!(run_plain(&[], &["exit", "0"]).status.code(), Some(0));
    assert_eq!(run_plain(&[], &["exit", "1"]).status.code(), Some(1));
    let failed = run_plain(&[], &["fail"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(complaints(&failed).contains("asked to fail"));
}

#[test]
fn a_trap_is_named_and_gives_status_134() {
    let output = run_plain(&[], &["trap"]);
    assert_eq!(output.status.code(), Some(134));
    let text = complaints(&output);
    let first = text.lines().next().unwrap();
    assert!(first.contains("plain.wasm trapped") && first.contains("unreachable"), "{text}");
    assert!(text.contains("backtrace"), "{text}");
}

#[test]
fn a_timeout_ends_a_tight_loop_and_gives_status_124() {
    let output = run_plain(&["--timeout", "200ms"], &["spin"]);
    assert_eq!(output.status.code(), Some(124));
    assert_eq!(text(&output.stdout), "spinning\n");
    assert_eq!(complaints(&output), "wasi-streams-run: plain.wasm ran longer than 200ms: ended it\n");
}

#[test]
fn a_timeout_ends_a_guest_that_waits_for_input() {
    let mut child = command()
        .args(["--timeout", "200ms"])
        .arg(plain())
        .arg("cat")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _open = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(124));
}

#[test]
fn a_timeout_ends_a_guest_whose_output_nobody_reads() {
    let mut child = command()
        .args(["--timeout", "200ms"])
        .arg(plain())
        .arg("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // More than the pipes hold: it ends when the runner is gone.
    let feeding = std::thread::spawn(move || input.write_all(&vec![0; 8 << 20]));
    assert_eq!(child.wait().unwrap().code(), Some(124));
    assert!(feeding.join().unwrap().is_err(), "the guest took everything, so nothing was held up");
}

#[test]
fn who_needs_more_memory_than_there_may_be_traps_and_is_not_started_with_less_than_it_begins_with() {
    const BLOCK: &str = "50000000";
    assert_eq!(text(&run_plain(&["--max-memory", "64M"], &["grow", BLOCK]).stdout), "50000000\n");
    let output = run_plain(&["--max-memory", "16384K"], &["grow", BLOCK]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(134), ""));
    assert!(complaints(&output).contains("memory allocation of 50000000 bytes failed"), "{}", complaints(&output));
    assert_unstartable(&run_plain(&["--max-memory", "1000"], &["exit", "0"]), "plain.wasm", "exceeds memory limits");
}

#[test]
fn beyond_its_sockets_a_guest_is_told_so_and_goes_on() {
    let folder = Folder::new();
    let _listener = std::os::unix::net::UnixListener::bind(folder.path().join("sock")).unwrap();
    let option = format!("/run={}", folder.path().display());
    let output = command()
        .args(["--max-sockets", "3", "--unix", &option])
        .arg(components_dir().join("unix.wasm"))
        .args(["hold", "/run/sock", "5"])
        .output()
        .unwrap();
    let told = text(&output.stdout);
    assert!(told.starts_with("3 then ") && told.ends_with("too many open files\none more\n"), "{told}");
    assert_eq!((output.status.code(), complaints(&output).as_str()), (Some(0), ""));
    // TCP has a limit of its own.
    let listener = Listeners::new();
    assert_eq!(text(&run_plain(&["--max-sockets", "1"], &["connect", &listener.address]).stdout), "ok\n");
}

#[test]
fn beyond_its_resources_a_guest_traps() {
    let listener = Listeners::new();
    let arguments = ["connect", listener.address.as_str()];
    let output = run_plain(&["--max-resources", "2"], &arguments);
    assert_eq!(output.status.code(), Some(134), "{}", complaints(&output));
    assert!(complaints(&output).contains("plain.wasm trapped: "), "{}", complaints(&output));
    assert_eq!(text(&run_plain(&["--max-resources", "100"], &arguments).stdout), "ok\n");
}

#[test]
fn a_component_with_unix_sockets_runs_without_them_and_is_refused_each() {
    let output =
        command().arg(components_dir().join("unix.wasm")).args(["try", "connect", "/run/sock"]).output().unwrap();
    assert!(text(&output.stdout).starts_with("PermissionDenied "), "{}", text(&output.stdout));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        complaints(&output),
        "wasi-streams-run: denied Unix sockets: allow them with --unix GUEST_DIR=HOST_DIR\n"
    );
}

#[test]
fn standard_input_reaches_the_guest() {
    let mut child = command().arg(plain()).arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"typed").unwrap();
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), "typed");
}

#[test]
fn the_environment_is_what_the_options_say_and_no_more() {
    assert_eq!(text(&run_plain(&[], &["env", "PATH"]).stdout), "Err(NotPresent)\n");
    assert_eq!(text(&run_plain(&["--env", "A=b=c"], &["env", "A"]).stdout), "Ok(\"b=c\")\n");
    let output = command().args(["--env", "OURS"]).arg(plain()).args(["env", "OURS"]).env("OURS", "1").output();
    assert_eq!(text(&output.unwrap().stdout), "Ok(\"1\")\n");
}

#[test]
fn a_folder_is_seen_under_the_name_it_is_given() {
    let folder = Folder::new();
    folder.write("file", "contents");
    let option = format!("{}::/data", folder.path().display());
    assert_eq!(text(&run_plain(&["--dir", &option], &["read", "/data/file"]).stdout), "contents");
    assert_eq!(run_plain(&[], &["read", "/data/file"]).status.code(), Some(1));
    assert_unstartable(&run_plain(&["--dir", "/no/such/folder"], &["read", "x"]), "/no/such/folder", "cannot open");
}

#[test]
fn loopback_is_open_unless_there_is_no_network() {
    let listener = Listeners::new();
    assert_eq!(text(&run_plain(&[], &["connect", &listener.address]).stdout), "ok\n");
    assert_eq!(text(&run_plain(&[], &["listen", "127.0.0.1:0"]).stdout), "ok\n");
    for arguments in [["connect", listener.address.as_str()], ["listen", "127.0.0.1:0"]] {
        assert_eq!(text(&run_plain(&["--no-net"], &arguments).stdout), "PermissionDenied\n");
    }
}

#[test]
fn the_runner_names_the_option_that_allows_a_denied_address() {
    let output = run_plain(&[], &["connect", "10.1.2.3:80"]);
    assert_eq!(text(&output.stdout), "PermissionDenied\n");
    assert_eq!(
        complaints(&output),
        "wasi-streams-run: denied connect to 10.1.2.3:80: allow it with --allow 10.1.2.3:80 (or --net)\n"
    );
    let output = run_plain(&[], &["listen", "0.0.0.0:0"]);
    assert_eq!(text(&output.stdout), "PermissionDenied\n");
    assert!(complaints(&output).contains("--allow-listen 0.0.0.0:0 (or --net)"));
    let output = run_plain(&[], &["lookup", "example.org"]);
    assert!(complaints(&output).contains("every name with --dns"));
}

#[test]
fn the_named_option_allows_what_was_denied() {
    assert_eq!(text(&run_plain(&["--allow-listen", "0.0.0.0:0"], &["listen", "0.0.0.0:0"]).stdout), "ok\n");
    assert_eq!(text(&run_plain(&["--net"], &["listen", "0.0.0.0:0"]).stdout), "ok\n");
    assert_eq!(text(&run_plain(&["--dns"], &["lookup", "localhost"]).stdout), "ok\n");
    assert_eq!(text(&run_plain(&["--allow", "localhost"], &["lookup", "localhost"]).stdout), "ok\n");
    // Refused by the address, no longer by the runner: 0.0.0.0 is no peer, 127.0.0.2 has no listener.
    let listener = Listeners::new();
    let port = listener.address.rsplit_once(':').unwrap().1;
    let output = run_plain(&["--allow", &format!("127.0.0.2:{port}")], &["connect", &format!("127.0.0.2:{port}")]);
    assert_eq!(text(&output.stdout), "ConnectionRefused\n");
    assert_eq!(complaints(&output), "");
}

#[test]
fn a_component_is_compiled_once_and_a_damaged_cache_is_repaired() {
    let cache = Folder::new();
    let run = || {
        let output = command().arg(plain()).args(["exit", "0"]).env("WASI_STREAMS_CACHE", cache.path()).output();
        let output = output.unwrap();
        assert_eq!((output.status.code(), complaints(&output).as_str()), (Some(0), ""));
    };
    run();
    let compiled = compiled(&cache);
    let written = fs::metadata(&compiled).unwrap().modified().unwrap();
    let whole = fs::read(&compiled).unwrap();
    run();
    assert_eq!(fs::metadata(&compiled).unwrap().modified().unwrap(), written, "the second start writes nothing");
    for damaged in [&b""[..], b"garbage", &whole[..whole.len() / 2], &whole[..whole.len() - 1]] {
        fs::write(&compiled, damaged).unwrap();
        run();
        assert!(fs::read(&compiled).unwrap() == whole, "repaired after {} bytes", damaged.len());
    }
}

#[test]
fn a_cache_that_cannot_be_written_costs_time_only() {
    let folder = Folder::new();
    let file = folder.write("file", "");
    let output = command().arg(plain()).args(["exit", "0"]).env("WASI_STREAMS_CACHE", &file).output().unwrap();
    assert_eq!((output.status.code(), complaints(&output).as_str()), (Some(0), ""));
}

#[test]
fn processes_that_start_together_share_an_empty_cache() {
    let cache = Folder::new();
    let start = || {
        let mut command = command();
        command.arg(plain()).args(["exit", "0"]).env("WASI_STREAMS_CACHE", cache.path()).spawn().unwrap()
    };
    let children: Vec<_> = (0..4).map(|_| start()).collect();
    for mut child in children {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    compiled(&cache);
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_wasi-streams-run"))
}

fn run(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    command().args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn run_plain(options: &[&str], arguments: &[&str]) -> Output {
    command().args(options).arg(plain()).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn plain() -> PathBuf {
    let path = components_dir().join("plain.wasm");
    assert!(path.exists(), "{}: run make components", path.display());
    path
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard error, but for the line that a slow machine earns on its first run.
fn complaints(output: &Output) -> String {
    let stderr = text(&output.stderr);
    stderr.split_inclusive('\n').filter(|line| !line.starts_with("wasi-streams-run: compiling ")).collect()
}

/// A native listener whose connections wait in its queue.
struct Listeners {
    address: String,
    _listener: std::net::TcpListener,
}

impl Listeners {
    fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Listeners { address: listener.local_addr().unwrap().to_string(), _listener: listener }
    }
}

/// The one compiled component in a cache.
fn compiled(cache: &Folder) -> PathBuf {
    let files = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut compiled: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "cwasm")).collect();
    assert_eq!(compiled.len(), 1, "{compiled:?}");
    compiled.remove(0)
}

/// Run by a user to whom the system gives nothing: root could read everything.
#[test]
fn what_the_user_may_not_touch_is_refused_to_the_guest_with_its_kind_and_its_path() {
    const NOBODY: u32 = 65534;
    let folder = Folder::new();
    let shut = |name: &str, mode| {
        let path = folder.path().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let _listeners = ["unreadable", "good"].map(|name| UnixListener::bind(folder.path().join(name)).unwrap());
    shut("unreadable", 0);
    shut("good", 0o777);
    for (name, mode) in [("closed", 0), ("read-only", 0o555)] {
        fs::create_dir(folder.path().join(name)).unwrap();
        shut(name, mode);
    }
    shut("", 0o755);
    let copied = |from: &Path, name: &str| fs::copy(from, folder.path().join(name)).map(|_| folder.path().join(name));
    let runner = copied(Path::new(env!("CARGO_BIN_EXE_wasi-streams-run")), "runner").unwrap();
    let fixture = copied(&components_dir().join("unix.wasm"), "unix.wasm").unwrap();

    let tries = ["connect /run/unreadable", "connect /run/closed/a", "listen /run/read-only/a", "connect /run/good"];
    let mut command = Command::new(runner);
    if rustix::process::getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.arg("--unix").arg(format!("/run={}", folder.path().display())).arg(fixture).arg("try");
    let output = command.args(tries.iter().flat_map(|one| one.split(' '))).env_remove("HOME").output().unwrap();
    let told = text(&output.stdout);
    let expected = ["'/run/unreadable'", "'/run/closed/a'", "'/run/read-only/a'"];
    assert_eq!(told.lines().count(), tries.len(), "{told}{}", complaints(&output));
    for (line, path) in told.lines().zip(expected) {
        assert!(line.starts_with("PermissionDenied ") && line.contains(path), "{line}");
    }
    assert_eq!(told.lines().last(), Some("ok"));
    shut("closed", 0o755);
}

#[test]
fn ended_by_a_signal_it_leaves_no_socket_file() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let folder = Folder::new();
        let (unix, file) = (format!("/run={}", folder.path().display()), folder.path().join("sock"));
        let server = ["--unix", &unix, &component("unix-echo"), "server", "/run/sock"].map(String::from);
        let mut runner = spawn(&server);
        let mut line = String::new();
        BufReader::new(runner.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        assert!(line.starts_with("Serving on ") && file.exists(), "{line}");
        kill_process(Pid::from_child(&runner), signal).expect("it runs");
        assert_eq!(runner.wait().expect("it ends").code(), Some(status));
        assert!(!file.exists(), "{signal:?}");
    }
}

#[test]
fn a_signal_ends_a_loop_without_end_and_a_guest_whose_output_nobody_reads() {
    for arguments in [&["spin"][..], &["flood-stdout"]] {
        let mut runner = spawn(
            &[&[component("plain")][..], &arguments.iter().map(ToString::to_string).collect::<Vec<_>>()].concat(),
        );
        let mut byte = [0];
        runner.stdout.as_mut().expect("piped").read_exact(&mut byte).expect("it has begun");
        kill_process(Pid::from_child(&runner), Signal::TERM).expect("it runs");
        assert_eq!(runner.wait().expect("it ends").code(), Some(143), "{arguments:?}");
    }
}

fn component(name: &str) -> String {
    components_dir().join(format!("{name}.wasm")).display().to_string()
}

fn spawn(arguments: &[String]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasi-streams-run"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts")
}
