//! The header of a segment or journal: written once, before the file gets its final name.
//!
//! | bytes      | field          | segment                                     | journal                            |
//! |------------|----------------|---------------------------------------------|------------------------------------|
//! | `0..8`     | magic          | `89 53 4C 4F 47 0D 0A 1A`                   | `89 53 4C 4A 4E 0D 0A 1A`          |
//! | `8..10`    | version        | 1                                           | 1                                  |
//! | `10..12`   | reserved       |                                             |                                    |
//! | `12..24`   | features       | three `u32`: compatible, read-only compatible, incompatible | as there           |
//! | `24..40`   | store          | identity of the store                       | as there                           |
//! | `40..56`   | incarnation    | identity of the stream                      | as there                           |
//! | `56..72`   | file           | identity of this file                       | as there                           |
//! | `72..80`   | base           | ordinal of its first entry                  | changes before its first one       |
//! | `80..88`   | peer           | changes made when it was created            | ordinal the next entry had then    |
//! | `88..96`   | entries added  | the stream's counter at that time           | 0                                  |
//! | `96..112`  | previous ID    | the stream's last ID at that time           | 0-0                                |
//! | `112..120` | floor          | the trim floor at that time                 | 0                                  |
//! | `120..128` | base ms        | what entries' milliseconds are relative to  | generation                         |
//! | `128..144` | predecessor    | identity of the segment before; zeros if none | as there, of the generation before |
//! | `144..188` | reserved       |                                             |                                    |
//! | `188..192` | crc            | CRC-32 of the bytes before                  | as there                           |

use crate::StreamId;
use crate::format::codec::Reader;
use crate::format::{Identity, NUMBER_MAX, VERSION};

/// The length of a header, and so the offset of the first frame.
pub const HEADER_LEN: usize = 192;

/// Where the identity of the segment before is.
pub const PREDECESSOR_AT: u64 = 128;

const CRC_AT: usize = HEADER_LEN - 4;

/// Which kind of file a header begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Segment,
    Journal,
}

impl Kind {
    const fn magic(self) -> [u8; 8] {
        match self {
            Self::Segment => *b"\x89SLOG\r\n\x1a",
            Self::Journal => *b"\x89SLJN\r\n\x1a",
        }
    }
}

/// The header of a segment or journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub store: Identity,
    pub incarnation: Identity,
    pub file: Identity,
    pub base: u64,
    pub peer: u64,
    pub entries_added: u64,
    pub previous_id: StreamId,
    pub floor: u64,
    pub base_ms: u64,
    pub predecessor: Identity,
}

/// Why bytes are not a header this version can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// They are no header, or a damaged one.
    Damaged(&'static str),
    /// A header of a version or with a feature that is not known.
    Unsupported(String),
}

/// Refuses versions and incompatible features that are not known; common to all files that carry them.
pub fn check_version(version: u16, incompatible: u32, read_only_compatible: u32) -> Result<(), BadHeader> {
    if version != VERSION {
        return Err(BadHeader::Unsupported(format!("format version {version}, this one knows {VERSION}")));
    }
    if incompatible != 0 || read_only_compatible != 0 {
        return Err(BadHeader::Unsupported(format!("features {:#x}", incompatible | read_only_compatible)));
    }
    Ok(())
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(&self.kind.magic());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2 + 12]);
        for identity in [&self.store, &self.incarnation, &self.file] {
            out.extend_from_slice(identity);
        }
        for number in [self.base, self.peer, self.entries_added, self.previous_id.ms(), self.previous_id.seq()] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.floor, self.base_ms] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.predecessor);
        out.resize(CRC_AT, 0);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&out);
        header
    }

    pub fn decode(bytes: &[u8; HEADER_LEN], kind: Kind) -> Result<Self, BadHeader> {
        let damaged = BadHeader::Damaged;
        let mut reader = Reader::new(bytes);
        if reader.take(8) != Some(&kind.magic()[..]) {
            return Err(damaged("the file does not begin as one of its kind does"));
        }
        let (covered, crc) = bytes.split_at(CRC_AT);
        if crc != crc32fast::hash(covered).to_le_bytes() {
            return Err(damaged("the checksum of the header does not fit"));
        }
        let version = reader.u16().ok_or(damaged("short"))?;
        let _ = reader.take(2);
        let features = (reader.u32(), reader.u32(), reader.u32());
        let (Some(_), Some(read_only_compatible), Some(incompatible)) = features else {
            return Err(damaged("short"));
        };
        check_version(version, incompatible, read_only_compatible)?;
        Self::decode_fields(&mut reader, kind).ok_or(damaged("a number in the header is out of range"))
    }

    fn decode_fields(reader: &mut Reader<'_>, kind: Kind) -> Option<Self> {
        let header = Self {
            kind,
            store: reader.identity()?,
            incarnation: reader.identity()?,
            file: reader.identity()?,
            base: reader.u64()?,
            peer: reader.u64()?,
            entries_added: reader.u64()?,
            previous_id: reader.id()?,
            floor: reader.u64()?,
            base_ms: reader.u64()?,
            predecessor: reader.identity()?,
        };
        let generation = if kind == Kind::Journal { header.base_ms } else { 0 };
        let numbers = [header.base, header.peer, header.floor, generation];
        numbers.iter().all(|&number| number < NUMBER_MAX).then_some(header)
    }
}

#[cfg(test)]
impl Header {
    /// One in which every number is another, for tests.
    pub fn sample() -> Self {
        Self {
            kind: Kind::Segment,
            store: [1; 16],
            incarnation: [2; 16],
            file: [3; 16],
            base: 4,
            peer: 5,
            entries_added: 6,
            previous_id: StreamId::new(7, 8),
            floor: 9,
            base_ms: 10,
            predecessor: [11; 16],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_a_header() {
        let mut expected = Vec::from(*b"\x89SLOG\r\n\x1a\x01\0");
        expected.extend_from_slice(&[0; 14]);
        for byte in 1..=3 {
            expected.extend_from_slice(&[byte; 16]);
        }
        for number in 4..=10u64 {
            expected.extend_from_slice(&number.to_le_bytes());
        }
        expected.extend_from_slice(&[11; 16]);
        expected.resize(188, 0);
        let bytes = Header::sample().encode();
        assert_eq!(bytes[..188], expected);
        assert_eq!(Header::decode(&bytes, Kind::Segment), Ok(Header::sample()));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = Header::sample().encode();
        for bit in (0..bytes.len() * 8).step_by(if cfg!(miri) { 41 } else { 1 }) {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&damaged, Kind::Segment).is_err(), "bit {bit}");
        }
        assert!(Header::decode(&bytes, Kind::Journal).is_err());
    }

    #[test]
    fn unknown_versions_and_features_are_told_from_damage() {
        for (at, reason) in [(8, "version"), (16, "features"), (20, "features")] {
            let mut bytes = Header::sample().encode();
            bytes[at] = 0x7f;
            let crc = crc32fast::hash(&bytes[..CRC_AT]).to_le_bytes();
            bytes[CRC_AT..].copy_from_slice(&crc);
            match Header::decode(&bytes, Kind::Segment) {
                Err(BadHeader::Unsupported(what)) => assert!(what.contains(reason)),
                other => panic!("byte {at}: {other:?}"),
            }
        }
        let mut compatible = Header::sample().encode();
        compatible[12] = 1;
        let crc = crc32fast::hash(&compatible[..CRC_AT]).to_le_bytes();
        compatible[CRC_AT..].copy_from_slice(&crc);
        assert_eq!(Header::decode(&compatible, Kind::Segment), Ok(Header::sample()));
    }
}
