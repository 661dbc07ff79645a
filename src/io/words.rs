//! Copying between bytes and memory that others may be writing: word by word, atomically.
//!
//! Another thread or process may store to a mapped file at any moment. A `memcpy` would make that undefined behaviour,
//! for our own threads at least; relaxed atomic loads and stores make it, at the worst, a mixture of old and new bytes,
//! which checksums find. So nothing here depends on the callers keeping readers and writers apart. They do, and order
//! them by what they publish: that is what makes the bytes *right*, not what makes them defined.
//!
//! All accesses are whole aligned words. Mixing sizes would be undefined again, so the words at the edges of a store are
//! loaded, changed and stored back, and two stores that share a word must not run at once: one thread writes at a time.
//! A word costs one instruction, as in `memcpy`, without its wider registers; on data that is not in the first-level
//! cache the two are equally fast.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// The size of a word. The largest that the standard library promises to load atomically from read-only memory.
pub(super) const WORD: usize = size_of::<usize>();

/// Copies the bytes that start `skip` bytes into `words` to `out`.
#[inline]
pub(super) fn load(words: &[AtomicUsize], skip: usize, out: &mut [u8]) {
    assert!(skip < WORD && skip + out.len() <= words.len() * WORD, "a load is within its words");
    let (head, out) = out.split_at_mut(head_len(skip, out.len()));
    let words = if head.is_empty() {
        words
    } else {
        head.copy_from_slice(&bytes_of(&words[0])[skip..skip + head.len()]);
        &words[1..]
    };
    let (chunks, tail) = out.as_chunks_mut::<WORD>();
    if !tail.is_empty() {
        tail.copy_from_slice(&bytes_of(&words[chunks.len()])[..tail.len()]);
    }
    // Several words to a turn: counting and comparing takes as long as copying one.
    let (blocks, chunks) = chunks.as_chunks_mut::<8>();
    let (whole, words) = words.split_at(blocks.len() * 8);
    for (block, words) in blocks.iter_mut().zip(whole.as_chunks::<8>().0) {
        for (chunk, word) in block.iter_mut().zip(words) {
            *chunk = bytes_of(word);
        }
    }
    for (chunk, word) in chunks.iter_mut().zip(words) {
        *chunk = bytes_of(word);
    }
}

/// Copies `bytes` to where they start `skip` bytes into `words`.
#[inline]
pub(super) fn store(words: &[AtomicUsize], skip: usize, bytes: &[u8]) {
    assert!(skip < WORD && skip + bytes.len() <= words.len() * WORD, "a store is within its words");
    let (head, bytes) = bytes.split_at(head_len(skip, bytes.len()));
    let words = if head.is_empty() {
        words
    } else {
        patch(&words[0], skip, head);
        &words[1..]
    };
    let (chunks, tail) = bytes.as_chunks::<WORD>();
    let store = |word: &AtomicUsize, chunk: &[u8; WORD]| word.store(usize::from_ne_bytes(*chunk), Relaxed);
    // Four at a time: the loop costs as much as the stores.
    let (fours, rest) = chunks.as_chunks::<4>();
    for (chunks, words) in fours.iter().zip(words.as_chunks::<4>().0) {
        chunks.iter().zip(words).for_each(|(chunk, word)| store(word, chunk));
    }
    let words = &words[fours.len() * 4..];
    rest.iter().zip(words).for_each(|(chunk, word)| store(word, chunk));
    if !tail.is_empty() {
        patch(&words[rest.len()], 0, tail);
    }
}

/// How many words hold `len` bytes that start `skip` bytes into the first.
#[inline]
pub(super) fn count(skip: usize, len: usize) -> usize {
    (skip + len).div_ceil(WORD)
}

/// How many of `len` bytes are in a first word that is not copied whole.
#[inline]
fn head_len(skip: usize, len: usize) -> usize {
    if skip == 0 { 0 } else { len.min(WORD - skip) }
}

#[inline]
fn bytes_of(word: &AtomicUsize) -> [u8; WORD] {
    word.load(Relaxed).to_ne_bytes()
}

/// Replaces some bytes of a word.
#[inline]
fn patch(word: &AtomicUsize, at: usize, bytes: &[u8]) {
    let mut whole = bytes_of(word);
    whole[at..at + bytes.len()].copy_from_slice(bytes);
    word.store(usize::from_ne_bytes(whole), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_of(bytes: &[u8]) -> Vec<AtomicUsize> {
        bytes.as_chunks::<WORD>().0.iter().map(|chunk| AtomicUsize::new(usize::from_ne_bytes(*chunk))).collect()
    }

    #[test]
    fn every_alignment_and_length_is_loaded_and_stored() {
        let bytes: Vec<u8> = (1..=11 * WORD as u8).collect();
        for start in 0..2 * WORD {
            for len in 0..=bytes.len() - start {
                let (first, skip) = (start / WORD, start % WORD);
                let range = first..first + count(skip, len);

                let mut out = vec![0; len];
                load(&words_of(&bytes)[range.clone()], skip, &mut out);
                assert_eq!(out, bytes[start..start + len], "{len} bytes from {start}");

                let words = words_of(&bytes);
                store(&words[range], skip, &vec![0xff; len]);
                let mut expected = bytes.clone();
                expected[start..start + len].fill(0xff);
                let mut found = vec![0; bytes.len()];
                load(&words, 0, &mut found);
                assert_eq!(found, expected, "{len} bytes at {start}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "within its words")]
    fn a_load_out_of_bounds_panics() {
        load(&words_of(&[0; WORD]), 1, &mut [0; WORD]);
    }

    #[test]
    fn racing_threads_see_old_or_new_bytes() {
        let words = words_of(&[0; 4 * WORD]);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..20).for_each(|round| store(&words, 3, &[round % 2; 2 * WORD])));
            scope.spawn(|| {
                for _ in 0..20 {
                    let mut out = [9; 2 * WORD];
                    load(&words, 3, &mut out);
                    assert!(out.iter().all(|&byte| byte < 2));
                }
            });
        });
    }
}
