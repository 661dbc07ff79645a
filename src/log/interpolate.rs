//! Searching a table of IDs where the entry is to be expected.

use crate::StreamId;
use crate::format::index::Block;

/// Blocks whose first IDs ascend, wherever they are.
pub trait BlockTable {
    fn count(&self) -> usize;

    /// The first ID of the block at a place; `None` if there is none, or it cannot be read.
    fn first_id(&self, at: usize) -> Option<StreamId>;
}

impl BlockTable for [Block] {
    #[inline]
    fn count(&self) -> usize {
        self.len()
    }

    #[inline]
    fn first_id(&self, at: usize) -> Option<StreamId> {
        self.get(at).map(|block| block.first_id)
    }
}

/// How many of these blocks begin at or below `id`.
///
/// Guesses by the time in the ID, then looks further and further away from there until it is between two blocks, and bisects
/// what is between these. Where times grow evenly that is two or three looks next to each other, whatever the size of the
/// table, and hardly more than bisecting costs otherwise.
#[inline]
pub fn blocks_up_to(blocks: &(impl BlockTable + ?Sized), id: StreamId) -> usize {
    let begins_up_to = |at: usize| blocks.first_id(at).is_some_and(|first_id| first_id <= id);
    let Some(guess) = guess(blocks, id) else {
        return 0;
    };
    // All before `low` are at or below the ID, none from `high` on is.
    let (mut low, mut high, mut step) = (0, blocks.count(), 1);
    if begins_up_to(guess) {
        low = guess + 1;
        while low < high {
            let next = (low + step - 1).min(high - 1);
            if !begins_up_to(next) {
                high = next;
                break;
            }
            low = next + 1;
            step *= 2;
        }
    } else {
        high = guess;
        while low < high {
            let next = high.saturating_sub(step).max(low);
            if begins_up_to(next) {
                low = next + 1;
                break;
            }
            high = next;
            step *= 2;
        }
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if begins_up_to(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// About where the last block that begins at or below `id` is; `None` if there are none.
#[inline]
fn guess(blocks: &(impl BlockTable + ?Sized), id: StreamId) -> Option<usize> {
    let end = blocks.count().checked_sub(1)?;
    let (first, last) = (blocks.first_id(0)?.ms(), blocks.first_id(end)?.ms());
    Some(part(end, id.ms().saturating_sub(first), last.saturating_sub(first)))
}

/// Where in a block an entry may be, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guess {
    pub at: usize,
    /// About how long it is.
    pub len: usize,
}

/// Where in `block`, which ends where `next` begins, an entry is to be expected: exactly there if all are of one length, and
/// there are as many in each millisecond, numbered one after the other.
#[inline]
pub fn guess_in(block: &Block, next: &Block, id: StreamId) -> Option<Guess> {
    let len = next.offset.checked_sub(block.offset)? as usize;
    let count = next.ordinal.checked_sub(block.ordinal).filter(|&count| count > 0)?;
    let (first, last) = (block.first_id, next.first_id);
    let (past, span) = (id.ms().saturating_sub(first.ms()) as f64, last.ms().saturating_sub(first.ms()) as f64);
    let more = |seq: u64| seq as f64 - first.seq() as f64;
    let in_each = (f64::from(count) - more(last.seq())) / span;
    let before = match in_each > 0.0 && in_each.is_finite() {
        true => past * in_each + more(id.seq()),
        false if span > 0.0 => f64::from(count) * past / span,
        false => more(id.seq()),
    };
    let each = len as f64 / f64::from(count);
    // What is not a number is 0 then, and what is too large the most there is.
    Some(Guess { at: ((before * each) as usize).min(len), len: each as usize })
}

/// The part of `whole` that `of` is of `all`, which may be 0: at most `whole`.
#[inline]
fn part(whole: usize, of: u64, all: u64) -> usize {
    if of >= all {
        return whole;
    }
    // Rounding is of no concern.
    ((whole as f64 * (of as f64 / all as f64)) as usize).min(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_what_bisecting_finds() {
        let tables: [fn(u64) -> u64; 6] = [
            |_| 7,
            |n| 1000 + n,
            |n| 1000 + n * 37,
            |n| n * n * n,
            |n| if n < 5 { n } else { u64::MAX - 1000 + n },
            |n| n / 10 * 1_000_000,
        ];
        for ms in tables {
            for count in [0, 1, 2, 3, 10, 257] {
                let blocks: Vec<_> =
                    (0..count).map(|n| Block { first_id: StreamId::new(ms(n), n), ..Block::default() }).collect();
                let around = |id: StreamId| [id.previous(), Some(id), id.next()];
                let ids = blocks.iter().flat_map(|block| around(block.first_id)).flatten();
                for id in ids.chain([StreamId::MIN, StreamId::MAX, StreamId::new(7, u64::MAX)]) {
                    let expected = blocks.partition_point(|block| block.first_id <= id);
                    assert_eq!(blocks_up_to(&*blocks, id), expected, "{id} among {count}");
                }
            }
        }
    }

    #[test]
    fn where_an_entry_is_in_its_block_is_guessed_by_its_id() {
        let block = |ms, seq, offset, ordinal| Block { first_id: StreamId::new(ms, seq), offset, ordinal, crc: 0 };
        let at = |block: Block, next: Block, (ms, seq)| guess_in(&block, &next, StreamId::new(ms, seq)).map(|it| it.at);
        // Eight in a millisecond, 100 bytes each.
        let (first, next) = (block(1000, 3, 0, 0), block(1005, 1, 3800, 38));
        for (id, expected) in [((1000, 3), 0), ((1000, 4), 100), ((1001, 0), 500), ((1004, 7), 3600)] {
            assert_eq!(at(first, next, id), Some(expected), "{id:?}");
        }
        assert_eq!(at(first, next, (u64::MAX, u64::MAX)), Some(3800));
        // All in one, or with numbers of their own.
        assert_eq!(at(block(7, 0, 0, 0), block(7, 40, 4000, 40), (7, 10)), Some(1000));
        assert_eq!(at(block(7, 500, 0, 0), block(17, 3 << 40, 4000, 40), (12, 9)), Some(2000));
        assert_eq!(at(next, first, (1000, 3)), None);
        assert_eq!(at(first, Block { ordinal: 0, ..next }, (1000, 3)), None);
    }

    #[test]
    fn a_part_is_never_more_than_the_whole() {
        for (whole, of, all, expected) in [
            (10, 0, 0, 10),
            (10, 5, 10, 5),
            (10, 11, 10, 10),
            (0, 1, 2, 0),
            (10, 0, 5, 0),
            (3, u64::MAX - 1, u64::MAX, 3),
        ] {
            assert_eq!(part(whole, of, all), expected);
        }
    }
}
