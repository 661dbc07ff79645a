//! A store with everything in it, and what an inspection says of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use streamlog::inspect::{Inspection, StreamReport};
use streamlog::{AddOptions, Error, Finding, NewId, Options, Position, Production, Release, Store, StreamId, Trim};

pub fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

/// The time in these stores, which stands still.
pub const NOW_MS: u64 = 1_700_000_000_000;

pub fn options() -> Options {
    Options::new().segment_bytes_max(4096).clock(|| SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS))
}

/// Streams `log` of some sealed segments, `groups` with a journal of everything, `empty`, and one with a long name.
pub fn fill(store: &Store) {
    let log = store.stream("log").unwrap();
    for ms in 1..=200 {
        let name = if ms % 3 == 0 { "field" } else { "other" };
        log.add_with(AddOptions::new().id(id(ms * 10)), [(name, "x".repeat(60 + (ms % 7) as usize))]).unwrap();
    }
    log.add_batch((201..=210).map(|ms| (NewId::Exact(id(ms * 10)), [("batch", "y")]))).unwrap();
    log.delete([id(1000), id(1010)]).unwrap();
    log.trim(Trim::to_len(200)).unwrap();
    let stream = store.stream("groups").unwrap();
    for ms in 1..=6 {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", ms.to_string())]).unwrap();
    }
    stream
        .add_with(AddOptions::new().production(Production::Named { producer: b"p\0", id: b"k" }), [("made", "once")])
        .unwrap();
    let group = stream.group(b"g\xff\"");
    group.create(Position::Start).unwrap();
    group.consumer("alice").read().count(4).new_entries().unwrap();
    group.consumer("bob").read().count(1).new_entries().unwrap();
    group.acknowledge([id(1)]).unwrap();
    group.release([id(2)], Release::Failed).unwrap();
    stream.group("idle").create(Position::After(id(3))).unwrap();
    stream.delete([id(4)]).unwrap();
    store.create("empty").unwrap();
    store.stream("LONG ".repeat(60)).unwrap().add_with(AddOptions::new().id(id(5)), [("a", "\n\\\u{e9}")]).unwrap();
}

/// Everything in a directory: sizes, modification times and bytes.
pub type Listing = BTreeMap<PathBuf, (SystemTime, Vec<u8>)>;

pub fn listing(directory: &Path) -> Listing {
    let mut found = Listing::new();
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

/// The dump of all streams; of one that cannot be read, the error.
pub fn dump(inspection: &Inspection) -> String {
    let mut text = String::new();
    for name in inspection.names().unwrap() {
        let dumped = inspection.dump_stream(&name, |item| {
            text += &format!("{item}\n");
            Ok::<(), Error>(())
        });
        if let Err(error) = dumped {
            text += &format!("{error}\n");
        }
    }
    text
}

/// All that is found.
pub fn findings(reports: &[StreamReport]) -> Vec<&Finding> {
    reports.iter().flat_map(|report| &report.findings).collect()
}
