//! Promise: damage stays with the entries it hit, from whichever end they are read.

use std::ops::Bound;

use streamlog::{Durability, Error, IdRange, StreamId};

use crate::harness::{file_of, fill, image, mount};
use streamlog::sim::SimDisk;

#[test]
fn damage_in_a_sealed_segment_costs_the_entries_it_hit_and_is_told_in_their_place() {
    for index in [true, false] {
        let disk = SimDisk::new();
        let store = mount(&disk, Durability::Always);
        fill(&store.stream("s").unwrap(), 1, 7);
        store.close().unwrap();
        let mut damaged = image(&disk);
        if !index {
            damaged.remove("streams/s/00000000000000000001.idx");
            damaged.remove("streams/s/00000000000000000004.idx");
        }
        // The second entry: three are in a segment.
        let bytes = damaged.file_mut("streams/s/00000000000000000001.log").unwrap();
        bytes[192 + 1100] ^= 0xff;
        let store = mount(&damaged.mount(), Durability::Always);
        let stream = store.stream("s").unwrap();
        let seen = |entry: streamlog::Result<streamlog::Entry>| match entry {
            Ok(entry) => entry.id().ms(),
            Err(Error::Corrupt { path, offset, ids, .. }) => {
                assert!(path.ends_with("streams/s/00000000000000000001.log"));
                assert!((192 + 1000..192 + 1100).contains(&offset), "at {offset}");
                assert_eq!(ids, Some(between(1, 3)));
                0
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(stream.range(..).map(seen).collect::<Vec<_>>(), [1, 0, 3, 4, 5, 6, 7], "with index: {index}");
        assert_eq!(stream.range(..).rev().map(seen).collect::<Vec<_>>(), [7, 6, 5, 4, 3, 0, 1], "with index: {index}");
        let behind = (Bound::Excluded(StreamId::new(3, 0)), Bound::Unbounded);
        assert_eq!(stream.range(behind).map(seen).collect::<Vec<_>>(), [4, 5, 6, 7], "with index: {index}");
        assert_eq!(stream.range(behind).rev().map(seen).collect::<Vec<_>>(), [7, 6, 5, 4], "with index: {index}");
        for (ms, sound) in [(1, true), (2, false), (3, true), (7, true)] {
            let found = stream.get(StreamId::new(ms, 0));
            assert_eq!(found.is_ok_and(|entry| entry.is_some()), sound, "entry {ms}, with index: {index}");
        }
        assert_eq!(stream.len().unwrap(), 7, "what is damaged still counts");
        drop(store);
    }
}

/// What is lost when the neighbours are `after` and `next`.
fn between(after: u64, next: u64) -> IdRange {
    IdRange { after: StreamId::new(after, 0), through: StreamId::new(next, 0).previous() }
}

#[test]
fn a_missing_segment_and_one_that_is_no_segment_are_told_with_the_ids_that_were_in_them() {
    for missing in [true, false] {
        let disk = SimDisk::new();
        let store = mount(&disk, Durability::Always);
        fill(&store.stream("s").unwrap(), 1, 9);
        store.close().unwrap();
        let mut damaged = image(&disk);
        let path = "streams/s/00000000000000000004.log";
        match missing {
            true => damaged.remove(path),
            false => damaged.file_mut(path).unwrap().fill(0),
        }
        let store = mount(&damaged.mount(), Durability::Always);
        let stream = store.stream("s").unwrap();
        let seen = |entry: streamlog::Result<streamlog::Entry>| match entry {
            Ok(entry) => entry.id().ms(),
            Err(Error::Corrupt { ids: Some(ids), path, .. }) => {
                assert!(path.ends_with("streams/s/00000000000000000004.log"), "{path:?}");
                assert_eq!(ids.through, Some(StreamId::new(6, 0)), "missing: {missing}");
                // From the back, only the header could tell.
                assert!(ids.after == StreamId::new(3, 0) || (!missing && ids.after == StreamId::MIN), "{ids}");
                0
            }
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(stream.range(..).map(seen).collect::<Vec<_>>(), [1, 2, 3, 0, 7, 8, 9], "missing: {missing}");
        assert_eq!(stream.range(..).rev().map(seen).collect::<Vec<_>>(), [9, 8, 7, 0, 3, 2, 1], "missing: {missing}");
    }
}

#[test]
fn damage_in_one_stream_keeps_no_other_from_opening() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    for name in ["a", "b", "c"] {
        fill(&store.stream(name).unwrap(), 1, 2);
    }
    store.close().unwrap();
    let mut damaged = image(&disk);
    let path = file_of(&damaged, "b", ".log");
    damaged.file_mut(&path).unwrap()[200] ^= 1;
    let store = mount(&damaged.mount(), Durability::Always);
    assert_eq!(store.names().unwrap().len(), 3);
    for (name, sound) in [("a", true), ("b", false), ("c", true)] {
        let stream = store.stream(name).unwrap();
        assert_eq!(stream.len().is_ok(), sound, "stream {name}");
        assert_eq!(stream.add([("still", "going")]).is_ok(), sound, "stream {name}");
    }
}
