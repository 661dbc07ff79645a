//! How far a group is behind its stream, as Redis counts it: pure arithmetic.
//!
//! The rules LAG-1 to LAG-6 of the reference: a count of the entries read is kept where it is certain, and estimated where
//! the position of the group alone tells; deleted entries ahead of it make it uncertain.

use crate::StreamId;

/// What there is to know of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The lowest ID of a living entry; 0-0 if there is none.
    pub first_id: StreamId,
    pub last_id: StreamId,
    pub max_deleted_id: StreamId,
    /// The number of living entries.
    pub len: u64,
    pub entries_added: u64,
}

impl Facts {
    /// Whether an entry at `from` or above was deleted, which makes counting from there on uncertain.
    fn is_deleted_from(&self, from: StreamId) -> bool {
        self.len > 0 && self.max_deleted_id != StreamId::MIN && from <= self.max_deleted_id
    }

    /// How many entries had ever been added when the one with this ID was; `None` if that cannot be told.
    fn added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id {
            return Some(self.entries_added);
        }
        if id != StreamId::MIN && id < self.max_deleted_id {
            return None;
        }
        if id == self.last_id {
            return Some(self.entries_added);
        }
        if id > self.last_id {
            return None;
        }
        if self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id {
            if id < self.first_id {
                return Some(self.entries_added.saturating_sub(self.len));
            }
            if id == self.first_id {
                return Some(self.entries_added.saturating_sub(self.len).saturating_add(1));
            }
        }
        None
    }

    /// The count of entries read after delivering `ids`, which ascend, to a group at `position` (LAG-1).
    pub fn advance(&self, mut position: StreamId, mut entries_read: Option<u64>, ids: &[StreamId]) -> Option<u64> {
        for (&id, after) in ids.iter().zip((0..ids.len() as u64).rev()) {
            let certain = position >= self.first_id && !self.is_deleted_from(position);
            match entries_read {
                // Once it is certain it stays so: the position only rises.
                Some(read) if certain => return Some(read.saturating_add(after + 1)),
                _ if self.entries_added > 0 => entries_read = self.added_up_to(id),
                _ => {}
            }
            position = id;
        }
        entries_read
    }

    /// How many entries a group has yet to read; `None` if that cannot be told (LAG-2). Negative where the counts were set to
    /// what contradicts the entries (LAG-3).
    pub fn lag(&self, position: StreamId, entries_read: Option<u64>) -> Option<i64> {
        // Signed numbers that go round, as those of Redis.
        let count = |count: u64| count as i64;
        if self.entries_added == 0 || self.len == 0 {
            return Some(0);
        }
        if position < self.first_id && self.max_deleted_id < self.first_id {
            return Some(count(self.len));
        }
        let read = match entries_read {
            Some(read) if !self.is_deleted_from(position) => Some(read),
            _ => self.added_up_to(position),
        };
        read.map(|read| count(self.entries_added).wrapping_sub(count(read)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    /// A stream 1-0 to 5-0 of which some were deleted and some trimmed.
    struct Case {
        live: Vec<u64>,
        max_deleted: u64,
        position: StreamId,
        read: Option<u64>,
    }

    impl Case {
        fn new() -> Self {
            Self { live: vec![1, 2, 3, 4, 5], max_deleted: 0, position: id(0), read: None }
        }

        fn facts(&self) -> Facts {
            let first = self.live.first().copied().unwrap_or(0);
            let len = self.live.len() as u64;
            let max_deleted_id = id(self.max_deleted);
            Facts { first_id: id(first), last_id: id(5), max_deleted_id, len, entries_added: 5 }
        }

        fn read(mut self, count: usize) -> Self {
            let ids: Vec<_> = self.live.iter().map(|&ms| id(ms)).filter(|id| *id > self.position).take(count).collect();
            self.read = self.facts().advance(self.position, self.read, &ids);
            self.position = *ids.last().unwrap();
            self
        }

        fn delete(mut self, ms: u64) -> Self {
            self.live.retain(|&live| live != ms);
            self.max_deleted = self.max_deleted.max(ms);
            self
        }

        fn trim(mut self, len: usize) -> Self {
            self.live.drain(..self.live.len() - len);
            self
        }

        fn at(mut self, position: StreamId, read: Option<u64>) -> Self {
            (self.position, self.read) = (position, read);
            self
        }

        fn counts(&self) -> (Option<u64>, Option<i64>) {
            (self.read, self.facts().lag(self.position, self.read))
        }
    }

    #[test]
    fn the_worked_examples_of_the_reference() {
        let new = Case::new;
        assert_eq!(new().counts(), (None, Some(5)));
        assert_eq!(new().read(2).counts(), (Some(2), Some(3)));
        assert_eq!(new().read(2).delete(4).counts(), (Some(2), None));
        assert_eq!(new().read(2).delete(4).read(1).counts(), (None, None));
        assert_eq!(new().read(2).delete(4).read(1).read(1).counts(), (Some(5), Some(0)));
        assert_eq!(new().read(3).delete(2).counts(), (Some(3), Some(2)));
        assert_eq!(new().read(3).delete(3).counts(), (Some(3), None));
        assert_eq!(new().delete(1).counts(), (None, Some(4)));
        assert_eq!(new().delete(1).read(1).counts(), (Some(2), Some(3)));
        assert_eq!(new().delete(3).counts(), (None, None));
        assert_eq!(new().read(1).trim(2).counts(), (Some(1), Some(2)));
        assert_eq!(new().read(1).trim(2).read(1).counts(), (Some(4), Some(1)));
        assert_eq!(new().read(2).trim(0).counts(), (Some(2), Some(0)));
        assert_eq!(new().at(id(1), None).counts(), (None, Some(4)));
        assert_eq!(new().at(id(1), None).read(1).counts(), (None, None));
        assert_eq!(new().at(id(2), None).counts(), (None, None));
        assert_eq!(new().at(id(2), Some(2)).counts(), (Some(2), Some(3)));
        assert_eq!(new().at(StreamId::new(0, 5), None).counts(), (None, Some(5)));
        assert_eq!(new().at(id(5), None).counts(), (None, Some(0)));
        assert_eq!(new().at(id(99), None).counts(), (None, None));
        assert_eq!(new().at(id(4), Some(4)).counts(), (Some(4), Some(1)));
    }

    #[test]
    fn a_read_of_many_counts_as_many_reads_of_one() {
        for case in [Case::new, || Case::new().delete(3), || Case::new().trim(3), || Case::new().delete(1).delete(4)] {
            let ids: Vec<_> = case().live.iter().map(|&ms| id(ms)).collect();
            let at_once = case().read(ids.len()).counts();
            let singly = (0..ids.len()).fold(case(), |case, _| case.read(1)).counts();
            assert_eq!(at_once, singly);
        }
    }

    #[test]
    fn a_lag_may_be_negative() {
        let facts = Facts { first_id: id(3), last_id: id(3), len: 1, entries_added: 1, ..Facts::default() };
        assert_eq!(facts.lag(id(3), Some(3)), Some(-2));
    }
}
