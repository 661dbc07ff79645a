//! Keeping all files of a store together within a number of bytes, by giving up the oldest entries.
//!
//! Room is made before a segment is begun, by whoever needs it: the oldest segment of all streams goes, and the next one,
//! until there is enough. How old a segment is, its last ID tells. Of the streams that are not open it is noted when they are
//! closed, or guessed by the headers of their files when room is needed for the first time. A guess that is too low is put
//! right when the stream is opened because of it.
//!
//! # Locks
//!
//! `turn` is one, and taken before the catalog's, by whoever has no lock of a stream but its `rotation`. Under `idle` the open streams are
//! looked at; nobody takes it who has a lock of theirs.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use crate::hash::HashMap;
use crate::io::budget::Budgeted;
use crate::store::catalog::Catalog;

/// What a segment brings with it: its index, and changes of the journal.
const BESIDE: u64 = 8 << 10;

/// A limit for all files of a store, to which it is trimmed.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    disk: Arc<Budgeted>,
    catalog: OnceLock<Weak<Catalog>>,
    turn: Mutex<()>,
    /// Room that was made, and is about to be taken.
    promised: AtomicU64,
    /// By the names of streams that are not open, how old their oldest segment is, at least: its last ID in milliseconds.
    /// `None` until that is needed.
    idle: Mutex<Option<HashMap<Vec<u8>, u64>>>,
}

/// Room that was made for somebody. It is not kept from others any more when this is dropped.
#[derive(Debug)]
pub struct Promise<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.budget.promised.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Budget {
    pub fn new(limit: u64, disk: Arc<Budgeted>) -> Self {
        Self {
            limit,
            disk,
            catalog: OnceLock::new(),
            turn: Mutex::new(()),
            promised: AtomicU64::new(0),
            idle: Mutex::new(None),
        }
    }

    /// Says whose files these are.
    pub fn begin(&self, catalog: Weak<Catalog>) {
        let _ = self.catalog.set(catalog);
    }

    /// Gives up the oldest entries until so many bytes fit; what groups need and the rules keep for them stays, also if it is
    /// too much then. To be called without a lock.
    pub fn make_room(&self, bytes: u64) -> Promise<'_> {
        let _turn = self.turn.lock();
        if let Some(catalog) = self.catalog.get().and_then(Weak::upgrade) {
            let mut stuck = HashSet::new();
            while self.lacks(bytes) && self.give_up_oldest(&catalog, &mut stuck) {}
        }
        self.promised.fetch_add(bytes, Ordering::Relaxed);
        Promise { budget: self, bytes }
    }

    fn lacks(&self, bytes: u64) -> bool {
        let used = self.disk.used().saturating_add(self.promised.load(Ordering::Relaxed));
        used.saturating_add(bytes).saturating_add(BESIDE) > self.limit
    }

    /// Gives up the oldest segment, or finds out more about which one that is; returns whether to go on. Streams that
    /// give nothing are `stuck`.
    fn give_up_oldest(&self, catalog: &Catalog, stuck: &mut HashSet<Vec<u8>>) -> bool {
        let Some((ms, name, is_open)) = self.oldest(catalog, stuck) else { return false };
        match catalog.find(&name) {
            Ok(Some(inner)) if is_open => {
                if !matches!(inner.give_up_oldest_segment(), Ok(true)) {
                    stuck.insert(name);
                }
            }
            // It is one of those that are open now, with an age that is known; or it is not there.
            Ok(_) => {}
            // The next time it may be possible.
            Err(_) => {
                self.note(&name, ms);
                stuck.insert(name);
            }
        }
        true
    }

    /// How old the oldest segment of all is, its stream, and whether that is open; one that is not is forgotten.
    fn oldest(&self, catalog: &Catalog, stuck: &HashSet<Vec<u8>>) -> Option<(u64, Vec<u8>, bool)> {
        let mut idle = self.idle.lock();
        let idle = idle.get_or_insert_with(|| catalog.oldest_of_all().into_iter().collect());
        // With the lock: what is noted of a stream that is closed from here on is not forgotten below.
        let open: Vec<_> = catalog.all_open().iter().filter_map(Weak::upgrade).collect();
        open.iter().for_each(|inner| _ = idle.remove(&*inner.name));
        let oldest_idle = idle.iter().map(|(name, ms)| (*ms, name.as_slice(), false));
        let oldest_open = open.iter().filter_map(|inner| Some((inner.oldest_segment_ms()?, &*inner.name, true)));
        let all = oldest_idle.chain(oldest_open);
        let (ms, name, is_open) = all.filter(|(_, name, _)| !stuck.contains(*name)).min()?;
        let name = name.to_vec();
        if !is_open {
            idle.remove(&name);
        }
        Some((ms, name, is_open))
    }

    /// Notes how old the oldest segment of a stream is that is not open, at least.
    pub fn note(&self, name: &[u8], ms: u64) {
        if let Some(idle) = &mut *self.idle.lock() {
            idle.insert(name.to_vec(), ms);
        }
    }
}
