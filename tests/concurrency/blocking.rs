//! Blocked readers: all are served, none is lost, none outlives the store.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use streamlog::{Block, Durability, Error, GroupOptions, Position, ReadFrom, StreamId};

use crate::harness::{LEVELS, add_all, fields, options, origin, scale, simulated, within};

/// Each reader follows the stream entry by entry and must see every one: a lost wake-up hangs the test.
#[test]
fn readers_that_follow_a_stream_see_every_entry() {
    within(60, || {
        for durability in LEVELS {
            let (_disk, store) = simulated(durability);
            let stream = store.stream("s").unwrap();
            let count = 300 * scale();
            std::thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| {
                        let mut after = StreamId::MIN;
                        for number in 0..count {
                            let read = stream.read(ReadFrom::After(after)).count(1).block(Block::Forever);
                            let found = read.run().unwrap();
                            assert_eq!(origin(&found[0].1[0]), (0, number));
                            after = found[0].1[0].id();
                        }
                    });
                }
                scope.spawn(|| add_all(&stream, 0, count));
            });
        }
    });
}

/// Ping-pong: each entry is written only when the one before was read, so that every wake-up counts.
#[test]
fn thousands_of_wake_ups_and_none_is_lost() {
    within(60, || {
        for durability in [Durability::Always, Durability::Os] {
            let store = options(durability).in_memory();
            let count = 3000 * scale();
            let follow = |read: &str, write: &str, first: bool| {
                let (read, write) = (store.stream(read).unwrap(), store.stream(write).unwrap());
                let mut after = StreamId::MIN;
                for number in 0..count {
                    if first {
                        write.add(fields(0, number)).unwrap();
                    }
                    let found =
                        read.read(ReadFrom::After(after)).block(Block::For(Duration::from_secs(20))).run().unwrap();
                    assert!(!found.is_empty(), "the wake-up for {number} was lost");
                    after = found[0].1[0].id();
                    if !first {
                        write.add(fields(0, number)).unwrap();
                    }
                }
            };
            std::thread::scope(|scope| {
                scope.spawn(|| follow("ping", "pong", false));
                scope.spawn(|| follow("pong", "ping", true));
            });
        }
    });
}

#[test]
fn every_reader_of_many_streams_is_served() {
    within(60, || {
        let (_disk, store) = simulated(Durability::Always);
        for round in 0..10 * scale() {
            let names: Vec<String> = (0..4).map(|at| format!("{round}/{at}")).collect();
            let written = store.stream(&names[round as usize % 4]).unwrap();
            let read = |from| {
                let mut read = store.read().block(Block::For(Duration::from_secs(20)));
                for name in &names {
                    read = read.stream(&store.stream(name).unwrap(), from);
                }
                let found = read.run().unwrap();
                assert_eq!(found.len(), 1, "a reader of {from:?} was not served");
                assert_eq!(found[0].0, round as usize % 4);
                assert!(found[0].1.len() == 1 || from == ReadFrom::End);
            };
            std::thread::scope(|scope| {
                let start = |from| (0..4).map(|_| scope.spawn(move || read(from))).collect::<Vec<_>>();
                let of_next = start(ReadFrom::End);
                let of_any = [start(ReadFrom::Last), start(ReadFrom::After(StreamId::MIN))];
                std::thread::sleep(Duration::from_millis(round % 3 * 5));
                // One entry is enough for those who also take what is there already.
                written.add(fields(0, 0)).unwrap();
                of_any.into_iter().flatten().for_each(|reader| reader.join().unwrap());
                // Those who take only what comes may have begun after it.
                while of_next.iter().any(|reader| !reader.is_finished()) {
                    std::thread::sleep(Duration::from_millis(5));
                    written.add(fields(0, 1)).unwrap();
                }
                of_next.into_iter().for_each(|reader| reader.join().unwrap());
            });
        }
    });
}

#[test]
fn a_read_that_nothing_comes_for_ends_when_its_time_is_up() {
    within(30, || {
        let store = options(Durability::Os).in_memory();
        let (stream, other) = (store.stream("s").unwrap(), store.stream("other").unwrap());
        stream.add(fields(0, 0)).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    other.add(fields(0, 0)).unwrap();
                }
            });
            for timeout in [0, 1, 30, 100] {
                let (timeout, start) = (Duration::from_millis(timeout), Instant::now());
                let found = stream.read(ReadFrom::End).block(Block::For(timeout)).run().unwrap();
                assert!(found.is_empty());
                assert!(start.elapsed() >= timeout && start.elapsed() < timeout + Duration::from_secs(5));
            }
            done.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn readers_of_a_stream_are_served_when_it_appears_by_renaming_or_copying() {
    within(30, || {
        let store = options(Durability::Os).in_memory();
        for round in 0..50 {
            let (renamed, copied) = (format!("renamed {round}"), format!("copied {round}"));
            store.stream("source").unwrap().add(fields(0, round)).unwrap();
            std::thread::scope(|scope| {
                let readers: Vec<_> = [&copied, &renamed]
                    .map(|name| {
                        let stream = store.stream(name).unwrap();
                        scope.spawn(move || {
                            let read = stream.read(ReadFrom::After(StreamId::MIN));
                            read.block(Block::For(Duration::from_secs(20))).run().unwrap()
                        })
                    })
                    .into_iter()
                    .collect();
                if round % 2 == 0 {
                    std::thread::sleep(Duration::from_millis(2));
                }
                assert!(store.copy("source", &copied).unwrap());
                store.rename("source", &renamed).unwrap();
                for reader in readers {
                    assert_eq!(reader.join().unwrap().len(), 1);
                }
            });
        }
    });
}

#[test]
fn close_ends_all_blocked_reads_within_100_ms() {
    within(30, || {
        for round in 0..10 {
            let (_disk, store) = simulated(Durability::Always);
            let streams: Vec<_> = (0..40).map(|at| store.stream(format!("s{}", at % 5)).unwrap()).collect();
            std::thread::scope(|scope| {
                let readers: Vec<_> = streams
                    .iter()
                    .map(|stream| {
                        scope.spawn(|| {
                            let block =
                                if round % 2 == 0 { Block::Forever } else { Block::For(Duration::from_secs(60)) };
                            let result = stream.read(ReadFrom::End).block(block).run();
                            (result, Instant::now())
                        })
                    })
                    .collect();
                // In some rounds while they are about to block.
                std::thread::sleep(Duration::from_millis(round * 3));
                let start = Instant::now();
                store.close().unwrap();
                for reader in readers {
                    let (result, ended) = reader.join().unwrap();
                    assert!(matches!(result, Err(Error::Closed)), "{result:?}");
                    let late = ended.saturating_duration_since(start);
                    assert!(late < Duration::from_millis(100), "{late:?}");
                }
            });
        }
    });
}

/// What they wait for does not come any more.
#[test]
fn a_panic_in_the_middle_of_a_change_ends_all_blocked_reads() {
    thread_local! {
        static BREAKS: Cell<bool> = const { Cell::new(false) };
    }
    within(30, || {
        let now = || {
            assert!(!BREAKS.get(), "this clock is broken");
            SystemTime::now()
        };
        let store = options(Durability::Os).clock(now).in_memory();
        let stream = store.stream("s").unwrap();
        let group = stream.group("g");
        group.create_with(GroupOptions::new(Position::End).create_stream()).unwrap();
        let consumer = group.consumer("c");
        std::thread::scope(|scope| {
            let readers = [
                scope.spawn(|| stream.read(ReadFrom::End).block(Block::Forever).run().unwrap_err()),
                scope.spawn(|| consumer.read().block(Block::Forever).new_entries().unwrap_err()),
            ];
            while store.metrics().unwrap().readers_waiting < 2 {
                std::thread::yield_now();
            }
            BREAKS.set(true);
            assert!(catch_unwind(AssertUnwindSafe(|| stream.add(fields(0, 0)))).is_err());
            BREAKS.set(false);
            for reader in readers {
                let error = reader.join().unwrap();
                assert!(matches!(error, Error::Poisoned { .. }), "{error:?}");
            }
        });
    });
}

/// There is nothing that could wake it but the end of the store.
#[test]
fn a_read_of_no_stream_ends_when_the_store_is_closed() {
    within(60, || {
        let (_disk, store) = simulated(Durability::Os);
        let read = store.read().block(Block::Forever);
        let waiting = std::thread::spawn(move || read.run());
        while store.metrics().unwrap().readers_waiting == 0 {
            std::thread::yield_now();
        }
        store.close().unwrap();
        let ended = waiting.join().unwrap();
        assert!(matches!(ended, Err(Error::Closed)), "{ended:?}");
    });
}
