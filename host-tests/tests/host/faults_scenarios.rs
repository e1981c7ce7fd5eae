//! A thousand scripts of faults through the examples: an echo server, a proxy, and an echo server over TLS. None traps, none hangs, and
//! no byte is lost: what comes back is a beginning of what was sent, and all of it where nothing was really reset or refused. At the end
//! each kind of fault has happened often enough.
//!
//! A scenario that fails prints its seed and its script; `FAULT_SEED=17` in the environment runs that one alone.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use wasi_streams_host::faults::{ConnectionFaults, Direction, DirectionFaults, Faults, Happened, Stall};
use wasi_streams_host::{ErrorCode, Guest, Policy, Running, block_on};

use crate::certificates::{Authority, KeyKind};
use crate::support::{Folder, heavy, pattern};

/// So many go on side by side.
const AT_ONCE: usize = 16;

/// None takes a tenth of it: a scenario that is not over by then hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of one client.
struct Heard {
    sent: Vec<u8>,
    got: Vec<u8>,
    /// The connection ended as it should.
    ended: bool,
}

/// Whether anything has happened to these connections, or to a lookup, that bytes may be lost by.
fn is_broken(happened: &[Happened], connections: &[u64]) -> bool {
    happened.iter().any(|what| match what {
        Happened::Refused(number) | Happened::Reset(number, _) => connections.contains(number),
        Happened::LookupFailed(..) => true,
        _ => false,
    })
}

/// Whether a client may have heard that, whose bytes pass through these connections, after what has happened to them.
fn check(heard: &Heard, happened: &[Happened], connections: &[u64]) -> Result<()> {
    let Heard { sent, got, ended } = heard;
    let same = sent.iter().zip(got).take_while(|(a, b)| a == b).count();
    ensure!(same == got.len(), "byte {same} of {} that came back is wrong", got.len());
    if !is_broken(happened, connections) {
        ensure!(got.len() == sent.len(), "{} of {} bytes came back, and nothing was reset", got.len(), sent.len());
        ensure!(*ended, "all came back, and then no end");
    }
    Ok(())
}

/// Sends so many bytes while it reads what comes back; over TLS no end of one direction alone.
async fn talk(stream: impl AsyncRead + AsyncWrite, length: usize, half_close: bool) -> Heard {
    let sent = pattern(length);
    let (mut reader, mut writer) = split(stream);
    let mut got = Vec::new();
    let send = async {
        let is_sent = writer.write_all(&sent).await.is_ok();
        if is_sent && half_close {
            let _ = writer.shutdown().await;
        }
        (writer, is_sent)
    };
    let hear = async {
        let mut piece = vec![0; 16 * 1024];
        // Looked at before the first read, too: who has sent nothing and no end is not answered.
        while half_close || got.len() < length {
            match reader.read(&mut piece).await {
                Ok(0) => return true,
                Ok(n) => got.extend_from_slice(&piece[..n]),
                Err(_) => return false,
            }
        }
        true
    };
    let ((mut writer, is_sent), mut ended) = tokio::join!(send, hear);
    // The system tells of a reset once: where writing heard of it, reading finds an end.
    ended &= is_sent;
    if !half_close && ended {
        let _ = writer.shutdown().await;
        ended = matches!(reader.read(&mut [0]).await, Ok(0));
    }
    Heard { sent, got, ended }
}

/// Connects; none when the connection was reset before we knew that it is there.
async fn connect(address: SocketAddr) -> Result<Option<TcpStream>> {
    match TcpStream::connect(address).await {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
        other => Ok(Some(other?)),
    }
}

/// What a client has heard that was never connected.
fn nothing() -> Heard {
    Heard { sent: vec![0], got: Vec::new(), ended: false }
}

/// Talks, if there is somebody to talk to.
async fn talk_over(stream: Option<TcpStream>, length: usize) -> Heard {
    match stream {
        Some(stream) => talk(stream, length, true).await,
        None => nothing(),
    }
}

/// How much a client sends: little or much, by seed.
fn length(seed: u64, client: usize) -> usize {
    let lengths = [0, 1, 300, 5_000, 20_000, 70_000];
    // Not by what else follows from the seed: whether the proxy splices, and how many clients there are.
    lengths[(seed as usize / 6 + client) % lengths.len()]
}

async fn serve(guest: Guest, faults: &Faults) -> Result<(Running, SocketAddr)> {
    let guest = guest.piped_stdin().deadline(PATIENCE).faults(faults.clone());
    let mut server = guest.start().await?;
    let line = server.wait_line("Serving on ").await?;
    Ok((server, line["Serving on ".len()..].parse()?))
}

/// Whatever happened to its clients, a server ends well.
async fn end(mut server: Running) -> Result<()> {
    server.close_stdin();
    server.finish().await.success()?;
    Ok(())
}

/// One to three clients of an echo server.
async fn echo(seed: u64, faults: Faults) -> Result<()> {
    let guest = Guest::named("echo-server").args(["--stream", "--port=0", "--until-stdin-closes"]);
    let (server, address) = serve(guest, &faults).await?;
    let mut clients = JoinSet::new();
    for client in 0..1 + seed as usize % 3 {
        // One after the other, so that they are accepted in this order.
        let stream = connect(address).await?;
        clients.spawn(async move { (client, talk_over(stream, length(seed, client)).await) });
    }
    while let Some(heard) = clients.join_next().await {
        let (client, heard) = heard?;
        check(&heard, &faults.happened(), &[client as u64]).with_context(|| format!("client {client}"))?;
    }
    end(server).await
}

/// Whether small pieces of one connection wait at the other one, a millisecond or more each.
fn are_slow(faults: &[ConnectionFaults]) -> bool {
    let directions = || faults.iter().flat_map(|one| [one.read, one.write]);
    directions().any(|one| one.pieces.is_some_and(|most| most <= 100)) && directions().any(|one| !one.delay.is_zero())
}

/// A client of a proxy before an echo server, which it finds by name.
async fn proxy(seed: u64, faults: Faults) -> Result<()> {
    let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let to = format!("here.test:{}", upstream.local_addr()?.port());
    let echo = tokio::spawn(async move {
        let (mut stream, _) = upstream.accept().await?;
        let (mut reader, mut writer) = stream.split();
        tokio::io::copy(&mut reader, &mut writer).await?;
        writer.shutdown().await
    });
    let way = if seed.is_multiple_of(2) { &["--no-splice"][..] } else { &[] };
    let guest = Guest::named("proxy").args(["--listen=127.0.0.1:0", "--until-stdin-closes", "--to", &to]);
    let guest = guest.args(way.iter().copied()).host("here.test", [Ipv4Addr::LOCALHOST]);
    let (server, address) = serve(guest.policy(Policy::loopback().dns(true)), &faults).await?;
    // The client's connection is the first, that to the server the second.
    let on_the_way = [faults.of_connection(0), faults.of_connection(1)];
    let length = if are_slow(&on_the_way) { length(seed, 0).min(1000) } else { length(seed, 0) };
    let heard = talk_over(connect(address).await?, length).await;
    let checked = check(&heard, &faults.happened(), &[0, 1]);
    echo.abort();
    checked?;
    end(server).await
}

/// A client of an echo server over TLS.
async fn tls(seed: u64, faults: Faults, certificates: Arc<Certificates>) -> Result<()> {
    let files = ["--tls-cert=/certs/server.pem", "--tls-key=/certs/server.key"];
    let guest = Guest::named("echo-server").args(["--stream", "--port=0", "--until-stdin-closes"]).args(files);
    let (server, address) = serve(guest.dir(certificates.folder.path(), "/certs"), &faults).await?;
    let name = ServerName::try_from("localhost")?;
    let connector = TlsConnector::from(Arc::clone(&certificates.client));
    let stream = match connect(address).await? {
        Some(stream) => connector.connect(name, stream).await.ok(),
        None => None,
    };
    let heard = match stream {
        Some(stream) => talk(stream, length(seed, 0), false).await,
        None => nothing(),
    };
    check(&heard, &faults.happened(), &[0])?;
    end(server).await
}

struct Certificates {
    folder: Folder,
    client: Arc<ClientConfig>,
}

impl Certificates {
    fn new() -> Result<Arc<Self>> {
        let authority = Authority::new("faults");
        let identity = authority.issue(&["localhost"], KeyKind::Ecdsa, |_| ());
        let folder = Folder::new();
        folder.write("server.pem", &identity.chain);
        folder.write("server.key", &identity.key);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let client = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
        Ok(Arc::new(Self { folder, client }))
    }
}

/// How often each kind of fault has happened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Tally {
    pieces: u64,
    delays: u64,
    stalls: u64,
    resets: u64,
    refusals: u64,
    late: u64,
    late_lookups: u64,
    failed_lookups: u64,
}

impl Tally {
    fn count(&mut self, faults: &Faults) {
        self.pieces += faults.pieces();
        self.delays += faults.delays();
        for what in faults.happened() {
            *match what {
                Happened::Refused(_) => &mut self.refusals,
                Happened::ConnectDelayed(..) => &mut self.late,
                Happened::Stalled(..) => &mut self.stalls,
                Happened::Reset(..) => &mut self.resets,
                Happened::LookupDelayed(..) => &mut self.late_lookups,
                Happened::LookupFailed(..) => &mut self.failed_lookups,
                _ => continue,
            } += 1;
        }
    }

    /// Whether each kind has happened as often as in `least`, or more often.
    fn reaches(&self, least: &Self) -> Result<()> {
        let all = |of: &Self| {
            let Tally { pieces, delays, stalls, resets, refusals, late, late_lookups, failed_lookups } = *of;
            [pieces, delays, stalls, resets, refusals, late, late_lookups, failed_lookups]
        };
        ensure!(all(self).iter().zip(all(least)).all(|(own, least)| *own >= least), "{self:?} is less than {least:?}");
        Ok(())
    }
}

/// The seeds to run: these, or the one of `FAULT_SEED` alone.
fn wanted(seeds: Range<u64>, alone: Option<&str>) -> Result<Range<u64>> {
    let Some(seed) = alone else { return Ok(seeds) };
    let seed = seed.parse().ok().filter(|seed| *seed < 1000);
    let seed = seed.context("FAULT_SEED is to be a number from 0 to 999, as a scenario that failed has printed it")?;
    Ok(if seeds.contains(&seed) { seed..seed + 1 } else { 0..0 }) // of another test
}

/// Runs a scenario with each seed, or with the one of `FAULT_SEED` alone; the first that fails ends it. Together they have to have so many
/// faults: a network that does nothing loses nothing either.
fn all<F: Future<Output = Result<()>> + Send + 'static>(
    seeds: Range<u64>,
    least: &Tally,
    scenario: impl Fn(u64, Faults) -> F,
) -> Result<()> {
    let alone = std::env::var("FAULT_SEED").ok();
    let seeds = wanted(seeds, alone.as_deref())?;
    let _alone = heavy();
    let tally = block_on(async {
        let (mut running, mut tally) = (JoinSet::new(), Tally::default());
        for seed in seeds {
            let faults = Faults::seeded(seed);
            let one = scenario(seed, faults.clone());
            running.spawn(async move {
                judged(seed, timeout(PATIENCE, one).await.unwrap_or_else(|_| Err(hangs()))).map(|()| faults)
            });
            if running.len() >= AT_ONCE
                && let Some(done) = running.join_next().await
            {
                tally.count(&done??);
            }
        }
        while let Some(done) = running.join_next().await {
            tally.count(&done??);
        }
        anyhow::Ok(tally)
    })?;
    println!("{tally:?}");
    if alone.is_some() { Ok(()) } else { tally.reaches(least) }
}

fn hangs() -> anyhow::Error {
    anyhow!("it hangs")
}

/// What failed, with what is needed to see it again.
fn judged(seed: u64, result: Result<()>) -> Result<()> {
    let Err(error) = result else { return Ok(()) };
    let faults = Faults::seeded(seed);
    let script: Vec<String> = (0..3).map(|n| format!("connection {n}: {}", faults.of_connection(n))).collect();
    let lookup = faults.of_lookup(0);
    bail!("seed {seed}: {error:#}\n{}\nfirst lookup: {lookup}\nFAULT_SEED={seed} runs it alone", script.join("\n"))
}

#[test]
fn four_hundred_scripts_of_an_echo_server_lose_no_byte() -> Result<()> {
    let least = Tally { pieces: 10_000, delays: 1000, stalls: 70, resets: 35, refusals: 15, ..Tally::default() };
    all(0..400, &least, echo)
}

#[test]
fn three_hundred_scripts_of_a_proxy_lose_no_byte() -> Result<()> {
    let least = Tally {
        pieces: 10_000,
        delays: 400,
        stalls: 40,
        resets: 20,
        refusals: 10,
        late: 20,
        late_lookups: 20,
        failed_lookups: 7,
    };
    all(400..700, &least, proxy)
}

#[test]
fn three_hundred_scripts_of_an_echo_server_over_tls_lose_no_byte() -> Result<()> {
    let least = Tally { pieces: 10_000, delays: 200, stalls: 35, resets: 15, refusals: 6, ..Tally::default() };
    let certificates = Certificates::new()?;
    all(700..1000, &least, move |seed, faults| tls(seed, faults, Arc::clone(&certificates)))
}

#[test]
fn a_lost_byte_a_wrong_one_a_missing_end_and_a_hang_are_noticed() -> Result<()> {
    let heard = |got: &[u8], ended| Heard { sent: b"hello".into(), got: got.into(), ended };
    let stall = Stall { after: 1, time: Some(Duration::from_millis(1)) };
    let harmless = [Happened::Stalled(0, Direction::Read, stall), Happened::Reset(1, Direction::Read)];
    let reset = [Happened::Reset(0, Direction::Write)];
    check(&heard(b"hello", true), &harmless, &[0])?;
    check(&heard(b"hel", false), &reset, &[1, 0])?;
    check(&heard(b"", false), &[Happened::Refused(0)], &[0])?;
    check(&heard(b"", false), &[Happened::LookupFailed(0, ErrorCode::NameUnresolvable)], &[0])?;
    for (heard, happened) in [
        (heard(b"hell", true), &harmless[..]),
        (heard(b"hello", false), &harmless),
        (heard(b"helo", true), &harmless),
        (heard(b"hellooo", true), &harmless),
        (heard(b"", false), &[]),
        (heard(b"elo", false), &reset),
    ] {
        assert!(check(&heard, happened, &[0]).is_err(), "{:?}", heard.got);
    }
    let least = Tally { resets: 1, ..Tally::default() };
    assert!(Tally { stalls: 9, ..Tally::default() }.reaches(&least).is_err() && least.reaches(&least).is_ok());
    block_on(async {
        let for_ever =
            Faults::on_connections(|_| ConnectionFaults::none().read(DirectionFaults::none().stall(0, None)));
        let waiting = timeout(Duration::from_millis(500), echo(2, for_ever)).await;
        assert!(waiting.is_err(), "a stall for ever is a scenario that does not end");
        let told = judged(17, Err(hangs())).map_or_else(|error| error.to_string(), |()| String::new());
        assert!(told.contains("FAULT_SEED=17") && told.contains("connection 0: "), "{told}");
        Ok(())
    })
}

/// What is printed of a scenario that failed is all that another run needs.
#[test]
fn a_seed_runs_alone_and_its_script_is_the_same_again() -> Result<()> {
    for seed in [17, 423, 999] {
        let [one, other] = [Faults::seeded(seed), Faults::seeded(seed)];
        ensure!((0..50).all(|n| one.of_connection(n) == other.of_connection(n)), "{one} {other}");
        ensure!((0..50).all(|n| one.of_lookup(n) == other.of_lookup(n)), "{one} {other}");
        let alone = seed.to_string();
        let tests = [0..400, 400..700, 700..1000];
        let runs: Vec<Range<u64>> =
            tests.map(|seeds| wanted(seeds, Some(&alone))).into_iter().collect::<Result<_>>()?;
        ensure!(runs.iter().flat_map(Clone::clone).eq([seed]), "{runs:?}");
    }
    for wrong in ["", "1000", "-1", "all"] {
        ensure!(wanted(0..400, Some(wrong)).is_err(), "{wrong:?}");
    }
    ensure!(wanted(0..400, None)? == (0..400));
    Ok(())
}
