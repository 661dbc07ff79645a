//! The ordinals of deleted entries, compressed.

use std::ops::Range;

use roaring::RoaringTreemap;

use crate::format::journal::Run;

/// A set of ordinals. Runs and dense parts take about a bit an entry at the most, sparse ones two bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tombstones {
    ordinals: RoaringTreemap,
}

impl Tombstones {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ordinals.is_empty()
    }

    #[inline]
    pub fn contains(&self, ordinal: u64) -> bool {
        self.ordinals.contains(ordinal)
    }

    pub fn insert_runs(&mut self, runs: &[Run]) {
        for run in runs {
            self.ordinals.insert_range(run.first..=run.last);
        }
    }

    /// Forgets the ordinals below `floor`, which count as deleted anyway.
    pub fn forget_below(&mut self, floor: u64) {
        self.ordinals.remove_range(..floor);
    }

    /// Forgets the ordinals from `end` on.
    pub fn forget_from(&mut self, end: u64) {
        self.ordinals.remove_range(end..);
    }

    /// How many there are in a range.
    pub fn count(&self, range: Range<u64>) -> u64 {
        if self.is_empty() || range.is_empty() {
            return 0;
        }
        let up_to = |end: u64| end.checked_sub(1).map_or(0, |last| self.ordinals.rank(last));
        up_to(range.end) - up_to(range.start)
    }

    /// The lowest ordinal from `from` on that is not in the set; at most `end`.
    pub fn first_live(&self, mut from: u64, end: u64) -> u64 {
        while from < end && self.contains(from) {
            // Bisects for where the count of deleted entries stops being full.
            let (mut dead, mut beyond) = (from, end);
            while beyond - dead > 1 {
                let middle = dead + (beyond - dead) / 2;
                if self.count(from..middle + 1) == middle + 1 - from { dead = middle } else { beyond = middle }
            }
            from = dead + 1;
        }
        from
    }

    pub fn set(&self) -> &RoaringTreemap {
        &self.ordinals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_set() {
        let mut dead = Tombstones::default();
        dead.insert_runs(&[Run { first: 3, last: 6 }, Run { first: 9, last: 9 }]);
        assert_eq!(dead.count(1..100), 5);
        assert_eq!(dead.count(4..6), 2);
        assert_eq!(dead.count(7..9), 0);
        assert_eq!(dead.count(0..0), 0);
        assert_eq!(dead.first_live(1, 20), 1);
        assert_eq!(dead.first_live(3, 20), 7);
        assert_eq!(dead.first_live(9, 20), 10);
        assert_eq!(dead.first_live(3, 5), 5);
        dead.insert_runs(&[Run { first: 9, last: 10 }]);
        dead.forget_below(5);
        assert_eq!(dead.count(0..100), 4);
    }

    #[test]
    fn deleting_every_entry_or_every_second_takes_at_most_a_bit_an_entry() {
        let (mut all, mut second) = (Tombstones::default(), Tombstones::default());
        for ordinal in 1..=1_000_000 {
            all.insert_runs(&[Run { first: ordinal, last: ordinal }]);
            second.insert_runs(&[Run { first: ordinal / 2 * 2, last: ordinal / 2 * 2 }]);
        }
        for set in [all, second] {
            assert!(set.set().serialized_size() <= 140_000, "{} bytes", set.set().serialized_size());
        }
    }
}
