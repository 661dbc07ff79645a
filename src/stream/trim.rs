//! How far a trim goes: pure arithmetic over ordinals.

use crate::stream::options::{References, Trim};

/// Approximate trimming removes whole blocks of so many entries, as Redis does by default.
const BLOCK: u64 = 100;

/// The new floor, for a trim that, done exactly, raises it to `exact`.
///
/// `end` is the ordinal after the last entry, and `live` counts the entries between two ordinals. Nothing alive is between
/// `exact` and a result beyond it.
pub fn floor(trim: &Trim, floor: u64, exact: u64, end: u64, live: impl Fn(u64, u64) -> u64) -> u64 {
    if !trim.approximate || exact <= floor {
        return exact.max(floor);
    }
    // Entries that may be referenced are removed one by one, so a part of a block may go.
    let by_entry = trim.references != References::Keep;
    let (block, next) = ((exact - 1) / BLOCK * BLOCK + 1, ((exact - 1) / BLOCK * BLOCK + BLOCK + 1).min(end));
    // A block of which nothing would stay goes as a whole; the last one need not be full.
    let whole_blocks = if live(exact, next) == 0 { next } else { block.max(floor) };
    let wanted = if by_entry { exact } else { whole_blocks };
    let Some(limit) = trim.limit.filter(|&limit| limit > 0) else { return wanted };
    let (mut reached, mut removed) = (floor, 0u64);
    while reached < wanted {
        // The limit is for whole blocks, also if a part of the last one stays.
        let next = ((reached - 1) / BLOCK * BLOCK + BLOCK + 1).min(end);
        removed = removed.saturating_add(live(reached, next));
        if removed > limit {
            break;
        }
        reached = next.min(wanted);
    }
    reached
}

/// How much an approximate trim that goes entry by entry may remove: it stops before a block of which the living entries,
/// with what was removed already, are above the limit.
pub struct Quota<F> {
    limit: u64,
    /// The ordinal after the last entry.
    end: u64,
    /// The ordinal after the block that was let through last.
    next: u64,
    live: F,
}

impl<F: Fn(u64, u64) -> u64> Quota<F> {
    pub fn new(trim: &Trim, end: u64, live: F) -> Self {
        let limit = trim.limit.filter(|&limit| trim.approximate && limit > 0).unwrap_or(u64::MAX);
        Self { limit, end, next: 0, live }
    }

    /// Whether the entry with this ordinal may be removed after `removed` others.
    pub fn allows(&mut self, ordinal: u64, removed: u64) -> bool {
        if self.limit == u64::MAX || ordinal < self.next {
            return true;
        }
        let start = ordinal.saturating_sub(1) / BLOCK * BLOCK + 1;
        self.next = (start + BLOCK).min(self.end);
        removed.saturating_add((self.live)(ordinal, self.next)) <= self.limit
    }
}

/// The lowest ordinal from `floor` on from which at most `len` of the entries before `end` are alive.
pub fn exact_by_len(floor: u64, end: u64, len: u64, live: impl Fn(u64, u64) -> u64) -> u64 {
    let Some(excess) = live(floor, end).checked_sub(len).filter(|&excess| excess > 0) else { return floor };
    // Looks for the lowest ordinal before which `excess` entries are alive: no further than it is when few entries are deleted,
    // then by bisection.
    let (mut low, mut high) = (floor.saturating_add(excess - 1), end);
    let mut step = 1;
    while high - low > step {
        if live(floor, low + step) >= excess {
            high = low + step;
        } else {
            low += step;
            step *= 2;
        }
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if live(floor, middle) >= excess { high = middle } else { low = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamId;

    fn all(from: u64, to: u64) -> u64 {
        to.saturating_sub(from)
    }

    /// Every third ordinal is deleted.
    fn two_of_three(from: u64, to: u64) -> u64 {
        (from..to).filter(|ordinal| ordinal % 3 != 0).count() as u64
    }

    #[test]
    fn exact_by_len_leaves_that_many() {
        assert_eq!(exact_by_len(1, 11, 4, all), 7);
        assert_eq!(exact_by_len(1, 11, 0, all), 11);
        assert_eq!(exact_by_len(5, 11, 100, all), 5);
        for len in 0..=20 {
            let floor = exact_by_len(1, 31, len, two_of_three);
            assert_eq!(two_of_three(floor, 31), len, "to {len}");
            assert!(floor == 1 || two_of_three(floor - 1, 31) > len, "not further than needed, to {len}");
        }
    }

    #[test]
    fn exact_by_len_looks_near_by_first() {
        let looks = std::cell::Cell::new(0);
        let counting = |from, to| {
            looks.set(looks.get() + 1);
            all(from, to)
        };
        assert_eq!(exact_by_len(1, 1_000_002, 1_000_000, counting), 2);
        assert_eq!(looks.get(), 2);
    }

    #[test]
    fn approximate_trims_remove_whole_blocks_of_100() {
        let trim = Trim::to_len(0).approximately();
        // The worked example of the reference: 250 entries.
        assert_eq!(floor(&trim, 1, 250 - 201 + 1, 251, all), 1);
        assert_eq!(floor(&trim, 1, 250 - 150 + 1, 251, all), 101);
        assert_eq!(floor(&trim.limit(50), 101, 250, 251, all), 101);
        assert_eq!(floor(&trim.limit(100), 1, 250, 251, all), 101);
        assert_eq!(floor(&trim.limit(0), 1, 250, 251, all), 201);
        assert_eq!(floor(&trim.references(References::Delete), 1, 250 - 145 + 1, 251, all), 106);
        let by_entry = trim.references(References::Delete);
        assert_eq!(floor(&by_entry.limit(99), 1, 51, 151, all), 1, "the limit is for the whole block");
        assert_eq!(floor(&by_entry.limit(100), 1, 51, 151, all), 51);
        assert_eq!(floor(&trim, 1, 4, 4, all), 4, "a last block of which nothing would stay need not be full");
        assert_eq!(floor(&trim, 1, 251, 251, all), 251);
        assert_eq!(floor(&trim, 150, 160, 251, all), 150, "a floor within a block stays");
    }

    #[test]
    fn a_block_of_which_only_deleted_entries_would_stay_goes() {
        // Alive are 1 and those from 101 on; of what is not there yet nothing is known to be deleted.
        let live = |from: u64, to: u64| (from..to).filter(|ordinal| !(2..=100).contains(ordinal)).count() as u64;
        assert_eq!(floor(&Trim::to_len(0).approximately(), 1, 2, 301, live), 101);
        assert_eq!(floor(&Trim::to_len(0).approximately().limit(1), 1, 2, 301, live), 101);
        assert_eq!(floor(&Trim::to_len(0).approximately(), 1, 102, 301, live), 101);
    }

    #[test]
    fn a_quota_lets_through_whole_blocks() {
        let trim = Trim::to_len(0).approximately().limit(150);
        let mut quota = Quota::new(&trim, 301, all);
        assert!(quota.allows(1, 0) && quota.allows(100, 99));
        assert!(!quota.allows(101, 100), "200 of 150");
        let mut sparing = Quota::new(&trim, 301, all);
        assert!(sparing.allows(1, 0) && sparing.allows(101, 20) && !sparing.allows(201, 120));
        let mut exact = Quota::new(&Trim::to_len(0).limit(1), 301, all);
        assert!(exact.allows(1, 0) && exact.allows(101, 100));
        let mut few = Quota::new(&Trim::to_len(0).approximately().limit(50), 11, all);
        assert!(few.allows(1, 0), "a last block that is not full counts as it is");
    }

    #[test]
    fn exact_trims_take_no_heed_of_blocks() {
        assert_eq!(floor(&Trim::before(StreamId::MIN), 1, 7, 11, all), 7);
        assert_eq!(floor(&Trim::to_len(0), 9, 7, 11, all), 9);
    }
}
