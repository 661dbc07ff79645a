//! A segment or journal as a header and frames, which can be edited and put together again.

use arbitrary::Arbitrary;
use streamlog::StreamId;

use super::checksums;

const HEADER_LEN: usize = 192;

/// The bits of a frame's head that say what kind it is.
const KIND: u8 = 0x1f;
const ENTRY: u8 = 1;
const BATCH: u8 = 2;
const SHAPE: u8 = 3;
const SEAL: u8 = 4;
const MADE: u8 = 5;

/// No file gets much larger than this, in bytes.
const FILE_LEN_MAX: usize = 1 << 18;

/// A frame without its checksum and length: its kind and flags, and what follows the length.
#[derive(Clone, Debug)]
pub struct Frame {
    pub head: u8,
    pub body: Vec<u8>,
}

/// The header, the frames behind it, and what follows where there is none.
pub fn split(bytes: &[u8]) -> (&[u8], Vec<Frame>, &[u8]) {
    let (header, mut rest) = bytes.split_at(bytes.len().min(HEADER_LEN));
    let mut frames = Vec::new();
    while let Some((frame, next)) = split_frame(rest) {
        frames.push(frame);
        rest = next;
    }
    (header, frames, rest)
}

/// Where the frames of a file begin, each with the number of its first entry or change.
pub fn places(bytes: &[u8]) -> Vec<(usize, Option<[u8; 2]>)> {
    let mut rest = bytes.get(HEADER_LEN..).unwrap_or_default();
    let mut places = Vec::new();
    while let Some((frame, next)) = split_frame(rest) {
        places.push((bytes.len() - rest.len(), frame.body.first_chunk().copied()));
        rest = next;
    }
    places
}

/// What the header and the frames of a segment say.
#[derive(Debug, Default)]
pub struct Told {
    /// The ID before the first one.
    pub previous_id: StreamId,
    /// The first ID of each frame that is in sequence; those that are not are damaged.
    pub first_ids: Vec<StreamId>,
    /// What follows the position in those with several entries.
    pub batches: Vec<Vec<u8>>,
    /// And in those with names of fields.
    pub names: Vec<Vec<u8>>,
    /// Numbers are left out between frames.
    pub has_jumps: bool,
    /// Some frame says that it comes before the one that it follows.
    pub is_out_of_order: bool,
}

pub fn told(bytes: &[u8]) -> Told {
    let (header, frames, _) = split(bytes);
    let number =
        |at: usize| header.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
    let (mut next, base_ms) = (number(72) as u16, number(120));
    let mut told = Told { previous_id: StreamId::new(number(96), number(104)), ..Told::default() };
    let mut is_sound = true;
    for frame in frames {
        let position = frame.body.first_chunk().copied().map_or(next, u16::from_le_bytes);
        told.has_jumps |= position != next;
        told.is_out_of_order |= position.wrapping_sub(next) >= 1 << 15;
        is_sound = position == next || !is_sound;
        next = position;
        let payload = frame.body.get(2..).unwrap_or_default();
        if matches!(frame.head & KIND, SHAPE | SEAL) {
            told.names.push(payload.to_vec());
        }
        let Some((count, id)) = frame.entries(base_ms) else { continue };
        next = next.wrapping_add(count as u16);
        if is_sound {
            told.first_ids.push(id);
            if frame.head & KIND == BATCH {
                told.batches.push(payload.to_vec());
            }
        }
    }
    told
}

impl Frame {
    /// How many entries it says it has, and the ID of the first one.
    fn entries(&self, base_ms: u64) -> Option<(u64, StreamId)> {
        let mut rest = self.body.get(2..)?;
        for _ in 0..(self.head & !KIND).count_ones() {
            varint(&mut rest)?;
        }
        let mut count = 1;
        match self.head & KIND {
            ENTRY => {}
            BATCH => count = varint(&mut rest)?,
            MADE => {
                for _ in 0..2 {
                    let len = usize::try_from(varint(&mut rest)?).ok()?;
                    rest = rest.get(len..)?;
                }
            }
            _ => return None,
        }
        let zigzag = varint(&mut rest)?;
        let ms = base_ms.wrapping_add((zigzag >> 1) ^ (zigzag & 1).wrapping_neg());
        Some((count, StreamId::new(ms, varint(&mut rest)?)))
    }
}

/// Takes a number of seven bits a byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn split_frame(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let (&head, mut rest) = bytes.get(4..)?.split_first()?;
    let mut len = 0;
    for shift in (0..35).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        len |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    let (body, rest) = rest.split_at_checked(len).filter(|_| head & KIND != 0)?;
    Some((Frame { head, body: body.to_vec() }, rest))
}

/// The bytes of a file, with the checksums of its header and its frames.
pub fn join(header: &[u8], frames: &[Frame], rest: &[u8]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    checksums::fix_header(&mut bytes);
    for frame in frames {
        let (offset, mut covered) = (bytes.len(), vec![frame.head]);
        let mut len = frame.body.len();
        while len >= 0x80 {
            covered.push(len as u8 | 0x80);
            len >>= 7;
        }
        covered.push(len as u8);
        covered.extend_from_slice(&frame.body);
        bytes.extend_from_slice(&checksums::of_frame(header, offset, &covered));
        bytes.extend_from_slice(&covered);
    }
    bytes.extend_from_slice(rest);
    bytes.truncate(FILE_LEN_MAX);
    bytes
}

/// One edit. Frames are chosen by their position, which wraps, as offsets do.
#[derive(Arbitrary, Debug)]
pub enum Edit {
    Flip {
        frame: u8,
        offset: u8,
        bit: u8,
    },
    Overwrite {
        frame: u8,
        offset: u8,
        bytes: Vec<u8>,
    },
    Cut {
        frame: u8,
        len: u8,
    },
    Append {
        frame: u8,
        bytes: Vec<u8>,
    },
    Head {
        frame: u8,
        head: u8,
    },
    /// The low bits of the number of the first entry or change, in this and all later frames.
    Shift {
        frame: u8,
        by: i8,
    },
    Insert {
        at: u8,
        head: u8,
        body: Vec<u8>,
    },
    Remove {
        at: u8,
        count: u8,
    },
    Repeat {
        at: u8,
        to: u8,
    },
    Swap {
        a: u8,
        b: u8,
    },
    Header {
        offset: u8,
        bytes: [u8; 2],
    },
    Number {
        field: u8,
        value: u64,
    },
    Rest {
        bytes: Vec<u8>,
    },
}

/// A file after all edits, with or without the checksums that belong to them.
pub fn edited(bytes: &[u8], edits: &[Edit], with_checksums: bool) -> Vec<u8> {
    let (header, mut frames, rest) = split(bytes);
    let (mut header, mut rest) = (header.to_vec(), rest.to_vec());
    for edit in edits.iter().take(32) {
        edit.apply(&mut header, &mut frames, &mut rest);
    }
    let mut edited = join(&header, &frames, &rest);
    if !with_checksums {
        // Those of the frames that were there, where they were.
        let old = bytes.get(..HEADER_LEN).unwrap_or_default();
        edited.iter_mut().zip(old).skip(HEADER_LEN - 4).for_each(|(new, old)| *new = *old);
    }
    edited
}

impl Edit {
    /// Does nothing if there is no frame left to do it to.
    fn apply(&self, header: &mut [u8], frames: &mut Vec<Frame>, rest: &mut [u8]) -> Option<()> {
        let count = frames.len().max(1);
        let place = |at: &u8| usize::from(*at) % count;
        match self {
            Self::Flip { frame, offset, bit } => {
                let body = &mut frames.get_mut(place(frame))?.body;
                let len = body.len().max(1);
                *body.get_mut(usize::from(*offset) % len)? ^= 1 << (bit % 8);
            }
            Self::Overwrite { frame, offset, bytes } => {
                let body = &mut frames.get_mut(place(frame))?.body;
                let start = usize::from(*offset) % body.len().max(1);
                body.iter_mut().skip(start).zip(bytes).for_each(|(old, new)| *old = *new);
            }
            Self::Cut { frame, len } => frames.get_mut(place(frame))?.body.truncate(usize::from(*len)),
            Self::Append { frame, bytes } => frames.get_mut(place(frame))?.body.extend_from_slice(bytes),
            Self::Head { frame, head } => frames.get_mut(place(frame))?.head = *head,
            Self::Shift { frame, by } => {
                for position in frames.iter_mut().skip(place(frame)).filter_map(|it| it.body.first_chunk_mut::<2>()) {
                    *position = u16::from_le_bytes(*position).wrapping_add_signed(i16::from(*by)).to_le_bytes();
                }
            }
            Self::Insert { at, head, body } => {
                let at = place(at).min(frames.len());
                frames.insert(at, Frame { head: *head, body: body.clone() });
            }
            Self::Remove { at, count } => {
                let start = place(at).min(frames.len());
                let end = frames.len().min(start + usize::from(*count % 8) + 1);
                frames.drain(start..end);
            }
            Self::Repeat { at, to } => {
                let frame = frames.get(place(at))?.clone();
                frames.insert(place(to), frame);
            }
            Self::Swap { a, b } if !frames.is_empty() => frames.swap(place(a), place(b)),
            Self::Swap { .. } => {}
            Self::Header { offset, bytes } => {
                header.iter_mut().skip(usize::from(*offset)).zip(bytes).for_each(|(old, new)| *old = *new);
            }
            Self::Number { field, value } => {
                let at = 72 + usize::from(field % 7) * 8;
                header.get_mut(at..at + 8)?.copy_from_slice(&value.to_le_bytes());
            }
            Self::Rest { bytes } => {
                rest.iter_mut().zip(bytes).for_each(|(old, new)| *old = *new);
            }
        }
        Some(())
    }
}
