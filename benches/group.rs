//! What consumer groups cost: delivering and acknowledging, claiming what others left, memory and journal for what is
//! pending, opening a stream of which much is pending, and waking a consumer that waits.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, measurement::WallTime};
use streamlog::{Block, Consumer, Durability, Group, GroupOptions, Position, Store, StreamId};

mod common;
use common::{STREAM, anonymous_kib, events, files, fill, open, scaled};

const CHILD: &str = "STREAMLOG_BENCH_CHILD";
const MILLION: u64 = 1_000_000;

fn filled(store: &Store, count: u64) -> Group {
    let stream = store.stream(STREAM).unwrap();
    fill(&stream, &events(0), 0..count, 100);
    let group = stream.group("workers");
    group.create(Position::Start).unwrap();
    group
}

/// Delivers `batch` entries; from the start again when there are no more.
fn deliver(consumer: &Consumer, batch: u64) -> Vec<StreamId> {
    loop {
        let entries = consumer.read().count(batch).new_entries().unwrap();
        if !entries.is_empty() {
            return entries.iter().map(streamlog::Entry::id).collect();
        }
        consumer.group().set_position(Position::Start, None).unwrap();
    }
}

fn delivering(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), Durability::Os);
    let consumer = filled(&store, scaled(MILLION)).consumer("alice");
    let mut group = criterion.benchmark_group("deliver and acknowledge, Os");
    for batch in [1, 10, 100] {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(format!("batches of {batch}"), |bencher| {
            bencher.iter(|| {
                let ids = deliver(&consumer, batch);
                assert_eq!(consumer.ack(ids.iter().copied()).unwrap(), ids.len() as u64);
            });
        });
        group.bench_function(format!("batches of {batch}, deliver alone"), |bencher| {
            bencher.iter(|| black_box(deliver(&consumer, batch)));
        });
        drain(&consumer);
    }
}

/// Leaves nothing pending.
fn drain(consumer: &Consumer) {
    let group = consumer.group();
    let pending = group.pending_entries().run().unwrap();
    group.acknowledge(pending.iter().map(|entry| entry.id)).unwrap();
    assert_eq!(group.pending().unwrap().count, 0);
}

fn all_pending(store: &Store, count: u64, consumers: u64, batch: u64) -> Group {
    let group = filled(store, count);
    let consumers: Vec<_> = (0..consumers).map(|number| group.consumer(format!("c{number}"))).collect();
    for consumer in consumers.iter().cycle() {
        if consumer.read().count(batch).new_entries().unwrap().is_empty() {
            break;
        }
    }
    assert_eq!(group.pending().unwrap().count, count);
    group
}

fn claiming(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), Durability::Os);
    let consumer = all_pending(&store, scaled(MILLION), 3, 100).consumer("reclaimer");
    let mut group = criterion.benchmark_group("claim of a million pending, 100 a call");
    group.throughput(Throughput::Elements(100));
    let mut claim = |name: &str, ids_only: bool| {
        let mut next = StreamId::MIN;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let claim = consumer.auto_claim(Duration::ZERO).start(next).count(100);
                let claimed = if ids_only { claim.ids_only() } else { claim }.run().unwrap();
                next = claimed.next.unwrap_or(StreamId::MIN);
                black_box(claimed)
            });
        });
    };
    claim("auto-claim", false);
    claim("auto-claim, IDs only", true);
    while_reading(&mut group, &consumer);
}

fn while_reading(group: &mut BenchmarkGroup<'_, WallTime>, consumer: &Consumer) {
    group.bench_function("while reading", |bencher| {
        bencher.iter(|| {
            let claimed = consumer.read().count(100).claim(Duration::ZERO).deliveries().unwrap();
            assert_eq!(claimed.len(), 100);
            black_box(claimed)
        });
    });
}

/// Not time: printed once.
fn sizes(_: &mut Criterion) {
    let before = anonymous_kib();
    for (consumers, batch) in [(1, 100), (3, 100), (100, 1)] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path(), Durability::Os);
        let group = all_pending(&store, scaled(MILLION), consumers, batch);
        let each = |bytes: u64| bytes as f64 / scaled(MILLION) as f64;
        let listed = each(group.pending_bytes().unwrap());
        println!("a million pending, {consumers} consumers, {batch} a call: {listed:.1} bytes each in the list");
        if consumers == 1 {
            // The others take what this one gives back.
            let resident = each(anonymous_kib().saturating_sub(before) * 1024);
            println!("all that became resident meanwhile: {resident:.1} bytes each");
        }
    }
    for batch in [1, 10, 100] {
        let (delivered, acknowledged) = journal_bytes(batch);
        println!(
            "journal, {batch} a call: {delivered:.2} bytes for a delivery, {acknowledged:.2} for an acknowledgement"
        );
    }
}

/// The bytes in the journal for each delivery and for each acknowledgement.
fn journal_bytes(batch: u64) -> (f64, f64) {
    // So few that the journal does not begin anew.
    const COUNT: u64 = 2_000;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), Durability::Os);
    let group = filled(&store, COUNT);
    let consumer = group.consumer("alice");
    consumer.create().unwrap();
    let used = || {
        let bytes = fs::read(&files(directory.path(), "journal")[0]).unwrap();
        bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1)
    };
    let start = used();
    let ids: Vec<Vec<StreamId>> = (0..COUNT / batch).map(|_| deliver(&consumer, batch)).collect();
    let delivered = used();
    ids.into_iter().for_each(|ids| assert_eq!(consumer.ack(ids).unwrap(), batch));
    let each = |bytes: u64| bytes as f64 / COUNT as f64;
    (each(delivered - start), each(used() - delivered))
}

/// The other process, which leaves so many entries pending.
fn child(path: &Path, count: u64, end: &str) {
    let store = open(path, Durability::Os);
    all_pending(&store, count, 3, 100);
    match end {
        "Close" => store.close().unwrap(),
        _ => std::process::abort(),
    }
}

fn opening(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open a stream of which a million entries are pending");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    for end in ["Close", "Kill"] {
        let directory = tempfile::tempdir().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .env(CHILD, format!("{}|{}|{end}", directory.path().display(), scaled(MILLION)))
            .status()
            .unwrap();
        assert_eq!(status.success(), end == "Close");
        group.bench_function(end, |bencher| {
            bencher.iter_with_large_drop(|| {
                let store = open(directory.path(), Durability::Os);
                let pending = store.stream(STREAM).unwrap().group("workers").pending().unwrap();
                assert_eq!(pending.count, scaled(MILLION));
                store.close().unwrap();
            });
        });
    }
}

/// From the call that adds an entry to the return of the read that waits for it, in another thread.
fn waking(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), Durability::Os);
    let stream = store.stream(STREAM).unwrap();
    let group = stream.group("workers");
    group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    let (woken, times) = channel();
    let reader = std::thread::spawn({
        let consumer = group.consumer("alice");
        move || {
            while let Ok(entries) = consumer.read().block(Block::Forever).no_ack().new_entries() {
                if woken.send((Instant::now(), entries.len())).is_err() {
                    break;
                }
            }
        }
    });
    criterion.benchmark_group("wake").bench_function("a consumer that waits", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                // Until it sleeps: nothing tells that from outside.
                std::thread::sleep(Duration::from_micros(200));
                let start = Instant::now();
                stream.add([("n", "1")]).unwrap();
                let (end, count) = times.recv().unwrap();
                assert_eq!(count, 1);
                total += end - start;
            }
            total
        });
    });
    store.close().unwrap();
    reader.join().unwrap();
}

criterion_group!(benches, sizes, delivering, claiming, opening, waking);

fn main() {
    if let Ok(arguments) = std::env::var(CHILD) {
        let mut arguments = arguments.split('|');
        let mut next = || arguments.next().unwrap();
        return child(Path::new(next()), next().parse().unwrap(), next());
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
