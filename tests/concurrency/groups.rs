//! Consumer groups: every entry reaches one consumer and is acknowledged once, whoever stops, comes, goes or destroys.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use streamlog::{
    Block, Durability, Entry, Error, Group, GroupOptions, GroupReadFrom, NewId, Options, Position, Store, Stream,
    StreamId,
};

use crate::harness::{LEVELS, add_all, fields, options, origin, scale, simulated, within};

const PRODUCERS: u64 = 8;
const CONSUMERS: u64 = 8;

/// How many entries the largest of these tests moves.
fn million() -> u64 {
    let wanted = std::env::var("STREAMLOG_STRESS_ENTRIES").ok().and_then(|count| count.parse().ok());
    wanted.unwrap_or(1_000_000 * scale())
}

fn group_of(stream: &Stream) -> Group {
    let group = stream.group("g");
    group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    group
}

/// How often each entry of each producer was given out.
struct Deliveries {
    each: u64,
    counts: Vec<AtomicU8>,
    acknowledged: AtomicU64,
}

impl Deliveries {
    fn new(each: u64) -> Self {
        let counts = (0..PRODUCERS * each).map(|_| AtomicU8::new(0)).collect();
        Self { each, counts, acknowledged: AtomicU64::new(0) }
    }

    /// Returns how often it had been given out before.
    fn note(&self, entry: &Entry) -> u8 {
        let (producer, number) = origin(entry);
        self.counts[usize::try_from(producer * self.each + number).unwrap()].fetch_add(1, Ordering::Relaxed)
    }

    fn note_acknowledged(&self, count: u64) {
        self.acknowledged.fetch_add(count, Ordering::SeqCst);
    }

    fn is_done(&self) -> bool {
        self.acknowledged.load(Ordering::SeqCst) >= PRODUCERS * self.each
    }

    /// Waits until all are acknowledged; then nothing is left, and nothing was counted twice.
    fn finish(&self, group: &Group) {
        while !self.is_done() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let info = group.info().unwrap();
        assert_eq!((info.pending, info.released, info.lag), (0, 0, Some(0)));
        assert_eq!(info.entries_read, Some(PRODUCERS * self.each));
        let consumers = group.consumers().unwrap();
        assert!(consumers.iter().all(|consumer| consumer.pending == 0));
        assert_eq!(self.acknowledged.load(Ordering::SeqCst), PRODUCERS * self.each);
        assert!(self.counts.iter().all(|count| count.load(Ordering::Relaxed) > 0), "an entry was lost");
    }
}

fn produce(stream: &Stream, producer: u64, each: u64, batch: u64) {
    if batch == 1 {
        return add_all(stream, producer, each);
    }
    for first in (0..each).step_by(usize::try_from(batch).unwrap()) {
        let numbers = first..each.min(first + batch);
        stream.add_batch(numbers.map(|number| (NewId::Auto, fields(producer, number)))).unwrap();
    }
}

/// Reads and acknowledges until the group is destroyed. What it is given ascends, and nobody had it before.
fn consume(group: &Group, number: u64, count: u64, deliveries: &Deliveries) {
    let consumer = group.consumer(format!("consumer {number}"));
    // Some give up again and again.
    let block = if number % 4 == 3 { Block::For(Duration::from_millis(1)) } else { Block::Forever };
    let mut last = StreamId::MIN;
    loop {
        let entries = match consumer.read().count(count).block(block).new_entries() {
            Ok(entries) => entries,
            Err(Error::GroupNotFound { .. }) => return,
            Err(error) => panic!("{error:?}"),
        };
        if entries.is_empty() {
            continue;
        }
        assert!(entries.len() as u64 <= count);
        for entry in &entries {
            assert!(last < entry.id(), "{} after {last}", entry.id());
            last = entry.id();
            assert_eq!(deliveries.note(entry), 0, "{} was given out twice", entry.id());
        }
        let acknowledged = consumer.ack(entries.iter().map(Entry::id)).unwrap();
        assert_eq!(acknowledged, entries.len() as u64, "each is acknowledged once");
        deliveries.note_acknowledged(acknowledged);
    }
}

/// Moves so many entries of each producer, and says how long that took.
fn move_all(store: &Store, each: u64, batch: u64, count: u64) -> Duration {
    let stream = store.stream("s").unwrap();
    let group = group_of(&stream);
    let (deliveries, start) = (Deliveries::new(each), Instant::now());
    std::thread::scope(|scope| {
        for number in 0..CONSUMERS {
            let (group, deliveries) = (&group, &deliveries);
            scope.spawn(move || consume(group, number, count, deliveries));
        }
        for producer in 0..PRODUCERS {
            let stream = &stream;
            scope.spawn(move || produce(stream, producer, each, batch));
        }
        deliveries.finish(&group);
        assert!(group.destroy().unwrap());
    });
    assert_eq!(stream.len().unwrap(), PRODUCERS * each);
    start.elapsed()
}

#[test]
fn a_million_entries_in_batches_reach_one_consumer_each() {
    within(300, || {
        let directory = tempfile::tempdir().unwrap();
        let store = Options::new().durability(Durability::Os).open(directory.path()).unwrap();
        let each = million() / PRODUCERS;
        let took = move_all(&store, each, 500, 1000);
        println!("{} entries took {took:?}", each * PRODUCERS);
    });
}

#[test]
fn every_entry_reaches_one_consumer_and_is_acknowledged_once() {
    within(120, || {
        for (durability, each) in [(Durability::Os, 2000), (LEVELS[1], 1000), (Durability::Always, 300)] {
            for count in [1, 16] {
                let directory = tempfile::tempdir().unwrap();
                let store = options(durability).open(directory.path()).unwrap();
                let took = move_all(&store, each * scale(), 1, count);
                println!("{} entries by {count} at {durability:?} took {took:?}", each * scale() * PRODUCERS);
                store.close().unwrap();
            }
        }
    });
}

/// Readers of several streams that take little at a time, among others that read one of them: what one leaves anywhere is
/// for the others, so nobody sleeps while there is something.
#[test]
fn limits_of_readers_of_several_streams_leave_nothing_behind() {
    within(120, || {
        for durability in LEVELS {
            let (_disk, store) = simulated(durability);
            let streams: Vec<Stream> = (0..4).map(|at| store.stream(format!("s{at}")).unwrap()).collect();
            let groups: Vec<Group> = streams.iter().map(group_of).collect();
            let (each, taken) = (100 * scale(), AtomicU64::new(0));
            let producers = 4;
            std::thread::scope(|scope| {
                for number in 0..12_usize {
                    let (store, streams, taken) = (&store, &streams, &taken);
                    scope.spawn(move || {
                        loop {
                            let mut read = store.read_group("g", format!("consumer {number}")).block(Block::Forever);
                            // All of them, or one, in another order each.
                            for at in 0..if number % 3 == 0 { 1 } else { streams.len() } {
                                let from = match number % 2 {
                                    0 => GroupReadFrom::New,
                                    _ => GroupReadFrom::NewOrIdle(Duration::from_secs(60)),
                                };
                                read = read.stream(&streams[(number + at) % streams.len()], from);
                            }
                            let read = match number % 4 {
                                0 => read.count(2),
                                1 => read.max_count(1),
                                2 => read.max_size(1),
                                _ => read.count(1).max_count(2),
                            };
                            match read.run() {
                                Ok(found) => {
                                    let count: usize = found.iter().map(|(_, entries)| entries.len()).sum();
                                    assert!(count > 0 && (number % 4 == 0 || count <= 2), "{count} entries");
                                    taken.fetch_add(count as u64, Ordering::SeqCst);
                                }
                                Err(Error::Closed) => return,
                                Err(error) => panic!("{error:?}"),
                            }
                        }
                    });
                }
                for producer in 0..producers {
                    let streams = &streams;
                    scope.spawn(move || {
                        for number in 0..each {
                            // Some to all streams at almost the same time.
                            let last = if number % 3 == 0 { streams.len() } else { 1 };
                            for at in 0..streams.len() {
                                let stream = &streams[(number as usize + at) % streams.len()];
                                stream.add(fields(producer, number)).unwrap();
                                if at >= last {
                                    std::thread::sleep(Duration::from_micros(50));
                                }
                            }
                        }
                    });
                }
                // A lost wake-up lets this wait until the watchdog comes.
                while taken.load(Ordering::SeqCst) < producers * each * streams.len() as u64 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let pending: u64 = groups.iter().map(|group| group.pending().unwrap().count).sum();
                assert_eq!(pending, producers * each * streams.len() as u64);
                store.clone().close().unwrap();
            });
        }
    });
}

/// Consumers stop with entries in hand. Others take these over when they have been idle, also while they are blocked.
#[test]
fn what_consumers_leave_unfinished_is_finished_by_others() {
    const MIN_IDLE: Duration = Duration::from_millis(15);
    within(120, || {
        for durability in LEVELS {
            let (_disk, store) = simulated(durability);
            let stream = store.stream("s").unwrap();
            let group = group_of(&stream);
            let deliveries = Deliveries::new(100 * scale());
            let acknowledged_by_id = Mutex::new(HashMap::<StreamId, u64>::new());
            let acknowledge = |id: StreamId| {
                // Somebody else may have finished the last one already.
                let count = match group.acknowledge([id]) {
                    Err(Error::GroupNotFound { .. }) => 0,
                    count => count.unwrap(),
                };
                if count > 0 {
                    *acknowledged_by_id.lock().unwrap().entry(id).or_default() += count;
                    deliveries.note_acknowledged(count);
                }
            };
            std::thread::scope(|scope| {
                for producer in 0..PRODUCERS {
                    let stream = &stream;
                    scope.spawn(move || add_all(stream, producer, 100 * scale()));
                }
                // These go away one after the other, each with what it was given last, without a word.
                let (group, deliveries, acknowledge) = (&group, &deliveries, &acknowledge);
                scope.spawn(move || {
                    for number in 0..40 {
                        let consumer = group.consumer(format!("mortal {number}"));
                        let read = consumer.read().count(5).block(Block::For(Duration::from_millis(5)));
                        match read.new_entries() {
                            Ok(entries) => entries.iter().for_each(|entry| _ = deliveries.note(entry)),
                            Err(Error::GroupNotFound { .. }) => return,
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                });
                for number in 0..2 {
                    scope.spawn(move || {
                        let consumer = group.consumer(format!("claimer {number}"));
                        while !deliveries.is_done() {
                            let claimed = match consumer.auto_claim(MIN_IDLE).count(20).run() {
                                Ok(claimed) => claimed,
                                Err(Error::GroupNotFound { .. }) => return,
                                Err(error) => panic!("{error:?}"),
                            };
                            claimed.entries.iter().for_each(|entry| _ = deliveries.note(entry));
                            claimed.ids.iter().for_each(|&id| acknowledge(id));
                            std::thread::sleep(Duration::from_millis(2));
                        }
                    });
                    scope.spawn(move || {
                        let consumer = group.consumer(format!("reader {number}"));
                        loop {
                            match consumer.read().count(3).claim(MIN_IDLE).block(Block::Forever).deliveries() {
                                Ok(found) => found.iter().for_each(|delivery| {
                                    deliveries.note(delivery.entry.as_ref().expect("nothing is deleted"));
                                    acknowledge(delivery.id);
                                }),
                                Err(Error::GroupNotFound { .. }) => return,
                                Err(error) => panic!("{error:?}"),
                            }
                        }
                    });
                }
                deliveries.finish(group);
                assert!(group.destroy().unwrap());
            });
            let acknowledged = acknowledged_by_id.into_inner().unwrap();
            assert_eq!(acknowledged.len() as u64, stream.len().unwrap());
            assert!(acknowledged.values().all(|&count| count == 1));
        }
    });
}

/// Waits until a consumer is there, which is when its read has begun, and then for it to sleep.
fn until_blocked(group: &Group, name: &str) {
    while !group.consumers().unwrap().iter().any(|consumer| consumer.name == name.as_bytes()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(15));
}

/// The entries come faster than anybody wakes.
#[test]
fn blocked_readers_are_served_in_the_order_in_which_they_came() {
    within(120, || {
        for durability in LEVELS {
            for _ in 0..3 * scale() {
                let (_disk, store) = simulated(durability);
                let stream = store.stream("s").unwrap();
                let group = group_of(&stream);
                std::thread::scope(|scope| {
                    let readers: Vec<_> = (0..20)
                        .map(|number| {
                            let (name, group) = (format!("reader {number}"), &group);
                            let consumer = group.consumer(&name);
                            let read = move || consumer.read().count(1).block(Block::Forever).new_entries().unwrap();
                            let reader = scope.spawn(read);
                            until_blocked(group, &name);
                            reader
                        })
                        .collect();
                    add_all(&stream, 0, 20);
                    for (number, reader) in (0..).zip(readers) {
                        let entries = reader.join().unwrap();
                        assert_eq!((entries.len(), origin(&entries[0])), (1, (0, number)), "{durability:?}");
                    }
                });
            }
        }
    });
}

/// Several read without end, several wait, others write; then `end` is done to the stream. Returns what ended each reader.
fn ended_by(durability: Durability, pause: Duration, end: impl FnOnce(&Store)) -> Vec<Error> {
    let (_disk, store) = simulated(durability);
    let (stream, quiet) = (store.stream("s").unwrap(), store.stream("quiet").unwrap());
    let (group, idle) = (group_of(&stream), group_of(&quiet));
    quiet.add(fields(0, 0)).unwrap();
    idle.set_position(Position::End, None).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for producer in 0..2 {
            let (stream, done) = (&stream, &done);
            scope.spawn(move || {
                let mut number = 0;
                while !done.load(Ordering::Relaxed) {
                    match stream.add(fields(producer, number)) {
                        Ok(_) => number += 1,
                        Err(Error::Closed) => return,
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
        let readers: Vec<_> = (0..8)
            .map(|number| {
                let group = if number % 2 == 0 { &group } else { &idle };
                let consumer = group.consumer(format!("reader {number}"));
                scope.spawn(move || {
                    loop {
                        let read = consumer.read().count(1 + number % 3);
                        let read = if number < 4 { read.claim(Duration::from_secs(60)) } else { read };
                        match read.block(Block::Forever).new_entries().and_then(|entries| {
                            let ids = entries.iter().map(Entry::id);
                            consumer.ack(ids)
                        }) {
                            Ok(_) => {}
                            Err(error) => return error,
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(pause);
        end(&store);
        let errors = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        done.store(true, Ordering::Relaxed);
        errors
    })
}

/// What is done to a stream in [`ended_by`].
type End = fn(&Store, &str);

#[test]
fn every_reader_of_a_group_that_goes_ends_with_the_error_that_says_so() {
    let ends: [(&str, End); 5] = [
        ("destroy", |store, name| assert!(store.stream(name).unwrap().group("g").destroy().unwrap())),
        ("delete", |store, name| assert_eq!(store.delete([name]).unwrap(), 1)),
        ("rename", |store, name| store.rename(name, format!("{name} gone")).unwrap()),
        ("copy", |store, name| assert!(store.copy_over("other", name).unwrap())),
        ("delete all", |store, _| store.delete_all().map(drop).unwrap()),
    ];
    within(120, move || {
        for durability in LEVELS {
            for (what, end) in ends {
                for round in 0..3 * scale() {
                    let errors = ended_by(durability, Duration::from_millis(round * 4), |store| {
                        store.stream("other").unwrap().add(fields(0, 0)).unwrap();
                        ["s", "quiet"].iter().for_each(|name| {
                            if what != "delete all" || *name == "s" {
                                end(store, name);
                            }
                        });
                    });
                    let right = |error: &Error| match error {
                        Error::GroupNotFound { stream, group, .. } => {
                            (stream == "s" || stream == "quiet") && group == "g"
                        }
                        _ => false,
                    };
                    assert!(errors.iter().all(right), "{what} at {durability:?}: {errors:?}");
                }
            }
        }
    });
}

#[test]
fn close_ends_all_reads_of_groups() {
    within(60, || {
        for durability in LEVELS {
            for round in 0..4 * scale() {
                let start = Mutex::new(None);
                let errors = ended_by(durability, Duration::from_millis(round * 3), |store| {
                    *start.lock().unwrap() = Some(Instant::now());
                    store.clone().close().unwrap();
                });
                assert!(errors.iter().all(|error| matches!(error, Error::Closed)), "{durability:?}: {errors:?}");
                let took = start.into_inner().unwrap().unwrap().elapsed();
                assert!(took < Duration::from_secs(10), "{took:?}");
            }
        }
    });
}
