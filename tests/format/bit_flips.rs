//! Promise: whatever happens to the bytes of a store that was closed, what is read is right, or an error says where.
//!
//! Every bit of every record is flipped, every file cut short at every length and removed, every sector zeroed. In an
//! index, and where bytes mean nothing, that is harmless; everywhere else it is noticed. Never is a wrong entry returned,
//! and never is one missing without an error.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use streamlog::sim::{Image, SimDisk};
use streamlog::{AddOptions, Durability, NewId, Result, SetId, Store, Stream, StreamId, Trim};

use crate::harness::{image, options};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What can be seen of a stream.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    counters: [u64; 2],
    ids: [StreamId; 3],
    entries: Vec<(StreamId, Fields)>,
}

/// A small closed store with every kind of record there is.
fn everything() -> Image {
    let disk = SimDisk::new();
    let store = Store::open_simulated(options(Durability::Always), &disk).unwrap();
    let stream = store.stream("s").unwrap();
    let add = |ms: u64, fields: &[(&str, &str)]| {
        stream.add_with(AddOptions::new().id(StreamId::new(ms, 0)), fields.iter().copied()).unwrap();
    };
    let long = "a longer value, so that a segment is full after a few of them. ".repeat(12);
    for ms in 1..=12 {
        add(ms, &[("type", "order.created"), ("data", &long)]);
    }
    stream.add_batch((0..3).map(|n| (NewId::AutoSequence(20), [("n", format!("batch {n}"))]))).unwrap();
    add(30, &[("other", "shape"), ("", "")]);
    let options = AddOptions::new().id(StreamId::new(31, 5)).trim(Trim::to_len(14));
    stream.add_with(options, [("with", "a trim in its frame")]).unwrap();
    stream.delete([StreamId::new(7, 0), StreamId::new(20, 1)]).unwrap();
    stream.trim(Trim::before(StreamId::new(5, 0))).unwrap();
    stream.set_id(SetId::new(StreamId::new(40, 0)).entries_added(100).max_deleted_id(StreamId::new(22, 0))).unwrap();
    add(41, &[("last", "entry")]);
    let other = store.stream("other").unwrap();
    other.add_with(AddOptions::new().id(StreamId::new(1, 1)), [("a", "b")]).unwrap();
    store.close().unwrap();
    let image = image(&disk);
    assert_eq!(
        image.files().filter(|path| path.to_string_lossy().ends_with(".log")).max().unwrap().to_str(),
        Some(ACTIVE)
    );
    image
}

fn look(stream: &Stream) -> Result<Seen> {
    let info = stream.info()?;
    let entries = stream.range(..).map(|entry| entry.map(|entry| seen(&entry))).collect::<Result<Vec<_>>>()?;
    Ok(Seen {
        counters: [info.len, info.entries_added],
        ids: [info.last_generated_id, info.max_deleted_entry_id, info.recorded_first_entry_id],
        entries,
    })
}

fn seen(entry: &streamlog::Entry) -> (StreamId, Fields) {
    (entry.id(), entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
}

/// The segment that `s` is written to last.
const ACTIVE: &str = "streams/s/00000000000000000009.log";

#[derive(Debug, PartialEq)]
enum Class {
    Detected,
    Harmless,
}

/// Opens the damaged store and classes what is seen of both streams; panics on anything wrong or silently lost.
fn judge(damaged: &Image, expected: &BTreeMap<&str, Seen>, what: &str) -> Class {
    let store = match Store::open_simulated(options(Durability::Always), &damaged.mount()) {
        Ok(store) => store,
        Err(_) => return Class::Detected,
    };
    let mut class = Class::Harmless;
    for (name, expected) in expected {
        let stream = store.stream(name).unwrap();
        match look(&stream) {
            Ok(seen) => assert_eq!(&seen, expected, "{what}: stream {name} reads differently, without an error"),
            Err(_) => class = Class::Detected,
        }
        // What is returned beside errors is right, from both ends.
        for backward in [false, true] {
            let range = stream.range(..);
            let entries: Vec<_> = if backward { range.rev().collect() } else { range.collect() };
            let sound: Vec<_> = entries.iter().flatten().map(seen).collect();
            assert!(sound.iter().all(|entry| expected.entries.contains(entry)), "{what}: an entry that never was");
            let all_there = sound.len() == expected.entries.len();
            assert!(all_there || entries.iter().any(Result::is_err), "{what}: entries are missing without an error");
        }
    }
    class
}

/// Runs the cases on all cores; returns how many were detected and how many harmless.
fn run(cases: Vec<(String, Image)>, original: &Image) -> (usize, usize) {
    let store = Store::open_simulated(options(Durability::Always), &original.mount()).unwrap();
    let expected: BTreeMap<&str, Seen> =
        ["s", "other"].into_iter().map(|name| (name, look(&store.stream(name).unwrap()).unwrap())).collect();
    let (next, detected) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (cases, expected) = (Arc::new(cases), &expected);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((what, damaged)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let class = judge(damaged, expected, what);
                    detected.fetch_add(usize::from(class == Class::Detected), Ordering::Relaxed);
                    // Of these there is no second copy: an index, a sealed segment's shapes and seal, a slot of `meta`.
                    let only = what.contains("LOCK") || what.contains(".journal") || what.contains(ACTIVE);
                    let noticed = class == Class::Detected || !only || what.contains("padding");
                    assert!(noticed, "{what} was not noticed");
                }
            });
        }
    });
    let detected = detected.into_inner();
    (detected, cases.len() - detected)
}

/// The bytes of a file up to the last that is not zero, and how many there are.
fn live(image: &Image, path: &std::path::Path) -> (usize, usize) {
    let bytes = image.file(path).unwrap();
    (bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1), bytes.len())
}

#[test]
fn every_flipped_bit_is_detected_or_harmless() {
    let original = everything();
    let mut cases = Vec::new();
    for path in original.files() {
        let (live, len) = live(&original, path);
        let name = path.display();
        if name.to_string().contains("reserve") {
            continue;
        }
        let is_meta = path.ends_with("meta");
        for byte in 0..len {
            // The slots of `meta` are mostly zeros, all of them alike: every 16th will do. Elsewhere zeros behind the
            // last record are room for the next one.
            let bits = match () {
                () if is_meta && original.file(path).unwrap()[byte] == 0 && byte % 16 != 0 => 0..0,
                () if byte < live => 0..8,
                () if byte % 64 == 0 || byte < live + 8 => 3..4,
                () => 0..0,
            };
            let padding = if byte < live { "" } else { " (padding)" };
            for bit in bits {
                let mut damaged = original.clone();
                damaged.file_mut(path).unwrap()[byte] ^= 1 << bit;
                cases.push((format!("{name}{padding}, bit {bit} of byte {byte}"), damaged));
            }
        }
    }
    let count = cases.len();
    let (detected, harmless) = run(cases, &original);
    println!("{count} bits flipped: {detected} detected, {harmless} harmless, none wrong, none silently lost");
    assert!(count > 60_000 && detected > count / 2, "{count} cases, {detected} detected");
}

#[test]
fn every_truncation_removal_and_zeroed_sector_is_detected_or_harmless() {
    let original = everything();
    let mut cases = Vec::new();
    for path in original.files() {
        let (live, len) = live(&original, path);
        let name = path.display();
        // An entry is lost with its bytes; the room behind the last one is not missed, nor the zeros at the end.
        for cut in (0..live).chain((live..len).step_by(256)) {
            let padding = if cut < live { "" } else { " (padding)" };
            let mut damaged = original.clone();
            damaged.file_mut(path).unwrap().truncate(cut);
            cases.push((format!("{name}{padding} cut to {cut} bytes"), damaged));
        }
        for sector in (0..live).step_by(512) {
            let mut damaged = original.clone();
            let bytes = damaged.file_mut(path).unwrap();
            let end = (sector + 512).min(bytes.len());
            let blank = bytes[sector..end].iter().all(|&byte| byte == 0);
            bytes[sector..end].fill(0);
            let padding = if blank { " (padding)" } else { "" };
            cases.push((format!("{name}{padding} zeroed from {sector}"), damaged));
        }
        let mut damaged = original.clone();
        damaged.remove(path);
        cases.push((format!("{name} removed"), damaged));
    }
    let count = cases.len();
    let (detected, harmless) = run(cases, &original);
    println!("{count} files cut, removed or zeroed in part: {detected} detected, {harmless} harmless");
    assert!(count > 10_000 && detected > count / 2, "{count} cases, {detected} detected");
}
