//! The part of a mapping that is ready to be stored to, and how it moves ahead of the tail.
//!
//! It begins at the first byte that was written and moves in steps that double: a small stream should not dirty more pages
//! than it needs, a large one should not make a system call per page. What is made ready is also written back once, as
//! zeros, which spares later syncs the conversion of unwritten blocks.
//!
//! # Ahead
//!
//! Where steps have become large, the next one is made ready by a thread of its own while this one is written to: bringing
//! in pages takes longer than filling them, and a writer that did it would stand still for as long. It is help only: a
//! writer that comes to the end of what is ready, for whatever reason, makes the next step ready itself, and that is how a full
//! disk is noticed.

use std::io::ErrorKind;
use std::ops::Range;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Weak};

use super::helper::{self, Helper};
use super::map::Map;

/// A window of one file.
///
/// Only the one thread that writes looks at this; the atomics are there because it does so through `&self`. If two did,
/// a store might go to a page that is not ready: slower, and a signal on a full disk.
#[derive(Debug)]
pub(super) struct Window {
    from: AtomicU64,
    to: AtomicU64,
    size: AtomicU64,
    /// The kernel cannot make pages ready.
    useless: AtomicBool,
    ahead: Arc<Ahead>,
}

/// What is made ready beyond a window.
#[derive(Debug, Default)]
struct Ahead {
    /// The pages from the window to here are ready; written by who makes them so, after that.
    ready: AtomicU64,
    /// Those to here are to be.
    end: AtomicU64,
    /// The file was cut: nothing beyond the window counts any more.
    stopped: AtomicBool,
}

impl Window {
    /// The first step, in bytes. Steps are multiples of every page size.
    pub(super) const FIRST: u64 = 64 << 10;
    /// The largest step.
    const LAST: u64 = 1 << 20;

    /// An empty window, whose first step is `size` bytes.
    pub(super) fn new(size: u64) -> Self {
        Self {
            from: AtomicU64::new(u64::MAX),
            to: AtomicU64::new(0),
            size: AtomicU64::new(size.max(Self::FIRST)),
            useless: AtomicBool::new(false),
            ahead: Arc::default(),
        }
    }

    /// The size of the next step.
    pub(super) fn size(&self) -> u64 {
        self.size.load(Relaxed)
    }

    /// Where it ends.
    pub(super) fn end(&self) -> u64 {
        self.to.load(Relaxed)
    }

    /// Where it begins and ends.
    #[cfg(all(test, target_os = "linux", not(miri)))]
    pub(super) fn range(&self) -> (u64, u64) {
        (self.from.load(Relaxed), self.to.load(Relaxed))
    }

    #[inline]
    pub(super) fn covers(&self, offset: u64, len: usize) -> bool {
        let last = self.to.load(Relaxed).checked_sub(len as u64);
        self.from.load(Relaxed) <= offset && last.is_some_and(|last| offset <= last)
    }

    /// Makes the bytes from `offset` to `end` ready, and some more of the file's `len`. Says whether it could.
    pub(super) fn advance(&self, map: &Arc<Map>, offset: u64, end: u64, len: u64) -> bool {
        let (from, to) = (self.from.load(Relaxed), self.to.load(Relaxed));
        let empty = from >= to;
        if self.useless.load(Relaxed) || (!empty && offset < from) {
            return false;
        }
        let size = self.size();
        let goes_on = !empty && offset <= to;
        if goes_on && self.take_ahead(end) {
            self.ask_ahead(map, size, len);
            return true;
        }
        let start = if goes_on { to } else { offset };
        let ahead = end.next_multiple_of(size).min(len).min(map.len());
        match map.make_writable(start as usize..ahead as usize) {
            Ok(()) => {}
            Err(error) => {
                let useless = matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported);
                self.useless.store(useless, Relaxed);
                return false;
            }
        }
        if !goes_on {
            self.from.store(offset, Relaxed);
        }
        self.to.store(ahead, Relaxed);
        self.size.store((size * 2).min(Self::LAST), Relaxed);
        if size == Self::LAST {
            self.ask_ahead(map, size, len);
        }
        true
    }

    /// Takes the bytes from `len` out of the window.
    pub(super) fn cut(&self, len: u64) {
        self.ahead.stopped.store(true, Relaxed);
        self.to.fetch_min(len, Relaxed);
    }

    /// Extends the window by what was made ready ahead of it, if that reaches as far as `end`.
    fn take_ahead(&self, end: u64) -> bool {
        let ready = self.ahead.ready.load(Acquire);
        let is_enough = ready >= end && !self.ahead.stopped.load(Relaxed);
        if is_enough {
            self.to.store(ready, Relaxed);
        }
        is_enough
    }

    /// Has the next step made ready, unless that is being done.
    fn ask_ahead(&self, map: &Arc<Map>, size: u64, len: u64) {
        let (ahead, to) = (&self.ahead, self.to.load(Relaxed));
        let end = (to + size).min(len).min(map.len());
        let is_busy = ahead.ready.load(Acquire) < ahead.end.load(Relaxed);
        if is_busy || end <= to || ahead.stopped.load(Relaxed) {
            return;
        }
        ahead.ready.store(to, Relaxed);
        ahead.end.store(end, Relaxed);
        let map = Arc::downgrade(map);
        static HELPER: Helper<Job> = Helper::new("streamlog-pages");
        HELPER.give(Job { map, ahead: Arc::clone(ahead), range: to..end });
    }
}

/// Pages that are to be made ready.
struct Job {
    /// Gone when the file is closed.
    map: Weak<Map>,
    ahead: Arc<Ahead>,
    range: Range<u64>,
}

impl Job {
    /// How many bytes are made ready at a time, so that a writer that catches up finds some of them.
    const STEP: u64 = 128 << 10;
}

impl helper::Job for Job {
    fn run(self) {
        let mut ready = self.range.start;
        while ready < self.range.end && !self.ahead.stopped.load(Relaxed) {
            let Some(map) = self.map.upgrade() else { return };
            let to = (ready + Self::STEP).min(self.range.end);
            // The writer finds out why, if it comes here.
            if map.make_writable(ready as usize..to as usize).is_err() {
                break;
            }
            ready = to;
            self.ahead.ready.store(ready, Release);
        }
        // Nothing is being done any more.
        self.ahead.end.store(ready, Relaxed);
    }
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn mapped(len: u64) -> Arc<Map> {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        Arc::new(Map::writable(&file, len).unwrap())
    }

    /// A window that was moved to where its steps are the largest.
    fn moved(map: &Arc<Map>) -> Window {
        let window = Window::new(Window::LAST);
        assert!(window.advance(map, 0, 1, map.len()));
        assert_eq!(window.range(), (0, Window::LAST));
        window
    }

    fn wait(done: impl Fn() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it is never done");
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_next_step_is_ready_before_it_is_reached() {
        let map = mapped(5 << 20);
        let window = moved(&map);
        let ready = |end| wait(|| window.ahead.ready.load(Acquire) == end);
        for step in 2..=5 {
            ready(step << 20);
            let at = (step - 1) << 20;
            assert!(window.advance(&map, at, at + 1, map.len()));
            assert_eq!(window.range(), (0, step << 20));
        }
        // The file has no more.
        assert_eq!(window.ahead.end.load(Relaxed), 5 << 20);
        assert!(!window.ahead.stopped.load(Relaxed));
    }

    #[test]
    fn a_writer_that_is_ahead_of_the_thread_helps_itself() {
        let map = mapped(4 << 20);
        let window = moved(&map);
        // As if nobody had come to it.
        window.ahead.ready.store(0, Relaxed);
        window.ahead.end.store(u64::MAX, Relaxed);
        assert!(window.advance(&map, 1 << 20, (1 << 20) + 1, map.len()));
        assert_eq!(window.range(), (0, 2 << 20));
    }

    #[test]
    fn nothing_ahead_counts_when_the_file_was_cut() {
        let map = mapped(4 << 20);
        let window = moved(&map);
        wait(|| window.ahead.ready.load(Acquire) == 2 << 20);
        window.cut(100);
        assert!(!window.take_ahead(101));
        assert_eq!(window.range(), (0, 100));
    }

    #[test]
    fn a_file_that_is_closed_is_not_kept_by_the_thread() {
        let map = mapped(4 << 20);
        let window = moved(&map);
        let weak = Arc::downgrade(&map);
        drop((map, window));
        wait(|| weak.upgrade().is_none());
    }
}
