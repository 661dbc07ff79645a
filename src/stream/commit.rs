//! Group commit: whoever needs a sync first does it for all who wait.
//!
//! # Gathering
//!
//! Those whom a sync has served come back with their next entry a few microseconds apart, and the first of them would sync
//! for itself alone. So a leader lets the others in: it gives up the processor until as many wait as the last sync has
//! served, or until nobody has come for a part of the time that a sync takes. A writer that is by itself never waits.
//!
//! Tasks count as threads do, from when they have [come](Committer::come), though a single thread waits for all of them.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Result;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, yield_now};

/// A leader waits for the next one to come in for this part of the time that the last sync took.
const GAP_PART: u32 = 4;
/// And for all of them as long as this many syncs.
const GATHERING_MAX: u32 = 2;

/// How far log and journal have come: the ordinal after the last entry, and the number of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub next_ordinal: u64,
    pub changes: u64,
}

impl Progress {
    fn covers(&self, other: &Self) -> bool {
        self.next_ordinal >= other.next_ordinal && self.changes >= other.changes
    }

    fn advance(&mut self, other: &Self) {
        self.next_ordinal = self.next_ordinal.max(other.next_ordinal);
        self.changes = self.changes.max(other.changes);
    }
}

/// What is durable, and whether somebody is at making it more.
#[derive(Debug)]
pub struct Committer {
    state: Mutex<State>,
    /// How many have come to wait, ever; those who lead are among them.
    came: AtomicUsize,
}

#[derive(Debug)]
struct State {
    durable: Progress,
    leading: bool,
    waiting: Vec<Arc<Waiting>>,
    /// How many had come, ever, when the last sync began.
    seen: usize,
    /// How many of them it has served, and how long it took.
    served: usize,
    took: Duration,
}

/// Somebody who waits for a sync of somebody else.
#[derive(Debug)]
struct Waiting {
    target: Progress,
    /// It is to look what has come of it.
    called: Mutex<bool>,
    bell: Condvar,
}

impl Waiting {
    fn new(target: Progress) -> Self {
        Self { target, called: Mutex::new(false), bell: Condvar::new() }
    }

    fn call(&self) {
        *self.called.lock() = true;
        self.bell.notify_one();
    }

    fn wait(&self) {
        let mut called = self.called.lock();
        while !*called {
            self.bell.wait(&mut called);
        }
    }
}

impl Committer {
    pub fn new(durable: Progress) -> Self {
        let (waiting, took) = (Vec::new(), Duration::ZERO);
        let state = State { durable, leading: false, waiting, seen: 0, served: 0, took };
        Self { state: Mutex::new(state), came: AtomicUsize::new(0) }
    }

    /// Counts one more who waits for that to be durable; `false` if it is already.
    pub fn come(&self, target: Progress) -> bool {
        if self.state.lock().durable.covers(&target) {
            return false;
        }
        self.came.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Returns when everything up to `target` is durable; for one who [has come](Self::come). `sync` makes what is there at
    /// the time durable and says how much that was; it is called without a lock, by one thread at a time. `failed` says
    /// whether that is hopeless.
    pub fn commit(
        &self,
        target: Progress,
        failed: impl Fn() -> Result<()>,
        sync: impl Fn() -> Result<Progress>,
    ) -> Result<()> {
        loop {
            let mut state = self.state.lock();
            if state.durable.covers(&target) {
                return Ok(());
            }
            if let Err(error) = failed() {
                // Somebody was perhaps called to lead the others, and does not.
                let left = mem::take(&mut state.waiting);
                drop(state);
                left.iter().for_each(|waiting| waiting.call());
                return Err(error);
            }
            if state.leading {
                let waiting = Arc::new(Waiting::new(target));
                state.waiting.push(Arc::clone(&waiting));
                drop(state);
                waiting.wait();
                continue;
            }
            state.leading = true;
            let (seen, served, took) = (state.seen, state.served, state.took);
            drop(state);
            let mut lead = Lead { committer: self, synced: Progress::default(), came: seen, took };
            self.gather(seen, served, took);
            lead.came = self.came.load(Ordering::Relaxed);
            let begun = Instant::now();
            let synced = sync();
            // In a model there is no time, and for the fuzzer it is not to matter.
            lead.took = if cfg!(any(shuttle, fuzzing)) { Duration::ZERO } else { begun.elapsed() };
            lead.synced = *synced.as_ref().unwrap_or(&Progress::default());
            drop(lead);
            synced?;
        }
    }

    /// Waits until as many as that have come since so many were seen, unless they stay away.
    fn gather(&self, seen: usize, served: usize, took: Duration) {
        let waiting = || self.came.load(Ordering::Relaxed).wrapping_sub(seen);
        let mut came = waiting();
        if came >= served {
            return;
        }
        let begun = Instant::now();
        let mut last = begun;
        while came < served {
            yield_now();
            let now = Instant::now();
            let found = waiting();
            if found > came {
                (came, last) = (found, now);
            } else if now - last >= took / GAP_PART || now - begun >= took * GATHERING_MAX {
                return;
            }
        }
    }
}

/// Hands over when the leader is done, also if it panicked.
struct Lead<'a> {
    committer: &'a Committer,
    synced: Progress,
    /// How many had come when the sync began.
    came: usize,
    took: Duration,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut state = self.committer.state.lock();
        state.leading = false;
        state.durable.advance(&self.synced);
        let durable = state.durable;
        let mut called: Vec<_> = state.waiting.extract_if(.., |waiting| durable.covers(&waiting.target)).collect();
        state.served = self.came.wrapping_sub(state.seen);
        (state.seen, state.took) = (self.came, self.took);
        // Somebody has to lead the rest; and if this one came to nothing, all are to see whether there is any hope.
        let rest = if self.synced == Progress::default() { state.waiting.len() } else { state.waiting.len().min(1) };
        called.extend(state.waiting.drain(..rest));
        drop(state);
        called.iter().for_each(|waiting| waiting.call());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::Error;

    fn entries(next_ordinal: u64) -> Progress {
        Progress { next_ordinal, changes: 0 }
    }

    #[test]
    fn waiting_threads_share_a_sync() {
        let committer = Committer::new(entries(0));
        let (appended, syncs) = (AtomicU64::new(0), AtomicU64::new(0));
        let each = if cfg!(miri) { 10 } else { 100 };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..each {
                        let target = entries(appended.fetch_add(1, Ordering::SeqCst) + 1);
                        let sync = || {
                            let there = appended.load(Ordering::SeqCst);
                            syncs.fetch_add(1, Ordering::SeqCst);
                            std::thread::sleep(std::time::Duration::from_micros(200));
                            Ok(entries(there))
                        };
                        if committer.come(target) {
                            committer.commit(target, || Ok(()), sync).unwrap();
                        }
                        assert!(committer.state.lock().durable.covers(&target));
                    }
                });
            }
        });
        let syncs = syncs.load(Ordering::SeqCst);
        assert!(syncs < 8 * each, "{syncs} syncs for {} appends", 8 * each);
    }

    /// What they come back with, though nobody but the leader waits as a thread does.
    #[test]
    fn a_leader_lets_in_as_many_as_the_last_sync_served() {
        let committer = Committer::new(entries(0));
        let sync = |durable| move || Ok(entries(durable));
        assert!((1..=3).all(|ordinal| committer.come(entries(ordinal))));
        committer.commit(entries(1), || Ok(()), sync(3)).unwrap();
        assert!(!committer.come(entries(3)), "it is durable");
        // None stays away for so long as a part of this.
        committer.state.lock().took = Duration::from_secs(240);
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| {
                let all_came = || {
                    assert_eq!(committer.came.load(Ordering::Relaxed), 6);
                    Ok(entries(6))
                };
                assert!(committer.come(entries(4)));
                committer.commit(entries(4), || Ok(()), all_came)
            });
            while !committer.state.lock().leading {
                yield_now();
            }
            assert!((5..=6).all(|ordinal| committer.come(entries(ordinal))));
            leader.join().unwrap().unwrap();
        });
    }

    #[test]
    fn an_error_reaches_the_leader_and_those_who_follow() {
        let committer = Committer::new(entries(0));
        let failed = || Err(Error::Closed);
        assert!(matches!(committer.commit(entries(1), failed, || Ok(entries(1))), Err(Error::Closed)));
        assert!(matches!(committer.commit(entries(1), || Ok(()), || Err(Error::Closed)), Err(Error::Closed)));
        assert!(committer.commit(entries(1), || Ok(()), || Ok(entries(2))).is_ok());
    }

    /// Whoever is called to lead the rest may find that there is no hope.
    #[test]
    fn who_does_not_lead_leaves_nobody_waiting() {
        let committer = Committer::new(entries(0));
        let rest = [2, 3].map(|ordinal| Arc::new(Waiting::new(entries(ordinal))));
        committer.state.lock().waiting.extend(rest.clone());
        let failed = || Err(Error::Closed);
        assert!(committer.commit(entries(1), failed, || unreachable!()).is_err());
        assert!(rest.iter().all(|waiting| *waiting.called.lock()), "they are to see for themselves");
    }

    #[test]
    fn a_leader_that_panics_hands_over() {
        let committer = Committer::new(entries(0));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            committer.commit(entries(1), || Ok(()), || panic!("in the middle of a sync"))
        }));
        assert!(panicked.is_err());
        assert!(committer.commit(entries(1), || Ok(()), || Ok(entries(1))).is_ok());
    }
}
