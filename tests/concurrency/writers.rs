//! Many writers, and readers at the same time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use streamlog::sim::{CrashLimits, Op};
use streamlog::{Durability, Error, ReadFrom, Store, StreamId, Trim};

use crate::harness::{LEVELS, check_prefix, fields, options, origin, scale, simulated, within};

const WRITERS: u64 = 8;

/// Lets 8 threads write so many entries each to one of the streams, while two threads read them all the time.
fn write_and_read(store: &Store, streams: usize, each: u64) {
    let handles: Vec<_> = (0..streams).map(|at| store.stream(format!("stream {at}")).unwrap()).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|thread| {
                let handle = &handles[thread as usize % streams];
                scope.spawn(move || {
                    let mut ids: Vec<StreamId> = Vec::new();
                    for number in 0..each {
                        let id = handle.add(fields(thread, number)).unwrap();
                        assert!(ids.last().is_none_or(|last| *last < id), "IDs of a thread ascend");
                        // What a thread wrote, it reads.
                        assert!(number % 16 != 0 || handle.get(id).unwrap().is_some());
                        ids.push(id);
                    }
                    ids
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = vec![Vec::new(); streams];
                while !done.load(Ordering::Relaxed) {
                    for (handle, seen) in handles.iter().zip(&mut seen) {
                        let (_, ids) = check_prefix(handle, WRITERS as usize);
                        assert!(ids.starts_with(seen), "an entry came before one that had been seen");
                        let mut backward: Vec<_> = handle.range(..).rev().map(|entry| entry.unwrap().id()).collect();
                        backward.reverse();
                        assert!(backward.starts_with(&ids), "backwards {backward:?} is not {ids:?} and more");
                        *seen = backward;
                    }
                }
            });
        }
        let mut all: Vec<Vec<StreamId>> = vec![Vec::new(); streams];
        for (thread, writer) in writers.into_iter().enumerate() {
            all[thread % streams].extend(writer.join().unwrap());
        }
        done.store(true, Ordering::Relaxed);
        for (handle, mut ids) in handles.iter().zip(all) {
            ids.sort_unstable();
            let count = ids.len();
            ids.dedup();
            assert_eq!(ids.len(), count, "IDs are unique");
            assert_eq!(check_prefix(handle, WRITERS as usize).1, ids);
            assert_eq!(handle.info().unwrap().entries_added, count as u64);
        }
    });
}

#[test]
fn eight_writers_of_one_stream_at_every_level() {
    within(60, || {
        for durability in LEVELS {
            let (_disk, store) = simulated(durability);
            write_and_read(&store, 1, 100 * scale());
            store.close().unwrap();
        }
    });
}

#[test]
fn eight_writers_of_many_streams_at_every_level() {
    within(60, || {
        for durability in LEVELS {
            let (_disk, store) = simulated(durability);
            write_and_read(&store, 4, 100 * scale());
            store.close().unwrap();
        }
    });
}

#[test]
fn eight_writers_of_files_at_every_level() {
    within(60, || {
        for durability in LEVELS {
            let directory = tempfile::tempdir().unwrap();
            let each = if durability == Durability::Always { 12 } else { 200 } * scale();
            let store = options(durability).open(directory.path()).unwrap();
            write_and_read(&store, 1, each);
            write_and_read(&options(durability).in_memory(), 2, each);
            store.close().unwrap();
            let store = options(durability).open(directory.path()).unwrap();
            assert_eq!(store.stream("stream 0").unwrap().len().unwrap(), WRITERS * each);
        }
    });
}

/// What a reader had seen, or a writer was told, when the power failed.
#[test]
fn what_was_seen_or_acknowledged_survives_a_power_loss_at_any_time() {
    within(120, || {
        for seed in 0..4 * scale() {
            let (disk, store) = simulated(Durability::Always);
            let stream = store.stream("s").unwrap();
            let (done, told) = (AtomicBool::new(false), Mutex::new(Vec::<(usize, StreamId)>::new()));
            let tell = |id| {
                // The steps first: what is told now was durable by then.
                let mut told = told.lock().unwrap();
                told.push((disk.steps(), id));
            };
            std::thread::scope(|scope| {
                let writers: Vec<_> = (0..4)
                    .map(|thread| {
                        let (stream, tell) = (&stream, &tell);
                        scope.spawn(move || {
                            for number in 0..25 {
                                tell(stream.add(fields(thread, number)).unwrap());
                            }
                        })
                    })
                    .collect();
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        if let Some(last) = stream.last().unwrap() {
                            tell(last.id());
                        }
                        std::thread::sleep(Duration::from_micros(200));
                    }
                });
                writers.into_iter().for_each(|writer| writer.join().unwrap());
                done.store(true, Ordering::Relaxed);
            });
            let told = told.into_inner().unwrap();
            let mut checked = 0;
            for (step, _) in told.iter().step_by(9) {
                let limits = CrashLimits { exhaustive_max: 2, samples: 2, ..CrashLimits::default() };
                for image in disk.crash_images(*step, limits, seed) {
                    let left = Store::open_simulated(options(Durability::Always), &image.mount()).unwrap();
                    let left = left.stream("s").unwrap();
                    check_prefix(&left, 4);
                    for (_, id) in told.iter().filter(|(seen, _)| seen <= step) {
                        let found = left.get(*id).unwrap();
                        assert!(found.is_some(), "{id} is lost at step {step}: {}", image.description());
                    }
                    checked += 1;
                }
            }
            assert!(checked > 0);
        }
    });
}

#[test]
fn readers_of_a_stream_that_is_trimmed_and_deleted_from_see_no_errors_and_no_gaps() {
    within(60, || {
        for durability in LEVELS {
            let (_disk, store) = simulated(durability);
            let stream = store.stream("s").unwrap();
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !done.load(Ordering::Relaxed) {
                            let mut last = None;
                            for entry in stream.range(..) {
                                let (_, number) = origin(&entry.unwrap());
                                // Every tenth is deleted; the rest goes from the front, while we read.
                                let after: u64 = last.map_or(number, |last: u64| last + 1);
                                let skipped = (after..number).filter(|number| number % 10 != 0).count();
                                let trimmed = stream.first().unwrap().map_or(number, |first| origin(&first).1);
                                assert!(skipped == 0 || number <= trimmed + 1, "{number} after {last:?}");
                                last = Some(number);
                            }
                            let newest: Vec<_> =
                                stream.range(..).rev().take(20).map(|entry| origin(&entry.unwrap()).1).collect();
                            assert!(newest.is_sorted_by(|a, b| a > b), "{newest:?}");
                        }
                    });
                }
                let mut ids = Vec::new();
                for number in 0..600 * scale() {
                    ids.push(stream.add(fields(0, number)).unwrap());
                    if number % 10 == 0 {
                        assert_eq!(stream.delete([ids[number as usize]]).unwrap(), 1);
                    }
                    if number % 50 == 49 {
                        stream.trim(Trim::to_len(60)).unwrap();
                        assert!(stream.len().unwrap() <= 60);
                    }
                }
                done.store(true, Ordering::Relaxed);
            });
            store.close().unwrap();
        }
    });
}

#[test]
fn a_trim_stays_done_while_others_sync() {
    within(60, || {
        let store = options(Durability::Os).in_memory();
        let stream = store.stream("s").unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    store.sync().unwrap();
                }
            });
            for number in 0..2000 * scale() {
                stream.add(fields(0, number)).unwrap();
                assert_eq!(stream.trim(Trim::to_len(0)).unwrap(), 1, "{number}");
                assert_eq!(stream.len().unwrap(), 0, "{number}");
            }
            done.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn many_writers_that_delete_count_each_entry_once() {
    within(60, || {
        for durability in LEVELS {
            let (_disk, store) = simulated(durability);
            let stream = store.stream("s").unwrap();
            let ids: Vec<_> = (0..300).map(|number| stream.add(fields(0, number)).unwrap()).collect();
            let deleted: u64 = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| ids.chunks(3).map(|ids| stream.delete(ids.to_vec()).unwrap()).sum::<u64>()))
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!((deleted, stream.len().unwrap()), (300, 0));
            assert_eq!(stream.read(ReadFrom::After(StreamId::MIN)).run().unwrap().len(), 0);
        }
    });
}

/// The operating system tells of a failed write-back once: the next sync of the file succeeds, and what it should have
/// written is lost all the same.
#[test]
fn a_failed_sync_is_final_also_where_the_disk_was_full() {
    for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded, std::io::ErrorKind::Other] {
        let (disk, store) = simulated(Durability::Always);
        let stream = store.stream("s").unwrap();
        stream.add(fields(0, 0)).unwrap();
        let mut failed = false;
        disk.fail_when(move |call| {
            let fails = call.op == Op::Sync && !std::mem::replace(&mut failed, true);
            fails.then_some(kind.into())
        });
        let result = stream.add(fields(0, 1));
        assert!(matches!(result, Err(Error::Io { action: "sync", .. })), "{result:?}");
        let result = stream.add(fields(0, 2));
        assert!(matches!(result, Err(Error::Poisoned { .. })), "{result:?}");
        assert_eq!(stream.len().unwrap(), 1);
        let closed = store.close();
        assert!(matches!(closed, Err(Error::Poisoned { .. })), "{closed:?}");
    }
}

#[test]
fn a_read_of_the_last_entry_is_of_one_entry_also_while_more_are_added() {
    within(30, || {
        let store = options(Durability::Os).in_memory();
        let stream = store.stream("s").unwrap();
        stream.add(fields(0, 0)).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1..20_000 * scale() {
                    stream.add(fields(0, number)).unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                let found = stream.read(ReadFrom::Last).run().unwrap();
                assert_eq!(found[0].1.len(), 1);
            }
        });
    });
}
