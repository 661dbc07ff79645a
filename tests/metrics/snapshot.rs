//! What a snapshot says.

use std::time::Duration;

use streamlog::metrics::{Operation, OperationMetrics};
use streamlog::sim::{Op, SimDisk};
use streamlog::{Block, Durability, Error, GroupOptions, Options, Position, ReadFrom, SetId, Store, StreamId};

fn count(metrics: &streamlog::metrics::Metrics, operation: Operation) -> OperationMetrics {
    *metrics.operations.iter().find(|found| found.operation == operation).unwrap()
}

#[test]
fn streams_and_groups_are_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let orders = store.stream("orders").unwrap();
    let ids: Vec<_> = (0..10).map(|n: u64| orders.add([("n", n.to_string())]).unwrap()).collect();
    orders.delete([ids[0]]).unwrap();
    let workers = orders.group("workers");
    workers.create(Position::Start).unwrap();
    let read = workers.consumer("alice").read().count(4).new_entries().unwrap();
    workers.acknowledge([read[0].id()]).unwrap();
    store.stream("empty").unwrap();
    store.create("another").unwrap();
    let metrics = store.metrics().unwrap();
    assert_eq!((metrics.streams, metrics.open_streams.len()), (2, 2));
    let [another, found] = &metrics.open_streams[..] else { panic!() };
    assert_eq!((another.name.as_slice(), another.entries, another.groups.len()), (&b"another"[..], 0, 0));
    assert_eq!((found.name.as_slice(), found.entries, found.entries_added), (&b"orders"[..], 9, 10));
    assert_eq!((found.last_id, found.segments), (ids[9], 1));
    let group = &found.groups[0];
    assert_eq!((group.consumers, group.pending, group.lag), (1, 3, orders.groups().unwrap()[0].lag));
    let on_disk: u64 = std::fs::read_dir(dir.path().join("streams/orders"))
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert_eq!(found.bytes, on_disk);
}

#[test]
fn idle_streams_are_counted_and_stay_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Options::new().durability(Durability::Os).open(dir.path()).unwrap();
    (0..30).for_each(|n: u64| _ = store.create(n.to_string()).unwrap());
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.stream("7").unwrap().add([("f", "v")]).unwrap();
    for _ in 0..3 {
        let metrics = store.metrics().unwrap();
        assert_eq!((metrics.streams, metrics.open_streams.len()), (30, 1));
        assert_eq!(count(&metrics, Operation::OpenStream).count, 1);
    }
}

#[test]
fn syncs_are_counted_with_their_times() {
    let dir = tempfile::tempdir().unwrap();
    let slow = |call: &streamlog::sim::Call| {
        if call.op == Op::Sync {
            std::thread::sleep(Duration::from_millis(4));
        }
        None
    };
    let options = Options::new().slow(Duration::from_millis(3));
    let store = Store::open_observed(options, dir.path(), slow).unwrap();
    let stream = store.stream("s").unwrap();
    stream.add([("f", "v")]).unwrap();
    let before = store.metrics().unwrap();
    (0..5).for_each(|_| _ = stream.add([("f", "v")]).unwrap());
    let after = store.metrics().unwrap();
    let rates = after.since(&before);
    assert_eq!((rates.sync_times.count(), rates.by_stream.len()), (5, 1));
    assert!(rates.sync_times.percentile(1.0) >= Duration::from_millis(4));
    assert!(rates.sync_times.total() >= Duration::from_millis(20));
    assert!(rates.sync_times.percentile(100.0) <= after.syncs.longest());
    let seconds = rates.elapsed.as_secs_f64();
    assert!((rates.entries_added * seconds - 5.0).abs() < 0.01 && (rates.syncs * seconds - 5.0).abs() < 0.01);
    let syncs = count(&after, Operation::Sync);
    assert_eq!((syncs.count, syncs.slow), (after.syncs.count(), after.syncs.count()));
}

#[test]
fn what_is_rare_is_counted() {
    let disk = SimDisk::new();
    let options = Options::new().durability(Durability::Os).segment_bytes_max(4096);
    let store = Store::open_simulated(options, &disk).unwrap();
    let stream = store.stream("s").unwrap();
    (0..200).for_each(|_| _ = stream.add([("f", "x".repeat(100))]).unwrap());
    stream.group("g").create(Position::Start).unwrap();
    store.rename("s", "t").unwrap();
    store.copy("t", "u").unwrap();
    store.repair("u").unwrap();
    store.delete(["u"]).unwrap();
    let metrics = store.metrics().unwrap();
    let counts = |operation| count(&metrics, operation).count;
    assert_eq!([Operation::OpenStore, Operation::RenameStream, Operation::CopyStream].map(counts), [1, 1, 1]);
    assert_eq!([Operation::RepairStream, Operation::DeleteStreams].map(counts), [1, 1]);
    assert!(counts(Operation::CreateStream) >= 1 && counts(Operation::OpenStream) >= 1);
    assert!(counts(Operation::Rotate) >= 5 && counts(Operation::Checkpoint) >= 1);
    let text = metrics.operations.iter().map(|one| one.operation.to_string()).collect::<Vec<_>>();
    assert_eq!(text.len(), Operation::ALL.len());
}

#[test]
fn readers_that_wait_and_a_store_that_refuses_are_seen() {
    let disk = SimDisk::new();
    let store = Store::open_simulated(Options::new(), &disk).unwrap();
    let stream = store.stream("s").unwrap();
    stream.add([("f", "v")]).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| stream.read(ReadFrom::End).block(Block::Forever).run().unwrap());
        while store.metrics().unwrap().readers_waiting == 0 {
            std::thread::yield_now();
        }
        stream.add([("f", "v")]).unwrap();
    });
    let metrics = store.metrics().unwrap();
    assert_eq!((metrics.readers_waiting, metrics.poisoned), (0, None));
    disk.fail_when(|call| (call.op == Op::Sync).then_some(5.into()));
    let added = stream.add([("f", "v")]);
    assert!(matches!(added, Err(Error::Io { action: "sync", .. })), "{added:?}");
    let metrics = store.metrics().unwrap();
    assert!(metrics.poisoned.is_some_and(|cause| cause.contains("sync")));
    let _ = store.clone().close();
    assert!(matches!(store.metrics(), Err(Error::Closed)));
}

/// Counters that go back count from zero.
#[test]
fn rates_of_a_stream_that_was_created_again_are_not_negative() {
    let store = Store::in_memory();
    let stream = store.stream("s").unwrap();
    (0..10).for_each(|_| _ = stream.add([("f", "v")]).unwrap());
    let before = store.metrics().unwrap();
    store.delete(["s"]).unwrap();
    stream.add([("f", "v")]).unwrap();
    store.stream("new").unwrap().add([("f", "v")]).unwrap();
    std::thread::sleep(Duration::from_millis(1));
    let after = store.metrics().unwrap();
    let rates = after.since(&before);
    assert_eq!(rates.by_stream.len(), 1, "the other was not there");
    assert!((rates.entries_added * rates.elapsed.as_secs_f64() - 1.0).abs() < 0.01);
    assert_eq!(after.since(&after).entries_added, 0.0);
}

#[test]
fn groups_have_a_rate_unless_their_position_was_set_back() {
    let store = Store::in_memory();
    let stream = store.stream("s").unwrap();
    (0..10).for_each(|_| _ = stream.add([("f", "v")]).unwrap());
    let groups = ["fast", "slow", "back"].map(|name| stream.group(name));
    groups.iter().for_each(|group| group.create(Position::Start).unwrap());
    let read = |at: usize, count| groups[at].consumer("c").read().count(count).new_entries().unwrap().len();
    assert_eq!([read(0, 1), read(2, 5)], [1, 5]);
    let before = store.metrics().unwrap();
    assert_eq!([read(0, 7), read(1, 2)], [7, 2]);
    groups[2].set_position(Position::Start, None).unwrap();
    stream.group("new").create(Position::Start).unwrap();
    std::thread::sleep(Duration::from_millis(1));
    let rates = store.metrics().unwrap().since(&before);
    let seconds = rates.elapsed.as_secs_f64();
    let rates: Vec<_> = rates
        .by_group
        .iter()
        .map(|rate| (String::from_utf8_lossy(&rate.group).into_owned(), (rate.delivered * seconds).round() as u64))
        .collect();
    assert_eq!(rates, [("fast".to_owned(), 7), ("slow".to_owned(), 2)]);
}

#[test]
fn counters_that_were_set_high_are_no_overflow() {
    let store = Store::in_memory();
    let streams = ["a", "b", "c"].map(|name| store.stream(name).unwrap());
    let ids = streams.each_ref().map(|stream| stream.add([("f", "v")]).unwrap());
    let before = store.metrics().unwrap();
    for (stream, id) in streams.iter().zip(ids) {
        stream.set_id(SetId::new(id).entries_added(i64::MAX as u64)).unwrap();
    }
    let rates = store.metrics().unwrap().since(&before);
    assert!(rates.entries_added * rates.elapsed.as_secs_f64() > 2.0 * i64::MAX as f64);
}

/// Snapshots are taken while threads add and read; what one says of a stream is of one moment, more or less.
#[test]
fn snapshots_can_be_taken_at_any_time() {
    let store = Options::new().durability(Durability::Os).in_memory();
    let stream = store.stream("s").unwrap();
    stream.group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..20_000).for_each(|_| _ = stream.add([("f", "v")]).unwrap()));
        let consumer = stream.group("g").consumer("c");
        let mut last = 0;
        while !writer.is_finished() {
            consumer.read().count(10).no_ack().new_entries().unwrap();
            let metrics = store.metrics().unwrap();
            let found = &metrics.open_streams[0];
            assert!(found.entries_added >= last && found.entries <= found.entries_added);
            assert!(found.last_id >= StreamId::MIN && found.groups[0].pending == 0);
            last = found.entries_added;
        }
    });
    assert_eq!(store.metrics().unwrap().open_streams[0].entries, 20_000);
}
