//! All pending entries by ID: a tree of chunks, and a second one that orders the chunks by time.
//!
//! # Invariants
//!
//! - **C1** A chunk holds the entries from its key on and below the next chunk's key, and at least one of them, but for one
//!   that is the only one: an entry that comes and goes alone allocates nothing.
//! - **C2** No entry's turn comes before the bound of its chunk.
//! - **C3** `by_bound` holds the bound and the key of each chunk, and nothing else.
//!
//! A bound may lie before the turns of all entries: removing one leaves it as it is, or every acknowledged entry would
//! cost a look at all its neighbours. [`first_in_time`](Chunks::first_in_time) finds such a bound when it matters and moves it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use super::chunk::{Chunk, RECORDS_MAX};
use super::memory::{tree_map_bytes, tree_set_bytes};
use super::record::{Record, Turn};
use crate::StreamId;

/// An empty chunk is kept if it is the only one and has no more room than this.
const ROOM_KEPT: usize = 16;
/// The most records of two neighbours that are made one. That leaves room for new ones before it is split again.
const MERGED_MAX: usize = RECORDS_MAX * 3 / 4;

/// A chunk's bound and its key.
pub type BoundOf = (Turn, StreamId);

/// Records by ID and, roughly, by time.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    by_id: BTreeMap<StreamId, Chunk>,
    by_bound: BTreeSet<BoundOf>,
    len: usize,
}

impl Chunks {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn get(&self, id: StreamId) -> Option<&Record> {
        self.by_id.range(..=id).next_back()?.1.get(id)
    }

    pub fn first(&self) -> Option<&Record> {
        self.by_id.first_key_value()?.1.records().first()
    }

    pub fn last(&self) -> Option<&Record> {
        self.by_id.last_key_value()?.1.records().last()
    }

    /// The records from `from` on, in the order of IDs.
    pub fn iter_from(&self, from: StreamId) -> impl Iterator<Item = &Record> {
        let start = self.by_id.range(..=from).next_back().map_or(from, |(&key, _)| key);
        self.by_id.range(start..).flat_map(move |(_, chunk)| chunk.from(from))
    }

    /// Adds a record above all others, and as many more of ascending IDs as `next` has to give and the last chunk has
    /// room for; returns how many. Chunks that only grow at the end are full.
    pub fn append(&mut self, first: Record, mut next: impl FnMut(StreamId) -> Option<Record>) -> usize {
        self.open_last(first);
        let Some(mut last) = self.by_id.last_entry() else { return 0 };
        let (key, chunk) = (*last.key(), last.get_mut());
        let before = chunk.records().len();
        let mut record = Some(first);
        while let Some(added) = record {
            lower(&mut self.by_bound, key, chunk, added.turn());
            chunk.push(added);
            record = if chunk.is_full() { None } else { next(added.id) };
        }
        let added = chunk.records().len() - before;
        self.len += added;
        added
    }

    /// Adds an empty chunk for this record unless the last one has room for it.
    fn open_last(&mut self, record: Record) {
        // Above all others, if there are any: the chunk that was kept may begin higher.
        self.reach_down_to(record.id);
        let room = match self.by_id.last_key_value() {
            None => 0,
            // Where one has been filled, another will most likely be.
            Some((_, last)) if last.is_full() => RECORDS_MAX,
            Some(_) => return,
        };
        self.by_bound.insert((record.turn(), record.id));
        self.by_id.insert(record.id, Chunk::new(record.turn(), room));
    }

    /// Inserts or replaces; gives the record replaced. For one above all others [`append`](Self::append) takes less room.
    pub fn put(&mut self, record: Record) -> Option<Record> {
        self.reach_down_to(record.id);
        let Some((&key, chunk)) = self.by_id.range_mut(..=record.id).next_back() else {
            self.append(record, |_| None);
            return None;
        };
        if chunk.is_full() && chunk.get(record.id).is_none() {
            self.split(key);
            return self.put(record);
        }
        lower(&mut self.by_bound, key, chunk, record.turn());
        let replaced = chunk.put(record);
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// Removes those of the first IDs that are ascending and within one chunk, and adds them to `removed`; returns how
    /// many IDs these are, at least one.
    pub fn remove_run(&mut self, ids: &[StreamId], removed: &mut Vec<Record>) -> usize {
        let Some((&key, chunk)) = ids.first().and_then(|&id| self.by_id.range_mut(..=id).next_back()) else { return 1 };
        let last = chunk.records().last().map_or(key, |record| record.id);
        // The first ID may lie above the last of the chunk, that is, in no chunk.
        let run = 1 + ids.windows(2).take_while(|pair| matches!(pair, [a, b] if a <= b && *b <= last)).count();
        let before = chunk.records().len();
        chunk.remove_run(ids.get(..run).unwrap_or_default(), removed);
        self.len -= before - chunk.records().len();
        if chunk.is_loose() {
            self.tidy(key);
        }
        run
    }

    /// Removes the record with this ID.
    pub fn remove(&mut self, id: StreamId) -> Option<Record> {
        let (&key, chunk) = self.by_id.range_mut(..=id).next_back()?;
        let removed = chunk.remove(id)?;
        self.len -= 1;
        if chunk.is_loose() {
            self.tidy(key);
        }
        Some(removed)
    }

    /// The first bound after this one, in the order of time.
    pub fn bound_after(&self, passed: Option<BoundOf>) -> Option<BoundOf> {
        match passed {
            Some(passed) => self.by_bound.range((Excluded(passed), Unbounded)).next().copied(),
            None => self.by_bound.first().copied(),
        }
    }

    /// The record that comes first of the chunk with this bound, if its turn is right then. If not, the bound moves on to
    /// where it is.
    pub fn first_in_time(&mut self, (bound, key): BoundOf) -> Option<Record> {
        let chunk = self.by_id.get_mut(&key)?;
        // Where times ascend with the IDs, this is the first one of the chunk.
        if let Some(first) = chunk.records().iter().find(|record| record.turn() == bound) {
            return Some(*first);
        }
        let later = chunk.first_in_time()?.turn();
        rebound(&mut self.by_bound, key, chunk, later);
        None
    }

    /// The records of the chunk with this key.
    pub fn records_at(&self, key: StreamId) -> &[Record] {
        self.by_id.get(&key).map_or(&[], Chunk::records)
    }

    pub fn memory(&self) -> usize {
        let records: usize = self.by_id.values().map(Chunk::room).sum();
        records * size_of::<Record>()
            + tree_map_bytes::<StreamId, Chunk>(self.by_id.len())
            + tree_set_bytes::<BoundOf>(self.by_bound.len())
    }

    /// Keeps C1 for an ID below all chunks: lets the first of them begin at the lowest ID.
    fn reach_down_to(&mut self, id: StreamId) {
        if self.by_id.first_key_value().is_some_and(|(&key, _)| id < key)
            && let Some((key, chunk)) = self.by_id.pop_first()
        {
            self.by_bound.remove(&(chunk.bound(), key));
            self.by_bound.insert((chunk.bound(), StreamId::MIN));
            self.by_id.insert(StreamId::MIN, chunk);
        }
    }

    fn split(&mut self, key: StreamId) {
        let Some(upper) = self.by_id.get_mut(&key).and_then(Chunk::split_off) else { return };
        let Some(first) = upper.records().first() else { return };
        self.by_bound.insert((upper.bound(), first.id));
        self.by_id.insert(first.id, upper);
    }

    /// Sees to a chunk that has lost records since it was last seen to: removes it if it is empty, makes it one with a
    /// neighbour if they are small enough, or gives back the room it does not need.
    fn tidy(&mut self, key: StreamId) {
        let Some(chunk) = self.by_id.get(&key) else { return };
        let len = chunk.records().len();
        if len == 0 {
            if self.by_id.len() == 1 && chunk.room() <= ROOM_KEPT {
                return;
            }
            self.by_bound.remove(&(chunk.bound(), key));
            self.by_id.remove(&key);
            return;
        }
        let fits = |(&other, chunk): (&StreamId, &Chunk)| (chunk.records().len() + len <= MERGED_MAX).then_some(other);
        if let Some(next) = self.by_id.range((Excluded(key), Unbounded)).next().and_then(fits) {
            self.merge(key, next);
        } else if let Some(previous) = self.by_id.range(..key).next_back().and_then(fits) {
            self.merge(previous, key);
        } else if let Some(chunk) = self.by_id.get_mut(&key) {
            chunk.shrink();
        }
    }

    /// Makes a chunk and the one that follows it one.
    fn merge(&mut self, left: StreamId, right: StreamId) {
        let Some(upper) = self.by_id.remove(&right) else { return };
        self.by_bound.remove(&(upper.bound(), right));
        if let Some(chunk) = self.by_id.get_mut(&left) {
            lower(&mut self.by_bound, left, chunk, upper.bound());
            chunk.absorb(&upper);
        }
    }
}

/// Keeps C2 for a record with this turn.
fn lower(by_bound: &mut BTreeSet<BoundOf>, key: StreamId, chunk: &mut Chunk, turn: Turn) {
    if turn < chunk.bound() {
        rebound(by_bound, key, chunk, turn);
    }
}

/// Keeps C3.
fn rebound(by_bound: &mut BTreeSet<BoundOf>, key: StreamId, chunk: &mut Chunk, bound: Turn) {
    by_bound.remove(&(chunk.bound(), key));
    by_bound.insert((bound, key));
    chunk.set_bound(bound);
}

#[cfg(test)]
impl Chunks {
    /// Panics unless the invariants hold.
    pub fn check(&self) {
        let mut len = 0;
        let mut ends = self.by_id.keys().skip(1);
        for (&key, chunk) in &self.by_id {
            let (records, end) = (chunk.records(), ends.next());
            assert!(records.is_sorted_by(|a, b| a.id < b.id));
            assert!(!records.is_empty() || self.by_id.len() == 1 && chunk.room() <= ROOM_KEPT, "C1");
            assert!(records.first().is_none_or(|first| key <= first.id), "C1");
            assert!(records.last().is_none_or(|last| end.is_none_or(|&end| last.id < end)), "C1");
            assert!(chunk.first_in_time().is_none_or(|first| chunk.bound() <= first.turn()), "C2");
            assert!(self.by_bound.contains(&(chunk.bound(), key)), "C3");
            assert!(chunk.room() <= RECORDS_MAX);
            len += records.len();
        }
        assert_eq!(self.by_bound.len(), self.by_id.len(), "C3");
        assert_eq!(self.len, len);
    }

    /// How many chunks there are.
    pub fn count(&self) -> usize {
        self.by_id.len()
    }
}
