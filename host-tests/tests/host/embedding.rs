//! The host library in a program of its own: a store, a linker and a policy, with nothing of the harness; and the limits of a guest.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::net::UnixListener;
use wasi_streams_host::enforce::{self, Enforcement, PolicyView};
use wasi_streams_host::unix::UnixPerms;
use wasi_streams_host::{
    Denial, Guest, Limits, Policy, Status, Ticking, Verdict, block_on, components_dir, engine, explain_missing, load,
    peer::{Listener, Peer},
};
use wasmtime::Store;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::support::Folder;

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    enforcement: Enforcement,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl PolicyView for State {
    fn policy(&mut self) -> (&mut Enforcement, WasiCtxView<'_>) {
        (&mut self.enforcement, WasiCtxView { ctx: &mut self.wasi, table: &mut self.table })
    }
}

/// A store for a component as an embedder makes it, and the output.
fn store(name: &str, arguments: &[&str], policy: Policy) -> Result<(Store<State>, MemoryOutputPipe)> {
    let enforcement = Enforcement::new(policy, Limits::default())?;
    let output = MemoryOutputPipe::new(64 * 1024);
    let mut builder = WasiCtx::builder();
    builder.arg(name).args(arguments).stdout(output.clone()).stderr(output.clone());
    enforcement.configure(&mut builder);
    let mut store = Store::new(engine(), State { wasi: builder.build(), table: ResourceTable::new(), enforcement });
    enforce::limit(&mut store);
    Ok((store, output))
}

/// Runs a component as an embedder does; gives its output and what it was refused.
async fn embed(name: &str, arguments: &[&str], policy: Policy) -> Result<(String, Vec<Denial>)> {
    let component = load(&components_dir().join(format!("{name}.wasm")), || {})?.component;
    let mut linker = Linker::<State>::new(engine());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    enforce::add_to_linker(&mut linker)?;

    let (mut store, output) = store(name, arguments, policy)?;
    let denials = store.data().enforcement.denials().clone();
    let command = Command::instantiate_async(&mut store, &component, &linker).await?;
    let _ = command.wasi_cli_run().call_run(&mut store).await;
    Ok((String::from_utf8(output.contents().to_vec())?, denials.list()))
}

#[test]
fn an_embedder_s_own_store_runs_components_under_a_policy() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let _listener = UnixListener::bind(folder.path().join("sock"))?;
        let policy = || Policy::loopback().allow_unix("/run", folder.path(), UnixPerms::CONNECT);
        let tries = ["try", "connect", "/run/sock", "listen", "/run/new", "connect", "/run/../x"];
        let (told, denials) = embed("unix", &tries, policy()).await?;
        let kinds: Vec<&str> = told.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
        assert_eq!(kinds, ["ok", "PermissionDenied", "PermissionDenied"], "{told}");
        assert_eq!(denials.len(), 2, "{denials:?}");

        let (told, denials) = embed("echo-client", &["--host", "example.test"], policy()).await?;
        assert!(told.contains("the resolver refused"), "{told}");
        assert_eq!(denials, [Denial::Lookup("example.test".into())]);
        let (told, denials) = embed("echo-client", &["--host", "192.0.2.1", "--port", "9"], policy()).await?;
        assert!(told.contains("does not permit connecting to 192.0.2.1:9"), "{told}");
        assert_eq!(denials, [Denial::Connect("192.0.2.1:9".parse()?)]);
        // A hook has the last word, over Unix sockets too.
        let nobody = policy().hook(|denial| if let Denial::Unix(_) = denial { Verdict::Deny } else { Verdict::Rules });
        let (told, denials) = embed("unix", &tries[..3], nobody).await?;
        assert!(told.starts_with("PermissionDenied "), "{told}");
        let told: Vec<String> = denials.iter().map(ToString::to_string).collect();
        let by_hook = "denied connect to Unix socket /run/sock: a hook of the host refuses it, whatever the rules say";
        assert_eq!(told, [by_hook]);
        Ok(())
    })
}

#[test]
fn nothing_takes_the_place_of_the_policy_in_a_linker() -> Result<()> {
    // Before wasmtime's sockets there is nothing to put it in front of.
    let mut linker = Linker::<State>::new(engine());
    let error = enforce::add_to_linker(&mut linker).expect_err("there are no sockets");
    assert!(format!("{error:#}").contains("add_to_linker_async before"), "{error:#}");
    // Behind it nobody shadows it, though it was allowed before.
    let mut linker = Linker::<State>::new(engine());
    linker.allow_shadowing(true);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    enforce::add_to_linker(&mut linker)?;
    ensure!(wasmtime_wasi::p2::add_to_linker_async(&mut linker).is_err(), "the policy is shadowed");
    Ok(())
}

#[test]
fn in_a_linker_without_the_layer_no_name_is_looked_up() -> Result<()> {
    block_on(async {
        let component = load(&components_dir().join("echo-client.wasm"), || {})?.component;
        let mut linker = Linker::<State>::new(engine());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        let (mut store, output) = store("echo-client", &["--host", "localhost"], Policy::loopback().dns(true))?;
        let command = Command::instantiate_async(&mut store, &component, &linker).await?;
        let _ = command.wasi_cli_run().call_run(&mut store).await;
        let told = String::from_utf8(output.contents().to_vec())?;
        ensure!(told.contains("the resolver refused"), "{told}");
        Ok(())
    })
}

#[test]
fn hooks_and_the_log_know_names_and_paths_in_one_form() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let _listener = UnixListener::bind(folder.path().join("admin"))?;
        let policy = Policy::loopback().dns(true).allow_unix("/run", folder.path(), UnixPerms::ALL);
        let policy = policy.hook(|denial| match denial {
            Denial::Lookup(name) if name == "localhost" => Verdict::Deny,
            Denial::Unix(denial) if denial.address == "/run/admin" => Verdict::Deny,
            _ => Verdict::Rules,
        });
        for spelling in ["/run/admin", "/run//admin", "/run/./admin", "//run/admin/"] {
            let (told, _) = embed("unix", &["try", "connect", spelling], policy.clone()).await?;
            ensure!(told.starts_with("PermissionDenied "), "{spelling}: {told}");
        }
        for spelling in ["localhost", "LOCALhost", "%6cocalhost", "\u{ff4c}ocalhost", "loc\u{ad}alhost"] {
            let (told, denials) = embed("plain", &["lookup", spelling], policy.clone()).await?;
            let refused = Denial::ByHook(Box::new(Denial::Lookup("localhost".into())));
            ensure!(told != "ok\n" && denials == [refused], "{spelling}: {told}{denials:?}");
        }
        Ok(())
    })
}

#[test]
fn what_is_longer_than_any_name_is_refused_before_anybody_looks_at_it() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let policy = Policy::loopback().allow_unix("/run", folder.path(), UnixPerms::ALL);
        let policy = policy.allow_unix_abstract("*", UnixPerms::ALL);
        for path in [format!("/run{}", "/x".repeat(2100)), "/elsewhere/".repeat(400), format!("@{}", "x".repeat(108))] {
            let (told, denials) = embed("unix", &["try", "connect", &path], policy.clone()).await?;
            ensure!(told.starts_with("InvalidFilename ") && denials.is_empty(), "{told}{denials:?}");
        }
        let long = "a.".repeat(1000);
        let (told, denials) = embed("plain", &["lookup", &long], policy).await?;
        ensure!(told == "InvalidInput\n" && denials.is_empty(), "{told}{denials:?}");
        Ok(())
    })
}

#[test]
fn a_host_without_unix_sockets_names_the_feature_and_what_to_do() -> Result<()> {
    block_on(async {
        let component = load(&components_dir().join("unix-echo.wasm"), || {})?.component;
        let mut linker = Linker::<State>::new(engine());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        let Err(error) = linker.instantiate_pre(&component) else { bail!("there are no Unix sockets in this linker") };
        // What a host says that is not ours: README.md quotes it.
        let stock = format!("{error:#}");
        assert!(stock.starts_with("component imports instance `wasi-streams:unix/sockets@0.1.0`, but "), "{stock}");
        let explained = explain_missing(&component, error).to_string();
        assert_eq!(
            explained,
            "the component needs Unix sockets (wasi-streams:unix/sockets@0.1.0), and this host does not have them: add \
             wasi_streams_host::enforce::add_to_linker to its linker (or unix::add_to_linker, without a policy), or run the \
             component with wasi-streams-run"
        );
        // What has nothing to do with imports stays as it is.
        let other = explain_missing(&component, wasmtime::Error::msg("out of memory"));
        assert_eq!(format!("{other:#}"), "out of memory");
        Ok(())
    })
}

#[test]
fn what_only_a_composition_has_is_named_with_the_way_to_it() -> Result<()> {
    block_on(async {
        let guest = Guest::named("wasi-streams-driver").run().await;
        let error = format!("{:#}", guest.expect_err("it is a part of a program"));
        assert!(error.starts_with("wasi-streams-driver.wasm: cannot be started: the component needs "), "{error}");
        assert!(error.contains("(wasi-streams:net/") && error.contains("wac plug"), "{error}");
        Ok(())
    })
}

#[test]
fn beyond_its_sockets_a_guest_gets_no_more_and_closing_some_helps() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let _listener = UnixListener::bind(folder.path().join("sock"))?;
        let guest = Guest::named("unix").args(["hold", "/run/sock", "5"]);
        let guest = guest.policy(Policy::none().allow_unix("/run", folder.path(), UnixPerms::ALL));
        let outcome = guest.limits(Limits::default().sockets(3)).run().await?.success()?;
        let refused = "3 then error while connecting to the Unix socket '/run/sock': too many open files\none more\n";
        assert_eq!(outcome.stdout, refused);
        Ok(())
    })
}

#[test]
fn a_server_with_as_many_connections_as_it_may_have_leaves_the_next_in_the_queue() -> Result<()> {
    block_on(async {
        let guest = Guest::named("echo-server").args(["--port", "0", "--stream"]);
        let mut guest = guest.limits(Limits::default().sockets(2)).start().await?;
        let line = guest.wait_line("Serving on ").await?;
        let address = line.strip_prefix("Serving on ").context("an address")?.parse()?;
        let mut first = Peer::connect(address).await?;
        first.write_all(b"1").await?;
        assert_eq!(first.read_exact(1).await?, b"1");
        let mut second = Peer::connect(address).await?;
        second.write_all(b"2").await?;
        let told = guest.wait_stderr_line("echo-server: ").await?;
        ensure!(told.contains("too many open files"), "{told}");
        assert_eq!(guest.snapshot().resources.tcp_sockets, 2);
        drop(first);
        assert_eq!(second.read_exact(1).await?, b"2");
        guest.stop().await;
        Ok(())
    })
}

#[test]
fn a_guest_that_wants_more_memory_than_it_may_have_ends_and_never_has_it() -> Result<()> {
    block_on(async {
        const MOST: usize = 8 << 20;
        let folder = Folder::new();
        let _listener = UnixListener::bind(folder.path().join("sock"))?;
        let policy = Policy::none().allow_unix("/run", folder.path(), UnixPerms::ALL);
        let upload = |bytes: &str| Guest::named("unix").args(["upload", "/run/sock", bytes]).policy(policy.clone());
        let outcome = upload("100000000").limits(Limits::default().memory_bytes(MOST)).run().await?;
        assert!(matches!(outcome.status, Status::Trapped { .. }), "{outcome}");
        assert!(outcome.last.memory_bytes <= MOST, "{outcome}");
        Ok(())
    })
}

#[test]
fn udp_is_there_where_everything_is_and_keeps_to_the_limit_of_sockets() -> Result<()> {
    block_on(async {
        let udp = |policy| Guest::named("plain").args(["udp", "127.0.0.1:0", "127.0.0.1:0"]).policy(policy);
        for policy in [Policy::none(), Policy::loopback(), Policy::none().dns(true).allow("127.0.0.1")?] {
            let outcome = udp(policy).run().await?.success()?;
            assert_eq!(outcome.stdout, "PermissionDenied\nPermissionDenied\n");
            assert_eq!(outcome.denials, [Denial::UdpSocket]);
            assert_eq!(outcome.denials[0].to_string(), "denied UDP sockets: allow them with --net");
        }
        let outcome = udp(Policy::everything()).run().await?.success()?;
        assert_eq!((outcome.stdout.as_str(), outcome.denials.len()), ("ok\nok\n", 0));
        let outcome = udp(Policy::everything()).limits(Limits::default().sockets(1)).run().await?.success()?;
        let told: Vec<&str> = outcome.stdout.lines().collect();
        ensure!(told.len() == 2 && told[0] == "ok" && told[1] != "ok", "{outcome}");
        // One that a hook does not like is refused by its address.
        let hooked = Policy::everything().hook(|denial| match denial {
            Denial::Udp(_) => Verdict::Deny,
            _ => Verdict::Rules,
        });
        let outcome = udp(hooked).run().await?.success()?;
        assert_eq!(outcome.stdout, "PermissionDenied\nPermissionDenied\n");
        let expected = Denial::ByHook(Box::new(Denial::Udp("127.0.0.1:0".parse()?)));
        assert_eq!(outcome.denials, [expected]);
        Ok(())
    })
}

#[test]
fn beyond_its_tcp_sockets_a_client_is_told_so() -> Result<()> {
    block_on(async {
        let listener = Listener::v4()?;
        let port = listener.port().to_string();
        for (most, expected) in [(0, "too many open files"), (1, "")] {
            let guest = Guest::named("connect").args(["open", "127.0.0.1", &port]);
            let outcome = guest.limits(Limits::default().sockets(most)).run().await?.success()?;
            let refused = outcome.stdout.contains("error ");
            ensure!(refused == (most == 0) && outcome.stdout.contains(expected), "{outcome}");
        }
        Ok(())
    })
}

/// Whoever has the number of a lookup next does not inherit what it opened.
#[test]
fn what_a_name_of_a_pattern_opens_no_other_name_opens() -> Result<()> {
    block_on(async {
        let (inside, outside) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        // Which number that is depends on what came before.
        for lookups in 1..6 {
            let guest = Guest::named("connect").args(["resolve", "a.example.test", "then"].repeat(lookups));
            let guest = guest.args(["open", "b.other.test", "443"]);
            let guest = guest.host("a.example.test", [inside]).host("b.other.test", [outside]);
            let outcome = guest.policy(Policy::none().dns(true).allow("*.example.test")?).run().await?.success()?;
            assert_eq!(outcome.denials, [Denial::Connect(SocketAddr::new(outside, 443))], "{outcome}");
        }
        Ok(())
    })
}

#[test]
fn a_loop_without_end_gives_way_and_is_ended_by_the_embedder() -> Result<()> {
    block_on(async {
        let _ticking = Ticking::start();
        let spin = embed("plain", &["spin"], Policy::none());
        ensure!(tokio::time::timeout(Duration::from_secs(2), spin).await.is_err(), "it has ended by itself");
        Ok(())
    })
}

#[test]
fn an_abstract_name_that_is_empty_is_refused_before_anything_runs() -> Result<()> {
    block_on(async {
        let policy = Policy::none().allow_unix_abstract("", UnixPerms::ALL);
        let error = Guest::named("unix").policy(policy).run().await.expect_err("it allows nothing");
        assert!(
            format!("{error:#}").contains("give NAME, NAME* for all that begin so, or * for every one"),
            "{error:#}"
        );
        Ok(())
    })
}

#[test]
fn a_folder_that_is_not_there_is_named_before_anything_runs() -> Result<()> {
    block_on(async {
        let policy = Policy::none().allow_unix("/run", Path::new("/nowhere/at/all"), UnixPerms::ALL);
        let error = Guest::named("unix").policy(policy).run().await.expect_err("no such folder");
        assert!(format!("{error:#}").contains("cannot open the folder /nowhere/at/all"), "{error:#}");
        Ok(())
    })
}
