//! Promise: a damaged stream can go on, with an error in the place of what is lost, and nothing else lost.

use std::path::Path;
use std::sync::Arc;

use streamlog::sim::{Image, SimDisk};
use streamlog::{
    AddOptions, Deletion, Error, OnDamage, Options, Position, References, Retention, Store, Stream, StreamId, Trim,
};

const LOG: &str = "streams/s/00000000000000000001.log";
const JOURNAL: &str = "streams/s/00000000000000000001.journal";

fn options() -> Options {
    Options::new().segment_bytes_max(8192)
}

fn open(disk: &Arc<SimDisk>, policy: OnDamage) -> Store {
    Store::open_simulated(options().on_damage(policy), disk).unwrap()
}

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn add(stream: &Stream, ms: u64) {
    stream.add_with(AddOptions::new().id(id(ms)), [("n", format!("value of {ms}."))]).unwrap();
}

/// What reading gives: the milliseconds of entries, 0 for an error in their place.
fn seen(stream: &Stream) -> Vec<u64> {
    let ms = |entry: streamlog::Result<streamlog::Entry>| match entry {
        Ok(entry) => entry.id().ms(),
        Err(Error::Corrupt { ids: Some(_), .. }) => 0,
        Err(error) => panic!("{error}"),
    };
    let forward: Vec<u64> = stream.range(..).map(ms).collect();
    let mut backward: Vec<u64> = stream.range(..).rev().map(ms).collect();
    backward.reverse();
    assert_eq!(backward, forward);
    forward
}

/// A store with six entries, a group that has read four of them and acknowledged the second, and one deleted entry; what is on the
/// disk if its process is killed.
fn killed() -> Image {
    let disk = SimDisk::new();
    let store = open(&disk, OnDamage::Refuse);
    let stream = store.stream("s").unwrap();
    (1..=6).for_each(|ms| add(&stream, ms));
    let group = stream.group("g");
    group.create(Position::Start).unwrap();
    for _ in 0..4 {
        group.consumer("carol").read().count(1).new_entries().unwrap();
    }
    group.acknowledge([id(2)]).unwrap();
    stream.delete([id(5)]).unwrap();
    store.stream("other").unwrap().add([("sound", "yes")]).unwrap();
    disk.kill_image(disk.steps())
}

fn find(bytes: &[u8], wanted: &str) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted.as_bytes()).unwrap()
}

fn pending(stream: &Stream) -> Vec<u64> {
    stream.group("g").pending_entries().run().unwrap().iter().map(|entry| entry.id.ms()).collect()
}

/// A stream that is refused as it is, and opened with its damage quarantined; a second opening finds nothing new.
#[track_caller]
fn quarantined(image: &Image, check: impl Fn(&Stream)) -> Vec<streamlog::Finding> {
    let refused = open(&image.mount(), OnDamage::Refuse);
    let error = refused.stream("s").unwrap().len().unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert_eq!(refused.stream("other").unwrap().len().unwrap(), 1, "other streams open");
    drop(refused);
    let disk = image.mount();
    let store = open(&disk, OnDamage::Quarantine);
    let stream = store.stream("s").unwrap();
    let recovery = stream.recovery().unwrap();
    assert!(!recovery.is_clean && !recovery.damage.is_empty(), "{recovery:?}");
    assert!(recovery.damage.iter().all(streamlog::Finding::is_damage), "{recovery:?}");
    check(&stream);
    // Life goes on, and the next process need not be told to accept it.
    let added = stream.add([("n", "afterwards")]).unwrap();
    // The sixth had an ID of the user's choice, which nothing but the entry tells of.
    assert!(added > recovery.last_id && recovery.last_id >= id(5));
    store.close().unwrap();
    let store = open(&disk, OnDamage::Refuse);
    let stream = store.stream("s").unwrap();
    assert!(stream.recovery().unwrap().damage.is_empty());
    assert_eq!(stream.get(added).unwrap().unwrap().id(), added);
    stream.delete([added]).unwrap();
    check(&stream);
    recovery.damage
}

#[test]
fn a_damaged_entry_of_the_last_segment_is_told_in_its_place() {
    let mut image = killed();
    let bytes = image.file_mut(LOG).unwrap();
    let at = find(bytes, "value of 3.");
    bytes[at] ^= 1;
    let damage = quarantined(&image, |stream| {
        assert_eq!(seen(stream), [1, 2, 0, 4, 6]);
        assert_eq!(pending(stream), [1, 3, 4]);
        assert_eq!(stream.len().unwrap(), 5, "what is damaged still counts");
    });
    let [finding] = &damage[..] else { panic!("{damage:?}") };
    assert_eq!((finding.ids.unwrap().after, finding.ids.unwrap().through), (id(2), id(4).previous()));
    assert_eq!(finding.entries_lost, Some(1));
    assert!(finding.path.ends_with(LOG) && finding.offset < at as u64);
}

#[test]
fn the_end_of_the_last_segment_can_be_lost() {
    // The last entry, of which the superblock knows that it was synced, as the store was closed.
    let disk = killed().mount();
    open(&disk, OnDamage::Refuse).stream("s").unwrap().len().unwrap();
    let mut image = disk.kill_image(disk.steps());
    let bytes = image.file_mut(LOG).unwrap();
    let at = find(bytes, "value of 6.");
    bytes[at..].fill(0);
    let damage = quarantined(&image, |stream| {
        assert_eq!(seen(stream), [1, 2, 3, 4, 0]);
        assert_eq!(pending(stream), [1, 3, 4]);
    });
    assert_eq!(damage.last().unwrap().ids.unwrap().after, id(5));
}

#[test]
fn a_missing_or_unreadable_last_segment_costs_its_entries_and_no_group_forgets_what_it_read() {
    for missing in [true, false] {
        let mut image = killed();
        match missing {
            true => image.remove(LOG),
            false => image.file_mut(LOG).unwrap()[..192].fill(7),
        }
        let damage = quarantined(&image, |stream| {
            assert_eq!(seen(stream), [0]);
            assert_eq!(pending(stream), [1, 3, 4]);
        });
        assert!(damage.iter().any(|finding| finding.path.ends_with(LOG)), "{damage:?}");
    }
}

#[test]
fn of_a_damaged_journal_the_changes_before_the_damage_are_kept_and_the_file_is_copied() {
    let mut image = killed();
    let before = image.file(JOURNAL).unwrap().to_vec();
    let bytes = image.file_mut(JOURNAL).unwrap();
    // In the deletion, which is the last change: the one before it says that it was synced. So it is that one that is hit.
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    bytes[end - 30] ^= 1;
    let damaged = bytes.to_vec();
    assert_ne!(damaged, before);
    let disk = image.mount();
    let store = open(&disk, OnDamage::Quarantine);
    let stream = store.stream("s").unwrap();
    let recovery = stream.recovery().unwrap();
    assert!(recovery.damage.iter().any(|finding| finding.path.ends_with(JOURNAL)), "{recovery:?}");
    let kept = disk.kill_image(disk.steps());
    assert_eq!(kept.file("quarantine/s/00000000000000000001.journal").unwrap(), damaged);
    assert!(kept.file(JOURNAL).is_none());
    assert_eq!(seen(&stream), [1, 2, 3, 4, 5, 6]);
    // The acknowledgement of the second may have been lost, but no delivery that was acknowledged before it was.
    assert!(pending(&stream).starts_with(&[1]));
}

#[test]
fn groups_begin_again_if_the_journal_does_not_tell_what_was_pending() {
    let disk = killed().mount();
    // A generation that begins with a group, and is noted in the superblock.
    let store = Store::open_simulated(options().checkpoint_bytes_min(0), &disk).unwrap();
    store.stream("s").unwrap().group("g").consumer("carol").read().count(1).new_entries().unwrap();
    (0..40).for_each(|_| store.stream("s").unwrap().group("g").set_position(Position::After(id(4)), None).unwrap());
    store.close().unwrap();
    let mut image = disk.kill_image(disk.steps());
    let journal = image.files().find(|path| path.to_string_lossy().ends_with(".journal")).unwrap().to_owned();
    assert_ne!(journal.file_name().unwrap(), "00000000000000000001.journal");
    // The record of the consumer, whose name is in it, is one of the checkpoint.
    let bytes = image.file_mut(&journal).unwrap();
    let at = find(bytes, "carol");
    bytes[at] ^= 1;
    quarantined(&image, |stream| {
        assert_eq!(seen(stream), [1, 2, 3, 4, 6]);
        assert_eq!(pending(stream), []);
        assert_eq!(stream.group("g").info().unwrap().last_delivered_id, StreamId::MIN);
    });
}

#[test]
fn a_superblock_is_made_again_from_the_files_beside_it() {
    for cut in [false, true] {
        let mut image = killed();
        let meta = image.file_mut("streams/s/meta").unwrap();
        match cut {
            true => meta.truncate(10),
            false => meta.fill(0xaa),
        }
        quarantined(&image, |stream| {
            assert_eq!(seen(stream), [1, 2, 3, 4, 6]);
            assert_eq!(pending(stream), [1, 3, 4]);
        });
        let mut image = killed();
        image.remove("streams/s/meta");
        quarantined(&image, |stream| assert_eq!(seen(stream), [1, 2, 3, 4, 6]));
    }
}

#[test]
fn missing_segments_at_the_front_are_told_as_well() {
    let disk = SimDisk::new();
    let store = open(&disk, OnDamage::Refuse);
    let stream = store.stream("s").unwrap();
    let value = "x".repeat(1000);
    for ms in 1..=12 {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", &value)]).unwrap();
    }
    store.stream("other").unwrap().add([("sound", "yes")]).unwrap();
    store.close().unwrap();
    let mut image = disk.kill_image(disk.steps());
    image.remove(LOG);
    quarantined(&image, |stream| assert_eq!(seen(stream), [0, 4, 5, 6, 7, 8, 9, 10, 11, 12]));
}

/// Entries are there as they were, or within the IDs that an error names, or were never known to be synced.
#[test]
fn no_byte_of_a_stream_costs_more_than_is_told() {
    let sound = killed();
    let files: Vec<_> = sound.files().filter(|path| path.starts_with("streams/s")).map(Into::into).collect();
    let originals = [1, 2, 3, 4, 6];
    let (mut opened, mut told) = (0, 0);
    for file in files {
        let file: std::path::PathBuf = file;
        let bytes = sound.file(&file).unwrap();
        let len = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 2;
        for at in 0..len.min(bytes.len()) {
            let mut image = sound.clone();
            image.file_mut(&file).unwrap()[at] ^= 0x10;
            let store = open(&image.mount(), OnDamage::Quarantine);
            let stream = store.stream("s").unwrap();
            let context = format!("byte {at} of {}", file.display());
            let recovery = match stream.recovery() {
                Ok(recovery) => recovery,
                // A version or feature that is not known is not damage.
                Err(Error::Unsupported { .. }) => continue,
                Err(error) => panic!("{context}: {error}"),
            };
            opened += 1;
            let (mut there, mut ranges) = (Vec::new(), Vec::new());
            for entry in stream.range(..) {
                match entry {
                    Ok(entry) => {
                        let ms = entry.id().ms();
                        assert_eq!(entry.get("n"), Some(format!("value of {ms}.").as_bytes()), "{context}");
                        there.push(ms);
                    }
                    Err(Error::Corrupt { ids: Some(ids), .. }) => ranges.push(ids),
                    Err(error) => panic!("{context}: {error}"),
                }
            }
            told += ranges.len();
            let is_told = |ms: u64| {
                ranges.iter().any(|ids| ids.after < id(ms) && ids.through.is_none_or(|through| through >= id(ms)))
            };
            for ms in originals.into_iter().filter(|ms| !there.contains(ms)) {
                assert!(
                    is_told(ms) || recovery.has_dropped(),
                    "{context}: {ms} of {there:?}, {ranges:?}, {recovery:?}"
                );
            }
            // One that was deleted may come back if the journal says that it was damaged.
            let is_new = |ms: &u64| !originals.contains(ms) && (*ms != 5 || recovery.is_clean);
            assert_eq!(there.iter().find(|ms| is_new(ms)), None, "{context}: {there:?}");
            // What was acknowledged may be pending again, but what was pending is, or is new.
            let group = stream.group("g");
            if let Ok(info) = group.info() {
                let pending = pending(&stream);
                for ms in [1, 3, 4] {
                    let is_new = info.last_delivered_id < id(ms);
                    assert!(pending.contains(&ms) || is_new, "{context}: {ms} is not among {pending:?}, {info:?}");
                }
            } else {
                assert!(!recovery.damage.is_empty() || recovery.has_dropped(), "{context}: {recovery:?}");
            }
        }
    }
    assert!(opened > 1000 && told > 300, "{opened} opened, {told} errors in the place of entries");
}

/// A store whose third entry is damaged.
fn third_damaged() -> Image {
    let mut image = killed();
    let bytes = image.file_mut(LOG).unwrap();
    let at = find(bytes, "value of 3.");
    bytes[at] ^= 1;
    image
}

#[test]
fn a_group_is_told_of_lost_entries_once_and_goes_on_behind_them() {
    let disk = third_damaged().mount();
    let store = open(&disk, OnDamage::Quarantine);
    let stream = store.stream("s").unwrap();
    let group = stream.group("late");
    group.create(Position::Start).unwrap();
    let read = |count| {
        let read = group.consumer("carol").read().count(count).new_entries();
        read.map(|entries| entries.iter().map(|entry| entry.id().ms()).collect::<Vec<_>>())
    };
    assert_eq!(read(10).unwrap(), [1, 2]);
    let error = read(10).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { ids: Some(ids), .. } if ids.after == id(2)), "{error}");
    drop((stream, store));
    // That it was told is durable.
    let store = open(&disk.kill_image(disk.steps()).mount(), OnDamage::Refuse);
    let group = store.stream("s").unwrap().group("late");
    let read = group.consumer("carol").read().new_entries().unwrap();
    assert_eq!(read.iter().map(|entry| entry.id().ms()).collect::<Vec<_>>(), [4, 6]);
}

#[test]
fn a_group_that_is_not_to_go_on_stays_before_lost_entries() {
    let disk = third_damaged().mount();
    open(&disk, OnDamage::Quarantine).stream("s").unwrap().len().unwrap();
    // What is damaged is not in the last segment any more, so the stream opens.
    let store = open(&disk, OnDamage::Refuse);
    let group = store.stream("s").unwrap().group("late");
    group.create(Position::After(id(2))).unwrap();
    for _ in 0..3 {
        let error = group.consumer("carol").read().new_entries().unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }
    let Err(Error::Corrupt { ids: Some(ids), .. }) = group.consumer("carol").read().new_entries() else { panic!() };
    group.set_position(Position::After(ids.through.unwrap()), None).unwrap();
    assert_eq!(group.consumer("carol").read().new_entries().unwrap().len(), 2);
}

#[test]
fn pending_entries_that_are_lost_keep_nobody_from_the_others() {
    let read = |store: &Store| {
        let group = store.stream("s").unwrap().group("g");
        let history = group.consumer("carol").read().history(StreamId::MIN)?;
        Ok(history.iter().map(|found| (found.id.ms(), found.entry.is_some())).collect::<Vec<_>>())
    };
    let disk = third_damaged().mount();
    let store = open(&disk, OnDamage::Quarantine);
    assert_eq!(read(&store).unwrap(), [(1, true), (3, false), (4, true)]);
    let group = store.stream("s").unwrap().group("g");
    let taken = group.consumer("d").auto_claim(std::time::Duration::ZERO).run().unwrap();
    assert_eq!(taken.entries.iter().map(|entry| entry.id().ms()).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(taken.deleted, [id(3)]);
    // Where it is not to go on, it is an error; but for those that are not lost there is none.
    let disk = third_damaged().mount();
    open(&disk, OnDamage::Quarantine).stream("s").unwrap().len().unwrap();
    let store = open(&disk, OnDamage::Refuse);
    let error: Error = read(&store).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    let group = store.stream("s").unwrap().group("g");
    let taken = group.consumer("d").claim(std::time::Duration::ZERO, [id(1), id(4)]).run().unwrap();
    assert_eq!(taken.iter().map(|entry| entry.id().ms()).collect::<Vec<_>>(), [1, 4]);
}

/// A repair leaves a sound stream, in which what could not be read before is deleted.
#[track_caller]
fn repaired(image: &Image, entries: &[u64]) -> streamlog::Repaired {
    let disk = image.mount();
    let store = open(&disk, OnDamage::Refuse);
    let stream = store.stream("s").unwrap();
    let repaired = store.repair("s").unwrap().unwrap();
    assert!(!repaired.damage.is_empty());
    assert_eq!((seen(&stream), stream.len().unwrap()), (entries.to_vec(), entries.len() as u64), "{repaired:?}");
    for ms in 1..=20 {
        let found = stream.get(id(ms)).unwrap().map(|entry| entry.id().ms());
        assert_eq!(found, entries.contains(&ms).then_some(ms));
    }
    let again = store.repair("s").unwrap().unwrap();
    assert_eq!((again.damage, again.entries_lost, again.copies), (Vec::new(), 0, Vec::new()));
    let added = stream.add([("n", "afterwards")]).unwrap();
    store.close().unwrap();
    let verified = streamlog::inspect::Inspection::open_simulated(&disk).unwrap().verify().unwrap();
    let damage: Vec<_> = verified.iter().flat_map(|report| &report.findings).filter(|it| it.is_damage()).collect();
    assert!(damage.is_empty(), "{damage:?}");
    let store = open(&disk, OnDamage::Refuse);
    let stream = store.stream("s").unwrap();
    assert_eq!(seen(&stream), [entries, &[added.ms()]].concat());
    let kept = disk.kill_image(disk.steps());
    for copy in &repaired.copies {
        let copy = copy.strip_prefix("simulated").unwrap();
        let name = copy.file_name().unwrap().to_string_lossy().trim_end_matches(".2").to_owned();
        let original = std::path::Path::new("streams/s").join(name);
        // What stands for a missing segment was not there before.
        if let Some(original) = image.file(original) {
            assert_eq!(kept.file(copy).unwrap(), original, "{}", copy.display());
        }
    }
    repaired
}

#[test]
fn a_damaged_first_entry_keeps_no_group_from_reading_and_nobody_from_looking() {
    let mut image = killed();
    let bytes = image.file_mut(LOG).unwrap();
    let at = find(bytes, "value of 1.");
    bytes[at] ^= 1;
    let store = open(&image.mount(), OnDamage::Quarantine);
    let stream = store.stream("s").unwrap();
    assert_eq!(stream.groups().unwrap().len(), 1);
    assert_eq!(stream.info().unwrap().first_entry.unwrap().id(), id(2));
    let read = stream.group("g").consumer("carol").read().new_entries().unwrap();
    assert_eq!(read.iter().map(|entry| entry.id().ms()).collect::<Vec<_>>(), [6]);
}

#[test]
fn a_segment_of_another_copy_of_the_store_is_kept_and_followed_again() {
    let before = killed();
    let live = |value: &str| {
        let disk = before.mount();
        let stream = open(&disk, OnDamage::Refuse).stream("s").unwrap();
        for ms in 7..=600 {
            stream.add_with(AddOptions::new().id(id(ms)), [("n", format!("{value} of {ms}."))]).unwrap();
        }
        disk.kill_image(disk.steps())
    };
    let (mut image, other) = (live("value"), live("VALUE"));
    let segments: Vec<_> = image.files().filter(|path| path.to_string_lossy().ends_with(".log")).collect();
    let segments: Vec<_> =
        segments.into_iter().filter(|path| path.starts_with("streams/s")).map(Path::to_owned).collect();
    let [_, second, _, ..] = &segments[..] else { panic!("{segments:?}") };
    image.put(second, other.file(second).unwrap().to_vec());
    let all: Vec<u64> = (1..=600).filter(|&ms| ms != 5).collect();
    let outcome = repaired(&image, &all);
    assert_eq!((outcome.entries_lost, outcome.copies.len()), (0, 1));
}

#[test]
fn a_repair_deletes_what_cannot_be_read_and_keeps_the_rest() {
    // In the last segment.
    let outcome = repaired(&third_damaged(), &[1, 2, 4, 6]);
    assert_eq!((outcome.entries_lost, outcome.copies.len()), (1, 1));
    // In segments of three entries each.
    let disk = SimDisk::new();
    let store = open(&disk, OnDamage::Refuse);
    let stream = store.stream("s").unwrap();
    let value = |ms: u64| format!("value of {ms}.{}", "x".repeat(2000));
    for ms in 1..=14 {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", value(ms))]).unwrap();
    }
    stream.delete([id(7)]).unwrap();
    store.close().unwrap();
    let sound = disk.kill_image(disk.steps());
    let segments: Vec<_> = sound.files().filter(|path| path.to_string_lossy().ends_with(".log")).collect();
    let segments: Vec<_> = segments.into_iter().map(std::path::Path::to_path_buf).collect();
    assert!(segments.len() >= 5, "{segments:?}");
    let all = |without: &[u64]| (1..=14).filter(|ms| *ms != 7 && !without.contains(ms)).collect::<Vec<u64>>();
    let holding = |ms: u64| {
        let wanted = format!("value of {ms}.");
        segments
            .iter()
            .position(|path| sound.file(path).unwrap().windows(wanted.len()).any(|window| window == wanted.as_bytes()))
    };
    for ms in (1..=14).filter(|ms| *ms != 7) {
        let path = &segments[holding(ms).unwrap()];
        if Some(path) == segments.last() {
            continue;
        }
        let mut image = sound.clone();
        let bytes = image.file_mut(path).unwrap();
        let at = find(bytes, &format!("value of {ms}."));
        bytes[at] ^= 1;
        assert_eq!(repaired(&image, &all(&[ms])).entries_lost, 1, "entry {ms}");
    }
    for (at, path) in segments.iter().enumerate() {
        let inside: Vec<u64> = (1..=14).filter(|&ms| ms != 7 && holding(ms) == Some(at)).collect();
        // The seal, which no entry depends on.
        if at + 1 < segments.len() {
            let mut image = sound.clone();
            let bytes = image.file_mut(path).unwrap();
            let end = bytes.len();
            bytes[end - 3] ^= 1;
            assert_eq!(repaired(&image, &all(&[])).entries_lost, 0);
        }
        let mut image = sound.clone();
        image.remove(path);
        repaired(&image, &all(&inside));
        let mut image = sound.clone();
        image.file_mut(path).unwrap()[100] ^= 1;
        repaired(&image, &all(&inside));
        let mut image = sound.clone();
        image.file_mut(path).unwrap().truncate(300);
        repaired(&image, &all(&inside));
    }
}

/// A store with six entries, all of them read by a group that has acknowledged all but the fourth; some of them are damaged.
fn damaged(lost: &[u64]) -> Image {
    let disk = SimDisk::new();
    let store = open(&disk, OnDamage::Refuse);
    let stream = store.stream("s").unwrap();
    (1..=6).for_each(|ms| add(&stream, ms));
    let group = stream.group("g");
    group.create(Position::Start).unwrap();
    group.consumer("carol").read().new_entries().unwrap();
    group.acknowledge([1, 2, 3, 5, 6].map(id)).unwrap();
    store.sync().unwrap();
    let mut image = disk.kill_image(disk.steps());
    let bytes = image.file_mut(LOG).unwrap();
    for ms in lost {
        let at = find(bytes, &format!("value of {ms}."));
        bytes[at] ^= 1;
    }
    image
}

/// The first entry that can be read.
fn first(stream: &Stream) -> Option<StreamId> {
    stream.info().unwrap().first_entry.map(|entry| entry.id())
}

fn acknowledged(trim: Trim) -> Trim {
    trim.references(References::Acknowledged)
}

/// What was read and acknowledged goes, and so does what is lost among it: no group has yet to come to it.
#[test]
fn a_trim_of_what_is_acknowledged_goes_on_behind_damage() {
    for lost in [&[1][..], &[2], &[2, 3], &[1, 3, 5]] {
        let store = open(&damaged(lost).mount(), OnDamage::Quarantine);
        let stream = store.stream("s").unwrap();
        assert_eq!(stream.trim(acknowledged(Trim::to_len(0))).unwrap(), 5, "{lost:?}");
        assert_eq!((stream.len().unwrap(), stream.get(id(4)).unwrap().is_some()), (1, true), "{lost:?}");
        assert_eq!(pending(&stream), [4]);
        stream.group("g").acknowledge([id(4)]).unwrap();
        assert_eq!(stream.trim(acknowledged(Trim::to_len(0))).unwrap(), 1);
        assert_eq!(stream.len().unwrap(), 0);
    }
    // No more than asked for, the oldest first, lost or not.
    let store = open(&damaged(&[2, 3]).mount(), OnDamage::Quarantine);
    let stream = store.stream("s").unwrap();
    assert_eq!(stream.trim(acknowledged(Trim::to_len(4))).unwrap(), 2);
    assert_eq!(stream.trim(acknowledged(Trim::before(id(4)))).unwrap(), 1);
    assert_eq!((stream.len().unwrap(), first(&stream)), (3, Some(id(4))));
}

/// That it is lost is told to each group first.
#[test]
fn what_is_lost_stays_until_every_group_has_passed_it() {
    let store = open(&damaged(&[2]).mount(), OnDamage::Quarantine);
    let stream = store.stream("s").unwrap();
    let late = stream.group("late");
    late.create(Position::Start).unwrap();
    assert_eq!(stream.trim(acknowledged(Trim::to_len(0))).unwrap(), 0);
    let read = || late.consumer("dan").read().no_ack().new_entries();
    assert_eq!(read().unwrap().len(), 1);
    assert_eq!(stream.trim(acknowledged(Trim::to_len(0))).unwrap(), 1, "the first");
    assert_eq!(stream.trim(acknowledged(Trim::before(id(4)))).unwrap(), 0);
    assert!(matches!(read().unwrap_err(), Error::Corrupt { .. }));
    assert_eq!(stream.trim(acknowledged(Trim::to_len(0))).unwrap(), 1, "the second, which is lost");
    assert_eq!(read().unwrap().len(), 4);
    assert_eq!(stream.trim(acknowledged(Trim::to_len(0))).unwrap(), 3);
    assert_eq!(stream.len().unwrap(), 1);
}

/// What may be above the ID is not removed for being lost.
#[test]
fn a_trim_by_id_stops_before_what_may_have_to_stay() {
    for (lost, before, removed) in
        [(&[3][..], 3, 2), (&[3], 4, 3), (&[3, 4], 4, 2), (&[1], 1, 0), (&[1, 2], 2, 0), (&[1], 2, 1)]
    {
        for references in [References::Keep, References::Delete] {
            let store = open(&damaged(lost).mount(), OnDamage::Quarantine);
            let stream = store.stream("s").unwrap();
            let trim = Trim::before(id(before)).references(references);
            assert_eq!(stream.trim(trim).unwrap(), removed, "{lost:?} before {before}");
            assert_eq!(stream.len().unwrap(), 6 - removed);
            // With an add, too.
            let options = AddOptions::new().trim(trim);
            stream.add_with(options, [("n", "afterwards")]).unwrap();
        }
    }
}

#[test]
fn what_is_lost_is_pending_nowhere_after_a_trim_that_says_so() {
    let store = open(&damaged(&[4]).mount(), OnDamage::Quarantine);
    let stream = store.stream("s").unwrap();
    let trim = |len| stream.trim(Trim::to_len(len).references(References::Delete)).unwrap();
    assert_eq!((trim(3), pending(&stream)), (3, vec![4]));
    assert_eq!((trim(2), pending(&stream)), (1, vec![]));
    let store = open(&damaged(&[4, 5]).mount(), OnDamage::Quarantine);
    let stream = store.stream("s").unwrap();
    let trim = |len| stream.trim(Trim::to_len(len).references(References::Delete)).unwrap();
    assert_eq!((trim(2), pending(&stream)), (4, vec![4]), "it may be the one that stays");
    assert_eq!((trim(1), pending(&stream)), (1, vec![]));
}

#[test]
fn what_is_lost_is_not_found_to_be_deleted_and_keeps_nobody_from_deleting_the_rest() {
    let store = open(&damaged(&[2, 4]).mount(), OnDamage::Quarantine);
    let stream = store.stream("s").unwrap();
    assert_eq!(stream.delete([1, 2].map(id)).unwrap(), 1);
    let deleted = stream.delete_with([2, 3].map(id), References::Keep).unwrap();
    assert_eq!(deleted, [Deletion::NotFound, Deletion::Deleted]);
    let group = stream.group("g");
    let deleted = group.acknowledge_and_delete([4, 5].map(id), References::Keep).unwrap();
    assert_eq!(deleted, [Deletion::Deleted, Deletion::NotFound], "the fifth was acknowledged before");
    assert_eq!(pending(&stream), []);
    assert_eq!(stream.len().unwrap(), 4, "what is damaged still counts");
}

#[test]
fn retention_that_heeds_groups_goes_on_behind_damage() {
    let rules = Retention::new().max_len(1).acknowledged_only();
    let store = open(&damaged(&[1, 2]).mount(), OnDamage::Quarantine);
    let stream = store.stream("s").unwrap();
    stream.set_retention(rules).unwrap();
    assert_eq!((stream.len().unwrap(), first(&stream)), (3, Some(id(4))));
    // A group that has yet to be told keeps it.
    let store = open(&damaged(&[1, 2]).mount(), OnDamage::Quarantine);
    let stream = store.stream("s").unwrap();
    let late = stream.group("late");
    late.create(Position::Start).unwrap();
    stream.set_retention(rules).unwrap();
    assert_eq!(stream.len().unwrap(), 6);
    assert!(matches!(late.consumer("dan").read().no_ack().new_entries().unwrap_err(), Error::Corrupt { .. }));
    store.enforce_retention().unwrap();
    assert_eq!(stream.len().unwrap(), 4);
    // What is lost was pending, and nobody waits for it.
    let store = open(&damaged(&[4]).mount(), OnDamage::Quarantine);
    let stream = store.stream("s").unwrap();
    stream.set_retention(rules).unwrap();
    assert_eq!((stream.len().unwrap(), first(&stream)), (1, Some(id(6))));
}

/// However many of those that are pending were trimmed before: they are not waited for, and not looked for either.
#[test]
fn retention_behind_damage_does_not_wait_for_what_is_gone() {
    let gone = 1..=1100;
    let disk = SimDisk::new();
    let store = open(&disk, OnDamage::Refuse);
    let stream = store.stream("s").unwrap();
    gone.clone().for_each(|ms| add(&stream, ms));
    let group = stream.group("g");
    group.create(Position::Start).unwrap();
    group.consumer("carol").read().new_entries().unwrap();
    stream.trim(Trim::to_len(0)).unwrap();
    (2001..=2003).for_each(|ms| add(&stream, ms));
    group.consumer("carol").read().new_entries().unwrap();
    group.acknowledge((2001..=2003).map(id)).unwrap();
    store.sync().unwrap();
    let mut image = disk.kill_image(disk.steps());
    let logs: Vec<_> = image.files().filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    let last = logs.into_iter().max().unwrap().to_owned();
    let bytes = image.file_mut(&last).unwrap();
    let at = find(bytes, "value of 2001.");
    bytes[at] ^= 1;
    let store = open(&image.mount(), OnDamage::Quarantine);
    let stream = store.stream("s").unwrap();
    stream.set_retention(Retention::new().max_len(1).acknowledged_only()).unwrap();
    assert_eq!((stream.len().unwrap(), first(&stream)), (1, Some(id(2003))));
    assert_eq!(pending(&stream).len(), gone.count());
}

#[test]
fn where_a_stream_is_not_to_go_on_damage_is_an_error_and_nothing_is_removed() {
    let disk = damaged(&[2]).mount();
    open(&disk, OnDamage::Quarantine).stream("s").unwrap().len().unwrap();
    // What is damaged is not in the last segment any more, so the stream opens.
    let store = open(&disk, OnDamage::Refuse);
    let stream = store.stream("s").unwrap();
    let is_corrupt = |done: streamlog::Result<()>| assert!(matches!(done, Err(Error::Corrupt { .. })), "{done:?}");
    is_corrupt(stream.trim(acknowledged(Trim::to_len(0))).map(drop));
    is_corrupt(stream.trim(Trim::to_len(0).references(References::Delete)).map(drop));
    is_corrupt(stream.trim(Trim::before(id(2))).map(drop));
    is_corrupt(stream.delete([1, 2].map(id)).map(drop));
    is_corrupt(stream.delete_with([id(2)], References::Keep).map(drop));
    assert_eq!(stream.len().unwrap(), 6);
    assert_eq!(stream.trim(Trim::to_len(3)).unwrap(), 3, "for this nothing is read");
}

/// The superblock of a newer version, in both slots.
fn newer(meta: &mut [u8]) {
    for (slot, bytes) in (0..).zip(meta.chunks_exact_mut(4096)) {
        bytes[8] = 2;
        let mut sum = crc32fast::Hasher::new_with_initial(slot);
        sum.update(&bytes[..4092]);
        bytes[4092..].copy_from_slice(&sum.finalize().to_le_bytes());
    }
}

/// What can be wrong with the superblock of a stream.
const BROKEN: [fn(&mut Image, &str); 3] = [
    |image, path| image.file_mut(path).unwrap().fill(0xaa),
    |image, path| image.remove(path),
    |image, path| newer(image.file_mut(path).unwrap()),
];

fn is_refused<T>(result: &streamlog::Result<T>) -> bool {
    matches!(result, Err(Error::Corrupt { .. } | Error::Unsupported { .. }))
}

#[test]
fn a_stream_whose_name_cannot_be_changed_keeps_it_and_stops_no_other() {
    for damage in BROKEN {
        let mut image = killed();
        damage(&mut image, "streams/s/meta");
        let disk = image.mount();
        for policy in [OnDamage::Refuse, OnDamage::Quarantine] {
            let store = open(&disk, policy);
            assert!(is_refused(&store.rename("s", "other")));
            assert!(is_refused(&store.rename_new("s", "t")));
            assert_eq!(store.names().unwrap(), [&b"other"[..], b"s"]);
            store.stream("other").unwrap().add([("sound", "still")]).unwrap();
            store.close().unwrap();
        }
        let store = open(&disk, OnDamage::Refuse);
        assert_eq!(store.delete(["s"]).unwrap(), 1);
    }
}

/// A crash came while a stream was renamed, and then its superblock was damaged.
#[test]
fn a_rename_that_is_left_to_be_finished_keeps_no_other_stream_from_being_opened() {
    let disk = killed().mount();
    let store = open(&disk, OnDamage::Refuse);
    store.create("t").unwrap();
    let before = disk.steps();
    store.rename("s", "t").unwrap();
    let mut images = (before..disk.steps()).map(|step| disk.kill_image(step));
    let is_begun = |image: &Image| image.file("intent").is_some() && image.file("streams/s/meta").is_some();
    let begun = images.find(is_begun).expect("it is there for a while");
    for damage in BROKEN {
        let mut image = begun.clone();
        damage(&mut image, "streams/s/meta");
        for policy in [OnDamage::Refuse, OnDamage::Quarantine] {
            let disk = image.mount();
            let store = open(&disk, policy);
            assert_eq!(store.names().unwrap(), [&b"other"[..], b"t"]);
            store.stream("other").unwrap().add([("sound", "still")]).unwrap();
            let stream = store.stream("t").unwrap();
            let is_lost = is_refused(&stream.len());
            assert!(is_lost || policy == OnDamage::Quarantine && seen(&stream) == [1, 2, 3, 4, 6]);
            drop((store, stream));
            // Once more: nothing is left to be finished.
            open(&disk, OnDamage::Refuse).close().unwrap();
        }
    }
}

/// A number at the end of what a name can hold, with which sums overflow.
#[test]
fn a_file_with_a_number_that_no_stream_gets_to_is_none_of_the_store() {
    for end in ["log", "journal", "idx", "log.new"] {
        let stray = format!("streams/s/{}.{end}", u64::MAX);
        for is_damaged in [false, true] {
            let mut image = if is_damaged { third_damaged() } else { killed() };
            let log = image.file(LOG).unwrap().to_vec();
            image.put(&stray, b"anything".to_vec());
            let disk = image.mount();
            let store = open(&disk, OnDamage::Quarantine);
            let stream = store.stream("s").unwrap();
            let third = if is_damaged { 0 } else { 3 };
            assert_eq!(seen(&stream), [1, 2, third, 4, 6], "{stray}");
            assert_eq!(stream.recovery().unwrap().damage.len(), usize::from(is_damaged), "{stray}");
            store.repair("s").unwrap();
            store.close().unwrap();
            let kept = disk.kill_image(disk.steps());
            assert_eq!(kept.file(&stray), Some(&b"anything"[..]), "it is left alone");
            assert!(is_damaged || kept.file(LOG).unwrap()[..200] == log[..200], "the segment is not replaced");
        }
    }
}

/// Behind the last number there is none to go on with.
#[test]
fn a_damaged_file_with_the_last_number_is_told_and_nothing_is_replaced() {
    for end in ["log", "journal"] {
        let last = format!("streams/s/{:020}.{end}", (1u64 << 62) - 1);
        let mut image = killed();
        image.put(&last, b"anything".to_vec());
        let disk = image.mount();
        let error = open(&disk, OnDamage::Quarantine).stream("s").unwrap().len().unwrap_err();
        assert!(matches!(&error, Error::Corrupt { path, .. } if path.ends_with(&last)), "{error}");
        let kept = disk.kill_image(disk.steps());
        assert!([LOG, JOURNAL].iter().all(|file| kept.file(file) == image.file(file)), "of {last}");
        let mut image = kept;
        image.remove(&last);
        assert_eq!(seen(&open(&image.mount(), OnDamage::Refuse).stream("s").unwrap()), [1, 2, 3, 4, 6]);
    }
}
