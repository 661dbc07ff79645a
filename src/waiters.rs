//! Blocked reads: who waits for which stream, and who is to be woken.
//!
//! A reader registers, looks once more, and only then sleeps; a writer publishes, and only then looks for readers. Both
//! steps are sequentially consistent, so either the reader sees the entry or the writer sees the reader.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::StreamId;

/// All blocked reads of a store.
#[derive(Debug, Default)]
pub struct Waiters {
    /// The number of registered readers: writers look no further while it is zero.
    count: AtomicUsize,
    by_name: Mutex<HashMap<Vec<u8>, Vec<Place>>>,
}

/// A reader in the queue of one stream, behind those who came before it.
#[derive(Debug)]
struct Place {
    waiter: Arc<Waiter>,
    /// What it waits for is above this ID.
    after: StreamId,
}

/// A reader that may sleep.
#[derive(Debug, Default)]
pub struct Waiter {
    woken: Mutex<bool>,
    bell: Condvar,
}

impl Waiters {
    /// Adds a reader of these streams, at the end of their queues.
    pub fn register<'a>(&'a self, streams: impl IntoIterator<Item = (&'a [u8], StreamId)>) -> Registration<'a> {
        let waiter = Arc::new(Waiter::default());
        let mut names = Vec::new();
        let mut by_name = self.by_name.lock();
        for (name, after) in streams {
            by_name.entry(name.to_vec()).or_default().push(Place { waiter: Arc::clone(&waiter), after });
            names.push(name.to_vec());
        }
        self.count.fetch_add(1, Ordering::SeqCst);
        drop(by_name);
        Registration { waiters: self, waiter, names }
    }

    /// To be called after entries up to `last_id` of the stream `name` were published.
    #[inline]
    pub fn published(&self, name: &[u8], last_id: StreamId) {
        // Pairs with the increment in `register`: see the module.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.count.load(Ordering::SeqCst) != 0 {
            self.wake(name, |place| place.after < last_id);
        }
    }

    /// To be called after a stream came to be at `name` other than by adding.
    pub fn appeared(&self, name: &[u8]) {
        self.wake(name, |_| true);
    }

    /// Wakes every reader.
    pub fn wake_all(&self) {
        for places in self.by_name.lock().values() {
            places.iter().for_each(|place| place.waiter.wake());
        }
    }

    fn wake(&self, name: &[u8], concerned: impl Fn(&Place) -> bool) {
        if let Some(places) = self.by_name.lock().get(name) {
            places.iter().filter(|place| concerned(place)).for_each(|place| place.waiter.wake());
        }
    }
}

impl Waiter {
    fn wake(&self) {
        *self.woken.lock() = true;
        self.bell.notify_one();
    }
}

/// A reader's places in the queues; gives them up when dropped.
#[derive(Debug)]
pub struct Registration<'a> {
    waiters: &'a Waiters,
    waiter: Arc<Waiter>,
    names: Vec<Vec<u8>>,
}

impl Registration<'_> {
    /// Sleeps until woken, which may have happened before, or until the deadline; returns whether it was woken.
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut woken = self.waiter.woken.lock();
        while !*woken {
            match deadline {
                None => self.waiter.bell.wait(&mut woken),
                Some(deadline) => {
                    if self.waiter.bell.wait_until(&mut woken, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        std::mem::take(&mut woken)
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut by_name = self.waiters.by_name.lock();
        for name in &self.names {
            if let Some(places) = by_name.get_mut(name) {
                places.retain(|place| !Arc::ptr_eq(&place.waiter, &self.waiter));
                if places.is_empty() {
                    by_name.remove(name);
                }
            }
        }
        self.waiters.count.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_millis(5))
    }

    #[test]
    fn only_what_a_reader_waits_for_wakes_it() {
        let waiters = Waiters::default();
        let reader = waiters.register([(&b"s"[..], StreamId::new(5, 0))]);
        waiters.published(b"s", StreamId::new(5, 0));
        waiters.published(b"t", StreamId::new(9, 0));
        assert!(!reader.wait(soon()));
        waiters.published(b"s", StreamId::new(5, 1));
        assert!(reader.wait(soon()));
        assert!(!reader.wait(soon()), "a wake-up counts once");
    }

    #[test]
    fn a_reader_that_left_leaves_nothing_behind() {
        let waiters = Waiters::default();
        drop(waiters.register([(&b"s"[..], StreamId::MIN), (b"s", StreamId::MIN), (b"t", StreamId::MIN)]));
        assert!(waiters.by_name.lock().is_empty());
        assert_eq!(waiters.count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_wake_up_before_the_wait_is_not_lost() {
        let waiters = Waiters::default();
        let reader = waiters.register([(&b"s"[..], StreamId::MIN)]);
        waiters.wake_all();
        assert!(reader.wait(None));
    }
}
