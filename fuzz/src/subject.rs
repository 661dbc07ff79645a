//! The stores that are damaged: all kinds of entries and changes, in few bytes.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arbitrary::Arbitrary;
use streamlog::sim::{Image, SimDisk};
use streamlog::{
    AddOptions, Deletion, Durability, NewId, OnDamage, Options, Position, Production, References, Release, Result,
    SetId, Store, StreamId, Trim,
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
        match self {
            Self::Closed => CLOSED.clone(),
            Self::KilledAtAlways => KILLED_AT_ALWAYS.clone(),
            Self::KilledAtOs => KILLED_AT_OS.clone(),
        }
    }
}

static CLOSED: LazyLock<Image> = LazyLock::new(|| image(Durability::Os, true));
static KILLED_AT_ALWAYS: LazyLock<Image> = LazyLock::new(|| image(Durability::Always, false));
static KILLED_AT_OS: LazyLock<Image> = LazyLock::new(|| image(Durability::Os, false));

fn image(durability: Durability, close: bool) -> Image {
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

/// The time at which everything happens, in Unix milliseconds.
pub const NOW_MS: u64 = 1_000_000;

pub fn options(durability: Durability) -> Options {
    let now: SystemTime = UNIX_EPOCH + Duration::from_millis(NOW_MS);
    Options::new().segment_bytes_max(4096).checkpoint_bytes_min(2048).durability(durability).clock(move || now)
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
    group.create_with(Position::Start, None, true)?;
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
