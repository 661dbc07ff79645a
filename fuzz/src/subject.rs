//! The stores that are damaged: all kinds of entries and changes, in few bytes.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arbitrary::Arbitrary;
use streamlog::sim::{Image, SimDisk};
use streamlog::{
    AddOptions, Deletion, Durability, GroupOptions, NewId, OnDamage, Options, Position, Production, References,
    Release, Result, SetId, Store, StreamId, Trim,
};

/// The stream whose files are edited.
pub const STREAM: &str = "s";
/// A stream that nobody touches.
pub const OTHER: &str = "other";
/// Where the files of [`STREAM`] are.
pub const DIRECTORY: &str = "streams/s";

/// How the store was left.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Left {
    /// The end is noted in the superblock.
    Closed,
    /// The frames tell how far they are synced.
    KilledAtAlways,
    /// Next to nothing is known to be synced.
    KilledAtOs,
}

impl Left {
    pub fn image(self) -> Image {
        let image = match self {
            Self::Closed => &CLOSED,
            Self::KilledAtAlways => &KILLED_AT_ALWAYS,
            Self::KilledAtOs => &KILLED_AT_OS,
        };
        let image = Image::clone(image);
        number_identities(OF_AN_INPUT);
        image
    }
}

static CLOSED: LazyLock<Image> = LazyLock::new(|| image(1, Durability::Os, true));
static KILLED_AT_ALWAYS: LazyLock<Image> = LazyLock::new(|| image(2, Durability::Always, false));
static KILLED_AT_OS: LazyLock<Image> = LazyLock::new(|| image(3, Durability::Os, false));

fn image(series: u64, durability: Durability, close: bool) -> Image {
    number_identities(series);
    let disk = SimDisk::new();
    let store = open(&disk, durability, OnDamage::Refuse).expect("an undamaged disk takes a store");
    fill(&store).expect("an undamaged disk takes entries");
    if close {
        store.close().expect("an undamaged disk can be synced");
    }
    disk.kill_image(disk.steps())
}

/// Entries that were deleted; those before [`FIRST`] were trimmed.
const DELETED: [StreamId; 3] = [StreamId::new(20, 1), StreamId::new(21, 1), StreamId::new(40, 3)];
const FIRST: StreamId = StreamId::new(10, 1);

/// Whether there was an entry with this ID, which was removed.
pub fn was_removed(id: StreamId) -> bool {
    id < FIRST || DELETED.contains(&id)
}

thread_local! {
    static IDENTITIES: Cell<u128> = const { Cell::new(0) };
}

/// The series of the identities that are made while an input is tried; the stores that are damaged have others.
pub const OF_AN_INPUT: u64 = 0;

/// Lets the identities that are made from now on be the first of a series: whatever was tried before, an input does the same.
pub fn number_identities(series: u64) {
    IDENTITIES.set(u128::from(series) << 64);
}

fn next_identity() -> [u8; 16] {
    let number = IDENTITIES.get() + 1;
    IDENTITIES.set(number);
    // Odd, so that no two are alike.
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes()
}

/// The time at which everything happens, in Unix milliseconds.
pub const NOW_MS: u64 = 1_000_000;

pub fn options(durability: Durability) -> Options {
    let now: SystemTime = UNIX_EPOCH + Duration::from_millis(NOW_MS);
    let options = Options::new().segment_bytes_max(4096).checkpoint_bytes_min(2048).durability(durability);
    options.clock(move || now).identities(next_identity)
}

pub fn open(disk: &Arc<SimDisk>, durability: Durability, on_damage: OnDamage) -> Result<Store> {
    Store::open_simulated(options(durability).on_damage(on_damage), disk)
}

/// Streams of several segments with a journal, one of them to be left alone.
fn fill(store: &Store) -> Result<()> {
    let stream = store.stream(STREAM)?;
    let id = |ms, seq| StreamId::new(ms, seq);
    let note = "a longer value, to fill segments a little faster".repeat(4);
    let group = stream.group("workers");
    group.create_with(GroupOptions::new(Position::Start).create_stream())?;
    for ms in 1..=40 {
        let text = ms.to_string();
        stream.add_with(AddOptions::new().id(id(ms, 1)), [("type", "created"), ("n", &text), ("note", &note)])?;
        if ms % 8 == 0 {
            let batch = (2..6).map(|seq| (NewId::Exact(id(ms, seq)), [("type", "paid"), ("n", &text)]));
            stream.add_batch(batch)?;
            group.consumer("alice").read().count(5).new_entries()?;
        }
    }
    let made = AddOptions::new().production(Production::Named { producer: b"p", id: b"i" });
    stream.add_with(made, [("made", "once")])?;
    stream.trim(Trim::to_len(48))?;
    stream.delete(DELETED)?;
    group.acknowledge([id(1, 1), id(2, 1)])?;
    group.release([id(3, 1)], Release::Failed)?;
    group.consumer("bob").claim(Duration::ZERO, [id(20, 1), id(5, 1), id(6, 1)]).run()?;
    let deleted = group.acknowledge_and_delete([id(7, 1)], References::Delete)?;
    debug_assert!(matches!(deleted[..], [Deletion::Deleted | Deletion::NotFound]));
    stream.set_id(SetId::new(id(NOW_MS + 10, 0)).entries_added(100))?;
    stream.add_with(AddOptions::new().id(id(NOW_MS + 20, 0)), [("last", "one")])?;
    let other = store.stream(OTHER)?;
    other.add_with(AddOptions::new().id(id(1, 0)), [("left", "alone")])?;
    Ok(())
}
