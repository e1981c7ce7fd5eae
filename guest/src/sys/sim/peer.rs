//! The other side of the guest's connections, driven by a test.
//!
//! The async methods are plain futures for the same executor that runs the guest; they resolve when the simulated
//! connection gets there.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::end::End;
use super::link::{self, EndRef};
use super::world::{self, Shared};

/// The remote end of a connection of the guest.
///
/// It takes everything the guest sends at once, unless it is [stalled](Self::stall) or its [window](Self::set_window)
/// is full. Clones are the same end; dropping the last closes it like [`close`](Self::close).
#[derive(Clone)]
pub struct Peer(Rc<PeerEnd>);

struct PeerEnd(EndRef);

/// A listener out there that the guest connects to.
///
/// Clones are the same listener. Dropping the last refuses later connections and closes those nobody has accepted.
#[derive(Clone)]
pub struct Listener {
    address: SocketAddr,
    queue: Rc<RefCell<ListenQueue>>,
}

#[derive(Default)]
pub(super) struct ListenQueue {
    waiting: VecDeque<Peer>,
    wakers: Vec<Waker>,
}

impl Listener {
    pub(super) fn new(address: SocketAddr, queue: Rc<RefCell<ListenQueue>>) -> Self {
        Self { address, queue }
    }

    /// Waits for the guest's next connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no connection.
    pub async fn accept(&self) -> Peer {
        poll_fn(|cx| {
            let mut queue = self.queue.borrow_mut();
            if let Some(peer) = queue.waiting.pop_front() {
                return Poll::Ready(peer);
            }
            if !queue.wakers.iter().any(|known| known.will_wake(cx.waker())) {
                queue.wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// The guest's next connection, if there is one.
    pub fn try_accept(&self) -> Option<Peer> {
        self.queue.borrow_mut().waiting.pop_front()
    }

    /// Where it listens; 0.0.0.0:0 for a Unix socket.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }
}

impl ListenQueue {
    /// Hands a connection to whoever accepts. The world must not be borrowed.
    pub(super) fn push(world: &Shared, queue: &Rc<RefCell<Self>>, peer: Peer) {
        let wakers = {
            let mut queue = queue.borrow_mut();
            queue.waiting.push_back(peer);
            std::mem::take(&mut queue.wakers)
        };
        world::wake(world, wakers);
    }
}

impl Peer {
    pub(super) fn new(end: EndRef) -> Self {
        Self(Rc::new(PeerEnd(end)))
    }

    /// Sends `bytes`; what the guest's receive buffer has no room for follows as the guest reads. After
    /// [`finish`](Self::finish), [`close`](Self::close) or a reset they go nowhere.
    pub fn send(&self, bytes: &[u8]) {
        self.change(|end, _| end.send(bytes));
    }

    /// Sends the end of stream after everything sent so far; the guest may still send.
    pub fn finish(&self) {
        self.change(|end, _| end.finish());
    }

    /// Closes both directions: the end of stream follows everything sent so far, and whatever the guest still sends is
    /// answered by a reset.
    pub fn close(&self) {
        self.change(End::leave);
    }

    /// Cuts the connection: the guest can read what arrived and then sees a reset.
    ///
    /// # Panics
    ///
    /// On a Unix socket with nothing unread from the guest: there a reset is what closing with unread bytes does, and
    /// nothing else.
    pub fn reset(&self) {
        self.change(|end, other| {
            let unread = !end.inbox.is_empty() || other.in_flight() > 0;
            assert!(unread || !end.is_unix() || end.dead, "Unix sockets know no reset without unread bytes");
            end.reset(other);
        });
    }

    /// Takes nothing from the guest until [`resume`](Self::resume).
    pub fn stall(&self) {
        self.change(|end, _| end.stalled = true);
    }

    /// Ends a [`stall`](Self::stall).
    pub fn resume(&self) {
        self.change(|end, _| end.stalled = false);
    }

    /// Takes at most `bytes` from the guest before the test takes them from here; without limit at first.
    pub fn set_window(&self, bytes: usize) {
        self.change(|end, _| end.window = bytes);
    }

    /// Everything that arrived and that nobody has taken.
    pub fn take_received(&self) -> Vec<u8> {
        self.change(|end, _| link::take(&mut end.inbox, usize::MAX))
    }

    /// Exactly `n` bytes from the guest, or fewer if it finished or reset the connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no bytes, unless `n` exceeds the [window](Self::set_window): what was taken to make
    /// room is lost.
    pub async fn recv(&self, n: usize) -> Vec<u8> {
        let mut gathered = Vec::new();
        poll_fn(|cx| {
            let done = self.change(|end, _| {
                let missing = n - gathered.len();
                if end.inbox.len() >= missing || end.is_over() || end.inbox.len() >= end.window {
                    gathered.append(&mut link::take(&mut end.inbox, missing));
                }
                gathered.len() == n || (end.is_over() && end.inbox.is_empty())
            });
            self.or_wait(done, cx.waker())
        })
        .await;
        gathered
    }

    /// Everything from the guest up to and with `separator`, or up to its end of stream or a reset.
    ///
    /// # Cancel safety
    ///
    /// As for [`recv`](Self::recv).
    pub async fn recv_until(&self, separator: &[u8]) -> Vec<u8> {
        let mut gathered: Vec<u8> = Vec::new();
        let find = |bytes: &[u8]| bytes.windows(separator.len().max(1)).position(|window| window == separator);
        poll_fn(|cx| {
            let done = self.change(|end, _| {
                let known = gathered.len();
                let found = {
                    let ahead = end.inbox.make_contiguous();
                    find(&[&gathered, &*ahead].concat())
                };
                if let Some(at) = found {
                    gathered.append(&mut link::take(&mut end.inbox, at + separator.len() - known));
                } else if end.is_over() || end.inbox.len() >= end.window {
                    gathered.append(&mut link::take(&mut end.inbox, usize::MAX));
                }
                found.is_some() || (end.is_over() && end.inbox.is_empty())
            });
            self.or_wait(done, cx.waker())
        })
        .await;
        gathered
    }

    /// Everything up to the guest's end of stream or a reset.
    pub async fn recv_to_end(&self) -> Vec<u8> {
        self.recv(usize::MAX).await
    }

    /// Waits until the guest has read everything sent so far, or the connection is no more.
    pub async fn drained(&self) {
        poll_fn(|cx| {
            let done = self.look(|end, other| (end.outbox.is_empty() && other.inbox.is_empty()) || end.dead);
            self.or_wait(done, cx.waker())
        })
        .await;
    }

    /// Waits until the guest has ended its direction, by an end of stream or a reset.
    pub async fn ended(&self) {
        poll_fn(|cx| self.or_wait(self.look(|end, _| end.is_over()), cx.waker())).await;
    }

    /// Whether the guest's end of stream arrived.
    pub fn saw_eof(&self) -> bool {
        self.look(|end, _| end.peer_finished)
    }

    /// Whether a reset from the guest arrived.
    pub fn saw_reset(&self) -> bool {
        self.look(|end, _| end.was_reset)
    }

    /// How many bytes ever arrived, taken or not.
    pub fn received_len(&self) -> u64 {
        self.look(|end, _| end.received)
    }

    /// How many bytes the guest has not read yet.
    pub fn unsent(&self) -> usize {
        self.look(|end, other| end.outbox.len() + other.inbox.len())
    }

    /// How many bytes of the guest's are on the way: in its kernel, or in its host's write in flight.
    pub fn in_flight(&self) -> usize {
        self.look(|_, other| other.in_flight())
    }

    /// The address of this end; 0.0.0.0:0 over Unix sockets.
    pub fn local_addr(&self) -> SocketAddr {
        self.look(|end, _| end.local)
    }

    /// The address of the guest's end; 0.0.0.0:0 over Unix sockets.
    pub fn remote_addr(&self) -> SocketAddr {
        self.look(|end, _| end.remote)
    }

    fn change<R>(&self, change: impl FnOnce(&mut End, &mut End) -> R) -> R {
        self.0.0.with(change)
    }

    fn look<R>(&self, look: impl FnOnce(&End, &End) -> R) -> R {
        self.0.0.peek(look)
    }

    fn or_wait(&self, done: bool, waker: &Waker) -> Poll<()> {
        if done {
            return Poll::Ready(());
        }
        self.0.0.listen_to(waker);
        Poll::Pending
    }
}

impl Drop for PeerEnd {
    fn drop(&mut self) {
        self.0.with(End::leave);
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.look(|end, _| write!(f, "Peer({} of {})", end.local, end.remote))
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.address)
    }
}
