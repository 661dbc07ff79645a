//! How costs grow with what is stored: adding, looking up, delivering and acknowledging at ten thousand entries, at a million,
//! and at as many as `STREAMLOG_ENTRIES` says, for example 100000000. And what reaches the device of appends that are synced.
//!
//! The fastest of several rounds counts. The device is that of the temporary directory; what others write to it meanwhile
//! counts, too.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use streamlog::{Durability, NewId, Position, StreamId};

mod common;
use common::{Goals, Random, STREAM, events, fill, id_of, is_test, open, scaled};

/// How long one of `count` operations takes, in nanoseconds.
fn each(count: u64, mut operation: impl FnMut(u64)) -> f64 {
    let begin = Instant::now();
    (0..count).for_each(&mut operation);
    begin.elapsed().as_nanos() as f64 / count as f64
}

/// The figures at so many entries: an add, a look-up, a delivery and an acknowledgement.
fn at(entries: u64) -> [f64; 4] {
    let (rounds, count) = if is_test() { (1, 100) } else { (9, 4_000) };
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), Durability::Os);
    let (stream, events) = (store.stream(STREAM).unwrap(), events(0));
    fill(&stream, &events, 0..entries, 100);
    let group = stream.group("workers");
    group.create(Position::Start).unwrap();
    let consumer = group.consumer("alice");
    // All that is stored is pending but for what is delivered below.
    let rest = rounds * count + count;
    let mut pending = entries.saturating_sub(rest);
    while pending > 0 {
        let taken = consumer.read().count(pending.min(1000)).new_entries().unwrap().len() as u64;
        pending -= taken;
    }
    let mut best = [f64::MAX; 4];
    let (mut random, mut next) = (Random(1), entries);
    for _ in 0..rounds {
        let mut ids: Vec<StreamId> = Vec::new();
        let event = |n: u64| events[n as usize % events.len()].fields();
        let add = each(count, |n| {
            stream.add_batch([(NewId::Exact(id_of(next + n)), event(n))]).unwrap();
        });
        next += count;
        let look_up = each(count, |_| {
            assert!(stream.get(id_of(random.below(entries))).unwrap().is_some());
        });
        let deliver = each(count, |_| {
            ids.extend(consumer.read().count(1).new_entries().unwrap().iter().map(streamlog::Entry::id));
        });
        let acknowledge = each(count, |n| {
            group.acknowledge(ids.get(n as usize).copied()).unwrap();
        });
        for (best, took) in best.iter_mut().zip([add, look_up, deliver, acknowledge]) {
            *best = took.min(*best);
        }
    }
    store.close().unwrap();
    best
}

/// The bytes that were ever written to the device that a path is on.
fn written(path: &Path) -> Option<u64> {
    let device = fs::metadata(path).ok()?.dev();
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    Some(stat.split_ascii_whitespace().nth(6)?.parse::<u64>().ok()? * 512)
}

fn device(goals: Goals) {
    let count = if is_test() { 20 } else { 2_000 };
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), Durability::Always);
    let stream = store.stream(STREAM).unwrap();
    let value = [b'x'; 128];
    let add = |_| assert!(stream.add([("data", value)]).unwrap().ms() > 0);
    (0..100).for_each(add);
    let Some(before) = written(directory.path()) else { return println!("the device does not tell what is written") };
    (0..count).for_each(add);
    let bytes = written(directory.path()).unwrap() - before;
    goals.at_most(
        "written to the device for a synced add of 128 bytes",
        bytes as f64 / 1024.0 / count as f64,
        "KiB",
        8.0,
    );
    store.close().unwrap();
}

fn main() {
    let goals = Goals;
    device(goals);
    let more = std::env::var("STREAMLOG_ENTRIES").ok().map(|count| count.parse().unwrap());
    let mut first = None;
    for entries in [10_000, 1_000_000].map(scaled).into_iter().chain(more) {
        let found = at(entries);
        // A hundred times as many entries are a few more steps of a search.
        let before: [f64; 4] = *first.get_or_insert(found);
        for ((what, found), before) in ["add", "look-up", "delivery", "acknowledgement"].iter().zip(found).zip(before) {
            goals.note(
                &format!("{entries} entries: {what}, {:.2} times that of the first", found / before),
                found,
                "ns",
            );
        }
    }
}
