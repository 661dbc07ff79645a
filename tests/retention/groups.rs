//! What groups have yet to read or acknowledge is kept where that is asked for.

use std::collections::BTreeSet;

use streamlog::sim::{CrashLimits, SimDisk};
use streamlog::{Durability, Entry, GroupOptions, Position, Retention, Store, Stream, StreamId};

use crate::harness::{Clock, HOUR, HOUR_MS, Random, fill, log_bytes, mount, seed};

fn acknowledge(stream: &Stream, group: &str, count: u64) {
    let group = stream.group(group);
    let consumer = group.consumer("c");
    let read = consumer.read().count(count).new_entries().unwrap();
    assert_eq!(group.acknowledge(read.iter().map(Entry::id)).unwrap(), count);
}

#[test]
fn alone_it_removes_what_every_group_has_acknowledged() {
    let store = Clock::new().options().in_memory();
    let stream = store.stream("s").unwrap();
    stream.set_retention(Retention::new().acknowledged_only()).unwrap();
    fill(&stream, 40);
    store.enforce_retention().unwrap();
    assert_eq!(stream.len().unwrap(), 40, "there is no group yet");
    stream.group("g").create(Position::Start).unwrap();
    stream.group("h").create(Position::Start).unwrap();
    acknowledge(&stream, "g", 30);
    acknowledge(&stream, "h", 20);
    store.enforce_retention().unwrap();
    assert_eq!(stream.len().unwrap(), 20);
    // The counters of the groups are as after a trim.
    let lag = |group: &str| stream.group(group).info().unwrap().lag;
    assert_eq!((lag("g"), lag("h")), (Some(10), Some(20)));
    // Pending ones stay, and what comes after the first of them.
    let consumer = stream.group("h").consumer("c");
    let read = consumer.read().count(10).new_entries().unwrap();
    acknowledge(&stream, "g", 10);
    stream.group("h").acknowledge(read.iter().skip(1).map(Entry::id)).unwrap();
    store.enforce_retention().unwrap();
    assert_eq!(stream.len().unwrap(), 20);
    consumer.ack([read[0].id()]).unwrap();
    store.enforce_retention().unwrap();
    assert_eq!(stream.len().unwrap(), 10);
    stream.group("h").destroy().unwrap();
    store.enforce_retention().unwrap();
    assert_eq!(stream.len().unwrap(), 0);
}

#[test]
fn a_pending_entry_that_is_gone_holds_nothing_back() {
    let store = Clock::new().options().in_memory();
    let stream = store.stream("s").unwrap();
    fill(&stream, 10);
    stream.group("g").create(Position::Start).unwrap();
    let read = stream.group("g").consumer("c").read().new_entries().unwrap();
    stream.trim(streamlog::Trim::to_len(8)).unwrap();
    stream.delete([read[2].id(), read[3].id(), read[5].id()]).unwrap();
    stream.set_retention(Retention::new().acknowledged_only()).unwrap();
    assert_eq!(stream.first().unwrap().unwrap().id(), read[4].id());
    stream.group("g").acknowledge([read[4].id()]).unwrap();
    store.enforce_retention().unwrap();
    assert_eq!(stream.first().unwrap().unwrap().id(), read[6].id());
    stream.group("g").acknowledge(read[6..].iter().map(Entry::id)).unwrap();
    store.enforce_retention().unwrap();
    assert_eq!((stream.len().unwrap(), stream.group("g").pending().unwrap().count), (0, 5));
}

#[test]
fn it_holds_back_each_of_the_limits() {
    let limits = [
        Retention::new().max_len(5),
        Retention::new().max_len(0),
        Retention::new().max_age(HOUR),
        Retention::new().max_bytes(40_000),
    ];
    for limit in limits {
        let (clock, disk) = (Clock::new(), SimDisk::new());
        let store = mount(clock.options(), &disk);
        let stream = store.stream("s").unwrap();
        stream.group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
        stream.set_retention(limit.acknowledged_only()).unwrap();
        fill(&stream, 100);
        clock.advance(2 * HOUR_MS);
        fill(&stream, 1);
        store.enforce_retention().unwrap();
        assert_eq!(stream.len().unwrap(), 101, "{limit} is held back");
        acknowledge(&stream, "g", 98);
        store.enforce_retention().unwrap();
        let left = stream.len().unwrap();
        match limit.bytes_max() {
            Some(bytes) => assert!((3..40).contains(&left) && log_bytes(&disk, "s") <= bytes, "{left} left"),
            None if limit.len_max() == Some(5) => assert_eq!(left, 5),
            None => assert_eq!(left, 3, "{limit}"),
        }
        // Without groups the limits alone count.
        stream.group("g").destroy().unwrap();
        store.enforce_retention().unwrap();
        let left = stream.len().unwrap();
        match limit.bytes_max() {
            Some(_) => assert!((3..40).contains(&left)),
            None => assert_eq!(left, limit.len_max().unwrap_or(1), "{limit}"),
        }
    }
}

#[test]
fn a_length_that_is_held_back_is_kept_to_again_within_a_hundred_entries() {
    let stream = Clock::new().options().in_memory().stream("s").unwrap();
    stream.group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    stream.set_retention(Retention::new().max_len(10).acknowledged_only()).unwrap();
    for _ in 0..500 {
        stream.add([("a", "b")]).unwrap();
        acknowledge(&stream, "g", 1);
        let len = stream.len().unwrap();
        assert!(len <= 110, "{len} entries");
    }
    assert!(stream.len().unwrap() >= 10);
}

/// What a group has when it was opened after a crash needs, is there.
fn check_needed(store: &Store, added: &BTreeSet<StreamId>, what: &str) -> usize {
    let stream = store.stream("s").unwrap();
    let Some(info) = stream.groups().unwrap_or_default().into_iter().next() else { return 0 };
    let there: BTreeSet<StreamId> = stream.range(..).map(|entry| entry.unwrap().id()).collect();
    // The rest was lost with the end of the log, and never there.
    let count = stream.info().unwrap().entries_added as usize;
    for id in added.iter().take(count).filter(|id| **id > info.last_delivered_id) {
        assert!(there.contains(id), "{id} is yet to be read, and gone: {what}");
    }
    let pending = stream.group("g").pending_entries().count(10_000).run().unwrap();
    for entry in &pending {
        assert!(there.contains(&entry.id), "{} is pending, and gone: {what}", entry.id);
    }
    pending.len()
}

#[test]
fn what_a_group_needs_is_there_after_any_crash() {
    let mut pending = 0;
    for (round, level) in [Durability::Always, Durability::Os, Durability::Os].into_iter().enumerate() {
        let seed = seed() + round as u64;
        let (mut random, clock, disk) = (Random::new(seed), Clock::new(), SimDisk::new());
        let options = || clock.options().durability(level).segment_bytes_max(4096).checkpoint_bytes_min(2000);
        let store = mount(options(), &disk);
        let stream = store.stream("s").unwrap();
        stream.group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
        let rules = [
            Retention::new(),
            Retention::new().max_len(2),
            Retention::new().max_bytes(8192),
            Retention::new().max_age(HOUR),
        ];
        stream.set_retention(rules[random.below(4) as usize].acknowledged_only()).unwrap();
        let (mut added, consumer) = (BTreeSet::new(), stream.group("g").consumer("c"));
        for _ in 0..60 {
            match random.below(6) {
                0 | 1 => _ = added.insert(stream.add([("value", "x".repeat(900))]).unwrap()),
                2 => _ = consumer.read().count(3).new_entries().unwrap(),
                3 => {
                    let read = consumer.read().history(StreamId::MIN).unwrap();
                    let count = random.below(read.len() as u64 + 1) as usize;
                    consumer.ack(read.iter().take(count).map(|entry| entry.id)).unwrap();
                }
                4 => store.enforce_retention().unwrap(),
                _ => clock.advance(HOUR_MS / 4),
            }
        }
        let limits = CrashLimits { exhaustive_max: 4, samples: 4, ..CrashLimits::default() };
        for step in (0..=disk.steps()).step_by(5) {
            for image in disk.crash_images(step, limits, seed) {
                let what = format!("{level:?} after step {step}, seed {seed:#x}");
                pending += check_needed(&mount(options(), &image.mount()), &added, &what);
            }
        }
    }
    assert!(pending > 100, "only {pending} pending entries were looked for");
}
