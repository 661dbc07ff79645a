//! Reading on in a journal that another process writes.

use std::path::Path;

use super::reading::Reading;
use super::{Found, JOURNAL_LEN_MAX};
use crate::format::header::Header;
use crate::format::record::{FRAME_LEN_MIN, Flaw, Salt};
use crate::io::File;
use crate::{Error, Result};

/// Where reading a journal goes on that somebody else writes.
#[derive(Clone, Copy, Debug)]
pub struct Reached {
    pub offset: u64,
    /// How many changes there are before.
    pub changes: u64,
    pub(super) next_ordinal: u64,
    pub(super) dead: u64,
}

/// Reads the changes from there to the end of a file, as far as they are whole; says whether something else stands there.
pub fn go_on(header: &Header, file: &dyn File, path: &Path, reached: &mut Reached) -> Result<(Vec<Found>, bool)> {
    /// How many bytes are read first; each further time twice as many.
    const CHUNK_LEN: usize = 4096;
    let wrap = |error| Error::io("read", path, error);
    let len = file.len().map_err(wrap)?.min(JOURNAL_LEN_MAX);
    let (mut found, mut wanted) = (Vec::new(), CHUNK_LEN);
    loop {
        let there = usize::try_from(len.saturating_sub(reached.offset)).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(there.min(wanted)).map_err(|_| wrap(std::io::ErrorKind::OutOfMemory.into()))?;
        bytes.resize(there.min(wanted), 0);
        file.read_at(reached.offset, &mut bytes).map_err(wrap)?;
        let mut reading = Reading {
            salt: Salt::of(&header.file),
            bytes: &bytes,
            start: reached.offset,
            at: 0,
            first_ordinal: header.peer,
            next_ordinal: reached.next_ordinal,
            position: reached.changes as u16,
            synced: 0,
            dead: reached.dead,
        };
        let flaw = loop {
            match reading.frame() {
                Ok(frame) => match reading.take(&frame) {
                    Ok(change) if !change.change.is_checkpoint_part() => found.push(change),
                    _ => break Flaw::Malformed("not a change"),
                },
                Err(flaw) => break flaw,
            }
            reached.offset = reading.offset();
            (reached.next_ordinal, reached.dead) = (reading.next_ordinal, reading.dead);
            reached.changes += 1;
        };
        let left = bytes.len().saturating_sub(reading.at);
        let needed = match flaw {
            Flaw::Short(needed) => needed,
            Flaw::Blank => FRAME_LEN_MIN,
            _ => 0,
        };
        if needed <= left || bytes.len() == there {
            return Ok((found, flaw != Flaw::Blank && left > 0));
        }
        wanted = (wanted * 2).max(needed);
    }
}
