//! A stream's superblock: two slots of 4 KiB, of which the valid one with the higher generation counts.
//!
//! | bytes      | field        | meaning                                                                     |
//! |------------|--------------|-----------------------------------------------------------------------------|
//! | `0..8`     | magic        | `89 53 4C 4D 54 0D 0A 1A`                                                   |
//! | `8..10`    | version      | 1                                                                           |
//! | `10..12`   | name length  | in bytes                                                                    |
//! | `12..24`   | features     | three `u32`: compatible, read-only compatible, incompatible                 |
//! | `24..40`   | store        | identity of the store                                                       |
//! | `40..56`   | incarnation  | identity of the stream: another one after it was deleted and created again  |
//! | `56..64`   | generation   | of this slot; each write takes the next number                              |
//! | `64..80`   | ceiling      | an ID: no automatic ID above it was handed out                              |
//! | `80..96`   | log file     | identity of the segment that was being written, or zeros                    |
//! | `96..104`  | log end      | it was known to be synced up to here                                        |
//! | `104..112` | log base     | the ordinal of its first entry                                              |
//! | `112..128` | journal file | identity of the journal, or zeros                                           |
//! | `128..136` | journal end  | it was known to be synced up to here                                        |
//! | `136..144` | journal generation | of that journal                                                       |
//! | `144..3216` | name        | the stream's name, then zeros                                               |
//! | `3216`     | rules        | what limits the entries that are kept: 1 age, 2 bytes, 4 length, 8 acknowledgements |
//! | `3224..3232` | max age    | of entries, in milliseconds, if there is that rule                          |
//! | `3232..3240` | max bytes  | of segments                                                                 |
//! | `3240..3248` | max length | in entries                                                                  |
//! | `4092..4096` | crc        | CRC-32 of the slot's bytes before, begun from the slot's number (0 or 1)     |
//!
//! The ends are marks like the watermarks of frames: what is missing or bad before them is damage. They are written when
//! a segment or journal has got its name, so that its loss is noticed, and at a clean end.
//!
//! Where there are rules, the read-only compatible feature 1 is set: who does not know it would not keep to them, and lose
//! them with the next slot it writes.

use crate::format::codec::Reader;
use crate::format::header::{BadHeader, check_version};
use crate::format::{Identity, NUMBER_MAX, VERSION};
use crate::store::NAME_LEN_MAX;
use crate::{Retention, StreamId};

pub const SLOT_LEN: usize = 4096;
/// The length of the file.
pub const META_LEN: usize = 2 * SLOT_LEN;

const MAGIC: [u8; 8] = *b"\x89SLMT\r\n\x1a";
/// Where the identity of the store is in a slot.
pub const STORE_AT: u64 = 24;
/// Where the name begins in a slot.
pub const NAME_AT: u64 = 144;
const CRC_AT: usize = SLOT_LEN - 4;
/// Where the rules of retention begin.
const RULES_AT: usize = NAME_AT as usize + NAME_LEN_MAX;
const _: () = assert!(RULES_AT + 32 <= CRC_AT);

/// The read-only compatible feature of a slot with rules of retention.
const RETENTION: u32 = 1;

const AGE: u8 = 1;
const BYTES: u8 = 2;
const LENGTH: u8 = 4;
const ACKNOWLEDGED: u8 = 8;

/// How far a file was known to be synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The file; zeros if there is none.
    pub file: Identity,
    /// The offset up to which it was synced.
    pub end: u64,
    /// The base of the segment, or the generation of the journal.
    pub number: u64,
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub store: Identity,
    pub incarnation: Identity,
    pub generation: u64,
    pub ceiling: StreamId,
    pub log: Mark,
    pub journal: Mark,
    pub name: Vec<u8>,
    pub retention: Retention,
}

impl Meta {
    /// The slot that this generation belongs in.
    pub fn slot(&self) -> usize {
        (self.generation % 2) as usize
    }

    /// The bytes of its slot. The name is at most [`NAME_LEN_MAX`] bytes long.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SLOT_LEN);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(self.name.len() as u16).to_le_bytes());
        let feature = if self.retention.is_none() { 0 } else { RETENTION };
        for features in [0, feature, 0] {
            out.extend_from_slice(&features.to_le_bytes());
        }
        out.extend_from_slice(&self.store);
        out.extend_from_slice(&self.incarnation);
        for number in [self.generation, self.ceiling.ms(), self.ceiling.seq()] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for mark in [&self.log, &self.journal] {
            out.extend_from_slice(&mark.file);
            out.extend_from_slice(&mark.end.to_le_bytes());
            out.extend_from_slice(&mark.number.to_le_bytes());
        }
        out.extend_from_slice(&self.name);
        out.resize(RULES_AT, 0);
        put_rules(&mut out, &self.retention);
        out.resize(CRC_AT, 0);
        out.extend_from_slice(&crc_of(&out, self.slot()).to_le_bytes());
        out
    }

    /// The slot with this number, from its bytes.
    pub fn decode(bytes: &[u8], slot: usize) -> Result<Self, BadHeader> {
        let damaged = BadHeader::Damaged;
        let Some((covered, crc)) = bytes.split_at_checked(CRC_AT).filter(|(_, crc)| crc.len() == 4) else {
            return Err(damaged("the slot is cut short"));
        };
        let mut reader = Reader::new(covered);
        if reader.take(MAGIC.len()) != Some(&MAGIC[..]) {
            return Err(damaged("the slot does not begin as one does"));
        }
        if crc != crc_of(covered, slot).to_le_bytes() {
            return Err(damaged("the checksum of the slot does not fit"));
        }
        let version = reader.u16().ok_or(damaged("short"))?;
        let name_len = usize::from(reader.u16().ok_or(damaged("short"))?);
        let (Some(_), Some(read_only_compatible), Some(incompatible)) = (reader.u32(), reader.u32(), reader.u32())
        else {
            return Err(damaged("short"));
        };
        check_version(version, incompatible, read_only_compatible & !RETENTION)?;
        let mut meta = Self::decode_fields(&mut reader, name_len).ok_or(damaged("the name is too long"))?;
        if read_only_compatible & RETENTION != 0 {
            meta.retention = take_rules(covered.get(RULES_AT..).unwrap_or_default())?;
        }
        let numbers = [meta.generation, meta.log.number, meta.journal.number];
        match numbers.iter().all(|&number| number < NUMBER_MAX) {
            true => Ok(meta),
            false => Err(damaged("the slot has a number that none gets to")),
        }
    }

    fn decode_fields(reader: &mut Reader<'_>, name_len: usize) -> Option<Self> {
        Some(Self {
            store: reader.identity()?,
            incarnation: reader.identity()?,
            generation: reader.u64()?,
            ceiling: reader.id()?,
            log: take_mark(reader)?,
            journal: take_mark(reader)?,
            name: reader.take(name_len).filter(|name| name.len() <= NAME_LEN_MAX)?.to_vec(),
            retention: Retention::new(),
        })
    }
}

fn take_mark(reader: &mut Reader<'_>) -> Option<Mark> {
    Some(Mark { file: reader.identity()?, end: reader.u64()?, number: reader.u64()? })
}

fn put_rules(out: &mut Vec<u8>, retention: &Retention) {
    let Retention { age_ms_max, bytes_max, len_max, acknowledged_only } = *retention;
    let rules = [(age_ms_max.is_some(), AGE), (bytes_max.is_some(), BYTES), (len_max.is_some(), LENGTH)];
    let rules = rules.into_iter().chain([(acknowledged_only, ACKNOWLEDGED)]);
    let rules = rules.filter(|(is_set, _)| *is_set).fold(0, |rules, (_, rule)| rules | rule);
    out.extend_from_slice(&[rules, 0, 0, 0, 0, 0, 0, 0]);
    for limit in [age_ms_max, bytes_max, len_max] {
        out.extend_from_slice(&limit.unwrap_or(0).to_le_bytes());
    }
}

fn take_rules(bytes: &[u8]) -> Result<Retention, BadHeader> {
    let mut reader = Reader::new(bytes);
    let fields = (reader.u8(), reader.take(7), reader.u64(), reader.u64(), reader.u64());
    let (Some(rules), Some(_), Some(age), Some(bytes), Some(len)) = fields else {
        return Err(BadHeader::Damaged("short"));
    };
    if rules & !(AGE | BYTES | LENGTH | ACKNOWLEDGED) != 0 {
        return Err(BadHeader::Unsupported(format!("rules of retention {rules:#x}")));
    }
    let limit = |rule, limit| (rules & rule != 0).then_some(limit);
    Ok(Retention {
        age_ms_max: limit(AGE, age),
        bytes_max: limit(BYTES, bytes),
        len_max: limit(LENGTH, len),
        acknowledged_only: rules & ACKNOWLEDGED != 0,
    })
}

fn crc_of(covered: &[u8], slot: usize) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(slot as u32);
    hasher.update(covered);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Meta {
        Meta {
            store: [1; 16],
            incarnation: [2; 16],
            generation: 5,
            ceiling: StreamId::new(3, 4),
            log: Mark { file: [5; 16], end: 6, number: 60 },
            journal: Mark { file: [7; 16], end: 8, number: 80 },
            name: b"orders".to_vec(),
            retention: Retention::new(),
        }
    }

    /// The checksum of a slot that was changed.
    fn seal(bytes: &mut [u8], slot: usize) {
        let crc = crc_of(&bytes[..CRC_AT], slot).to_le_bytes();
        bytes[CRC_AT..].copy_from_slice(&crc);
    }

    /// What is not there is as it was before there were rules.
    #[test]
    fn golden_bytes_of_rules() {
        let without = sample().encode();
        let all = Retention { age_ms_max: Some(1), bytes_max: Some(2), len_max: Some(3), acknowledged_only: true };
        let none = Retention::new();
        for (retention, rules, limits) in [
            (all, 15, [1, 2, 3]),
            (Retention { age_ms_max: Some(u64::MAX), ..none }, 1, [u64::MAX, 0, 0]),
            (Retention { bytes_max: Some(0), ..none }, 2, [0, 0, 0]),
            (Retention { len_max: Some(0), ..none }, 4, [0, 0, 0]),
            (none.acknowledged_only(), 8, [0, 0, 0]),
        ] {
            let meta = Meta { retention, ..sample() };
            let mut expected = without.clone();
            expected[16] = 1;
            expected[3216] = rules;
            for (at, limit) in limits.iter().enumerate() {
                expected[3224 + 8 * at..3232 + 8 * at].copy_from_slice(&limit.to_le_bytes());
            }
            seal(&mut expected, 1);
            assert_eq!(meta.encode(), expected, "{retention:?}");
            assert_eq!(Meta::decode(&expected, 1), Ok(meta));
        }
    }

    #[test]
    fn rules_that_are_not_known_are_told_from_damage() {
        let mut bytes = Meta { retention: Retention::new().acknowledged_only(), ..sample() }.encode();
        bytes[3216] |= 16;
        seal(&mut bytes, 1);
        assert_eq!(Meta::decode(&bytes, 1), Err(BadHeader::Unsupported("rules of retention 0x18".to_owned())));
        // Reserved, as there are no rules.
        bytes[16] = 0;
        seal(&mut bytes, 1);
        assert_eq!(Meta::decode(&bytes, 1), Ok(sample()));
        bytes[16] = 2;
        seal(&mut bytes, 1);
        assert_eq!(Meta::decode(&bytes, 1), Err(BadHeader::Unsupported("features 0x2".to_owned())));
    }

    #[test]
    fn golden_bytes_of_a_slot() {
        let mut expected = Vec::from(*b"\x89SLMT\r\n\x1a\x01\0\x06\0");
        expected.extend_from_slice(&[0; 12]);
        expected.extend_from_slice(&[[1; 16], [2; 16]].concat());
        for number in [5u64, 3, 4] {
            expected.extend_from_slice(&number.to_le_bytes());
        }
        expected.extend_from_slice(&[5; 16]);
        expected.extend_from_slice(&[6u64.to_le_bytes(), 60u64.to_le_bytes()].concat());
        expected.extend_from_slice(&[7; 16]);
        expected.extend_from_slice(&[8u64.to_le_bytes(), 80u64.to_le_bytes()].concat());
        expected.extend_from_slice(b"orders");
        expected.resize(CRC_AT, 0);
        let bytes = sample().encode();
        assert_eq!(bytes[..CRC_AT], expected);
        assert_eq!(Meta::decode(&bytes, 1), Ok(sample()));
        assert!(Meta::decode(&bytes, 0).is_err(), "in the other slot");
    }

    #[test]
    fn numbers_that_none_gets_to_are_damage() {
        let mark = |number| Mark { number, ..sample().log };
        for (number, is_sound) in [(NUMBER_MAX - 1, true), (NUMBER_MAX, false), (u64::MAX, false)] {
            // The generation says which slot it is in.
            let generation = Meta { generation: number | 1, ..sample() };
            for meta in [Meta { log: mark(number), ..sample() }, Meta { journal: mark(number), ..sample() }, generation]
            {
                assert_eq!(Meta::decode(&meta.encode(), 1).is_ok(), is_sound, "{meta:?}");
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = sample().encode();
        for bit in (0..bytes.len() * 8).step_by(if cfg!(miri) { 1009 } else { 1 }) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Meta::decode(&damaged, 1).is_err(), "bit {bit}");
        }
    }
}
