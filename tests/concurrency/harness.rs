//! What the tests share: stores on several media, and a watchdog.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use streamlog::sim::SimDisk;
use streamlog::{Durability, Options, Store, StreamId};

pub const LEVELS: [Durability; 3] =
    [Durability::Always, Durability::Interval(Duration::from_millis(2)), Durability::Os];

/// Small segments, so that there are many.
pub fn options(durability: Durability) -> Options {
    Options::new().durability(durability).segment_bytes_max(4096)
}

/// A store on a simulated disk.
pub fn simulated(durability: Durability) -> (std::sync::Arc<SimDisk>, Store) {
    let disk = SimDisk::new();
    let store = Store::open_simulated(options(durability), &disk).unwrap();
    (disk, store)
}

/// How much more to do than usual.
pub fn scale() -> u64 {
    if std::env::var_os("STREAMLOG_NIGHTLY").is_some() { 20 } else { 1 }
}

/// Runs a test that might hang: it fails then.
pub fn within<T: Send + 'static>(seconds: u64, test: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, finished) = channel();
    let thread = std::thread::spawn(move || {
        let _ = done.send(test());
    });
    match finished.recv_timeout(Duration::from_secs(seconds * scale())) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!(),
        },
    }
}

/// The entry number `number` of a thread.
pub fn fields(thread: u64, number: u64) -> [(&'static str, String); 2] {
    [("thread", thread.to_string()), ("number", number.to_string())]
}

/// Adds so many entries of a thread.
pub fn add_all(stream: &streamlog::Stream, thread: u64, count: u64) {
    for number in 0..count {
        stream.add(fields(thread, number)).unwrap();
    }
}

/// What [`fields`] put into an entry.
pub fn origin(entry: &streamlog::Entry) -> (u64, u64) {
    let number = |name| std::str::from_utf8(entry.get(name).unwrap()).unwrap().parse().unwrap();
    (number("thread"), number("number"))
}

/// All entries; their IDs ascend, and of each thread they are numbered from 0 without a gap. `threads` is how many there
/// are; returns the number of entries of each.
pub fn check_prefix(stream: &streamlog::Stream, threads: usize) -> (Vec<u64>, Vec<StreamId>) {
    let (mut next, mut ids) = (vec![0; threads], Vec::new());
    for entry in stream.range(..) {
        let entry = entry.unwrap();
        let (thread, number) = origin(&entry);
        assert!(ids.last().is_none_or(|last| *last < entry.id()), "{} after {:?}", entry.id(), ids.last());
        assert_eq!(next[thread as usize], number, "of thread {thread}, at {}", entry.id());
        next[thread as usize] += 1;
        ids.push(entry.id());
    }
    (next, ids)
}
