//! A writer at full speed, which is killed again and again, and a follower that must see every entry once and in order.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use streamlog::{Durability, Follow, ReadFrom, Store, StreamId};

use crate::child::{ORDER, SEGMENT_LEN, STREAM, VALUE_LEN, options};
use crate::harness::{Random, of_reader, of_writer};

/// What both levels come to together.
const KILLS: u64 = 50;
const ROTATIONS: u64 = 1000;
/// When it is given up.
const PATIENCE: Duration = Duration::from_secs(240);

fn start(level: Durability, directory: &Path) -> Child {
    let level = if level == Durability::Always { "always" } else { "os" };
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ORDER, format!("{level} {}", directory.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Follows for some time; returns the number and the ID of the last entry.
fn follow(
    follow: &mut Follow,
    mut last: (u64, StreamId),
    until: Instant,
    mut told: impl FnMut((u64, StreamId)),
) -> (u64, StreamId) {
    while Instant::now() < until {
        let mut is_more = false;
        for entry in std::iter::from_fn(|| follow.ready()).take(200) {
            let entry = entry.unwrap();
            let number: u64 = std::str::from_utf8(entry.get("n").unwrap()).unwrap().parse().unwrap();
            assert_eq!(number, last.0 + 1, "the entry after {last:?} is {}", entry.id());
            assert!(entry.id() > last.1, "{} after {last:?}", entry.id());
            assert_eq!(entry.get("value").map(<[u8]>::len), Some(VALUE_LEN));
            last = (number, entry.id());
            is_more = true;
        }
        match is_more {
            true => told(last),
            false => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    last
}

fn run(level: Durability) {
    let directory = tempfile::tempdir().unwrap();
    drop(options(level).open(directory.path()).unwrap());
    let reader = Store::open_read_only(directory.path()).unwrap();
    let reading = reader.stream(STREAM).unwrap();
    let mut following = reading.follow(ReadFrom::After(StreamId::MIN)).unwrap();
    let mut random = Random::new();
    let begun = Instant::now();
    let (mut kills, mut last) = (0, (0, StreamId::MIN));
    // A segment has at most so many bytes, so there were at least so many of them.
    let rotations = |last: (u64, StreamId)| last.0 * VALUE_LEN as u64 / SEGMENT_LEN;
    while kills < KILLS || rotations(last) < ROTATIONS {
        assert!(begun.elapsed() < PATIENCE, "{kills} kills, {last:?}");
        let mut child = start(level, directory.path());
        let mut stdin = child.stdin.take().unwrap();
        let mut tell = |(number, id): (u64, StreamId)| drop(writeln!(stdin, "{number} {id}"));
        tell(last);
        let (before, limit) = (last, Instant::now() + PATIENCE);
        // Also the slowest machine is to get somewhere.
        while last == before && Instant::now() < limit {
            last = follow(&mut following, last, Instant::now() + Duration::from_millis(5), &mut tell);
            assert!(child.try_wait().unwrap().is_none(), "the writer ended by itself");
        }
        let until = Instant::now() + Duration::from_millis(random.below(250));
        last = follow(&mut following, last, until, &mut tell);
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        // What it had published, and who has just come sees no less.
        last = follow(&mut following, last, Instant::now() + Duration::from_millis(3), |_| {});
        if kills % 5 == 0 {
            let new = Store::open_read_only(directory.path()).unwrap().stream(STREAM).unwrap();
            assert_eq!(of_reader(&new), of_reader(&reading), "after {kills} kills");
        }
    }
    // And nothing that was seen is missing.
    let store = options(level).open(directory.path()).unwrap();
    let stream = store.stream(STREAM).unwrap();
    assert!(stream.last().unwrap().unwrap().id() >= last.1);
    assert!(stream.get(last.1).unwrap().is_some());
    assert_eq!(of_reader(&reading), of_writer(&stream));
    let rest: Vec<_> = std::iter::from_fn(|| following.ready()).map(|entry| entry.unwrap().id()).collect();
    assert_eq!(stream.last().unwrap().unwrap().id(), rest.last().copied().unwrap_or(last.1));
    println!(
        "{level:?}: {kills} kills, {} entries, at least {} segments in {:?}",
        last.0,
        rotations(last),
        begun.elapsed()
    );
}

#[test]
fn every_entry_is_seen_once_and_in_order_without_syncing() {
    run(Durability::Os);
}

#[test]
fn every_entry_is_seen_once_and_in_order_and_stays_when_it_is_synced() {
    run(Durability::Always);
}
