//! Integers and strings: how they are written, and how they are read from bytes that may be anything.

use crate::StreamId;
use crate::format::Identity;

/// Appends `value` as a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        return out.push(value as u8);
    }
    put_long_varint(out, value);
}

fn put_long_varint(out: &mut Vec<u8>, value: u64) {
    if value < 1 << 56 {
        let start = out.len();
        // One store of a known size.
        out.extend_from_slice(&spread(value));
        return out.truncate(start + varint_len(value));
    }
    let (bytes, len) = varint(value);
    out.extend_from_slice(bytes.get(..len).unwrap_or_default());
}

/// The bytes of a varint, and how many there are.
pub fn varint(value: u64) -> ([u8; VARINT_LEN_MAX], usize) {
    let (mut bytes, mut rest, len) = ([0; VARINT_LEN_MAX], value, varint_len(value));
    for (at, byte) in bytes.iter_mut().enumerate().take(len) {
        *byte = rest as u8 & 0x7f | if at + 1 < len { 0x80 } else { 0 };
        rest >>= 7;
    }
    (bytes, len)
}

/// The bytes of the varint of a value below 2^56, and what is left of eight of them.
#[inline]
fn spread(value: u64) -> [u8; 8] {
    // Halves, quarters and eighths are moved apart, all at once, until there are seven bits to a byte.
    let halves = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
    let quarters = halves & 0x0000_3fff_0000_3fff | (halves & 0x0fff_c000_0fff_c000) << 2;
    let eighths = quarters & 0x007f_007f_007f_007f | (quarters & 0x3f80_3f80_3f80_3f80) << 1;
    // All bytes but the last say that another follows.
    let follow = 0x8080_8080_8080_8080 & ((1 << (8 * (varint_len(value) - 1))) - 1);
    (eighths | follow).to_le_bytes()
}

/// The number of bytes [`put_varint`] appends for `value`.
#[inline]
pub const fn varint_len(value: u64) -> usize {
    match value {
        0 => 1,
        _ => (value.ilog2() as usize) / 7 + 1,
    }
}

/// Appends a varint length, then the bytes.
#[inline]
pub fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    // Room for both, so that neither has to grow it.
    out.reserve(bytes.len() + 1);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends an ID as two varints.
pub fn put_id(out: &mut Vec<u8>, id: StreamId) {
    put_varint(out, id.ms());
    put_varint(out, id.seq());
}

/// Bytes that are written from the last to the first: what is in front of something whose length is known only then.
///
/// They are gathered in a register. Single bytes in memory would be read back, with those that follow, before they have left
/// the processor's store buffer, and each such load waits for all of them.
#[derive(Debug)]
pub struct Front<'a, const N: usize> {
    room: &'a mut [u8; N],
    /// Where those that are in the room begin; they end with it.
    start: usize,
    /// Those before them, the first one lowest.
    gathered: u128,
    len: usize,
}

impl<'a, const N: usize> Front<'a, N> {
    #[inline]
    pub fn new(room: &'a mut [u8; N]) -> Self {
        Self { room, start: N, gathered: 0, len: 0 }
    }

    /// How many bytes there are.
    #[inline]
    pub fn len(&self) -> usize {
        N - self.start + self.len
    }

    /// Puts the lowest `len` bytes, at most eight, of a number that has no others before what is there.
    #[inline]
    pub fn put(&mut self, bytes: u64, len: usize) {
        if self.len + len > size_of::<u128>() {
            self.spill();
        }
        self.gathered = self.gathered << (8 * len) | u128::from(bytes);
        self.len += len;
    }

    /// Puts a varint before what is there.
    #[inline]
    pub fn put_varint(&mut self, value: u64) {
        match value {
            ..0x80 => self.put(value, 1),
            _ => self.put_long_varint(value),
        }
    }

    fn put_long_varint(&mut self, value: u64) {
        /// The bits of seven bytes, and what says of each that another follows.
        const BITS: u32 = 49;
        const FOLLOWED: u64 = 0x0080_8080_8080_8080;
        if value < 1 << 56 {
            return self.put(u64::from_le_bytes(spread(value)), varint_len(value));
        }
        self.put_long_varint(value >> BITS);
        self.put(u64::from_le_bytes(spread(value & ((1 << BITS) - 1))) | FOLLOWED, 7);
    }

    /// Moves what is gathered into the room. The callers see to it that it is large enough: what does not fit is left out.
    fn spill(&mut self) {
        let (before, _) = self.room.split_at_mut(self.start);
        let Some(last) = before.last_chunk_mut() else {
            debug_assert!(false, "there is no room for {} bytes", self.len);
            return;
        };
        // The bytes before those that count are room that is free.
        *last = (self.gathered << (8 * (size_of::<u128>() - self.len))).to_le_bytes();
        self.start -= self.len;
        (self.gathered, self.len) = (0, 0);
    }

    /// Returns where the bytes begin in the room.
    #[inline]
    pub fn finish(mut self) -> usize {
        if self.len > 0 {
            self.spill();
        }
        self.start
    }
}

/// The most bytes a varint has.
const VARINT_LEN_MAX: usize = 10;

/// Small magnitudes of either sign to small numbers.
#[inline]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[inline]
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Reads from the front of a slice; every method returns `None` where the bytes do not suffice or do not fit.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The bytes not read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many bytes are not read yet.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    #[inline]
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*taken)
    }

    #[inline]
    pub fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    #[inline]
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn identity(&mut self) -> Option<Identity> {
        self.array()
    }

    /// An ID of two `u64`s.
    pub fn id(&mut self) -> Option<StreamId> {
        Some(StreamId::new(self.u64()?, self.u64()?))
    }

    /// An ID of two varints.
    pub fn short_id(&mut self) -> Option<StreamId> {
        Some(StreamId::new(self.varint()?, self.varint()?))
    }

    #[inline]
    pub fn varint(&mut self) -> Option<u64> {
        if let [first, rest @ ..] = self.bytes
            && *first < 0x80
        {
            self.bytes = rest;
            return Some(u64::from(*first));
        }
        // Not by reference to the reader: it would be in memory, and each read wait for the store of the one before.
        let (value, len) = long_varint(self.bytes);
        if len == 0 {
            self.bytes = self.bytes.get(VARINT_LEN_MAX..).unwrap_or_default();
            return None;
        }
        self.bytes = self.bytes.get(len..)?;
        Some(value)
    }

    /// A varint that is a length or count of this machine's.
    #[inline]
    pub fn varint_usize(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok()
    }

    #[inline]
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let len = self.varint_usize()?;
        self.take(len)
    }
}

/// The varint of more than one byte at the start of `bytes`, and its length: 0 if it is cut short or too large.
#[inline(never)]
fn long_varint(bytes: &[u8]) -> (u64, usize) {
    const LAST: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(*bytes.first_chunk().unwrap_or(&[0xff; 8]));
    let ends = !word & LAST;
    if ends == 0 {
        return longest_varint(bytes);
    }
    let len = ends.trailing_zeros() / 8 + 1;
    // Seven bits of each byte, first moved together in pairs, then pairs of these, then both halves.
    let word = word & u64::MAX >> (64 - 8 * len) & !LAST;
    let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
    let word = word & 0x0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4;
    (word, len as usize)
}

/// As [`long_varint`], of more than eight bytes, or near the end.
fn longest_varint(bytes: &[u8]) -> (u64, usize) {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(VARINT_LEN_MAX).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if at == VARINT_LEN_MAX - 1 && bits > 1 {
            break;
        }
        value |= bits << (7 * at);
        if byte < 0x80 {
            return (value, at + 1);
        }
    }
    (0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A varint is read in another way where bytes follow it.
    #[test]
    fn varints_read_back_whatever_follows() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift, 0x0123_4567_89ab_cdef >> shift] {
                for follows in [0, 0x7f, 0x80, 0xff] {
                    let mut out = Vec::new();
                    put_varint(&mut out, value);
                    out.extend_from_slice(&[follows; 9]);
                    let mut reader = Reader::new(&out);
                    assert_eq!(reader.varint(), Some(value));
                    assert_eq!(reader.rest(), [follows; 9]);
                }
            }
        }
    }

    #[test]
    fn varints_read_back_and_have_the_length_they_claim() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value), "of {value}");
                assert!(out.len() <= 10);
                let mut reader = Reader::new(&out);
                assert_eq!(reader.varint(), Some(value));
                assert!(reader.is_empty());
            }
        }
    }

    #[test]
    fn a_varint_that_is_cut_short_or_too_large_is_none() {
        assert_eq!(Reader::new(&[]).varint(), None);
        assert_eq!(Reader::new(&[0x80]).varint(), None);
        assert_eq!(Reader::new(&[0xff; 9]).varint(), None);
        assert_eq!(Reader::new(&[0xff; 11]).varint(), None);
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).varint(), None);
    }

    #[test]
    fn what_is_put_in_front_reads_back() {
        for shift in 0..64 {
            let value = u64::MAX >> shift;
            let mut room = [0xff; 48];
            let mut front = Front::new(&mut room);
            front.put(u64::from_le_bytes(*b"the end!"), 8);
            front.put_varint(value);
            front.put(u64::from_le_bytes(*b"begin\0\0\0"), 5);
            let (len, start) = (front.len(), front.finish());
            assert_eq!(start, 48 - len);
            let mut expected = b"begin".to_vec();
            put_varint(&mut expected, value);
            expected.extend_from_slice(b"the end!");
            assert_eq!(room[start..], expected, "{value}");
        }
    }

    #[test]
    fn zigzag_reads_back() {
        for value in [0, 1, -1, 63, -64, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
    }

    #[test]
    fn strings_are_bounded_by_the_bytes_that_are_there() {
        assert_eq!(Reader::new(&[3, b'a', b'b', b'c']).string(), Some(&b"abc"[..]));
        assert_eq!(Reader::new(&[4, b'a', b'b', b'c']).string(), None);
    }
}
