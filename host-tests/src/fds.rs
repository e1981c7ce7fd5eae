//! Counts this process's file descriptors, to see sockets that stay open after their guest.

/// The number of file descriptors that this process has open.
///
/// Other tests in the same process open sockets too: compare numbers in a test that runs its guests through the
/// runner, or wait for a number instead of asserting it once.
///
/// # Panics
///
/// If there is no `/proc/self/fd`.
pub fn open_fds() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").expect("/proc/self/fd lists descriptors");
    // The listing itself is one.
    entries.count() - 1
}
