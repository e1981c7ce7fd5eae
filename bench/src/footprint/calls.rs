//! How often a component calls its host for a request. Counting is slow, so it is a run of its own, whose times say nothing.

use anyhow::{Result, ensure};

use super::Footprint;
use crate::load::open;
use crate::measure::Plan;
use crate::peers::{Peer, Places, Server};
use crate::row::{Row, Series};

/// Names that are worth telling, and what they are called for short.
const KINDS: [(&str, &str); 6] = [
    ("poll", "poll"),
    ("[method]input-stream.read", "read"),
    ("[method]output-stream.check-write", "check-write"),
    ("[method]output-stream.write", "write"),
    ("subscribe-duration", "timers"),
    ("subscribe", "subscribe"),
];

pub(super) fn calls(test: &Footprint, places: &Places, plan: Plan) -> Vec<Row> {
    let counted = |peer: Peer, component: &str| -> (Series, String) {
        match count(places, plan, peer, component, test.connections) {
            Ok((all, told)) => (Ok(vec![all]), told),
            Err(error) => (Err(format!("{error:#}")), String::new()),
        }
    };
    let (ours, our_kinds) = counted(Peer::Ours, "bench-ours");
    let (raw, raw_kinds) = counted(Peer::Raw, "bench-raw");
    let note = Some(format!("ours: {our_kinds}; raw: {raw_kinds}"));
    vec![Row { note, ..test.beside("calls", &ours, Peer::Raw, &raw, None) }]
}

/// Calls for each request, all together and by their kinds.
fn count(places: &Places, plan: Plan, peer: Peer, component: &str, connections: usize) -> Result<(f64, String)> {
    let mut server = Server::start_counted(places, peer, component)?;
    let mut clients = open(server.address, connections)?;
    let before = server.calls()?;
    let requests = clients.stand(plan.span.measure)?.answers;
    let after = server.calls()?;
    ensure!(requests > 0, "no answers");
    let of = |name: &str| after.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
    let each = |calls: u64| calls as f64 / requests as f64;
    let all: u64 = after.keys().map(|name| of(name)).sum();
    let kinds = KINDS.map(|(name, short)| format!("{short} {:.2}", each(of(name))));
    Ok((each(all), kinds.join(", ")))
}
