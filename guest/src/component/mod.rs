//! The export for other languages: the interface `wasi-streams:net/connections` over the rest of this crate.
//!
//! Nothing but translation: resources to the types of the crate, errors to records. Nothing moves between calls; how they drive
//! the runtime is `rt::calls`. `guest/component` turns this into a component.
#![allow(missing_debug_implementations, reason = "resources, of which others see a handle")]

#[doc(hidden)]
pub mod bindings;
mod connecting;
mod convert;
mod options;
mod reader;
mod server;
#[cfg_attr(not(feature = "tls-ring"), path = "no_tls.rs")]
mod tls;
mod wait;
mod writer;

use bindings::Pollable;
use bindings::exports::wasi_streams::net::connections as wit;

/// The component: what `bindings::export!` is given.
#[derive(Debug)]
pub struct Component;

impl wit::Guest for Component {
    type TlsClientConfig = tls::ClientConfig;
    type TlsServerConfig = tls::ServerConfig;
    type ConnectOptions = options::ConnectOptions;
    type ListenOptions = options::ListenOptions;
    type Connecting = connecting::Connecting;
    type Reader = reader::Reader;
    type Writer = writer::Writer;
    type Server = server::Server;

    fn parse_certificate(der: Vec<u8>) -> Result<wit::Certificate, wit::Error> {
        tls::parse_certificate(&der)
    }

    fn start_connect(
        host: String,
        port: u16,
        options: Option<wit::ConnectOptionsBorrow<'_>>,
    ) -> Result<wit::Connecting, wit::Error> {
        connecting::start(host, port, options).map(wit::Connecting::new)
    }

    fn connect(
        host: String,
        port: u16,
        options: Option<wit::ConnectOptionsBorrow<'_>>,
    ) -> Result<(wit::Reader, wit::Writer), wit::Error> {
        connecting::start(host, port, options)?.finish_now()
    }

    fn listen(
        hosts: Vec<String>,
        port: u16,
        options: Option<wit::ListenOptionsBorrow<'_>>,
    ) -> Result<wit::Server, wit::Error> {
        server::listen(hosts, port, options).map(wit::Server::new)
    }

    fn wait(on: Vec<wit::Interest<'_>>, timeout: Option<u32>) -> Result<Vec<u32>, wit::Error> {
        wait::wait(on, timeout)
    }
}
