//! The interface, as the linker gets it.

use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::TrappableError;
use wasmtime_wasi_io::poll::{DynPollable, subscribe};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::UnixSocket;
use super::bindings::wasi_streams::unix::sockets::{self, Address, ErrorCode, ShutdownType};
use super::ctx::UnixCtx;
use super::stream::Connection;

/// An [`ErrorCode`], or a trap.
pub type UnixError = TrappableError<ErrorCode>;

/// What a store holds for the Unix sockets of its component.
pub struct UnixCtxView<'a> {
    /// What the component may use.
    pub ctx: &'a UnixCtx,
    /// The table of the store, the same as for `wasi:io`.
    pub table: &'a mut ResourceTable,
}

impl std::fmt::Debug for UnixCtxView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.ctx.fmt(f)
    }
}

/// Implemented by the state of a store, so that [`add_to_linker`] finds what it needs.
pub trait UnixView: Send {
    /// Gives the context and the table.
    fn unix(&mut self) -> UnixCtxView<'_>;
}

/// Adds `wasi-streams:unix/sockets` to a linker. Beside it the component needs `wasi:io`, of which wasmtime-wasi has an asynchronous
/// implementation; instances have to run on tokio.
///
/// # Errors
///
/// If the linker has it already.
pub fn add_to_linker<T: UnixView + 'static>(linker: &mut Linker<T>) -> Result<()> {
    sockets::add_to_linker::<T, Has>(linker, T::unix)
}

struct Has;

impl HasData for Has {
    type Data<'a> = UnixCtxView<'a>;
}

type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

impl UnixCtxView<'_> {
    /// Hands out the streams of a connection, which must go before its socket.
    fn streams(&mut self, socket: &Resource<UnixSocket>, connection: &Connection) -> Result<Streams, UnixError> {
        let (input, output): (DynInputStream, DynOutputStream) =
            (Box::new(connection.input()), Box::new(connection.output()));
        let input = self.table.push_child(input, socket).map_err(UnixError::trap)?;
        let output = self.table.push_child(output, socket).map_err(UnixError::trap)?;
        Ok((input, output))
    }

    fn socket(&mut self, socket: &Resource<UnixSocket>) -> Result<&mut UnixSocket, UnixError> {
        self.table.get_mut(socket).map_err(UnixError::trap)
    }
}

impl sockets::Host for UnixCtxView<'_> {
    fn convert_error_code(&mut self, error: UnixError) -> Result<ErrorCode> {
        error.downcast()
    }
}

impl sockets::HostUnixSocket for UnixCtxView<'_> {
    fn create(&mut self) -> Result<Resource<UnixSocket>, UnixError> {
        let socket = UnixSocket::create(self.ctx)?;
        self.table.push(socket).map_err(UnixError::trap)
    }

    fn start_bind(&mut self, socket: Resource<UnixSocket>, local: Address) -> Result<(), UnixError> {
        Ok(self.socket(&socket)?.start_bind(local)?)
    }

    fn finish_bind(&mut self, socket: Resource<UnixSocket>) -> Result<(), UnixError> {
        Ok(self.socket(&socket)?.finish_bind()?)
    }

    fn start_connect(&mut self, socket: Resource<UnixSocket>, remote: Address) -> Result<(), UnixError> {
        Ok(self.socket(&socket)?.start_connect(remote)?)
    }

    fn finish_connect(&mut self, socket: Resource<UnixSocket>) -> Result<Streams, UnixError> {
        let connection = self.socket(&socket)?.finish_connect()?;
        self.streams(&socket, &connection)
    }

    fn start_listen(&mut self, socket: Resource<UnixSocket>) -> Result<(), UnixError> {
        Ok(self.socket(&socket)?.start_listen()?)
    }

    fn finish_listen(&mut self, socket: Resource<UnixSocket>) -> Result<(), UnixError> {
        Ok(self.socket(&socket)?.finish_listen()?)
    }

    fn accept(
        &mut self,
        socket: Resource<UnixSocket>,
    ) -> Result<(Resource<UnixSocket>, Resource<DynInputStream>, Resource<DynOutputStream>), UnixError> {
        let (accepted, connection) = self.socket(&socket)?.accept()?;
        let accepted = self.table.push(accepted).map_err(UnixError::trap)?;
        let (input, output) = self.streams(&accepted, &connection)?;
        Ok((accepted, input, output))
    }

    fn local_address(&mut self, socket: Resource<UnixSocket>) -> Result<Address, UnixError> {
        Ok(self.socket(&socket)?.local_address()?)
    }

    fn remote_address(&mut self, socket: Resource<UnixSocket>) -> Result<Address, UnixError> {
        Ok(self.socket(&socket)?.remote_address()?)
    }

    fn is_listening(&mut self, socket: Resource<UnixSocket>) -> Result<bool> {
        Ok(self.table.get(&socket)?.is_listening())
    }

    fn set_listen_backlog_size(&mut self, socket: Resource<UnixSocket>, size: u32) -> Result<(), UnixError> {
        Ok(self.socket(&socket)?.set_backlog(size)?)
    }

    fn set_remove_file(&mut self, socket: Resource<UnixSocket>, remove: bool) -> Result<()> {
        self.table.get_mut(&socket)?.set_remove_file(remove);
        Ok(())
    }

    fn shutdown(&mut self, socket: Resource<UnixSocket>, how: ShutdownType) -> Result<(), UnixError> {
        let how = match how {
            ShutdownType::Receive => std::net::Shutdown::Read,
            ShutdownType::Send => std::net::Shutdown::Write,
            ShutdownType::Both => std::net::Shutdown::Both,
        };
        Ok(self.socket(&socket)?.shutdown(how)?)
    }

    fn subscribe(&mut self, socket: Resource<UnixSocket>) -> Result<Resource<DynPollable>> {
        subscribe(self.table, socket)
    }

    fn drop(&mut self, socket: Resource<UnixSocket>) -> Result<()> {
        self.table.delete(socket)?;
        Ok(())
    }
}
