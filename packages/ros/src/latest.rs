//! What waits of a subscription: the latest message ([`Latest`]), or a queue where every message counts. Both are filled by the thread that
//! received the message.

use crate::RosClock;
use crate::bounds;
use efm_core::{SenderId, Stamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// The publisher that it came from; [`SenderId::UNKNOWN`] where it did not come from a topic.
    pub sender: SenderId,
    /// What it takes of the room of its queue, until it is gone.
    room: Option<Room>,
}

/// A share of the bytes that may wait in a queue.
#[derive(Debug)]
struct Room {
    bytes: usize,
    of: Arc<AtomicUsize>,
}

impl Room {
    /// Where there is as much.
    fn take(of: &Arc<AtomicUsize>, bytes: usize) -> Option<Self> {
        let more = |waiting: usize| Some(waiting + bytes).filter(|sum| *sum <= bounds::WAITING);
        of.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Self { bytes, of: of.clone() })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Clone for Room {
    /// A copy does not wait in the queue.
    fn clone(&self) -> Self {
        Self { bytes: 0, of: self.of.clone() }
    }
}

impl PartialEq for Room {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Received<T> {
    /// When it came, by the clock of durations ([`RosClock::steady`]).
    pub fn steady_at(&self, clock: &RosClock) -> Stamp {
        clock.steady_at(self.at, self.ros_at)
    }

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
    /// Puts a message that nobody sent into the slot; the one before is gone. Returns whether anybody is left to look.
    pub fn put(&mut self, msg: T, clock: &RosClock) -> bool {
        self.put_from(msg, SenderId::UNKNOWN, clock)
    }

    /// As [`Self::put`], a message of a sender.
    pub fn put_from(&mut self, msg: T, sender: SenderId, clock: &RosClock) -> bool {
        self.count += 1;
        let received = Received { msg, at: Instant::now(), ros_at: clock.now(), count: self.count, sender, room: None };
        self.sender.send_replace(Some(Arc::new(received)));
        self.sender.receiver_count() > 0
    }
}

/// Puts messages into a queue; what does not fit is lost, with a warning.
#[derive(Debug)]
pub(crate) struct QueueFeed<T> {
    queue: mpsc::Sender<Received<T>>,
    clock: RosClock,
    topic: String,
    count: u64,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
}

impl<T> QueueFeed<T> {
    pub fn new(queue: mpsc::Sender<Received<T>>, clock: RosClock, topic: &str) -> Self {
        Self { queue, clock, topic: topic.to_owned(), count: 0, waiting: Arc::default() }
    }

    /// One that came in so many bytes.
    pub fn put(&mut self, msg: T, sender: SenderId, bytes: usize) {
        self.count += 1;
        let Some(room) = Room::take(&self.waiting, bytes) else {
            let most = bounds::WAITING;
            log::warn!("a message on '{}' was lost: more than {most} bytes would be waiting", self.topic);
            return;
        };
        let (at, ros_at) = (Instant::now(), self.clock.now());
        let received = Received { msg, at, ros_at, count: self.count, sender, room: Some(room) };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(received) {
            let capacity = self.queue.max_capacity();
            log::warn!("a message on '{}' was lost: {capacity} are waiting already", self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn only_the_newest_message_waits_in_the_slot() {
        let (clock, _feed) = RosClock::simulated();
        let (mut feed, mut latest) = Latest::slot();
        assert!(latest.get().is_none());
        for n in 1..=100 {
            assert!(feed.put(n, &clock));
        }
        let received = latest.next().await;
        assert_eq!((received.msg, received.count, received.sender), (100, 100, SenderId::UNKNOWN));
        feed.put(102, &clock);
        assert_eq!(latest.next().await.msg, 102);
    }

    #[tokio::test]
    async fn every_message_of_a_queue_is_kept_in_order_and_what_does_not_fit_is_the_newest() {
        let (sender, mut every) = mpsc::channel(64);
        let mut feed = QueueFeed::new(sender, RosClock::wall(), "goal");
        for n in 0..70 {
            feed.put(n, SenderId([7; 16]), 8);
        }
        for n in 0..64 {
            let received = every.recv().await.unwrap();
            assert_eq!((received.msg, received.count, received.sender), (n, n + 1, SenderId([7; 16])));
        }
        assert!(every.try_recv().is_err());
        drop(every);
        feed.put(0, SenderId::UNKNOWN, 8); // nobody is there any more, which is no trouble
    }

    #[tokio::test]
    async fn what_waits_in_a_queue_is_bounded_in_bytes_as_well() {
        let (sender, mut every) = mpsc::channel(64);
        let mut feed = QueueFeed::new(sender, RosClock::wall(), "action_chunk");
        let large = bounds::WAITING / 3;
        for n in 0..5 {
            feed.put(n, SenderId::UNKNOWN, large);
        }
        let first = every.recv().await.unwrap();
        let copy = first.clone();
        drop(first);
        // Its room is free again, whatever copies there are.
        feed.put(5, SenderId::UNKNOWN, large);
        let heard = [every.recv().await.unwrap(), every.recv().await.unwrap(), every.recv().await.unwrap()];
        assert_eq!((copy.msg, heard.map(|received| received.msg)), (0, [1, 2, 5]));
        assert!(every.try_recv().is_err());
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
