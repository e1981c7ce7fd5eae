//! Sleeping until somebody may go on.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use wasi::clocks::monotonic_clock::subscribe_duration;

use crate::bindings::connections::wait;
use crate::bindings::{Pollable, poll};
use crate::complain;
use crate::door::Door;
use crate::sessions::Sessions;

/// How long to sleep before the next call if nothing happens: 5 ms at first, then twice as long each time, at most 1 s.
const PAUSES: RangeInclusive<u64> = 5_000_000..=1_000_000_000;

/// Who is waiting keeps its pollables, so that a wake-up costs calls only for those that it concerns.
///
/// Some things move in calls only, and no pollable of a session tells of them: bytes that a session has left behind, or has written to
/// the connection of another. For them the driver makes a call now and then, also when sessions are busy with something else.
pub(crate) struct Waiting {
    pause: u64,
    moved_at: Instant,
}

impl Waiting {
    pub(crate) fn new() -> Self {
        Self { pause: *PAUSES.start(), moved_at: Instant::now() }
    }

    /// Sleeps, or with `at_once` only looks, and wakes those whose pollables are ready.
    pub(crate) fn wait(&mut self, door: &mut Door<'_>, sessions: &mut Sessions, at_once: bool) {
        let timer = subscribe_duration(if at_once { 0 } else { self.pause });
        let mut only_time_has_passed = !at_once;
        for whose in ready(door.pollables(), sessions, &timer) {
            only_time_has_passed &= matches!(whose, Whose::Timer);
            match whose {
                Whose::Door => door.wake(),
                Whose::Session(number) => sessions.wake(number),
                Whose::Timer => {}
            }
        }
        if only_time_has_passed {
            self.pause = (self.pause * 2).min(*PAUSES.end());
        } else {
            self.pause = *PAUSES.start();
        }
        if only_time_has_passed || self.moved_at.elapsed() >= Duration::from_nanos(*PAUSES.end()) {
            move_the_rest();
            self.moved_at = Instant::now();
        }
    }
}

fn move_the_rest() {
    if let Err(error) = wait(&[], Some(0)) {
        complain(error.message);
    }
}

#[derive(Clone, Copy)]
enum Whose {
    Door,
    Session(usize),
    Timer,
}

fn ready(door: &[Pollable], sessions: &Sessions, timer: &Pollable) -> Vec<Whose> {
    let (mut owners, mut list) = (Vec::new(), Vec::new());
    let door = door.iter().map(|pollable| (Whose::Door, pollable));
    let sessions = sessions.pollables().map(|(number, pollable)| (Whose::Session(number), pollable));
    for (owner, pollable) in door.chain(sessions).chain([(Whose::Timer, timer)]) {
        owners.push(owner);
        list.push(pollable);
    }
    poll(&list).into_iter().map(|index| owners[index as usize]).collect()
}
