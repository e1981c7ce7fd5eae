//! The addresses of Unix sockets.

use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::error::{Error, Result};

/// The address of a Unix socket. Displays as Python would print it: a path as `'/run/a.sock'`, none as `''`, a name in Linux'
/// abstract namespace as `b'\x00name'`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnixAddr {
    /// None: most clients have no address, and nor have peers whose path is not among those that the host lets us see.
    Unnamed,
    /// A path, as the host lets us see it.
    Path(String),
    /// A name in Linux' abstract namespace, without the null byte in front of it. It is no file, and gone with its listener.
    Abstract(Bytes),
}

impl UnixAddr {
    /// Returns the path, if it is one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Path(path) => Some(path),
            Self::Unnamed | Self::Abstract(_) => None,
        }
    }

    /// Refuses what no socket can be at.
    pub(crate) fn check(self) -> Result<Self> {
        match &self {
            Self::Path(path) if path.is_empty() => Err(Error::invalid("the path of a Unix socket cannot be empty")),
            Self::Path(path) if path.contains('\0') => Err(Error::invalid("embedded null character in the path")),
            Self::Unnamed => Err(Error::invalid("an unnamed Unix socket cannot be found by anybody")),
            Self::Abstract(name) if name.is_empty() => Err(Error::invalid("an abstract name cannot be empty")),
            Self::Path(_) | Self::Abstract(_) => Ok(self),
        }
    }
}

impl fmt::Display for UnixAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed => f.write_str("''"),
            Self::Path(path) => write!(f, "'{}'", path.escape_debug()),
            Self::Abstract(name) => write!(f, "b'\\x00{}'", name.escape_ascii()),
        }
    }
}

/// An address argument: a path, a [`UnixAddr`], or none (`()`, Python's `None`). Text that begins with a null character is a name in
/// the abstract namespace, as in Python.
pub trait IntoUnixAddr {
    #[doc(hidden)]
    fn into_unix_addr(self) -> Result<Option<UnixAddr>>;
}

impl IntoUnixAddr for () {
    fn into_unix_addr(self) -> Result<Option<UnixAddr>> {
        Ok(None)
    }
}

impl IntoUnixAddr for UnixAddr {
    fn into_unix_addr(self) -> Result<Option<UnixAddr>> {
        self.check().map(Some)
    }
}

impl IntoUnixAddr for &UnixAddr {
    fn into_unix_addr(self) -> Result<Option<UnixAddr>> {
        self.clone().into_unix_addr()
    }
}

impl IntoUnixAddr for &str {
    fn into_unix_addr(self) -> Result<Option<UnixAddr>> {
        match self.strip_prefix('\0') {
            Some(name) => UnixAddr::Abstract(Bytes::copy_from_slice(name.as_bytes())),
            None => UnixAddr::Path(self.into()),
        }
        .into_unix_addr()
    }
}

impl IntoUnixAddr for &String {
    fn into_unix_addr(self) -> Result<Option<UnixAddr>> {
        self.as_str().into_unix_addr()
    }
}

impl IntoUnixAddr for String {
    fn into_unix_addr(self) -> Result<Option<UnixAddr>> {
        self.as_str().into_unix_addr()
    }
}

impl IntoUnixAddr for &Path {
    fn into_unix_addr(self) -> Result<Option<UnixAddr>> {
        let text = self.to_str().ok_or(Error::invalid("the path is not UTF-8, which is all that WASI can pass on"))?;
        UnixAddr::Path(text.into()).into_unix_addr()
    }
}

impl IntoUnixAddr for &PathBuf {
    fn into_unix_addr(self) -> Result<Option<UnixAddr>> {
        self.as_path().into_unix_addr()
    }
}

impl IntoUnixAddr for PathBuf {
    fn into_unix_addr(self) -> Result<Option<UnixAddr>> {
        self.as_path().into_unix_addr()
    }
}

impl<A: IntoUnixAddr> IntoUnixAddr for Option<A> {
    fn into_unix_addr(self) -> Result<Option<UnixAddr>> {
        self.map_or(Ok(None), A::into_unix_addr)
    }
}
