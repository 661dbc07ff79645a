//! Verbs for tests of retention.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use streamlog::sim::SimDisk;
use streamlog::{Durability, Options, Store, Stream};

pub const NOON_MS: u64 = 1_700_000_000_000;
pub const HOUR_MS: u64 = 3_600_000;
pub const HOUR: Duration = Duration::from_secs(3600);

/// A clock that is set by hand.
#[derive(Clone)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOON_MS)))
    }

    pub fn ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Segments of up to 16 KiB, and no thread: nothing happens by itself.
    pub fn options(&self) -> Options {
        let now = self.clone();
        let options = Options::new().durability(Durability::Os).segment_bytes_max(16 << 10);
        options.retention_interval(Duration::ZERO).clock(move || time(now.ms()))
    }
}

fn time(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

pub fn mount(options: Options, disk: &Arc<SimDisk>) -> Store {
    Store::open_simulated(options, disk).expect("the store opens")
}

/// Adds entries of 1 KiB, about, with automatic IDs.
pub fn fill(stream: &Stream, count: u64) {
    let value = "x".repeat(1000);
    for _ in 0..count {
        stream.add([("value", &value)]).expect("an entry is added");
    }
}

/// The milliseconds of the IDs of all entries.
pub fn ages(stream: &Stream) -> Vec<u64> {
    stream.range(..).map(|entry| entry.expect("an entry is read").id().ms() - NOON_MS).collect()
}

/// How many bytes the segments of a stream have together.
pub fn log_bytes(disk: &SimDisk, stream: &str) -> u64 {
    let image = disk.kill_image(disk.steps());
    let directory = format!("streams/{stream}/");
    let segments = image.files().filter(|path| {
        let path = path.to_string_lossy();
        path.starts_with(&directory) && path.ends_with(".log")
    });
    segments.map(|path| image.file(path).unwrap_or_default().len() as u64).sum()
}

/// What chooses where there is too much to choose from.
pub fn seed() -> u64 {
    let number = |text: String| match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    std::env::var("STREAMLOG_SEED").ok().and_then(number).unwrap_or(0x5eed)
}

/// Numbers that look random, and are the same for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}
