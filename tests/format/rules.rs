//! Promise: the fifteen rules of the format hold. Golden bytes are tested in the modules that encode them.

use std::sync::Arc;

use streamlog::sim::{Image, Op, SimDisk};
use streamlog::{Corruption, Durability, Error, NewId, Options, Store, StreamId, Trim};

use crate::harness::{
    contents, error_of, file_of, fill, ids, image, mount, options, position, position_from, steps_since,
};

const LEVELS: [Durability; 2] = [Durability::Always, Durability::Os];

/// A closed store with the stream `s` of `count` entries of 1 KiB, three in a segment.
fn closed(count: u64) -> Arc<SimDisk> {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Os);
    fill(&store.stream("s").unwrap(), 1, count);
    store.close().unwrap();
    disk
}

fn segment(base: u64) -> String {
    format!("streams/s/{base:020}.log")
}

fn index(base: u64) -> String {
    format!("streams/s/{base:020}.idx")
}

/// Opening and using it fails so, and no byte of a file that was there changes.
fn refuses_unchanged(image: &Image, what: impl Fn(&Error) -> bool) {
    let disk = image.mount();
    let before = contents(&disk);
    let opened = Store::open_simulated(options(Durability::Always), &disk).and_then(|store| {
        let stream = store.stream("s")?;
        stream.len()?;
        stream.add([("a", "b")])
    });
    let error = error_of(opened);
    assert!(what(&error), "{error}");
    let mut after = contents(&disk);
    after.retain(|(path, _)| before.iter().any(|(known, _)| known == path));
    assert_eq!(before, after, "something changed on disk although it was refused: {error}");
}

#[test]
fn rule_1_a_batch_is_one_frame_and_so_all_or_nothing() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Os);
    let stream = store.stream("s").unwrap();
    stream.add([("a", "0")]).unwrap();
    store.sync().unwrap();
    let from = disk.steps();
    let batch = (0..50).map(|n| (NewId::Auto, [("a", format!("a value to span sectors with, {n}"))]));
    stream.add_batch(batch).unwrap();
    for step in from..=disk.steps() {
        for image in disk.crash_images(step, Default::default(), 1) {
            let store = mount(&image.mount(), Durability::Os);
            let len = store.stream("s").unwrap().len().unwrap();
            assert!(len == 1 || len == 51, "{len} entries after step {step}: {}", image.description());
        }
    }
}

#[test]
fn rule_1_no_length_is_trusted_and_zeros_are_nothing() {
    // A segment of which the tail claims to be a frame of 1 GiB: a torn append, dropped.
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Os);
    fill(&store.stream("s").unwrap(), 1, 1);
    let mut image = image(&disk);
    let path = file_of(&image, "s", ".log");
    let bytes = image.file_mut(&path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    bytes[end..end + 10].copy_from_slice(&[1, 2, 3, 4, 1, 0xff, 0xff, 0xff, 0xff, 0x03]);
    let store = mount(&image.mount(), Durability::Always);
    let stream = store.stream("s").unwrap();
    assert_eq!(ids(&stream), [1]);
    fill(&stream, 2, 5);
    assert_eq!(ids(&stream), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn rule_2_a_bad_frame_below_a_later_watermark_is_damage_and_without_one_is_torn() {
    for (level, damage) in [(Durability::Always, true), (Durability::Os, false)] {
        let disk = SimDisk::new();
        let store = mount(&disk, level);
        let stream = store.stream("s").unwrap();
        for n in 1..=4 {
            stream.add([("n", format!("value {n}"))]).unwrap();
        }
        // Killed: the level Always has written a watermark into each frame after the first.
        let mut image = image(&disk);
        let path = file_of(&image, "s", ".log");
        let bytes = image.file_mut(&path).unwrap();
        // The value of the second entry; the creation of the stream synced the first one at every level.
        let value = bytes.windows(7).position(|window| window == b"value 2").unwrap();
        bytes[value] ^= 1;
        let reopened = mount(&image.mount(), level);
        match reopened.stream("s").unwrap().len() {
            Err(Error::Corrupt { path, offset, what: Corruption::Checksum { .. }, .. }) if damage => {
                assert!(path.ends_with("streams/s/00000000000000000001.log") && offset > 192, "{path:?} {offset}");
            }
            Ok(1) if !damage => {}
            other => panic!("{level:?}: {other:?}"),
        }
        drop(store);
    }
}

#[test]
fn rule_3_a_torn_segment_is_sealed_after_what_was_kept_was_written_again_and_never_appended_to() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Os);
    let stream = store.stream("s").unwrap();
    fill(&stream, 1, 2);
    let mut killed = image(&disk);
    let path = file_of(&killed, "s", ".log");
    let bytes = killed.file_mut(&path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    bytes[end..end + 100].fill(0xee);
    let disk = killed.mount();
    let store = mount(&disk, Durability::Os);
    let stream = store.stream("s").unwrap();
    assert_eq!(ids(&stream), [1, 2]);
    let steps = disk.history();
    let rewritten = position(&steps, Op::Write, "01.log");
    let synced = position_from(&steps, rewritten, Op::Sync, "01.log");
    let renamed = position_from(&steps, synced, Op::Rename, "03.log.new");
    assert!(steps[rewritten].offset < end as u64 && rewritten < synced && synced < renamed);
    fill(&stream, 3, 1);
    assert!(!disk.history()[renamed..].iter().any(|step| step.op == Op::Write && step.path.ends_with(&path)));
}

#[test]
fn rule_4_headers_carry_identities_counters_and_their_predecessor() {
    let disk = closed(7);
    let image = image(&disk);
    let header = |base| image.file(segment(base)).unwrap()[..192].to_vec();
    let (first, second) = (header(1), header(4));
    let number = |header: &[u8], at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
    assert_eq!(first[24..56], second[24..56], "the same store and stream");
    assert_ne!(first[56..72], second[56..72], "another file");
    assert_eq!(first[56..72], second[128..144], "whose predecessor is the first");
    assert_eq!((number(&second, 72), number(&second, 88), number(&second, 96)), (4, 3, 3));
    // A segment in the place of another is foreign.
    let mut swapped = image.clone();
    *swapped.file_mut(segment(1)).unwrap() = image.file(segment(4)).unwrap().to_vec();
    swapped.remove(index(1));
    let store = mount(&swapped.mount(), Durability::Os);
    let error = store.stream("s").unwrap().range(..).find_map(Result::err).expect("an error");
    assert!(matches!(error, Error::Corrupt { what: Corruption::Foreign(_), .. }), "{error}");
}

#[test]
fn rule_5_a_segment_is_complete_and_synced_before_it_gets_its_name_and_its_predecessor_sealed_and_synced() {
    for level in LEVELS {
        let disk = SimDisk::new();
        let store = mount(&disk, level);
        let stream = store.stream("s").unwrap();
        fill(&stream, 1, 3);
        let from = disk.steps();
        fill(&stream, 4, 1);
        let steps = steps_since(&disk, from);
        let created = position(&steps, Op::Create, "04.log.new");
        let header = position_from(&steps, created, Op::Write, "04.log.new");
        let synced = position_from(&steps, header, Op::Sync, "04.log.new");
        let sealed = position_from(&steps, synced, Op::Write, "01.log");
        let barrier = position_from(&steps, sealed, Op::Sync, "01.log");
        let renamed = position_from(&steps, barrier, Op::Rename, "04.log.new");
        let durable = position_from(&steps, renamed, Op::SyncDir, "streams/s");
        let appended = position_from(&steps, durable, Op::Write, "04.log");
        assert!(steps[created].len >= 4096 && steps[appended].offset == 192, "at {level:?}");
    }
}

#[test]
fn rule_6_the_log_is_synced_before_the_journal() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Os);
    let stream = store.stream("s").unwrap();
    fill(&stream, 1, 1);
    stream.delete([StreamId::new(1, 0)]).unwrap();
    fill(&stream, 2, 1);
    stream.delete([StreamId::new(2, 0)]).unwrap();
    let from = disk.steps();
    store.sync().unwrap();
    let steps = steps_since(&disk, from);
    assert!(position(&steps, Op::Sync, ".log") < position(&steps, Op::Sync, ".journal"));
    // And before a checkpoint that speaks of it gets its name.
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Os);
    let stream = store.stream("s").unwrap();
    fill(&stream, 1, 1);
    fill(&stream, 2, 1);
    let from = disk.steps();
    stream.delete([StreamId::new(2, 0)]).unwrap();
    let steps = steps_since(&disk, from);
    assert!(position(&steps, Op::Sync, ".log") < position(&steps, Op::Rename, ".journal.new"));
}

#[test]
fn rule_7_automatic_ids_stay_below_a_ceiling_that_is_durable_before_they_are_handed_out() {
    use std::time::{Duration, UNIX_EPOCH};
    let disk = SimDisk::new();
    let clock = |ms| move || UNIX_EPOCH + Duration::from_millis(ms);
    let open = |disk: &Arc<SimDisk>, ms| {
        Store::open_simulated(options(Durability::Os).clock(clock(ms)), disk).expect("the store opens")
    };
    let store = open(&disk, 1_000_000);
    let stream = store.stream("s").unwrap();
    stream.add([("n", "1")]).unwrap();
    let last = stream.add([("n", "2")]).unwrap();
    // The ceiling that the first add needed, far enough ahead for the second one.
    let steps = disk.history();
    let header = position(&steps, Op::Sync, "01.log");
    let ceiling = position_from(&steps, header, Op::Write, "meta");
    let durable = position_from(&steps, ceiling, Op::Sync, "meta");
    position_from(&steps, durable, Op::Write, "01.log");
    assert!(!steps[header..ceiling].iter().any(|step| step.op == Op::Write), "an entry before its ceiling");
    // The entry is lost with the power, and the clock goes back: the ID is not handed out again.
    for image in disk.crash_images(disk.steps(), Default::default(), 7) {
        let store = open(&image.mount(), 1_000);
        let next = store.stream("s").unwrap().add([("n", "3")]).unwrap();
        assert!(next > last, "{next} after {last}: {}", image.description());
    }
}

#[test]
fn rule_8_a_new_generation_of_the_journal_is_complete_before_the_old_one_goes() {
    let disk = SimDisk::new();
    let store = Store::open_simulated(options(Durability::Os).checkpoint_bytes_min(64 << 10), &disk).unwrap();
    let stream = store.stream("s").unwrap();
    // Small entries and one deletion each: 64 KiB of journal are to make it worth a new generation.
    for ms in 1..=6000 {
        let options = streamlog::AddOptions::new().id(StreamId::new(ms, 0));
        stream.add_with(options, [("n", "v")]).unwrap();
        stream.delete([StreamId::new(ms, 0)]).unwrap();
    }
    let steps = disk.history();
    let created = position(&steps, Op::Create, "02.journal.new");
    let written = position_from(&steps, created, Op::Write, "02.journal.new");
    let synced = position_from(&steps, written, Op::Sync, "02.journal.new");
    let renamed = position_from(&steps, synced, Op::Rename, "02.journal.new");
    let durable = position_from(&steps, renamed, Op::SyncDir, "streams/s");
    position_from(&steps, durable, Op::RemoveFile, "01.journal");
    drop((stream, store));
    let store = mount(&image(&disk).mount(), Durability::Os);
    let info = store.stream("s").unwrap().info().unwrap();
    assert_eq!((info.len, info.entries_added, info.max_deleted_entry_id), (0, 6000, StreamId::new(6000, 0)));
}

#[test]
fn rule_9_a_trim_is_durable_before_segments_go_and_these_go_oldest_first() {
    for level in LEVELS {
        let disk = SimDisk::new();
        let store = mount(&disk, level);
        let stream = store.stream("s").unwrap();
        fill(&stream, 1, 10);
        let from = disk.steps();
        assert_eq!(stream.trim(Trim::to_len(2)).unwrap(), 8);
        let steps = steps_since(&disk, from);
        let floor = position(&steps, Op::Rename, ".journal.new");
        let recorded = position_from(&steps, floor, Op::Write, ".journal");
        let durable = position_from(&steps, recorded, Op::Sync, ".journal");
        let first = position_from(&steps, durable, Op::RemoveFile, "01.log");
        position_from(&steps, first, Op::RemoveFile, "04.log");
        assert_eq!(ids(&stream), [9, 10]);
    }
}

#[test]
fn rule_10_an_index_that_is_missing_wrong_or_of_another_segment_costs_nothing_but_time() {
    let original = image(&closed(10));
    let all: Vec<u64> = (1..=10).collect();
    let check = |image: &Image, what: &str| {
        let disk = image.mount();
        let store = mount(&disk, Durability::Os);
        let stream = store.stream("s").unwrap();
        assert_eq!(ids(&stream), all, "{what}");
        for ms in 1..=10 {
            assert!(stream.get(StreamId::new(ms, 0)).unwrap().is_some(), "{what}, entry {ms}");
        }
        drop((stream, store));
        let rebuilt = crate::harness::image(&disk);
        assert_eq!(rebuilt.file(index(1)), original.file(index(1)), "{what}: it is made again as it was");
    };
    let mut missing = original.clone();
    missing.remove(index(1));
    check(&missing, "missing");
    let mut swapped = original.clone();
    *swapped.file_mut(index(1)).unwrap() = original.file(index(4)).unwrap().to_vec();
    check(&swapped, "of another segment");
    for byte in 0..original.file(index(1)).unwrap().len() {
        let mut damaged = original.clone();
        damaged.file_mut(index(1)).unwrap()[byte] ^= 0x10;
        check(&damaged, &format!("byte {byte} changed"));
    }
    let mut cut = original.clone();
    cut.file_mut(index(1)).unwrap().truncate(20);
    check(&cut, "cut short");
}

#[test]
fn rule_11_on_a_full_disk_deletes_and_trims_succeed_adds_fail_and_resume_when_there_is_room() {
    for with_journal in [true, false] {
        let disk = SimDisk::new();
        let store = mount(&disk, Durability::Always);
        let stream = store.stream("s").unwrap();
        fill(&stream, 1, 30);
        if with_journal {
            stream.delete([StreamId::new(1, 0)]).unwrap();
        }
        disk.set_space(Some(disk.used()));
        let value = "x".repeat(1000);
        let mut added = 30;
        let refused = loop {
            match stream.add([("value", &value)]) {
                Ok(_) => added += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, Error::NoSpace { .. }), "{refused}");
        assert!(added < 40, "{added} entries on a full disk");
        let deleted = u64::from(with_journal);
        assert_eq!(stream.len().unwrap(), added - deleted, "reading goes on");
        assert_eq!(stream.delete([StreamId::new(2, 0)]).unwrap(), 1, "deleting, journal before: {with_journal}");
        assert_eq!(stream.trim(Trim::to_len(4)).unwrap(), added - deleted - 1 - 4);
        // The trim has freed segments: adding works again, without opening the store again.
        stream.add([("value", &value)]).unwrap();
        assert_eq!(stream.len().unwrap(), 5);
        store.close().unwrap();
        disk.set_space(None);
        let store = mount(&image(&disk).mount(), Durability::Always);
        assert_eq!(store.stream("s").unwrap().len().unwrap(), 5);
    }
}

#[test]
fn rule_11_on_a_full_disk_a_journal_that_should_be_compacted_goes_on_as_it_is() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Os);
    let stream = store.stream("s").unwrap();
    for ms in 1..=12_000 {
        let options = streamlog::AddOptions::new().id(StreamId::new(ms, 0));
        stream.add_with(options, [("n", "v")]).unwrap();
    }
    // Every second one, so that they cannot be forgotten. The journal is worth a new generation from 64 KiB on.
    let delete = |n: u64| stream.delete([StreamId::new(2 * n, 0)]);
    let journal_len = || {
        let image = image(&disk);
        let bytes = image.file(file_of(&image, "s", ".journal")).unwrap().to_vec();
        bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0)
    };
    let before =
        (1..6_000).take_while(|&n| delete(n).unwrap() == 1 && (n % 100 != 0 || journal_len() < 60_000)).count();
    // So full that giving up the reserve does not help.
    disk.set_space(Some(disk.used() / 2));
    let after = (before as u64 + 2..=6_000).take_while(|&n| delete(n).is_ok()).count();
    assert!(before > 1_000 && after > 300, "{before} deletions, and {after} on a full disk");
    assert!(journal_len() > 64 << 10, "{} bytes of journal", journal_len());
    assert_eq!(stream.len().unwrap(), 12_000 - (before + 1 + after) as u64);
}

#[test]
fn rule_12_what_a_newer_version_wrote_is_refused_and_not_touched() {
    let disk = closed(5);
    let store = mount(&disk, Durability::Os);
    store.stream("s").unwrap().delete([StreamId::new(1, 0)]).unwrap();
    store.close().unwrap();
    let image = image(&disk);
    let journal = file_of(&image, "s", ".journal");
    let unsupported = |error: &Error| matches!(error, Error::Unsupported { .. });
    // In each file: where version, incompatible features and the checksum are, and how far that goes.
    let files = [
        ("LOCK".into(), 8, 20, 40),
        (journal, 8, 20, 188),
        (segment(4).into(), 8, 20, 188),
        ("streams/s/meta".into(), 8, 20, 4092),
    ];
    for (path, version, incompatible, crc) in files {
        for at in [version, incompatible] {
            let mut newer = image.clone();
            let bytes = newer.file_mut(&path).unwrap();
            bytes[at] = 9;
            // Slot 0 of `meta`; the checksums of the others begin from 0, too.
            let sum = crc32fast::hash(&bytes[..crc]).to_le_bytes();
            bytes[crc..crc + 4].copy_from_slice(&sum);
            refuses_unchanged(&newer, unsupported);
        }
    }
}

#[test]
fn rule_12_two_bad_slots_a_bad_lock_or_something_that_is_no_file_are_refused_and_not_touched() {
    let image = image(&closed(5));
    let corrupt = |error: &Error| matches!(error, Error::Corrupt { .. });
    let mut slots = image.clone();
    let bytes = slots.file_mut("streams/s/meta").unwrap();
    bytes[100] ^= 1;
    bytes[4096 + 100] ^= 1;
    refuses_unchanged(&slots, corrupt);
    let mut lock = image.clone();
    lock.file_mut("LOCK").unwrap()[30] ^= 1;
    refuses_unchanged(&lock, corrupt);
    let mut no_meta = image.clone();
    no_meta.remove("streams/s/meta");
    refuses_unchanged(&no_meta, corrupt);
    let mut no_segment = image.clone();
    no_segment.remove(segment(4));
    no_segment.remove(segment(1));
    refuses_unchanged(&no_segment, corrupt);
    // One bad slot is no reason: the other one is there for that.
    let mut slot = image.clone();
    slot.file_mut("streams/s/meta").unwrap()[100] ^= 1;
    assert_eq!(ids(&mount(&slot.mount(), Durability::Os).stream("s").unwrap()), [1, 2, 3, 4, 5]);
}

#[test]
fn rule_12_the_slots_of_meta_are_written_in_turn_each_synced_before_the_other() {
    let disk = closed(1);
    for round in 0..4 {
        let store = mount(&disk, Durability::Os);
        fill(&store.stream("s").unwrap(), 10 + round, 1);
        store.close().unwrap();
    }
    let steps = disk.history();
    let meta: Vec<_> = steps.iter().filter(|step| step.path.ends_with("meta")).collect();
    let writes: Vec<_> = meta.iter().enumerate().filter(|(_, step)| step.op == Op::Write).collect();
    assert!(writes.len() > 8);
    let mut repeated = 0;
    for pair in writes.windows(2) {
        let ((at, first), (_, second)) = (pair[0], pair[1]);
        assert_eq!(meta[at + 1].op, Op::Sync, "each is synced before the next");
        repeated += usize::from(first.offset == second.offset);
    }
    // What an earlier life wrote may be in the page cache only: it is written once more before the other slot is.
    assert!(repeated <= 4, "{repeated} times the same slot was next, in four further lives");
}

#[test]
fn rule_13_the_same_bytes_on_every_machine() {
    // Golden bytes of every structure are in the unit tests of `format`; here that nothing else goes into the files:
    // two stores with the same history differ in their random identities and in what is checked with them alone.
    let [a, b] = [image(&closed(3)), image(&closed(3))];
    assert!(a.files().eq(b.files()));
    for path in a.files().filter(|path| path.to_string_lossy().ends_with(".log")) {
        let (a, b) = (a.file(path).unwrap(), b.file(path).unwrap());
        let differing = a.iter().zip(b).skip(192).filter(|(a, b)| a != b).count();
        assert!(a.len() == b.len() && differing <= 5 * 4, "{differing} bytes differ in {path:?}");
    }
}

#[test]
fn rule_14_small_streams_take_little_and_segments_grow_to_the_configured_size() {
    let disk = SimDisk::new();
    let options = options(Durability::Os).segment_bytes_max(64 << 10);
    let store = Store::open_simulated(options, &disk).unwrap();
    let stream = store.stream("s").unwrap();
    for _ in 0..10 {
        stream.add([("type", "order.created"), ("order", "o1")]).unwrap();
    }
    let of_stream = |image: &Image| -> u64 {
        let files = image.files().filter(|path| path.starts_with("streams/s"));
        files.map(|path| image.file(path).unwrap_or_default().len() as u64).sum()
    };
    assert!(of_stream(&image(&disk)) <= 12 << 10, "{} bytes for ten entries", of_stream(&image(&disk)));
    assert!(!image(&disk).files().any(|path| path.to_string_lossy().ends_with(".journal")));
    fill(&stream, u64::MAX / 2, 300);
    let steps = disk.history();
    let sizes = steps.iter().filter(|step| step.op == Op::Create && step.path.to_string_lossy().contains(".log"));
    let sizes: Vec<u64> = sizes.map(|step| step.len).collect();
    assert_eq!(sizes[..3], [4 << 10, 16 << 10, 64 << 10]);
    assert!(sizes[3..].iter().all(|&size| size == 64 << 10), "{sizes:?}");
}

#[test]
fn rule_15_an_entry_takes_at_most_20_bytes_beyond_its_values_and_8_in_a_batch() {
    for (batch, limit) in [(1u64, 20), (100, 8)] {
        for level in LEVELS {
            let disk = SimDisk::new();
            let store = Store::open_simulated(Options::new().durability(level), &disk).unwrap();
            let stream = store.stream("s").unwrap();
            let count = 2000;
            let data = r#"{"id":"o-123456","total":49.99,"items":3}"#;
            let entry = || [("type", "order.created"), ("data", data), ("timestamp", "1526919030474")];
            for _ in 0..count / batch {
                stream.add_batch((0..batch).map(|_| (NewId::Auto, entry()))).unwrap();
            }
            store.close().unwrap();
            let image = image(&disk);
            let used = |path: &std::path::Path| {
                image.file(path).unwrap().iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1)
            };
            let bytes: u64 = image.files().filter(|path| !path.ends_with("meta")).map(used).sum();
            let values: u64 = entry().iter().map(|(_, value)| value.len() as u64).sum();
            let beyond = (bytes - values * count) as f64 / count as f64;
            assert!(beyond <= f64::from(limit), "{beyond:.1} bytes an entry in batches of {batch} at {level:?}");
        }
    }
}

#[test]
fn what_returned_at_the_level_always_survives_a_power_loss() {
    let disk = SimDisk::new();
    let store = mount(&disk, Durability::Always);
    let stream = store.stream("s").unwrap();
    let workers = stream.group("workers");
    // The entries, and those that are pending.
    let state = |stream: &streamlog::Stream| {
        let pending = stream.group("workers").pending_entries().run().unwrap_or_default();
        (ids(stream), pending.iter().map(|entry| entry.id.ms()).collect::<Vec<u64>>())
    };
    let survives = |what: &str| {
        let expected = state(&stream);
        for image in disk.crash_images(disk.steps(), Default::default(), 7) {
            let reopened = mount(&image.mount(), Durability::Always);
            let found = state(&reopened.stream("s").unwrap());
            assert_eq!(found, expected, "{what}; {}", image.description());
        }
    };
    fill(&stream, 1, 3);
    survives("entries");
    stream.delete([StreamId::new(1, 0)]).unwrap();
    survives("a deletion");
    workers.create(streamlog::Position::Start).unwrap();
    assert_eq!(workers.consumer("alice").read().new_entries().unwrap().len(), 2);
    survives("a delivery");
    assert_eq!(workers.acknowledge([StreamId::new(2, 0)]).unwrap(), 1);
    survives("an acknowledgement");
    assert_eq!(state(&stream), (vec![2, 3], vec![3]));
}
