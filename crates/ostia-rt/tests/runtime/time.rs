//! Time: nothing is early, nothing is lost, and what is dropped vanishes; on every back end.

use std::{
    future::{Future, pending, poll_fn, ready},
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use ostia_rt::{
    Backend, Builder, Runtime, spawn,
    time::{
        Elapsed, MissedTicks, Sleep, interval, interval_at, now, sleep, sleep_until, timeout, timeout_at,
    },
};

const MS: Duration = Duration::from_millis(1);
/// Nothing here takes as long unless it hangs.
const LONG: Duration = Duration::from_secs(60);
const BACKENDS: &[Backend] = if cfg!(windows) {
    &[Backend::Iocp, Backend::Sim]
} else {
    &[Backend::Uring, Backend::Epoll, Backend::Sim]
};

/// Runs a test with each back end of this system that there is.
///
/// The clock of the simulation goes on to the next timer as soon as all workers have nothing to do. What must not end
/// meanwhile is waited for by a task of the one worker there is.
#[track_caller]
fn on_each_backend(name: &str, workers: usize, test: impl Fn(Runtime)) {
    on(BACKENDS, name, workers, test);
}

/// As above, without the simulation: for what several threads do one after the other while nothing must end.
#[track_caller]
fn on_each_real_backend(name: &str, workers: usize, test: impl Fn(Runtime)) {
    on(&BACKENDS[..BACKENDS.len() - 1], name, workers, test);
}

#[track_caller]
fn on(backends: &[Backend], name: &str, workers: usize, test: impl Fn(Runtime)) {
    for &backend in backends {
        let builder: Builder = Runtime::builder().workers_per_node(workers).backend(backend);
        match builder.build() {
            Ok(runtime) => test(runtime),
            Err(error) => {
                assert_ne!(backend, Backend::Sim, "the simulation is everywhere: {error}");
                let _ = writeln!(io::stderr(), "SKIPPED {name} with {backend}: {error}");
            }
        }
    }
}

/// Waits for a future on a thread of no runtime.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Unpark>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(out) => return out,
            Poll::Pending => thread::park(),
        }
    }
}

/// Runs a future as a task, on a worker.
fn run<F>(runtime: &Runtime, future: F) -> F::Output
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    runtime.block_on(runtime.spawn(future)).unwrap()
}

/// Polls a future once, with the waker of the task that asks.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// Sleeps, and says whether that was long enough.
async fn sleep_and_check(delay: Duration) {
    let before = now();
    let sleep = sleep(delay);
    let deadline = sleep.deadline();
    assert!(deadline >= before + delay);
    sleep.await;
    let after = now();
    assert!(after >= deadline, "{delay:?}: {:?} early", deadline - after);
}

#[test]
fn a_sleep_is_never_early() {
    on_each_backend("a_sleep_is_never_early", 1, |runtime| {
        let delays = [0, 1, 999, 1_000, 50_000, 64_001, 999_999, 1_000_000, 1_000_001, 7_654_321];
        let delays = delays.map(Duration::from_nanos);
        // On the thread of block_on, and on a worker.
        runtime.block_on(async {
            for delay in delays {
                sleep_and_check(delay).await;
            }
            let task = spawn(async move {
                for delay in delays {
                    sleep_and_check(delay).await;
                }
            });
            task.await.unwrap();
        });
    });
}

#[test]
fn ten_thousand_sleeps_end_and_none_of_them_early() {
    on_each_backend("ten_thousand_sleeps_end_and_none_of_them_early", 2, |runtime| {
        let count = if cfg!(miri) { 50 } else { 10_000 };
        run(&runtime, async move {
            let tasks: Vec<_> = (0..count)
                .map(|i| spawn(sleep_and_check(Duration::from_micros(i * 7919 % 100_000))))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

#[test]
fn sleeps_of_one_worker_end_in_the_order_of_their_deadlines() {
    on_each_backend("sleeps_of_one_worker_end_in_the_order_of_their_deadlines", 1, |runtime| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&order);
        let expected = run(&runtime, async move {
            let start = now() + 250 * MS;
            // Twice each deadline: of two equal ones the first comes first.
            let delays: Vec<u32> = (0..100).map(|i| i * 37 % 50).collect();
            let tasks: Vec<_> = delays
                .iter()
                .enumerate()
                .map(|(i, &delay)| {
                    let order = Arc::clone(&shared);
                    spawn(async move {
                        sleep_until(start + delay * MS / 10).await;
                        order.lock().unwrap().push(i);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let mut expected: Vec<usize> = (0..delays.len()).collect();
            expected.sort_by_key(|&i| delays[i]);
            expected
        });
        assert_eq!(*order.lock().unwrap(), expected, "with {}", runtime.backend());
    });
}

#[test]
fn a_deadline_in_the_past_has_come_already() {
    on_each_backend("a_deadline_in_the_past_has_come_already", 1, |runtime| {
        run(&runtime, async move {
            let past = now();
            sleep(MS).await;
            let late = sleep_until(past);
            assert!(late.is_elapsed());
            late.await;
        });
    });
}

#[test]
fn a_sleep_of_centuries_waits() {
    on_each_backend("a_sleep_of_centuries_waits", 1, |runtime| {
        run(&runtime, async move {
            let mut long = sleep(Duration::MAX);
            let mut decades = sleep(Duration::from_secs(60 * 60 * 24 * 365 * 80));
            sleep(MS).await;
            assert!(poll_once(&mut long).await.is_pending());
            assert!(poll_once(&mut decades).await.is_pending());
            // They are no hindrance to others.
            sleep(MS).await;
            assert!(poll_once(&mut long).await.is_pending());
        });
    });
}

#[test]
fn a_sleep_that_has_ended_has_ended_until_it_is_reset() {
    on_each_backend("a_sleep_that_has_ended_has_ended_until_it_is_reset", 1, |runtime| {
        run(&runtime, async move {
            let mut sleep = sleep(MS);
            (&mut sleep).await;
            (&mut sleep).await;
            let next = now() + 2 * MS;
            sleep.reset(next);
            (&mut sleep).await;
            assert!(now() >= next);
        });
    });
}

#[test]
fn a_reset_moves_the_end_to_earlier_and_to_later() {
    on_each_backend("a_reset_moves_the_end_to_earlier_and_to_later", 1, |runtime| {
        run(&runtime, async move {
            let mut sleep = sleep(LONG * 60);
            assert!(poll_once(&mut sleep).await.is_pending());
            let earlier = now() + 5 * MS;
            sleep.reset(earlier);
            (&mut sleep).await;
            assert!(now() >= earlier && sleep.deadline() == earlier);

            sleep.reset(now() + MS);
            let _ = poll_once(&mut sleep).await;
            let later = now() + 10 * MS;
            sleep.reset(later);
            (&mut sleep).await;
            assert!(now() >= later);
        });
    });
}

#[test]
fn a_reset_from_another_thread_wakes_a_worker_that_sleeps_for_longer() {
    on_each_real_backend("a_reset_from_another_thread_wakes_a_worker_that_sleeps_for_longer", 1, |runtime| {
        let made = run(&runtime, async { Some(sleep(LONG * 60)) }).expect("it was made");
        let shared = Arc::new(Mutex::new(made));
        let (sender, receiver) = mpsc::channel();
        let task = runtime.spawn({
            let shared = Arc::clone(&shared);
            poll_fn(move |cx| {
                let polled = Pin::new(&mut *shared.lock().unwrap()).poll(cx);
                let _ = sender.send(());
                polled
            })
        });
        receiver.recv().unwrap();
        let deadline = run(&runtime, async move { now() }) + 5 * MS;
        shared.lock().unwrap().reset(deadline);
        run(&runtime, async move {
            task.await.unwrap();
            assert!(now() >= deadline);
        });
    });
}

#[test]
fn a_sleep_goes_on_wherever_it_is_polled() {
    on_each_backend("a_sleep_goes_on_wherever_it_is_polled", 2, |runtime| {
        let delay = 20 * MS;
        // Begun by a worker, ended by a thread of no runtime.
        let begun = runtime.spawn(async move {
            let mut sleep = sleep(delay);
            assert!(poll_once(&mut sleep).await.is_pending());
            Some(sleep)
        });
        let mut sleep = wait(begun).unwrap().expect("it was begun");
        wait(&mut sleep);
        assert!(sleep.is_elapsed());
        // Begun by a thread of no runtime, ended by a task.
        let deadline = sleep.deadline() + 2 * delay;
        sleep.reset(deadline);
        assert!(Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let ended = runtime.spawn(async move {
            sleep.await;
            now()
        });
        assert!(wait(ended).unwrap() >= deadline);
    });
}

#[test]
fn only_the_task_that_polled_last_is_woken() {
    on_each_backend("only_the_task_that_polled_last_is_woken", 1, |runtime| {
        struct Flag(AtomicBool);
        impl Wake for Flag {
            fn wake(self: Arc<Flag>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let first = Waker::from(Arc::clone(&flag));
        run(&runtime, async move {
            let mut sleep = sleep(LONG * 60);
            assert!(Pin::new(&mut sleep).poll(&mut Context::from_waker(&first)).is_pending());
            assert!(poll_once(&mut sleep).await.is_pending());
            sleep.reset(now() + 5 * MS);
            sleep.await;
        });
        assert!(!flag.0.load(Ordering::SeqCst));
    });
}

#[test]
fn a_sleep_dropped_on_any_thread_vanishes() {
    on_each_backend("a_sleep_dropped_on_any_thread_vanishes", 2, |runtime| {
        struct Witness;
        impl Wake for Witness {
            fn wake(self: Arc<Witness>) {}
        }
        let witness = Arc::new(Witness);
        let waker = Waker::from(Arc::clone(&witness));
        let task = runtime.spawn(async move {
            let mut sleeps: Vec<Sleep> = (0..10).map(|i| sleep(LONG * i)).collect();
            for sleep in &mut sleeps {
                assert!(Pin::new(sleep).poll(&mut Context::from_waker(&waker)).is_pending());
            }
            sleeps
        });
        // On another thread than they were begun on.
        drop(wait(task).unwrap());
        assert_eq!(Arc::strong_count(&witness), 1, "the wakers are gone with them");
    });
}

#[test]
fn a_task_that_only_a_timer_knows_of_may_end_by_it() {
    on_each_backend("a_task_that_only_a_timer_knows_of_may_end_by_it", 1, |runtime| {
        // Aborted tasks drop what they own, sleeps included, wherever their wakers lie.
        let tasks: Vec<_> =
            (0..100u32).map(|i| runtime.spawn(async move { sleep((i % 7) * MS).await })).collect();
        run(&runtime, async move {
            sleep(2 * MS).await;
            for task in &tasks {
                task.abort();
            }
            for task in tasks {
                // In time, or aborted: both may be.
                assert!(task.await.map_or_else(|error| error.is_cancelled(), |()| true));
            }
        });
        let report = runtime.shutdown(Duration::ZERO, LONG);
        assert!(report.pending.is_empty() && report.threads_left == 0, "{report}");
    });
}

#[test]
fn a_runtime_ends_although_somebody_sleeps() {
    on_each_real_backend("a_runtime_ends_although_somebody_sleeps", 2, |runtime| {
        let task = runtime.spawn(async { sleep(LONG * 60).await });
        let report = runtime.shutdown(Duration::ZERO, LONG);
        assert!(report.pending.is_empty() && report.threads_left == 0, "{report}");
        assert!(wait(task).is_err_and(|error| error.is_cancelled()));
    });
}

#[test]
fn to_wait_for_a_timer_of_a_runtime_that_has_ended_is_a_mistake_that_says_so() {
    on_each_real_backend("to_wait_for_a_timer_of_a_runtime_that_has_ended", 1, |runtime| {
        let mut begun = run(&runtime, async { Some(sleep(LONG * 60)) }).expect("it was made");
        assert!(Pin::new(&mut begun).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(runtime);
        let panic = catch_unwind(AssertUnwindSafe(|| wait(&mut begun))).expect_err("nobody can wake it");
        let text = panic.downcast_ref::<&str>().expect("a text");
        assert!(text.contains("after the end of its runtime"), "{text}");
    });
}

#[test]
fn there_is_no_clock_outside_of_a_runtime() {
    let panic = catch_unwind(|| sleep(MS)).expect_err("there is none");
    drop(panic);
}

#[test]
fn a_timeout_gives_the_result_of_what_ends_in_time() {
    on_each_backend("a_timeout_gives_the_result_of_what_ends_in_time", 1, |runtime| {
        run(&runtime, async move {
            assert_eq!(timeout(LONG, async { 5 }).await, Ok(5));
            // Ready is ready, however late.
            assert_eq!(timeout(Duration::ZERO, ready(6)).await, Ok(6));
            let quick = async {
                sleep(MS).await;
                7
            };
            assert_eq!(timeout_at(now() + LONG, quick).await, Ok(7));
        });
    });
}

#[test]
fn a_timeout_ends_what_takes_too_long_and_never_early() {
    on_each_backend("a_timeout_ends_what_takes_too_long_and_never_early", 1, |runtime| {
        let witness = Arc::new(());
        let kept = Arc::clone(&witness);
        run(&runtime, async move {
            let before = now();
            let slow = async move {
                let _kept = kept;
                pending::<()>().await;
            };
            assert_eq!(timeout(3 * MS, slow).await, Err(Elapsed));
            assert!(now() >= before + 3 * MS);
            let deadline = now() + 2 * MS;
            assert_eq!(timeout_at(deadline, pending::<()>()).await, Err(Elapsed));
            assert!(now() >= deadline);
        });
        assert_eq!(Arc::strong_count(&witness), 1, "what took too long is dropped");
        assert_eq!(io::Error::from(Elapsed).kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn timeouts_inside_of_timeouts_end_with_the_shortest() {
    on_each_backend("timeouts_inside_of_timeouts_end_with_the_shortest", 1, |runtime| {
        run(&runtime, async move {
            let inner = timeout(2 * MS, pending::<()>());
            assert_eq!(timeout(LONG, inner).await, Ok(Err(Elapsed)));
            let inner = timeout(LONG, pending::<()>());
            assert_eq!(timeout(2 * MS, inner).await, Err(Elapsed));
        });
    });
}

#[test]
fn an_interval_ticks_at_its_pace_and_never_early() {
    on_each_backend("an_interval_ticks_at_its_pace_and_never_early", 1, |runtime| {
        run(&runtime, async move {
            let mut ticks = interval(2 * MS);
            let first = ticks.tick().await;
            for i in 1..=5 {
                let tick = ticks.tick().await;
                assert_eq!(tick, first + 2 * i * MS);
                assert!(now() >= tick);
            }
            let start = now() + 3 * MS;
            let mut later = interval_at(start, MS);
            assert_eq!(later.tick().await, start);
            assert!(now() >= start);
        });
    });
}

#[test]
fn missed_ticks_are_made_up_for_as_was_said() {
    on_each_backend("missed_ticks_are_made_up_for_as_was_said", 1, |runtime| {
        run(&runtime, async move {
            let period = 2 * MS;
            let start = now();
            let mut burst = interval_at(start, period);
            let mut delay = interval_at(start, period).missed_ticks(MissedTicks::Delay);
            let mut skip = interval_at(start, period).missed_ticks(MissedTicks::Skip);
            sleep_until(start + 5 * period).await;
            for i in 0..=5 {
                assert_eq!(burst.tick().await, start + i * period);
            }
            assert_eq!(delay.tick().await, start);
            let taken = now();
            let second = delay.tick().await;
            assert!(second >= start + 6 * period && second <= taken + period);
            assert_eq!(skip.tick().await, start);
            let next = skip.tick().await;
            assert!(next >= start + 5 * period);
            assert_eq!((next - start).as_nanos() % period.as_nanos(), 0, "the pace is kept");
        });
    });
}

#[test]
fn a_tick_that_was_not_taken_is_not_lost() {
    on_each_backend("a_tick_that_was_not_taken_is_not_lost", 1, |runtime| {
        run(&runtime, async move {
            let start = now() + 5 * MS;
            let mut ticks = interval_at(start, LONG * 60);
            // Given up many times before it comes.
            while timeout(Duration::ZERO, ticks.tick()).await.is_err() {
                sleep(MS).await;
            }
            assert!(now() >= start);
            ticks.reset();
            assert_eq!(timeout(2 * MS, ticks.tick()).await, Err(Elapsed));
        });
    });
}

#[test]
fn an_hour_of_the_simulation_takes_no_hour() {
    let hour = Duration::from_secs(60 * 60);
    let runtime = Runtime::builder().workers_per_node(1).backend(Backend::Sim).build().unwrap();
    let began = Instant::now();
    run(&runtime, async move {
        let before = now();
        sleep(hour).await;
        assert!(now() >= before + hour);
    });
    assert!(began.elapsed() < LONG);
}
