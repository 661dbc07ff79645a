//! What it costs to keep a stream short while it is added to, and to delete its entries one by one.
//!
//! Plain and trimming adds take turns, a round of 20,000 each; the fastest round of each counts.

use std::time::{Duration, Instant};

use streamlog::{AddOptions, Durability, Stream, Trim};

mod common;
use common::{Event, Goals, STREAM, anonymous_kib, bytes_on_disk, events, fill, id_of, is_test, open, scaled};

/// How long the stream is kept.
const LEN: u64 = 10_000;

fn round(stream: &Stream, events: &[Event], trim: Option<Trim>) -> Duration {
    let count = if is_test() { 200 } else { 20_000 };
    let begin = Instant::now();
    for event in events.iter().cycle().take(count) {
        let options = trim.into_iter().fold(AddOptions::new(), AddOptions::trim);
        stream.add_with(options, event.fields()).unwrap();
    }
    begin.elapsed() / count as u32
}

fn trimming(goals: Goals) {
    let events = events(0);
    let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let streams = [0, 1, 2].map(|n: usize| open(directories[n].path(), Durability::Os).stream(STREAM).unwrap());
    let trims = [None, Some(Trim::to_len(LEN)), Some(Trim::to_len(LEN).approximately())];
    let mut best = [Duration::MAX; 3];
    for _ in 0..if is_test() { 1 } else { 25 } {
        for ((stream, trim), best) in streams.iter().zip(trims).zip(&mut best) {
            *best = round(stream, &events, trim).min(*best);
        }
    }
    let [plain, exact, approximate] = best.map(|best| best.as_nanos() as f64);
    goals.note("an add", plain, "ns");
    goals.at_most("an add that trims to 10,000, of a plain one", exact / plain, "times", 1.3);
    goals.at_most("an add that trims to about 10,000, of a plain one", approximate / plain, "times", 1.3);
}

/// Deletes entries one by one, in order; prints what that takes of memory, and what is left on the disk.
fn deleting(goals: Goals, what: &str, every: u64, is_all: bool) {
    let count = scaled(1_000_000);
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), Durability::Os);
    let stream = store.stream(STREAM).unwrap();
    fill(&stream, &events(0), 0..count, 100);
    let bytes = bytes_on_disk(directory.path());
    // What deleting takes once is there.
    stream.delete([id_of(0)]).unwrap();
    let before = anonymous_kib();
    let begin = Instant::now();
    for number in (0..count).step_by(every as usize) {
        stream.delete([id_of(number)]).unwrap();
    }
    let took = begin.elapsed().as_nanos() as f64 / (count / every) as f64;
    goals.note(&format!("deleting {what}, each"), took, "ns");
    let bits = (anonymous_kib().saturating_sub(before) * 1024 * 8) as f64 / count as f64;
    // With the buffers that the last checkpoint of the journal took, which the allocator keeps.
    goals.at_most(&format!("memory after deleting {what}"), bits, "bits", 1.0);
    assert_eq!(stream.len().unwrap(), count - count.div_ceil(every));
    let left = bytes_on_disk(directory.path()) as f64 / bytes as f64 * 100.0;
    if is_all {
        goals.at_most(&format!("left on the disk after deleting {what}"), left, "%", 1.0);
    } else {
        goals.note(&format!("left on the disk after deleting {what}"), left, "%");
    }
    store.close().unwrap();
}

fn main() {
    let goals = Goals;
    trimming(goals);
    deleting(goals, "every second of a million entries", 2, false);
    deleting(goals, "every one of a million entries", 1, true);
}
