//! A store is kept within its bytes, by giving up the oldest entries of all streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use streamlog::sim::{self, SimDisk};
use streamlog::{Entry, Error, Options, Position, Retention, Store};

use crate::harness::{Clock, fill, mount};

const BUDGET: u64 = 600_000;

fn options(clock: &Clock) -> Options {
    clock.options().segment_bytes_max(1 << 20).bytes_budget(BUDGET)
}

fn oldest(store: &Store, name: &str) -> u64 {
    store.stream(name).unwrap().first().unwrap().map_or(u64::MAX, |entry| entry.id().ms())
}

#[test]
fn one_stream_is_kept_within_it() {
    let (clock, disk) = (Clock::new(), SimDisk::new());
    let store = mount(options(&clock), &disk);
    let stream = store.stream("s").unwrap();
    for count in 1..=2000u64 {
        fill(&stream, 1);
        assert!(disk.used() <= BUDGET, "{} bytes after {count}", disk.used());
    }
    let kept = stream.len().unwrap();
    assert!(kept * 1100 > BUDGET * 5 / 8, "only {kept} entries are kept");
    store.close().unwrap();
    // It is no part of the store: who opens it says how much.
    let store = mount(clock.options(), &disk);
    fill(&store.stream("s").unwrap(), 1000);
    assert!(disk.used() > BUDGET + 500_000);
    store.close().unwrap();
    let store = mount(options(&clock), &disk);
    store.enforce_retention().unwrap();
    assert!(disk.used() <= BUDGET, "{} bytes", disk.used());
    assert!(store.stream("s").unwrap().len().unwrap() > 300);
}

#[test]
fn the_oldest_entries_of_all_streams_go_first() {
    let (clock, disk) = (Clock::new(), SimDisk::new());
    // Most of them are not open when it is their turn.
    let store = mount(options(&clock).open_streams_max(2), &disk);
    let names = ["a", "b", "c", "d", "e"];
    let mut added = std::collections::HashMap::new();
    for round in 0..300u64 {
        // One stream is written to often, another seldom.
        let name = names[[0, 0, 0, 1, 1, 2, 3, 0, 1, 4][(round % 10) as usize]];
        fill(&store.stream(name).unwrap(), 10);
        *added.entry(name).or_insert(0) += 10;
        clock.advance(1000);
        assert!(disk.used() <= BUDGET, "{} bytes in round {round}", disk.used());
    }
    let kept: u64 = names.iter().map(|name| store.stream(name).unwrap().len().unwrap()).sum();
    assert!(kept > 150, "only {kept} entries are kept");
    // What is left reaches back about as far everywhere, but for what a segment holds: 68 entries, of which the stream that is
    // written to least gets one a second.
    let oldest: Vec<u64> = names.iter().map(|name| oldest(&store, name)).collect();
    let (first, last) = (oldest.iter().min().unwrap(), oldest.iter().max().unwrap());
    assert!(last - first <= 100_000, "{oldest:?}");
}

#[test]
fn an_idle_stream_goes_when_it_is_the_oldest_down_to_its_last_segment() {
    let (clock, disk) = (Clock::new(), SimDisk::new());
    let store = mount(options(&clock), &disk);
    fill(&store.stream("idle").unwrap(), 300);
    store.close().unwrap();
    clock.advance(1000);
    let store = mount(options(&clock), &disk);
    let busy = store.stream("busy").unwrap();
    while store.stream("idle").unwrap().len().unwrap() > 0 {
        let first = busy.first().unwrap();
        assert!(first.is_none_or(|first| first.id().seq() == 0), "something newer went before");
        fill(&busy, 1);
        assert!(disk.used() <= BUDGET);
        assert!(busy.len().unwrap() < 1000, "the idle one is never given up");
    }
    store.rename("busy", "renamed").unwrap();
    clock.advance(1000);
    fill(&store.stream("other").unwrap(), 1000);
    assert!(disk.used() <= BUDGET);
    assert_eq!(store.stream("renamed").unwrap().len().unwrap(), 0);
}

#[test]
fn an_idle_stream_that_could_not_be_opened_is_given_up_when_it_can() {
    let (clock, directory, fails) = (Clock::new(), tempfile::tempdir().unwrap(), Arc::new(AtomicBool::new(true)));
    let store = options(&clock).open(directory.path()).unwrap();
    fill(&store.stream("idle").unwrap(), 300);
    store.close().unwrap();
    clock.advance(1000);
    let tell = {
        let fails = Arc::clone(&fails);
        move |call: &sim::Call| {
            let is_idle = call.op == sim::Op::Open && call.path.starts_with("streams/idle");
            (is_idle && fails.load(Ordering::SeqCst)).then_some(sim::Failure::Os(5))
        }
    };
    let store = Store::open_observed(options(&clock), directory.path(), tell).unwrap();
    let busy = store.stream("busy").unwrap();
    fill(&busy, 500);
    assert!(busy.first().unwrap().unwrap().id().seq() > 0, "something newer went");
    fails.store(false, Ordering::SeqCst);
    let first = busy.first().unwrap();
    fill(&busy, 100);
    assert_eq!(busy.first().unwrap(), first, "there was something older");
    assert!(store.stream("idle").unwrap().len().unwrap() < 300);
}

#[test]
fn what_groups_need_is_passed_over_until_the_disk_is_full() {
    let (clock, disk) = (Clock::new(), SimDisk::new());
    let limit = 2 * BUDGET;
    let store = mount(options(&clock).bytes_max(limit), &disk);
    let queue = store.stream("queue").unwrap();
    queue.set_retention(Retention::new().acknowledged_only()).unwrap();
    queue.group("g").create(Position::Start).unwrap();
    fill(&queue, 200);
    clock.advance(1000);
    let log = store.stream("log").unwrap();
    fill(&log, 1000);
    assert!(disk.used() <= BUDGET);
    assert_eq!(queue.len().unwrap(), 200);
    let kept = log.len().unwrap();
    assert!((100..400).contains(&kept), "{kept}");
    // There is more that is needed than the budget, and then than the limit.
    let full = loop {
        match queue.add([("value", "x".repeat(1000))]) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::NoSpace { .. }), "{full}");
    assert!(disk.used() > limit * 3 / 4 && disk.used() <= limit);
    assert_eq!(log.len().unwrap(), 0, "all that may go has gone");
    let consumer = queue.group("g").consumer("c");
    let read = consumer.read().count(800).new_entries().unwrap();
    consumer.ack(read.iter().map(Entry::id)).unwrap();
    fill(&queue, 10);
    store.enforce_retention().unwrap();
    assert!(disk.used() <= BUDGET, "{} bytes", disk.used());
}

#[test]
fn a_budget_that_is_less_than_a_store_takes_is_no_reason_to_lose_everything() {
    let (clock, disk) = (Clock::new(), SimDisk::new());
    let store = mount(clock.options().bytes_budget(1), &disk);
    for name in ["a", "b", "c"] {
        let stream = store.stream(name).unwrap();
        fill(&stream, 20);
        assert!(stream.len().unwrap() >= 1, "{name}");
    }
}

#[test]
fn threads_together_keep_within_it() {
    let (clock, disk) = (Clock::new(), SimDisk::new());
    let store = mount(options(&clock), &disk);
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let stream = store.stream(name).unwrap();
            scope.spawn(move || fill(&stream, 500));
        }
    });
    assert!(disk.used() <= BUDGET, "{} bytes", disk.used());
    let kept: u64 = ["a", "b", "c", "d"].iter().map(|name| store.stream(name).unwrap().len().unwrap()).sum();
    assert!(kept > 200, "only {kept} entries are kept");
}

/// Whoever comes while a segment is being begun needs no room of its own.
#[test]
fn threads_that_add_to_one_stream_give_up_no_more_of_others_than_one_would() {
    for round in 0..10 {
        let (clock, disk) = (Clock::new(), SimDisk::new());
        let store = mount(options(&clock), &disk);
        fill(&store.stream("old").unwrap(), 1000);
        clock.advance(1000);
        let busy = store.stream("busy").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let busy = busy.clone();
                scope.spawn(move || fill(&busy, 30));
            }
        });
        // A segment is an eighth of the budget, and at the most that goes at once.
        assert!(disk.used() >= BUDGET / 8 * 5, "{} bytes are left in round {round}", disk.used());
        assert_eq!(busy.len().unwrap(), 240);
    }
}
