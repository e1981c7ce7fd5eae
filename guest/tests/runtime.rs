//! Tasks, timers, and the turns of the loop.

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use wasi_streams::sim::Network;
use wasi_streams::{Error, Instant, Report, run, sleep, sleep_until, spawn, timeout, try_run, yield_now};

use common::{collect_reports, connected, ms, secs, settle, simulate, take_reports};

#[test]
fn run_inside_of_run_is_a_clear_error() {
    Network::new();
    let answer = run(async {
        let error = try_run(async {}).unwrap_err();
        assert!(matches!(error, Error::Busy(_)), "{error:?}");
        let panic = catch_unwind(AssertUnwindSafe(|| run(async {}))).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "run() cannot be called inside of another run()");
        yield_now().await; // the outer one goes on
        42
    });
    assert_eq!(answer, 42);
    assert_eq!(try_run(async { 43 }).unwrap(), 43);
}

#[test]
fn a_panic_of_the_main_future_leaves_the_runtime_usable() {
    let net = Network::new();
    collect_reports();
    let dropped = Rc::new(Cell::new(false));
    let panic = catch_unwind(AssertUnwindSafe(|| {
        run(async {
            let (_reader, _writer, _peer) = connected(&net).await;
            let on_drop = OnDrop(Rc::clone(&dropped));
            drop(spawn(async move {
                let _on_drop = on_drop;
                std::future::pending::<()>().await;
            }));
            settle().await;
            panic!("main")
        })
    }));
    assert!(panic.is_err() && dropped.get(), "its tasks are dropped");
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        writer.write(b"again").unwrap();
        assert_eq!(peer.recv(5).await, b"again");
        writer.close();
    });
}

#[test]
fn a_handle_gives_the_result_also_after_the_task_has_finished() {
    simulate(async |_net| {
        let mut early = spawn(async { 1 });
        let mut late = spawn(async {
            sleep(secs(5)).await;
            2
        });
        assert!(timeout(ms(1), &mut late).await.is_err(), "given up, to be taken up again");
        assert!(early.is_finished() && !late.is_finished());
        assert_eq!((&mut early).await.unwrap(), 1);
        assert_eq!(late.await.unwrap(), 2);
    });
}

#[test]
fn abort_drops_the_task_at_once() {
    simulate(async |_net| {
        let dropped = Rc::new(Cell::new(false));
        let on_drop = OnDrop(Rc::clone(&dropped));
        let task = spawn(async move {
            let _on_drop = on_drop;
            std::future::pending::<()>().await;
        });
        settle().await;
        task.abort();
        assert!(dropped.get() && task.is_finished());
        task.abort();
        assert!(matches!(task.await, Err(Error::Cancelled(_))));

        let done = spawn(async { 7 });
        settle().await;
        done.abort();
        assert_eq!(done.await.unwrap(), 7, "too late to abort");
    });
}

#[test]
fn a_task_may_abort_itself() {
    simulate(async |_net| {
        let handle = Rc::new(RefCell::new(None::<wasi_streams::JoinHandle<()>>));
        let steps = Rc::new(Cell::new(0));
        *handle.borrow_mut() = Some(spawn({
            let (handle, steps) = (Rc::clone(&handle), Rc::clone(&steps));
            async move {
                handle.borrow().as_ref().unwrap().abort();
                steps.set(1); // up to the next wait
                yield_now().await;
                steps.set(2);
            }
        }));
        settle().await;
        assert_eq!(steps.get(), 1);
        assert!(handle.take().unwrap().await.is_err());
    });
}

#[test]
fn a_dropped_handle_detaches_the_task() {
    simulate(async |_net| {
        let done = Rc::new(Cell::new(false));
        let flag = Rc::clone(&done);
        drop(spawn(async move {
            sleep(secs(3)).await;
            flag.set(true);
        }));
        sleep(secs(2)).await;
        assert!(!done.get());
        sleep(secs(2)).await;
        assert!(done.get());
    });
}

#[test]
fn a_task_started_outside_waits_for_the_next_run() {
    Network::new();
    let task = spawn(async { "ran" });
    assert!(!task.is_finished());
    assert_eq!(run(task).unwrap(), "ran");
}

#[test]
fn natively_a_panic_ends_its_task_alone_and_is_reported() {
    Network::new();
    collect_reports();
    run(async {
        let other = spawn(async {
            sleep(ms(1)).await;
            "fine"
        });
        let panics = spawn(async {
            yield_now().await;
            panic!("oh {}", "no")
        });
        let outcome: Result<(), Error> = panics.await;
        assert!(matches!(outcome, Err(Error::Cancelled(_))));
        assert_eq!(other.await.unwrap(), "fine");
    });
    let reports = take_reports();
    assert!(matches!(&reports[..], [Report::TaskPanicked { message }] if message == "oh no"), "{reports:?}");
}

#[test]
fn sleep_and_timeout_are_exact() {
    simulate(async |_net| {
        let start = Instant::now();
        for nanos in [1, 999, 1_000_001, 3_600_000_000_007] {
            let before = Instant::now();
            sleep(Duration::from_nanos(nanos)).await;
            assert_eq!(before.elapsed(), Duration::from_nanos(nanos));
        }
        let before = Instant::now();
        sleep_until(start).await; // the past
        sleep(Duration::ZERO).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
        sleep_until(before + ms(7)).await;
        assert_eq!(before.elapsed(), ms(7));

        let before = Instant::now();
        let error = timeout(ms(10), std::future::pending::<()>()).await.unwrap_err();
        assert_eq!((error.kind(), before.elapsed()), (std::io::ErrorKind::TimedOut, ms(10)));
        assert_eq!(timeout(ms(10), async { 5 }).await.unwrap(), 5);
        assert_eq!(timeout(ms(10), sleep(ms(10))).await.map(|()| before.elapsed()).unwrap(), ms(20));
        assert_eq!(timeout(Duration::ZERO, async { 6 }).await.unwrap(), 6, "it gets one chance");
        assert!(timeout(Duration::ZERO, yield_now()).await.is_err());
        assert!(timeout(Duration::MAX, sleep(ms(1))).await.is_ok());
    });
}

#[test]
fn ten_thousand_timers_fire_in_order_each_at_its_time() {
    simulate(async |net| {
        let fired = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..10_000_u64)
            .map(|i| {
                let fired = Rc::clone(&fired);
                let delay = ms(1 + i * 7919 % 2500); // four of each, all mixed up
                spawn(async move {
                    let start = Instant::now();
                    sleep(delay).await;
                    assert_eq!(start.elapsed(), delay);
                    fired.borrow_mut().push((delay, i));
                })
            })
            .collect();
        settle().await;
        assert!(net.counts().pollables < 5, "one pollable for all of them");
        let polls = net.counts().polls;
        tasks.iter().step_by(2).for_each(wasi_streams::JoinHandle::abort);
        for task in tasks.into_iter().skip(1).step_by(2) {
            task.await.unwrap();
        }
        let fired = fired.take();
        assert_eq!(fired.len(), 5000);
        assert!(fired.is_sorted(), "by time, then by age");
        assert!(net.counts().polls - polls < 2 * 2500, "{} polls", net.counts().polls - polls);
    });
}

#[test]
fn tasks_that_yield_take_turns() {
    simulate(async |_net| {
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks = ['a', 'b', 'c'].map(|name| {
            let order = Rc::clone(&order);
            spawn(async move {
                for _ in 0..100 {
                    order.borrow_mut().push(name);
                    yield_now().await;
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(order.take().iter().collect::<String>(), "abc".repeat(100));
    });
}

#[test]
fn a_main_that_wakes_itself_for_ever_does_not_starve_the_others() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        let answer = spawn(async move {
            let line = reader.readline().await.unwrap();
            writer.write(&line).unwrap();
            writer.close();
            line
        });
        let mut spins = 0;
        std::future::poll_fn(|cx| {
            spins += 1;
            if spins == 5_000 {
                peer.send(b"from outside\n"); // the platform has to be asked for this
            }
            cx.waker().wake_by_ref();
            if answer.is_finished() && peer.saw_eof() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert!(spins < 50_000, "{spins} polls of main before anybody looked outside");
        assert_eq!(peer.take_received(), b"from outside\n");
    });
}

#[test]
fn two_tasks_that_wake_each_other_do_not_starve_the_platform() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        for _ in 0..2 {
            drop(spawn(std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            })));
        }
        settle().await;
        peer.send(b"x");
        assert_eq!(reader.read(1).await.unwrap(), "x");
        writer.close();
        writer.wait_closed().await.unwrap();
    });
}

struct OnDrop(Rc<Cell<bool>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn tasks_are_dropped_at_the_end_also_those_that_destructors_start() {
    Network::new();
    let drops = Rc::new(Cell::new(0));
    run(async {
        for _ in 0..10 {
            let starts_another = SpawnsOnDrop(Rc::clone(&drops));
            drop(spawn(async move {
                let _starts_another = starts_another;
                std::future::pending::<()>().await;
            }));
        }
    });
    assert_eq!(drops.get(), 20);
}

/// Counts its drop, and starts a task that counts its own.
struct SpawnsOnDrop(Rc<Cell<u32>>);

struct Counts(Rc<Cell<u32>>);

impl Drop for SpawnsOnDrop {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        let counts = Counts(Rc::clone(&self.0));
        drop(spawn(async move {
            let _counts = counts;
            std::future::pending::<()>().await;
        }));
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}
