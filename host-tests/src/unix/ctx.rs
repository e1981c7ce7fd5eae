//! What Unix sockets a component may use.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bindings::wasi_streams::unix::sockets::{Address, ErrorCode};
use super::files::Folder;

/// What a component may do below a folder, or at an abstract name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnixPerms {
    /// Connect to those who listen.
    pub connect: bool,
    /// Listen, which makes and removes socket files.
    pub listen: bool,
}

impl UnixPerms {
    /// Both.
    pub const ALL: Self = UnixPerms { connect: true, listen: true };
    /// Connecting only.
    pub const CONNECT: Self = UnixPerms { connect: true, listen: false };
    /// Listening only.
    pub const LISTEN: Self = UnixPerms { connect: false, listen: true };

    fn include(self, purpose: UnixUse) -> bool {
        match purpose {
            UnixUse::Connect => self.connect,
            UnixUse::Listen => self.listen,
            UnixUse::Create => true,
        }
    }
}

/// What a component was about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnixUse {
    /// Making a socket, where nothing at all is granted.
    Create,
    /// Connecting.
    Connect,
    /// Listening.
    Listen,
}

/// Something that a component was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnixDenial {
    /// What it was about to do.
    pub purpose: UnixUse,
    /// Where, by the component's own name: a path, or an abstract name as Python writes it; empty for making a socket.
    pub address: String,
    /// Why.
    pub reason: UnixReason,
}

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnixReason {
    /// Nothing is granted that includes it.
    NotGranted,
    /// The path is below a folder that is granted and leads out of it, by `..` or by a symbolic link.
    Escapes,
    /// [`refuse_if`](UnixCtxBuilder::refuse_if) says so.
    Judged,
}

/// The Unix sockets that a component may use; clones are the same.
#[derive(Clone, Default)]
pub struct UnixCtx(Arc<Inner>);

#[derive(Default)]
struct Inner {
    folders: Vec<Grant>,
    names: Vec<Name>,
    refuse_if: Option<Judge>,
    on_denial: Option<Box<dyn Fn(UnixDenial) + Send + Sync>>,
    most_sockets: Option<usize>,
    sockets: AtomicUsize,
}

type Judge = Box<dyn Fn(&UnixDenial) -> bool + Send + Sync>;

struct Grant {
    /// The parts of the component's path.
    guest: Vec<String>,
    absolute: bool,
    folder: Arc<Folder>,
    perms: UnixPerms,
}

struct Name {
    name: Vec<u8>,
    /// Every name that begins so.
    prefix: bool,
    perms: UnixPerms,
}

/// Says what a component may use.
#[derive(Default)]
#[must_use]
pub struct UnixCtxBuilder(Inner);

impl UnixCtxBuilder {
    /// Grants what is below the folder `host`, which the component knows as `guest`.
    ///
    /// # Errors
    ///
    /// If the folder cannot be opened.
    pub fn dir(self, guest: &str, host: impl AsRef<Path>) -> io::Result<Self> {
        self.dir_with(guest, host, UnixPerms::ALL)
    }

    /// The same, connecting or listening only. Of several grants that a path is below, the longest counts.
    ///
    /// # Errors
    ///
    /// If the folder cannot be opened.
    pub fn dir_with(mut self, guest: &str, host: impl AsRef<Path>, perms: UnixPerms) -> io::Result<Self> {
        let folder = Arc::new(Folder::open(host.as_ref())?);
        let guest_parts = parts(guest).map(String::from).collect();
        self.0.folders.push(Grant { guest: guest_parts, absolute: guest.starts_with('/'), folder, perms });
        Ok(self)
    }

    /// Grants a name in Linux' abstract namespace, or with a `*` at its end every name that begins so.
    pub fn abstract_name(mut self, name: &str, perms: UnixPerms) -> Self {
        let (name, prefix) = name.strip_suffix('*').map_or((name, false), |begin| (begin, true));
        self.0.names.push(Name { name: name.into(), prefix, perms });
        self
    }

    /// Refuses, of what is granted, that for which `judge` says so. It must answer at once. Paths come to it without empty parts and `.`,
    /// but `..` and links are the kernel's to follow: what a path leads to is said by the folders that are granted.
    pub fn refuse_if(mut self, judge: impl Fn(&UnixDenial) -> bool + Send + Sync + 'static) -> Self {
        self.0.refuse_if = Some(Box::new(judge));
        self
    }

    /// Calls this with everything that is refused.
    pub fn on_denial(mut self, call: impl Fn(UnixDenial) + Send + Sync + 'static) -> Self {
        self.0.on_denial = Some(Box::new(call));
        self
    }

    /// Limits how many sockets there are at once, listeners and connections together: not limited by default.
    pub fn max_sockets(mut self, most: usize) -> Self {
        self.0.most_sockets = Some(most);
        self
    }

    /// Makes the context of one component.
    pub fn build(self) -> UnixCtx {
        UnixCtx(Arc::new(self.0))
    }
}

/// Where the system finds an address.
#[derive(Clone)]
pub(super) enum Place {
    /// Below a folder; the path is the component's, which may try to lead out of it.
    Below(Arc<Folder>, PathBuf),
    Abstract(Vec<u8>),
}

impl UnixCtx {
    /// Starts with nothing granted.
    pub fn builder() -> UnixCtxBuilder {
        UnixCtxBuilder::default()
    }

    /// Finds out where `address` is, if it may be used so.
    pub(super) fn place(&self, address: &Address, purpose: UnixUse) -> Result<Place, ErrorCode> {
        let place = match address {
            Address::Unnamed => return Err(ErrorCode::InvalidArgument),
            Address::Path(path) if path.is_empty() || path.contains('\0') => return Err(ErrorCode::InvalidArgument),
            Address::AbstractName(name) if name.is_empty() => return Err(ErrorCode::InvalidArgument),
            // Before anything is made of it: it is as long as the component's memory, if it likes.
            Address::Path(path) if path.len() > LONGEST_PATH => return Err(ErrorCode::NameTooLong),
            Address::AbstractName(name) if name.len() > LONGEST_NAME => return Err(ErrorCode::NameTooLong),
            Address::Path(path) => self.below(path, purpose),
            Address::AbstractName(name) => self.at_name(name, purpose),
        };
        let place = place.ok_or_else(|| self.deny(purpose, address, UnixReason::NotGranted))?;
        if let Some(refuses) = &self.0.refuse_if
            && refuses(&denial(purpose, &plain(address), UnixReason::Judged))
        {
            return Err(self.deny(purpose, address, UnixReason::Judged));
        }
        Ok(place)
    }

    fn below(&self, path: &str, purpose: UnixUse) -> Option<Place> {
        let wanted: Vec<&str> = parts(path).collect();
        let contains = |grant: &&Grant| {
            grant.absolute == path.starts_with('/')
                && wanted.len() > grant.guest.len()
                && grant.guest.iter().zip(&wanted).all(|(own, other)| own == other)
        };
        let longest = self.0.folders.iter().filter(contains).map(|grant| grant.guest.len()).max()?;
        let counts = |grant: &&Grant| grant.guest.len() == longest && grant.perms.include(purpose);
        let grant = self.0.folders.iter().filter(contains).find(counts)?;
        Some(Place::Below(Arc::clone(&grant.folder), wanted[longest..].iter().collect()))
    }

    fn at_name(&self, name: &[u8], purpose: UnixUse) -> Option<Place> {
        let matches = |rule: &Name| if rule.prefix { name.starts_with(&rule.name) } else { name == rule.name };
        let allowed = self.0.names.iter().any(|rule| matches(rule) && rule.perms.include(purpose));
        allowed.then(|| Place::Abstract(name.to_vec()))
    }

    /// Tells whoever wants to know that something is refused.
    pub(super) fn deny(&self, purpose: UnixUse, address: &Address, reason: UnixReason) -> ErrorCode {
        if let Some(call) = &self.0.on_denial {
            call(denial(purpose, address, reason));
        }
        ErrorCode::AccessDenied
    }

    /// Counts a socket, if there may be another.
    pub(super) fn admit(&self) -> Result<Admission, ErrorCode> {
        let most = self.0.most_sockets.unwrap_or(usize::MAX);
        let one_more = |sockets| if sockets < most { Some(sockets + 1) } else { None };
        let counted = self.0.sockets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        counted.map(|_| Admission(self.clone())).map_err(|_| ErrorCode::NewSocketLimit)
    }

    /// Whether anything at all is granted.
    pub(super) fn grants_something(&self) -> bool {
        !self.0.folders.is_empty() || !self.0.names.is_empty()
    }

    /// How many sockets the component has.
    pub fn sockets(&self) -> usize {
        self.0.sockets.load(Ordering::Relaxed)
    }
}

/// One socket more, as long as it lives.
pub(super) struct Admission(UnixCtx);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.0.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

fn denial(purpose: UnixUse, address: &Address, reason: UnixReason) -> UnixDenial {
    let address = match address {
        Address::Unnamed => String::new(),
        Address::Path(path) => path.clone(),
        Address::AbstractName(name) => format!("b'\\x00{}'", name.escape_ascii()),
    };
    UnixDenial { purpose, address, reason }
}

/// An address as hooks know it, without empty parts and `.`.
fn plain(address: &Address) -> Address {
    match address {
        Address::Path(path) => {
            let begin = if path.starts_with('/') { "/" } else { "" };
            Address::Path(begin.to_owned() + &parts(path).collect::<Vec<_>>().join("/"))
        }
        other => other.clone(),
    }
}

/// The system's own limits.
const LONGEST_PATH: usize = 4096;
const LONGEST_NAME: usize = 107;

/// The parts of a path; `..` is one, for the kernel to judge.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

impl fmt::Debug for UnixCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folders = self.0.folders.iter().map(|grant| grant.guest.join("/"));
        f.debug_struct("UnixCtx").field("folders", &folders.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl fmt::Debug for UnixCtxBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixCtxBuilder").field("folders", &self.0.folders.len()).finish_non_exhaustive()
    }
}
