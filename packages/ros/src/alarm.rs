//! Runs a node's work on a thread, and wakes it to the fraction of a millisecond.
//!
//! tokio's timers know whole milliseconds, and another thread has to run before the one that waits does. Here the thread that waits sleeps
//! until the earliest alarm itself.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

struct Alarm {
    whose: u64,
    at: Instant,
    waker: Waker,
}

thread_local! {
    /// Of the work that this thread runs; none where it runs none.
    static ALARMS: RefCell<Option<Vec<Alarm>>> = const { RefCell::new(None) };
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Sets the alarm of `whose` (another one of it is forgotten). Whether it will ring: only work of [`block_on`] is woken.
pub(crate) fn set(whose: u64, at: Instant, waker: &Waker) -> bool {
    ALARMS.with_borrow_mut(|alarms| {
        let Some(alarms) = alarms else { return false };
        match alarms.iter_mut().find(|alarm| alarm.whose == whose) {
            Some(alarm) => {
                alarm.at = at;
                alarm.waker.clone_from(waker);
            }
            None => alarms.push(Alarm { whose, at, waker: waker.clone() }),
        }
        true
    })
}

/// Runs a future to its end on this thread, which sleeps meanwhile; not within another one. What it waits for may be of a tokio runtime
/// that was entered.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    ALARMS.set(Some(Vec::with_capacity(4)));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            ALARMS.set(None);
            return output;
        }
        match ALARMS.with_borrow(|alarms| alarms.iter().flatten().map(|alarm| alarm.at).min()) {
            None => std::thread::park(),
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    std::thread::park_timeout(left);
                }
                let now = Instant::now();
                ALARMS.with_borrow_mut(|alarms| {
                    if let Some(alarms) = alarms {
                        alarms.retain(|alarm| {
                            let waits = alarm.at > now;
                            // All of it is polled next anyway.
                            if !waits && !alarm.waker.will_wake(&waker) {
                                alarm.waker.wake_by_ref();
                            }
                            waits
                        });
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn work_is_woken_by_others_and_by_alarms_whichever_comes_first() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let other = std::thread::spawn(move || sender.send(7));
        assert_eq!(block_on(receiver), Ok(7));
        assert!(matches!(other.join(), Ok(Ok(()))));

        let begun = Instant::now();
        let at = begun + Duration::from_micros(300);
        let rung = block_on(std::future::poll_fn(|context| {
            if Instant::now() >= at {
                return Poll::Ready(true);
            }
            if set(1, at, context.waker()) { Poll::Pending } else { Poll::Ready(false) }
        }));
        assert!(rung && begun.elapsed() >= Duration::from_micros(300));
    }

    #[test]
    fn outside_of_such_work_no_alarm_rings() {
        assert!(!set(1, Instant::now(), Waker::noop()));
    }
}
