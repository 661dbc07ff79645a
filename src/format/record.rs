//! Frames: the unit of appending, of checksumming and of recovery.
//!
//! One operation, or one batch of entries, is one frame. Frames follow each other without gaps.
//!
//! | bytes    | field    | meaning                                                                        |
//! |----------|----------|--------------------------------------------------------------------------------|
//! | 4        | crc      | CRC-32 of all that follows, begun from the [`Salt`] of file and offset          |
//! | 1        | head     | bits 0–4: kind, not 0; bit 5: `floor`, bit 6: `peer`, bit 7: `synced` is there  |
//! | varint   | len      | the number of bytes that follow, at most [`BODY_LEN_MAX`]                        |
//! | 2        | position | low 16 bits of the number of the first entry (or change) the frame holds        |
//! | varint   | synced   | if flagged: how many bytes before this frame the file was known to be synced    |
//! | varint   | peer     | if flagged: how far the other file (journal, log) had come, from the header's `peer` |
//! | varint   | floor    | if flagged: the trim floor, as entries before the end of this frame             |
//! | the rest | payload  | by kind: see [`entries`](super::entries) and [`journal`](super::journal)        |
//!
//! `synced` is the *watermark*: a bad frame below the watermark of a later one is damage, not a torn append. It is
//! there when more is known than when the frame before was written, `peer` likewise when the other file has moved on.
//!
//! [`decode`] takes any bytes and says what it found. Whether a flaw is a torn append or damage depends on what is
//! around it: see `log::recovery`.

use crc32fast::Hasher;

use crate::Corruption;
use crate::format::Identity;
use crate::format::codec::{Front, Reader, put_varint, varint_len};

/// The longest a frame may be after its length field.
pub const BODY_LEN_MAX: usize = (1 << 30) + (64 << 10);

/// The fewest bytes a frame has.
pub const FRAME_LEN_MIN: usize = 8;

/// Room for all that a frame has before its payload, and for a few numbers at the beginning of that.
pub const FRONT_LEN: usize = 96;

pub(super) const CRC_LEN: usize = 4;
const HAS_FLOOR: u8 = 0x20;
const HAS_PEER: u8 = 0x40;
const HAS_SYNCED: u8 = 0x80;
pub(super) const KIND: u8 = 0x1f;

/// What binds the frames of a file to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(u32);

impl Salt {
    pub fn of(file: &Identity) -> Self {
        Self(crc32fast::hash(file))
    }

    /// What the checksum of the frame at `offset` begins from. Distinct offsets give distinct beginnings (but for one
    /// pair in 2^32), and CRC-32 carries a difference at the beginning through to the end.
    #[inline]
    pub(super) fn at(self, offset: u64) -> u32 {
        self.0 ^ (offset.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
    }
}

/// The fields of a frame around its payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub kind: u8,
    pub position: u16,
    /// Bytes before the frame up to which the file was known to be synced.
    pub synced: Option<u64>,
    pub peer: Option<u64>,
    pub floor: Option<u64>,
}

/// A frame that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub head: Head,
    pub payload: &'a [u8],
    /// The length of the whole frame.
    pub len: usize,
}

/// Why the bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// There is nothing, or zeros where a frame would begin.
    Blank,
    /// The frame says it is this long, in bytes, but there are not that many.
    Short(usize),
    /// The checksum does not fit.
    Checksum { stored: u32, computed: u32 },
    /// Its fields make no sense.
    Malformed(&'static str),
}

impl From<Flaw> for Corruption {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Blank => Corruption::Malformed("zeros where a record should be"),
            Flaw::Short(_) => Corruption::Malformed("a record that is longer than the bytes there are"),
            Flaw::Checksum { stored, computed } => Corruption::Checksum { stored, computed },
            Flaw::Malformed(what) => Corruption::Malformed(what),
        }
    }
}

impl Head {
    #[inline]
    fn flags(&self) -> u8 {
        (if self.synced.is_some() { HAS_SYNCED } else { 0 })
            | (if self.peer.is_some() { HAS_PEER } else { 0 })
            | (if self.floor.is_some() { HAS_FLOOR } else { 0 })
    }

    #[inline]
    fn body_len(&self, payload_len: usize) -> usize {
        let optional = |number: Option<u64>| number.map_or(0, varint_len);
        2 + optional(self.synced) + optional(self.peer) + optional(self.floor) + payload_len
    }
}

/// The length of a frame with a body of `body_len` bytes.
#[inline]
fn frame_len(body_len: usize) -> usize {
    CRC_LEN + 1 + varint_len(body_len as u64) + body_len
}

/// Appends to `out` the frame that is to stand at `offset`; its payload is `parts` one after the other.
///
/// The caller has made sure that the body is at most [`BODY_LEN_MAX`] bytes.
#[inline]
pub fn encode(out: &mut Vec<u8>, salt: Salt, offset: u64, head: &Head, parts: &[&[u8]]) {
    debug_assert!(head.kind != 0 && head.kind <= KIND);
    let payload_len = parts.iter().map(|part| part.len()).sum();
    let start = out.len();
    let body_len = head.body_len(payload_len);
    out.reserve(frame_len(body_len));
    out.extend_from_slice(&[0, 0, 0, 0, head.kind | head.flags()]);
    put_varint(out, body_len as u64);
    out.extend_from_slice(&head.position.to_le_bytes());
    let mut put = |number: Option<u64>| number.map_or((), |number| put_varint(out, number));
    put(head.synced);
    put(head.peer);
    put(head.floor);
    for part in parts {
        out.extend_from_slice(part);
    }
    if let Some((crc, covered)) = out.get_mut(start..).and_then(|frame| frame.split_first_chunk_mut::<CRC_LEN>()) {
        *crc = checksum(salt, offset, covered).to_le_bytes();
    }
}

/// Makes a frame where its payload is: in `bytes`, behind [`FRONT_LEN`] bytes of room, before which `begin` puts what the
/// payload begins with. Returns where in `bytes` the frame, which is to stand at `offset`, begins.
///
/// The caller has made sure that the body is at most [`BODY_LEN_MAX`] bytes.
#[inline]
pub fn encode_in_place(
    bytes: &mut [u8],
    salt: Salt,
    offset: u64,
    head: &Head,
    begin: impl FnOnce(&mut Front<'_, FRONT_LEN>),
) -> usize {
    debug_assert!(head.kind != 0 && head.kind <= KIND);
    let Some((room, rest)) = bytes.split_first_chunk_mut::<FRONT_LEN>() else { return 0 };
    let mut front = Front::new(room);
    begin(&mut front);
    let mut put = |number: Option<u64>| number.map_or((), |number| front.put_varint(number));
    put(head.floor);
    put(head.peer);
    put(head.synced);
    front.put(head.position.into(), 2);
    let body_len = front.len() + rest.len();
    front.put_varint(body_len as u64);
    // Behind room for the checksum.
    front.put(u64::from(head.kind | head.flags()) << (8 * CRC_LEN), CRC_LEN + 1);
    let start = front.finish();
    if let Some((crc, covered)) = bytes.get_mut(start..).and_then(|frame| frame.split_first_chunk_mut::<CRC_LEN>()) {
        *crc = checksum(salt, offset, covered).to_le_bytes();
    }
    start
}

#[inline]
fn checksum(salt: Salt, offset: u64, covered: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(salt.at(offset));
    hasher.update(covered);
    hasher.finalize()
}

/// The frame at the start of `bytes`, which stand at `offset` of the file; its checksum is verified.
#[inline]
pub fn decode(bytes: &[u8], salt: Salt, offset: u64) -> Result<Frame<'_>, Flaw> {
    let frame = parse(bytes)?;
    let mut reader = Reader::new(bytes);
    let (Some(stored), Some(covered)) = (reader.u32(), reader.take(frame.len - CRC_LEN)) else {
        return Err(Flaw::Short(frame.len));
    };
    match checksum(salt, offset, covered) {
        computed if computed == stored => Ok(frame),
        computed => Err(Flaw::Checksum { stored, computed }),
    }
}

/// As [`decode`], for bytes that were verified as part of a larger block.
#[inline]
pub fn parse(bytes: &[u8]) -> Result<Frame<'_>, Flaw> {
    let mut reader = Reader::new(bytes);
    let (Some(crc), Some(first)) = (reader.u32(), reader.u8()) else {
        return Err(if bytes.iter().all(|&byte| byte == 0) { Flaw::Blank } else { Flaw::Short(FRAME_LEN_MIN) });
    };
    let kind = first & KIND;
    if kind == 0 {
        return Err(if crc == 0 && first == 0 { Flaw::Blank } else { Flaw::Malformed("a record of kind 0") });
    }
    let body_len = match reader.varint_usize() {
        Some(len) if len <= BODY_LEN_MAX => len,
        Some(_) => return Err(Flaw::Malformed("a record over the length limit")),
        None if reader.len() >= 9 => return Err(Flaw::Malformed("a record length that is no number")),
        None => return Err(Flaw::Short(bytes.len() + 1)),
    };
    let len = bytes.len() - reader.len() + body_len;
    let Some(body) = reader.take(body_len) else { return Err(Flaw::Short(len)) };
    let (head, payload) = parse_body(kind, first, body).ok_or(Flaw::Malformed("a record head that is cut short"))?;
    Ok(Frame { head, payload, len })
}

/// What those need of a frame who only read entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline<'a> {
    pub kind: u8,
    pub position: u16,
    pub payload: &'a [u8],
    /// The length of the whole frame.
    pub len: usize,
}

/// As [`parse`], without the fields that only recovery looks at. `None` if it is not a frame, and [`parse`] says why.
#[inline(always)]
pub fn outline(bytes: &[u8]) -> Option<Outline<'_>> {
    opening(bytes).filter(|frame| frame.len <= bytes.len())
}

/// As [`outline`], of a frame that may be cut short; its payload then is, too.
#[inline(always)]
pub fn opening(bytes: &[u8]) -> Option<Outline<'_>> {
    let [_, _, _, _, first, rest @ ..] = bytes else { return None };
    let mut reader = Reader::new(rest);
    let body_len = reader.varint_usize().filter(|&len| len <= BODY_LEN_MAX && first & KIND != 0)?;
    let len = bytes.len() - reader.len() + body_len;
    let mut body = Reader::new(reader.rest().get(..body_len).unwrap_or(reader.rest()));
    let position = body.u16()?;
    if first & !KIND != 0 {
        for _ in 0..(first & !KIND).count_ones() {
            body.varint()?;
        }
    }
    Some(Outline { kind: first & KIND, position, payload: body.rest(), len })
}

#[inline]
fn parse_body(kind: u8, flags: u8, body: &[u8]) -> Option<(Head, &[u8])> {
    let mut reader = Reader::new(body);
    let position = reader.u16()?;
    let mut number = |flag| if flags & flag != 0 { reader.varint().map(Some) } else { Some(None) };
    let (synced, peer, floor) = (number(HAS_SYNCED)?, number(HAS_PEER)?, number(HAS_FLOOR)?);
    Some((Head { kind, position, synced, peer, floor }, reader.rest()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Identity = [7; 16];

    fn sample() -> (Head, Vec<u8>) {
        let head = Head { kind: 3, position: 0x1234, synced: Some(300), peer: None, floor: Some(1) };
        let mut out = Vec::new();
        encode(&mut out, Salt::of(&FILE), 192, &head, &[b"pay", b"load"]);
        (head, out)
    }

    #[test]
    fn golden_bytes_of_a_frame() {
        let (_, bytes) = sample();
        assert_eq!(&bytes[4..], [0xa3, 12, 0x34, 0x12, 0xac, 0x02, 1, b'p', b'a', b'y', b'l', b'o', b'a', b'd']);
        assert_eq!(bytes[..4], GOLDEN_CRC, "the checksum of a frame is part of the format");
    }
    const GOLDEN_CRC: [u8; 4] = [9, 88, 36, 2];

    #[test]
    fn a_frame_reads_back() {
        let (head, bytes) = sample();
        let frame = decode(&bytes, Salt::of(&FILE), 192).unwrap();
        assert_eq!(frame, Frame { head, payload: b"payload", len: bytes.len() });
        assert_eq!(bytes.len(), frame_len(head.body_len(7)));
    }

    #[test]
    fn a_frame_of_another_file_or_at_another_offset_does_not_validate() {
        let (_, bytes) = sample();
        assert!(matches!(decode(&bytes, Salt::of(&[8; 16]), 192), Err(Flaw::Checksum { .. })));
        assert!(matches!(decode(&bytes, Salt::of(&FILE), 193), Err(Flaw::Checksum { .. })));
    }

    #[test]
    fn zeros_never_validate() {
        for len in 0..64 {
            assert_eq!(decode(&vec![0; len], Salt::of(&FILE), 0), Err(Flaw::Blank), "{len} zeros");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_noticed() {
        let (_, bytes) = sample();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged, Salt::of(&FILE), 192).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len], Salt::of(&FILE), 192).is_err(), "cut to {len} bytes");
        }
    }

    #[test]
    fn an_outline_is_what_a_frame_parses_to() {
        let (_, bytes) = sample();
        let outlined = |bytes: &[u8]| outline(bytes).map(|it| (it.kind, it.position, it.payload.to_vec(), it.len));
        let parsed =
            |bytes: &[u8]| parse(bytes).ok().map(|it| (it.head.kind, it.head.position, it.payload.to_vec(), it.len));
        assert!(outlined(&bytes).is_some());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(outlined(&damaged), parsed(&damaged), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(outlined(&bytes[..len]), parsed(&bytes[..len]), "cut to {len} bytes");
        }
    }

    #[test]
    fn no_length_is_trusted_before_it_is_bounded() {
        let claim = [1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
        assert_eq!(decode(&claim, Salt::of(&FILE), 0), Err(Flaw::Malformed("a record over the length limit")));
    }
}
