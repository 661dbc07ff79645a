//! Promise: an index is a cache: one that is damaged changes nothing, and whatever one says, nothing panics or hangs (P9).

use arbitrary::{Arbitrary, Unstructured};

use super::checksums;
use super::examine::{Forged, examine, survive};
use super::subject::{DIRECTORY, Left};

#[derive(Arbitrary, Debug)]
struct Input {
    left: Left,
    file: u8,
    with_checksum: bool,
    edits: Vec<Edit>,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    /// One of the integers of 32 bits.
    Number {
        field: u8,
        value: u32,
    },
    Shift {
        field: u8,
        by: i8,
    },
    Overwrite {
        offset: u16,
        bytes: Vec<u8>,
    },
    Truncate {
        len: u16,
    },
    Append {
        bytes: Vec<u8>,
    },
}

pub fn run(bytes: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let mut image = input.left.image();
    let files: Vec<_> = image.files().filter(|path| path.starts_with(DIRECTORY)).map(|path| path.to_owned()).collect();
    let mut indexes = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "idx"));
    let count = indexes.clone().count();
    let index = indexes.nth(usize::from(input.file) % count.max(1));
    if let Some(file) = index.and_then(|path| image.file_mut(path)) {
        for edit in input.edits.iter().take(32) {
            edit.apply(file);
        }
        if input.with_checksum {
            checksums::fix_index(file);
        }
    }
    // One whose checksum fits is believed where a segment begins a block, and what the names of fields are.
    if input.with_checksum { survive(&image) } else { examine(&image, Forged::default()) }
}

impl Edit {
    fn apply(&self, file: &mut Vec<u8>) -> Option<()> {
        let len = file.len().max(1);
        match self {
            Self::Number { field, value } => {
                let at = 32 + usize::from(*field) * 4;
                file.get_mut(at..at + 4)?.copy_from_slice(&value.to_le_bytes());
            }
            Self::Shift { field, by } => {
                let bytes = file.get_mut(32 + usize::from(*field) * 4..)?.first_chunk_mut::<4>()?;
                *bytes = u32::from_le_bytes(*bytes).wrapping_add_signed(i32::from(*by)).to_le_bytes();
            }
            Self::Overwrite { offset, bytes } => {
                let start = usize::from(*offset) % len;
                file.iter_mut().skip(start).zip(bytes).for_each(|(old, new)| *old = *new);
            }
            Self::Truncate { len } => file.truncate(usize::from(*len)),
            Self::Append { bytes } => file.extend_from_slice(bytes),
        }
        Some(())
    }
}
