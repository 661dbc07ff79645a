//! How long an add waits at the longest, where entries come at a steady rate, at the level `Os`.
//!
//! Now and then a segment is full, and has to be on the disk before the next one is begun. The limit beside it is what the disk
//! takes for so much as that leaves at the least: 4 MiB that were stored through a mapping, and `fdatasync`.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use streamlog::Durability;

mod common;
use common::{Goals, STREAM, events, is_test, open};

/// Bytes a second.
const RATES: [u64; 2] = [20 << 20, 60 << 20];
/// How many bytes are left to be written, in a stream at a steady rate.
const LEFT: usize = 4 << 20;

/// How long each add takes, in nanoseconds, at so many bytes a second.
fn adds(rate: u64, time: Duration) -> Histogram<u64> {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), Durability::Os);
    let stream = store.stream(STREAM).unwrap();
    let events = events(0);
    let mut times = Histogram::new(3).unwrap();
    let (begin, mut bytes) = (Instant::now(), 0);
    let mut events = events.iter().cycle();
    while begin.elapsed() < time {
        // All that have become due while this slept, however long that was: the timer does not set the rate.
        let due = (begin.elapsed().as_secs_f64() * rate as f64) as u64;
        while bytes < due {
            let event = events.next().unwrap();
            let begin = Instant::now();
            stream.add(event.fields()).unwrap();
            times.record(begin.elapsed().as_nanos() as u64).unwrap();
            bytes += event.len() as u64;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    store.close().unwrap();
    times
}

/// The median of what the disk takes for what is left, in milliseconds.
fn limit() -> f64 {
    let file = tempfile::tempfile().unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, LEFT as u64).unwrap();
    // SAFETY: the file has no name, so nobody else changes or shortens it.
    let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap();
    let mut times: Vec<_> = (1..10)
        .map(|round| {
            map.fill(round);
            let begin = Instant::now();
            file.sync_data().unwrap();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

fn main() {
    let time = if is_test() { Duration::from_millis(50) } else { Duration::from_secs(10) };
    Goals.note("limit: the sync of 4 MiB that were stored", limit(), "ms");
    for rate in RATES {
        let times = adds(rate, time);
        let what = |which: &str| format!("{} MiB a second: {which}", rate >> 20);
        Goals.note(&what("99.99 % of adds take at most"), times.value_at_quantile(0.9999) as f64 / 1e6, "ms");
        Goals.note(&what("the longest add"), times.max() as f64 / 1e6, "ms");
    }
}
