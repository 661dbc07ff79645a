//! Promise: a backup that is made while threads write has a prefix of every stream, with all that was acknowledged before.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use streamlog::inspect::Inspection;
use streamlog::{Durability, GroupOptions, Position, Store, Trim};

use crate::harness::{assert_sound, options};

/// Entries have numbers from 1 on, without gaps; returns the last.
fn last_number(store: &Store, name: &str) -> u64 {
    let stream = store.stream(name).unwrap();
    let mut last = None;
    for entry in stream.range(..) {
        let entry = entry.unwrap();
        let number: u64 = str::from_utf8(entry.get("n").unwrap()).unwrap().parse().unwrap();
        assert!(last.is_none_or(|last| number == last + 1), "{number} follows {last:?}");
        last = Some(number);
    }
    last.unwrap_or(0)
}

#[test]
fn a_backup_under_writers_is_a_prefix() {
    for durability in [Durability::Os, Durability::Always] {
        let dir = tempfile::tempdir().unwrap();
        let [path, copy] = ["data", "copy"].map(|name| dir.path().join(name));
        let store = options().durability(durability).open(&path).unwrap();
        store.stream("a").unwrap().group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
        let (done, added) = (AtomicBool::new(false), [AtomicU64::new(0), AtomicU64::new(0)]);
        std::thread::scope(|scope| {
            for (name, added) in ["a", "b"].iter().zip(&added) {
                let (store, done) = (&store, &done);
                scope.spawn(move || {
                    let stream = store.stream(name).unwrap();
                    for number in 1.. {
                        stream.add([("n", number.to_string()), ("fill", "x".repeat(50))]).unwrap();
                        added.store(number, Ordering::SeqCst);
                        if number % 500 == 0 {
                            stream.trim(Trim::to_len(300)).unwrap();
                        }
                        if done.load(Ordering::SeqCst) {
                            return;
                        }
                    }
                });
            }
            scope.spawn(|| {
                let consumer = store.stream("a").unwrap().group("g").consumer("c");
                while !done.load(Ordering::SeqCst) {
                    let read = consumer.read().count(20).block(Duration::from_millis(5)).new_entries().unwrap();
                    consumer.ack(read.iter().skip(5).map(|entry| entry.id())).unwrap();
                }
            });
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for _ in 0..8 {
                    let before = [0, 1].map(|at: usize| added[at].load(Ordering::SeqCst));
                    store.backup(&copy).unwrap();
                    assert_sound(&copy);
                    let opened = options().open(&copy).unwrap();
                    for (name, before) in ["a", "b"].iter().zip(before) {
                        if before > 0 {
                            assert!(opened.stream(name).unwrap().recovery().unwrap().is_clean);
                            let last = last_number(&opened, name);
                            assert!(last >= before, "{last} of {before} are there");
                        }
                    }
                    let group = opened.stream("a").unwrap().groups().unwrap().remove(0);
                    let info = opened.stream("a").unwrap().info().unwrap();
                    assert!(group.last_delivered_id <= info.last_generated_id);
                    opened.close().unwrap();
                }
            }));
            done.store(true, Ordering::SeqCst);
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        store.close().unwrap();
    }
}

/// Streams that come, go and get other names meanwhile are there whole, under one name, or not.
#[test]
fn streams_that_are_renamed_meanwhile_are_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let [path, copy] = ["data", "copy"].map(|name| dir.path().join(name));
    let store = options().open(&path).unwrap();
    for name in ["a", "c"] {
        store.stream(name).unwrap().add([("n", "1")]).unwrap();
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                store.rename("a", "b").unwrap();
                store.copy_over("c", "d").unwrap();
                std::thread::sleep(Duration::from_millis(20));
                store.rename("b", "a").unwrap();
                store.delete(["d"]).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..10 {
                store.backup(&copy).unwrap();
                assert_sound(&copy);
                let names = Inspection::open(&copy).unwrap().names().unwrap();
                let has = |name: &str| names.iter().any(|found| found == name.as_bytes());
                assert!(has("c") && has("a") != has("b"), "{names:?}");
            }
        }));
        done.store(true, Ordering::SeqCst);
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}
