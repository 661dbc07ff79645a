//! A store that is open and written to as fast as it goes, while it is looked at.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use streamlog::inspect::{Inspection, Item};
use streamlog::{Durability, Error, GroupOptions, NewId, Options, Position, References, Store, StreamId, Trim};

/// For how long.
fn duration() -> Duration {
    Duration::from_secs(if std::env::var_os("STREAMLOG_NIGHTLY").is_some() { 60 } else { 3 })
}

/// Adds, delivers, acknowledges, deletes and trims, so that segments and journals are replaced all the time.
fn write(store: &Store, done: &AtomicBool) {
    let stream = store.stream("busy").unwrap();
    let group = stream.group("g");
    group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    let consumer = group.consumer("c");
    let mut round = 0u64;
    while !done.load(Ordering::Relaxed) {
        round += 1;
        for n in 0..20u64 {
            stream
                .add([("round", round.to_string()), ("n", n.to_string()), ("fill", "x".repeat((n * 7) as usize))])
                .unwrap();
        }
        let batch = (0..10).map(|n| (NewId::Auto, [("batch", n.to_string())]));
        let ids = stream.add_batch(batch).unwrap();
        let given = consumer.read().count(15).new_entries().unwrap();
        group.acknowledge(given.iter().take(10).map(|entry| entry.id())).unwrap();
        stream.delete_with(ids[..3].iter().copied(), References::Keep).unwrap();
        if round.is_multiple_of(10) {
            stream.trim(Trim::to_len(500)).unwrap();
        }
        if round.is_multiple_of(64) {
            store.stream("other").unwrap().add([("a", "b")]).unwrap();
            store.rename("other", "another").unwrap();
            store.delete(["another"]).unwrap();
        }
    }
}

/// Looks at a store that is being written to; all it finds is sound and fits together.
fn look(inspection: &Inspection, seen: &mut StreamId) {
    for report in inspection.verify().unwrap() {
        assert!(!report.is_damaged(), "{:#?}", report.findings);
    }
    let (mut entries, mut promised, mut last) = (0, 0, StreamId::MIN);
    let dumped = inspection.dump_stream("busy", |item| {
        match item {
            Item::Stream { entries, last_id, .. } => {
                promised = entries;
                assert!(last_id >= *seen, "{last_id} after {seen}");
            }
            Item::Entry(entry) => {
                assert!(entry.id() > last, "{} after {last}", entry.id());
                last = entry.id();
                entries += 1;
            }
            Item::Damage(finding) => panic!("{finding}"),
            Item::Pending { id, .. } => assert!(id <= last, "{id} is pending, the last entry is {last}"),
            _ => {}
        }
        Ok::<(), Error>(())
    });
    match dumped {
        Ok(()) => {
            assert_eq!(entries, promised);
            *seen = (*seen).max(last);
        }
        Err(Error::StreamNotFound { .. }) => {}
        Err(Error::Io { source, .. }) if source.to_string().contains("trimmed") => {}
        Err(error) => panic!("{error}"),
    }
    match inspection.stat_stream("busy") {
        Ok(stat) => assert!(stat.groups.len() <= 1),
        Err(Error::StreamNotFound { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

fn look_while_writing(options: Options) {
    let directory = tempfile::tempdir().unwrap();
    let store = options.open(directory.path()).unwrap();
    let inspection = Inspection::open(directory.path()).unwrap();
    let done = AtomicBool::new(false);
    let mut looks = 0;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&store, &done));
        let until = Instant::now() + duration();
        let mut seen = StreamId::MIN;
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while Instant::now() < until && !writer.is_finished() {
                look(&inspection, &mut seen);
                looks += 1;
            }
        }));
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert!(looks > 3, "{looks}");
    store.close().unwrap();
    for report in inspection.verify().unwrap() {
        assert!(report.findings.is_empty(), "{:?}", report.findings);
    }
}

#[test]
fn a_store_written_to_in_memory_speed_is_sound_all_the_time() {
    look_while_writing(
        Options::new().durability(Durability::Os).segment_bytes_max(32 << 10).checkpoint_bytes_min(16 << 10),
    );
}

#[test]
fn a_store_of_large_segments_is_sound_all_the_time() {
    look_while_writing(Options::new().durability(Durability::Os).segment_bytes_max(8 << 20));
}

#[test]
fn a_store_that_syncs_is_sound_all_the_time() {
    look_while_writing(Options::new().segment_bytes_max(8 << 10).checkpoint_bytes_min(4 << 10));
}

#[test]
fn a_store_written_to_with_system_calls_is_sound_all_the_time() {
    let options = Options::new().durability(Durability::Os).write_mode(streamlog::WriteMode::Pwrite);
    look_while_writing(options.segment_bytes_max(32 << 10).checkpoint_bytes_min(16 << 10));
}
