//! Stores with a clock that stands still, and what is in them as text.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flate2::read::GzDecoder;
use streamlog::inspect::{Inspection, Item};
use streamlog::transfer::{Import, Imported, Part};
use streamlog::{Durability, Error, Options, Store};

/// The time in these stores, which a server takes for the past.
pub const NOW_MS: u64 = 1_700_000_000_000;

pub fn options() -> Options {
    options_at(NOW_MS)
}

pub fn options_at(ms: u64) -> Options {
    options_now().clock(move || SystemTime::UNIX_EPOCH + Duration::from_millis(ms))
}

/// With a clock that goes.
pub fn options_now() -> Options {
    Options::new().durability(Durability::Os).segment_bytes_max(16 << 10)
}

pub fn in_memory() -> Store {
    options().in_memory()
}

/// A file of `tests/data/aof`.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/aof").join(name);
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(path).expect("it is there")).read_to_end(&mut bytes).expect("it is compressed");
    bytes
}

pub fn import(store: &Store, log: &[u8]) -> Imported {
    let mut import = Import::new(store).unwrap();
    import.read(log, |_| {}).unwrap();
    import.finish()
}

/// As [`import`], of a log of which all is for streams and nothing may be refused.
pub fn import_all(store: &Store, log: &[u8]) {
    let imported = import(store, log);
    assert_eq!(imported.refused, []);
    assert_eq!((imported.skipped_count(), imported.torn), (0, None));
    assert_eq!(imported.bytes, log.len() as u64);
}

/// All streams of an open store as commands.
pub fn export(store: &Store) -> Vec<u8> {
    let mut log = Vec::new();
    for name in store.names().unwrap() {
        store.stream(name).unwrap().export().unwrap().run(|part| collect(part, &mut log)).unwrap();
    }
    log
}

/// All streams of a store as commands, without using the open store.
pub fn export_from(inspection: &Inspection) -> Vec<u8> {
    let mut log = Vec::new();
    for name in inspection.names().unwrap() {
        inspection.export(name).unwrap().run(|part| collect(part, &mut log)).unwrap();
    }
    log
}

pub fn collect(part: Part, log: &mut Vec<u8>) -> Result<(), Error> {
    match part {
        Part::Commands { bytes, .. } => log.extend_from_slice(&bytes),
        other => panic!("left out: {other:?}"),
    }
    Ok(())
}

/// All there is in a store as text, but for what no command of Redis can rebuild: when a consumer was last seen, and how many
/// productions and duplicates there ever were.
pub fn dump_of_commands(inspection: &Inspection) -> String {
    let mut text = String::new();
    for name in inspection.names().unwrap() {
        let dumped = inspection.dump_stream(name, |item| {
            if !matches!(item, Item::Producers { .. }) {
                let line = item.to_string();
                let _ = writeln!(text, "{}", line.split_once(" seen ").map_or(&*line, |(before, _)| before));
            }
            Ok::<(), Error>(())
        });
        dumped.unwrap();
    }
    text
}

/// What a server loses when it rewrites its log is taken out: pending entries that outlive what they name (AOF-5), and how many
/// entries a group has read beyond those that count as added (LAG-5).
pub fn without_what_a_rewrite_loses(dump: &str) -> String {
    let mut text = String::new();
    let (mut living, mut added) = (HashSet::new(), 0);
    for line in dump.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |name| {
            let at = words.iter().rposition(|word| *word == name)?;
            words.get(at + 1)?.parse::<u64>().ok()
        };
        match words.as_slice() {
            ["stream", ..] => (living, added) = (HashSet::new(), number("added").unwrap()),
            ["entry", id, ..] => drop(living.insert((*id).to_owned())),
            ["pending", id, ..] if !living.contains(*id) => continue,
            ["group", ..] => {
                let read = number("entries-read").map(|read| read.min(added));
                let (before, _) = line.split_once(" entries-read ").unwrap();
                let _ = writeln!(text, "{before} entries-read {read:?}");
                continue;
            }
            _ => {}
        }
        text += line;
        text.push('\n');
    }
    text
}

/// Compares texts line by line, so that what differs is all that a failure shows.
#[track_caller]
pub fn assert_same(found: &str, expected: &str, context: impl std::fmt::Display) {
    for (at, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {at}, {context}");
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "lines, {context}");
}

pub fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let given = std::env::var("STREAMLOG_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| std::collections::hash_map::RandomState::new().build_hasher().finish());
    println!("STREAMLOG_SEED={seed}");
    seed
}
