//! What can be read of a damaged segment, as segments that are sound.

use crate::env::Env;
use crate::format::entries::{self, Seal, put_shape};
use crate::format::header::{HEADER_LEN, Header};
use crate::format::record::{self, Head, Salt};
use crate::log;
use crate::log::holes::{Sound, Walked};

/// A segment that is to be.
#[derive(Debug)]
pub struct Piece {
    pub header: Header,
    pub bytes: Vec<u8>,
}

/// The parts of a segment between its holes, each as a sealed segment. Entries keep their ordinals, so holes are left between
/// the parts; frames keep their content. The last part has the identity of the segment that it comes of, so that the next
/// one follows it.
pub fn pieces(env: &Env, header: &Header, walked: &Walked, next_base: u64) -> Vec<Piece> {
    let there = walked.sound.iter().filter(|sound| sound.ordinal + sound.count <= next_base);
    let mut parts: Vec<Vec<Sound>> = Vec::new();
    for &sound in there {
        match parts.last_mut().and_then(|part| part.last().map(|last| last.ordinal + last.count == sound.ordinal)) {
            Some(true) => parts.last_mut().map_or((), |part| part.push(sound)),
            _ => parts.push(vec![sound]),
        }
    }
    let count = parts.len();
    let (mut previous_id, mut predecessor) = (header.previous_id, header.predecessor);
    let mut pieces = Vec::with_capacity(count);
    for (at, part) in parts.iter().enumerate() {
        let (Some(first), Some(last)) = (part.first(), part.last()) else { continue };
        let header = Header {
            file: if at + 1 == count { header.file } else { env.new_identity() },
            base: first.ordinal,
            entries_added: log::entries_added(header.entries_added, first.ordinal - header.base),
            previous_id,
            predecessor,
            ..header.clone()
        };
        (previous_id, predecessor) = (last.last_id, header.file);
        pieces.push(piece(header, part, walked));
    }
    pieces
}

fn piece(header: Header, part: &[Sound], walked: &Walked) -> Piece {
    let salt = Salt::of(&header.file);
    let old = &walked.bytes;
    let mut bytes = Vec::from(header.encode());
    debug_assert_eq!(bytes.len(), HEADER_LEN);
    let mut put = |kind, position: u64, payload: &[u8]| {
        let head = Head { kind, position: position as u16, ..Head::default() };
        let offset = bytes.len() as u64;
        record::encode(&mut bytes, salt, offset, &head, &[payload]);
    };
    let mut payload = Vec::new();
    for (names, number) in walked.shapes.iter().zip(1..) {
        payload.clear();
        put_shape(&mut payload, number, names);
        put(entries::SHAPE, header.base, &payload);
    }
    for sound in part {
        let frame = old.get(sound.offset as usize..).and_then(|rest| record::parse(rest).ok());
        if let Some(frame) = frame {
            put(frame.head.kind, sound.ordinal, frame.payload);
        }
    }
    if let Some(last) = part.last() {
        let entries = last.ordinal + last.count - header.base;
        payload.clear();
        Seal { entries, last_id: last.last_id, shapes: walked.shapes.clone() }.put(&mut payload);
        put(entries::SEAL, last.ordinal + last.count, &payload);
    }
    Piece { header, bytes }
}
