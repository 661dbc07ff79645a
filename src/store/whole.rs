//! A whole store once, with little in it: everything above `io` is run through, so that Miri sees all of it, on machines of
//! either byte order. What the answers are is checked by other tests in more cases; here they are checked in one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::command::{Reply, execute};
use crate::inspect::Inspection;
use crate::sim::SimDisk;
use crate::{
    AddOptions, Block, Durability, Entry, NewId, Options, Position, Production, ReadFrom, References, Release, SetId,
    Store, Stream, StreamId, Trim,
};

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn ids(entries: impl IntoIterator<Item = crate::Result<Entry>>) -> Vec<u64> {
    entries.into_iter().map(|entry| entry.unwrap().id().ms()).collect()
}

fn open(disk: &Arc<SimDisk>) -> Store {
    // Automatic IDs are 8-0, and what comes after.
    let clock = || SystemTime::UNIX_EPOCH + Duration::from_millis(8);
    let options = Options::new().durability(Durability::Always).segment_bytes_max(4096).clock(clock);
    Store::open_simulated(options, disk).unwrap()
}

/// Entries one by one, together, and as a production; in two segments.
fn add(stream: &Stream) {
    for ms in 1..=4 {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", "x".repeat(700)), ("m", ms.to_string())]).unwrap();
    }
    let batch = (5..=7).map(|ms| (NewId::Exact(id(ms)), [("n", ms.to_string())]));
    assert_eq!(stream.add_batch(batch).unwrap().len(), 3);
    for _ in 0..2 {
        let made = AddOptions::new().production(Production::Named { producer: b"p", id: b"k" });
        assert_eq!(stream.add_with(made, [("of", "a producer")]).unwrap(), Some(id(8)));
    }
}

/// From both ends, by ID, and what was deleted and trimmed.
fn read(stream: &Stream) {
    assert_eq!(ids(stream.range(..)), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(ids(stream.range(id(3)..id(7)).rev()), [6, 5, 4, 3]);
    for ms in [1, 6, 8] {
        assert_eq!(stream.get(id(ms)).unwrap().unwrap().id(), id(ms));
    }
    let mut range = stream.range(..);
    let lent = range.next_ref().unwrap().unwrap();
    assert_eq!(lent.fields().next(), Some((&b"n"[..], &b"x".repeat(700)[..])));
    assert_eq!(stream.delete([id(2), id(9)]).unwrap(), 1);
    assert_eq!(stream.trim(Trim::to_len(6)).unwrap(), 1);
    assert_eq!(ids(stream.range(..)), [3, 4, 5, 6, 7, 8]);
    assert_eq!(stream.get(id(2)).unwrap(), None);
}

/// Deliveries, acknowledgements, claims, what is given back, and deletion with regard to them.
fn share(stream: &Stream) {
    let group = stream.group("g");
    group.create(Position::Start).unwrap();
    let (alice, bob) = (group.consumer("alice"), group.consumer("bob"));
    assert_eq!(alice.read().count(4).new_entries().unwrap().len(), 4);
    assert_eq!(alice.ack([id(3)]).unwrap(), 1);
    assert_eq!(group.release([id(4)], Release::Failed).unwrap(), 1);
    let taken = bob.auto_claim(Duration::ZERO).count(2).run().unwrap();
    assert_eq!(taken.ids, [id(4), id(5)]);
    assert_eq!(bob.read().history(StreamId::MIN).unwrap().len(), 2);
    assert_eq!(group.acknowledge_and_delete([id(6)], References::Delete).unwrap().len(), 1);
    let pending = group.pending().unwrap();
    assert_eq!((pending.count, pending.first_id, pending.last_id), (2, Some(id(4)), Some(id(5))));
}

/// A reader and a consumer wait, each in a thread.
fn wait(stream: &Stream) {
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let found = stream.read(ReadFrom::After(id(8))).block(Block::Forever).run().unwrap();
            found[0].1[0].id()
        });
        let consumer = scope.spawn(|| {
            let consumer = stream.group("late").consumer("carol");
            consumer.read().block(Block::Forever).new_entries().unwrap()[0].id()
        });
        stream.add_with(AddOptions::new().id(id(20)), [("a", "b")]).unwrap();
        assert_eq!((reader.join().unwrap(), consumer.join().unwrap()), (id(20), id(20)));
    });
}

#[test]
fn everything_that_a_store_does_once() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let stream = store.stream("s").unwrap();
    add(&stream);
    read(&stream);
    share(&stream);
    stream.group("late").create(Position::End).unwrap();
    wait(&stream);
    stream.set_id(SetId::new(id(30))).unwrap();
    let told = execute(&store, &["XADD", "t", "40-0", "a", "b"]);
    assert_eq!(told, Reply::Bulk(b"40-0".to_vec()));
    store.rename("t", "u").unwrap();
    assert!(store.copy("u", "v").unwrap());
    assert_eq!(store.delete(["u"]).unwrap(), 1);

    // Looked at from outside, while it is open.
    let inspection = Inspection::open_simulated(&disk).unwrap();
    assert!(inspection.verify().unwrap().iter().all(|report| !report.is_damaged()));
    let mut lines = 0;
    inspection
        .dump_stream("s", |_| {
            lines += 1;
            Ok::<(), crate::Error>(())
        })
        .unwrap();
    assert!(lines > 5);
    store.close().unwrap();

    // Another life after a clean end, and one after a kill.
    for image in [disk.kill_image(disk.steps()), disk.kill_image(disk.steps() - 4)] {
        let disk = image.mount();
        let store = open(&disk);
        let stream = store.stream("s").unwrap();
        assert_eq!(ids(stream.range(..)), [3, 4, 5, 7, 8, 20]);
        assert_eq!(stream.group("g").pending().unwrap().count, 2);
        assert_eq!(stream.add_with(AddOptions::new().id(id(31)), [("a", "b")]).unwrap(), Some(id(31)));
        store.close().unwrap();
    }
}
