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
    if value < 1 << 28 {
        // Seven bits to a byte, all at once.
        let spread = value & 0x7f | (value & 0x3f80) << 1 | (value & 0x1f_c000) << 2 | (value & 0xfe0_0000) << 3;
        let len = varint_len(value);
        // All bytes but the last say that another follows.
        let bytes = ((spread | 0x8080_8080 & ((1 << (8 * (len - 1))) - 1)) as u32).to_le_bytes();
        return out.extend_from_slice(bytes.get(..len).unwrap_or_default());
    }
    let (start, mut rest) = (out.len(), value);
    // All at once and too many: cheaper than making room for each byte.
    out.extend_from_slice(&[0; 10]);
    let mut len = 1;
    for byte in out.iter_mut().skip(start) {
        *byte = rest as u8;
        rest >>= 7;
        if rest == 0 {
            break;
        }
        *byte |= 0x80;
        len += 1;
    }
    out.truncate(start + len);
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
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends an ID as two varints.
pub fn put_id(out: &mut Vec<u8>, id: StreamId) {
    put_varint(out, id.ms());
    put_varint(out, id.seq());
}

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
        match *self.bytes {
            [first, ref rest @ ..] if first < 0x80 => {
                self.bytes = rest;
                Some(u64::from(first))
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.bytes = rest;
                Some(u64::from(first & 0x7f) | u64::from(second) << 7)
            }
            [first, ref rest @ ..] => {
                self.bytes = rest;
                self.long_varint(first)
            }
            [] => None,
        }
    }

    #[inline(never)]
    fn long_varint(&mut self, first: u8) -> Option<u64> {
        let mut value = u64::from(first & 0x7f);
        for shift in (7..70).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
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

#[cfg(test)]
mod tests {
    use super::*;

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
