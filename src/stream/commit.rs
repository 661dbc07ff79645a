//! Group commit: whoever needs a sync first does it for all who wait.

use crate::Result;
use crate::sync::{Condvar, Mutex};

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
    done: Condvar,
}

#[derive(Debug)]
struct State {
    durable: Progress,
    leading: bool,
}

impl Committer {
    pub fn new(durable: Progress) -> Self {
        Self { state: Mutex::new(State { durable, leading: false }), done: Condvar::new() }
    }

    /// Returns when everything up to `target` is durable. `sync` makes what is there at the time durable and says how
    /// much that was; it is called without a lock, by one thread at a time. `failed` says whether that is hopeless.
    pub fn commit(
        &self,
        target: Progress,
        failed: impl Fn() -> Result<()>,
        sync: impl Fn() -> Result<Progress>,
    ) -> Result<()> {
        let mut state = self.state.lock();
        while !state.durable.covers(&target) {
            failed()?;
            if state.leading {
                self.done.wait(&mut state);
                continue;
            }
            state.leading = true;
            drop(state);
            let mut lead = Lead { committer: self, synced: Progress::default() };
            let synced = sync();
            lead.synced = *synced.as_ref().unwrap_or(&Progress::default());
            drop(lead);
            synced?;
            state = self.state.lock();
        }
        Ok(())
    }

    /// Notes that so much is durable, by other means.
    pub fn advance(&self, durable: Progress) {
        self.state.lock().durable.advance(&durable);
        self.done.notify_all();
    }
}

/// Hands over when the leader is done, also if it panicked.
struct Lead<'a> {
    committer: &'a Committer,
    synced: Progress,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        {
            let mut state = self.committer.state.lock();
            state.leading = false;
            state.durable.advance(&self.synced);
        }
        self.committer.done.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn entries(next_ordinal: u64) -> Progress {
        Progress { next_ordinal, changes: 0 }
    }

    #[test]
    fn waiting_threads_share_a_sync() {
        let committer = Committer::new(entries(0));
        let (appended, syncs) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let target = entries(appended.fetch_add(1, Ordering::SeqCst) + 1);
                        let sync = || {
                            let there = appended.load(Ordering::SeqCst);
                            syncs.fetch_add(1, Ordering::SeqCst);
                            std::thread::sleep(std::time::Duration::from_micros(200));
                            Ok(entries(there))
                        };
                        committer.commit(target, || Ok(()), sync).unwrap();
                        assert!(committer.state.lock().durable.covers(&target));
                    }
                });
            }
        });
        let syncs = syncs.load(Ordering::SeqCst);
        assert!(syncs < 800, "{syncs} syncs for 800 appends");
    }

    #[test]
    fn an_error_reaches_the_leader_and_those_who_follow() {
        let committer = Committer::new(entries(0));
        let failed = || Err(Error::Closed);
        assert!(matches!(committer.commit(entries(1), failed, || Ok(entries(1))), Err(Error::Closed)));
        assert!(matches!(committer.commit(entries(1), || Ok(()), || Err(Error::Closed)), Err(Error::Closed)));
        assert!(committer.commit(entries(1), || Ok(()), || Ok(entries(2))).is_ok());
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
