//! What network a guest may use.
//!
//! Closed unless opened. wasmtime asks about every address in [several steps](SocketAddrUse): an outgoing connection is first a bind to no particular address, a
//! listener is a bind and then a listen, and every accepted peer is asked about again. A rule here covers all steps
//! of what it allows. Name lookup is separate, in WASI as here: opening the whole network does not open it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use wasmtime_wasi::sockets::SocketAddrUse;

use crate::denial::Denial;
use crate::learned::Learned;
use crate::pattern::{ListenRule, PeerRule, PolicyError, Ports};
use crate::unix::{UnixCtx, UnixCtxBuilder, UnixPerms};

/// The network that a guest may use: nothing, unless it is said.
///
/// ```
/// # fn main() -> Result<(), wasi_streams_host::PolicyError> {
/// use wasi_streams_host::Policy;
///
/// let policy = Policy::loopback().allow("10.0.0.0/8:443")?.allow_listen("0.0.0.0:8080")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Policy {
    reach: Reach,
    peers: Vec<PeerRule>,
    listeners: Vec<ListenRule>,
    dns: bool,
    unix: Vec<UnixRule>,
    hook: Option<Hook>,
}

/// What a [hook](Policy::hook) says of a use of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is allowed, whatever the rules say. Unix sockets that no rule allows stay forbidden: they have no place in the host.
    Allow,
    /// It is refused, whatever the rules say.
    Deny,
    /// The rules decide.
    Rules,
}

#[derive(Clone)]
struct Hook(Arc<dyn Fn(&Denial) -> Verdict + Send + Sync>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// What Unix sockets may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
enum UnixRule {
    Folder { guest: String, host: PathBuf, perms: UnixPerms },
    Name { name: String, perms: UnixPerms },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// TCP does not exist: guests cannot even create a socket.
    None,
    /// What the rules say.
    Rules,
    /// What the rules say, and 127.0.0.0/8 and ::1 in both directions.
    Loopback,
    /// Everything, UDP included.
    Everything,
}

impl Default for Policy {
    fn default() -> Self {
        Policy::none()
    }
}

impl Policy {
    /// Connecting to and listening on 127.0.0.0/8 and ::1; nothing else, and no names.
    pub fn loopback() -> Self {
        Policy {
            reach: Reach::Loopback,
            peers: Vec::new(),
            listeners: Vec::new(),
            dns: false,
            unix: Vec::new(),
            hook: None,
        }
    }

    /// Nothing: creating a socket already fails. Rules added to it open what they name.
    pub fn none() -> Self {
        Policy { reach: Reach::None, ..Policy::loopback() }
    }

    /// Every address in both directions, UDP too; but no name lookup, which is [`dns`](Policy::dns).
    pub fn everything() -> Self {
        Policy { reach: Reach::Everything, ..Policy::loopback() }
    }

    /// Allows connecting to `HOST`, `HOST:PORT` or `HOST:PORT-PORT`: an address, a network (`10.0.0.0/8`), a name, or with
    /// `*.example.org` all names that end so, at any depth, but not `example.org` itself. Without a port it is every port.
    ///
    /// A name stands for the addresses that this machine finds for it now (it is looked up here, which may take seconds), and the guest may look up this name. A pattern stands for the
    /// addresses that the guest is told when it looks up such a name, but for those of loopback and of the link: whoever runs the
    /// domain decides which, private networks included, so name only domains that you trust. This works where the policy is
    /// [in force](crate::enforce), and not in [`refusal`](Policy::refusal) alone, which knows of no lookups.
    ///
    /// # Errors
    ///
    /// A text that is none of this, or a name without addresses; the error names it.
    pub fn allow(mut self, host: &str) -> Result<Self, PolicyError> {
        self.peers.push(PeerRule::parse(host)?);
        self.open_rules();
        Ok(self)
    }

    /// Allows listening on `IP:PORT` or `IP:PORT-PORT`, for whoever connects; port 0 is any port, `0.0.0.0` and `[::]` any
    /// interface.
    ///
    /// # Errors
    ///
    /// A text that is not that; the error names it.
    pub fn allow_listen(mut self, address: &str) -> Result<Self, PolicyError> {
        self.listeners.push(ListenRule::parse(address)?);
        self.open_rules();
        Ok(self)
    }

    /// Allows or forbids looking up any name, or an address as if it were a name.
    pub fn dns(mut self, allowed: bool) -> Self {
        self.dns = allowed;
        self
    }

    /// Allows Unix sockets below the folder `host`, which the guest knows as `guest`; neither `..` nor symbolic links lead out of it.
    pub fn allow_unix(mut self, guest: &str, host: impl Into<PathBuf>, perms: UnixPerms) -> Self {
        self.unix.push(UnixRule::Folder { guest: guest.into(), host: host.into(), perms });
        self
    }

    /// Allows Unix sockets at a name in Linux' abstract namespace, or with a `*` at its end at every name that begins so.
    pub fn allow_unix_abstract(mut self, name: &str, perms: UnixPerms) -> Self {
        self.unix.push(UnixRule::Name { name: name.into(), perms });
        self
    }

    /// Asks `hook` about each address and each name, before the rules, and about each Unix socket that a rule allows. It is told what would
    /// be refused, as the log would name it: an address (of a listener with port 0, where the system chose the port), a name as it is looked
    /// up (in lower case, in ASCII), a path without empty parts and `.`. It must answer at once. TCP and UDP as such have to be allowed by
    /// some rule.
    ///
    /// What a path leads to, by `..` and by links, is the kernel's to say, and not in the text: for that grant other folders.
    pub fn hook(mut self, hook: impl Fn(&Denial) -> Verdict + Send + Sync + 'static) -> Self {
        self.hook = Some(Hook(Arc::new(hook)));
        self
    }

    /// The Unix sockets that this allows.
    ///
    /// # Errors
    ///
    /// If a folder cannot be opened, which the error names; or if an abstract name is empty.
    pub fn unix(&self) -> io::Result<UnixCtxBuilder> {
        let mut ctx = UnixCtx::builder();
        for rule in &self.unix {
            ctx = match rule {
                UnixRule::Folder { guest, host, perms } => ctx.dir_with(guest, host, *perms).map_err(|error| {
                    io::Error::new(error.kind(), format!("cannot open the folder {}: {error}", host.display()))
                })?,
                UnixRule::Name { name, .. } if name.is_empty() => {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, NO_NAME));
                }
                UnixRule::Name { name, perms } => ctx.abstract_name(name, *perms),
            };
        }
        if let Some(Hook(hook)) = self.hook.clone() {
            ctx = ctx.refuse_if(move |denial| hook(&Denial::Unix(denial.clone())) == Verdict::Deny);
        }
        Ok(ctx)
    }

    /// What is refused, by the hook or else by the rules.
    fn judge(&self, denial: Denial, allowed: bool) -> Option<Denial> {
        let verdict = self.hook.as_ref().map_or(Verdict::Rules, |Hook(hook)| hook(&denial));
        match verdict {
            Verdict::Allow => None,
            Verdict::Deny => Some(Denial::ByHook(Box::new(denial))),
            Verdict::Rules => (!allowed).then_some(denial),
        }
    }

    /// What forbids this use of this address; none if it is allowed.
    pub fn refusal(&self, address: SocketAddr, purpose: SocketAddrUse) -> Option<Denial> {
        self.refusal_after(address, purpose, &Learned::default())
    }

    /// The same, of a guest that has looked up names.
    pub(crate) fn refusal_after(
        &self,
        address: SocketAddr,
        purpose: SocketAddrUse,
        learned: &Learned,
    ) -> Option<Denial> {
        // The first step of connecting is no use of an address yet.
        if matches!(purpose, SocketAddrUse::TcpBind) && is_nowhere(address) && self.tcp() {
            return None;
        }
        let denial = match purpose {
            SocketAddrUse::TcpConnect => Denial::Connect(address),
            SocketAddrUse::TcpBind => Denial::Bind(address),
            // Only a socket bound to port 0 of all interfaces comes this far; the system's choice of port is no rule.
            SocketAddrUse::TcpListen => Denial::Listen(SocketAddr::new(address.ip(), 0)),
            SocketAddrUse::TcpAccept => Denial::Accept(address),
            SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => Denial::Udp(address),
        };
        let told = matches!(purpose, SocketAddrUse::TcpConnect) && learned.allows(address);
        self.judge(denial, told || self.allows(address, purpose))
    }

    /// What forbids looking up this name; none if it is allowed.
    pub fn lookup_refusal(&self, name: &str) -> Option<Denial> {
        let allowed = self.dns || self.peers.iter().any(|rule| rule.names(name));
        self.judge(Denial::Lookup(name.into()), allowed)
    }

    /// The ports that looking up this name opens, at the addresses that the guest is told.
    pub(crate) fn opened_by(&self, name: &str) -> Vec<Ports> {
        self.peers.iter().filter_map(|rule| rule.opens(name)).collect()
    }

    pub(crate) fn tcp(&self) -> bool {
        self.reach != Reach::None
    }

    pub(crate) fn udp(&self) -> bool {
        self.reach == Reach::Everything
    }

    fn open_rules(&mut self) {
        if self.reach == Reach::None {
            self.reach = Reach::Rules;
        }
    }

    fn allows(&self, address: SocketAddr, purpose: SocketAddrUse) -> bool {
        let loopback = match self.reach {
            Reach::None => return false,
            Reach::Everything => return true,
            Reach::Rules => false,
            Reach::Loopback => address.ip().to_canonical().is_loopback(),
        };
        let may_listen = || self.listeners.iter().any(|rule| rule.matches(address));
        match purpose {
            SocketAddrUse::TcpConnect => loopback || self.peers.iter().any(|rule| rule.matches(address)),
            SocketAddrUse::TcpBind | SocketAddrUse::TcpListen => loopback || may_listen(),
            // Which listener accepts is not said. One on loopback has no other peers; on others all are welcome.
            SocketAddrUse::TcpAccept => loopback || !self.listeners.is_empty(),
            SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => false,
        }
    }
}

const NO_NAME: &str =
    "cannot allow an abstract Unix socket without a name: give NAME, NAME* for all that begin so, or * for every one";

fn is_nowhere(address: SocketAddr) -> bool {
    address.ip().is_unspecified() && address.port() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_was_told_of_a_name_it_may_connect_to_and_no_more() {
        let policy = Policy::none().allow("*.example.org:443").unwrap();
        let (learned, address) = (Learned::default(), "192.0.2.1:443".parse().unwrap());
        learned.begin(1, policy.opened_by("a.example.org"));
        learned.answered(1, "192.0.2.1".parse().unwrap());
        assert_eq!(policy.refusal_after(address, SocketAddrUse::TcpConnect, &learned), None);
        for other in
            [SocketAddrUse::TcpBind, SocketAddrUse::TcpListen, SocketAddrUse::TcpAccept, SocketAddrUse::UdpSend]
        {
            assert!(policy.refusal_after(address, other, &learned).is_some(), "{other:?}");
        }
        assert!(policy.refusal(address, SocketAddrUse::TcpConnect).is_some(), "another guest, which was told nothing");
    }
}
