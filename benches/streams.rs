//! What many small streams cost: creating them, opening their store, and reading an entry of each.
//!
//! 100,000 streams of ten entries; another number can be given in `STREAMLOG_STREAMS`. Another process creates and closes
//! them, and a third one opens the store and reads, so that its memory is its own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use streamlog::{AddOptions, Durability, NewId};

mod common;
use common::{Goals, anonymous_kib, events, id_of, is_test, open};

const CHILD: &str = "STREAMLOG_BENCH_CHILD";
const ENTRIES: u64 = 10;

fn name_of(number: u64) -> String {
    format!("orders:{number}")
}

fn create(path: &Path, count: u64) {
    let (store, events) = (open(path, Durability::Os), events(0));
    let begin = Instant::now();
    for number in 0..count {
        let entry = |n: u64| events[(number + n) as usize % events.len()].fields();
        let stream = store.stream(name_of(number)).unwrap();
        stream.add_batch((0..ENTRIES).map(|n| (NewId::Exact(id_of(n)), entry(n)))).unwrap();
    }
    let created = begin.elapsed();
    store.close().unwrap();
    let goals = Goals;
    goals.note("creating a stream, Os", created.as_secs_f64() * 1e6 / count as f64, "µs");
    goals.note("closing the store", (begin.elapsed() - created).as_secs_f64() * 1e3, "ms");
}

fn add_later(path: &Path, count: u64) {
    let (store, events) = (open(path, Durability::Os), events(0));
    let begin = Instant::now();
    for number in 0..count {
        let id = AddOptions::new().id(id_of(ENTRIES));
        store.stream(name_of(number)).unwrap().add_with(id, events[0].fields()).unwrap();
    }
    store.close().unwrap();
    Goals.note(
        "opening a stream, adding an entry and closing it, Os",
        begin.elapsed().as_secs_f64() * 1e6 / count as f64,
        "µs",
    );
}

fn read(path: &Path, count: u64) {
    let goals = Goals;
    let before = anonymous_kib();
    let begin = Instant::now();
    let store = open(path, Durability::Os);
    let opened = begin.elapsed();
    let mut descriptors = 0;
    for number in 0..count {
        let stream = store.stream(name_of(number)).unwrap();
        assert!(stream.range(..).next().unwrap().unwrap().id() == id_of(0));
        if number % (count / 50).max(1) == 0 {
            descriptors = descriptors.max(fs::read_dir("/proc/self/fd").map_or(0, Iterator::count));
        }
    }
    let read = begin.elapsed() - opened;
    goals.at_most("Store::open", opened.as_secs_f64() * 1e3, "ms", 100.0);
    goals.note("opening a stream and reading an entry", read.as_secs_f64() * 1e6 / count as f64, "µs");
    goals.at_most("anonymous memory, an entry of each read", (anonymous_kib() - before) as f64 / 1024.0, "MiB", 64.0);
    goals.at_most("descriptors", descriptors as f64, "", 256.0);
    let begin = Instant::now();
    store.close().unwrap();
    goals.note("closing the store that was read", begin.elapsed().as_secs_f64() * 1e3, "ms");
}

/// The bytes that a directory takes on the disk, with all in it.
fn allocated(path: &Path) -> u64 {
    let own = fs::symlink_metadata(path).unwrap().blocks() * 512;
    let within = fs::read_dir(path).into_iter().flatten().map(|entry| allocated(&entry.unwrap().path()));
    own + within.sum::<u64>()
}

fn child(path: &Path, what: &str, count: u64) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(std::env::args().skip(1))
        .env(CHILD, format!("{}|{what}|{count}", path.display()))
        .status();
    assert!(status.unwrap().success());
}

fn main() {
    if let Ok(arguments) = std::env::var(CHILD) {
        let arguments: Vec<_> = arguments.split('|').collect();
        let (path, count) = (Path::new(arguments[0]), arguments[2].parse().unwrap());
        return match arguments[1] {
            "create" => create(path, count),
            "add" => add_later(path, count),
            _ => read(path, count),
        };
    }
    let wanted = std::env::var("STREAMLOG_STREAMS").map_or(100_000, |count| count.parse().unwrap());
    let count = if is_test() { 50 } else { wanted };
    let directory = tempfile::tempdir().unwrap();
    println!("{count} streams of {ENTRIES} entries");
    child(directory.path(), "create", count);
    let goals = Goals;
    let bytes = allocated(&directory.path().join("streams")) / count;
    // With a share of the directory that they are in.
    goals.at_most("on the disk for each", bytes as f64 / 1024.0, "KiB", 16.1);
    child(directory.path(), "read", count);
    child(directory.path(), "read", count);
    child(directory.path(), "add", count);
}
