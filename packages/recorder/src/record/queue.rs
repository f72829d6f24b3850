//! The queue between the thread that takes messages and the one that writes them. It is bounded in bytes; what does not fit is refused, so
//! that a slow disk costs messages and never memory. Buffers are used again.

use efm_core::Stamp;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Buffers that wait to be used again, at most.
const MOST_SPARE: usize = 32;

/// A message that waits.
#[derive(Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which topic.
    pub topic: usize,
    /// CDR, with the encapsulation header.
    pub bytes: Vec<u8>,
    /// When it was received.
    pub received: Stamp,
    /// When it was published.
    pub published: Stamp,
}

/// What came of waiting for a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// This one; give it back by [`Queue::done`].
    Message(Waiting),
    /// The time is up.
    Nothing,
    /// There will never be another one.
    Closed,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Of what waits and what is being written.
    bytes: usize,
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
    closed: bool,
}

impl Queue {
    /// A queue for so many bytes of messages.
    pub fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), limit }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a copy of a message into the queue; false when it is refused: there is no room, or the queue is closed. For one thread: of two
    /// that do this at a time both may find the same room.
    pub fn put(&self, topic: usize, bytes: &[u8], received: Stamp, published: Stamp) -> bool {
        let mut buffer = {
            let mut state = self.state();
            if state.closed || state.bytes + bytes.len() > self.limit {
                return false;
            }
            state.spare_for(bytes.len())
        };
        // Copied while nobody is held up.
        buffer.extend_from_slice(bytes);
        let mut state = self.state();
        state.bytes += buffer.len();
        state.waiting.push_back(Waiting { topic, bytes: buffer, received, published });
        drop(state);
        self.filled.notify_one();
        true
    }

    /// The next message, waited for until `deadline`. What was put before the queue was closed still comes.
    pub fn next(&self, deadline: Instant) -> Next {
        let mut state = self.state();
        loop {
            if let Some(message) = state.waiting.pop_front() {
                return Next::Message(message);
            }
            if state.closed {
                return Next::Closed;
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return Next::Nothing;
            };
            state = self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives a message back that was dealt with; only then there is room for others.
    pub fn done(&self, message: Waiting) {
        let mut state = self.state();
        state.bytes -= message.bytes.len();
        let mut buffer = message.bytes;
        buffer.clear();
        // As much may be kept as may wait.
        if state.spare.len() < MOST_SPARE && state.spare_bytes + buffer.capacity() <= self.limit / 2 {
            state.spare_bytes += buffer.capacity();
            state.spare.push(buffer);
        }
    }

    /// Refuses everything from now on.
    pub fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }

    /// Whether everything is refused.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Bytes of what waits and of what is being written.
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }
}

impl State {
    /// The smallest spare buffer that is large enough and not wasteful, or a new one.
    fn spare_for(&mut self, length: usize) -> Vec<u8> {
        let fits = |buffer: &Vec<u8>| buffer.capacity() >= length && buffer.capacity() <= 2 * length + 4096;
        let best = self.spare.iter().enumerate().filter(|(_, b)| fits(b)).min_by_key(|(_, b)| b.capacity());
        let Some(at) = best.map(|(at, _)| at) else { return Vec::with_capacity(length) };
        let buffer = self.spare.swap_remove(at);
        self.spare_bytes -= buffer.capacity();
        buffer
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::time::Duration;

    fn put(queue: &Queue, topic: usize, length: usize) -> bool {
        queue.put(topic, &vec![7; length], Stamp::from_nanos(1), Stamp::from_nanos(2))
    }

    fn take(queue: &Queue) -> Option<Waiting> {
        match queue.next(Instant::now()) {
            Next::Message(message) => Some(message),
            Next::Nothing | Next::Closed => None,
        }
    }

    proptest! {
        /// Against a plain model: what comes out is what was taken in, in order, and the bytes never exceed the bound.
        #[test]
        fn order_and_bound_are_kept_whatever_comes(steps in prop::collection::vec((0usize..3, 0usize..400), 0..200)) {
            let queue = Queue::new(1000);
            let mut model: VecDeque<(usize, usize)> = VecDeque::new();
            let mut being_written: Vec<Waiting> = Vec::new();
            for (topic, (what, length)) in steps.into_iter().enumerate() {
                let held = model.iter().map(|m| m.1).sum::<usize>() + being_written.iter().map(|m| m.bytes.len()).sum::<usize>();
                prop_assert_eq!(queue.bytes(), held);
                prop_assert!(held <= 1000);
                match what {
                    0 => {
                        let taken = put(&queue, topic, length);
                        prop_assert_eq!(taken, held + length <= 1000);
                        if taken {
                            model.push_back((topic, length));
                        }
                    }
                    1 => {
                        let got = take(&queue);
                        prop_assert_eq!(got.as_ref().map(|m| (m.topic, m.bytes.len())), model.pop_front());
                        being_written.extend(got);
                    }
                    _ => being_written.drain(..).for_each(|message| queue.done(message)),
                }
            }
        }
    }

    #[test]
    fn buffers_are_used_again() {
        let queue = Queue::new(100_000);
        assert!(put(&queue, 0, 10_000));
        let message = take(&queue).unwrap();
        let place = message.bytes.as_ptr();
        queue.done(message);
        assert!(put(&queue, 0, 9_000));
        assert_eq!(take(&queue).unwrap().bytes.as_ptr(), place);
    }

    #[test]
    fn what_was_put_before_the_end_still_comes() {
        let queue = Queue::new(100);
        assert!(put(&queue, 1, 10));
        queue.close();
        assert!(!put(&queue, 2, 10));
        assert_eq!(take(&queue).unwrap().topic, 1);
        assert_eq!(queue.next(Instant::now() + Duration::from_secs(60)), Next::Closed);
    }

    #[test]
    fn a_waiting_writer_is_woken() {
        let queue = Arc::new(Queue::new(100));
        let writer = {
            let queue = queue.clone();
            std::thread::spawn(move || queue.next(Instant::now() + Duration::from_secs(60)))
        };
        assert!(put(&queue, 3, 10));
        assert!(matches!(writer.join().unwrap(), Next::Message(Waiting { topic: 3, .. })));
    }
}
