//! Sealed segments of which the table is not in memory.
//!
//! A table takes the 130th part of its segment, so only those of a few segments are kept. Of others that were open before, the
//! files stay mapped: an entry is looked for by way of the index as it is on the disk, block by block. That takes no memory
//! but that of the page cache. It finds what is there, which proves itself; that something is not there only a table tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::StreamId;
use crate::format::file_name::File as FileName;
use crate::format::index::{BLOCK_ENTRY_LEN, Block, block_at};
use crate::io::place::Place;
use crate::io::{Access, File, addresses_are_few};
use crate::log::interpolate::{BlockTable, Guess, blocks_up_to, guess_in};
use crate::log::segment::{Part, Segment};

/// The most of them in the process: each has two maps, of which the kernel gives some 65,000.
const COLD_MAX: usize = 4096;

/// The most bytes of names that are kept in memory with one.
const NAMES_LEN_MAX: usize = 2048;

/// How many there are in the process.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// One of the [`COLD_MAX`].
#[derive(Debug)]
struct Share;

impl Share {
    fn take() -> Option<Self> {
        // Dropping it gives back what is too much.
        let share = Self;
        (COUNT.fetch_add(1, Ordering::Relaxed) < COLD_MAX).then_some(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A sealed segment whose table is in the file of its index.
#[derive(Debug)]
pub struct Cold {
    /// Without a table.
    pub segment: Arc<Segment>,
    index: Arc<dyn File>,
    count: usize,
    first_id: StreamId,
    last_id: StreamId,
    _share: Share,
}

impl Cold {
    /// What stays of a segment when its table goes; `None` if that would take memory, descriptors, or addresses of which there
    /// are few, or is too much already.
    pub fn of(segment: &Segment, place: &Place) -> Option<Self> {
        if segment.file.holds_descriptor() || addresses_are_few() {
            return None;
        }
        let share = Share::take()?;
        let index = place.open(FileName::Index(segment.header.base).name(), Access::Read).ok()?;
        let table = segment.table.read();
        let list = &table.blocks.list;
        let (first, last) = (list.first()?.first_id, list.last()?.first_id);
        let cold = Self {
            segment: Arc::new(segment.without_table(table.shapes.clone())),
            index,
            count: list.len(),
            first_id: first,
            last_id: last,
            _share: share,
        };
        let is_of_use = || cold.block(0).as_ref() == list.first() && cold.block(cold.count - 1).as_ref() == list.last();
        let is_light = table.shapes.names_len() <= NAMES_LEN_MAX && !cold.index.holds_descriptor();
        (is_light && is_of_use()).then_some(cold)
    }

    /// The only block that can hold the entry with this ID, and where in it the entry may be.
    pub fn part_of(&self, id: StreamId) -> Option<(Part, Option<Guess>)> {
        let at = blocks_up_to(self, id).checked_sub(1)?;
        let (block, next) = (self.block(at)?, self.block(at + 1));
        let end = next.map_or_else(|| self.segment.end(u64::MAX), |next| u64::from(next.offset));
        let guess = next.and_then(|next| guess_in(&block, &next, id));
        let (start, ordinal) = (u64::from(block.offset), self.segment.header.base + u64::from(block.ordinal));
        (start < end).then_some((Part { start, end, ordinal, crc: Some(block.crc) }, guess))
    }

    fn block(&self, at: usize) -> Option<Block> {
        let mut bytes = [0; BLOCK_ENTRY_LEN];
        self.index.read_at(block_at(at).filter(|_| at < self.count)?, &mut bytes).ok()?;
        Block::decode(&bytes)
    }
}

impl BlockTable for Cold {
    fn count(&self) -> usize {
        self.count
    }

    fn first_id(&self, at: usize) -> Option<StreamId> {
        match at {
            0 => Some(self.first_id),
            at if at + 1 == self.count => Some(self.last_id),
            at => Some(self.block(at)?.first_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::segment::State;
    use crate::{NewId, Options, Position, Trim};

    #[test]
    #[cfg_attr(target_pointer_width = "32", ignore = "maps are given back there")]
    fn entries_are_found_in_segments_whose_tables_went() {
        let store = Options::new().segment_bytes_max(4096).in_memory();
        let stream = store.stream("s").unwrap();
        let id = |ms| StreamId::new(ms * 7, ms % 3);
        let end = if cfg!(miri) { 400 } else { 2000 };
        for first in (1..end).step_by(5) {
            // Singly and in batches.
            let entries = |range: std::ops::Range<u64>| {
                range.map(|ms| {
                    (NewId::Exact(id(ms)), [("value", format!("{ms}-{}", "v".repeat(30 * (ms % 20) as usize)))])
                })
            };
            stream.add_batch(entries(first..first + 1)).unwrap();
            stream.add_batch(entries(first + 1..first + 5)).unwrap();
        }
        let all: Vec<_> = stream.range(..).collect::<crate::Result<_>>().unwrap();
        let inner = stream.inner().unwrap().unwrap();
        let cold = || inner.log.slots().iter().filter(|slot| matches!(slot.state(), State::Cold(_))).count();
        let before = cold();
        assert!(before > 5, "{before}");
        for entry in &all {
            assert_eq!(stream.get(entry.id()).unwrap().as_ref(), Some(entry));
        }
        assert_eq!(cold(), before, "none of them was opened");
        // What is not there, a table tells.
        assert_eq!(stream.get(StreamId::new(11, 0)).unwrap(), None);
        stream.group("g").create(Position::Start).unwrap();
        stream.delete([id(6), id(9)]).unwrap();
        stream.trim(Trim::before(id(3))).unwrap();
        let found: Vec<_> = [2, 3, 6, 8, 9].map(|ms| stream.get(id(ms)).unwrap().is_some()).into();
        assert_eq!(found, [false, true, false, true, false]);
    }
    /// Who reads an older list may open a segment that has been removed since.
    #[test]
    #[cfg_attr(target_pointer_width = "32", ignore = "maps are given back there")]
    fn nothing_is_kept_of_segments_that_are_gone() {
        let store = Options::new().segment_bytes_max(4096).in_memory();
        let stream = store.stream("s").unwrap();
        let add = |ms| stream.add_batch([(NewId::Exact(StreamId::new(ms, 0)), [("value", "v".repeat(1500))])]).unwrap();
        (1..=200).for_each(|ms| drop(add(ms)));
        let inner = stream.inner().unwrap().unwrap();
        assert_eq!(stream.range(..).count(), 200);
        let older = inner.log.slots();
        let held = |is: fn(&State) -> bool| older.iter().filter(|slot| is(&slot.state())).count();
        assert!(held(|state| matches!(state, State::Cold(_))) > 10);
        stream.trim(Trim::to_len(1)).unwrap();
        // All but the last one, which is active.
        assert_eq!(held(|state| !matches!(state, State::Closed)), 1);
        inner.log.note_cold(Arc::clone(&older[0]));
        assert!(!inner.log.cold.lock().iter().any(|slot| Arc::ptr_eq(slot, &older[0])));
        (201..=400).for_each(|ms| drop(add(ms)));
        assert_eq!(stream.range(..).count(), 201);
        let slots = inner.log.slots();
        let cold = || slots.iter().filter(|slot| matches!(slot.state(), State::Cold(_))).count();
        assert!(cold() > 10);
        store.delete(["s"]).unwrap();
        assert_eq!(cold(), 0);
    }
}
