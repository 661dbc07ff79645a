//! What happens by itself, and beside writers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use streamlog::sim::SimDisk;
use streamlog::{Durability, Entry, GroupOptions, Options, Position, Retention, Store, Stream};

use crate::harness::{Clock, HOUR, HOUR_MS, fill, log_bytes, mount};

/// How long something that takes milliseconds may take on a machine that does something else.
const PATIENCE: Duration = Duration::from_secs(60);

fn options(clock: &Clock) -> Options {
    clock.options().retention_interval(Duration::from_millis(5))
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "it never happens that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_empty(stream: &Stream) -> bool {
    stream.is_empty().unwrap()
}

#[test]
fn entries_go_by_themselves_when_they_are_old_or_acknowledged() {
    for durability in [Durability::Always, Durability::Os] {
        let clock = Clock::new();
        let store = options(&clock).durability(durability).in_memory();
        let aging = store.stream("aging").unwrap();
        aging.set_retention(Retention::new().max_age(HOUR)).unwrap();
        let queue = store.stream("queue").unwrap();
        queue.set_retention(Retention::new().acknowledged_only()).unwrap();
        queue.group("g").create(Position::Start).unwrap();
        [&aging, &queue].into_iter().for_each(|stream| fill(stream, 20));
        let consumer = queue.group("g").consumer("c");
        let read = consumer.read().new_entries().unwrap();
        assert_eq!((aging.len().unwrap(), queue.len().unwrap()), (20, 20));
        clock.advance(2 * HOUR_MS);
        until("old entries go", || is_empty(&aging));
        consumer.ack(read.iter().map(Entry::id)).unwrap();
        until("acknowledged entries go", || is_empty(&queue));
    }
}

#[test]
fn rules_of_a_stream_that_was_there_are_kept_to_once_it_is_used() {
    let (clock, disk) = (Clock::new(), SimDisk::new());
    let store = mount(clock.options(), &disk);
    store.stream("s").unwrap().set_retention(Retention::new().max_age(HOUR)).unwrap();
    store.close().unwrap();
    let store = mount(options(&clock), &disk);
    let stream = store.stream("s").unwrap();
    fill(&stream, 10);
    clock.advance(2 * HOUR_MS);
    until("old entries go", || is_empty(&stream));
}

#[test]
fn a_stream_that_nobody_uses_is_looked_at_now_and_then() {
    let (clock, disk) = (Clock::new(), SimDisk::new());
    let store = mount(clock.options(), &disk);
    let idle = store.stream("idle").unwrap();
    idle.set_retention(Retention::new().max_age(HOUR)).unwrap();
    fill(&idle, 100);
    drop(idle);
    store.close().unwrap();
    let before = log_bytes(&disk, "idle");
    clock.advance(2 * HOUR_MS);
    // An hour of seconds, in less than one.
    let store = mount(clock.options().retention_interval(Duration::from_micros(50)), &disk);
    let other = store.stream("other").unwrap();
    other.set_retention(Retention::new().max_age(HOUR)).unwrap();
    until("old segments of an idle stream go", || log_bytes(&disk, "idle") < before / 4);
    assert!(before > 100_000 && is_empty(&store.stream("idle").unwrap()));
}

#[test]
fn a_store_is_closed_when_its_last_handle_goes_whatever_the_thread_does() {
    let (clock, disk) = (Clock::new(), SimDisk::new());
    for _ in 0..50 {
        // The lock is free, or this fails.
        let store = mount(clock.options().retention_interval(Duration::from_micros(50)), &disk);
        let stream = store.stream("s").unwrap();
        stream.set_retention(Retention::new().max_age(HOUR)).unwrap();
        fill(&stream, 1);
        clock.advance(HOUR_MS / 4);
        drop(store);
        drop(stream);
    }
}

#[test]
fn a_clock_that_panics_in_the_background_is_told_to_whoever_writes_next() {
    let (clock, broken) = (Clock::new(), std::sync::Arc::new(AtomicBool::new(false)));
    let is_broken = broken.clone();
    let now = move || {
        assert!(!is_broken.load(Ordering::SeqCst), "this clock is broken");
        std::time::UNIX_EPOCH + Duration::from_millis(clock.ms())
    };
    let options = Options::new().durability(Durability::Os).retention_interval(Duration::from_millis(5));
    let store = options.clock(now).in_memory();
    let stream = store.stream("s").unwrap();
    stream.set_retention(Retention::new().max_age(HOUR)).unwrap();
    fill(&stream, 1);
    broken.store(true, Ordering::SeqCst);
    until("the store is poisoned", || store.sync().is_err());
    assert_eq!(stream.len().unwrap(), 1, "reading goes on");
}

/// Writers, consumers and the background at once.
fn beside(store: &Store, disk: &SimDisk, rules: Retention) {
    let stream = store.stream("s").unwrap();
    stream.group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    stream.set_retention(rules).unwrap();
    let (writers, each) = (3, 400);
    let done = AtomicBool::new(false);
    let read = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..writers).map(|_| scope.spawn(|| fill(&stream, each))).collect();
        let reader = scope.spawn(|| {
            let consumer = stream.group("g").consumer("c");
            let mut read = 0;
            loop {
                let last = done.load(Ordering::SeqCst);
                let entries = consumer.read().count(50).new_entries().unwrap();
                consumer.ack(entries.iter().map(Entry::id)).unwrap();
                read += entries.len() as u64;
                if last && entries.is_empty() {
                    return read;
                }
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap()
    });
    let info = stream.info().unwrap();
    assert_eq!(info.entries_added, writers * each);
    if rules.is_acknowledged_only() {
        assert_eq!(read, writers * each, "every entry was kept until it was read");
    }
    store.enforce_retention().unwrap();
    if let Some(len) = rules.len_max() {
        assert!(stream.len().unwrap() <= len);
    }
    if let Some(bytes) = rules.bytes_max() {
        assert!(log_bytes(disk, "s") <= bytes);
    }
}

#[test]
fn beside_writers_and_consumers_all_rules_hold() {
    for rules in [
        Retention::new().max_len(50),
        Retention::new().max_len(50).acknowledged_only(),
        Retention::new().max_bytes(60_000),
        Retention::new().max_bytes(60_000).acknowledged_only(),
        Retention::new().acknowledged_only(),
    ] {
        let disk = SimDisk::new();
        let options = options(&Clock::new()).retention_interval(Duration::from_micros(200));
        beside(&mount(options, &disk), &disk, rules);
    }
}
