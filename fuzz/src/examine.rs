//! What has to hold of a store whatever its files hold: each answer of it agrees with the others, it can be gone on with, and a
//! repair makes an end of the damage.

use std::fmt;
use std::sync::Arc;

use streamlog::inspect::{Inspection, Item, StreamReport};
use streamlog::sim::{Image, SimDisk};
use streamlog::{Durability, Entry, Error, OnDamage, Result, Store, Stream, StreamId};

use super::subject::{OTHER, STREAM, open, was_removed};

/// What no damage does to the frames of a segment, whose checksums cover where they are, their numbers and what is in them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forged {
    /// Frames are elsewhere, or numbers are left out between them. Reading goes by the index, which may have a checksum that fits
    /// as well, and takes the first frame behind a jump for damaged; a repair goes from frame to frame.
    pub moved: bool,
    /// Frames say that they come before those that they follow. Reading and a repair each make something else of that.
    pub out_of_order: bool,
    /// The names of fields are others in a SHAPE or a seal than in the index, or than in each other.
    pub renamed: bool,
}

/// Looks at what the disk holds without opening it, opens it with either policy, and repairs it.
pub fn examine(image: &Image, forged: Forged) {
    let inspected = inspect(&image.mount());
    let refusing = live(&image.mount(), OnDamage::Refuse);
    let going_on = live(&image.mount(), OnDamage::Quarantine);
    // What opens as it is, does so with its damage out of the way, and is the same.
    if let Some(read) = &refusing {
        assert_eq!(going_on.as_ref(), Some(read), "refusing and quarantining damage");
    }
    if let (Some((report, dumped)), Some(read)) = (inspected, refusing) {
        assert_eq!(dumped, read, "dumped and read");
        if !report.is_damaged() {
            assert!(read.iter().all(|item| *item != Seen::Damage), "{report:?} and {read:?}");
            assert_eq!(report.entries, read.len() as u64, "{report:?}");
        }
    }
    repair(&image.mount(), forged);
}

/// Opens it with either policy and reads it. What it says need not agree, but it comes to an end.
pub fn survive(image: &Image) {
    for on_damage in [OnDamage::Refuse, OnDamage::Quarantine] {
        let Ok(store) = open(&image.mount(), Durability::Os, on_damage) else { continue };
        let stream = store.stream(STREAM).expect("a short name");
        assert!(stream.range(..).take(100_000).count() < 100_000, "an iterator repeats itself");
        assert!(stream.range(..).rev().take(100_000).count() < 100_000, "an iterator repeats itself");
        let _ = stream.get(StreamId::new(16, 1));
        use_groups(&stream);
        let _ = store.repair(STREAM);
        other_is_sound(&store);
        let _ = store.close();
    }
}

/// What is read in the place of an entry.
#[derive(Clone, PartialEq, Eq)]
pub enum Seen {
    Entry(StreamId, Vec<(Vec<u8>, Vec<u8>)>),
    Damage,
    /// A newer version wrote it, and reading ends.
    Unsupported,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(id, _) => write!(f, "{id}"),
            Self::Damage => f.write_str("damage"),
            Self::Unsupported => f.write_str("unsupported"),
        }
    }
}

fn seen(entry: &Entry) -> Seen {
    assert!(entry.fields().len() > 0, "entry {} without fields", entry.id());
    Seen::Entry(entry.id(), entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
}

/// All that is there, from both ends. Errors are fine, but in the same places.
pub fn read_all(stream: &Stream) -> Vec<Seen> {
    let read = |entries: &mut dyn Iterator<Item = Result<Entry>>| {
        let mut all = Vec::new();
        for entry in entries {
            all.push(match &entry {
                Ok(entry) => seen(entry),
                Err(Error::Unsupported { .. }) => Seen::Unsupported,
                Err(_) => Seen::Damage,
            });
            assert!(all.len() < 100_000, "an iterator repeats itself");
        }
        all
    };
    let forward = read(&mut stream.range(..));
    let mut backward = read(&mut stream.range(..).rev());
    backward.reverse();
    match forward.last() {
        Some(Seen::Unsupported) => assert_eq!(backward.first(), Some(&Seen::Unsupported), "read from both ends"),
        _ => assert_eq!(forward, backward, "read from both ends"),
    }
    let ids: Vec<_> = ids(&forward).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "IDs increase: {ids:?}");
    for id in ids.iter().take(8) {
        let found = stream.get(*id).expect("an entry that was read is found");
        assert_eq!(found.map(|entry| entry.id()), Some(*id));
    }
    forward
}

fn ids(seen: &[Seen]) -> impl Iterator<Item = StreamId> {
    seen.iter().filter_map(|seen| match seen {
        Seen::Entry(id, _) => Some(*id),
        Seen::Damage | Seen::Unsupported => None,
    })
}

/// Whether there is damage between the entries around this ID, which is none of them.
fn is_in_damage(id: StreamId, seen: &[Seen]) -> bool {
    let place = seen.split(|item| matches!(item, Seen::Entry(at, _) if *at < id)).next_back().unwrap_or_default();
    let above = place.iter().position(|item| matches!(item, Seen::Entry(..))).unwrap_or(place.len());
    !place[..above].is_empty() && !matches!(place.get(above), Some(Seen::Entry(at, _)) if *at == id)
}

/// What a verification says, and what a dump holds, if the stream can be dumped.
fn inspect(disk: &Arc<SimDisk>) -> Option<(StreamReport, Vec<Seen>)> {
    let steps = disk.steps();
    let inspection = Inspection::open_simulated(disk).ok()?;
    let _ = inspection.verify_store();
    let report = inspection.verify_stream(STREAM, |_| {});
    let _ = inspection.stat_stream(STREAM);
    let mut all = Vec::new();
    let dumped = inspection.dump_stream::<Error>(STREAM, |item| {
        let _ = item.to_string();
        match &item {
            Item::Entry(entry) => all.push(seen(entry)),
            Item::Damage(_) => all.push(Seen::Damage),
            _ => {}
        }
        Ok(())
    });
    assert_eq!(disk.steps(), steps, "looking changes nothing");
    let report = report.ok()?;
    match dumped {
        Ok(()) => Some((report, all)),
        Err(error) => {
            assert!(report.is_damaged(), "{error}, and no word of it in {report:?}");
            None
        }
    }
}

/// Opens the store, reads and changes it, closes it, and does that again. What was read, if the stream could be opened.
fn live(disk: &Arc<SimDisk>, on_damage: OnDamage) -> Option<Vec<Seen>> {
    let steps = disk.steps();
    let store = open(disk, Durability::Os, on_damage).ok()?;
    let stream = store.stream(STREAM).expect("a short name");
    let Ok(recovery) = stream.recovery() else {
        if on_damage == OnDamage::Refuse && disk.steps() != steps {
            let changed = disk.history().split_off(steps);
            assert!(changed.iter().all(|step| !step.path.starts_with(super::subject::DIRECTORY)), "{changed:#?}");
        }
        other_is_sound(&store);
        return None;
    };
    let read = read_all(&stream);
    let _ = stream.group_details(usize::MAX);
    let mut last = ids(&read).fold(recovery.last_id, StreamId::max);
    if let Ok(id) = stream.add([("after", "damage")]) {
        assert!(id > last, "{id} after {last}");
        last = id;
    }
    use_groups(&stream);
    other_is_sound(&store);
    let before = read_all(&stream);
    if store.close().is_err() {
        return Some(read);
    }
    // What was opened once opens again, and needs no leave to be damaged.
    let store = open(disk, Durability::Os, OnDamage::Refuse).expect("a store that was closed opens");
    let stream = store.stream(STREAM).expect("a short name");
    let recovery = stream.recovery().expect("a stream that was closed opens");
    assert!(recovery.is_clean && recovery.last_id >= last, "{recovery:?} after {last}");
    assert_eq!(read_all(&stream), before, "in the second life");
    Some(read)
}

/// Delivers, claims and acknowledges what there is. Errors are fine.
fn use_groups(stream: &Stream) {
    for detail in stream.group_details(usize::MAX).unwrap_or_default() {
        let group = stream.group(&detail.info.name);
        let consumer = group.consumer("carol");
        let _ = consumer.read().count(3).new_entries();
        if let Ok(taken) = consumer.auto_claim(std::time::Duration::ZERO).count(10).run() {
            let acknowledged = consumer.ack(taken.ids.iter().copied());
            assert!(acknowledged.is_err() || acknowledged.is_ok_and(|count| count == taken.ids.len() as u64));
        }
        let _ = group.pending_entries().run();
    }
}

/// Damage in one stream is none in another.
fn other_is_sound(store: &Store) {
    let other = store.stream(OTHER).expect("a short name");
    assert_eq!(other.len().expect("another stream opens"), 1, "in another stream");
}

/// After a repair, everything is sound, and what could be read is there.
fn repair(disk: &Arc<SimDisk>, forged: Forged) {
    let Ok(store) = open(disk, Durability::Os, OnDamage::Quarantine) else { return };
    let stream = store.stream(STREAM).expect("a short name");
    if stream.recovery().is_err() {
        return;
    }
    let before = read_all(&stream);
    let Ok(Some(_)) = store.repair(STREAM) else { return };
    let after = read_all(&stream);
    // Records with checksums that fit but contents that do not are read, as their block is sound, and given up by a repair.
    // Which entries were removed is told by their numbers: where frames give themselves others, with checksums that fit, it
    // may be another one.
    let was_read = |id: StreamId| ids(&before).any(|read| read == id);
    let may_return = |item: &&Seen| match item {
        Seen::Entry(id, _) => {
            was_removed(*id)
                || forged.out_of_order
                || (forged.moved && is_in_damage(*id, &before))
                || (forged.renamed && was_read(*id))
        }
        Seen::Damage | Seen::Unsupported => false,
    };
    let mut kept = before.iter();
    assert!(
        after
            .iter()
            .filter(|item| !may_return(item))
            .all(|item| *item != Seen::Damage && kept.any(|kept| kept == item)),
        "{before:?}, then {after:?}"
    );
    if store.close().is_err() {
        return;
    }
    let inspection = Inspection::open_simulated(disk).expect("a store that was closed can be looked at");
    let report = inspection.verify_stream(STREAM, |_| {}).expect("it can be verified");
    assert!(!report.is_damaged(), "after a repair: {report:?}");
    assert_eq!(report.entries, after.len() as u64);
}
