//! The `meta` file of a stream that is open: the ID ceiling and the marks.
//!
//! It is opened anew for each change, and before anything is written: where that fails, nothing was done.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::format::file_name;
use crate::format::header::BadHeader;
use crate::format::meta::{META_LEN, Mark, Meta, NAME_AT, SLOT_LEN, STORE_AT};
use crate::io::place::Place;
use crate::io::{Access, File};
use crate::log::segment::bad_header;
use crate::{Corruption, Error, Result, StreamId};

/// How far the ceiling is put above an ID that reaches it, in milliseconds: one small sync for so much time.
pub const CEILING_LEAD_MS: u64 = 5_000;

/// The superblock. Its lock is a turn, which is held while a slot is written and synced; nobody else waits for it.
#[derive(Debug)]
pub struct Superblock {
    current: Mutex<Current>,
}

/// The slot that counts.
#[derive(Debug)]
struct Current {
    meta: Meta,
    /// It is known to be synced. What an earlier process wrote may be in the page cache only.
    proven: bool,
    /// The other slot says the same, so that damage to one of them loses nothing.
    doubled: bool,
}

impl Superblock {
    /// Creates the file with its first slot, and syncs it.
    pub fn create(place: &Place, meta: Meta) -> Result<Self> {
        let file = place.create(file_name::META, META_LEN as u64)?;
        put(place, &*file, &meta)?;
        Ok(Self { current: Mutex::new(Current { meta, proven: true, doubled: false }) })
    }

    /// Reads the valid slot with the higher generation.
    pub fn open(place: &Place) -> Result<Self> {
        let bytes = place.read(file_name::META, META_LEN as u64)?.unwrap_or_default();
        Self::decode(&bytes).map_err(|bad| bad_header(&place.full(file_name::META), bad))
    }

    /// As [`open`](Self::open), from the bytes of the file.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        let slots = [0, 1].map(|slot| {
            let start = (slot * SLOT_LEN).min(bytes.len());
            Meta::decode(bytes.get(start..(start + SLOT_LEN).min(bytes.len())).unwrap_or_default(), slot)
        });
        let doubled = match &slots {
            [Ok(a), Ok(b)] => *a == Meta { generation: a.generation, ..b.clone() },
            _ => false,
        };
        // By F1: the other slot is not valid before it is written the first time, or when that was cut short.
        let proven = slots.iter().any(Result::is_err);
        let meta = match slots {
            // One slot that a newer version wrote is enough to keep away.
            [Err(bad @ BadHeader::Unsupported(_)), _] | [_, Err(bad @ BadHeader::Unsupported(_))] => Err(bad),
            [Ok(a), Ok(b)] if a.generation > b.generation => Ok(a),
            [_, Ok(b)] => Ok(b),
            [slot, Err(_)] => slot,
        };
        Ok(Self { current: Mutex::new(Current { meta: meta?, proven, doubled }) })
    }

    pub fn current(&self) -> Meta {
        self.current.lock().meta.clone()
    }

    /// Sees to a ceiling at or above `id`, durably; returns the ceiling.
    pub fn raise_ceiling(&self, place: &Place, id: StreamId) -> Result<StreamId> {
        let mut current = self.current.lock();
        if current.meta.ceiling < id {
            let ahead = StreamId::new(id.ms().saturating_add(CEILING_LEAD_MS), 0);
            write(place, &*open(place)?, &mut current, |meta| meta.ceiling = ahead.max(id))?;
        }
        Ok(current.meta.ceiling)
    }

    /// Writes the slot that is not current, changed, and syncs it; then it is the current one.
    pub fn update(&self, place: &Place, change: impl FnOnce(&mut Meta)) -> Result<()> {
        write(place, &*open(place)?, &mut self.current.lock(), change)
    }

    /// As [`update`](Self::update), in both slots.
    pub fn update_both(&self, place: &Place, change: impl Fn(&mut Meta)) -> Result<()> {
        let mut current = self.current.lock();
        let file = open(place)?;
        write(place, &*file, &mut current, &change)?;
        write(place, &*file, &mut current, &change)?;
        current.doubled = true;
        Ok(())
    }

    /// Whether both slots say the same, so that damage to one of them loses nothing.
    pub fn is_doubled(&self) -> bool {
        self.current.lock().doubled
    }

    /// Notes the state at a clean end, in both slots.
    pub fn note_end(&self, place: &Place, log: Mark, journal: Mark, last_id: StreamId) -> Result<()> {
        let noted = {
            let current = self.current.lock();
            current.doubled && (current.meta.log, current.meta.journal, current.meta.ceiling) == (log, journal, last_id)
        };
        if noted {
            return Ok(());
        }
        self.update_both(place, |meta| {
            meta.log = log;
            meta.journal = journal;
            meta.ceiling = last_id;
        })
    }
}

/// The error for a stream that belongs to another store.
pub fn of_another_store(place: &Place) -> Error {
    let what = Corruption::Foreign("the stream belongs to another store");
    Error::corrupt(&place.full(file_name::META), STORE_AT, what)
}

/// The error for a stream whose directory is not named after it.
pub fn misnamed(place: &Place) -> Error {
    let what = Corruption::Foreign("the stream has another name");
    Error::corrupt(&place.full(file_name::META), NAME_AT, what)
}

fn open(place: &Place) -> Result<Arc<dyn File>> {
    place.open(file_name::META, Access::Write)
}

fn write(place: &Place, file: &dyn File, current: &mut Current, change: impl FnOnce(&mut Meta)) -> Result<()> {
    if !current.proven {
        // Keeps F1: the slot that is about to be written may be the only one on the disk.
        put(place, file, &current.meta)?;
        current.proven = true;
    }
    let mut next = current.meta.clone();
    change(&mut next);
    next.generation += 1;
    put(place, file, &next)?;
    current.meta = next;
    current.doubled = false;
    Ok(())
}

/// Writes a slot and syncs it.
fn put(place: &Place, file: &dyn File, meta: &Meta) -> Result<()> {
    let path = place.full(file_name::META);
    let offset = (meta.slot() * SLOT_LEN) as u64;
    file.write_at(offset, &meta.encode()).map_err(|error| Error::io("write to", &path, error))?;
    file.sync().map_err(|error| Error::unsynced(&path, error))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::Retention;
    use crate::io::sim::{Image, Op, SimDisk};

    fn place(disk: &Arc<SimDisk>) -> Place {
        Place::new(disk.clone(), Arc::from(Path::new("")), PathBuf::new())
    }

    /// Which slots the next process writes for its first change.
    fn written_first(image: &Image) -> Vec<u64> {
        let disk = image.mount();
        let place = place(&disk);
        Superblock::open(&place).unwrap().update(&place, |meta| meta.ceiling = StreamId::MAX).unwrap();
        assert_eq!(Superblock::open(&place).unwrap().current().ceiling, StreamId::MAX);
        let writes = disk.history().into_iter().filter(|step| step.op == Op::Write);
        writes.map(|step| step.offset / SLOT_LEN as u64).collect()
    }

    /// A simulated disk does not damage what is written as it was, but another one may.
    #[test]
    fn the_only_valid_slot_is_not_written() {
        let disk = SimDisk::new();
        let place = place(&disk);
        let meta = Meta {
            store: [1; 16],
            incarnation: [2; 16],
            generation: 1,
            ceiling: StreamId::MIN,
            log: Mark::default(),
            journal: Mark::default(),
            name: b"s".to_vec(),
            retention: Retention::new(),
        };
        let superblock = Superblock::create(&place, meta).unwrap();
        assert_eq!(written_first(&disk.kill_image(disk.steps())), [0], "the other one is blank");
        superblock.update(&place, |meta| meta.ceiling = StreamId::new(1, 0)).unwrap();
        let valid = disk.kill_image(disk.steps());
        assert_eq!(written_first(&valid), [0, 1], "the current one may be in the page cache only");
        for torn in [0, 1] {
            let mut image = valid.clone();
            image.file_mut(file_name::META).unwrap()[torn * SLOT_LEN + 100] ^= 1;
            assert_eq!(written_first(&image), [torn as u64]);
        }
    }
}
