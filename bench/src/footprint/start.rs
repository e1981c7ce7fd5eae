//! Time until a server is there.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Footprint, in_turns};
use crate::load::PATIENCE;
use crate::measure::Plan;
use crate::peers::{Mode, Peer, Places, Server};
use crate::row::Row;
use crate::targets::Target;

/// From starting the host with a component that it has compiled before to the first byte that comes back.
pub(super) fn start(test: &Footprint, places: &Places, plan: Plan) -> Vec<Row> {
    let figure = |peer: Peer| -> Result<f64> {
        thread::sleep(Duration::from_millis(20)); // the last one is still going away
        let begin = Instant::now();
        let server = Server::start(places, peer, Mode::Echo)?;
        let mut stream = TcpStream::connect(server.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"x")?;
        ensure!(stream.read(&mut [0])? == 1, "it closed the connection");
        Ok(begin.elapsed().as_secs_f64() * 1e3)
    };
    let peers = [Peer::Ours, Peer::Raw, Peer::Asyncio, Peer::Tokio];
    in_turns(1, &peers, figure); // compiled
    let all = in_turns(if plan.quick { 11 } else { 41 }, &peers, figure);
    let beside = |index: usize, target| test.beside("ms", &all[0], peers[index], &all[index], target);
    // 6 ms where raw takes 4.7.
    vec![beside(1, Some(Target::AtMost(1.28))), test.absolute("ms", &all[0], None), beside(2, None), beside(3, None)]
}
