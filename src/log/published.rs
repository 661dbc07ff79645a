//! The tail that readers see: read without a lock, by any number of threads, while it is replaced.

use crate::StreamId;
use crate::log::Tail;
use crate::sync::atomic::{AtomicU64, Ordering, fence};
use crate::sync::yield_now;

/// Looks so often before it lets other threads run.
const SPINS: u32 = 64;

/// A tail behind a sequence lock. The number is odd while the words are being replaced; a reader that finds the same even
/// number before and after has words that belong together. All of them are atomic, so there is no data race either way.
#[derive(Debug)]
pub struct Published {
    sequence: AtomicU64,
    words: [AtomicU64; 8],
}

impl Published {
    pub fn new(tail: Tail) -> Self {
        Self { sequence: AtomicU64::new(0), words: words(tail).map(AtomicU64::new) }
    }

    #[inline]
    pub fn get(&self) -> Tail {
        let mut spins = 0;
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let words = self.load();
                // The words are loaded before the number is looked at again.
                fence(Ordering::Acquire);
                if self.sequence.load(Ordering::Relaxed) == before {
                    return tail(words);
                }
            }
            pause(&mut spins);
        }
    }

    /// Replaces it unless it is newer. Returns whether there are more entries than there were.
    #[inline]
    pub fn set(&self, tail: Tail) -> bool {
        let mut spins = 0;
        let before = loop {
            let before = self.sequence.load(Ordering::Relaxed);
            let odd = |before: u64| {
                self.sequence.compare_exchange(before, before + 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
            };
            if before.is_multiple_of(2) && odd(before) {
                break before;
            }
            pause(&mut spins);
        };
        self.replace(before, tail)
    }

    /// As [`set`](Self::set), by one of those who take turns at it under a lock: without an atomic exchange.
    #[inline]
    pub fn set_alone(&self, tail: Tail) -> bool {
        let before = self.sequence.load(Ordering::Relaxed);
        debug_assert!(before.is_multiple_of(2), "somebody else is replacing it");
        self.sequence.store(before + 1, Ordering::Relaxed);
        self.replace(before, tail)
    }

    #[inline]
    fn replace(&self, before: u64, tail: Tail) -> bool {
        // Whoever loads one of the words stored below finds the number changed.
        fence(Ordering::Release);
        let [version, _, _, next_ordinal, ..] = &self.words;
        let next_ordinal = next_ordinal.load(Ordering::Relaxed);
        if tail.version >= version.load(Ordering::Relaxed) {
            for (word, value) in self.words.iter().zip(words(tail)) {
                word.store(value, Ordering::Relaxed);
            }
        }
        self.sequence.store(before + 2, Ordering::Release);
        tail.next_ordinal > next_ordinal
    }

    #[inline]
    fn load(&self) -> [u64; 8] {
        std::array::from_fn(|at| self.words.get(at).map_or(0, |word| word.load(Ordering::Relaxed)))
    }
}

#[cold]
fn pause(spins: &mut u32) {
    *spins += 1;
    // Under a scheduler of its own nobody else runs while this one spins.
    if *spins < SPINS && !cfg!(shuttle) { std::hint::spin_loop() } else { yield_now() }
}

#[inline]
fn words(tail: Tail) -> [u64; 8] {
    let Tail { version, segment, offset, next_ordinal, floor, last_id, entries_added } = tail;
    [version, segment, offset, next_ordinal, floor, last_id.ms(), last_id.seq(), entries_added]
}

#[inline]
fn tail([version, segment, offset, next_ordinal, floor, ms, seq, entries_added]: [u64; 8]) -> Tail {
    Tail { version, segment, offset, next_ordinal, floor, last_id: StreamId::new(ms, seq), entries_added }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(n: u64) -> Tail {
        let last_id = StreamId::new(n, n);
        Tail { version: n, segment: n, offset: n, next_ordinal: n, floor: n, last_id, entries_added: n }
    }

    #[test]
    fn an_older_tail_does_not_replace_a_newer_one() {
        let published = Published::new(numbered(1));
        assert!(published.set(numbered(3)));
        assert!(!published.set(numbered(2)));
        assert_eq!(published.get(), numbered(3));
    }

    #[test]
    fn readers_find_the_words_of_one_tail_and_none_goes_back() {
        let last = if cfg!(miri) { 50 } else { 20_000 };
        let published = Published::new(numbered(0));
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let published = &published;
                scope
                    .spawn(move || (1..=last).filter(|n| n % 2 == writer).for_each(|n| _ = published.set(numbered(n))));
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut seen = 0;
                    while seen < last {
                        let found = published.get();
                        assert!(found.version >= seen, "{seen}, then {found:?}");
                        assert_eq!(found, numbered(found.version));
                        seen = found.version;
                        std::thread::yield_now();
                    }
                });
            }
        });
    }
}
