//! Streams that are deleted, created, renamed, trimmed, compacted and damaged while somebody reads them.

use std::path::{Path, PathBuf};

use streamlog::command::{Reply, Session};
use streamlog::{AddOptions, Corruption, Durability, Error, GroupOptions, Position, ReadFrom, Store, StreamId, Trim};

use crate::harness::{id, of_reader, of_writer, options, pair};

/// The files of a stream with this ending, in order.
fn files(directory: &Path, stream: &str, ending: &str) -> Vec<PathBuf> {
    let items = std::fs::read_dir(directory.join("streams").join(stream)).unwrap();
    let mut files: Vec<_> = items.map(|item| item.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == ending));
    files.sort();
    files
}

/// Damages one byte, of a file that others have open.
fn flip(path: &Path, offset: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

#[test]
fn a_name_always_means_the_stream_that_has_it() {
    for level in [Durability::Os, Durability::Always] {
        let (_directory, store, reader) = pair(level);
        let (writing, reading) = (store.stream("a").unwrap(), reader.stream("a").unwrap());
        assert!(!reading.exists().unwrap());
        assert_eq!(reading.len().unwrap(), 0);
        assert!(matches!(reading.info(), Err(Error::StreamNotFound { .. })));
        writing.add([("n", "first")]).unwrap();
        assert_eq!(reading.last().unwrap().unwrap().get("n"), Some(&b"first"[..]));
        store.delete(["a"]).unwrap();
        assert!(!reading.exists().unwrap() && !reader.exists("a").unwrap());
        assert_eq!(reading.range(..).count(), 0);
        writing.add_with(AddOptions::new().id(id(1)), [("n", "second")]).unwrap();
        assert_eq!(reading.range(..).map(|entry| entry.unwrap().id()).collect::<Vec<_>>(), [id(1)]);
        store.rename("a", "b").unwrap();
        assert!(!reading.exists().unwrap());
        assert_eq!(reader.stream("b").unwrap().len().unwrap(), 1);
        store.stream("a").unwrap().add_with(AddOptions::new().id(id(7)), [("n", "third")]).unwrap();
        store.rename("b", "a").unwrap();
        assert_eq!(reading.first().unwrap().unwrap().id(), id(1), "what was renamed over is gone");
        assert_eq!(reader.names().unwrap(), [b"a"]);
        writing.add([("n", "fourth")]).unwrap();
        assert_eq!(of_reader(&reading), of_writer(&writing));
    }
}

#[test]
fn a_range_goes_on_while_the_stream_is_trimmed() {
    for level in [Durability::Os, Durability::Always] {
        let (directory, store, reader) = pair(level);
        let stream = store.stream("a").unwrap();
        for ms in 1..=1000 {
            stream.add_with(AddOptions::new().id(id(ms)), [("n", "x".repeat(100))]).unwrap();
        }
        let segments = files(directory.path(), "a", "log").len();
        assert!(segments > 10, "{segments}");
        let reading = reader.stream("a").unwrap();
        let mut range = reading.range(..);
        assert_eq!(range.next().unwrap().unwrap().id(), id(1));
        assert_eq!(range.next_back().unwrap().unwrap().id(), id(1000));
        stream.trim(Trim::before(id(800))).unwrap();
        assert!(files(directory.path(), "a", "log").len() < segments / 2);
        let rest: Vec<_> = range.map(|entry| entry.unwrap().id().ms()).collect();
        assert!(rest.is_sorted() && rest.ends_with(&Vec::from_iter(800..=999)), "{rest:?}");
        assert!(rest.len() < 500, "{} are left", rest.len());
        assert_eq!(reading.len().unwrap(), 201);
    }
}

#[test]
fn a_range_has_nothing_that_was_deleted_before_it_and_trimmed_since() {
    for level in [Durability::Os, Durability::Always] {
        let (directory, store, reader) = pair(level);
        let stream = store.stream("a").unwrap();
        for ms in 1..=20 {
            stream.add_with(AddOptions::new().id(id(ms)), [("n", "x")]).unwrap();
        }
        stream.delete((1..=10).map(id)).unwrap();
        let reading = reader.stream("a").unwrap();
        let (written, read) = (stream.range(..), reading.range(..));
        stream.trim(Trim::to_len(5)).unwrap();
        for ms in 21..=200 {
            stream.add_with(AddOptions::new().id(id(ms)), [("n", "x".repeat(100))]).unwrap();
        }
        assert!(files(directory.path(), "a", "log").len() > 1);
        assert_eq!(reading.len().unwrap(), 185);
        for range in [written, read] {
            let ids: Vec<_> = range.map(|entry| entry.unwrap().id().ms()).collect();
            assert_eq!(ids, Vec::from_iter(11..=20));
        }
    }
}

#[test]
fn a_range_ends_when_the_stream_is_deleted() {
    let (_directory, store, reader) = pair(Durability::Os);
    let stream = store.stream("a").unwrap();
    for ms in 1..=1000 {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", "x".repeat(100))]).unwrap();
    }
    let mut range = reader.stream("a").unwrap().range(..);
    range.next().unwrap().unwrap();
    store.delete(["a"]).unwrap();
    stream.add([("another", "stream")]).unwrap();
    assert!(range.all(|entry| entry.unwrap().get("another").is_none()));
}

#[test]
fn a_segment_that_is_lost_is_damage_and_not_taken_for_trimmed() {
    let (directory, store, reader) = pair(Durability::Always);
    let stream = store.stream("a").unwrap();
    for ms in 1..=500 {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", "x".repeat(100))]).unwrap();
    }
    let reading = reader.stream("a").unwrap();
    assert_eq!(reading.len().unwrap(), 500);
    let lost = files(directory.path(), "a", "log").swap_remove(3);
    std::fs::remove_file(&lost).unwrap();
    let errors: Vec<_> = reading.range(..).filter_map(Result::err).collect();
    let is_told =
        |error: &Error| matches!(error, Error::Corrupt { path, what: Corruption::Missing, .. } if *path == lost);
    assert!(errors.iter().any(is_told), "{errors:?}");
}

/// The first damage makes a reader look at the stream anew. What is lost further on is not taken for removed with the stream.
#[test]
fn what_is_lost_behind_damage_is_told_once_in_its_place() {
    for (level, is_backward) in [(Durability::Always, false), (Durability::Os, false), (Durability::Os, true)] {
        let (directory, store, reader) = pair(level);
        let stream = store.stream("a").unwrap();
        for ms in 1..=800 {
            stream.add_with(AddOptions::new().id(id(ms)), [("n", "x".repeat(100))]).unwrap();
        }
        let reading = reader.stream("a").unwrap();
        assert_eq!(reading.len().unwrap(), 800);
        let segments = files(directory.path(), "a", "log");
        let lost = [&segments[3], &segments[6]];
        lost.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        flip(&segments[1], 192 + 500);
        let range = reading.range(..);
        let items: Vec<_> = if is_backward { range.rev().collect() } else { range.collect() };
        let mut told = Vec::new();
        let mut missing = Vec::new();
        for item in items {
            match item {
                Ok(entry) => told.push(entry.id().ms()),
                Err(Error::Corrupt { path, what, ids: Some(ids), .. }) => {
                    told.extend(ids.after.ms() + 1..=ids.through.unwrap().ms());
                    missing.extend((what == Corruption::Missing).then_some(path));
                }
                Err(error) => panic!("{error}"),
            }
        }
        told.sort_unstable();
        missing.sort();
        if is_backward {
            // From behind, only the header that is lost would tell where it begins.
            told.dedup();
        }
        assert!(told.iter().copied().eq(1..=800), "each is there or told to be lost, once: {told:?}");
        assert_eq!(missing.iter().collect::<Vec<_>>(), lost);
    }
}

#[test]
fn what_is_trimmed_behind_damage_is_no_damage() {
    let (directory, store, reader) = pair(Durability::Os);
    let stream = store.stream("a").unwrap();
    for ms in 1..=800 {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", "x".repeat(100))]).unwrap();
    }
    let reading = reader.stream("a").unwrap();
    assert_eq!(reading.len().unwrap(), 800);
    flip(&files(directory.path(), "a", "log")[1], 192 + 500);
    let mut range = reading.range(..);
    assert!(range.any(|entry| entry.is_err()));
    stream.trim(Trim::before(id(600))).unwrap();
    let rest: Vec<_> = range.map(|entry| entry.unwrap().id().ms()).collect();
    assert!(rest.ends_with(&Vec::from_iter(600..=800)) && rest.len() < 500, "{rest:?}");
}

#[test]
fn a_damaged_entry_is_an_error_and_reading_goes_on_behind_it() {
    let (directory, store, reader) = pair(Durability::Always);
    let stream = store.stream("a").unwrap();
    for ms in 1..=20 {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", "x".repeat(100))]).unwrap();
    }
    let path = files(directory.path(), "a", "log").swap_remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[192 + 500] ^= 1;
    let attached = reader.stream("a").unwrap();
    assert_eq!(attached.len().unwrap(), 20);
    std::fs::write(&path, &bytes).unwrap();
    let (good, bad): (Vec<_>, Vec<_>) = attached.range(..).partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (19, 1));
    // Who comes later finds it where it begins to read.
    let late = Store::open_read_only(directory.path()).unwrap().stream("a").unwrap();
    assert!(matches!(late.info(), Err(Error::Corrupt { .. })), "{:?}", late.info());
}

#[test]
fn checkpoints_of_the_journal_are_followed() {
    for level in [Durability::Os, Durability::Always] {
        let (directory, store, reader) = pair(level);
        let (writing, reading) = (store.stream("a").unwrap(), reader.stream("a").unwrap());
        let group = writing.group("g");
        group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
        let alice = group.consumer("alice");
        let mut generations = 0;
        let mut newest = None;
        for n in 0..600 {
            writing.add([("n", n.to_string())]).unwrap();
            let given = alice.read().count(2).new_entries().unwrap();
            if n % 3 > 0 {
                alice.ack(given.iter().map(|entry| entry.id())).unwrap();
            }
            let last = files(directory.path(), "a", "journal").pop();
            generations += u64::from(newest != last);
            newest = last;
            assert_eq!(reading.group("g").pending().unwrap(), group.pending().unwrap(), "after {n}");
        }
        assert!(generations > 3, "{generations}");
        assert_eq!(reading.group("g").info().unwrap().pending, 200);
        assert_eq!(of_reader(&reading), of_writer(&writing));
    }
}

#[test]
fn a_journal_is_found_that_was_begun_and_replaced_since_the_last_look() {
    for level in [Durability::Os, Durability::Always] {
        let (directory, store, reader) = pair(level);
        let (writing, reading) = (store.stream("a").unwrap(), reader.stream("a").unwrap());
        writing.add([("n", "first")]).unwrap();
        assert_eq!(reading.len().unwrap(), 1);
        let group = writing.group("g");
        group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
        let alice = group.consumer("alice");
        let first = files(directory.path(), "a", "journal").swap_remove(0);
        while first.exists() {
            writing.add([("n", "x")]).unwrap();
            let given = alice.read().count(1).new_entries().unwrap();
            alice.ack(given.iter().map(|entry| entry.id())).unwrap();
        }
        assert_eq!(reading.groups().unwrap().len(), 1);
        assert_eq!(of_reader(&reading), of_writer(&writing));
    }
}

#[test]
fn a_stream_that_was_repaired_is_followed() {
    let (directory, store, reader) = pair(Durability::Always);
    let stream = store.stream("a").unwrap();
    for ms in 1..=300 {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", "x".repeat(100))]).unwrap();
    }
    let reading = reader.stream("a").unwrap();
    assert_eq!(reading.len().unwrap(), 300);
    drop(stream);
    store.close().unwrap();
    let path = files(directory.path(), "a", "log").swap_remove(1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[192 + 500] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let store = options(Durability::Always).open(directory.path()).unwrap();
    assert!(reading.range(..).any(|entry| entry.is_err()));
    store.repair("a").unwrap();
    let stream = store.stream("a").unwrap();
    stream.add([("n", "new")]).unwrap();
    assert_eq!(of_reader(&reading), of_writer(&stream));
    assert_eq!(reading.len().unwrap(), 300);
}

#[test]
fn commands_that_read_work_and_others_are_refused() {
    let (_directory, store, reader) = pair(Durability::Os);
    let mut writing = Session::new(&store);
    let mut reading = Session::read_only(&reader);
    let run = |session: &mut Session, line: &str| session.execute(&line.split(' ').collect::<Vec<_>>());
    for line in ["XADD s 1-0 f v", "XADD s 2-0 f v", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c COUNT 1 STREAMS s >"]
    {
        assert!(!run(&mut writing, line).is_error(), "{line}");
        for look in
            ["XLEN s", "XRANGE s - +", "XREAD STREAMS s 1", "XPENDING s g", "XINFO GROUPS s", "KEYS *", "TYPE s"]
        {
            assert_eq!(run(&mut reading, look), run(&mut writing, look), "{look} after {line}");
        }
    }
    for line in [
        "XADD s * f v",
        "XDEL s 1-0",
        "XTRIM s MAXLEN 0",
        "XACK s g 1-0",
        "XREADGROUP GROUP g c STREAMS s >",
        "XGROUP CREATE s h 0",
        "XGROUP CREATE t h 0 MKSTREAM",
        "XCLAIM s g c 0 1-0",
        "XAUTOCLAIM s g c 0 0",
        "XSETID s 9-0",
        "DEL s",
        "RENAME s t",
        "COPY s t",
        "FLUSHALL",
        "XADD new * f v",
    ] {
        let refused = b"READONLY You can't write against a read only replica.";
        assert_eq!(run(&mut reading, line), Reply::Error(refused.to_vec()), "{line}");
    }
    assert_eq!(store.names().unwrap(), [b"s"]);
}

#[test]
fn what_is_not_a_store_is_said_to_be_none() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open_read_only(directory.path()), Err(Error::NotAStore { .. })));
    assert!(matches!(Store::open_read_only(directory.path().join("none")), Err(Error::Io { .. })));
    let store = Store::open(directory.path()).unwrap();
    let reader = Store::open_read_only(directory.path()).unwrap();
    assert!(matches!(reader.stream("x".repeat(4000)), Err(Error::NameTooLong { .. })));
    assert!(matches!(reader.stream("a").unwrap().group("g").info(), Err(Error::GroupNotFound { .. })));
    assert!(reader.stream("a").unwrap().read(ReadFrom::After(StreamId::MIN)).run().unwrap().is_empty());
    assert!(reader.inspect().verify().unwrap().is_empty());
    drop(store);
}

/// With segments that come and go, and groups whose lag is counted from the first entry.
#[test]
fn groups_are_told_while_a_stream_is_trimmed_as_fast_as_it_grows() {
    let (_directory, store, reader) = pair(Durability::Os);
    let stream = store.stream("a").unwrap();
    stream.group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    stream.add([("n", "first")]).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let options = AddOptions::new().trim(Trim::to_len(20));
                stream.add_with(options, [("n", "x".repeat(500))]).unwrap();
            }
        });
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let reading = reader.stream("a").unwrap();
            for _ in 0..3000 {
                let groups = reading.groups().unwrap();
                // None of them was delivered: they are all there is.
                assert!(groups[0].lag.is_some_and(|lag| lag <= 20), "{groups:?}");
                let info = reading.info().unwrap();
                assert!(info.len <= 20 && info.last_entry.is_some(), "{info:?}");
                assert!(reading.range(..).all(|entry| entry.is_ok()));
            }
        }));
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap();
        looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}
