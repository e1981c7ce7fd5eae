//! The command line, and the server that it asks for.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use lexopt::prelude::*;

use crate::bindings::connections::{ListenOptions, Server, TlsServerConfig, listen};

pub(crate) const USAGE: &str = "
Accepts connections, and hands each to the application that this driver was composed with.

Usage: wasi-streams-driver [OPTIONS]

  --host HOST           a name or address to listen on (127.0.0.1), '' for every interface; repeatable
  --port PORT           the port (8888), 0 for any that is free
  --tls-cert FILE       speak TLS, with this certificate and its chain (PEM); repeatable, the client's name for us chooses
  --tls-key FILE        the private key of the --tls-cert at the same place in the order
  --backlog N           how many connections may wait to be accepted (100)
  --max-connections N   how many connections are served at once (1024); the others wait to be accepted
  --help                show this

The host must open the folders of the files to the component: --dir FOLDER of wasmtime run and wasi-streams-run.
";

pub(crate) struct Options {
    hosts: Vec<String>,
    port: u16,
    tls_certs: Vec<PathBuf>,
    tls_keys: Vec<PathBuf>,
    backlog: Option<u32>,
    pub(crate) max_connections: usize,
}

/// The options; none if help is wanted.
pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options {
        hosts: Vec::new(),
        port: 8888,
        tls_certs: Vec::new(),
        tls_keys: Vec::new(),
        backlog: None,
        max_connections: 1024,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("host") => options.hosts.push(parser.value()?.string()?),
            Long("port") => options.port = parser.value()?.parse()?,
            Long("tls-cert") => options.tls_certs.push(parser.value()?.into()),
            Long("tls-key") => options.tls_keys.push(parser.value()?.into()),
            Long("backlog") => options.backlog = Some(parser.value()?.parse()?),
            Long("max-connections") => options.max_connections = parser.value()?.parse()?,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if options.hosts.is_empty() {
        options.hosts.push("127.0.0.1".into());
    }
    if options.tls_certs.len() != options.tls_keys.len() {
        return Err("every --tls-cert needs a --tls-key, and every --tls-key a --tls-cert".into());
    }
    if options.max_connections == 0 {
        return Err("--max-connections must be at least 1".into());
    }
    Ok(Some(options))
}

impl Options {
    pub(crate) fn listen(&self) -> Result<Server> {
        let settings = ListenOptions::new();
        if let Some(backlog) = self.backlog {
            settings.set_backlog(backlog);
        }
        if !self.tls_certs.is_empty() {
            settings.set_tls(&self.tls()?);
        }
        listen(&self.hosts, self.port, Some(&settings)).map_err(|error| anyhow!(error.message))
    }

    fn tls(&self) -> Result<TlsServerConfig> {
        let read = |file: &PathBuf| fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
        let config = TlsServerConfig::new();
        for (cert, key) in self.tls_certs.iter().zip(&self.tls_keys) {
            config.add_identity_pem(&read(cert)?, &read(key)?);
        }
        Ok(config)
    }
}
