//! Finding all that is damaged in one segment.

use crate::format::entries::{self, Shapes, decode_shape};
use crate::format::header::{HEADER_LEN, Header};
use crate::format::record::{self, Flaw, Frame, Salt};
use crate::format::search::Search;
use crate::io::File;
use crate::log::scan::{Checked, SEGMENT_LEN_MAX, check_entries, last_seal, read_rest};
use crate::{Corruption, Error, Result, StreamId};

/// A part of a segment that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    pub offset: u64,
    pub what: Corruption,
    pub after: StreamId,
    pub through: Option<StreamId>,
    /// The ordinals that were in it: from the first one to before the last one.
    pub from: u64,
    pub to: u64,
    /// Whole records follow it.
    pub is_followed: bool,
}

/// What is in a segment of which some may be damaged.
#[derive(Debug, Default)]
pub struct Walked {
    /// All that is damaged, from the first frame on.
    pub holes: Vec<Hole>,
    /// The frames of entries that are not.
    pub sound: Vec<Sound>,
    /// The ordinal after the last entry.
    pub end: u64,
    pub shapes: Shapes,
    /// The content of the segment.
    pub bytes: Vec<u8>,
}

/// A frame whose entries can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sound {
    pub offset: u64,
    /// The ordinal of its first entry.
    pub ordinal: u64,
    pub count: u64,
    pub last_id: StreamId,
}

/// Reads a segment from its first frame on, over everything that is damaged. Takes the memory of the whole segment.
///
/// `next` is given for a segment that has a successor: it ends with a seal then.
pub fn walk(header: &Header, file: &dyn File, path: &std::path::Path, next: Option<(u64, StreamId)>) -> Result<Walked> {
    let wrap = |error| Error::io("read", path, error);
    let len = file.len().map_err(wrap)?;
    if len > SEGMENT_LEN_MAX {
        return Ok(over_limit(header));
    }
    let bytes = read_rest(file, 0, len).map_err(wrap)?;
    let salt = Salt::of(&header.file);
    let seal = last_seal(header, &bytes);
    let sealed_end = seal.as_ref().map(|seal| header.base.saturating_add(seal.entries));
    let mut walk = Walk {
        header,
        shapes: seal.as_ref().map_or_else(Shapes::default, |seal| seal.shapes.clone()),
        shapes_known: seal.is_some(),
        ordinal: header.base,
        last_id: header.previous_id,
        holes: Vec::new(),
        sound: Vec::new(),
        open: None,
    };
    let mut at = HEADER_LEN;
    let mut is_sealed = false;
    let mut search = Search::new(header, &bytes, 0);
    while !is_sealed {
        let rest = bytes.get(at..).unwrap_or_default();
        match record::decode(rest, salt, at as u64) {
            Ok(frame) => {
                walk.frame(&frame, at as u64);
                is_sealed = frame.head.kind == entries::SEAL;
                at += frame.len;
            }
            // Where the segment was being written to, it may end like this.
            Err(Flaw::Blank) if next.is_none() && rest.iter().all(|&byte| byte == 0) => break,
            Err(flaw) => {
                let what = if rest.is_empty() { Corruption::Malformed("the seal is missing") } else { flaw.into() };
                walk.begin(at as u64, what);
                match search.next(at + 1) {
                    Some((found, _)) => at = found,
                    None => break,
                }
            }
        }
    }
    let end = [sealed_end, next.map(|next| next.0)].into_iter().flatten().min();
    if next.is_some() && end.is_some_and(|end| end > walk.ordinal) {
        walk.begin(at as u64, Corruption::Malformed("entries are missing before the seal"));
    }
    walk.end(end, seal.map(|seal| seal.last_id).or(next.map(|next| next.1)));
    let end = end.unwrap_or(walk.ordinal).max(walk.ordinal);
    let Walk { holes, sound, shapes, .. } = walk;
    Ok(Walked { holes, sound, end, shapes, bytes })
}

/// What is in a segment that is not read into memory on the word of its length.
fn over_limit(header: &Header) -> Walked {
    let hole = Hole {
        offset: SEGMENT_LEN_MAX,
        what: Corruption::Malformed("the segment is over the length limit"),
        after: header.previous_id,
        through: None,
        from: header.base,
        to: header.base,
        is_followed: true,
    };
    Walked { holes: vec![hole], end: header.base, ..Walked::default() }
}

struct Walk<'a> {
    header: &'a Header,
    shapes: Shapes,
    /// The seal has them all.
    shapes_known: bool,
    ordinal: u64,
    last_id: StreamId,
    holes: Vec<Hole>,
    sound: Vec<Sound>,
    /// The hole of which the end has not been seen.
    open: Option<Hole>,
}

impl Walk<'_> {
    fn begin(&mut self, offset: u64, what: Corruption) {
        let (after, ordinal) = (self.last_id, self.ordinal);
        self.open.get_or_insert(Hole {
            offset,
            what,
            after,
            through: None,
            from: ordinal,
            to: ordinal,
            is_followed: false,
        });
    }

    fn frame(&mut self, frame: &Frame<'_>, offset: u64) {
        // How many entries a hole took is known from where the next frame says it is.
        let missing = frame.head.position.wrapping_sub(self.ordinal as u16);
        if missing != 0 {
            self.begin(offset, Corruption::Malformed("a record out of sequence"));
            self.ordinal += u64::from(missing);
        }
        if let Some(open) = &mut self.open {
            (open.to, open.is_followed) = (self.ordinal, true);
        }
        match frame.head.kind {
            entries::SHAPE if !self.shapes_known => {
                let defined = decode_shape(frame.payload).and_then(|(number, names)| self.shapes.define(number, names));
                if defined.is_none() {
                    self.begin(offset, Corruption::Malformed("a list of names that is none"));
                }
            }
            entries::SHAPE | entries::SEAL => {}
            _ => self.entries(frame, offset),
        }
    }

    fn entries(&mut self, frame: &Frame<'_>, offset: u64) {
        match check_entries(frame, self.header.base_ms, &self.shapes, self.last_id) {
            Some(checked) => {
                if let Some(mut hole) = self.open.take() {
                    hole.through = checked.first_id.previous();
                    self.holes.push(hole);
                }
                let (ordinal, Checked { count, last_id, .. }) = (self.ordinal, checked);
                self.sound.push(Sound { offset, ordinal, count, last_id });
                self.ordinal += count;
                self.last_id = last_id;
            }
            None => self.begin(offset, Corruption::Malformed("entries that cannot be decoded")),
        }
    }

    fn end(&mut self, ordinal: Option<u64>, last_id: Option<StreamId>) {
        if let Some(mut hole) = self.open.take() {
            hole.to = ordinal.unwrap_or(hole.to).max(hole.to);
            hole.through = last_id;
            self.holes.push(hole);
        }
    }
}
