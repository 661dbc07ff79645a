//! Promise: after a failure every call does what the table in the crate's documentation says. The rows are tests, the columns
//! what is tried after the failure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use streamlog::sim::{Op, SimDisk};
use streamlog::{
    Block, Durability, Error, Options, Position, ReadFrom, Release, Result, SetId, Store, Stream, StreamId, Trim,
};

/// Linux has the same numbers everywhere.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Works,
    NoSpace,
    Io,
    Poisoned,
    Corrupt,
    Closed,
}
use Outcome::*;

fn outcome<T>(result: Result<T>) -> Outcome {
    match result {
        Ok(_) => Works,
        Err(Error::NoSpace { .. }) => NoSpace,
        Err(Error::Io { .. }) => Io,
        Err(Error::Poisoned { .. }) => Poisoned,
        Err(Error::Corrupt { .. }) => Corrupt,
        Err(Error::Closed) => Closed,
        Err(error) => panic!("{error}"),
    }
}

/// A store with a stream of four entries, of which a consumer has read three, and what breaks it.
struct Scene {
    disk: Arc<SimDisk>,
    store: Store,
    stream: Stream,
    panics: Arc<AtomicBool>,
}

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn open(disk: &Arc<SimDisk>, level: Durability, panics: &Arc<AtomicBool>) -> Store {
    let panics = Arc::clone(panics);
    let clock = move || {
        assert!(!panics.load(Ordering::Relaxed), "the clock of the test panics");
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    };
    Store::open_simulated(Options::new().durability(level).segment_bytes_max(8192).clock(clock), disk).unwrap()
}

impl Scene {
    fn new(level: Durability) -> Self {
        let (disk, panics) = (SimDisk::new(), Arc::default());
        let store = open(&disk, level, &panics);
        let stream = store.stream("s").unwrap();
        for ms in 1..=4 {
            stream.add_with(streamlog::AddOptions::new().id(id(ms)), [("n", ms.to_string())]).unwrap();
        }
        stream.group("g").create(Position::Start).unwrap();
        stream.group("g").consumer("c").read().count(3).new_entries().unwrap();
        store.create("other").unwrap();
        Self { disk, store, stream, panics }
    }

    /// Every kind of call that changes something; none of them needs another to have gone well.
    fn changes(&self) -> Vec<(&'static str, Outcome)> {
        let (store, stream, group) = (&self.store, &self.stream, self.stream.group("g"));
        let consumer = group.consumer("c");
        let last_ms = || stream.last().ok().flatten().map_or(9, |last| last.id().ms());
        vec![
            ("add", outcome(stream.add([("n", "more")]))),
            ("add_batch", outcome(stream.add_batch([(streamlog::NewId::Auto, [("n", "more")])]))),
            ("add to a new stream", outcome(store.stream("new").unwrap().add([("n", "first")]))),
            ("delete", outcome(stream.delete([id(1)]))),
            ("trim", outcome(stream.trim(Trim::to_len(3)))),
            ("set_id", outcome(stream.set_id(SetId::new(id(last_ms() + 1000))))),
            ("read new entries", outcome(consumer.read().count(1).new_entries())),
            ("claim", outcome(consumer.claim(Duration::ZERO, [id(2)]).run())),
            ("auto_claim", outcome(group.consumer("d").auto_claim(Duration::ZERO).run())),
            ("acknowledge", outcome(group.acknowledge([id(2)]))),
            ("release", outcome(group.release([id(3)], Release::Failed))),
            ("create a group", outcome(stream.group("h").create(Position::End))),
            ("create a consumer", outcome(group.consumer("e").create())),
            ("destroy a group", outcome(stream.group("h").destroy())),
            ("create a stream", outcome(store.create("another"))),
            ("rename a stream", outcome(store.rename("other", "another"))),
            ("copy a stream", outcome(store.copy_over("s", "copy"))),
            ("delete a stream", outcome(store.delete(["another"]))),
        ]
    }

    fn reads(&self) -> Vec<(&'static str, Outcome)> {
        let (store, stream, group) = (&self.store, &self.stream, self.stream.group("g"));
        vec![
            ("range", outcome(stream.range(..).collect::<Result<Vec<_>>>())),
            ("range from the back", outcome(stream.range(..).rev().collect::<Result<Vec<_>>>())),
            ("get", outcome(stream.get(id(4)))),
            ("len", outcome(stream.len())),
            ("info", outcome(stream.info())),
            ("read", outcome(store.read().stream(stream, ReadFrom::After(StreamId::MIN)).block(Block::No).run())),
            ("pending", outcome(group.pending_entries().run())),
            ("groups", outcome(stream.groups())),
            ("names", outcome(store.names())),
            ("exists", outcome(store.exists("s"))),
        ]
    }

    #[track_caller]
    fn expect(&self, changing: Outcome, reading: Outcome) {
        for (call, came_to) in self.changes() {
            assert_eq!(came_to, changing, "{call}");
        }
        for (call, came_to) in self.reads() {
            assert_eq!(came_to, reading, "{call}");
        }
    }

    /// Closes the store, which gives up the lock whatever it comes to; all that could be read is there afterwards.
    #[track_caller]
    fn close_and_reopen(self, closing: Outcome) {
        let before = self.stream.range(..).collect::<Result<Vec<_>>>().unwrap();
        assert!(!before.is_empty());
        let other = self.store.clone();
        assert_eq!(outcome(self.store.close()), closing);
        assert_eq!(outcome(other.sync()), Closed);
        assert_eq!(outcome(self.stream.len()), Closed);
        drop((other, self.stream));
        self.panics.store(false, Ordering::Relaxed);
        self.disk.heal();
        self.disk.set_space(None);
        let store = open(&self.disk, Durability::Always, &self.panics);
        let stream = store.stream("s").unwrap();
        let entries = stream.range(..).collect::<Result<Vec<_>>>().unwrap();
        assert!(before.iter().all(|entry| entries.contains(entry)), "{before:?} in {entries:?}");
        assert!(stream.add([("n", "afterwards")]).unwrap() > entries.last().unwrap().id());
        store.close().unwrap();
    }
}

const LEVELS: [Durability; 2] = [Durability::Always, Durability::Os];

#[test]
fn without_a_failure_everything_works() {
    for level in LEVELS {
        let scene = Scene::new(level);
        scene.expect(Works, Works);
        assert_eq!(outcome(scene.store.sync()), Works);
        scene.close_and_reopen(Works);
    }
}

#[test]
fn a_full_disk_costs_the_calls_that_need_room_and_nothing_else() {
    for level in LEVELS {
        let scene = Scene::new(level);
        // What has room goes on having it.
        scene.disk.set_space(Some(scene.disk.used()));
        let value = "x".repeat(3000);
        let full = (0..100).map(|_| outcome(scene.stream.add([("v", &value)]))).find(|it| *it != Works);
        assert_eq!(full, Some(NoSpace));
        // What makes a stream, and what has to be noted before it is done, may need room that is not there.
        let needs_room =
            ["add", "add_batch", "add to a new stream", "create a stream", "rename a stream", "copy a stream"];
        for (call, came_to) in scene.changes() {
            assert!(came_to == Works || (came_to == NoSpace && needs_room.contains(&call)), "{call}: {came_to:?}");
        }
        for (call, came_to) in scene.reads() {
            assert_eq!(came_to, Works, "{call}");
        }
        assert_eq!(outcome(scene.store.sync()), Works);
        scene.disk.set_space(None);
        // It may have been renamed.
        scene.store.stream("other").unwrap().add([("n", "again")]).unwrap();
        scene.expect(Works, Works);
        scene.close_and_reopen(Works);
    }
}

/// The first call fails with what came of it, all later changes with `Poisoned`; reading goes on.
#[track_caller]
fn poisoned(scene: Scene, broken: Outcome) {
    assert_eq!(outcome(scene.stream.add([("n", "fails")])), broken);
    scene.disk.heal();
    scene.expect(Poisoned, Works);
    assert_eq!(outcome(scene.store.sync()), Poisoned);
    scene.close_and_reopen(Poisoned);
}

#[test]
fn after_a_failed_write_nothing_is_written_and_reading_goes_on() {
    for level in LEVELS {
        let scene = Scene::new(level);
        scene.disk.fail_when(|call| (call.op == Op::Write).then_some(EIO.into()));
        poisoned(scene, Io);
    }
}

#[test]
fn after_a_failed_sync_nothing_is_written_and_reading_goes_on() {
    for errno in [EIO, ENOSPC] {
        // A full disk that shows in a sync only is no `NoSpace`: what was written may be lost.
        let scene = Scene::new(Durability::Always);
        scene.disk.fail_when(move |call| (call.op == Op::Sync).then_some(errno.into()));
        poisoned(scene, Io);
        let scene = Scene::new(Durability::Os);
        // The first automatic ID has the superblock synced, for those of the next seconds.
        scene.stream.add([("n", "first")]).unwrap();
        scene.disk.fail_when(move |call| (call.op == Op::Sync).then_some(errno.into()));
        scene.stream.add([("n", "with the operating system")]).unwrap();
        assert_eq!(outcome(scene.store.sync()), Io);
        scene.disk.heal();
        scene.expect(Poisoned, Works);
        scene.close_and_reopen(Poisoned);
    }
}

#[test]
fn after_a_panic_in_the_middle_of_a_change_nothing_is_written_and_reading_goes_on() {
    for level in LEVELS {
        for adding in [true, false] {
            let scene = Scene::new(level);
            scene.panics.store(true, Ordering::Relaxed);
            // The clock, which is the user's, is asked with locks held.
            let caught = catch_unwind(AssertUnwindSafe(|| match adding {
                true => scene.stream.add([("n", "panics")]).map(|_| ()),
                false => scene.stream.group("g").consumer("c").read().new_entries().map(|_| ()),
            }));
            assert!(caught.is_err());
            scene.panics.store(false, Ordering::Relaxed);
            scene.expect(Poisoned, Works);
            assert_eq!(outcome(scene.store.sync()), Poisoned);
            scene.close_and_reopen(Poisoned);
        }
    }
}

#[test]
fn a_read_that_fails_costs_the_call_that_needed_it() {
    for level in LEVELS {
        let scene = Scene::new(level);
        scene.disk.fail_when(|call| (call.op == Op::Read).then_some(EIO.into()));
        assert_eq!(outcome(scene.stream.range(..).collect::<Result<Vec<_>>>()), Io);
        // A group that has not read yet keeps nothing of what comes next.
        scene.stream.group("fresh").create(Position::Start).unwrap();
        assert_eq!(outcome(scene.stream.group("fresh").consumer("c").read().new_entries()), Io);
        assert_eq!(outcome(scene.stream.delete([id(1)])), Io);
        scene.disk.heal();
        scene.expect(Works, Works);
        scene.close_and_reopen(Works);
    }
}

#[test]
fn damage_found_by_a_read_costs_the_entries_it_hit() {
    let scene = Scene::new(Durability::Always);
    let value = "x".repeat(3000);
    (5..=9).for_each(|ms| {
        scene.stream.add_with(streamlog::AddOptions::new().id(id(ms)), [("v", &value)]).unwrap();
    });
    scene.store.close().unwrap();
    let mut image = scene.disk.kill_image(scene.disk.steps());
    let bytes = image.file_mut("streams/s/00000000000000000001.log").unwrap();
    let at = bytes.windows(100).position(|window| window.iter().all(|&byte| byte == b'x')).unwrap();
    bytes[at] ^= 1;
    let (disk, panics) = (image.mount(), Arc::default());
    let store = open(&disk, Durability::Always, &panics);
    let stream = store.stream("s").unwrap();
    assert_eq!(stream.range(..).filter(|entry| entry.is_err()).count(), 1);
    assert_eq!(outcome(stream.get(id(5))), Corrupt);
    // What would have to read the entry that is lost fails, and has no effect.
    assert_eq!(outcome(store.copy_over("s", "copy")), Corrupt);
    assert!(!store.exists("copy").unwrap());
    let group = stream.group("g");
    group.set_position(Position::After(id(4)), None).unwrap();
    assert_eq!(outcome(group.consumer("c").read().new_entries()), Corrupt);
    assert_eq!(group.info().unwrap().last_delivered_id, id(4));
    group.set_position(Position::After(id(5)), None).unwrap();
    let scene = Scene { disk, store, stream, panics };
    for (call, came_to) in scene.changes() {
        assert_eq!(came_to, Works, "{call}");
    }
    assert_eq!(outcome(scene.store.sync()), Works);
    scene.store.close().unwrap();
}

#[test]
fn damage_found_by_opening_a_stream_costs_that_stream() {
    let scene = Scene::new(Durability::Always);
    scene.store.close().unwrap();
    let mut image = scene.disk.kill_image(scene.disk.steps());
    image.file_mut("streams/s/meta").unwrap().fill(1);
    let store = open(&image.mount(), Durability::Always, &scene.panics);
    let stream = store.stream("s").unwrap();
    let came_to = [
        outcome(stream.add([("n", "more")])),
        outcome(stream.len()),
        outcome(stream.range(..).collect::<Result<Vec<_>>>()),
        outcome(stream.delete([id(1)])),
        outcome(stream.group("g").acknowledge([id(1)])),
    ];
    assert_eq!(came_to, [Corrupt; 5]);
    assert_eq!(outcome(store.stream("other").unwrap().add([("n", "more")])), Works);
    assert_eq!(outcome(store.names()), Works);
    assert_eq!(outcome(store.sync()), Works);
    // It can be deleted, too.
    assert_eq!(outcome(store.delete(["s"])), Works);
    assert_eq!(outcome(stream.add([("n", "anew")])), Works);
    store.close().unwrap();
}

#[test]
fn a_closed_store_does_nothing_and_says_so() {
    let scene = Scene::new(Durability::Always);
    scene.store.clone().close().unwrap();
    scene.expect(Closed, Closed);
    assert_eq!(outcome(scene.store.sync()), Closed);
    assert_eq!(outcome(scene.store.clone().close()), Closed);
}
