//! The notice board of a store: where the process that writes says what others may see. A file of 256 bytes for a header, and
//! as many for each stream that it has open.
//!
//! Nothing depends on it for what is in the store: it is not synced, a writer begins with what it says in memory, and recovery
//! does not look at it. It tells other processes, which only read, up to where what they find in the files is *published*: at
//! the level [`Always`](crate::Durability::Always) that is what was synced, and only the writer knows.
//!
//! | bytes     | field   | meaning                                                                                |
//! |-----------|---------|----------------------------------------------------------------------------------------|
//! | `0..8`    | magic   | `89 53 4C 42 44 0D 0A 1A`                                                              |
//! | `8..10`   | version | 1                                                                                      |
//! | `10..16`  |         | zeros                                                                                  |
//! | `16..32`  | store   | identity of the store                                                                  |
//! | `32..48`  | boot    | of the machine; what was said before it was started again is void: the files were read back from the disk |
//! | `48..52`  | crc     | CRC-32 of the bytes before                                                             |
//!
//! Then, at each further multiple of 256, two notices of 128 bytes about one stream, of which the valid one with the higher
//! number counts. A writer replaces the other one, so that one of them is whole whenever it is killed.
//!
//! | bytes      | field        | meaning                                                                     |
//! |------------|--------------|-----------------------------------------------------------------------------|
//! | `0..8`     | number       | one more than that of the notice before                                     |
//! | `8..24`    | incarnation  | of the stream; zeros if the place is free                                   |
//! | `24..32`   | limits       | 1 if readers may see no more than what follows; 0: all there is             |
//! | `32..48`   | segment      | identity of the one that was written to                                     |
//! | `48..56`   | offset       | where what is published of it ends                                          |
//! | `56..64`   | next ordinal | the ordinal after the last entry that is published                          |
//! | `64..80`   | last ID      | the last ID of the stream, as long as no other entry is                     |
//! | `80..96`   | journal      | identity of the journal, or zeros                                           |
//! | `96..104`  | journal end  | where what is published of it ends                                          |
//! | `104..108` | crc          | CRC-32 of the bytes before, begun from the number of the place              |

use crate::StreamId;
use crate::format::codec::Reader;
use crate::format::{Identity, VERSION};

/// The length of the header, and of a place for a stream.
pub const PLACE_LEN: usize = 256;
pub const NOTICE_LEN: usize = PLACE_LEN / 2;
const _: () = assert!(NOTICE_CRC_AT + 4 <= NOTICE_LEN && HEADER_CRC_AT + 4 <= PLACE_LEN);

const MAGIC: [u8; 8] = *b"\x89SLBD\r\n\x1a";
const STORE_AT: usize = 16;
const HEADER_CRC_AT: usize = STORE_AT + 32;
const INCARNATION_AT: usize = 8;
const NOTICE_CRC_AT: usize = 104;

/// What a board begins with.
pub fn encode_header(store: &Identity, boot: &Identity) -> [u8; PLACE_LEN] {
    let mut out = Vec::with_capacity(PLACE_LEN);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 6]);
    out.extend_from_slice(store);
    out.extend_from_slice(boot);
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    padded(&out)
}

/// Whether a board is that of this store, or of any, and was begun since the machine was started.
pub fn is_header_of(bytes: &[u8], store: Option<&Identity>, boot: &Identity) -> bool {
    let named = || bytes.get(STORE_AT..)?.first_chunk();
    store.or_else(named).is_some_and(|store| bytes.get(..PLACE_LEN) == Some(&encode_header(store, boot)[..]))
}

/// What is said of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    pub incarnation: Identity,
    pub limits: bool,
    pub segment: Identity,
    pub offset: u64,
    pub next_ordinal: u64,
    pub last_id: StreamId,
    pub journal: Identity,
    pub journal_end: u64,
}

impl Notice {
    /// The bytes of the notice with this number, in this place.
    pub fn encode(&self, number: u64, place: u32) -> [u8; NOTICE_LEN] {
        let mut out = Vec::with_capacity(NOTICE_LEN);
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&self.incarnation);
        out.extend_from_slice(&u64::from(self.limits).to_le_bytes());
        out.extend_from_slice(&self.segment);
        for number in [self.offset, self.next_ordinal, self.last_id.ms(), self.last_id.seq()] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.journal);
        out.extend_from_slice(&self.journal_end.to_le_bytes());
        out.extend_from_slice(&crc_of(&out, place).to_le_bytes());
        padded(&out)
    }

    /// The notice and its number, from its bytes; `None` if they are not whole, or there never was one.
    pub fn decode(bytes: &[u8], place: u32) -> Option<(u64, Self)> {
        let (covered, rest) = bytes.split_at_checked(NOTICE_CRC_AT)?;
        if rest.first_chunk::<4>()? != &crc_of(covered, place).to_le_bytes() {
            return None;
        }
        let mut reader = Reader::new(covered);
        let number = reader.u64()?;
        let incarnation = reader.identity()?;
        let limits = match reader.u64()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let (segment, offset, next_ordinal) = (reader.identity()?, reader.u64()?, reader.u64()?);
        let (last_id, journal, journal_end) = (reader.id()?, reader.identity()?, reader.u64()?);
        let notice = Self { incarnation, limits, segment, offset, next_ordinal, last_id, journal, journal_end };
        Some((number, notice))
    }

    /// The notice that counts in a place, and its number; `None` if neither is whole.
    pub fn of_place(bytes: &[u8], place: u32) -> Option<(u64, Self)> {
        let (first, second) = bytes.split_at_checked(NOTICE_LEN)?;
        let found = [Self::decode(first, place), Self::decode(second, place)];
        found.into_iter().flatten().max_by_key(|(number, _)| *number)
    }

    /// What a place says of a stream; `None` if the notice that counts there is of another one.
    pub fn of_stream(bytes: &[u8], place: u32, incarnation: &Identity) -> Option<Self> {
        // Checksums cost more than all else: they are computed only if one of the two may be of the stream.
        let is_named = |at: usize| bytes.get(at..)?.first_chunk().map(|found: &Identity| found == incarnation);
        if ![INCARNATION_AT, NOTICE_LEN + INCARNATION_AT].into_iter().any(|at| is_named(at) == Some(true)) {
            return None;
        }
        Self::of_place(bytes, place).map(|(_, notice)| notice).filter(|notice| notice.incarnation == *incarnation)
    }
}

/// Where in its place the notice with this number belongs.
pub fn notice_at(number: u64, place: u32) -> u64 {
    (u64::from(place) + 1) * PLACE_LEN as u64 + (number % 2) * NOTICE_LEN as u64
}

fn crc_of(covered: &[u8], place: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(place);
    hasher.update(covered);
    hasher.finalize()
}

/// The bytes, and zeros behind them.
fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.iter_mut().zip(bytes).for_each(|(out, byte)| *out = *byte);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Notice {
        Notice {
            incarnation: [1; 16],
            limits: true,
            segment: [2; 16],
            offset: 3,
            next_ordinal: 4,
            last_id: StreamId::new(5, 6),
            journal: [7; 16],
            journal_end: 8,
        }
    }

    #[test]
    fn golden_bytes_of_a_notice() {
        let bytes = sample().encode(9, 1);
        let numbers = |numbers: &[u64]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
        let expected = [
            numbers(&[9]),
            vec![1; 16],
            numbers(&[1]),
            vec![2; 16],
            numbers(&[3, 4, 5, 6]),
            vec![7; 16],
            numbers(&[8]),
        ];
        assert_eq!(bytes[..NOTICE_CRC_AT], expected.concat());
        assert_eq!(Notice::decode(&bytes, 1), Some((9, sample())));
        assert_eq!(Notice::decode(&bytes, 2), None, "in another place");
        assert_eq!(Notice::decode(&[0; NOTICE_LEN], 0), None, "nothing was ever written there");
    }

    #[test]
    fn golden_bytes_of_the_header() {
        let bytes = encode_header(&[1; 16], &[2; 16]);
        let begin = [&b"\x89SLBD\r\n\x1a\x01\0\0\0\0\0\0\0"[..], &[1; 16], &[2; 16]].concat();
        assert_eq!(bytes[..HEADER_CRC_AT], begin);
        for store in [Some(&[1; 16]), None] {
            assert!(is_header_of(&bytes, store, &[2; 16]));
            assert!(!is_header_of(&bytes, store, &[3; 16]) && !is_header_of(&bytes[..50], store, &[2; 16]));
        }
        assert!(!is_header_of(&bytes, Some(&[3; 16]), &[2; 16]) && !is_header_of(&[], None, &[2; 16]));
    }

    #[test]
    fn of_two_notices_the_later_whole_one_counts() {
        let older = Notice { offset: 1, ..sample() };
        let mut bytes = [sample().encode(10, 3), older.encode(9, 3)].concat();
        assert_eq!(Notice::of_place(&bytes, 3), Some((10, sample())));
        for at in 0..NOTICE_CRC_AT + 4 {
            bytes[at] ^= 1;
            assert_eq!(Notice::of_place(&bytes, 3), Some((9, older.clone())), "byte {at} is not as it was");
            bytes[at] ^= 1;
        }
        assert_eq!(notice_at(10, 3), 1024);
        assert_eq!(notice_at(9, 3), 1152);
    }
}
