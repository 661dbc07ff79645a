//! Stores of small segments, and what is in their files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use streamlog::inspect::Inspection;
use streamlog::{AddOptions, Durability, Error, Options, Position, Store, StreamId, Trim};

pub fn options() -> Options {
    let clock = || SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000);
    Options::new().durability(Durability::Os).segment_bytes_max(4096).clock(clock)
}

pub fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

/// Adds the entries of these milliseconds.
pub fn add(store: &Store, name: &str, ms: std::ops::Range<u64>) {
    let stream = store.stream(name).unwrap();
    for ms in ms {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", ms.to_string()), ("fill", "x".repeat(60))]).unwrap();
    }
}

/// Streams of several segments, with a group that has pending entries, deleted entries and a trim; an empty one; a long name.
pub fn fill(store: &Store) {
    add(store, "orders", 1..300);
    let orders = store.stream("orders").unwrap();
    let group = orders.group("workers");
    group.create(Position::Start).unwrap();
    group.consumer("alice").read().count(50).new_entries().unwrap();
    group.acknowledge((1..20).map(id)).unwrap();
    orders.delete([id(30), id(100)]).unwrap();
    orders.trim(Trim::to_len(250)).unwrap();
    add(store, "small", 1..4);
    store.create("empty").unwrap();
    add(store, &"LONG ".repeat(60), 1..3);
}

/// All there is in a store.
pub fn dump(path: &Path) -> String {
    let inspection = Inspection::open(path).unwrap();
    let mut text = String::new();
    for name in inspection.names().unwrap() {
        let each = |item| {
            let _ = writeln!(text, "{item}");
            Ok::<(), Error>(())
        };
        inspection.dump_stream(&name, each).unwrap();
    }
    text
}

/// Nothing at all is found, not even what opening would mend.
pub fn assert_sound(path: &Path) {
    for report in Inspection::open(path).unwrap().verify().unwrap() {
        assert_eq!(report.findings, [], "{:?}", String::from_utf8_lossy(&report.name));
    }
}

/// The segments of a stream, with the number of each file.
pub fn segments(store: &Path, stream: &str) -> BTreeMap<PathBuf, u64> {
    let directory = store.join("streams").join(stream);
    let files = directory.read_dir().unwrap().map(|file| file.unwrap());
    let logs = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "log"));
    logs.map(|file| (PathBuf::from(file.file_name()), file.metadata().unwrap().ino())).collect()
}

/// The bytes of all files.
pub fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for item in directory.read_dir().unwrap() {
        let path = item.unwrap().path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => drop(found.insert(path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found
}
