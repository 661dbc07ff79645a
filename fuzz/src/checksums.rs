//! The checksums of all files, from the bytes they are of: written by the specification in `src/format`, not with its code.

use std::path::Path;

use super::frames;

/// The length of the header of a segment or journal, which ends with its checksum.
const HEADER_LEN: usize = 192;
/// The length of a slot of a superblock, which ends with its checksum.
const SLOT_LEN: usize = 4096;

/// Gives a file the checksums that its bytes call for, as far as its name says what it is.
pub fn fix(path: &Path, bytes: &mut Vec<u8>) {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("log" | "journal") => {
            let (header, frames, rest) = frames::split(bytes);
            *bytes = frames::join(header, &frames, rest);
        }
        Some("idx") => fix_index(bytes),
        _ => match path.file_name().and_then(|name| name.to_str()) {
            Some("meta") => fix_meta(bytes),
            Some("LOCK" | "intent") => fix_end(bytes, 0),
            _ => {}
        },
    }
}

/// The header of a segment or journal.
pub fn fix_header(bytes: &mut [u8]) {
    fix_end(bytes.get_mut(..HEADER_LEN).unwrap_or_default(), 0);
}

pub fn fix_index(bytes: &mut [u8]) {
    let [first, rest] = [bytes.get(..12), bytes.get(16..)].map(Option::unwrap_or_default);
    let crc = crc32fast::hash(&[first, rest].concat());
    put(bytes, 12, crc);
}

pub fn fix_meta(bytes: &mut [u8]) {
    bytes.chunks_mut(SLOT_LEN).take(2).zip(0..).for_each(|(slot, number)| fix_end(slot, number));
}

/// What the checksum of the frame at `offset` begins from, in the file with this header.
fn salt(header: &[u8], offset: usize) -> u32 {
    let file = header.get(56..72).unwrap_or_default();
    crc32fast::hash(file) ^ ((offset as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

/// The checksum of a frame, of which these are the bytes behind it.
pub fn of_frame(header: &[u8], offset: usize, covered: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt(header, offset));
    hasher.update(covered);
    hasher.finalize().to_le_bytes()
}

/// A checksum that is the last four bytes, of all before.
fn fix_end(bytes: &mut [u8], begin: u32) {
    let Some(at) = bytes.len().checked_sub(4) else { return };
    let mut hasher = crc32fast::Hasher::new_with_initial(begin);
    hasher.update(&bytes[..at]);
    put(bytes, at, hasher.finalize());
}

fn put(bytes: &mut [u8], at: usize, crc: u32) {
    if let Some(field) = bytes.get_mut(at..at + 4) {
        field.copy_from_slice(&crc.to_le_bytes());
    }
}
