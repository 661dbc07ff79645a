//! A reader writes nothing, locks nothing, and holds little.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use streamlog::{Durability, Options, Position, ReadFrom, Store, StreamId};

use crate::harness::{of_reader, of_writer, options, pair};

/// Everything in a directory: sizes, modification times and bytes.
fn listing(directory: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for item in std::fs::read_dir(directory).unwrap() {
        let path = item.unwrap().path();
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        let bytes = if metadata.is_dir() { Vec::new() } else { std::fs::read(&path).unwrap() };
        found.insert(path.clone(), (metadata.modified().unwrap(), bytes));
        if metadata.is_dir() {
            found.extend(listing(&path));
        }
    }
    found
}

fn fill(store: &Store) {
    let stream = store.stream("a").unwrap();
    for n in 0..500 {
        stream.add([("n", format!("{n:0>100}"))]).unwrap();
    }
    stream.group("g").create(Position::Start).unwrap();
    stream.group("g").consumer("alice").read().count(10).new_entries().unwrap();
}

/// All that can be done with a reader.
fn read_all(directory: &Path) {
    let reader = Store::open_read_only(directory).unwrap();
    let stream = reader.stream("a").unwrap();
    let seen = of_reader(&stream).unwrap();
    assert_eq!(seen.entries.len(), 500);
    assert_eq!(stream.range(..).rev().count(), 500);
    assert_eq!(stream.get(seen.entries[250].id()).unwrap().as_ref(), Some(&seen.entries[250]));
    assert_eq!(stream.group("g").consumers().unwrap().len(), 1);
    assert_eq!(stream.group("g").pending_entries().unwrap().run().unwrap().len(), 10);
    assert_eq!(stream.read(ReadFrom::After(StreamId::MIN)).run().unwrap()[0].1.len(), 500);
    assert!(reader.inspect().verify().unwrap().iter().all(|report| !report.is_damaged()));
    assert!(reader.inspect().verify_store().unwrap().is_empty());
}

#[test]
fn not_one_byte_is_written() {
    let (directory, store, _) = pair(Durability::Os);
    fill(&store);
    // Without it, whoever opens a segment for writing makes it again.
    for path in listing(directory.path()).into_keys().filter(|path| path.extension().is_some_and(|end| end == "idx")) {
        std::fs::remove_file(path).unwrap();
    }
    let open = listing(directory.path());
    read_all(directory.path());
    assert!(listing(directory.path()) == open, "while a process has it open");
    store.close().unwrap();
    let closed = listing(directory.path());
    read_all(directory.path());
    assert!(listing(directory.path()) == closed, "when it is closed");
}

#[test]
fn a_writer_comes_and_goes_while_a_reader_is_there() {
    let (directory, store, reader) = pair(Durability::Always);
    fill(&store);
    let reading = reader.stream("a").unwrap();
    let mut range = reading.range(..);
    range.next().unwrap().unwrap();
    store.close().unwrap();
    for n in 0..3 {
        let store = options(Durability::Always).open(directory.path()).unwrap();
        let stream = store.stream("a").unwrap();
        stream.add([("again", n.to_string())]).unwrap();
        assert_eq!(of_reader(&reading), of_writer(&stream));
        drop(stream);
        store.close().unwrap();
        assert_eq!(reading.len().unwrap(), 501 + n);
    }
    assert_eq!(range.count(), 499);
}

#[test]
#[cfg(target_os = "linux")]
fn a_reader_of_many_streams_holds_few_descriptors_and_as_many_as_it_is_told() {
    const STREAMS: usize = 300;
    let (directory, store, reader) = pair(Durability::Os);
    for n in 0..STREAMS {
        store.stream(format!("s{n}")).unwrap().add([("n", n.to_string())]).unwrap();
    }
    store.close().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let held = || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap();
        let links = links.filter_map(|link| std::fs::read_link(link.ok()?.path()).ok());
        links.filter(|target| target.starts_with(&root)).count()
    };
    let few = Options::new().open_streams_max(10).open_read_only(&root).unwrap();
    for (reader, expected) in [(reader, 100..=210), (few, 10..=30)] {
        for round in 0..2 {
            for n in 0..STREAMS {
                let entry = reader.stream(format!("s{n}")).unwrap().last().unwrap().unwrap();
                assert_eq!(entry.get("n"), Some(n.to_string().as_bytes()), "round {round}");
            }
        }
        assert!(expected.contains(&held()), "{}", held());
        drop(reader);
        assert!(held() < 10, "{}", held());
    }
}

/// Each segment that the writer leaves behind was open to the reader until then.
#[test]
#[cfg(target_os = "linux")]
fn a_reader_that_follows_many_rotations_holds_few_descriptors() {
    let (directory, store, reader) = pair(Durability::Os);
    let root = directory.path().canonicalize().unwrap();
    let stream = store.stream("s").unwrap();
    let reading = reader.stream("s").unwrap();
    for count in 1..=400 {
        stream.add([("value", "v".repeat(1000))]).unwrap();
        assert_eq!(reading.len().unwrap(), count);
    }
    assert!(stream.info().unwrap().segments > 40);
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = links.filter_map(|link| std::fs::read_link(link.ok()?.path()).ok());
    let held = links.filter(|target| target.starts_with(&root)).count();
    assert!(held < 20, "{held}");
}
