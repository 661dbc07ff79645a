//! Streams that come, go and change their names while others use them.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use streamlog::{AddOptions, Durability, Error, NewId, Options, Store, Stream, StreamId, Trim};

use crate::harness::{LEVELS, add_all, fields, options, origin, scale, simulated, within};

/// What a writer may do besides adding; each of them takes another way through a stream.
fn use_stream(stream: &Stream, thread: u64, number: u64) {
    let id = stream.add(fields(thread, number)).unwrap();
    match number % 7 {
        0 => drop(stream.delete([id]).unwrap()),
        1 => drop(stream.trim(Trim::to_len(20)).unwrap()),
        2 => drop(stream.add_batch((0..5).map(|_| (NewId::Auto, [("fill", "x".repeat(700))]))).unwrap()),
        3 => match stream.set_id(streamlog::SetId::new(StreamId::new(1 << 50, 0))) {
            Ok(()) | Err(Error::StreamNotFound { .. } | Error::SetId { .. }) => {}
            Err(error) => panic!("{error:?}"),
        },
        4 => {
            for entry in stream.range(..) {
                entry.unwrap();
            }
        }
        5 => drop(stream.last().unwrap()),
        _ => match stream.info() {
            Ok(_) | Err(Error::StreamNotFound { .. }) => {}
            Err(error) => panic!("{error:?}"),
        },
    }
}

fn check_all(store: &Store) {
    for name in store.names().unwrap() {
        let stream = store.stream(&name).unwrap();
        let forward = stream.range(..).map(|entry| entry.unwrap().id()).collect::<Vec<_>>();
        assert!(forward.is_sorted_by(|a, b| a < b));
        assert_eq!(stream.len().unwrap(), forward.len() as u64);
    }
}

/// Runs what writers do while `disturb` is done to the store over and over; then the store opens and is whole.
fn disturbed(durability: Durability, writers: u64, each: u64, disturb: impl Fn(&Store, u64) + Sync) {
    let (disk, store) = simulated(durability);
    let writing = AtomicU64::new(writers);
    std::thread::scope(|scope| {
        for thread in 0..writers {
            let (store, writing) = (&store, &writing);
            scope.spawn(move || {
                struct Done<'a>(&'a AtomicU64);
                impl Drop for Done<'_> {
                    fn drop(&mut self) {
                        self.0.fetch_sub(1, Ordering::SeqCst);
                    }
                }
                let _done = Done(writing);
                let streams = ["a", "b"].map(|name| store.stream(name).unwrap());
                (0..each).for_each(|number| use_stream(&streams[number as usize / 3 % 2], thread, number));
            });
        }
        let mut round = 0;
        while writing.load(Ordering::SeqCst) > 0 {
            disturb(&store, round);
            round += 1;
        }
    });
    check_all(&store);
    store.close().unwrap();
    let store = Store::open_simulated(options(durability), &disk).unwrap();
    check_all(&store);
}

#[test]
fn streams_are_deleted_while_others_use_them() {
    within(60, || {
        for durability in LEVELS {
            disturbed(durability, 4, 200 * scale(), |store, _| {
                store.delete(["a", "b"]).unwrap();
            });
        }
    });
}

#[test]
fn streams_are_renamed_while_others_use_them() {
    within(60, || {
        for durability in LEVELS {
            disturbed(durability, 4, 200 * scale(), |store, round| {
                let (from, to) = [("a", "b"), ("b", "c"), ("c", "a")][round as usize % 3];
                match store.rename(from, to) {
                    Ok(()) | Err(Error::StreamNotFound { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            });
        }
    });
}

#[test]
fn streams_are_copied_while_others_use_them() {
    within(60, || {
        for durability in LEVELS {
            disturbed(durability, 4, 100 * scale(), |store, round| {
                let (from, to) = [("a", "b"), ("a", "copy"), ("b", "a")][round as usize % 3];
                store.copy_over(from, to).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            });
        }
    });
}

/// Renaming loses nothing: what was acknowledged is in one of the streams, once.
#[test]
fn nothing_acknowledged_is_lost_when_streams_are_renamed_to_free_names() {
    within(60, || {
        for durability in LEVELS {
            let (disk, store) = simulated(durability);
            let (done, count) = (AtomicBool::new(false), 200 * scale());
            std::thread::scope(|scope| {
                let writers: Vec<_> = (0..4)
                    .map(|thread| {
                        let stream = store.stream("inbox").unwrap();
                        scope.spawn(move || add_all(&stream, thread, count))
                    })
                    .collect();
                scope.spawn(|| {
                    let mut round = 0;
                    while !done.load(Ordering::Relaxed) {
                        match store.rename_new("inbox", format!("outbox {round}")) {
                            Ok(moved) => assert!(moved),
                            Err(Error::StreamNotFound { .. }) => {}
                            Err(error) => panic!("{error:?}"),
                        }
                        round += 1;
                        std::thread::sleep(Duration::from_micros(500));
                    }
                });
                writers.into_iter().for_each(|writer| writer.join().unwrap());
                done.store(true, Ordering::Relaxed);
            });
            store.close().unwrap();
            let store = Store::open_simulated(options(durability), &disk).unwrap();
            let mut found = BTreeSet::new();
            for name in store.names().unwrap() {
                for entry in store.stream(&name).unwrap().range(..) {
                    assert!(found.insert(origin(&entry.unwrap())), "an entry is there twice");
                }
            }
            assert_eq!(found.len() as u64, 4 * count);
        }
    });
}

/// An entry that was acknowledged after a delete had returned is there.
#[test]
fn a_delete_takes_only_what_was_added_before_it_ended() {
    within(60, || {
        for durability in LEVELS {
            let (_disk, store) = simulated(durability);
            let stream = store.stream("s").unwrap();
            let deleting = Mutex::new(());
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        // A writer outside this block does not overlap with a delete.
                        let guard = deleting.lock().unwrap();
                        store.delete(["s"]).unwrap();
                        drop(guard);
                        std::thread::sleep(Duration::from_micros(100));
                    }
                });
                let noise = scope.spawn(|| {
                    add_all(&stream, 1, 300 * scale());
                });
                for number in 0..300 * scale() {
                    let guard = deleting.lock().unwrap();
                    let id = stream.add(fields(0, number)).unwrap();
                    assert!(stream.get(id).unwrap().is_some(), "{number} at {durability:?}");
                    drop(guard);
                }
                noise.join().unwrap();
                done.store(true, Ordering::Relaxed);
            });
        }
    });
}

#[test]
fn two_open_streams_are_enough_for_fifty_used_by_four_threads() {
    within(120, || {
        for durability in LEVELS {
            let directory = tempfile::tempdir().unwrap();
            let open = || Options::new().durability(durability).segment_bytes_max(4096).open_streams_max(2);
            let store = open().open(directory.path()).unwrap();
            let each = if durability == Durability::Always { 25 } else { 250 } * scale();
            std::thread::scope(|scope| {
                for thread in 0..4u64 {
                    let store = &store;
                    scope.spawn(move || {
                        let streams: Vec<_> = (0..50).map(|at| store.stream(format!("s{at}")).unwrap()).collect();
                        for number in 0..each {
                            let at = (number * 31 + thread * 7) % 50;
                            let stream = &streams[at as usize];
                            let id = stream.add(fields(thread, number)).unwrap();
                            assert!(stream.get(id).unwrap().is_some());
                            if number % 5 == 0 {
                                stream.add_with(AddOptions::new().no_create(), [("gone", "")]).unwrap();
                                let gone = stream.range(..).find(|entry| entry.as_ref().unwrap().get("gone").is_some());
                                if let Some(gone) = gone {
                                    stream.delete([gone.unwrap().id()]).unwrap();
                                }
                            }
                        }
                    });
                }
            });
            let count = |store: &Store| {
                let mut found = BTreeSet::new();
                for name in store.names().unwrap() {
                    for entry in store.stream(&name).unwrap().range(..) {
                        let entry = entry.unwrap();
                        assert!(entry.get("gone").is_some() || found.insert(origin(&entry)));
                    }
                }
                found.len() as u64
            };
            assert_eq!(count(&store), 4 * each);
            store.close().unwrap();
            assert_eq!(count(&open().open(directory.path()).unwrap()), 4 * each);
        }
    });
}
