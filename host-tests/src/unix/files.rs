//! The system's side of addresses: opening, binding and connecting without ever leaving a folder.
//!
//! These calls may block for a moment, on a slow file system say: call them where that is allowed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::bindings::wasi_streams::unix::sockets::ErrorCode;

/// A folder that is granted, open since then.
pub(super) struct Folder(OwnedFd);

/// Why something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The path leads out of its folder.
    Escape,
    Code(ErrorCode),
}

/// The file that bind has made. Dropped, it is removed if that is wanted and nothing else has taken its place.
pub(super) struct SocketFile {
    folder: OwnedFd,
    name: OsString,
    device: u64,
    number: u64,
    pub(super) remove: bool,
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Folder(fs::openat(CWD, path, flags, Mode::empty())?))
    }

    /// Opens what is at `path`, for its name only; links are followed as long as they stay below this folder.
    fn find(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Failure> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        // The kernel gives up when a folder above is moved meanwhile.
        for _ in 0..RACES {
            match fs::openat2(&self.0, path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::XDEV) => return Err(Failure::Escape),
                other => return Ok(other?),
            }
        }
        Err(Failure::Escape)
    }

    /// Finds the socket at `path`, to be connected to.
    pub(super) fn socket_at(&self, path: &Path) -> Result<Target, Failure> {
        let file = self.find(path, OFlags::empty())?;
        if !is_socket(&fs::fstat(&file)?) {
            return Err(Failure::Code(ErrorCode::NotAStreamSocket));
        }
        Target::of_file(file)
    }

    /// Makes a socket that is bound to `path`, and its file.
    pub(super) fn bind(&self, path: &Path) -> Result<(OwnedFd, SocketFile), Failure> {
        let Some(Component::Normal(name)) = path.components().next_back() else {
            return Err(Failure::Code(ErrorCode::InvalidArgument));
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = self.find(parent, OFlags::DIRECTORY)?;
        let address = SocketAddrUnix::new(by_descriptor(&folder).join(name))?;
        let socket = stream_socket()?;
        for _ in 0..RACES {
            match net::bind(&socket, &address) {
                Ok(()) => {
                    let made = fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    let (device, number) = (made.st_dev, made.st_ino);
                    let file = SocketFile { folder, name: name.into(), device, number, remove: true };
                    return Ok((socket, file));
                }
                Err(Errno::ADDRINUSE) => remove_stale(&folder, name)?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::Code(ErrorCode::AddressInUse))
    }
}

/// Removes the file of a socket at which nobody listens any more.
fn remove_stale(folder: &OwnedFd, name: &OsStr) -> Result<(), Failure> {
    const IN_USE: Failure = Failure::Code(ErrorCode::AddressInUse);
    let found = match fs::openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()), // gone just now
        other => other?,
    };
    let before = fs::fstat(&found)?;
    // Open until the file is gone, or its number could be that of another file by then.
    let found = Target::of_file(found)?;
    if !is_socket(&before) || is_alive(&found)? {
        return Err(IN_USE);
    }
    match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(now) if (now.st_dev, now.st_ino) == (before.st_dev, before.st_ino) => {
            fs::unlinkat(folder, name, AtFlags::empty())
                .or_else(|error| if error == Errno::NOENT { Ok(()) } else { Err(error) })?;
            Ok(())
        }
        _ => Err(IN_USE),
    }
}

/// Whether any socket is bound to this file, listening or not yet: a socket of another type is refused for its type there, and nobody
/// notices.
fn is_alive(file: &Target) -> Result<bool, Failure> {
    let probe = net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    Ok(connect(&probe, file) != Err(Errno::CONNREFUSED))
}

/// What can be connected to. Holds the file open that its address speaks of.
pub(super) struct Target {
    address: SocketAddrUnix,
    _file: Option<OwnedFd>,
}

impl Target {
    fn of_file(file: OwnedFd) -> Result<Self, Failure> {
        let address = SocketAddrUnix::new(by_descriptor(&file))?;
        Ok(Target { address, _file: Some(file) })
    }

    pub(super) fn of_name(name: &[u8]) -> Result<Self, Failure> {
        Ok(Target { address: SocketAddrUnix::new_abstract_name(name)?, _file: None })
    }
}

/// Makes a socket that is bound to an abstract name.
pub(super) fn bind_name(name: &[u8]) -> Result<OwnedFd, Failure> {
    let socket = stream_socket()?;
    net::bind(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
    Ok(socket)
}

/// Makes a socket that does not block.
pub(super) fn stream_socket() -> Result<OwnedFd, Failure> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Connects, or says at once why not: `EAGAIN` is a full queue.
pub(super) fn connect(socket: &OwnedFd, target: &Target) -> Result<(), Errno> {
    net::connect(socket, &target.address)
}

/// Lets a socket listen; once more, it changes the length of the queue.
pub(super) fn listen(socket: BorrowedFd<'_>, backlog: u32) -> Result<(), Failure> {
    Ok(net::listen(socket, i32::try_from(backlog).unwrap_or(i32::MAX))?)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.remove {
            return;
        }
        // There is nobody to be told that it cannot be removed.
        if let Ok(now) = fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)
            && (now.st_dev, now.st_ino) == (self.device, self.number)
        {
            let _ = fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

/// The path by which the kernel finds what a descriptor of ours is open for, whatever is at its old path now.
fn by_descriptor(file: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

fn is_socket(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Socket
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        Failure::Code(code(error))
    }
}

/// The word for a system's error.
pub(super) fn code(error: Errno) -> ErrorCode {
    match error {
        Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::XDEV => ErrorCode::AccessDenied,
        Errno::OPNOTSUPP | Errno::NOSYS | Errno::AFNOSUPPORT => ErrorCode::NotSupported,
        Errno::INVAL => ErrorCode::InvalidArgument,
        Errno::NOMEM | Errno::NOBUFS => ErrorCode::OutOfMemory,
        Errno::AGAIN => ErrorCode::WouldBlock,
        Errno::MFILE | Errno::NFILE => ErrorCode::NewSocketLimit,
        Errno::ADDRINUSE | Errno::EXIST => ErrorCode::AddressInUse,
        Errno::NOENT | Errno::NOTDIR => ErrorCode::NotFound,
        Errno::NOTSOCK | Errno::PROTOTYPE => ErrorCode::NotAStreamSocket,
        Errno::NAMETOOLONG => ErrorCode::NameTooLong,
        Errno::LOOP => ErrorCode::Loop,
        Errno::CONNREFUSED => ErrorCode::ConnectionRefused,
        Errno::CONNRESET => ErrorCode::ConnectionReset,
        Errno::CONNABORTED => ErrorCode::ConnectionAborted,
        _ => ErrorCode::Unknown,
    }
}

/// How often something is tried that others may spoil each time.
const RACES: usize = 8;
