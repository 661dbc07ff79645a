//! Looking for whole frames where it is not known at which offsets they begin.
//!
//! Any byte may be the first one of a frame, and bytes that are none claim lengths up to all that follows. To checksum as
//! much as each of them claims takes the square of what there is; to give up after some of that takes for lost what lies
//! behind. So the checksum of a long claim is put together from those of two beginnings of all the bytes, which takes the same
//! time for any length: whatever the bytes are, nothing is missed, and a megabyte takes less than a tenth of a second.

use std::ops::{Range, RangeInclusive};

use crc32fast::Hasher;

use crate::format::codec::Reader;
use crate::format::entries::{ENTRY, MADE};
use crate::format::header::{Header, Kind};
use crate::format::record::{self, CRC_LEN, Frame, KIND, Salt};

/// The longest claim that is checksummed as it is, which takes less time than putting it together. Miri takes a second for a few
/// thousand bytes.
const SHORT: usize = if cfg!(miri) { 64 } else { 2048 };
/// The checksums of beginnings are kept for each multiple of this length.
const STEP: usize = 256;

/// A search for the frames of a file.
#[derive(Debug)]
pub struct Search<'a> {
    bytes: &'a [u8],
    /// Where the bytes begin in the file.
    start: u64,
    salt: Salt,
    kinds: RangeInclusive<u8>,
    /// The checksums of the beginnings of the bytes, as far as they were needed.
    beginnings: Vec<u32>,
}

impl<'a> Search<'a> {
    /// Looks in `bytes`, which begin at `start` of the file with this header.
    pub fn new(header: &Header, bytes: &'a [u8], start: u64) -> Self {
        let kinds = match header.kind {
            Kind::Segment => ENTRY..=MADE,
            Kind::Journal => 1..=KIND,
        };
        Self { bytes, start, salt: Salt::of(&header.file), kinds, beginnings: vec![0] }
    }

    /// The first frame that begins at `from` in the bytes or behind, and where.
    pub fn next(&mut self, from: usize) -> Option<(usize, Frame<'a>)> {
        let mut at = from;
        loop {
            let heads = self.bytes.get(at.checked_add(CRC_LEN)?..)?;
            at += heads.iter().position(|head| self.kinds.contains(&(head & KIND)))?;
            if let Some(frame) = self.frame(at) {
                return Some((at, frame));
            }
            at += 1;
        }
    }

    fn frame(&mut self, at: usize) -> Option<Frame<'a>> {
        let rest = self.bytes.get(at..)?;
        let offset = self.start + at as u64;
        let len = record::parse(rest).ok()?.len;
        if len > SHORT {
            let stored = Reader::new(rest).u32()?;
            if self.checksum(self.salt.at(offset), at + CRC_LEN..at + len) != stored {
                return None;
            }
        }
        record::decode(rest, self.salt, offset).ok()
    }

    /// The checksum of a part of the bytes, begun from `initial`.
    ///
    /// With more bytes behind it, a checksum changes by what depends on their count alone, and by that of these bytes: so what
    /// comes before the part cancels out between the beginning that ends with the part and the one that ends where it begins.
    fn checksum(&mut self, initial: u32, part: Range<usize>) -> u32 {
        let mut checksum = Hasher::new_with_initial(initial ^ self.beginning(part.start));
        checksum.combine(&Hasher::new_with_initial_len(self.beginning(part.end), part.len() as u64));
        checksum.finalize()
    }

    /// The checksum of so many bytes from the first one on.
    fn beginning(&mut self, len: usize) -> u32 {
        let bytes = self.bytes;
        let extend = |before: u32, range: Range<usize>| {
            let mut hasher = Hasher::new_with_initial(before);
            hasher.update(bytes.get(range).unwrap_or_default());
            hasher.finalize()
        };
        let steps = len / STEP;
        while self.beginnings.len() <= steps {
            let end = self.beginnings.len() * STEP;
            let before = self.beginnings.last().copied().unwrap_or_default();
            self.beginnings.push(extend(before, end - STEP..end));
        }
        extend(self.beginnings.get(steps).copied().unwrap_or_default(), steps * STEP..len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::record::Head;

    /// Bytes that cannot be compressed.
    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..len).map(|_| byte()).collect()
    }

    fn put(bytes: &mut Vec<u8>, start: u64, header: &Header, payload: &[u8]) {
        let head = Head { kind: ENTRY, synced: Some(7), ..Head::default() };
        let offset = start + bytes.len() as u64;
        record::encode(bytes, Salt::of(&header.file), offset, &head, &[payload]);
    }

    fn found(header: &Header, bytes: &[u8], start: u64) -> Vec<usize> {
        let mut search = Search::new(header, bytes, start);
        let (mut found, mut at) = (Vec::new(), 0);
        while let Some((next, frame)) = search.next(at) {
            found.push(next);
            at = next + frame.len;
        }
        found
    }

    /// Frames of lengths below and above those from which the checksum is put together, between bytes that are none.
    #[test]
    fn frames_are_found_whatever_is_between_them() {
        let all = [0, 1, 200, SHORT - 12, SHORT, SHORT + 1, SHORT + STEP, 80_000];
        let (lens, noise_len) = if cfg!(miri) { (&all[4..6], 20) } else { (&all[..], 1000) };
        for (kind, start) in [(Kind::Segment, 0), (Kind::Journal, 123_457)] {
            let header = Header { kind, ..Header::sample() };
            let (mut bytes, mut places) = (Vec::new(), Vec::new());
            for (seed, &len) in lens.iter().enumerate() {
                bytes.extend(noise(seed as u64, seed * noise_len));
                places.push(bytes.len());
                put(&mut bytes, start, &header, &noise(99, len));
                bytes.extend(vec![0; seed * 3]);
            }
            assert_eq!(found(&header, &bytes, start), places, "{kind:?}");
            assert_eq!(found(&header, &bytes, start + 1), [0; 0], "at other offsets");
            // Each is lost alone when a bit of it changes.
            for &place in &places {
                let mut damaged = bytes.clone();
                damaged[place + 8] ^= 1;
                let others: Vec<_> = places.iter().copied().filter(|&other| other != place).collect();
                assert_eq!(found(&header, &damaged, start), others, "without the one at {place}");
            }
        }
    }

    /// To checksum what each of them claims would take minutes.
    #[test]
    #[cfg_attr(miri, ignore = "takes minutes")]
    fn a_frame_is_found_behind_any_number_of_claims() {
        let header = Header::sample();
        let claims: [&[u8]; 4] = [
            // Of 2 MiB at every fifth byte, of 1 MiB at every fourth, of some hundreds at every other; and of all lengths.
            &[0x81, 0x81, 0x81, 0x81, 0x01],
            &[0x01, 0x80, 0x80, 0x40],
            &[0xe2, 0x02],
            &noise(5, 1 << 20),
        ];
        for claim in claims {
            let mut bytes: Vec<u8> = claim.iter().copied().cycle().take(1 << 20).collect();
            let place = bytes.len();
            put(&mut bytes, 0, &header, b"behind them");
            bytes.extend(vec![0; 4 << 20]);
            assert_eq!(found(&header, &bytes, 0), [place], "{:02x?}", &claim[..2]);
        }
    }
}
