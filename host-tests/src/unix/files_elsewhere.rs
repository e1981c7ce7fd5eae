//! Systems without `openat2`: there is no way to resolve a path that nobody can bend meanwhile, so nothing is resolved.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;

use super::bindings::wasi_streams::unix::sockets::ErrorCode;

pub(super) struct Folder(());

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    #[expect(dead_code, reason = "no path is ever resolved")]
    Escape,
    Code(ErrorCode),
}

pub(super) struct SocketFile {
    pub(super) remove: bool,
}

pub(super) struct Target(());

const NOT_HERE: Failure = Failure::Code(ErrorCode::NotSupported);

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        std::fs::read_dir(path).map(|_| Folder(()))
    }

    pub(super) fn socket_at(&self, _: &Path) -> Result<Target, Failure> {
        Err(NOT_HERE)
    }

    pub(super) fn bind(&self, _: &Path) -> Result<(OwnedFd, SocketFile), Failure> {
        Err(NOT_HERE)
    }
}

impl Target {
    pub(super) fn of_name(_: &[u8]) -> Result<Self, Failure> {
        Err(NOT_HERE)
    }
}

pub(super) fn bind_name(_: &[u8]) -> Result<OwnedFd, Failure> {
    Err(NOT_HERE)
}

pub(super) fn stream_socket() -> Result<OwnedFd, Failure> {
    Err(NOT_HERE)
}

pub(super) fn connect(_: &OwnedFd, _: &Target) -> Result<(), Errno> {
    Err(Errno::OPNOTSUPP)
}

pub(super) fn listen(_: BorrowedFd<'_>, _: u32) -> Result<(), Failure> {
    Err(NOT_HERE)
}

impl From<Errno> for Failure {
    fn from(_: Errno) -> Self {
        NOT_HERE
    }
}

pub(super) fn code(_: Errno) -> ErrorCode {
    ErrorCode::NotSupported
}
