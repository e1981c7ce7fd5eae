//! One attempt to connect.

use std::net::SocketAddr;

use super::errors::{Doing, socket_error};
use super::limit;
use super::tcp::TcpLink;
use super::watched::{Handle, Watched};
use crate::error::Result;
use crate::sys::host::TcpSocket;
use crate::sys::types::{ErrorCode, Family, KeepAliveNanos};

/// Connects to `address`, from the first of `locals` that can be bound, if any are given.
///
/// A failed attempt leaves its socket unusable, so each attempt has its own. Dropping the future closes it.
pub(crate) async fn connect(
    address: SocketAddr,
    locals: &[SocketAddr],
    keep_alive: Option<KeepAliveNanos>,
) -> Result<TcpLink> {
    let mut socket = bound_socket(address, locals).await?;
    if let Some(settings) = keep_alive {
        socket.handle().set_keep_alive(settings).map_err(|code| socket_error(code, Doing::Configure))?;
    }
    let failed = |code| socket_error(code, Doing::Connect(address));
    socket.handle().start_connect(address).map_err(failed)?;
    // Hosts start nothing before they are asked for the first time, so the first question comes at once.
    let (input, output) = finish(&mut socket, TcpSocket::finish_connect).await.map_err(failed)?;
    let (socket, lent) = socket.into_parts();
    Ok(TcpLink::new(socket, input, output).with_lent(lent))
}

/// Makes a socket, bound to the first of `locals` that works; the last failure is the one told (O20).
async fn bound_socket(address: SocketAddr, locals: &[SocketAddr]) -> Result<Watched<TcpSocket>> {
    let mut failure = None;
    for local in locals {
        let mut socket = new_socket(address)?;
        match bind(&mut socket, *local).await {
            Ok(()) => return Ok(socket),
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or_else(|| new_socket(address), Err)
}

/// Makes a socket of the family of `address`.
pub(super) fn new_socket(address: SocketAddr) -> Result<Watched<TcpSocket>> {
    limit::check()?;
    let socket = TcpSocket::create(Family::of(address.ip()));
    socket.map(Watched::new).map_err(|code| socket_error(code, Doing::Create(address)))
}

/// Binds `socket`, waiting where the host wants that.
pub(super) async fn bind(socket: &mut Watched<TcpSocket>, address: SocketAddr) -> Result<()> {
    let failed = |code| socket_error(code, Doing::Bind(address));
    socket.handle().start_bind(address).map_err(failed)?;
    finish(socket, TcpSocket::finish_bind).await.map_err(failed)
}

/// Repeats the `finish-…` half of an operation until it is done.
pub(super) async fn finish<S: Handle, T>(
    socket: &mut Watched<S>,
    step: impl Fn(&S) -> Result<T, ErrorCode>,
) -> Result<T, ErrorCode> {
    loop {
        match step(socket.handle()) {
            Err(ErrorCode::WouldBlock) => socket.ready().await,
            done => return done,
        }
    }
}
