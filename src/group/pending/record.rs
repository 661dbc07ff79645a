//! A pending entry in 40 bytes, and its place in the order of time.

use super::{ConsumerNumber, Pending};
use crate::StreamId;

/// The bit of `count` that says that nobody owns the entry.
const RELEASED: u32 = 1 << 31;
/// The count that stands for itself and everything above: the list keeps such counts aside.
const COUNT_LARGE: u32 = RELEASED - 1;

/// A pending entry as it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub id: StreamId,
    time: u64,
    pub order: u64,
    owner: ConsumerNumber,
    count: u32,
}

const _: () = assert!(size_of::<Record>() == 40);

impl Record {
    /// If the [`count`](Self::count) of what comes is `None`, it has to be kept elsewhere.
    pub fn new(entry: &Pending, order: u64) -> Self {
        let count = u32::try_from(entry.delivery_count).map_or(COUNT_LARGE, |count| count.min(COUNT_LARGE));
        let released = if entry.owner.is_none() { RELEASED } else { 0 };
        Self {
            id: entry.id,
            time: entry.delivery_time,
            order,
            owner: entry.owner.unwrap_or_default(),
            count: count | released,
        }
    }

    pub fn owner(&self) -> Option<ConsumerNumber> {
        (self.count & RELEASED == 0).then_some(self.owner)
    }

    /// `None` if it is too large for a record.
    pub fn count(&self) -> Option<u64> {
        let count = self.count & !RELEASED;
        (count != COUNT_LARGE).then_some(count.into())
    }

    /// The entry, given its delivery count.
    pub fn pending(&self, delivery_count: u64) -> Pending {
        Pending { id: self.id, owner: self.owner(), delivery_time: self.time, delivery_count }
    }

    pub fn turn(&self) -> Turn {
        match self.owner() {
            Some(_) => Turn { owned: true, time: self.time, order: self.order },
            None => Turn { owned: false, time: 0, order: self.order },
        }
    }
}

/// When an entry's turn comes in the order of time: released ones first, whatever their time is, then the oldest, then
/// the one that was assigned first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    owned: bool,
    time: u64,
    order: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_gives_back_all_but_large_counts() {
        for owner in [None, Some(0), Some(7), Some(u32::MAX)] {
            for (delivery_count, kept) in [
                (0, true),
                (1, true),
                (u64::from(COUNT_LARGE) - 1, true),
                (COUNT_LARGE.into(), false),
                (u32::MAX.into(), false),
                (i64::MAX as u64, false),
                (u64::MAX, false),
            ] {
                let entry = Pending { id: StreamId::new(5, 3), owner, delivery_time: u64::MAX, delivery_count };
                let record = Record::new(&entry, 9);
                assert_eq!(record.count(), kept.then_some(delivery_count));
                assert_eq!(record.pending(delivery_count), entry);
            }
        }
    }

    #[test]
    fn released_entries_take_their_turns_first_and_by_order_alone() {
        let turn = |owner, delivery_time, order| {
            Record::new(&Pending { id: StreamId::MIN, owner, delivery_time, delivery_count: 1 }, order).turn()
        };
        let turns = [turn(None, 9, 1), turn(None, 0, 7), turn(Some(0), 0, 0), turn(Some(0), 5, 3), turn(Some(1), 5, 4)];
        assert!(turns.is_sorted());
    }
}
