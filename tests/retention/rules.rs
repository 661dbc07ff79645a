//! Each rule, alone and with others.

use std::time::Duration;

use streamlog::sim::SimDisk;
use streamlog::{AddOptions, NewId, Options, References, Retention, Store, StreamId, Trim};

use crate::harness::{Clock, HOUR, HOUR_MS, ages, fill, log_bytes, mount};

fn store(clock: &Clock) -> Store {
    clock.options().in_memory()
}

#[test]
fn without_rules_everything_is_kept() {
    let clock = Clock::new();
    let store = store(&clock);
    let stream = store.stream("s").unwrap();
    assert_eq!(stream.retention().unwrap(), Retention::new());
    assert!(!stream.exists().unwrap());
    stream.set_retention(Retention::new()).unwrap();
    assert!(!stream.exists().unwrap(), "nothing was asked for");
    fill(&stream, 50);
    clock.advance(1000 * HOUR_MS);
    store.enforce_retention().unwrap();
    fill(&stream, 50);
    assert_eq!(stream.len().unwrap(), 100);
}

#[test]
fn a_limited_length_is_never_exceeded() {
    let stream = store(&Clock::new()).stream("s").unwrap();
    stream.set_retention(Retention::new().max_len(10)).unwrap();
    let entry = |ms| (NewId::Exact(StreamId::new(ms, 0)), [("a", "b")]);
    for ms in 1..=30 {
        stream.add_with(AddOptions::new().id(StreamId::new(ms, 0)), [("a", "b")]).unwrap();
        assert_eq!(stream.len().unwrap(), ms.min(10));
    }
    stream.add_batch((31..=50).map(entry)).unwrap();
    assert_eq!((stream.len().unwrap(), stream.first().unwrap().unwrap().id().ms()), (10, 41));
    // Deleted ones are not counted.
    stream.delete([StreamId::new(45, 0), StreamId::new(46, 0)]).unwrap();
    stream.add_batch((51..=52).map(entry)).unwrap();
    assert_eq!((stream.len().unwrap(), stream.first().unwrap().unwrap().id().ms()), (10, 41));
    let info = stream.info().unwrap();
    assert_eq!((info.entries_added, info.max_deleted_entry_id), (52, StreamId::new(46, 0)));
    stream.set_retention(Retention::new().max_len(3)).unwrap();
    assert_eq!(stream.len().unwrap(), 3, "at once");
    stream.set_retention(Retention::new().max_len(0)).unwrap();
    stream.add_with(AddOptions::new().id(StreamId::new(60, 0)), [("a", "b")]).unwrap();
    assert_eq!((stream.len().unwrap(), stream.info().unwrap().entries_added), (0, 53));
    stream.set_retention(Retention::new()).unwrap();
    stream.add_with(AddOptions::new().id(StreamId::new(61, 0)), [("a", "b")]).unwrap();
    assert_eq!(stream.len().unwrap(), 1);
}

#[test]
fn a_trim_of_an_add_and_a_limited_length_both_count() {
    let stream = store(&Clock::new()).stream("s").unwrap();
    stream.set_retention(Retention::new().max_len(5)).unwrap();
    fill(&stream, 5);
    stream.add_with(AddOptions::new().trim(Trim::to_len(8)), [("a", "b")]).unwrap();
    assert_eq!(stream.len().unwrap(), 5);
    stream.add_with(AddOptions::new().trim(Trim::to_len(2)), [("a", "b")]).unwrap();
    assert_eq!(stream.len().unwrap(), 2);
    stream.group("g").create(streamlog::Position::Start).unwrap();
    fill(&stream, 3);
    // What groups have yet to read stays as far as this trim goes, but the limit is one.
    let careful = Trim::to_len(1).references(References::Acknowledged);
    stream.add_with(AddOptions::new().trim(careful), [("a", "b")]).unwrap();
    assert_eq!(stream.len().unwrap(), 5);
    let ruthless = Trim::to_len(4).references(References::Delete);
    stream.add_with(AddOptions::new().trim(ruthless), [("a", "b")]).unwrap();
    assert_eq!(stream.len().unwrap(), 4);
}

#[test]
fn entries_go_when_they_are_older_than_the_limit() {
    let clock = Clock::new();
    let store = store(&clock);
    let stream = store.stream("s").unwrap();
    stream.set_retention(Retention::new().max_age(3 * HOUR)).unwrap();
    for _ in 0..6 {
        stream.add([("a", "b")]).unwrap();
        clock.advance(HOUR_MS);
    }
    // It is 6 o'clock, and those of 3, 4 and 5 are not older than three hours.
    store.enforce_retention().unwrap();
    assert_eq!(ages(&stream), [3 * HOUR_MS, 4 * HOUR_MS, 5 * HOUR_MS]);
    clock.advance(1);
    store.enforce_retention().unwrap();
    assert_eq!(ages(&stream), [4 * HOUR_MS, 5 * HOUR_MS]);
    let before = stream.info().unwrap();
    clock.advance(100 * HOUR_MS);
    store.enforce_retention().unwrap();
    let after = stream.info().unwrap();
    assert_eq!((after.len, after.first_entry), (0, None));
    assert_eq!(after.last_generated_id, before.last_generated_id);
    assert_eq!((after.entries_added, after.max_deleted_entry_id), (6, StreamId::MIN), "as a trim leaves it");
}

#[test]
fn old_entries_go_with_their_segments_while_others_are_added() {
    let (clock, disk) = (Clock::new(), SimDisk::new());
    let store = mount(clock.options(), &disk);
    let stream = store.stream("s").unwrap();
    stream.set_retention(Retention::new().max_age(3 * HOUR)).unwrap();
    for minute in 0..24 * 60 {
        fill(&stream, 1);
        clock.advance(60_000);
        // Three hours, and the two segments of 16 entries that are not full, or not all of it old.
        let oldest = clock.ms() - stream.first().unwrap().unwrap().id().ms();
        assert!(oldest <= 3 * HOUR_MS + 32 * 60_000, "{oldest} ms at minute {minute}");
        assert!(minute < 180 || stream.len().unwrap() >= 180, "{} at minute {minute}", stream.len().unwrap());
        assert!(log_bytes(&disk, "s") <= (180 + 48) * 1100, "{} bytes", log_bytes(&disk, "s"));
    }
}

#[test]
fn segments_are_within_the_limit_of_bytes_from_the_first_to_the_last() {
    for limit in [40_000, 100_000, 300_000] {
        let disk = SimDisk::new();
        let store = mount(Clock::new().options(), &disk);
        let stream = store.stream("s").unwrap();
        stream.set_retention(Retention::new().max_bytes(limit)).unwrap();
        for count in 1..=600u64 {
            fill(&stream, 1);
            let bytes = log_bytes(&disk, "s");
            assert!(bytes <= limit, "{bytes} bytes of {limit} after {count}");
            // Of what there may be, an eighth may have gone at once, and another may be waited for.
            let kept = stream.len().unwrap();
            assert!(kept >= count.min(limit * 5 / 8 / 1100), "{kept} of {count} entries in {limit} bytes");
        }
    }
}

#[test]
fn a_limit_of_bytes_that_is_set_later_holds_from_then_on() {
    let disk = SimDisk::new();
    let store = mount(Clock::new().options(), &disk);
    let stream = store.stream("s").unwrap();
    fill(&stream, 500);
    let before = log_bytes(&disk, "s");
    stream.set_retention(Retention::new().max_bytes(100_000)).unwrap();
    assert!(before > 500_000 && log_bytes(&disk, "s") <= 100_000, "{} bytes", log_bytes(&disk, "s"));
    let kept = stream.len().unwrap();
    assert!(kept > 60, "{kept} entries");
    // One that needs more than there may be is kept alone, for as long as it is the newest.
    stream.add([("value", "x".repeat(200_000))]).unwrap();
    assert_eq!(stream.len().unwrap(), 1);
    fill(&stream, 10);
    assert_eq!(stream.len().unwrap(), 10);
    assert!(log_bytes(&disk, "s") <= 100_000);
}

#[test]
fn several_limits_each_count() {
    let (clock, disk) = (Clock::new(), SimDisk::new());
    let store = mount(clock.options(), &disk);
    let stream = store.stream("s").unwrap();
    let all = Retention::new().max_age(10 * HOUR).max_bytes(200_000).max_len(100);
    stream.set_retention(all).unwrap();
    fill(&stream, 150);
    assert_eq!(stream.len().unwrap(), 100, "the length");
    stream.set_retention(all.max_bytes(50_000)).unwrap();
    assert!(log_bytes(&disk, "s") <= 50_000, "the bytes");
    let kept = stream.len().unwrap();
    assert!((20..50).contains(&kept), "{kept} entries");
    clock.advance(5 * HOUR_MS);
    fill(&stream, 7);
    clock.advance(6 * HOUR_MS);
    store.enforce_retention().unwrap();
    assert_eq!(stream.len().unwrap(), 7, "the age");
}

#[test]
fn ages_at_the_ends_of_time() {
    for age in [Duration::ZERO, Duration::MAX] {
        let clock = Clock::new();
        let store = Options::new().retention_interval(Duration::ZERO).clock(|| std::time::UNIX_EPOCH).in_memory();
        let stream = store.stream("s").unwrap();
        stream.set_retention(Retention::new().max_age(age)).unwrap();
        fill(&stream, 3);
        store.enforce_retention().unwrap();
        assert_eq!(stream.len().unwrap(), 3, "nothing is older than the beginning of time");
        let store = clock.options().in_memory();
        let stream = store.stream("s").unwrap();
        stream.set_retention(Retention::new().max_age(age)).unwrap();
        fill(&stream, 3);
        clock.advance(1);
        store.enforce_retention().unwrap();
        assert_eq!(stream.len().unwrap(), if age.is_zero() { 0 } else { 3 });
    }
}
