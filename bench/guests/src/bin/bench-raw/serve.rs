//! The loop: everybody who may go on takes a step, then one poll.

use anyhow::{Context, Result, anyhow};
use slab::Slab;
use wasi::sockets::instance_network::instance_network;
use wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasi::sockets::tcp::TcpSocket;
use wasi::sockets::tcp_create_socket::create_tcp_socket;
use wasi_streams_bench_guests::{Mode, announce};

use crate::connection::{Connection, Next};
use crate::poller::Poller;

/// How often those who always have something to do may go on before the others are looked at.
const ROUNDS: u32 = 8;

pub(crate) fn serve(mode: Mode, one_tier: bool) -> Result<()> {
    let (listener, port) = listen().map_err(|code| anyhow!("listening: {code}"))?;
    announce(port).context("standard output")?;
    let listening = listener.subscribe();
    let mut connections = Slab::new();
    let mut poller = Poller::new(!one_tier);
    let (mut run, mut later) = (Vec::new(), Vec::new());
    loop {
        for _ in 0..ROUNDS {
            for key in run.drain(..) {
                step(key, &mut connections, &mut poller, &mut later);
            }
            std::mem::swap(&mut run, &mut later);
            if run.is_empty() {
                break;
            }
        }
        let only_look = !run.is_empty();
        let polled = poller.poll(&mut connections, &listening, only_look, &mut run);
        if polled.everybody {
            poller.cool_down(&mut connections);
        }
        if polled.listener {
            accept(&listener, mode, &mut connections, &mut run);
        }
    }
}

fn step(key: usize, connections: &mut Slab<Connection>, poller: &mut Poller, later: &mut Vec<usize>) {
    let Some(connection) = connections.get_mut(key) else { return };
    match connection.step() {
        Next::Again => later.push(key),
        Next::Wait => poller.wait(key, connections),
        Next::Done => drop(connections.remove(key)),
    }
}

/// Takes everybody who has come.
fn accept(listener: &TcpSocket, mode: Mode, connections: &mut Slab<Connection>, run: &mut Vec<usize>) {
    // "Would block" is the end of it; a client that gave up already is its own business.
    while let Ok((socket, input, output)) = listener.accept() {
        run.push(connections.insert(Connection::new(mode, socket, input, output)));
    }
}

fn listen() -> Result<(TcpSocket, u16), ErrorCode> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    let pollable = socket.subscribe();
    let address = Ipv4SocketAddress { port: 0, address: (127, 0, 0, 1) };
    socket.start_bind(&instance_network(), IpSocketAddress::Ipv4(address))?;
    until_done(&pollable, || socket.finish_bind())?;
    socket.set_listen_backlog_size(1024)?;
    socket.start_listen()?;
    until_done(&pollable, || socket.finish_listen())?;
    drop(pollable);
    let port = match socket.local_address()? {
        IpSocketAddress::Ipv4(address) => address.port,
        IpSocketAddress::Ipv6(address) => address.port,
    };
    Ok((socket, port))
}

fn until_done(
    pollable: &wasi::io::poll::Pollable,
    finish: impl Fn() -> Result<(), ErrorCode>,
) -> Result<(), ErrorCode> {
    loop {
        match finish() {
            Err(ErrorCode::WouldBlock) => pollable.block(),
            done => return done,
        }
    }
}
