//! How long it takes to open a store and use its stream, after a clean end and after a kill.
//!
//! The entries are added by another process, which closes the store or aborts. In *tail is full*, that happens when the
//! segment that is not sealed is almost full, which is the most that opening reads.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use criterion::{Criterion, criterion_group};
use streamlog::{Durability, Store, Stream};

mod common;
use common::{STREAM, events, fill, open, scaled};

const CHILD: &str = "STREAMLOG_BENCH_CHILD";

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Close,
    Kill,
    KillWithFullTail,
}

const ENDS: [(&str, End); 3] = [
    ("after a clean close", End::Close),
    ("after a kill", End::Kill),
    ("after a kill, tail is full", End::KillWithFullTail),
];

/// Adds entries until one more of `count` has begun a new segment, and then almost fills that.
fn fill_tail(stream: &Stream, mut count: u64) {
    let events = events(0);
    let segments = || stream.info().unwrap().segments;
    let mut began = [0, 0];
    for began in &mut began {
        let before = segments();
        while segments() == before {
            fill(stream, &events, count..count + 100, 1);
            count += 100;
        }
        *began = count;
    }
    fill(stream, &events, count..count + (began[1] - began[0]) / 20 * 19, 1);
}

/// The other process.
fn child(path: &Path, count: u64, end: &str) {
    let store = open(path, Durability::Os);
    let stream = store.stream(STREAM).unwrap();
    fill(&stream, &events(0), 0..count, 1);
    match end {
        "Close" => store.close().unwrap(),
        "Kill" => std::process::abort(),
        _ => {
            fill_tail(&stream, count);
            std::process::abort();
        }
    }
}

fn reopen(path: &Path) -> (Store, u64) {
    let store = open(path, Durability::Os);
    let len = store.stream(STREAM).unwrap().len().unwrap();
    (store, len)
}

fn reopening(criterion: &mut Criterion) {
    for count in [1_000_000, 10_000_000] {
        let mut group = criterion.benchmark_group(format!("open {count} entries"));
        group.sample_size(20).measurement_time(Duration::from_secs(3));
        for (name, end) in ENDS {
            let directory = tempfile::tempdir().unwrap();
            let ended = Command::new(std::env::current_exe().unwrap())
                .env(CHILD, format!("{}|{}|{end:?}", directory.path().display(), scaled(count)))
                .status()
                .unwrap();
            assert_eq!(ended.success(), end == End::Close);
            // Nothing is written by opening, so it can be repeated.
            group.bench_function(name, |bencher| {
                bencher.iter_with_large_drop(|| {
                    let (store, len) = reopen(directory.path());
                    assert!(len >= scaled(count));
                    store.close().unwrap();
                });
            });
        }
    }
}

criterion_group!(benches, reopening);

fn main() {
    if let Ok(arguments) = std::env::var(CHILD) {
        let mut arguments = arguments.split('|');
        let mut next = || arguments.next().unwrap();
        return child(Path::new(next()), next().parse().unwrap(), next());
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
