//! Hands the newest of something to another thread; nobody waits for a slow one.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

struct Slot<T> {
    content: Mutex<Content<T>>,
    changed: Condvar,
}

struct Content<T> {
    newest: Option<T>,
    is_open: bool,
}

/// The side that puts; when it goes, the other side ends.
pub struct Giver<T>(Arc<Slot<T>>);

/// The side that takes.
pub struct Taker<T>(Arc<Slot<T>>);

impl<T> std::fmt::Debug for Giver<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Giver")
    }
}

impl<T> std::fmt::Debug for Taker<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Taker")
    }
}

/// The two sides of an empty slot.
pub fn newest<T>() -> (Giver<T>, Taker<T>) {
    let content = Mutex::new(Content { newest: None, is_open: true });
    let slot = Arc::new(Slot { content, changed: Condvar::new() });
    (Giver(slot.clone()), Taker(slot))
}

impl<T> Giver<T> {
    /// Puts it there. What was not taken yet comes back: it is older, and nobody wants it any more.
    pub fn put(&self, what: T) -> Option<T> {
        let left = self.0.content.lock().unwrap_or_else(PoisonError::into_inner).newest.replace(what);
        self.0.changed.notify_one();
        left
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        self.0.content.lock().unwrap_or_else(PoisonError::into_inner).is_open = false;
        self.0.changed.notify_one();
    }
}

impl<T> Taker<T> {
    /// Waits for the newest; `None` once the giver is gone.
    pub fn take(&self) -> Option<T> {
        let mut content = self.0.content.lock().unwrap_or_else(PoisonError::into_inner);
        while content.is_open {
            if let Some(newest) = content.newest.take() {
                return Some(newest);
            }
            content = self.0.changed.wait(content).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_taken_and_nobody_waits_for_who_is_slow() {
        let (giver, taker) = newest();
        assert_eq!((giver.put(1), giver.put(2), giver.put(3)), (None, Some(1), Some(2)));
        assert_eq!(taker.take(), Some(3));
        let other = std::thread::spawn(move || (taker.take(), taker.take()));
        giver.put(4);
        while giver.put(5).is_some() {
            std::thread::yield_now();
        }
        drop(giver);
        let (first, second) = other.join().expect("it does not panic");
        assert!(first.is_some() && (second.is_none() || second == Some(5)));
    }
}
