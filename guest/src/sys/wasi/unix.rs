//! `wasi-streams:unix`: Unix sockets, of a host that has them.

pub(crate) mod bindings {
    //! What `wit-bindgen` makes of the package in `wit/unix`.
    #![allow(
        missing_docs,
        missing_debug_implementations,
        unreachable_pub,
        unsafe_code,
        clippy::all,
        reason = "generated"
    )]

    wit_bindgen::generate!({
        path: "../wit/unix",
        world: "imports",
        with: {
            "wasi:io/error@0.2.0": wasi::io::error,
            "wasi:io/poll@0.2.0": wasi::io::poll,
            "wasi:io/streams@0.2.0": wasi::io::streams,
        },
    });
}

use bindings::wasi_streams::unix::sockets as host;

use super::sockets::Counted;
use super::{InputStream, OutputStream, Pollable};
use crate::UnixAddr;
use crate::sys::types::{ErrorCode, Shutdown};

type Result<T> = std::result::Result<T, ErrorCode>;

/// A Unix socket of the host.
#[derive(Debug)]
pub(crate) struct UnixSocket(host::UnixSocket, Counted);

impl UnixSocket {
    pub(crate) fn create() -> Result<Self> {
        host::UnixSocket::create().map(Self::from_raw).map_err(code)
    }

    /// Takes over a socket that came from elsewhere.
    pub(crate) fn from_raw(raw: host::UnixSocket) -> Self {
        Self(raw, Counted::new())
    }

    pub(crate) fn start_bind(&self, address: &UnixAddr) -> Result<()> {
        self.0.start_bind(&to_host(address)).map_err(code)
    }

    pub(crate) fn finish_bind(&self) -> Result<()> {
        self.0.finish_bind().map_err(code)
    }

    pub(crate) fn start_connect(&self, address: &UnixAddr) -> Result<()> {
        self.0.start_connect(&to_host(address)).map_err(code)
    }

    pub(crate) fn finish_connect(&self) -> Result<(InputStream, OutputStream)> {
        let (input, output) = self.0.finish_connect().map_err(code)?;
        Ok((InputStream::from_raw(input), OutputStream::from_raw(output)))
    }

    pub(crate) fn start_listen(&self) -> Result<()> {
        self.0.start_listen().map_err(code)
    }

    pub(crate) fn finish_listen(&self) -> Result<()> {
        self.0.finish_listen().map_err(code)
    }

    pub(crate) fn accept(&self) -> Result<(UnixSocket, InputStream, OutputStream)> {
        let (socket, input, output) = self.0.accept().map_err(code)?;
        Ok((Self::from_raw(socket), InputStream::from_raw(input), OutputStream::from_raw(output)))
    }

    pub(crate) fn local_address(&self) -> Result<UnixAddr> {
        self.0.local_address().map(from_host).map_err(code)
    }

    pub(crate) fn remote_address(&self) -> Result<UnixAddr> {
        self.0.remote_address().map(from_host).map_err(code)
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.0.is_listening()
    }

    pub(crate) fn set_listen_backlog_size(&self, size: u32) -> Result<()> {
        self.0.set_listen_backlog_size(size).map_err(code)
    }

    /// Whether the file goes with the socket.
    pub(crate) fn set_remove_file(&self, remove: bool) {
        self.0.set_remove_file(remove);
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> Result<()> {
        let how = match how {
            Shutdown::Receive => host::ShutdownType::Receive,
            Shutdown::Send => host::ShutdownType::Send,
            Shutdown::Both => host::ShutdownType::Both,
        };
        self.0.shutdown(how).map_err(code)
    }

    /// Ready when the operation under way (bind, connect, listen, accept) may go on.
    pub(crate) fn subscribe(&self) -> Pollable {
        self.0.subscribe()
    }
}

fn to_host(address: &UnixAddr) -> host::Address {
    match address {
        UnixAddr::Unnamed => host::Address::Unnamed,
        UnixAddr::Path(path) => host::Address::Path(path.clone()),
        UnixAddr::Abstract(name) => host::Address::AbstractName(name.to_vec()),
    }
}

fn from_host(address: host::Address) -> UnixAddr {
    match address {
        host::Address::Unnamed => UnixAddr::Unnamed,
        host::Address::Path(path) => UnixAddr::Path(path),
        host::Address::AbstractName(name) => UnixAddr::Abstract(name.into()),
    }
}

fn code(code: host::ErrorCode) -> ErrorCode {
    use host::ErrorCode as Host;
    match code {
        Host::Unknown => ErrorCode::Unknown,
        Host::AccessDenied => ErrorCode::AccessDenied,
        Host::NotSupported => ErrorCode::NotSupported,
        Host::InvalidArgument => ErrorCode::InvalidArgument,
        Host::OutOfMemory => ErrorCode::OutOfMemory,
        Host::ConcurrencyConflict => ErrorCode::ConcurrencyConflict,
        Host::NotInProgress => ErrorCode::NotInProgress,
        Host::WouldBlock => ErrorCode::WouldBlock,
        Host::InvalidState => ErrorCode::InvalidState,
        Host::NewSocketLimit => ErrorCode::NewSocketLimit,
        Host::AddressInUse => ErrorCode::AddressInUse,
        Host::NotFound => ErrorCode::NotFound,
        Host::NotAStreamSocket => ErrorCode::NotAStreamSocket,
        Host::NameTooLong => ErrorCode::NameTooLong,
        Host::Loop => ErrorCode::Loop,
        Host::ConnectionRefused => ErrorCode::ConnectionRefused,
        Host::ConnectionReset => ErrorCode::ConnectionReset,
        Host::ConnectionAborted => ErrorCode::ConnectionAborted,
    }
}
