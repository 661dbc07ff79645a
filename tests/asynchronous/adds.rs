//! Changes as futures.

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use streamlog::sim::SimDisk;
use streamlog::{AddOptions, Durability, Error, NewId, Options, Position, Production, Store, StreamId, Trim};

use crate::harness::{Syncs, all, id, on_each, poll_once, turns, until, within};

#[test]
fn an_add_that_came_back_survives_a_power_loss() {
    on_each(|| async {
        let disk = SimDisk::new();
        let store = Store::open_simulated(Options::new().segment_bytes_max(4096), &disk).unwrap();
        let stream = store.stream("s").unwrap();
        for number in 0..40 {
            let id = stream.add_async([("number", number.to_string())]).await.unwrap();
            let limits = streamlog::sim::CrashLimits { exhaustive_max: 1, samples: 2, ..Default::default() };
            for image in disk.crash_images(disk.steps(), limits, number) {
                let store = Store::open_simulated(Options::new(), &image.mount()).unwrap();
                let found = store.stream("s").unwrap().get(id).unwrap();
                assert!(found.is_some(), "{number} is lost: {}", image.description());
            }
        }
    });
}

#[test]
fn calls_answer_as_those_without_futures_do() {
    on_each(|| async {
        let store = Store::in_memory();
        let stream = store.stream("s").unwrap();
        let none: [(&str, &str); 0] = [];
        assert!(matches!(stream.add_async(none).await, Err(Error::NoFields)));
        let exactly = |ms| AddOptions::new().id(id(ms));
        let missing = exactly(5).no_create();
        assert_eq!(stream.add_with_async(missing, [("f", "v")]).await.unwrap(), None);
        assert_eq!(stream.add_with_async(exactly(5), [("f", "v")]).await.unwrap(), Some(id(5)));
        let low = stream.add_with_async(exactly(4), [("f", "v")]).await;
        assert!(matches!(low, Err(Error::IdTooSmall { .. })));
        let batch = [6, 7].map(|ms| (NewId::Exact(id(ms)), [("f", "v")]));
        assert_eq!(stream.add_batch_async(batch).await.unwrap(), [id(6), id(7)]);
        let trimmed = exactly(8).trim(Trim::to_len(2));
        stream.add_with_async(trimmed, [("f", "v")]).await.unwrap();
        assert_eq!(stream.len().unwrap(), 2);
        let made = || AddOptions::new().production(Production::Named { producer: b"p", id: b"k" });
        let first = stream.add_with_async(made(), [("f", "v")]).await.unwrap();
        assert_eq!(stream.add_with_async(made(), [("f", "v")]).await.unwrap(), first);
        let group = stream.group("g");
        group.create(Position::Start).unwrap();
        let alice = group.consumer("alice");
        let found = alice.read().new_entries_async().await.unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(alice.read().history_async(id(0)).await.unwrap().len(), 3);
        assert_eq!(alice.ack_async(found.iter().map(|entry| entry.id())).await.unwrap(), 3);
        assert!(matches!(stream.group("no").acknowledge_async([id(1)]).await, Err(Error::GroupNotFound { .. })));
        let deleting = stream.clone();
        assert_eq!(store.run_async(move |_| deleting.delete([id(8)])).await.unwrap(), 1);
        store.sync_async().await.unwrap();
    });
}

#[test]
fn adds_are_made_in_the_order_of_their_first_polls() {
    on_each(|| async {
        let stream = Store::in_memory().stream("s").unwrap();
        let adds: Vec<_> = (0..200).map(|number: u64| stream.add_async([("n", number.to_string())])).collect();
        let ids: Vec<_> = all(adds).await.into_iter().map(Result::unwrap).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        let found: Vec<_> = stream.range(..).map(|entry| entry.unwrap().id()).collect();
        assert_eq!(found, ids);
    });
}

/// While a sync is held up, all that is polled is made, and waits for the next one together.
#[test]
fn adds_that_wait_share_a_sync_and_hold_up_no_thread() {
    let syncs = Syncs::default();
    let (_dir, store) = syncs.store(Options::new());
    let stream = store.stream("s").unwrap();
    stream.add([("f", "the stream is there")]).unwrap();
    syncs.shut();
    let begun = Instant::now();
    let mut first = pin!(stream.add_async([("f", "v")]));
    assert!(poll_once(first.as_mut()).is_pending());
    until(|| syncs.held() == 1);
    let mut adds: Vec<_> = (0..60).map(|number: u64| stream.add_async([("n", number.to_string())])).collect();
    for add in &mut adds {
        assert!(poll_once(Pin::new(add)).is_pending());
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits for the disk");
    // They are made, but nobody sees or is told of them.
    let last = stream.clone();
    pollster::block_on(async {
        let looked = store.run_async(move |_| last.len());
        assert_eq!(looked.await.unwrap(), 1);
    });
    let before = syncs.count();
    syncs.open();
    let ids = pollster::block_on(async { (first.await.unwrap(), all(adds).await) });
    assert_eq!((ids.1.len(), stream.len().unwrap()), (60, 62));
    assert!(ids.1.iter().all(Result::is_ok));
    assert!(syncs.count() - before <= 3, "{} syncs", syncs.count() - before);
}

/// They come back one after the other: the first of them has the rest let in.
#[test]
fn adds_that_a_sync_has_served_share_the_next_one() {
    let syncs = Syncs::default();
    let (_dir, store) = syncs.store(Options::new());
    let stream = store.stream("s").unwrap();
    stream.add([("f", "the stream is there")]).unwrap();
    let adds = || (0..8).map(|number: u64| stream.add_async([("n", number.to_string())]));
    syncs.shut();
    let mut first = pin!(stream.add_async([("f", "v")]));
    assert!(poll_once(first.as_mut()).is_pending());
    until(|| syncs.held() == 1);
    let mut waiting: Vec<_> = adds().collect();
    waiting.iter_mut().for_each(|add| assert!(poll_once(Pin::new(add)).is_pending()));
    pollster::block_on(store.run_async(|_| Ok(()))).unwrap();
    // The next one serves all of them, and takes so long that nobody stays away for a part of it.
    syncs.take(Duration::from_secs(1));
    syncs.open();
    pollster::block_on(async { assert!(first.await.is_ok() && all(waiting).await.iter().all(Result::is_ok)) });
    syncs.take(Duration::ZERO);
    let before = syncs.count();
    let mut again: Vec<_> = adds().collect();
    for add in &mut again {
        assert!(poll_once(Pin::new(add)).is_pending());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(pollster::block_on(all(again)).iter().all(Result::is_ok));
    assert_eq!(syncs.count() - before, 1);
}

#[test]
fn threads_and_tasks_share_syncs() {
    let syncs = Syncs::default();
    let (_dir, store) = syncs.store(Options::new());
    let stream = store.stream("s").unwrap();
    stream.add([("f", "the stream is there")]).unwrap();
    syncs.shut();
    let mut first = pin!(stream.add_async([("f", "v")]));
    assert!(poll_once(first.as_mut()).is_pending());
    until(|| syncs.held() == 1);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| stream.add([("f", "of a thread")]));
        let mut second = pin!(stream.add_async([("f", "v")]));
        assert!(poll_once(second.as_mut()).is_pending());
        syncs.open();
        thread.join().unwrap().unwrap();
        pollster::block_on(async { (first.await.unwrap(), second.await.unwrap()) });
    });
    assert_eq!(stream.len().unwrap(), 4);
}

#[test]
fn a_stream_whose_sync_takes_long_holds_up_no_other() {
    let syncs = Syncs::default();
    let slow = syncs.clone();
    let dir = tempfile::tempdir().unwrap();
    let name = |call: &streamlog::sim::Call| call.path.to_string_lossy().contains("slow");
    let tell = move |call: &streamlog::sim::Call| match call.op {
        streamlog::sim::Op::Sync if name(call) => slow.pass(),
        _ => None,
    };
    // Files are known by the names that they are opened by.
    let store = Store::open(dir.path()).unwrap();
    ["slow", "fast"].iter().for_each(|name| _ = store.stream(name).unwrap().add([("f", "v")]).unwrap());
    store.close().unwrap();
    let store = Store::open_observed(Options::new(), dir.path(), tell).unwrap();
    let [slow, fast] = ["slow", "fast"].map(|name| store.stream(name).unwrap());
    assert_eq!(slow.len().unwrap(), 1);
    syncs.shut();
    let mut held = pin!(slow.add_async([("f", "v")]));
    assert!(poll_once(held.as_mut()).is_pending());
    until(|| syncs.held() == 1);
    for _ in 0..10 {
        pollster::block_on(fast.add_async([("f", "v")])).unwrap();
    }
    syncs.open();
    pollster::block_on(held).unwrap();
}

#[test]
fn a_future_that_was_never_polled_does_nothing() {
    on_each(|| async {
        let stream = Store::in_memory().stream("s").unwrap();
        drop(stream.add_async([("f", "v")]));
        turns(100).await;
        assert!(!stream.exists().unwrap());
    });
}

/// Futures that are dropped at any time: each entry is there once or not at all, and all whose future came back are.
#[test]
fn an_add_that_is_dropped_is_made_or_not() {
    on_each(|| async {
        let dir = tempfile::tempdir().unwrap();
        let store = Options::new().segment_bytes_max(4096).open(dir.path()).unwrap();
        let stream = store.stream("s").unwrap();
        let mut came_back = Vec::new();
        for number in 0..300u64 {
            let add = stream.add_async([("n", number.to_string())]);
            // From never polled to long enough.
            if let Some(added) = crate::harness::unless(add, turns(number % 7 * 40)).await {
                came_back.push((number, added.unwrap()));
            }
        }
        store.close().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let stream = store.stream("s").unwrap();
        let numbers: Vec<u64> = stream
            .range(..)
            .map(|entry| std::str::from_utf8(entry.unwrap().get("n").unwrap()).unwrap().parse().unwrap())
            .collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "each once, in order");
        for (number, id) in came_back {
            let entry = stream.get(id).unwrap().expect("its future came back");
            assert_eq!(entry.get("n"), Some(number.to_string().as_bytes()));
        }
    });
}

#[test]
fn a_panic_is_the_futures_own() {
    let store = Store::in_memory();
    let panicking = store.run_async(|_| -> streamlog::Result<()> { panic!("on purpose") });
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pollster::block_on(panicking)));
    assert!(caught.is_err());
    pollster::block_on(store.stream("s").unwrap().add_async([("f", "v")])).unwrap();
}

#[test]
fn every_level_works_with_futures() {
    on_each(|| async {
        for level in [Durability::Always, Durability::Interval(Duration::from_millis(2)), Durability::Os] {
            let dir = tempfile::tempdir().unwrap();
            let store = Options::new().durability(level).segment_bytes_max(4096).open(dir.path()).unwrap();
            let streams = ["a", "b", "c", "d", "e", "f"].map(|name| store.stream(name).unwrap());
            let adds = (0..300).map(|n: u64| streams[n as usize % 6].add_async([("n", n.to_string())]));
            assert!(all(adds).await.iter().all(Result::is_ok));
            store.sync_async().await.unwrap();
            store.close().unwrap();
            let store = Store::open(dir.path()).unwrap();
            for stream in streams {
                assert_eq!(store.stream(stream.name()).unwrap().len().unwrap(), 50);
            }
        }
    });
}

#[test]
fn what_a_call_did_before_it_failed_becomes_durable_and_visible() {
    on_each(|| async {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let stream = store.stream("s").unwrap();
        stream.add([("f", "v")]).unwrap();
        let failed = store.run_async(|store| {
            store.stream("s")?.add([("f", "v")])?;
            store.stream("s")?.add_batch([(NewId::Exact(StreamId::MIN), [("f", "v")])])
        });
        assert!(matches!(failed.await, Err(Error::IdZero)));
        assert_eq!(stream.len().unwrap(), 2);
    });
}

#[test]
fn a_call_that_is_dropped_while_one_stream_is_synced_has_the_others_synced_too() {
    within(60, || {
        let syncs = Syncs::default();
        let (_dir, store) = syncs.store(Options::new());
        let streams = ["a", "b"].map(|name| store.stream(name).unwrap());
        streams.iter().for_each(|stream| _ = stream.add([("f", "v")]).unwrap());
        syncs.shut();
        let mut call = Box::pin(store.run_async(|store| {
            store.stream("a")?.add([("f", "v")])?;
            store.stream("b")?.add([("f", "v")])
        }));
        assert!(poll_once(call.as_mut()).is_pending());
        until(|| syncs.held() == 2);
        drop(call);
        syncs.open();
        until(|| streams.iter().all(|stream| stream.len().unwrap() == 2));
    });
}
