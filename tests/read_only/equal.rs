//! After each operation of the writer that returned, a reader sees what the writer sees: one that has been following all the
//! time, and one that has just come.

use std::time::Duration;

use streamlog::{
    AddOptions, Deletion, Durability, NewId, Position, Production, References, Release, SetId, Store, StreamId, Trim,
};

use crate::harness::{Random, Seen, of_reader, of_writer, options};

/// One operation at random.
fn operate(store: &Store, random: &mut Random) {
    let name = ["a", "b"][random.below(8) as usize / 7];
    let stream = store.stream(name).unwrap();
    let value = "x".repeat(random.below(300) as usize);
    let group = stream.group(["g", "h"][random.below(2) as usize]);
    let consumer = group.consumer(["alice", "bob"][random.below(2) as usize]);
    let has_group = group.exists().unwrap();
    let some: Vec<StreamId> = stream.range(..).map(|entry| entry.unwrap().id()).step_by(3).take(4).collect();
    match random.below(24) {
        0..=6 => _ = stream.add([("n", &value)]).unwrap(),
        7 => {
            let batch = (0..random.below(20)).map(|n| (NewId::Auto, [("batch", format!("{n}{value}"))]));
            stream.add_batch(batch).unwrap();
        }
        8 => {
            let key = random.below(3).to_string();
            let production = Production::Named { producer: b"p", id: key.as_bytes() };
            stream.add_with(AddOptions::new().production(production), [("made", &value)]).unwrap();
        }
        9 => _ = stream.trim(Trim::to_len(random.below(200))).unwrap(),
        10 => {
            stream.add_with(AddOptions::new().trim(Trim::to_len(50).approximately()), [("trimmed", &value)]).unwrap();
        }
        11 => {
            let deleted = stream.delete_with(some.iter().copied(), References::Acknowledged).unwrap();
            assert!(deleted.iter().all(|deleted| *deleted != Deletion::NotFound));
        }
        12 => _ = stream.delete(some).unwrap(),
        13 if stream.exists().unwrap() && !has_group => group.create(Position::Start).unwrap(),
        14 if has_group && random.below(4) == 0 => _ = group.destroy().unwrap(),
        15 if has_group => group.set_position(Position::Start, Some(3)).unwrap(),
        13..=17 if has_group => drop(consumer.read().count(random.below(9) + 1).new_entries().unwrap()),
        18 if has_group => {
            let pending = group.pending_entries().count(5).run().unwrap();
            group.acknowledge(pending.iter().map(|entry| entry.id)).unwrap();
        }
        19 if has_group => drop(consumer.auto_claim(Duration::ZERO).count(3).run().unwrap()),
        20 if has_group => {
            let pending = group.pending_entries().count(2).run().unwrap();
            group.release(pending.iter().map(|entry| entry.id), Release::Failed).unwrap();
        }
        21 if stream.exists().unwrap() => {
            let last = stream.last().unwrap().map_or(StreamId::new(1, 0), |last| last.id());
            let ahead = StreamId::new(last.ms() + random.below(2) * 3, last.seq());
            // What was deleted may be above it.
            let _ = stream.set_id(SetId::new(ahead).entries_added(1_000_000));
        }
        22 if random.below(4) == 0 => match random.below(3) {
            0 => _ = store.delete([name]).unwrap(),
            1 if stream.exists().unwrap() => store.rename(name, "b").unwrap(),
            _ => _ = store.copy_over(name, "a").unwrap(),
        },
        _ => {}
    }
}

fn run(level: Durability, operations: u64) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = options(level).open(directory.path()).unwrap();
    let following = Store::open_read_only(directory.path()).unwrap();
    let mut random = Random::new();
    for operation in 0..operations {
        operate(&store, &mut random);
        if random.below(100) == 0 {
            store.close().unwrap();
            assert_same(None, &following, level, operation);
            store = options(level).open(directory.path()).unwrap();
        }
        assert_same(Some(&store), &following, level, operation);
        if random.below(20) == 0 {
            assert_same(Some(&store), &Store::open_read_only(directory.path()).unwrap(), level, operation);
        }
    }
    store.close().unwrap();
}

/// Compares with the writer or, if there is none, with what somebody sees who has just come.
fn assert_same(store: Option<&Store>, reader: &streamlog::ReadOnlyStore, level: Durability, operation: u64) {
    let other = Store::open_read_only(directory_of(reader)).unwrap();
    for name in ["a", "b"] {
        let expected = match store {
            Some(store) => of_writer(&store.stream(name).unwrap()),
            None => of_reader(&other.stream(name).unwrap()),
        };
        let found = of_reader(&reader.stream(name).unwrap());
        let (mut expected, mut found) = (expected, found);
        if level == Durability::Always {
            // That a consumer was seen without being given anything is synced with what comes next.
            [&mut expected, &mut found].into_iter().flatten().for_each(forget_seen);
        }
        assert_eq!(found, expected, "stream {name} after operation {operation} at {level:?}");
    }
    if let Some(store) = store {
        assert_eq!(reader.names().unwrap(), store.names().unwrap());
    }
}

fn directory_of(reader: &streamlog::ReadOnlyStore) -> std::path::PathBuf {
    let text = format!("{reader:?}");
    let path = text.strip_prefix("ReadOnlyStore(\"").and_then(|rest| rest.strip_suffix("\")")).unwrap();
    path.into()
}

fn forget_seen(seen: &mut Seen) {
    for group in &mut seen.groups {
        group.consumers.iter_mut().for_each(|(consumer, _)| consumer.seen_time_ms = 0);
    }
}

#[test]
fn a_reader_sees_what_the_writer_sees_without_syncing() {
    run(Durability::Os, 3000);
}

#[test]
fn a_reader_sees_what_the_writer_sees_when_it_is_synced() {
    run(Durability::Always, 1000);
}

/// What recovery makes of a stream that was not closed is what is seen of it then, the last ID with it.
#[test]
fn a_reader_sees_what_recovery_has_kept() {
    for level in [Durability::Os, Durability::Always] {
        let directory = tempfile::tempdir().unwrap();
        let copy = tempfile::tempdir().unwrap();
        let store = options(level).open(directory.path()).unwrap();
        let stream = store.stream("a").unwrap();
        for n in 0..100 {
            stream.add([("n", format!("{n:0>100}"))]).unwrap();
        }
        stream.group("g").create(Position::Start).unwrap();
        stream.group("g").consumer("alice").read().count(7).new_entries().unwrap();
        copy_directory(directory.path(), copy.path());
        let expected = of_writer(&stream).unwrap();

        let reader = Store::open_read_only(copy.path()).unwrap().stream("a").unwrap();
        assert_eq!(of_reader(&reader).unwrap(), expected, "as it was published");
        let reopened = options(level).open(copy.path()).unwrap();
        let expected = of_writer(&reopened.stream("a").unwrap());
        assert_eq!(of_reader(&reader), expected, "as it was recovered");
        reopened.stream("a").unwrap().add([("n", "100")]).unwrap();
        assert_eq!(of_reader(&reader), of_writer(&reopened.stream("a").unwrap()));
    }
}

fn copy_directory(from: &std::path::Path, to: &std::path::Path) {
    for item in std::fs::read_dir(from).unwrap() {
        let (path, target) = (item.as_ref().unwrap().path(), to.join(item.unwrap().file_name()));
        if path.is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_directory(&path, &target);
        } else {
            std::fs::copy(path, target).unwrap();
        }
    }
}
