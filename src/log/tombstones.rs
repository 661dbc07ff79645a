//! The ordinals of deleted entries, compressed.

use std::ops::Range;

use roaring::RoaringTreemap;

use crate::format::journal::Run;

/// A set of ordinals. Runs and dense parts take about a bit an entry at the most, sparse ones two bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tombstones {
    ordinals: RoaringTreemap,
    /// All ordinals below this one count as deleted: whoever reads the log as it was before they were trimmed is not to see
    /// those that had been deleted.
    forgotten_below: u64,
}

impl Tombstones {
    #[inline]
    pub fn contains(&self, ordinal: u64) -> bool {
        ordinal < self.forgotten_below || self.ordinals.contains(ordinal)
    }

    pub fn insert_runs(&mut self, runs: &[Run]) {
        for run in runs {
            self.ordinals.insert_range(run.first..=run.last);
        }
    }

    /// Takes in those of another set, too.
    pub fn extend(&mut self, other: &Self) {
        self.ordinals |= &other.ordinals;
        self.forgotten_below = self.forgotten_below.max(other.forgotten_below);
    }

    /// Forgets the ordinals below `floor`, which is where the log begins: none of them is alive.
    pub fn forget_below(&mut self, floor: u64) {
        let last = self.rank_below(floor).checked_sub(1).and_then(|at| self.ordinals.select(at));
        if let Some(last) = last {
            self.ordinals.remove_range(..=last);
            self.forgotten_below = last.saturating_add(1);
        }
    }

    /// Forgets the ordinals from `end` on.
    pub fn forget_from(&mut self, end: u64) {
        self.ordinals.remove_range(end..);
    }

    /// How many there are in a range.
    pub fn count(&self, range: Range<u64>) -> u64 {
        let start = range.start.max(self.forgotten_below).min(range.end);
        let forgotten = start.saturating_sub(range.start);
        if self.ordinals.is_empty() || start >= range.end {
            return forgotten;
        }
        forgotten + self.rank_below(range.end) - self.rank_below(start)
    }

    /// How many of the set are below an ordinal.
    fn rank_below(&self, ordinal: u64) -> u64 {
        ordinal.checked_sub(1).map_or(0, |last| self.ordinals.rank(last))
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
        dead.insert_runs(&[Run { first: 1, last: 1 }]);
        dead.forget_below(5);
        assert_eq!(dead.set().len(), 4);
        assert_eq!(dead.count(4..100), 5);
        assert_eq!((dead.count(0..100), dead.count(0..3), dead.count(2..5), dead.count(3..3)), (9, 3, 3, 0));
        assert_eq!((dead.first_live(0, 20), dead.first_live(2, 4)), (7, 4));
        assert!((0..=6).all(|ordinal| dead.contains(ordinal)) && !dead.contains(7));
        // Nothing is forgotten.
        dead.forget_below(5);
        dead.forget_below(9);
        assert_eq!((dead.count(0..9), dead.count(9..100)), (7, 2));
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
