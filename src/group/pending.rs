//! The pending entries list of a group: what has been delivered and not yet acknowledged.
//!
//! Entries are kept once, in the order of IDs, in [`chunks`]. By owner and by time they are found through summaries of
//! many entries at a time, in [`owners`] and in the chunks' bounds, which cost little to keep and a short search to use.

use std::collections::BTreeMap;

use crate::StreamId;

mod by_time;
mod chunk;
mod chunks;
mod memory;
mod owners;
mod record;

use by_time::ByTime;
use chunk::RECORDS_MAX;
use chunks::Chunks;
use owners::Owners;
use record::{Record, Turn};

/// The number of a consumer within its group.
pub type ConsumerNumber = u32;

/// An entry that has been delivered and not yet acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    pub id: StreamId,
    /// `None` if it has been released, for any consumer to take.
    pub owner: Option<ConsumerNumber>,
    /// In milliseconds since the Unix epoch.
    pub delivery_time: u64,
    pub delivery_count: u64,
}

/// The pending entries of a group, by ID, by consumer and by delivery time. Some 42 bytes each if they come in order.
///
/// All operations take logarithmic time, and that of a short search, for each entry they add, remove or give.
#[derive(Clone, Debug, Default)]
pub struct PendingList {
    chunks: Chunks,
    owners: Owners,
    /// The delivery counts that are too large for a record.
    large_counts: BTreeMap<StreamId, u64>,
    /// Above the order numbers of all entries. It does not come to its end: that is 2^64 assignments away.
    next_order: u64,
}

impl PendingList {
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries have no owner.
    pub fn released(&self) -> usize {
        self.owners.count_of(None)
    }

    /// How many entries a consumer has.
    pub fn count_of(&self, owner: ConsumerNumber) -> usize {
        self.owners.count_of(Some(owner))
    }

    pub fn get(&self, id: StreamId) -> Option<Pending> {
        self.chunks.get(id).map(|record| self.pending(record))
    }

    /// The entry with the lowest ID.
    pub fn first(&self) -> Option<Pending> {
        self.chunks.first().map(|record| self.pending(record))
    }

    /// The entry with the highest ID.
    pub fn last(&self) -> Option<Pending> {
        self.chunks.last().map(|record| self.pending(record))
    }

    /// Inserts or replaces an entry. Among those with the same delivery time it comes last, and a released one comes
    /// after all that are released.
    pub fn assign(&mut self, entry: Pending) {
        self.load(entry, self.next_order);
    }

    /// Assigns these entries, in this order, with a delivery count of 1. Costs least if the IDs ascend and are above
    /// all that are there.
    pub fn deliver(&mut self, owner: ConsumerNumber, time: u64, ids: impl IntoIterator<Item = StreamId>) {
        let entry = |id| Pending { id, owner: Some(owner), delivery_time: time, delivery_count: 1 };
        let mut ids = ids.into_iter().peekable();
        while let Some(id) = ids.next() {
            if !self.is_above_all(id) {
                self.assign(entry(id));
                continue;
            }
            let mut order = self.next_order;
            let mut record = |id| {
                let record = Record::new(&entry(id), order);
                order = order.saturating_add(1);
                record
            };
            let first = record(id);
            let added = self.chunks.append(first, |last| ids.next_if(|id| last < *id).map(&mut record));
            self.next_order = order;
            self.owners.append(Some(owner), id, added);
        }
    }

    /// Removes the entries with these IDs; returns how many there were. Costs least if the IDs ascend.
    pub fn remove_all(&mut self, ids: &[StreamId]) -> usize {
        if let [id] = ids {
            let removed = self.chunks.remove(*id);
            removed.iter().for_each(|record| self.forget(std::slice::from_ref(record)));
            return usize::from(removed.is_some());
        }
        let before = self.len();
        let mut removed = Vec::with_capacity(ids.len().min(RECORDS_MAX));
        let mut ids = ids;
        while !ids.is_empty() {
            let done = self.chunks.remove_run(ids, &mut removed);
            self.forget(&removed);
            removed.clear();
            ids = ids.get(done..).unwrap_or_default();
        }
        before - self.len()
    }

    /// Removes the entries of a consumer, which is no more; returns how many there were.
    pub fn remove_owner(&mut self, owner: ConsumerNumber) -> usize {
        let before = self.len();
        loop {
            // In parts, so that a long list of IDs takes no memory to speak of.
            let ids: Vec<_> = self.iter_owner_from(owner, StreamId::MIN).map(|entry| entry.id).take(4096).collect();
            if ids.is_empty() {
                self.owners.leave(owner);
                return before - self.len();
            }
            self.remove_all(&ids);
        }
    }

    /// The entries from `from` on, in the order of IDs.
    pub fn iter_from(&self, from: StreamId) -> impl Iterator<Item = Pending> + '_ {
        self.chunks.iter_from(from).map(|record| self.pending(record))
    }

    /// The entries of a consumer from `from` on, in the order of IDs. Passes over sections of some 2000 entries in
    /// which it has none.
    pub fn iter_owner_from(&self, owner: ConsumerNumber, from: StreamId) -> impl Iterator<Item = Pending> + '_ {
        let sections = self.owners.sections_from(owner, from);
        sections.flat_map(move |(section, count)| {
            let records = self.chunks.iter_from(section.start.max(from));
            let records = records.take_while(move |record| section.ends_above(record.id));
            // After the last of its entries the rest of the section need not be looked at.
            records.filter(move |record| record.owner() == Some(owner)).take(count).map(|record| self.pending(record))
        })
    }

    /// The entries in the order of time: first the released ones as they were released, then by delivery time, and
    /// among equal times as they were assigned.
    pub fn by_time(&mut self) -> impl Iterator<Item = Pending> + '_ {
        let large_counts = &self.large_counts;
        ByTime::new(&mut self.chunks).map(|record| record.pending(delivery_count(large_counts, &record)))
    }

    /// The entries in the order of IDs, each with a number. Of two entries that only these set apart in the order of
    /// time, the one with the lower number comes first.
    pub fn iter_ordered(&self) -> impl Iterator<Item = (Pending, u64)> + '_ {
        self.chunks.iter_from(StreamId::MIN).map(|record| (self.pending(record), record.order))
    }

    /// Inserts or replaces an entry with its number from [`iter_ordered`](Self::iter_ordered). What is assigned later
    /// gets higher ones. Costs least if the IDs ascend.
    pub fn load(&mut self, entry: Pending, order: u64) {
        self.next_order = self.next_order.max(order.saturating_add(1));
        let record = Record::new(&entry, order);
        let replaced = self.put(record);
        if record.count().is_none() {
            self.large_counts.insert(entry.id, entry.delivery_count);
        } else if replaced.is_some_and(|old| old.count().is_none()) {
            self.large_counts.remove(&entry.id);
        }
    }

    /// The memory that the entries take, in bytes: exact as to the entries, estimated as to the trees above them.
    ///
    /// Looks at each chunk of up to 128 entries.
    pub fn memory(&self) -> usize {
        let large_counts = memory::tree_map_bytes::<StreamId, u64>(self.large_counts.len());
        self.chunks.memory() + self.owners.memory() + large_counts
    }

    fn pending(&self, record: &Record) -> Pending {
        record.pending(delivery_count(&self.large_counts, record))
    }

    fn is_above_all(&self, id: StreamId) -> bool {
        self.chunks.last().is_none_or(|last| last.id < id)
    }

    fn put(&mut self, record: Record) -> Option<Record> {
        if self.is_above_all(record.id) {
            self.chunks.append(record, |_| None);
            self.owners.append(record.owner(), record.id, 1);
            return None;
        }
        let replaced = self.chunks.put(record);
        match replaced {
            Some(old) => self.owners.pass(old.owner(), record.owner(), record.id),
            None => self.owners.add(record.owner(), record.id, &self.chunks),
        }
        replaced
    }

    /// Forgets what is kept elsewhere of records that have been removed, of ascending IDs.
    fn forget(&mut self, removed: &[Record]) {
        self.owners.remove(removed, &self.chunks);
        for record in removed.iter().filter(|record| record.count().is_none()) {
            self.large_counts.remove(&record.id);
        }
    }

    /// The IDs in the order of time, without a change to the bounds.
    pub fn ids_by_time(&self) -> Vec<StreamId> {
        let mut turns: Vec<(Turn, StreamId)> =
            self.chunks.iter_from(StreamId::MIN).map(|record| (record.turn(), record.id)).collect();
        turns.sort_unstable();
        turns.into_iter().map(|(_, id)| id).collect()
    }
}

/// Lists are equal if they have the same entries, in the same order by time. Takes a sort of both.
impl PartialEq for PendingList {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter_from(StreamId::MIN).eq(other.iter_from(StreamId::MIN))
            && self.ids_by_time() == other.ids_by_time()
    }
}

fn delivery_count(large_counts: &BTreeMap<StreamId, u64>, record: &Record) -> u64 {
    record.count().or_else(|| large_counts.get(&record.id).copied()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
