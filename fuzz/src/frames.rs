//! A segment or journal as a header and frames, which can be edited and put together again.

use arbitrary::Arbitrary;

use super::checksums;

const HEADER_LEN: usize = 192;
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
    let (body, rest) = rest.split_at_checked(len).filter(|_| head & 0x1f != 0)?;
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
