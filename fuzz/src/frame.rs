//! Promise: any bytes as records at the end of a log or journal are refused, or taken for what they say (P9).
//!
//! The first byte chooses the file, and whether the records are given the number that is next; then come records: a byte for kind
//! and flags, one for the length, and so many bytes. Checksums are put before them.

use super::examine::{Forged, examine};
use super::frames::{Frame, join, split};
use super::subject::{DIRECTORY, Left};

pub fn run(bytes: &[u8]) {
    let Some((choice, mut rest)) = bytes.split_first() else { return };
    let ending = if choice & 1 == 0 { "log" } else { "journal" };
    let left = if choice & 2 == 0 { Left::KilledAtOs } else { Left::KilledAtAlways };
    let mut image = left.image();
    let files: Vec<_> = image.files().filter(|path| path.starts_with(DIRECTORY)).map(|path| path.to_owned()).collect();
    let newest = files.iter().rfind(|path| path.extension().is_some_and(|extension| extension == ending));
    let Some(file) = newest.and_then(|path| image.file_mut(path)) else { return };
    let (header, mut frames, blank) = split(file);
    let mut position = next_position(&frames);
    while let Some((&[head, len], after)) = rest.split_first_chunk::<2>() {
        let (body, after) = after.split_at(after.len().min(usize::from(len)));
        let mut body = body.to_vec();
        if let Some(number) = body.first_chunk_mut::<2>().filter(|_| choice & 4 != 0) {
            *number = position.to_le_bytes();
            position = position.wrapping_add(1);
        }
        frames.push(Frame { head, body });
        rest = after;
    }
    let len = file.len();
    let mut longer = join(header, &frames, &[]);
    longer.resize(longer.len().max(len), 0);
    longer.extend_from_slice(&blank[..blank.len().min(64)]);
    *file = longer;
    examine(&image, Forged::default());
}

/// The number of the next entry or change: the last record is of one.
fn next_position(frames: &[Frame]) -> u16 {
    let last = frames.last().and_then(|frame| frame.body.first_chunk::<2>());
    last.map_or(0, |position| u16::from_le_bytes(*position).wrapping_add(1))
}
