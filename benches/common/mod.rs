//! What the benches share: the entry, stores to work on, and what is measured besides time.
//!
//! The entry is an order event of three fields and about 90 bytes, or one with 1 KiB of data. Stores are in the
//! temporary directory: set `TMPDIR` to measure another disk.
#![allow(dead_code, reason = "each bench uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};

use streamlog::{AddOptions, Durability, NewId, Options, Store, Stream, StreamId};

pub const STREAM: &str = "orders";

/// Whether everything is to be run once, and small: `cargo bench -- --test`.
pub fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// `count` entries, or few of them in a test.
pub fn scaled(count: u64) -> u64 {
    if is_test() { count.min(2_000) } else { count }
}

/// An order event.
pub struct Event {
    data: String,
    timestamp: String,
}

impl Event {
    pub fn fields(&self) -> [(&str, &str); 3] {
        [("type", "order.created"), ("data", &self.data), ("timestamp", &self.timestamp)]
    }

    /// The bytes of the values.
    pub fn len(&self) -> usize {
        self.fields().iter().map(|(_, value)| value.len()).sum()
    }
}

/// Different events to take turns with; values have 90 bytes in all, or more if `data_len` is larger.
pub fn events(data_len: usize) -> Vec<Event> {
    let event = |n: usize| {
        let mut data = format!(r#"{{"id":"o-{n:07}","customer":"c-{:04}","total":49.99}}"#, n * 7 % 9973);
        data.extend(std::iter::repeat_n('x', data_len.saturating_sub(data.len())));
        Event { data, timestamp: format!("2026-03-14T09:26:{:02}.{:03}Z", n % 60, n % 1000) }
    };
    (0..1000).map(event).collect()
}

pub fn open(path: &Path, durability: Durability) -> Store {
    Options::new().durability(durability).open(path).unwrap()
}

/// The ID of the entry with this number, in a store that was filled here: eight in a millisecond.
pub fn id_of(n: u64) -> StreamId {
    StreamId::new(1_800_000_000_000 + n / 8, n % 8)
}

/// Adds the entries of these numbers, `batch` with each call.
pub fn fill(stream: &Stream, events: &[Event], numbers: std::ops::Range<u64>, batch: u64) {
    let event = |n: u64| events[n as usize % events.len()].fields();
    let mut n = numbers.start;
    while n < numbers.end {
        let end = (n + batch).min(numbers.end);
        if batch == 1 {
            stream.add_with(AddOptions::new().id(id_of(n)), event(n)).unwrap();
        } else {
            stream.add_batch((n..end).map(|n| (NewId::Exact(id_of(n)), event(n)))).unwrap();
        }
        n = end;
    }
}

/// A random number below `end`: the same ones in every run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0 >> 11) * u128::from(end)) >> 53) as u64
    }
}

/// The files of the stream with this extension, in order.
pub fn files(store: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(store.join("streams").join(STREAM)).unwrap();
    let mut paths: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    paths
}

/// The bytes of the stream on disk, logs and indexes, without the allocated room of a segment that is not full.
pub fn bytes_on_disk(store: &Path) -> u64 {
    let used = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1)
    };
    files(store, "log").iter().chain(&files(store, "idx")).map(used).sum()
}

/// The anonymous memory of this process that is resident, in KiB.
pub fn anonymous_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Prints what was measured, one figure a line, with the goal beside it.
#[derive(Clone, Copy, Debug)]
pub struct Goals;

impl Goals {
    /// A figure that has no goal.
    pub fn note(self, what: &str, measured: f64, unit: &str) {
        println!("{what:<60} {measured:>10.2} {unit}");
    }

    /// A figure that is to be at most so large, unless it is of few entries, in a test.
    pub fn at_most(self, what: &str, measured: f64, unit: &str, goal: f64) {
        if is_test() {
            return self.note(what, measured, unit);
        }
        let verdict = if measured <= goal { "" } else { "  <-- missed" };
        println!("{what:<60} {measured:>10.2} {unit:<8} goal {goal:>8.2}{verdict}");
    }
}
