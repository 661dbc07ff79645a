//! Promise: a store with a limit of its own behaves at that limit as on a full disk, and never goes beyond it.

use std::time::Duration;

use streamlog::sim::SimDisk;
use streamlog::{Durability, Error, GroupOptions, Options, Position, Store, StreamId, Trim};

const LIMIT: u64 = 400 << 10;

fn options() -> Options {
    Options::new().durability(Durability::Os).segment_bytes_max(32 << 10).bytes_max(LIMIT)
}

fn is_full<T>(result: streamlog::Result<T>) -> bool {
    match result {
        Ok(_) => false,
        Err(Error::NoSpace { limit, .. }) => {
            assert_eq!(limit, Some(LIMIT));
            true
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn at_the_limit_all_goes_on_but_adding_and_that_too_when_there_is_room() {
    let disk = SimDisk::new();
    let mut store = Store::open_simulated(options(), &disk).unwrap();
    let value = "x".repeat(1000);
    let mut added: Vec<StreamId> = Vec::new();
    for round in 0..6 {
        let stream = store.stream("s").unwrap();
        if round == 0 {
            stream.group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
        }
        // Several times, as a smaller segment may still fit.
        let before = added.len();
        for _ in 0..100_000 {
            match stream.add([("value", &value)]) {
                Ok(id) => added.push(id),
                full => {
                    assert!(is_full(full));
                    break;
                }
            }
            assert!(disk.used() <= LIMIT, "{} bytes", disk.used());
        }
        assert!(added.len() - before > 20, "round {round}: only {} more entries fit", added.len() - before);
        assert!(is_full(stream.add([("value", &value)])));
        let consumer = stream.group("g").consumer("c");
        let read = consumer.read().count(50).new_entries().unwrap();
        assert!(!read.is_empty());
        stream.group("g").acknowledge(read.iter().take(20).map(streamlog::Entry::id)).unwrap();
        consumer.auto_claim(Duration::ZERO).count(10).run().unwrap();
        let first = stream.first().unwrap().unwrap().id();
        assert_eq!(stream.delete([first]).unwrap(), 1);
        assert!(disk.used() <= LIMIT, "{} bytes", disk.used());
        match round % 3 {
            0 => _ = stream.trim(Trim::to_len(added.len() as u64 / 3)).unwrap(),
            1 => _ = stream.trim(Trim::to_len(0)).unwrap(),
            _ => {
                let last = stream.last().unwrap().unwrap().id();
                _ = stream.trim(Trim::before(last)).unwrap();
            }
        }
        added = stream.range(..).map(|entry| entry.unwrap().id()).collect();
        if round == 3 {
            drop(stream);
            store.close().unwrap();
            store = Store::open_simulated(options(), &disk).unwrap();
        }
    }
    store.close().unwrap();
}

#[test]
fn a_store_that_is_over_the_limit_already_can_be_emptied() {
    let disk = SimDisk::new();
    let store = Store::open_simulated(Options::new().durability(Durability::Os), &disk).unwrap();
    let stream = store.stream("s").unwrap();
    while disk.used() < 2 * LIMIT {
        stream.add([("value", "x".repeat(5000))]).unwrap();
    }
    let len = stream.len().unwrap();
    drop(stream);
    store.close().unwrap();
    let store = Store::open_simulated(options(), &disk).unwrap();
    let stream = store.stream("s").unwrap();
    assert_eq!(stream.range(..).filter(|entry| entry.is_ok()).count() as u64, len);
    assert!(is_full(store.create("other")));
    assert_eq!(store.delete(["s"]).unwrap(), 1);
    store.create("other").unwrap();
    assert!(disk.used() <= LIMIT);
}
