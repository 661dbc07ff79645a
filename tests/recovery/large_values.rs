//! Promise: whatever the bytes of a value look like, damage to them costs no entry behind them (P4).
//!
//! Where a frame is damaged, the next one is looked for at every byte. Those of a picture or of what is compressed or
//! encrypted look like the beginnings of frames of any length.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use streamlog::inspect::Inspection;
use streamlog::sim::{Image, SimDisk};
use streamlog::{AddOptions, Error, OnDamage, Options, Position, Store, Stream, StreamId};

/// The entry with the large value, and the last one.
const LARGE: u64 = 4;
const LAST: u64 = 30;

fn open(disk: &Arc<SimDisk>, policy: OnDamage) -> Store {
    Store::open_simulated(Options::new().on_damage(policy), disk).unwrap()
}

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn add(stream: &Stream, ms: u64, value: &[u8]) {
    stream.add_with(AddOptions::new().id(id(ms)), [(&b"n"[..], value)]).unwrap();
}

/// Bytes that cannot be compressed.
fn noise(len: usize) -> Vec<u8> {
    let mut state = len as u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| byte()).collect()
}

/// The segment that holds the value, and where it begins there.
fn place_of(image: &Image, value: &[u8]) -> (PathBuf, usize) {
    let is_segment = |path: &&Path| path.extension().is_some_and(|end| end == "log");
    let place = |path: &Path| Some((path.to_owned(), find(image.file(path)?, &value[..32])?));
    image.files().filter(is_segment).find_map(place).unwrap()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn segments(image: &Image) -> Vec<&Path> {
    image.files().filter(|path| path.extension().is_some_and(|end| end == "log")).collect()
}

/// A store with one large value among small ones, with room for all of them in a segment; what is on the disk if its process is
/// killed.
fn killed(large: &[u8]) -> Image {
    let disk = SimDisk::new();
    let store = open(&disk, OnDamage::Refuse);
    let stream = store.stream("s").unwrap();
    for ms in 1..=LAST {
        match ms {
            // Segments grow.
            1 => add(&stream, ms, &vec![b'.'; large.len()]),
            LARGE => add(&stream, ms, large),
            _ => add(&stream, ms, b"small"),
        }
    }
    disk.kill_image(disk.steps())
}

/// The same with a value damaged in each of several ways, one after the other.
fn each_damage(image: &Image, large: &[u8], mut check: impl FnMut(&Image, &str)) {
    let (path, at) = place_of(image, large);
    // What is before the value is that of the frame.
    for spot in (at - 12..at).chain([at, at + large.len() / 2, at + large.len() - 1]) {
        let mut damaged = image.clone();
        damaged.file_mut(&path).unwrap()[spot] ^= 0x04;
        check(&damaged, &format!("a bit at {} of {}", spot as i64 - at as i64, large.len()));
    }
    for sector in [at / 512 + 1, (at + large.len()) / 512 - 1] {
        for fill in [noise(512), vec![0; 512]] {
            let mut damaged = image.clone();
            damaged.file_mut(&path).unwrap()[sector * 512..][..512].copy_from_slice(&fill);
            check(&damaged, &format!("sector {sector} of {}", large.len()));
        }
    }
}

/// The milliseconds of all entries, 0 for an error in their place.
fn seen(stream: &Stream) -> Vec<u64> {
    let ms = |entry: streamlog::Result<streamlog::Entry>| match entry {
        Ok(entry) => entry.id().ms(),
        Err(Error::Corrupt { ids: Some(_), .. }) => 0,
        Err(error) => panic!("{error}"),
    };
    stream.range(..).map(ms).collect()
}

fn all_but_the_large_one() -> Vec<u64> {
    (1..=LAST).map(|ms| if ms == LARGE { 0 } else { ms }).collect()
}

#[test]
fn a_damaged_large_value_is_not_taken_for_a_torn_append() {
    for len in [9_000, 300_000] {
        let large = noise(len);
        let image = killed(&large);
        assert_eq!(segments(&image).last(), Some(&&*place_of(&image, &large).0), "it is in the last segment");
        each_damage(&image, &large, |damaged, what| {
            let refused = open(&damaged.mount(), OnDamage::Refuse).stream("s").unwrap().len();
            assert!(matches!(refused, Err(Error::Corrupt { .. })), "{what}: {refused:?}");
            let store = open(&damaged.mount(), OnDamage::Quarantine);
            let stream = store.stream("s").unwrap();
            let recovery = stream.recovery().unwrap();
            assert_eq!((seen(&stream), recovery.damage.len()), (all_but_the_large_one(), 1), "{what}");
            assert_eq!(recovery.damage[0].entries_lost, Some(1), "{what}");
            assert!(recovery.last_id >= id(LAST), "{what}: an ID would be given out again");
        });
    }
}

#[test]
fn a_repair_keeps_what_is_behind_a_damaged_large_value() {
    for len in [9_000, 300_000] {
        let large = noise(len);
        let disk = killed(&large).mount();
        let store = open(&disk, OnDamage::Refuse);
        let stream = store.stream("s").unwrap();
        // Another segment.
        add(&stream, LAST + 1, &vec![b'.'; 16 * len]);
        store.close().unwrap();
        let image = disk.kill_image(disk.steps());
        assert_ne!(segments(&image).last(), Some(&&*place_of(&image, &large).0), "it is sealed");
        each_damage(&image, &large, |damaged, what| {
            let disk = damaged.mount();
            let verified = Inspection::open_simulated(&disk).unwrap().verify().unwrap();
            let lost: Vec<_> =
                verified.iter().flat_map(|report| &report.findings).map(|finding| finding.entries_lost).collect();
            assert_eq!(lost, [Some(1)], "{what}");
            let store = open(&disk, OnDamage::Refuse);
            let stream = store.stream("s").unwrap();
            assert_eq!(seen(&stream), [all_but_the_large_one(), vec![LAST + 1]].concat(), "{what}");
            assert_eq!(store.repair("s").unwrap().unwrap().entries_lost, 1, "{what}");
            let kept: Vec<u64> = (1..=LAST + 1).filter(|&ms| ms != LARGE).collect();
            assert_eq!(seen(&store.stream("s").unwrap()), kept, "{what}");
        });
    }
}

/// What a crash cuts short most often: nothing of it was acknowledged, and it keeps nobody from going on.
#[test]
fn a_large_value_that_a_crash_cut_short_is_still_torn() {
    let large = noise(300_000);
    let disk = killed(&noise(9_000)).mount();
    let store = open(&disk, OnDamage::Refuse);
    add(&store.stream("s").unwrap(), LAST + 1, &large);
    let image = disk.kill_image(disk.steps());
    let (path, at) = place_of(&image, &large);
    let end = at + large.len();
    for (from, to) in
        [(at + 512, end), (at + large.len() / 2, end), (end - 1, end), (at, at + 512), (at + 5000, at + 6000)]
    {
        let mut torn = image.clone();
        torn.file_mut(&path).unwrap()[from..to].fill(0);
        let disk = torn.mount();
        let store = open(&disk, OnDamage::Refuse);
        let stream = store.stream("s").unwrap();
        let recovery = stream.recovery().unwrap();
        assert!(recovery.has_dropped() && recovery.damage.is_empty(), "without {from} to {to}: {recovery:?}");
        assert_eq!(seen(&stream), (1..=LAST).collect::<Vec<_>>(), "without {from} to {to}");
        add(&stream, LAST + 1, b"again");
    }
}

/// The journal is read in the same way.
#[test]
fn a_damaged_large_name_is_not_taken_for_a_torn_change() {
    let name = noise(50_000);
    let disk = SimDisk::new();
    let store = open(&disk, OnDamage::Refuse);
    let stream = store.stream("s").unwrap();
    add(&stream, 1, b"small");
    stream.group(&name).create(Position::Start).unwrap();
    stream.group("g").create(Position::Start).unwrap();
    stream.delete([id(1)]).unwrap();
    let mut image = disk.kill_image(disk.steps());
    let journal = image.file_mut("streams/s/00000000000000000001.journal").unwrap();
    let at = find(journal, &name[..32]).unwrap();
    journal[at + 100] ^= 1;
    let refused = open(&image.mount(), OnDamage::Refuse).stream("s").unwrap().len();
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
}
