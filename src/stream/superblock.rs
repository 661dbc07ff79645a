//! The `meta` file of a stream that is open: the ID ceiling and the marks.

use parking_lot::Mutex;

use crate::format::file_name;
use crate::format::header::BadHeader;
use crate::format::meta::{META_LEN, Mark, Meta, SLOT_LEN};
use crate::io::Access;
use crate::io::place::Place;
use crate::log::segment::bad_header;
use crate::{Error, Result, StreamId};

/// How far the ceiling is put above an ID that reaches it, in milliseconds: one small sync for so much time.
const CEILING_LEAD_MS: u64 = 5_000;

/// The superblock. Its lock is a turn, which is held while a slot is written and synced; nobody else waits for it.
#[derive(Debug)]
pub struct Superblock {
    current: Mutex<Meta>,
}

impl Superblock {
    /// Creates the file with its first slot, and syncs it.
    pub fn create(place: &Place, meta: Meta) -> Result<Self> {
        let path = place.full(file_name::META);
        let file = place.create(file_name::META, META_LEN as u64)?;
        let offset = (meta.slot() * SLOT_LEN) as u64;
        file.write_at(offset, &meta.encode()).map_err(|error| Error::io("write to", &path, error))?;
        file.sync().map_err(|error| Error::io("sync", &path, error))?;
        Ok(Self { current: Mutex::new(meta) })
    }

    /// Reads the valid slot with the higher generation.
    pub fn open(place: &Place) -> Result<Self> {
        let bytes = place.read(file_name::META, META_LEN as u64)?.unwrap_or_default();
        let slots = [0, 1].map(|slot| {
            let start = (slot * SLOT_LEN).min(bytes.len());
            Meta::decode(bytes.get(start..(start + SLOT_LEN).min(bytes.len())).unwrap_or_default(), slot)
        });
        let meta = match slots {
            // One slot that a newer version wrote is enough to keep away.
            [Err(bad @ BadHeader::Unsupported(_)), _] | [_, Err(bad @ BadHeader::Unsupported(_))] => Err(bad),
            [Ok(a), Ok(b)] if a.generation > b.generation => Ok(a),
            [_, Ok(b)] => Ok(b),
            [slot, Err(_)] => slot,
        };
        let meta = meta.map_err(|bad| bad_header(&place.full(file_name::META), bad))?;
        Ok(Self { current: Mutex::new(meta) })
    }

    pub fn current(&self) -> Meta {
        self.current.lock().clone()
    }

    /// Sees to a ceiling at or above `id`, durably; returns the ceiling.
    pub fn raise_ceiling(&self, place: &Place, id: StreamId) -> Result<StreamId> {
        let mut current = self.current.lock();
        if current.ceiling < id {
            let ahead = StreamId::new(id.ms().saturating_add(CEILING_LEAD_MS), 0);
            write(place, &mut current, |meta| meta.ceiling = ahead.max(id))?;
        }
        Ok(current.ceiling)
    }

    /// Writes the slot that is not current, changed, and syncs it; then it is the current one.
    pub fn update(&self, place: &Place, change: impl FnOnce(&mut Meta)) -> Result<()> {
        write(place, &mut self.current.lock(), change)
    }

    /// Notes the state at a clean end, in both slots, so that damage to one of them loses nothing.
    pub fn note_end(&self, place: &Place, log: Mark, journal: Mark, last_id: StreamId) -> Result<()> {
        let mut current = self.current.lock();
        if (current.log, current.journal, current.ceiling) == (log, journal, last_id) {
            return Ok(());
        }
        for _ in 0..2 {
            write(place, &mut current, |meta| {
                meta.log = log;
                meta.journal = journal;
                meta.ceiling = last_id;
            })?;
        }
        Ok(())
    }
}

fn write(place: &Place, current: &mut Meta, change: impl FnOnce(&mut Meta)) -> Result<()> {
    let mut next = current.clone();
    change(&mut next);
    next.generation += 1;
    let path = place.full(file_name::META);
    let file = place.open(file_name::META, Access::Write)?;
    let offset = (next.slot() * SLOT_LEN) as u64;
    file.write_at(offset, &next.encode()).map_err(|error| Error::io("write to", &path, error))?;
    file.sync().map_err(|error| Error::unsynced(&path, error))?;
    *current = next;
    Ok(())
}
