//! What a guest may not do: it learns so by a typed error that names the address and the remedy, and everything else
//! goes on working.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::Result;
use wasi_streams_host::{Denial, Guest, Policy, block_on, components_dir};

use crate::loopback::{Echo, V4, V6};

#[test]
fn without_a_network_every_socket_is_denied_and_the_program_goes_on() -> Result<()> {
    block_on(async {
        let outcome = steps(["open 127.0.0.1 80", "listen 127.0.0.1 0", "resolve localhost", "resolve 10.1.2.3"])
            .policy(Policy::none())
            .run()
            .await?
            .success()?;
        let told = told(&outcome.stdout);
        for (line, address) in [(told[0], "127.0.0.1:80"), (told[1], "127.0.0.1:0")] {
            assert!(line.starts_with(&format!("error PermissionDenied: cannot use {address}: ")), "{line}");
            assert!(line.contains("-S tcp,inherit-network") && line.contains("--net"), "{line}");
        }
        assert_eq!(told[3..], ["resolve error Denied", "addresses [10.1.2.3:80]"], "{outcome}");
        assert_eq!(outcome.denials, [Denial::Tcp, Denial::Lookup("localhost".into())]);
        Ok(())
    })
}

#[test]
fn without_name_lookup_names_are_denied_and_addresses_work() -> Result<()> {
    block_on(async {
        let echo = Echo::on(V4, 0).await?;
        let port = echo.addr().port();
        let guest = steps([format!("open example.org {port}"), format!("open 127.0.0.1 {port} say=hello")]);
        let (outcome, served) = tokio::join!(guest.run(), echo.answer());
        served?;
        let outcome = outcome?.success()?;
        let told = told(&outcome.stdout);
        assert!(told[0].starts_with("error PermissionDenied: cannot resolve \"example.org\": "), "{}", told[0]);
        assert!(told[0].contains("-S allow-ip-name-lookup") && told[0].contains("--dns"), "{}", told[0]);
        assert_eq!(told[1], "resolve error Denied");
        assert!(outcome.stdout.contains("heard b\"hello\\n\"\n"), "{outcome}");
        assert_eq!(outcome.denials, [Denial::Lookup("example.org".into())]);
        Ok(())
    })
}

#[test]
fn a_name_below_an_allowed_one_opens_the_addresses_that_the_guest_is_told_and_no_near_ones() -> Result<()> {
    block_on(async {
        let echo = Echo::on(V4, 0).await?;
        let port = echo.addr().port();
        let far: std::net::IpAddr = "192.0.2.1".parse()?;
        let tries = |name: &str, port: u16| {
            let guest = Guest::named("echo-client").args(["--host", name, "--port", &port.to_string()]);
            let guest = guest.host("a.example.test", [far]).host("near.example.test", [V4]).host("b.other.test", [far]);
            guest.deadline(Duration::from_secs(2))
        };
        let policy = Policy::none().allow("*.example.test:443")?;
        let denied = async |name: &str, port| -> Result<Vec<Denial>> {
            Ok(tries(name, port).policy(policy.clone()).run().await?.denials)
        };
        // Nobody is there, and nobody forbids it.
        assert_eq!(denied("a.example.test", 443).await?, [] as [Denial; 0]);
        assert_eq!(denied("a.example.test", 444).await?, [Denial::Connect("192.0.2.1:444".parse()?)]);
        assert_eq!(denied("192.0.2.1", 443).await?, [Denial::Connect("192.0.2.1:443".parse()?)]);
        assert_eq!(denied("b.other.test", 443).await?, [Denial::Lookup("b.other.test".into())]);
        // Whoever runs the domain does not open this machine.
        let policy = Policy::none().allow("*.example.test")?;
        let outcome = tries("near.example.test", port).policy(policy).run().await?;
        assert_eq!(outcome.denials, [Denial::Connect(echo.addr())], "{outcome}");
        Ok(())
    })
}

#[test]
fn a_name_that_is_allowed_is_looked_up_and_others_are_denied() -> Result<()> {
    block_on(async {
        let policy = Policy::none().allow("localhost")?;
        let outcome = steps(["resolve localhost", "resolve example.org"]).policy(policy).run().await?.success()?;
        let told = told(&outcome.stdout);
        assert!(told[0].starts_with("addresses ["), "{outcome}");
        assert_eq!(told[2], "resolve error Denied", "{outcome}");
        Ok(())
    })
}

#[test]
fn a_forbidden_address_is_named_and_others_are_reached() -> Result<()> {
    block_on(async {
        let echo = Echo::on(V4, 0).await?;
        let port = echo.addr().port();
        let guest = steps([
            "open 10.1.2.3 80".into(),
            "open 2001:db8::1 80".into(),
            format!("open 127.0.0.1 {port} say=hello"),
        ]);
        let (outcome, served) = tokio::join!(guest.run(), echo.answer());
        served?;
        let outcome = outcome?.success()?;
        for (line, address) in told(&outcome.stdout).iter().zip(["10.1.2.3:80", "[2001:db8::1]:80"]) {
            let expected = format!(
                "error PermissionDenied: the host does not permit connecting to {address} (to allow it: wasmtime: \
                 -S tcp,inherit-network; wasi-streams-run: --allow {address})"
            );
            assert_eq!(*line, expected);
        }
        assert!(outcome.stdout.contains("heard b\"hello\\n\"\n"), "{outcome}");
        let denied = |address: &str| address.parse().map(Denial::Connect);
        assert_eq!(outcome.denials, [denied("10.1.2.3:80")?, denied("[2001:db8::1]:80")?]);
        Ok(())
    })
}

#[test]
fn one_forbidden_address_of_a_name_does_not_keep_from_the_others() -> Result<()> {
    block_on(async {
        for (first, second) in [(V4, V6), (V6, V4)] {
            let echo = Echo::on(second, 0).await?;
            let port = echo.addr().port();
            let policy = Policy::none().dns(true).allow(&SocketAddr::new(second, port).to_string())?;
            let guest = steps([format!("open two.test {port} say=hello")]).host("two.test", [first, second]);
            let (outcome, served) = tokio::join!(guest.policy(policy).run(), echo.answer());
            served?;
            let outcome = outcome?.success()?;
            assert!(outcome.stdout.contains("heard b\"hello\\n\"\n"), "{outcome}");
            assert_eq!(outcome.denials, [Denial::Connect(SocketAddr::new(first, port))]);
        }
        Ok(())
    })
}

#[test]
fn all_forbidden_addresses_of_a_name_are_told() -> Result<()> {
    block_on(async {
        let policy = Policy::none().dns(true).allow("127.0.0.9:1")?;
        let guest = steps(["open two.test 80"]).host("two.test", [V4, V6]).policy(policy);
        let outcome = guest.run().await?.success()?;
        let told = told(&outcome.stdout);
        assert!(told[0].starts_with("error PermissionDenied: multiple errors: "), "{outcome}");
        assert!(told[1].starts_with("each PermissionDenied: the host does not permit connecting to 127.0.0.1:80 "));
        assert!(told[2].starts_with("each PermissionDenied: the host does not permit connecting to [::1]:80 "));
        Ok(())
    })
}

#[test]
fn a_forbidden_listen_address_is_named_and_others_serve() -> Result<()> {
    block_on(async {
        let guest =
            steps(["listen 0.0.0.0 0", "listen 10.0.0.1 8080", "listen 127.0.0.1,0.0.0.0 0", "listen 127.0.0.1 0"]);
        let outcome = guest.run().await?.success()?;
        let told = told(&outcome.stdout);
        for (line, address) in told.iter().zip(["0.0.0.0:0", "10.0.0.1:8080", "0.0.0.0:0"]) {
            let expected = format!(
                "error PermissionDenied: the host does not permit listening on {address} (to allow it: wasmtime: \
                 -S tcp,inherit-network; wasi-streams-run: --allow-listen {address})"
            );
            assert_eq!(*line, expected);
        }
        assert!(told[3].starts_with("listening on [127.0.0.1:"), "{outcome}");
        assert_eq!(outcome.denials, [Denial::Listen("0.0.0.0:0".parse()?), Denial::Bind("10.0.0.1:8080".parse()?)]);
        Ok(())
    })
}

#[test]
fn a_forbidden_local_address_is_named() -> Result<()> {
    block_on(async {
        let outcome = steps(["open 127.0.0.1 80 local=10.0.0.1:0"]).run().await?.success()?;
        let told = told(&outcome.stdout);
        assert!(told[0].starts_with("error PermissionDenied: the host does not permit "), "{}", told[0]);
        assert!(told[0].contains("10.0.0.1:0"), "{}", told[0]);
        Ok(())
    })
}

#[test]
fn the_runner_says_which_option_allows_what_the_guest_was_denied() {
    let cases: [(&[&str], &str, &str); 5] = [
        (
            &["--no-net"],
            "open 127.0.0.1 80",
            "denied TCP sockets: allow them with --net, or loopback's by leaving out --no-net",
        ),
        (&[], "open 10.1.2.3 80", "denied connect to 10.1.2.3:80: allow it with --allow 10.1.2.3:80 (or --net)"),
        (&[], "listen 0.0.0.0 0", "denied listen on 0.0.0.0:0: allow it with --allow-listen 0.0.0.0:0 (or --net)"),
        (&[], "listen 10.0.0.1 80", "denied bind to 10.0.0.1:80: allow it with --allow-listen 10.0.0.1:80 (or --net)"),
        (&[], "resolve a.test", "denied lookup of \"a.test\": allow it with --allow a.test, or every name with --dns"),
    ];
    for (options, step, expected) in cases {
        let output = run(options, step);
        assert_eq!(output.status.code(), Some(0), "the guest copes");
        assert!(text(&output.stdout).contains("error PermissionDenied: "), "{step}: {}", text(&output.stdout));
        assert_eq!(text(&output.stderr), format!("wasi-streams-run: {expected}\n"), "{step}");
    }
}

#[test]
fn the_option_that_the_guest_s_error_names_allows_it() {
    for (denied, options, expected) in [
        ("listen 0.0.0.0 0", &["--allow-listen", "0.0.0.0:0"][..], "listening on [0.0.0.0:"),
        ("listen 0.0.0.0 0", &["--net"], "listening on [0.0.0.0:"),
        ("resolve localhost", &["--dns"], "addresses ["),
    ] {
        let before = text(&run(&[], denied).stdout);
        assert!(before.contains("PermissionDenied") && before.contains(&options.join(" ")) || options == ["--net"]);
        let output = run(options, denied);
        assert!(text(&output.stdout).contains(expected), "{denied} {options:?}: {}", text(&output.stdout));
        assert_eq!(text(&output.stderr), "");
    }
}

/// The guest performs these one after another; each is a line of words.
fn steps(steps: impl IntoIterator<Item = impl AsRef<str>>) -> Guest {
    let mut guest = Guest::named("connect");
    for (number, step) in steps.into_iter().enumerate() {
        if number > 0 {
            guest = guest.arg("then");
        }
        guest = guest.args(step.as_ref().split(' '));
    }
    guest
}

/// The guest's lines but for the times.
fn told(stdout: &str) -> Vec<&str> {
    stdout.lines().filter(|line| !line.starts_with("after ")).collect()
}

fn run(options: &[&str], step: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasi-streams-run"));
    command.args(options).arg(components_dir().join("connect.wasm")).args(step.split(' '));
    command.stdin(Stdio::null()).output().expect("the runner runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
