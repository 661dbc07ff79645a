//! Sequences that failed once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use streamlog::sim::SimDisk;
use streamlog::{
    AddOptions, Durability, GroupOptions, Options, Position, Production, References, SetId, Store, StreamId, Trim,
};

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn add(stream: &streamlog::Stream, ids: std::ops::RangeInclusive<u64>) {
    for ms in ids {
        stream.add_with(AddOptions::new().id(id(ms)), [("n", ms.to_string())]).unwrap();
    }
}

/// Found by the model: the block stayed although nothing of it was to stay.
#[test]
fn a_block_whose_rest_is_deleted_is_trimmed_as_a_whole() {
    let stream = Store::in_memory().stream("s").unwrap();
    add(&stream, 1..=100);
    stream.delete((2..=100).map(id)).unwrap();
    add(&stream, 101..=103);
    assert_eq!(stream.trim(Trim::to_len(3).approximately()).unwrap(), 1);
}

/// Found by reading: the first deleted entry above the range ended it.
#[test]
fn a_range_goes_on_behind_deleted_entries_that_were_above_the_last_id_when_it_was_set_back() {
    let stream = Store::in_memory().stream("s").unwrap();
    add(&stream, 1..=100);
    stream.delete((51..=100).map(id)).unwrap();
    stream.set_id(SetId::new(id(100)).max_deleted_id(id(1))).unwrap();
    stream.set_id(SetId::new(id(50))).unwrap();
    add(&stream, 51..=60);
    let found: Vec<u64> = stream.range(id(40)..=id(55)).map(|entry| entry.unwrap().id().ms()).collect();
    assert_eq!(found, (40..=55).collect::<Vec<_>>());
    let found: Vec<u64> = stream.range(id(40)..=id(55)).rev().map(|entry| entry.unwrap().id().ms()).collect();
    assert_eq!(found, (40..=55).rev().collect::<Vec<_>>());
    for ms in 1..=60 {
        assert!(stream.get(id(ms)).unwrap().is_some(), "{ms}");
    }
    assert!(stream.get(id(61)).unwrap().is_none());
}

/// Found by reading: while the trim was planned the new entry had no ID yet, and so was below any threshold.
#[test]
fn an_entry_added_with_a_trim_that_looks_at_references_is_measured_by_its_own_id() {
    let stream = Store::in_memory().stream("s").unwrap();
    stream.group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    add(&stream, 1..=2);
    let trim = Trim::before(id(100)).references(References::Delete);
    stream.add_with(AddOptions::new().id(id(200)).trim(trim), [("n", "200")]).unwrap();
    let found: Vec<u64> = stream.range(..).map(|entry| entry.unwrap().id().ms()).collect();
    assert_eq!(found, [200]);
}

/// A store on a simulated disk, by a clock that is told the time.
fn timed(disk: &Arc<SimDisk>, clock: &Arc<AtomicU64>) -> Store {
    let clock = Arc::clone(clock);
    let now = move || UNIX_EPOCH + Duration::from_millis(clock.load(Ordering::SeqCst));
    Store::open_simulated(Options::new().durability(Durability::Os).clock(now), disk).unwrap()
}

fn produce(store: &Store, key: &str) -> StreamId {
    let production = Production::Named { producer: b"p", id: key.as_bytes() };
    let options = AddOptions::new().production(production);
    store.stream("s").unwrap().add_with(options, [("n", key)]).unwrap().unwrap()
}

/// Found by reading: a process that lives for less than a second never forgot anything.
#[test]
fn productions_that_were_due_while_the_store_was_closed_are_forgotten() {
    let (disk, clock) = (SimDisk::new(), Arc::new(AtomicU64::new(1_000_000)));
    let store = timed(&disk, &clock);
    let first = produce(&store, "a");
    store.close().unwrap();
    clock.store(2_000_000, Ordering::SeqCst);
    let store = timed(&disk, &clock);
    assert_ne!(produce(&store, "a"), first, "it was remembered for 1000 seconds instead of 100");
}

/// Found by reading: replayed, a production that had been forgotten kept its place when it was made again.
#[test]
fn productions_are_forgotten_in_the_order_in_which_they_were_made_also_after_reopening() {
    let (disk, clock) = (SimDisk::new(), Arc::new(AtomicU64::new(1_000_000)));
    let store = timed(&disk, &clock);
    produce(&store, "a");
    store.stream("s").unwrap().configure_producers(None, Some(2)).unwrap();
    produce(&store, "a");
    clock.store(1_060_000, Ordering::SeqCst);
    produce(&store, "b");
    clock.store(1_110_000, Ordering::SeqCst);
    let again = produce(&store, "a");
    store.close().unwrap();
    let store = timed(&disk, &clock);
    let last = produce(&store, "c");
    assert_eq!((produce(&store, "a"), produce(&store, "c")), (again, last), "only b is forgotten");
}

/// Found by the model: the ID was pending from before the last ID was set back.
#[test]
fn a_new_entry_that_is_trimmed_at_once_is_pending_nowhere() {
    let stream = Store::in_memory().stream("s").unwrap();
    add(&stream, 1..=2);
    let group = stream.group("g");
    group.create(Position::Start).unwrap();
    group.consumer("alice").read().new_entries().unwrap();
    stream.delete([id(2)]).unwrap();
    stream.set_id(SetId::new(id(2)).max_deleted_id(id(1))).unwrap();
    stream.set_id(SetId::new(id(1))).unwrap();
    let trim = Trim::to_len(0).references(References::Delete);
    stream.add_with(AddOptions::new().id(id(2)).trim(trim), [("n", "again")]).unwrap();
    assert_eq!(group.pending().unwrap().count, 0);
}
