//! The faults of one component: its script, and what it has under way.

use std::collections::HashMap;

use wasmtime::Result;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::ResolveAddressStream;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, TcpSocket};

use super::held::Held;
use super::{Answer, Ends, Faults, Happened};

/// The two streams of a connection.
pub(crate) type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

/// What one component's store has of its faults; the script and its log may be others' too.
#[derive(Debug, Default)]
pub(crate) struct InForce {
    script: Faults,
    /// The numbers of the connections that have begun, by socket, until they are there.
    begun: HashMap<u32, u64>,
    sockets: Held,
    lookups: Held,
}

/// A lookup that begins.
pub(crate) struct Lookup {
    number: u64,
    answer: Answer,
    /// How it fails, if it does.
    pub(crate) fails: Option<ErrorCode>,
}

impl InForce {
    pub(crate) fn new(script: Faults) -> Self {
        Self { script, ..Self::default() }
    }

    /// Whether there are any of connections.
    pub(crate) fn are_any(&self) -> bool {
        self.script.connections.is_some()
    }

    /// Gives a connection that was accepted its faults; none when there is to be no connection, and its streams are gone.
    pub(crate) fn accepted(
        &mut self,
        table: &mut ResourceTable,
        ends: Option<Ends>,
        streams: Streams,
    ) -> Result<Option<Streams>> {
        if !self.are_any() {
            return Ok(Some(streams));
        }
        let number = self.script.number_connection();
        self.with_faults(table, number, ends, streams)
    }

    /// Numbers a connection that begins, and holds it back if it is to be late.
    pub(crate) fn connect_begun(&mut self, table: &mut ResourceTable, socket: &Resource<TcpSocket>) -> Result<()> {
        if !self.are_any() {
            return Ok(());
        }
        let number = self.script.number_connection();
        self.begun.insert(socket.rep(), number);
        let answer = self.script.of_connection(number).answer;
        let Some(waits) = answer.waits() else { return Ok(()) };
        self.script.log.note(Happened::ConnectDelayed(number, answer));
        self.sockets.hold(table, socket, waits)
    }

    /// Whether connecting may go on.
    pub(crate) fn may_connect(&mut self, table: &mut ResourceTable, socket: &Resource<TcpSocket>) -> Result<bool> {
        self.sockets.is_due(table, socket)
    }

    /// Gives the connection of this socket its faults, as [`accepted`](InForce::accepted).
    pub(crate) fn connected(
        &mut self,
        table: &mut ResourceTable,
        socket: u32,
        ends: Option<Ends>,
        streams: Streams,
    ) -> Result<Option<Streams>> {
        match self.begun.remove(&socket) {
            Some(number) => self.with_faults(table, number, ends, streams),
            None => Ok(Some(streams)),
        }
    }

    fn with_faults(
        &self,
        table: &mut ResourceTable,
        number: u64,
        ends: Option<Ends>,
        streams: Streams,
    ) -> Result<Option<Streams>> {
        let (input, output) = streams;
        let Some((reading, writing)) = self.script.begin(number, ends) else {
            table.delete(input)?;
            table.delete(output)?;
            return Ok(None);
        };
        reading.put_before(table.get_mut(&input)?);
        writing.put_before(table.get_mut(&output)?);
        Ok(Some((input, output)))
    }

    /// Notes a pollable of a socket.
    pub(crate) fn socket_subscribed(
        &mut self,
        table: &mut ResourceTable,
        socket: &Resource<TcpSocket>,
        pollable: &Resource<DynPollable>,
    ) -> Result<()> {
        if self.are_any() { self.sockets.subscribed(table, socket, pollable) } else { Ok(()) }
    }

    /// Forgets a socket that was dropped, whatever became of it.
    pub(crate) fn socket_dropped(&mut self, table: &mut ResourceTable, socket: u32) -> Result<()> {
        self.begun.remove(&socket);
        self.sockets.forget(table, socket)
    }

    /// What is to happen to the lookup that begins now.
    pub(crate) fn next_lookup(&self) -> Lookup {
        let number = self.script.number_lookup();
        let faults = self.script.of_lookup(number);
        // Who never answers does not fail either.
        let fails = faults.fails.filter(|_| faults.answer != Answer::Never);
        Lookup { number, answer: faults.answer, fails }
    }

    /// Holds a lookup back that has begun, if it is to be late.
    pub(crate) fn lookup_begun(
        &mut self,
        table: &mut ResourceTable,
        resource: &Resource<ResolveAddressStream>,
        lookup: &Lookup,
    ) -> Result<()> {
        let Lookup { number, answer, fails } = *lookup;
        if let Some(waits) = answer.waits() {
            self.script.log.note(Happened::LookupDelayed(number, answer));
            self.lookups.hold(table, resource, waits)?;
        }
        if let Some(code) = fails {
            self.script.log.note(Happened::LookupFailed(number, code));
        }
        Ok(())
    }

    /// Whether the answer of a lookup may be given.
    pub(crate) fn may_answer(
        &mut self,
        table: &mut ResourceTable,
        lookup: &Resource<ResolveAddressStream>,
    ) -> Result<bool> {
        self.lookups.is_due(table, lookup)
    }

    /// Notes a pollable of a lookup.
    pub(crate) fn lookup_subscribed(
        &mut self,
        table: &mut ResourceTable,
        lookup: &Resource<ResolveAddressStream>,
        pollable: &Resource<DynPollable>,
    ) -> Result<()> {
        if self.script.lookups.is_some() { self.lookups.subscribed(table, lookup, pollable) } else { Ok(()) }
    }

    /// Forgets a lookup that was dropped.
    pub(crate) fn lookup_dropped(&mut self, table: &mut ResourceTable, lookup: u32) -> Result<()> {
        self.lookups.forget(table, lookup)
    }
}
