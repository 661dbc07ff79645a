//! Up to 128 neighbours among the pending entries, in a vector that is seldom much larger than they are.

use std::cmp::Ordering;
use std::mem;
use std::ops::Range;

use super::record::{Record, Turn};
use crate::StreamId;

/// The most records in a chunk. A change moves half of them, 2.5 kB, and what a chunk costs besides is 1 to 2 bytes
/// each.
pub const RECORDS_MAX: usize = 128;
/// How far from where it is expected an ID is looked for first.
const NEAR: usize = 4;
/// The least room of a chunk that has a record.
const ROOM_FIRST: usize = 4;

/// Records of ascending IDs.
#[derive(Clone, Debug)]
pub struct Chunk {
    records: Vec<Record>,
    /// No record's turn comes before this.
    bound: Turn,
}

impl Chunk {
    /// An empty chunk with room for `room` records, whose turns will not come before `bound`.
    pub fn new(bound: Turn, room: usize) -> Self {
        Self { records: Vec::with_capacity(room), bound }
    }

    pub fn records(&self) -> &[Record] {
        &self.records
    }

    pub fn bound(&self) -> Turn {
        self.bound
    }

    pub fn set_bound(&mut self, bound: Turn) {
        self.bound = bound;
    }

    pub fn first_in_time(&self) -> Option<&Record> {
        self.records.iter().min_by_key(|record| record.turn())
    }

    pub fn room(&self) -> usize {
        self.records.capacity()
    }

    pub fn is_full(&self) -> bool {
        self.records.len() >= RECORDS_MAX
    }

    /// Whether more than a quarter of the room is free.
    pub fn is_loose(&self) -> bool {
        self.room() - self.records.len() > self.room() / 4
    }

    pub fn get(&self, id: StreamId) -> Option<&Record> {
        self.records.get(self.position(id).ok()?)
    }

    /// The records from `from` on.
    pub fn from(&self, from: StreamId) -> &[Record] {
        // Asked of many chunks in a row, of which only the first begins below `from`.
        let start = match self.records.first() {
            Some(first) if first.id < from => self.records.partition_point(|record| record.id < from),
            _ => 0,
        };
        self.records.get(start..).unwrap_or_default()
    }

    /// Adds a record that is above all others. The caller has seen that the chunk is not full, and sees to the bound.
    pub fn push(&mut self, record: Record) {
        self.grow();
        self.records.push(record);
    }

    /// Inserts or replaces; gives the record replaced. The caller sees to the bound, and that a full chunk is split if
    /// the record is a new one.
    pub fn put(&mut self, record: Record) -> Option<Record> {
        match self.position(record.id) {
            Ok(at) => self.records.get_mut(at).map(|old| mem::replace(old, record)),
            Err(at) => {
                self.grow();
                self.records.insert(at, record);
                None
            }
        }
    }

    /// Removes those of the ascending `ids` that are here, and adds them to `removed`.
    pub fn remove_run(&mut self, mut ids: &[StreamId], removed: &mut Vec<Record>) {
        let Some(&first) = ids.first() else { return };
        let start = self.position(first).unwrap_or_else(|at| at);
        let (mut kept, mut seen) = (start, start);
        // One pass: records that stay move down over those that went.
        while let (Some(&id), Some(record)) = (ids.first(), self.records.get(seen)) {
            match record.id.cmp(&id) {
                Ordering::Less => {
                    self.records.swap(kept, seen);
                    (kept, seen) = (kept + 1, seen + 1);
                }
                Ordering::Equal => {
                    let rest = self.records.get(seen..).unwrap_or_default();
                    let named = ids.iter().zip(rest).take_while(|(id, record)| **id == record.id).count();
                    removed.extend(rest.iter().take(named));
                    seen += named;
                    ids = ids.get(named..).unwrap_or_default();
                }
                // Not here, or named before.
                Ordering::Greater => ids = ids.get(1..).unwrap_or_default(),
            }
        }
        self.records.drain(kept..seen);
    }

    /// Removes the record with this ID.
    pub fn remove(&mut self, id: StreamId) -> Option<Record> {
        self.position(id).ok().map(|at| self.records.remove(at))
    }

    /// Takes the upper half of the records off.
    pub fn split_off(&mut self) -> Option<Self> {
        let records = self.records.split_off(self.records.len() / 2);
        self.records.shrink_to_fit();
        let mut upper = Self { records, bound: self.bound };
        upper.bound = upper.first_in_time()?.turn();
        Some(upper)
    }

    /// Takes in the chunk that follows. The caller sees to the bound.
    pub fn absorb(&mut self, next: &Self) {
        self.records.reserve_exact(next.records.len());
        self.records.extend_from_slice(&next.records);
    }

    pub fn shrink(&mut self) {
        self.records.shrink_to(ROOM_FIRST);
    }

    /// Where the record with this ID is, or would be.
    fn position(&self, id: StreamId) -> Result<usize, usize> {
        let near = self.near(id);
        match self.records.get(near.clone()) {
            Some([first, .., last]) if first.id <= id && id <= last.id => self.position_within(near, id),
            _ => self.position_within(0..self.records.len(), id),
        }
    }

    fn position_within(&self, range: Range<usize>, id: StreamId) -> Result<usize, usize> {
        let start = range.start;
        let records = self.records.get(range).unwrap_or_default();
        let found = records.binary_search_by_key(&id, |record| record.id);
        found.map(|at| at + start).map_err(|at| at + start)
    }

    /// Where the record with this ID would most likely be if IDs came at an even pace. In a list that is not in the
    /// processor's caches each step of a search costs a cache miss; most of them are saved by this.
    fn near(&self, id: StreamId) -> Range<usize> {
        let [first, .., last] = self.records.as_slice() else { return 0..0 };
        let place = |id: StreamId| if first.id.ms() == last.id.ms() { id.seq() } else { id.ms() };
        let (from, to) = (place(first.id), place(last.id));
        let part = place(id).saturating_sub(from) as f64 / to.saturating_sub(from) as f64;
        let at = (part * (self.records.len() - 1) as f64) as usize;
        at.saturating_sub(NEAR)..self.records.len().min(at.saturating_add(NEAR + 1))
    }

    /// Makes room for one more: by half, so that a third is free at the most, and never beyond a full chunk.
    fn grow(&mut self) {
        let len = self.records.len();
        if len == self.room() {
            let room = (len + len / 2).max(ROOM_FIRST);
            let room = if len < RECORDS_MAX { room.min(RECORDS_MAX) } else { room };
            self.records.reserve_exact(room - len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pending;
    use super::*;

    fn record(ms: u64) -> Record {
        let entry = Pending { id: StreamId::new(ms, 0), owner: Some(1), delivery_time: 5, delivery_count: 1 };
        Record::new(&entry, ms)
    }

    fn chunk(ids: impl IntoIterator<Item = u64>) -> Chunk {
        let mut chunk = Chunk::new(record(0).turn(), 0);
        ids.into_iter().for_each(|ms| chunk.push(record(ms)));
        chunk
    }

    fn ids(records: &[Record]) -> Vec<u64> {
        records.iter().map(|record| record.id.ms()).collect()
    }

    #[test]
    fn a_run_takes_out_what_is_there_and_keeps_the_order_of_the_rest() {
        let run = |named: &[u64]| {
            let (mut chunk, mut removed) = (chunk((10..20).step_by(2)), Vec::new());
            let named: Vec<_> = named.iter().map(|&ms| StreamId::new(ms, 0)).collect();
            chunk.remove_run(&named, &mut removed);
            (ids(&removed), ids(chunk.records()))
        };
        assert_eq!(run(&[]), (vec![], vec![10, 12, 14, 16, 18]));
        assert_eq!(run(&[10, 12]), (vec![10, 12], vec![14, 16, 18]));
        assert_eq!(run(&[12, 16]), (vec![12, 16], vec![10, 14, 18]));
        assert_eq!(run(&[9, 11, 12, 12, 13, 18, 18, 19, 30]), (vec![12, 18], vec![10, 14, 16]));
        assert_eq!(run(&[10, 12, 14, 16, 18]), (vec![10, 12, 14, 16, 18], vec![]));
        assert_eq!(run(&[30]), (vec![], vec![10, 12, 14, 16, 18]));
    }

    #[test]
    fn room_grows_by_half_and_ends_at_a_full_chunk() {
        let mut chunk = chunk([]);
        for ms in 1..=RECORDS_MAX as u64 {
            chunk.push(record(ms));
            let (len, room) = (chunk.records().len(), chunk.room());
            assert!(room <= RECORDS_MAX && room <= ROOM_FIRST.max(len + len / 2), "room for {room} of {len}");
        }
        assert!(chunk.is_full());
        assert_eq!(chunk.room(), RECORDS_MAX);
    }

    #[test]
    fn halves_have_no_room_to_spare_and_bounds_of_their_own() {
        let mut lower = chunk(1..=128);
        let upper = lower.split_off().unwrap();
        assert_eq!((lower.records().len(), lower.room()), (64, 64));
        assert_eq!((upper.records().len(), upper.room()), (64, 64));
        assert_eq!(upper.bound(), record(65).turn());
        lower.absorb(&upper);
        assert_eq!(ids(lower.records()), (1..=128).collect::<Vec<_>>());
        assert_eq!(lower.room(), RECORDS_MAX);
    }

    #[test]
    fn ids_are_found_however_unevenly_they_come() {
        let id = |(ms, seq)| StreamId::new(ms, seq);
        let step = if cfg!(miri) { 13 } else { 1 };
        let even = (0..128).step_by(step).map(|n| (n, 0));
        let one_millisecond = (0..128).step_by(step).map(|n| (5, n * n));
        let bursts = (0..128).step_by(step).map(|n| (n / 50 * 1_000_000, n));
        let doubling = (0..64).step_by(step).map(|n| (1 << n, 0));
        let ends = [(0, 0), (0, u64::MAX), (7, 7), (u64::MAX, 0), (u64::MAX, u64::MAX)];
        let cases: [Vec<_>; 5] =
            [even.collect(), one_millisecond.collect(), bursts.collect(), doubling.collect(), ends.to_vec()];
        for ids in cases {
            let entry = |id| Pending { id, owner: Some(1), delivery_time: 5, delivery_count: 1 };
            let mut chunk = Chunk::new(record(0).turn(), 0);
            ids.iter().for_each(|&pair| chunk.push(Record::new(&entry(id(pair)), 1)));
            for (at, &pair) in ids.iter().enumerate() {
                assert_eq!(chunk.position(id(pair)), Ok(at));
                if let Some(next) = id(pair).next().filter(|next| !ids.iter().any(|&pair| id(pair) == *next)) {
                    assert_eq!(chunk.position(next), Err(at + 1));
                }
            }
        }
    }

    #[test]
    fn records_from_an_id_on() {
        let chunk = chunk([10, 12, 14]);
        assert_eq!(ids(chunk.from(StreamId::MIN)), [10, 12, 14]);
        assert_eq!(ids(chunk.from(StreamId::new(12, 0))), [12, 14]);
        assert_eq!(ids(chunk.from(StreamId::new(12, 1))), [14]);
        assert!(chunk.from(StreamId::MAX).is_empty());
    }
}
