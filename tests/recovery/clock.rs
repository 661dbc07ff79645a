//! Promise: IDs increase and none is handed out twice, whatever the clock does and whatever a crash takes away (P3).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use streamlog::sim::{CrashLimits, SimDisk};
use streamlog::{AddOptions, Durability, Options, Position, Production, Store, StreamId};

use crate::harness::seed;

const HOUR_MS: u64 = 3_600_000;
const TEN_YEARS_MS: u64 = 10 * 365 * 24 * HOUR_MS;
const NOON_MS: u64 = 1_700_000_000_000;

/// A clock that is set by hand.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::SeqCst);
    }

    fn open(&self, disk: &Arc<SimDisk>, level: Durability) -> Store {
        let now = Arc::clone(&self.0);
        let now = move || UNIX_EPOCH + Duration::from_millis(now.load(Ordering::SeqCst));
        let options = Options::new().durability(level).segment_bytes_max(4096).checkpoint_bytes_min(600);
        Store::open_simulated(options.clock(now), disk).unwrap()
    }
}

/// Where the clock goes from `NOON_MS`: each of these is a moment at which something is added.
const WALKS: [&[u64]; 7] = [
    &[NOON_MS, NOON_MS, NOON_MS],
    &[NOON_MS, NOON_MS - HOUR_MS, NOON_MS],
    &[NOON_MS, NOON_MS - TEN_YEARS_MS, NOON_MS - TEN_YEARS_MS + 1],
    &[NOON_MS, NOON_MS + HOUR_MS, NOON_MS],
    &[NOON_MS, NOON_MS + TEN_YEARS_MS, NOON_MS],
    &[NOON_MS, 0, 1],
    // Beyond the seconds that a signed number of milliseconds holds.
    &[NOON_MS, u64::MAX / 2, NOON_MS],
];

/// What comes between two moments.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Between {
    Nothing,
    Close,
    Kill,
    /// Of what was not synced, everything is gone.
    LosesAll,
    /// Of what was not synced, anything may be there.
    LosesSome(usize),
}

/// Hands out an ID, above all before.
fn add(store: &Store, handed_out: &mut Vec<StreamId>, what: &str) {
    let id = store.stream("s").unwrap().add([("field", "x".repeat(500))]).unwrap();
    assert!(handed_out.last().is_none_or(|last| id > *last), "{id} after {:?}: {what}", handed_out.last());
    handed_out.push(id);
}

/// Goes on on what is left, after `between`.
fn pass(between: Between, disk: Arc<SimDisk>, store: Store) -> Arc<SimDisk> {
    let limits = CrashLimits { exhaustive_max: 16, samples: 16, ..CrashLimits::default() };
    let lost = |number: usize| {
        let mut images: Vec<_> = disk.crash_images(disk.steps(), limits, seed()).collect();
        images.swap_remove(number % images.len())
    };
    match between {
        Between::Nothing => unreachable!("it goes on with the same store"),
        Between::Close => {
            store.close().unwrap();
            disk
        }
        Between::Kill => disk.kill_image(disk.steps()).mount(),
        Between::LosesAll => lost(0).mount(),
        Between::LosesSome(number) => lost(number).mount(),
    }
}

#[test]
fn no_id_is_handed_out_twice_whatever_the_clock_and_a_crash_do() {
    let mut ids = 0;
    let kinds = [Between::Nothing, Between::Close, Between::Kill, Between::LosesAll];
    let kinds: Vec<_> = kinds.into_iter().chain((1..12).map(Between::LosesSome)).collect();
    for level in [Durability::Always, Durability::Os] {
        for walk in WALKS {
            for (first, second) in kinds.iter().flat_map(|first| kinds.iter().map(move |second| (*first, *second))) {
                let what = format!("{level:?}, {walk:?}, {first:?} and {second:?}, seed {:#x}", seed());
                let (mut disk, clock, mut handed_out) = (SimDisk::new(), Clock::default(), Vec::new());
                clock.set(walk[0]);
                let mut store = clock.open(&disk, level);
                for (moment, between) in walk.iter().zip([first, second, Between::Nothing]) {
                    clock.set(*moment);
                    // While it is open the clock also goes back and forth.
                    add(&store, &mut handed_out, &what);
                    clock.set(moment.saturating_sub(HOUR_MS));
                    add(&store, &mut handed_out, &what);
                    clock.set(*moment);
                    add(&store, &mut handed_out, &what);
                    if between != Between::Nothing {
                        clock.set(walk[1]);
                        disk = pass(between, disk, store);
                        store = clock.open(&disk, level);
                    }
                }
                ids += handed_out.len();
                let found: Vec<_> = store.stream("s").unwrap().range(..).map(|entry| entry.unwrap().id()).collect();
                assert!(found.is_sorted() && found.iter().all(|id| handed_out.contains(id)), "{found:?}: {what}");
                assert!(level != Durability::Always || found == handed_out, "{found:?} of {handed_out:?}: {what}");
            }
        }
    }
    println!("{ids} IDs were handed out");
    assert!(ids > 28_000, "{ids}");
}

/// Nothing is idle for a negative time, and nobody is robbed of an entry because a clock went back.
#[test]
fn a_clock_that_went_back_makes_nothing_idle() {
    for back_ms in [HOUR_MS, TEN_YEARS_MS, NOON_MS] {
        for reopens in [false, true] {
            let (disk, clock) = (SimDisk::new(), Clock::default());
            clock.set(NOON_MS);
            let mut store = clock.open(&disk, Durability::Always);
            let made = AddOptions::new().production(Production::Named { producer: b"p", id: b"i" });
            let id = store.stream("s").unwrap().add_with(made, [("n", "1")]).unwrap().unwrap();
            let group = store.stream("s").unwrap().group("g");
            group.create(Position::Start).unwrap();
            assert_eq!(group.consumer("alice").read().new_entries().unwrap().len(), 1);
            clock.set(NOON_MS - back_ms);
            if reopens {
                store.close().unwrap();
                store = clock.open(&disk, Durability::Always);
            }
            let group = store.stream("s").unwrap().group("g");
            let bob = group.consumer("bob");
            let pending = || group.pending_entries().run().unwrap();
            assert_eq!(pending()[0].idle, Duration::ZERO);
            assert_eq!(group.pending_entries().min_idle(Duration::from_millis(1)).run().unwrap().len(), 0);
            let alice = group.consumers().unwrap().remove(0);
            assert_eq!((alice.idle, alice.seen_time_ms), (Duration::ZERO, NOON_MS));
            for idle in [Duration::from_millis(1), Duration::from_secs(3600), Duration::MAX] {
                assert_eq!(bob.auto_claim(idle).run().unwrap().ids, [], "{idle:?}");
                assert!(bob.claim(idle, [id]).run().unwrap().is_empty(), "{idle:?}");
            }
            // As if it had been delivered before there was time.
            assert_eq!(bob.claim(Duration::ZERO, [id]).idle(Duration::MAX).run().unwrap().len(), 1);
            let times = [SystemTime::UNIX_EPOCH, UNIX_EPOCH + Duration::from_millis(NOON_MS + TEN_YEARS_MS)];
            for time in times {
                assert_eq!(bob.claim(Duration::ZERO, [id]).delivered_at(time).run().unwrap().len(), 1);
                assert!(pending()[0].idle <= Duration::from_millis(NOON_MS));
            }
            // What was produced is remembered all the same.
            let again = store.stream("s").unwrap().add_with(made_again(), [("n", "2")]).unwrap();
            assert_eq!(again, Some(id));
            clock.set(NOON_MS + HOUR_MS);
            assert_eq!(group.consumer("carol").auto_claim(Duration::ZERO).run().unwrap().ids, [id]);
            assert_eq!(group.acknowledge([id]).unwrap(), 1);
            store.close().unwrap();
        }
    }
}

fn made_again() -> AddOptions<'static> {
    AddOptions::new().production(Production::Named { producer: b"p", id: b"i" })
}

/// Entries that are lost take their IDs with them; the ceiling tells how far these went.
#[test]
fn the_ids_of_lost_entries_stay_spent_after_crash_after_crash() {
    for back_ms in [0, HOUR_MS, TEN_YEARS_MS] {
        let (mut disk, clock, mut handed_out) = (SimDisk::new(), Clock::default(), Vec::new());
        for life in 0..20 {
            clock.set(NOON_MS - back_ms * life.min(2) / 2);
            let store = clock.open(&disk, Durability::Os);
            for _ in 0..=life % 3 {
                add(&store, &mut handed_out, &format!("life {life}, back {back_ms}"));
            }
            disk = pass(Between::LosesAll, disk, store);
        }
    }
}
