//! Names that one guest's resolver knows and nobody else's, so that a test decides which addresses a name has, and in
//! which order.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::ResolveAddressStream;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// The names, and the answers that the guest has not taken yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    known: HashMap<String, Answer>,
    /// By lookup; wasmtime's own lookups have no place for answers that are not its resolver's.
    answers: HashMap<u32, Answer>,
}

type Answer = Result<VecDeque<IpAddr>, ErrorCode>;

impl Names {
    pub(crate) fn add(&mut self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        self.known.insert(name.into(), Ok(addresses.into_iter().collect()));
    }

    pub(crate) fn add_failure(&mut self, name: &str, code: ErrorCode) {
        self.known.insert(name.into(), Err(code));
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// Lets `lookup`, whatever it was started for, answer with the addresses of `name`.
    pub(crate) fn answer(&mut self, lookup: &Resource<ResolveAddressStream>, name: &str) {
        let answer = self.known.get(name).cloned().unwrap_or(Ok(VecDeque::new()));
        self.answers.insert(lookup.rep(), answer);
    }

    /// Lets `lookup` fail.
    pub(crate) fn fail(&mut self, lookup: &Resource<ResolveAddressStream>, code: ErrorCode) {
        self.answers.insert(lookup.rep(), Err(code));
    }

    /// The next address of the answer, none after the last; none at all if the answer is the resolver's.
    pub(crate) fn next(
        &mut self,
        lookup: &Resource<ResolveAddressStream>,
    ) -> Option<Result<Option<IpAddr>, ErrorCode>> {
        let answer = self.answers.get_mut(&lookup.rep())?;
        Some(answer.as_mut().map(VecDeque::pop_front).map_err(|code| *code))
    }

    pub(crate) fn forget(&mut self, lookup: &Resource<ResolveAddressStream>) {
        self.answers.remove(&lookup.rep());
    }
}
