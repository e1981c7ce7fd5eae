//! Waits for data on a socket that exists already, and takes it over for that.
//!
//! ```text
//! cargo run -p wasi-streams-examples --bin wait-for-data --target wasm32-wasip2 -- --tcp
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup target/components/wait-for-data.wasm --tcp
//! ```

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Context;
use lexopt::prelude::*;
use wasi_streams::{Socket, open_connection, run, spawn, yield_now};

const USAGE: &str = "
Takes over one end of a connection and waits for the data that a task sends from the other end.

Usage: wait-for-data [OPTIONS]

  --tcp   over a TCP socket made with the raw WASI interfaces, not over a pair in memory
  --help  show this
";

struct Options {
    tcp: bool,
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options { tcp: false };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("tcp") => options.tcp = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

/// Takes `rsock` over and returns what arrives there while `send` runs beside it.
async fn wait_for_data(
    rsock: Socket,
    send: impl Future<Output = anyhow::Result<()>> + 'static,
) -> anyhow::Result<String> {
    // Register the open socket to wait for data.
    let (mut reader, writer) = open_connection((), ()).socket(rsock).await?;
    let sending = spawn(send);

    let data = reader.read(100).await?;

    // Got data, we are done: close the socket.
    writer.close();
    writer.wait_closed().await?;
    sending.await??;
    Ok(str::from_utf8(&data).context("the data is not UTF-8")?.into())
}

async fn over_a_pair_in_memory() -> anyhow::Result<String> {
    let (rsock, wsock) = Socket::pair();
    let send = async {
        yield_now().await;
        let (_reader, writer) = open_connection((), ()).socket(wsock).await?;
        writer.write("abc")?;
        writer.close();
        Ok(())
    };
    wait_for_data(rsock, send).await
}

async fn over_tcp() -> anyhow::Result<String> {
    let (rsock, wsock) = raw::connected_pair().await.context("cannot connect to a listener of our own")?;
    let send = async move {
        yield_now().await;
        wsock.send(b"abc")
    };
    wait_for_data(rsock, send).await
}

/// TCP without the streams of this library.
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod raw {
    use anyhow::Result;
    use wasi::io::streams::{InputStream, OutputStream};
    use wasi::sockets::instance_network::instance_network;
    use wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
    use wasi::sockets::tcp::TcpSocket;
    use wasi::sockets::tcp_create_socket::create_tcp_socket;
    use wasi_streams::Socket;
    use wasi_streams::os::wasi::{connected_socket, wait_for};

    /// The other end. Its streams must go before the socket, and fields are dropped in this order.
    pub(crate) struct RawSocket {
        output: OutputStream,
        _input: InputStream,
        _socket: TcpSocket,
    }

    impl RawSocket {
        pub(crate) fn send(&self, data: &[u8]) -> Result<()> {
            Ok(self.output.blocking_write_and_flush(data)?)
        }
    }

    /// Listens on loopback and connects to that: one end wrapped, the other as it is.
    pub(crate) async fn connected_pair() -> Result<(Socket, RawSocket)> {
        let network = instance_network();
        let any_port = IpSocketAddress::Ipv4(Ipv4SocketAddress { address: (127, 0, 0, 1), port: 0 });

        let listener = create_tcp_socket(IpAddressFamily::Ipv4)?;
        listener.start_bind(&network, any_port)?;
        done(&listener, TcpSocket::finish_bind).await?;
        listener.start_listen()?;
        done(&listener, TcpSocket::finish_listen).await?;

        let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
        socket.start_connect(&network, listener.local_address()?)?;
        let (input, output) = done(&socket, TcpSocket::finish_connect).await?;
        let rsock = connected_socket(socket, input, output);

        let (socket, input, output) = done(&listener, TcpSocket::accept).await?;
        Ok((rsock, RawSocket { output, _input: input, _socket: socket }))
    }

    /// Repeats a step until it no longer says to wait.
    async fn done<T>(socket: &TcpSocket, step: impl Fn(&TcpSocket) -> Result<T, ErrorCode>) -> Result<T, ErrorCode> {
        loop {
            match step(socket) {
                Err(ErrorCode::WouldBlock) => drop(wait_for(socket.subscribe()).await),
                done => return done,
            }
        }
    }
}

#[cfg(not(all(target_os = "wasi", target_env = "p2")))]
mod raw {
    use std::convert::Infallible;
    use wasi_streams::Socket;

    pub(crate) struct RawSocket(Infallible);

    impl RawSocket {
        pub(crate) fn send(&self, _: &[u8]) -> anyhow::Result<()> {
            match self.0 {}
        }
    }

    pub(crate) async fn connected_pair() -> anyhow::Result<(Socket, RawSocket)> {
        anyhow::bail!("--tcp uses WASI's sockets: build for wasm32-wasip2")
    }
}

fn main() -> ExitCode {
    examples::main("wait-for-data", USAGE, parse, |options| {
        let data = if options.tcp { run(over_tcp()) } else { run(over_a_pair_in_memory()) }?;
        writeln!(stdout(), "Received: {data}")?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_arrives_over_a_pair_in_memory() {
        assert_eq!(run(over_a_pair_in_memory()).unwrap(), "abc");
    }

    #[test]
    fn without_wasi_the_error_says_what_to_build_for() {
        let error = run(over_tcp()).unwrap_err();
        assert!(format!("{error:#}").contains("wasm32-wasip2"), "{error:#}");
    }
}
