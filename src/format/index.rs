//! The sparse index of a sealed segment: where its blocks begin, and their checksums.
//!
//! | bytes    | field   | meaning                                                      |
//! |----------|---------|--------------------------------------------------------------|
//! | `0..8`   | magic   | `89 53 4C 49 58 0D 0A 1A`                                    |
//! | `8..10`  | version | 1                                                            |
//! | `10..12` | reserved |                                                             |
//! | `12..16` | crc     | CRC-32 of all other bytes of the file                        |
//! | `16..32` | file    | identity of the segment                                      |
//! | `32..40` | end     | offset of the segment's SEAL frame                           |
//! | `40..44` | blocks  | the number of blocks                                         |
//! | `44..48` | entries | the number of entries in the segment                         |
//! | 32 each  | block   | first ID (two `u64`), offset `u32`, ordinal within the segment from 0 `u32`, crc `u32`, check `u32` |
//! | the rest | shapes  | as in the [seal](super::entries)                             |
//!
//! A *block* begins with an entry and is at least [`BLOCK_LEN`] bytes, but for the last one. Its `crc` is that of its
//! plain bytes: checking a block at once is far cheaper than checking its frames one by one. Its `check` is the CRC-32 of the
//! 28 bytes before it, for whoever reads one block alone; in an index from before there was one it is 0, and the block counts as
//! not intact.
//!
//! An index is a cache. One that is missing, damaged, or of another segment is built again from the segment; a wrong one
//! costs time, not correctness, because what it leads to is verified.

use crate::StreamId;
use crate::format::codec::Reader;
use crate::format::entries::{Shapes, put_shapes, take_shapes};
use crate::format::{Identity, VERSION};

/// Where a block ends, in bytes after its beginning, at the next frame.
pub const BLOCK_LEN: u64 = 4096;

const MAGIC: [u8; 8] = *b"\x89SLIX\r\n\x1a";
const CRC_AT: std::ops::Range<usize> = 12..16;
const FIXED_LEN: usize = 48;
/// How many bytes of an index tell of one block.
pub const BLOCK_ENTRY_LEN: usize = 32;

/// One block of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub first_id: StreamId,
    pub offset: u32,
    /// The ordinal of its first entry, from 0 within the segment.
    pub ordinal: u32,
    /// CRC-32 of its bytes.
    pub crc: u32,
}

/// The index of a sealed segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    pub end: u64,
    pub entries: u32,
    pub blocks: Vec<Block>,
    pub shapes: Shapes,
}

impl Index {
    pub fn encode(&self, file: &Identity) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED_LEN + self.blocks.len() * BLOCK_ENTRY_LEN + 256);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(file);
        out.extend_from_slice(&self.end.to_le_bytes());
        out.extend_from_slice(&(self.blocks.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.entries.to_le_bytes());
        for block in &self.blocks {
            let start = out.len();
            out.extend_from_slice(&block.first_id.ms().to_le_bytes());
            out.extend_from_slice(&block.first_id.seq().to_le_bytes());
            for number in [block.offset, block.ordinal, block.crc] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            let check = crc32fast::hash(out.get(start..).unwrap_or_default());
            out.extend_from_slice(&check.to_le_bytes());
        }
        put_shapes(&mut out, &self.shapes);
        let crc = crc_around(&out);
        if let Some(field) = out.get_mut(CRC_AT) {
            field.copy_from_slice(&crc.to_le_bytes());
        }
        out
    }

    /// `None` if the bytes are not an intact index of the segment `file`.
    pub fn decode(bytes: &[u8], file: &Identity) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (magic, version) = (reader.take(MAGIC.len())?, reader.u16()?);
        reader.take(2)?;
        let crc = reader.u32()?;
        if magic != MAGIC || version != VERSION || crc != crc_around(bytes) || reader.identity()? != *file {
            return None;
        }
        let (end, count, entries) = (reader.u64()?, reader.u32()?, reader.u32()?);
        let mut table = Reader::new(reader.take(BLOCK_ENTRY_LEN.checked_mul(usize::try_from(count).ok()?)?)?);
        let blocks = (0..count).map(|_| take_block(&mut table)).collect::<Option<Vec<_>>>()?;
        let shapes = take_shapes(&mut reader)?;
        let ascending = blocks.windows(2).all(|pair| matches!(pair, [a, b] if a.offset < b.offset));
        let inside = blocks.last().is_none_or(|block| u64::from(block.offset) < end);
        (reader.is_empty() && ascending && inside).then_some(Self { end, entries, blocks, shapes })
    }
}

impl Block {
    /// A block that was read alone; `None` if it is not intact.
    pub fn decode(bytes: &[u8; BLOCK_ENTRY_LEN]) -> Option<Self> {
        let (covered, check) = bytes.split_last_chunk()?;
        let is_intact = crc32fast::hash(covered) == u32::from_le_bytes(*check);
        take_block(&mut Reader::new(bytes)).filter(|_| is_intact)
    }
}

/// Where in an index the block at this place is.
pub fn block_at(place: usize) -> Option<u64> {
    Some(place.checked_mul(BLOCK_ENTRY_LEN)?.checked_add(FIXED_LEN)? as u64)
}

fn take_block(reader: &mut Reader<'_>) -> Option<Block> {
    let block = Block { first_id: reader.id()?, offset: reader.u32()?, ordinal: reader.u32()?, crc: reader.u32()? };
    reader.u32()?;
    Some(block)
}

fn crc_around(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes.get(..CRC_AT.start).unwrap_or_default());
    hasher.update(bytes.get(CRC_AT.end..).unwrap_or_default());
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Index {
        let mut shapes = Shapes::default();
        shapes.push(&[1, 1, b'a']);
        let block = Block { first_id: StreamId::new(1, 2), offset: 192, ordinal: 0, crc: 9 };
        let next = Block { first_id: StreamId::new(3, 0), offset: 4300, ordinal: 77, crc: 10 };
        Index { end: 5000, entries: 80, blocks: vec![block, next], shapes }
    }

    #[test]
    fn golden_bytes_of_an_index() {
        let bytes = sample().encode(&[7; 16]);
        assert_eq!(bytes[..12], *b"\x89SLIX\r\n\x1a\x01\0\0\0");
        assert_eq!(bytes[16..32], [7; 16]);
        assert_eq!(bytes[32..48], [0x88, 0x13, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 80, 0, 0, 0]);
        assert_eq!(bytes[48..56], 1u64.to_le_bytes());
        assert_eq!(bytes[64..76], [192, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0]);
        assert_eq!(bytes[76..80], crc32fast::hash(&bytes[48..76]).to_le_bytes());
        assert_eq!(bytes[112..], [1, 1, 1, b'a']);
        assert_eq!(Index::decode(&bytes, &[7; 16]), Some(sample()));
    }

    #[test]
    fn a_block_is_read_alone() {
        let bytes = sample().encode(&[7; 16]);
        for (place, block) in (0..).zip(sample().blocks) {
            let at = block_at(place).unwrap() as usize;
            let mut alone: [u8; BLOCK_ENTRY_LEN] = bytes[at..at + BLOCK_ENTRY_LEN].try_into().unwrap();
            assert_eq!(Block::decode(&alone), Some(block));
            for bit in 0..alone.len() * 8 {
                alone[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Block::decode(&alone), None, "bit {bit}");
                alone[bit / 8] ^= 1 << (bit % 8);
            }
        }
        assert_eq!(Block::decode(&[0; BLOCK_ENTRY_LEN]), None);
        assert_eq!(block_at(usize::MAX), None);
    }

    #[test]
    fn damage_and_other_segments_are_noticed() {
        let bytes = sample().encode(&[7; 16]);
        assert_eq!(Index::decode(&bytes, &[8; 16]), None);
        for bit in (0..bytes.len() * 8).step_by(if cfg!(miri) { 11 } else { 1 }) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Index::decode(&damaged, &[7; 16]), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Index::decode(&bytes[..len], &[7; 16]), None, "cut to {len} bytes");
        }
    }
}
