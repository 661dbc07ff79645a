//! Promise: a crash cuts log and groups at one point, and a full disk keeps nobody from acknowledging (P2, P3, P5).

use std::sync::Arc;

use streamlog::sim::{CrashLimits, SimDisk};
use streamlog::{AddOptions, Durability, Options, Position, References, Store, StreamId, Trim};

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn options(level: Durability) -> Options {
    Options::new().durability(level).segment_bytes_max(4096).checkpoint_bytes_min(600)
}

fn mount(disk: &Arc<SimDisk>, level: Durability) -> Store {
    Store::open_simulated(options(level), disk).unwrap()
}

/// Adds entries with these IDs to the stream `s`.
fn fill(store: &Store, ids: std::ops::RangeInclusive<u64>) {
    let stream = store.stream("s").unwrap();
    for ms in ids {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", ms.to_string())]).unwrap();
    }
}

fn ids(store: &Store) -> Vec<u64> {
    store.stream("s").unwrap().range(..).map(|entry| entry.unwrap().id().ms()).collect()
}

/// Looks at what a power loss and a kill may leave, after each step since `from`.
fn crash_since(disk: &SimDisk, from: usize, check: impl Fn(&Store, bool, &str)) {
    for step in from..=disk.steps() {
        let images = disk.crash_images(step, CrashLimits::default(), 1).chain([disk.kill_image(step)]);
        for image in images {
            let what = format!("after step {step} of {}, {}", disk.steps(), image.description());
            check(&mount(&image.mount(), Durability::Always), step == disk.steps(), &what);
        }
    }
}

/// Found by the model: the entry was there, and nothing was trimmed.
#[test]
fn an_add_that_trims_with_regard_to_references_is_done_or_not() {
    for references in [References::Delete, References::Acknowledged] {
        let disk = SimDisk::new();
        let store = mount(&disk, Durability::Always);
        store.stream("s").unwrap().group("g").create_with(Position::After(id(99)), None, true).unwrap();
        fill(&store, 1..=3);
        let from = disk.steps();
        let options = AddOptions::new().id(id(4)).trim(Trim::to_len(1).references(references));
        store.stream("s").unwrap().add_with(options, [("n", "4")]).unwrap();
        crash_since(&disk, from, |store, done, what| {
            let found = ids(store);
            assert!(found == [4] || (found == [1, 2, 3] && !done), "{found:?} {what}");
        });
    }
}

/// Found by the model: the stream was there without the group.
#[test]
fn a_group_that_creates_its_stream_appears_with_it() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    let from = disk.steps();
    store.stream("s").unwrap().group("g").create_with(Position::End, None, true).unwrap();
    crash_since(&disk, from, |store, done, what| {
        let stream = store.stream("s").unwrap();
        let exists = stream.exists().unwrap();
        assert_eq!(stream.group("g").exists().unwrap(), exists, "{what}");
        assert!(exists || !done, "{what}");
    });
}

/// Found by the model: the read returned before that was durable.
#[test]
fn a_consumer_that_came_by_a_read_without_result_stays() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    let group = store.stream("s").unwrap().group("g");
    group.create_with(Position::End, None, true).unwrap();
    assert!(group.consumer("alice").read().new_entries().unwrap().is_empty());
    crash_since(&disk, disk.steps(), |store, _, what| {
        assert_eq!(store.stream("s").unwrap().group("g").consumers().unwrap().len(), 1, "{what}");
    });
}
