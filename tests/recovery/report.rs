//! Promise: opening a stream tells what it found and dropped, exactly.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[cfg(feature = "tracing")]
use streamlog::OnDamage;
use streamlog::sim::{Image, SimDisk};
use streamlog::{AddOptions, Durability, Error, GroupOptions, Options, Position, RecoveryReport, Store, StreamId};

const LOG: &str = "streams/s/00000000000000000001.log";
const JOURNAL: &str = "streams/s/00000000000000000001.journal";
const NOW_MS: u64 = 1_700_000_000_000;

fn open(disk: &Arc<SimDisk>, durability: Durability) -> Store {
    let options = Options::new().durability(durability);
    let options = options.clock(|| SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS));
    Store::open_simulated(options, disk).unwrap()
}

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn add(store: &Store, ms: u64) {
    store.stream("s").unwrap().add_with(AddOptions::new().id(id(ms)), [("field", "value")]).unwrap();
}

/// The report of an image that is opened, and how many entries and pending ones there are then.
fn recover(image: &Image) -> (RecoveryReport, u64, usize) {
    let store = open(&image.mount(), Durability::Always);
    let stream = store.stream("s").unwrap();
    let pending = stream.groups().unwrap().first().map_or(0, |group| group.pending);
    let result = (stream.recovery().unwrap(), stream.len().unwrap(), pending as usize);
    // What was found is dealt with: the next time there is nothing.
    store.close().unwrap();
    result
}

fn end_of(image: &Image, path: &str) -> usize {
    image.file(path).unwrap().iter().rposition(|&byte| byte != 0).unwrap() + 1
}

/// A store of three entries, a group and a delivery, one change after the other; killed, with the length of log and journal
/// after each step.
fn killed() -> (Image, Vec<(usize, usize)>) {
    let disk = SimDisk::new();
    let store = open(&disk, Durability::Os);
    let mut ends = Vec::new();
    let mut note = || {
        let image = disk.kill_image(disk.steps());
        let journal = image.file(JOURNAL).map_or(0, |_| end_of(&image, JOURNAL));
        ends.push((end_of(&image, LOG), journal));
    };
    add(&store, 1);
    note();
    let group = store.stream("s").unwrap().group("g");
    // Nothing that ends in a zero, so that ends can be told from bytes.
    group.create_with(GroupOptions::new(Position::After(StreamId::new(0, 1))).entries_read(0)).unwrap();
    note();
    add(&store, 2);
    note();
    group.consumer("c").read().new_entries().unwrap();
    note();
    add(&store, 3);
    note();
    let image = disk.kill_image(disk.steps());
    drop(store);
    (image, ends)
}

#[test]
fn a_closed_stream_and_a_new_one_are_clean() {
    let disk = SimDisk::new();
    let store = open(&disk, Durability::Always);
    add(&store, 1);
    let report = store.stream("s").unwrap().recovery().unwrap();
    assert!(report.is_clean && !report.has_dropped());
    store.close().unwrap();
    let (report, entries, _) = recover(&disk.kill_image(disk.steps()));
    assert!(report.is_clean && !report.has_dropped() && report.last_id_raised_from.is_none(), "{report:?}");
    assert_eq!((report.last_id, entries), (id(1), 1));
}

#[test]
fn a_kill_loses_nothing_and_is_told_from_a_close() {
    let (image, _) = killed();
    let (report, entries, pending) = recover(&image);
    assert!(!report.is_clean && !report.has_dropped() && report.leftovers.is_empty(), "{report:?}");
    assert_eq!((entries, pending), (3, 2));
}

#[test]
fn the_bytes_of_a_torn_append_are_counted() {
    let (image, ends) = killed();
    let (before, after) = (ends[3].0, ends[4].0);
    for cut in [1, 5, 12] {
        let mut image = image.clone();
        image.file_mut(LOG).unwrap()[after - cut..].fill(0);
        let left = end_of(&image, LOG) - before;
        let (report, entries, pending) = recover(&image);
        let expected = (left as u64, 0, 0, 0);
        let found =
            (report.log_bytes_dropped, report.journal_bytes_dropped, report.entries_dropped, report.changes_dropped);
        assert_eq!((found, entries, pending), (expected, 2, 2), "{report:?}");
    }
}

#[test]
fn changes_that_build_on_lost_entries_are_counted() {
    let (image, ends) = killed();
    let mut image = image.clone();
    // The second entry and what follows it.
    image.file_mut(LOG).unwrap()[ends[0].0..].fill(0);
    let (report, entries, pending) = recover(&image);
    // Its delivery, with the consumer that came with it, is one change.
    assert_eq!((report.changes_dropped, report.log_bytes_dropped, report.entries_dropped), (1, 0, 0), "{report:?}");
    assert_eq!((entries, pending), (1, 0));
}

#[test]
fn entries_that_build_on_lost_changes_are_counted() {
    let (image, ends) = killed();
    let mut image = image.clone();
    // The delivery, which came before the third entry.
    let delivery = ends[2].1;
    image.file_mut(JOURNAL).unwrap()[delivery + 8..].fill(0);
    let left = end_of(&image, JOURNAL) - delivery;
    let (report, entries, pending) = recover(&image);
    let found =
        (report.entries_dropped, report.journal_bytes_dropped, report.log_bytes_dropped, report.changes_dropped);
    assert_eq!(found, (1, left as u64, 0, 0), "{report:?}");
    assert_eq!((entries, pending), (2, 0));
}

#[test]
fn how_far_the_ceiling_raises_the_last_id_is_told() {
    let disk = SimDisk::new();
    let store = open(&disk, Durability::Os);
    let last = store.stream("s").unwrap().add([("automatic", "id")]).unwrap();
    let (report, ..) = recover(&disk.kill_image(disk.steps()));
    assert_eq!(report.last_id_raised_from, Some(last), "{report:?}");
    // The ceiling is five seconds ahead.
    assert_eq!(report.last_id, StreamId::new(NOW_MS + 5000, 0));
}

#[test]
fn leftovers_are_told_by_their_names() {
    let disk = SimDisk::new();
    let store = open(&disk, Durability::Os);
    for ms in 1..=4 {
        let large = [("field", "x".repeat(3000))];
        store.stream("s").unwrap().add_with(AddOptions::new().id(id(ms)), large).unwrap();
    }
    store.stream("s").unwrap().group("g").create(Position::Start).unwrap();
    let mut seen = BTreeSet::new();
    for step in 0..=disk.steps() {
        let image = disk.kill_image(step);
        let of_stream = image.files().filter(|path| path.starts_with("streams/s"));
        let names = of_stream.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        let new: Vec<_> = names.filter(|name| name.ends_with(".new")).collect();
        if !new.is_empty() {
            let (report, ..) = recover(&image);
            assert_eq!(report.leftovers, new, "after step {step}");
            seen.extend(new.iter().map(|name| name.split_once('.').unwrap().1.to_owned()));
        }
    }
    assert_eq!(seen.iter().collect::<Vec<_>>(), ["idx.new", "journal.new", "log.new"]);
}

/// A segment gets its name when the journal it builds on is synced, also if nothing has been added to it yet.
#[test]
fn a_change_that_a_segment_builds_on_is_damaged_not_torn() {
    let disk = SimDisk::new();
    let options =
        Options::new().segment_bytes_max(4096).clock(|| SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS));
    let store = Store::open_simulated(options, &disk).unwrap();
    add(&store, 1);
    let group = store.stream("s").unwrap().group("g");
    group.create(Position::Start).unwrap();
    group.consumer("c").read().new_entries().unwrap();
    let large = [("field", "x".repeat(3900))];
    let from = disk.steps();
    store.stream("s").unwrap().add_with(AddOptions::new().id(id(2)), large).unwrap();
    let history = disk.history();
    let is_begun = |to: &std::path::PathBuf| to.to_string_lossy().ends_with(".log");
    let begun = (from..history.len()).find(|&step| history[step].to.as_ref().is_some_and(is_begun)).unwrap();
    let image = disk.kill_image(begun + 1);
    drop(store);
    for cut in [false, true] {
        let mut image = image.clone();
        let end = end_of(&image, JOURNAL);
        let journal = image.file_mut(JOURNAL).unwrap();
        if cut {
            journal.truncate(end - 1)
        } else {
            journal[end - 1] ^= 1
        }
        let store = open(&image.mount(), Durability::Always);
        match store.stream("s").unwrap().len() {
            Err(Error::Corrupt { path, .. }) => assert!(path.ends_with(JOURNAL), "{path:?}"),
            other => panic!("{other:?}, the delivery is lost: {:?}", store.stream("s").unwrap().recovery()),
        }
    }
}

/// With the feature `tracing`.
#[cfg(feature = "tracing")]
mod events {
    use std::cell::RefCell;
    use std::fmt::Write;
    use std::sync::Once;

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;

    thread_local! {
        static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
    }

    /// Takes events down, a line each, in the thread that they are of. It is the collector of the whole process: one for a
    /// part of it may miss events that another thread, which has none, comes to first.
    struct Lines;

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "streamlog" && *metadata.level() <= Level::INFO
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut line = Line(String::new());
            event.record(&mut line);
            LINES.with_borrow_mut(|lines| lines.push((*event.metadata().level(), line.0)));
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            write!(self.0, "{field}={value:?} ").unwrap();
        }
    }

    fn told(image: &Image, policy: OnDamage) -> Vec<(Level, String)> {
        static COLLECTING: Once = Once::new();
        COLLECTING.call_once(|| tracing::subscriber::set_global_default(Lines).unwrap());
        LINES.take();
        let store = Store::open_simulated(Options::new().on_damage(policy), &image.mount()).unwrap();
        store.stream("s").unwrap().recovery().unwrap();
        LINES.take()
    }

    #[test]
    fn opening_tells_what_it_found() {
        let (killed, ends) = killed();
        let [(Level::INFO, line)] = &told(&killed, OnDamage::Refuse)[..] else { panic!() };
        assert!(line.contains("stream=s ") && line.contains("nothing was lost"), "{line}");
        let mut torn = killed.clone();
        torn.file_mut(LOG).unwrap()[ends.last().unwrap().0] = 1;
        let [(Level::WARN, line)] = &told(&torn, OnDamage::Refuse)[..] else { panic!() };
        assert!(line.contains("log_bytes_dropped=1 "), "{line}");
        let mut damaged = killed.clone();
        damaged.file_mut("streams/s/meta").unwrap().fill(1);
        let [(Level::ERROR, line), (Level::INFO, _)] = &told(&damaged, OnDamage::Quarantine)[..] else { panic!() };
        assert!(line.contains("meta at byte 0"), "{line}");
    }
}
