//! What was found by chance, and is kept.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use streamlog::sim::{Call, Op, SimDisk};
use streamlog::{AddOptions, Durability, Error, GroupOptions, NewId, Options, Position, Retention, Store, StreamId};

const NOON_MS: u64 = 1_000_000;

fn mount(disk: &Arc<SimDisk>, level: Durability) -> Store {
    let noon = || UNIX_EPOCH + Duration::from_millis(NOON_MS);
    let options = Options::new().durability(level).segment_bytes_max(4096).clock(noon);
    Store::open_simulated(options, disk).unwrap()
}

fn fail(disk: &SimDisk, kind: ErrorKind, which: impl Fn(&Call) -> bool + Send + 'static) {
    disk.fail_when(move |call| which(call).then_some(kind.into()));
}

/// For lack of room.
fn fail_one_write(disk: &SimDisk, extension: &'static str) {
    let mut failed = false;
    disk.fail_when(move |call| {
        let hit = !failed && call.op == Op::Write && call.path.extension().is_some_and(|is| is == extension);
        failed |= hit;
        hit.then_some(ErrorKind::StorageFull.into())
    });
}

fn add(store: &Store, name: &str) -> StreamId {
    store.stream(name).unwrap().add([("field", name)]).unwrap()
}

fn fields(store: &Store, name: &str) -> streamlog::Result<Vec<Vec<u8>>> {
    let value = |entry: streamlog::Entry| entry.get("field").map(<[u8]>::to_vec).unwrap_or_default();
    store.stream(name)?.range(..).map(|entry| entry.map(value)).collect()
}

/// There is nothing to sync before it can be read.
#[test]
fn a_stream_that_was_closed_can_be_read_though_the_store_is_poisoned() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    add(&store, "closed");
    add(&store, "open");
    store.close().unwrap();
    let store = mount(&disk, Durability::Always);
    fail(&disk, ErrorKind::Other, |call| call.op == Op::Sync);
    let added = store.stream("open").unwrap().add([("field", "lost")]);
    assert!(matches!(added, Err(Error::Io { action: "sync", .. })), "{added:?}");
    disk.heal();
    assert!(matches!(store.stream("open").unwrap().add([("a", "b")]), Err(Error::Poisoned { .. })));
    assert_eq!(fields(&store, "closed").unwrap(), [b"closed"]);
}

/// Once the intent has its name, the change is made by the next process, whatever this one says.
#[test]
fn a_rename_that_is_half_done_on_a_full_disk_is_no_lack_of_room() {
    for op in [Op::Rename, Op::RemoveFile] {
        let disk = SimDisk::new();
        let store = mount(&disk, Durability::Always);
        add(&store, "from");
        add(&store, "to");
        fail(&disk, ErrorKind::StorageFull, move |call| {
            let name = if op == Op::Rename { "streams/from" } else { "intent" };
            call.op == op && call.path.ends_with(name)
        });
        let renamed = store.rename("from", "to");
        assert!(matches!(renamed, Err(Error::Io { .. })), "{renamed:?}");
        disk.heal();
        let added = store.stream("to").unwrap().add([("field", "built upon what is not there")]);
        assert!(matches!(added, Err(Error::Poisoned { .. })), "{added:?}");
        drop(store);
        let store = mount(&disk, Durability::Always);
        assert_eq!(store.names().unwrap(), [b"to"]);
        assert_eq!(fields(&store, "to").unwrap(), [b"from"]);
    }
}

#[test]
fn a_rename_that_was_broken_off_is_not_called_damage() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    add(&store, "from");
    fail(&disk, ErrorKind::Other, |call| call.op == Op::Rename && call.path.ends_with("streams/from"));
    let renamed = store.rename("from", "to");
    assert!(matches!(renamed, Err(Error::Io { action: "rename", .. })), "{renamed:?}");
    disk.heal();
    let read = fields(&store, "from");
    assert!(matches!(read, Err(Error::Poisoned { .. })), "{read:?}");
}

#[test]
fn entries_are_deleted_though_their_file_cannot_be_removed() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    let stream = store.stream("s").unwrap();
    let ids: Vec<StreamId> = (0..6).map(|_| stream.add([("field", "x".repeat(1500))]).unwrap()).collect();
    fail(&disk, ErrorKind::PermissionDenied, |call| call.op == Op::RemoveFile);
    assert_eq!(stream.delete(ids[..5].iter().copied()).unwrap(), 5);
    disk.heal();
    stream.add([("field", "goes on")]).unwrap();
    drop((stream, store));
    let store = mount(&disk, Durability::Always);
    assert_eq!(store.stream("s").unwrap().len().unwrap(), 2);
    // What could not be removed then is gone now.
    let logs =
        disk.kill_image(disk.steps()).files().filter(|path| path.extension().is_some_and(|is| is == "log")).count();
    assert_eq!(logs, 1, "segments that are left");
}

#[test]
fn an_add_that_found_no_room_does_not_move_the_last_id_of_the_next_life() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Os);
    add(&store, "s");
    store.close().unwrap();
    let store = mount(&disk, Durability::Os);
    fail_one_write(&disk, "log");
    let added = store.stream("s").unwrap().add([("a", "b")]);
    assert!(matches!(added, Err(Error::NoSpace { .. })), "{added:?}");
    disk.heal();
    store.close().unwrap();
    let store = mount(&disk, Durability::Os);
    assert_eq!(store.stream("s").unwrap().info().unwrap().last_generated_id, StreamId::new(NOON_MS, 0));
}

/// On a file system that copies what it overwrites there may be no room for that.
#[test]
fn what_could_not_be_written_again_before_a_sync_is_so_before_the_next_one() {
    for extension in ["log", "journal"] {
        let disk = SimDisk::new();
        let store = mount(&disk, Durability::Os);
        let id = add(&store, "s");
        store.sync().unwrap();
        add(&store, "s");
        store.stream("s").unwrap().delete([id]).unwrap();
        store.stream("s").unwrap().trim(streamlog::Trim::to_len(0)).unwrap();
        // A killed process: what it wrote is in the page cache, and may be there only.
        let disk = disk.kill_image(disk.steps()).mount();
        let store = mount(&disk, Durability::Os);
        assert_eq!(store.stream("s").unwrap().len().unwrap(), 0);
        fail_one_write(&disk, extension);
        let synced = store.sync();
        assert!(matches!(synced, Err(Error::NoSpace { .. })), "{extension}: {synced:?}");
        let from = disk.steps();
        store.sync().unwrap();
        let steps = disk.history().split_off(from);
        let written =
            steps.iter().any(|step| step.op == Op::Write && step.path.extension().is_some_and(|is| is == extension));
        assert!(written, "{extension}: {steps:#?}");
    }
}

#[test]
fn a_seal_that_found_no_room_leaves_nothing_behind() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    let stream = store.stream("s").unwrap();
    stream.add([("field", "x".repeat(2000))]).unwrap();
    let mut writes = 0;
    disk.tear_failed_writes();
    disk.fail_when(move |call| {
        let is_log = call.path.ends_with("00000000000000000001.log");
        writes += u32::from(call.op == Op::Write && is_log);
        (call.op == Op::Write && is_log && writes == 1).then_some(ErrorKind::StorageFull.into())
    });
    let added = stream.add([("field", "x".repeat(3000))]);
    assert!(matches!(added, Err(Error::NoSpace { .. })), "{added:?}");
    let store = mount(&disk.kill_image(disk.steps()).mount(), Durability::Always);
    let recovery = store.stream("s").unwrap().recovery().unwrap();
    assert!(!recovery.has_dropped(), "{recovery:?}");
}

/// Also in the background, where nobody sees it: other streams are synced, and what found no room is once there is some.
#[test]
fn what_finds_no_room_in_the_background_comes_again_and_holds_up_nothing_else() {
    let names = ["a", "b", "c", "d", "e"];
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Os);
    names.iter().for_each(|name| _ = add(&store, name));
    // A killed process: what it wrote is in the page cache, and may be there only.
    let disk = disk.kill_image(disk.steps()).mount();
    let store = mount(&disk, Durability::Interval(Duration::from_millis(2)));
    let refused = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&refused);
    let is_log = |path: &Path, name: &str| {
        path.starts_with(Path::new("streams").join(name)) && path.extension().is_some_and(|is| is == "log")
    };
    fail(&disk, ErrorKind::StorageFull, move |call| {
        let hit = call.op == Op::Write && is_log(&call.path, "c");
        count.fetch_add(u32::from(hit), Ordering::Relaxed);
        hit
    });
    names.iter().for_each(|name| assert_eq!(fields(&store, name).unwrap(), [name.as_bytes()]));
    let wait_until = |is_so: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(30), "nothing is done in the background");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let is_synced = |name: &str| disk.history().iter().any(|step| step.op == Op::Sync && is_log(&step.path, name));
    wait_until(&|| refused.load(Ordering::Relaxed) > 3);
    wait_until(&|| names.iter().all(|name| *name == "c" || is_synced(name)));
    assert!(!is_synced("c"));
    disk.heal();
    wait_until(&|| is_synced("c"));
    add(&store, "c");
    store.close().unwrap();
}

/// There is room for a new file, and none for another version of one that is there.
#[test]
fn nothing_is_added_to_an_empty_segment_that_was_replaced() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    let stream = store.stream("s").unwrap();
    stream.group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    let add = |number, value: String| {
        let options = AddOptions::new().id(NewId::Exact(StreamId::new(number, 0)));
        stream.add_with(options, [("field", value)])
    };
    fail(&disk, ErrorKind::StorageFull, |call| call.op == Op::Write && call.path.ends_with("meta"));
    let rotated = add(1, "too large for the first segment".repeat(1000));
    assert!(matches!(rotated, Err(Error::Io { .. })), "{rotated:?}");
    disk.heal();
    let added = add(2, "lost".to_owned());
    assert!(matches!(added, Err(Error::Poisoned { .. })), "{added:?}");
}

/// What could not be opened was not changed.
#[cfg(unix)]
#[test]
fn a_superblock_that_cannot_be_opened_for_lack_of_descriptors_does_not_poison() {
    const EMFILE: i32 = 24;
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Os);
    let stream = store.stream("s").unwrap();
    stream.group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    let without_descriptors = |call: &dyn Fn() -> streamlog::Result<()>| {
        disk.fail_when(|call| (call.op == Op::Open && call.path.ends_with("meta")).then_some(EMFILE.into()));
        let called = call();
        assert!(matches!(called, Err(Error::NoDescriptors { action: "open", .. })), "{called:?}");
        disk.heal();
    };
    let add = || stream.add([("field", "s")]).map(|_| ());
    let retain = || stream.set_retention(Retention::new().max_len(10));
    without_descriptors(&add);
    add().unwrap();
    without_descriptors(&retain);
    assert!(stream.retention().unwrap().is_none());
    retain().unwrap();
    without_descriptors(&|| store.clone().close());
    let store = mount(&disk, Durability::Os);
    assert_eq!(fields(&store, "s").unwrap(), [b"s"]);
}
