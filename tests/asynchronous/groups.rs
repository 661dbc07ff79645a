//! Consumers as tasks, among threads.

use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use streamlog::{Block, Consumer, Durability, Error, Group, GroupOptions, Options, Position, Store, Stream, StreamId};

use crate::harness::{Syncs, all, next, on_each, poll_once, turns, unless, until};

fn group(durability: Durability) -> (Store, Stream, Group) {
    let store = Options::new().durability(durability).in_memory();
    let stream = store.stream("s").unwrap();
    let group = stream.group("g");
    group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    (store, stream, group)
}

fn waiting(consumer: &Consumer) -> streamlog::futures::Operation<Vec<streamlog::Entry>> {
    consumer.read().count(1).block(Block::Forever).new_entries_async()
}

/// Polls it, and returns when it sleeps in the queue.
fn begin(store: &Store, read: &mut streamlog::futures::Operation<Vec<streamlog::Entry>>) {
    let before = readers(store);
    assert!(poll_once(Pin::new(read)).is_pending());
    until(|| readers(store) == before + 1);
    run_all(store);
}

fn readers(store: &Store) -> u64 {
    store.metrics().unwrap().readers_waiting
}

/// Returns when every task that was ready has run until it waits.
fn run_all(store: &Store) {
    pollster::block_on(store.run_async(|_| Ok(()))).unwrap();
}

#[test]
fn tasks_and_threads_are_served_in_the_order_in_which_they_came() {
    for durability in [Durability::Always, Durability::Os] {
        let (store, stream, group) = group(durability);
        let served = Arc::new(Mutex::new(Vec::new()));
        let mut threads = Vec::new();
        let mut tasks = Vec::new();
        for number in 0..6 {
            let consumer = group.consumer(format!("c{number}"));
            if number % 2 == 0 {
                let mut read = waiting(&consumer);
                begin(&store, &mut read);
                tasks.push((number, read));
            } else {
                let served = Arc::clone(&served);
                threads.push(std::thread::spawn(move || {
                    let found = consumer.read().count(1).block(Block::Forever).new_entries().unwrap();
                    served.lock().unwrap().push((found[0].id(), number));
                }));
                until(|| readers(&store) == number + 1);
                // It looks once more before it sleeps, which nothing tells.
                std::thread::sleep(Duration::from_millis(3));
            }
        }
        let ids: Vec<_> = (0..6).map(|_| stream.add([("f", "v")]).unwrap()).collect();
        for (number, read) in tasks {
            served.lock().unwrap().push((pollster::block_on(read).unwrap()[0].id(), number));
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let mut served = served.lock().unwrap().clone();
        served.sort();
        let expected: Vec<_> = ids.into_iter().zip(0..6).collect();
        assert_eq!(served, expected);
    }
}

#[test]
fn a_future_that_nobody_polls_keeps_nobody_waiting() {
    on_each(|| async {
        let (store, stream, group) = group(Durability::Always);
        let (alice, bob) = (group.consumer("alice"), group.consumer("bob"));
        let mut idle = waiting(&alice);
        begin(&store, &mut idle);
        let busy = waiting(&bob);
        let ids = [stream.add([("f", "1")]).unwrap(), stream.add([("f", "2")]).unwrap()];
        assert_eq!(busy.await.unwrap()[0].id(), ids[1]);
        // It has what came first all the same.
        assert_eq!(idle.await.unwrap()[0].id(), ids[0]);
    });
}

#[test]
fn a_read_that_is_dropped_while_it_waits_takes_nothing() {
    on_each(|| async {
        let (store, stream, group) = group(Durability::Always);
        for round in 0..30 {
            let mut dropped = waiting(&group.consumer("alice"));
            begin(&store, &mut dropped);
            drop(dropped);
            let id = stream.add([("round", round.to_string())]).unwrap();
            assert_eq!(group.pending().unwrap().count, 0);
            let found = group.consumer("bob").read().new_entries_async().await.unwrap();
            assert_eq!(found[0].id(), id);
            group.acknowledge([id]).unwrap();
        }
    });
}

/// Woken for an entry that somebody who did not wait has taken before it looks, it waits on.
#[test]
fn a_read_that_is_overtaken_waits_for_the_next_entry() {
    on_each(|| async {
        for durability in [Durability::Always, Durability::Os] {
            let (store, stream, group) = group(durability);
            let mut read = waiting(&group.consumer("alice"));
            begin(&store, &mut read);
            for _ in 0..3 {
                // The thread that would look is kept busy.
                let (busy, is_busy) = std::sync::mpsc::channel();
                let (go_on, is_to_go_on) = std::sync::mpsc::channel();
                let mut keeping = store.run_async(move |_| {
                    busy.send(()).unwrap();
                    is_to_go_on.recv().unwrap();
                    Ok(())
                });
                assert!(poll_once(Pin::new(&mut keeping)).is_pending());
                is_busy.recv().unwrap();
                let id = stream.add([("f", "v")]).unwrap();
                assert_eq!(group.consumer("bob").read().new_entries().unwrap()[0].id(), id);
                go_on.send(()).unwrap();
                keeping.await.unwrap();
                run_all(&store);
                assert!(poll_once(Pin::new(&mut read)).is_pending());
                assert_eq!(readers(&store), 1);
            }
            let id = stream.add([("f", "v")]).unwrap();
            assert_eq!(read.await.unwrap()[0].id(), id);
            assert_eq!(readers(&store), 0);
        }
    });
}

#[test]
fn what_was_being_delivered_to_a_read_that_is_dropped_is_pending() {
    let syncs = Syncs::default();
    let (_dir, store) = syncs.store(Options::new());
    let stream = store.stream("s").unwrap();
    let group = stream.group("g");
    group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    let alice = group.consumer("alice");
    alice.create().unwrap();
    let id = stream.add([("f", "v")]).unwrap();
    syncs.shut();
    let mut read = waiting(&alice);
    assert!(poll_once(Pin::new(&mut read)).is_pending());
    until(|| syncs.held() == 1);
    drop(read);
    syncs.open();
    assert_eq!(alice.read().history(StreamId::MIN).unwrap()[0].id, id);
    assert_eq!(group.pending().unwrap().count, 1);
}

#[test]
fn nothing_is_handed_over_before_it_is_durable() {
    let syncs = Syncs::default();
    let (_dir, store) = syncs.store(Options::new());
    let stream = store.stream("s").unwrap();
    let group = stream.group("g");
    group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    let alice = group.consumer("alice");
    let id = stream.add([("f", "v")]).unwrap();
    syncs.shut();
    let mut read = waiting(&alice);
    for _ in 0..20 {
        assert!(poll_once(Pin::new(&mut read)).is_pending());
        std::thread::sleep(Duration::from_millis(1));
    }
    syncs.open();
    assert_eq!(pollster::block_on(read).unwrap()[0].id(), id);
    syncs.shut();
    let mut ack = alice.ack_async([id]);
    for _ in 0..20 {
        assert!(poll_once(Pin::new(&mut ack)).is_pending());
        std::thread::sleep(Duration::from_millis(1));
    }
    syncs.open();
    assert_eq!(pollster::block_on(ack).unwrap(), 1);
}

/// Reads are dropped at any moment, by tasks, while threads and tasks add: each entry is handed over, pending, or new.
#[test]
fn reads_that_are_dropped_at_any_moment_lose_nothing() {
    on_each(|| async {
        for durability in [Durability::Always, Durability::Os] {
            let dir = tempfile::tempdir().unwrap();
            let store = Options::new().durability(durability).open(dir.path()).unwrap();
            let stream = store.stream("s").unwrap();
            let group = stream.group("g");
            group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
            let writer = stream.clone();
            let thread = std::thread::spawn(move || {
                (0..400).map(|n: u64| writer.add([("n", n.to_string())]).unwrap()).collect::<BTreeSet<_>>()
            });
            let mut handed_over = BTreeSet::new();
            let mut read_next = 0;
            while !thread.is_finished() {
                read_next += 1;
                let consumer = group.consumer(["alice", "bob"][read_next as usize % 2]);
                let read = consumer.read().count(3).block(Block::Forever).new_entries_async();
                if let Some(found) = unless(read, turns(read_next % 13 * 15)).await {
                    handed_over.extend(found.unwrap().into_iter().map(|entry| entry.id()));
                }
            }
            let added = thread.join().unwrap();
            // What a look that was under way delivers is there when the queue has come to an end.
            store.run_async(|_| Ok(())).await.unwrap();
            let pending: BTreeSet<_> =
                group.pending_entries().run().unwrap().into_iter().map(|entry| entry.id).collect();
            let new: BTreeSet<_> =
                group.consumer("carol").read().new_entries().unwrap().into_iter().map(|entry| entry.id()).collect();
            assert!(handed_over.is_subset(&pending), "it was pending for whoever got it");
            assert!(pending.is_disjoint(&new));
            assert_eq!(pending.union(&new).copied().collect::<BTreeSet<_>>(), added);
        }
    });
}

/// More consumers than entries at any time, as tasks and as threads: all is taken, once. Whoever takes the last entry ends
/// the others, and not before: what was delivered to a read that is dropped then would be missing.
#[test]
fn no_wake_up_is_lost_among_tasks_and_threads() {
    on_each(|| async {
        let (_, stream, group) = group(Durability::Os);
        let count = 1200;
        let taken = Arc::new(Mutex::new(Vec::new()));
        let take = {
            let (group, taken) = (group.clone(), Arc::clone(&taken));
            move |id| {
                let mut taken = taken.lock().unwrap();
                taken.push(id);
                if taken.len() == count {
                    group.destroy().unwrap();
                }
            }
        };
        let threads: Vec<_> = (0..2)
            .map(|number| {
                let (consumer, take) = (group.consumer(format!("thread {number}")), take.clone());
                std::thread::spawn(move || {
                    loop {
                        match consumer.read().count(1).block(Block::Forever).new_entries() {
                            Ok(found) => take(found[0].id()),
                            Err(error) => return error,
                        }
                    }
                })
            })
            .collect();
        let adding = std::thread::spawn(move || (0..count).for_each(|_| _ = stream.add([("f", "v")]).unwrap()));
        let tasks = (0..8).map(|number| {
            let (consumer, take) = (group.consumer(format!("task {number}")), take.clone());
            async move {
                loop {
                    match waiting(&consumer).await {
                        Ok(found) => take(found[0].id()),
                        Err(error) => return error,
                    }
                }
            }
        });
        let ends = all(tasks).await;
        adding.join().unwrap();
        let ends = ends.into_iter().chain(threads.into_iter().map(|thread| thread.join().unwrap()));
        assert!(ends.into_iter().all(|end| matches!(end, Error::GroupNotFound { .. })));
        let taken: BTreeSet<_> = taken.lock().unwrap().iter().copied().collect();
        assert_eq!(taken.len(), count);
    });
}

#[test]
fn a_claim_comes_when_an_entry_has_been_idle_for_long_enough() {
    on_each(|| async {
        let (_, stream, group) = group(Durability::Os);
        let id = stream.add([("f", "v")]).unwrap();
        assert_eq!(group.consumer("alice").read().new_entries().unwrap().len(), 1);
        let read = group.consumer("bob").read().claim(Duration::from_millis(40)).block(Block::Forever);
        let taken = read.deliveries_async().await.unwrap();
        assert_eq!((taken[0].id, taken[0].delivery_count), (id, 1));
        assert!(taken[0].idle >= Duration::from_millis(40));
    });
}

#[test]
fn a_group_that_goes_ends_its_reads() {
    on_each(|| async {
        let (store, _, group) = group(Durability::Os);
        let mut read = waiting(&group.consumer("alice"));
        begin(&store, &mut read);
        group.destroy().unwrap();
        assert!(matches!(read.await, Err(Error::GroupNotFound { .. })));
    });
}

#[test]
fn a_read_of_several_streams_waits_in_all_of_them() {
    on_each(|| async {
        let store = Store::in_memory();
        let streams = ["s", "t"].map(|name| store.stream(name).unwrap());
        streams.iter().for_each(|stream| {
            stream.group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap()
        });
        for at in [1, 0, 1] {
            let read = store.read_group("g", "alice").block(Block::Forever);
            let new = streamlog::GroupReadFrom::New;
            let mut read = pin!(read.stream(&streams[0], new).stream(&streams[1], new).run_async());
            assert!(poll_once(read.as_mut()).is_pending());
            let id = streams[at].add_async([("f", "v")]).await.unwrap();
            let found = read.await.unwrap();
            assert_eq!((found[0].0, found[0].1[0].id), (at, id));
        }
    });
}

#[test]
fn deliveries_come_one_by_one_and_what_is_left_is_pending() {
    on_each(|| async {
        let (_, stream, group) = group(Durability::Always);
        let alice = group.consumer("alice");
        let ids: Vec<_> = (0..20).map(|_| stream.add([("f", "v")]).unwrap()).collect();
        {
            let mut deliveries = pin!(alice.deliveries());
            for id in &ids[..3] {
                assert_eq!(next(&mut deliveries).await.unwrap().unwrap().id, *id);
                alice.ack_async([*id]).await.unwrap();
            }
        }
        // Sixteen were delivered at a time.
        let unseen = alice.read().history_async(StreamId::MIN).await.unwrap();
        assert_eq!(unseen.iter().map(|entry| entry.id).collect::<Vec<_>>(), ids[3..16]);
        let mut one_by_one = pin!(group.consumer("bob").read().count(1).into_stream());
        assert_eq!(next(&mut one_by_one).await.unwrap().unwrap().id, ids[16]);
        assert_eq!(group.pending().unwrap().count, 14);
    });
}
