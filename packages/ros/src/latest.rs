//! Subscriptions that are drained at once.
//!
//! r2r keeps ten messages a subscription and, when full, throws away the newest. So every subscription has a task of its own that
//! does nothing but move messages out: into a slot that holds the latest ([`Latest`]), or into a longer queue where every message
//! counts.

use crate::RosClock;
use efm_core::Stamp;
use futures::{Stream, StreamExt};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// A message and when it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Received<T> {
    /// The message.
    pub msg: T,
    /// When it came, in monotonic time.
    pub at: Instant,
    /// When it came, in ROS time.
    pub ros_at: Stamp,
    /// Counts the messages of this subscription, from 1.
    pub count: u64,
}

impl<T> Received<T> {
    /// How long ago it came: in ROS time under simulation (where it stands still while `/clock` does, and is zero after a step
    /// backwards), in monotonic time otherwise.
    pub fn age(&self, clock: &RosClock) -> Duration {
        if clock.is_simulated() {
            Duration::from_nanos(u64::try_from(clock.now().nanos_since(self.ros_at)).unwrap_or(0))
        } else {
            self.at.elapsed()
        }
    }
}

/// The latest message of a topic. Cheap to clone; each clone has seen what the original had seen.
#[derive(Debug)]
pub struct Latest<T>(watch::Receiver<Option<Arc<Received<T>>>>);

impl<T> Clone for Latest<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Latest<T> {
    /// A slot and the way to fill it. For tests, and for values that do not come from a topic.
    pub fn slot() -> (LatestFeed<T>, Self) {
        let (sender, receiver) = watch::channel(None);
        (LatestFeed { sender, count: 0 }, Self(receiver))
    }

    /// The latest message; `None` before the first.
    pub fn get(&self) -> Option<Arc<Received<T>>> {
        self.0.borrow().clone()
    }

    /// Waits for a message that this handle has not seen yet and returns the latest. Never resolves again once the node is gone.
    pub async fn next(&mut self) -> Arc<Received<T>> {
        loop {
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(received) = self.0.borrow_and_update().clone() {
                return received;
            }
        }
    }
}

/// Fills the slot of a [`Latest`].
#[derive(Debug)]
pub struct LatestFeed<T> {
    sender: watch::Sender<Option<Arc<Received<T>>>>,
    count: u64,
}

impl<T> LatestFeed<T> {
    /// Puts a message into the slot; the one before is gone. Returns whether anybody is left to look.
    pub fn put(&mut self, msg: T, clock: &RosClock) -> bool {
        self.count += 1;
        let received = Received { msg, at: Instant::now(), ros_at: clock.now(), count: self.count };
        self.sender.send_replace(Some(Arc::new(received)));
        self.sender.receiver_count() > 0
    }
}

/// Moves what a stream yields, turned by `turn` (which may drop it by `None`), into a slot.
pub(crate) fn drain_latest<M, T: Send + Sync + 'static>(
    mut stream: impl Stream<Item = M> + Unpin + Send + 'static,
    clock: RosClock,
    mut turn: impl FnMut(M) -> Option<T> + Send + 'static,
) -> Latest<T> {
    let (mut feed, latest) = Latest::slot();
    tokio::spawn(async move {
        while let Some(msg) = stream.next().await {
            if let Some(value) = turn(msg)
                && !feed.put(value, &clock)
            {
                break;
            }
        }
    });
    latest
}

/// Moves everything that a stream yields into a queue of `capacity`; what does not fit is lost, with a warning.
pub(crate) fn drain_every<M: Send + 'static>(
    mut stream: impl Stream<Item = M> + Unpin + Send + 'static,
    clock: RosClock,
    topic: String,
    capacity: usize,
) -> mpsc::Receiver<Received<M>> {
    let (sender, receiver) = mpsc::channel(capacity);
    tokio::spawn(async move {
        let mut count = 0;
        while let Some(msg) = stream.next().await {
            count += 1;
            let received = Received { msg, at: Instant::now(), ros_at: clock.now(), count };
            match sender.try_send(received) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => {
                    log::warn!("a message on '{topic}' was lost: {capacity} are waiting already");
                }
                Err(mpsc::error::TrySendError::Closed(_)) => break,
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn only_the_newest_message_waits_in_the_slot() {
        let (clock, _feed) = RosClock::simulated();
        let (source, stream) = futures::channel::mpsc::unbounded();
        let mut latest = drain_latest(stream, clock, |n: u64| n.is_multiple_of(2).then_some(n * 10));
        assert!(latest.get().is_none());
        for n in 1..=100 {
            source.unbounded_send(n).unwrap();
        }
        while latest.get().is_none_or(|received| received.msg != 1000) {
            tokio::task::yield_now().await;
        }
        let received = latest.next().await;
        assert_eq!((received.msg, received.count), (1000, 50), "odd ones were dropped by the turn");
        source.unbounded_send(102).unwrap();
        assert_eq!(latest.next().await.msg, 1020);
    }

    #[tokio::test]
    async fn every_message_of_a_queue_is_kept_in_order() {
        let (source, stream) = futures::channel::mpsc::unbounded();
        let mut every = drain_every(stream, RosClock::wall(), "goal".into(), 64);
        for n in 0..64 {
            source.unbounded_send(n).unwrap();
        }
        for n in 0..64 {
            let received = every.recv().await.unwrap();
            assert_eq!((received.msg, received.count), (n, n + 1));
        }
    }

    #[test]
    fn under_simulation_age_is_ros_time_and_never_negative() {
        let (clock, feed) = RosClock::simulated();
        feed.set(Stamp::from_nanos(1_000));
        let (mut slot, latest) = Latest::slot();
        assert!(slot.put((), &clock));
        feed.set(Stamp::from_nanos(5_000));
        let received = latest.get().unwrap();
        assert_eq!(received.age(&clock), Duration::from_nanos(4_000));
        feed.set(Stamp::from_nanos(10));
        assert_eq!(received.age(&clock), Duration::ZERO);
        drop(latest);
        assert!(!slot.put((), &clock), "nobody looks any more");
    }
}
