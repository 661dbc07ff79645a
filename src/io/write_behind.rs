//! Writing back what is behind the tail of a mapped file, before anybody waits for it.
//!
//! A file that is not synced at each turn is synced when it is full, and whoever adds the next entry waits for that: for
//! seconds, where the disk is slow. The kernel begins to write by itself half a minute late; here that is begun each time
//! another few megabytes have been stored, by a thread of its own. Pages are written once all the same: those that are still
//! stored to are left alone.
//!
//! It is not begun more often than a few times a second. Taking a page from under a mapping interrupts the processor that
//! stores to it, and whoever stores at full speed is done sooner if that happens while it waits.
//!
//! # Errors
//!
//! An error in writing back is reported once for each open file, to whoever syncs it first. That may be the thread, or
//! another sync at the same time, so it is kept for every later one to report: a sync that ends while the thread is at it
//! waits for what the thread finds, and there is one sync at a time.

use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::helper::{self, Helper};
use super::map::Map;
use super::window::Window;

/// How far a file is written back.
#[derive(Debug)]
pub(super) struct WriteBehind {
    /// What is before this is written back, or is going to be.
    begun: AtomicU64,
    /// When that was begun, or else when the file was opened.
    begun_at: Mutex<Instant>,
    /// Locked while the file is synced.
    syncing: Mutex<()>,
    /// What went wrong. Locked while it is being written back.
    failure: Mutex<Option<Failure>>,
}

/// An error of the operating system that can be reported more than once.
#[derive(Clone, Copy, Debug)]
struct Failure {
    kind: ErrorKind,
    code: Option<i32>,
}

impl Failure {
    fn of(error: &Error) -> Self {
        Self { kind: error.kind(), code: error.raw_os_error() }
    }

    fn error(self) -> Error {
        self.code.map_or_else(|| self.kind.into(), Error::from_raw_os_error)
    }
}

impl WriteBehind {
    /// So many bytes are stored before they are written back: large enough for a disk to be as fast as it is, and short
    /// enough to wait for.
    const STEP: u64 = 4 << 20;
    /// And so much time passes before more are.
    const INTERVAL: Duration = Duration::from_millis(250);

    pub(super) fn new() -> Self {
        let (begun_at, syncing, failure) = (Mutex::new(Instant::now()), Mutex::new(()), Mutex::new(None));
        Self { begun: AtomicU64::new(0), begun_at, syncing, failure }
    }

    /// To be called now and then by who stores to the map: everything before `tail` has been.
    pub(super) fn stored(self: &Arc<Self>, map: &Arc<Map>, tail: u64) {
        // Whole pages, of any size.
        let (begun, end) = (self.begun.load(Relaxed), tail - tail % Window::FIRST);
        if end.saturating_sub(begun) < Self::STEP {
            return;
        }
        let (mut begun_at, now) = (self.begun_at.lock(), Instant::now());
        if now.duration_since(*begun_at) < Self::INTERVAL {
            return;
        }
        *begun_at = now;
        self.begun.store(end, Relaxed);
        static HELPER: Helper<Job> = Helper::new("streamlog-write");
        HELPER.give(Job { map: Arc::downgrade(map), behind: Arc::clone(self), range: begun..end });
    }

    /// Syncs the file, which `sync` does, and says also what went wrong before; everything that was stored is before `end`.
    pub(super) fn sync(&self, end: u64, sync: impl FnOnce() -> Result<()>) -> Result<()> {
        let _alone = self.syncing.lock();
        let synced = sync();
        self.begun.fetch_max(end, Relaxed);
        let mut failure = self.failure.lock();
        if let Err(error) = &synced {
            failure.get_or_insert(Failure::of(error));
        }
        synced.and(failure.map_or(Ok(()), |failure| Err(failure.error())))
    }
}

#[cfg(all(test, target_os = "linux", not(miri)))]
impl WriteBehind {
    /// As if the last time were long ago.
    pub(super) fn make_due(&self) {
        *self.begun_at.lock() -= Self::INTERVAL;
    }

    /// Up to where it is written back, or going to be.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Relaxed)
    }

    /// As if that had gone wrong.
    pub(super) fn fail(&self, kind: ErrorKind) {
        *self.failure.lock() = Some(Failure { kind, code: None });
    }
}

/// Pages that are to be written back.
struct Job {
    /// Gone when the file is closed.
    map: Weak<Map>,
    behind: Arc<WriteBehind>,
    range: Range<u64>,
}

impl helper::Job for Job {
    fn run(self) {
        let Some(map) = self.map.upgrade() else { return };
        let mut failure = self.behind.failure.lock();
        let range = self.range.start as usize..self.range.end as usize;
        match map.write_back(range) {
            // Nothing was found out.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                failure.get_or_insert(Failure::of(&error));
            }
            Ok(()) => {}
        }
    }
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;

    fn mapped(len: u64) -> Arc<Map> {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        Arc::new(Map::writable(&file, len).unwrap())
    }

    /// Waits for what was given to the thread: it drops its share at last.
    fn wait(behind: &Arc<WriteBehind>) {
        let begun = Instant::now();
        while Arc::strong_count(behind) > 1 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it is never done");
            std::thread::yield_now();
        }
    }

    #[test]
    fn whole_pages_are_written_back_when_there_are_many() {
        let (map, behind) = (mapped(16 << 20), Arc::new(WriteBehind::new()));
        let soon = |tail: u64| {
            *behind.begun_at.lock() = Instant::now();
            behind.stored(&map, tail);
            behind.begun()
        };
        let begun = |tail: u64| {
            behind.make_due();
            behind.stored(&map, tail);
            wait(&behind);
            behind.begun()
        };
        assert_eq!(begun((4 << 20) - 1), 0);
        assert_eq!(begun((5 << 20) + 100), 5 << 20);
        assert_eq!(soon(15 << 20), 5 << 20);
        assert_eq!(begun((9 << 20) - 1), 5 << 20);
        behind.sync(8 << 20, || Ok(())).unwrap();
        // What was synced needs no more.
        assert_eq!(begun(11 << 20), 8 << 20);
        assert_eq!(begun(12 << 20), 12 << 20);
        behind.sync(12 << 20, || Ok(())).unwrap();
    }

    #[test]
    fn an_error_is_reported_by_each_later_sync() {
        let (map, behind) = (mapped(8 << 20), Arc::new(WriteBehind::new()));
        // More than is mapped.
        let job = Job { map: Arc::downgrade(&map), behind: Arc::clone(&behind), range: 0..1 << 30 };
        helper::Job::run(job);
        for _ in 0..2 {
            assert!(behind.sync(0, || Ok(())).is_err());
        }
    }

    #[test]
    fn a_sync_waits_for_what_is_being_written_back() {
        let behind = WriteBehind::new();
        let mut at_it = behind.failure.lock();
        std::thread::scope(|scope| {
            let sync = scope.spawn(|| behind.sync(0, || Ok(())));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!sync.is_finished());
            *at_it = Some(Failure { kind: ErrorKind::Other, code: Some(5) });
            drop(at_it);
            assert_eq!(sync.join().unwrap().unwrap_err().raw_os_error(), Some(5));
        });
    }

    /// The kernel tells one of two that sync at once of what went wrong.
    #[test]
    fn who_syncs_at_the_same_time_is_told_of_an_error_as_well() {
        let behind = WriteBehind::new();
        std::thread::scope(|scope| {
            let mut other = None;
            let first = behind.sync(0, || {
                let second = scope.spawn(|| behind.sync(0, || Ok(())));
                std::thread::sleep(Duration::from_millis(20));
                assert!(!second.is_finished());
                other = Some(second);
                Err(Error::from_raw_os_error(5))
            });
            let second = other.unwrap().join().unwrap();
            assert_eq!([first, second].map(|synced| synced.unwrap_err().raw_os_error()), [Some(5); 2]);
        });
    }
}
