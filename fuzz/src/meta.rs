//! Promise: whatever the slots of a superblock say, and their checksums fit, the stream is refused or gone on with (P9).

use arbitrary::{Arbitrary, Unstructured};

use super::checksums;
use super::examine::{Forged, examine};
use super::subject::{DIRECTORY, Left};

const SLOT_LEN: usize = 4096;

#[derive(Arbitrary, Debug)]
struct Input {
    left: Left,
    with_checksums: bool,
    edits: Vec<Edit>,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    /// One of the integers after the identities: the generation, the ceiling, the marks.
    Number {
        slot: bool,
        field: u8,
        value: u64,
    },
    /// Added to what is there.
    Shift {
        slot: bool,
        field: u8,
        by: i8,
    },
    Overwrite {
        slot: bool,
        offset: u16,
        bytes: Vec<u8>,
    },
    Exchange,
    Repeat {
        slot: bool,
    },
    Truncate {
        len: u16,
    },
}

pub fn run(bytes: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let mut image = input.left.image();
    if let Some(file) = image.file_mut(format!("{DIRECTORY}/meta")) {
        for edit in input.edits.iter().take(32) {
            edit.apply(file);
        }
        if input.with_checksums {
            checksums::fix_meta(file);
        }
    }
    examine(&image, Forged::default());
}

impl Edit {
    fn apply(&self, file: &mut Vec<u8>) -> Option<()> {
        let start = |slot: &bool| usize::from(*slot) * SLOT_LEN;
        let number = |slot: &bool, field: &u8| start(slot) + 56 + usize::from(field % 11) * 8;
        match self {
            Self::Number { slot, field, value } => {
                let at = number(slot, field);
                file.get_mut(at..at + 8)?.copy_from_slice(&value.to_le_bytes());
            }
            Self::Shift { slot, field, by } => {
                let at = number(slot, field);
                let bytes = file.get_mut(at..)?.first_chunk_mut::<8>()?;
                *bytes = u64::from_le_bytes(*bytes).wrapping_add_signed(i64::from(*by)).to_le_bytes();
            }
            Self::Overwrite { slot, offset, bytes } => {
                let at = start(slot) + usize::from(*offset) % SLOT_LEN;
                file.iter_mut().skip(at).zip(bytes).for_each(|(old, new)| *old = *new);
            }
            Self::Exchange => {
                let len = file.len();
                file.rotate_left(SLOT_LEN.min(len));
            }
            Self::Repeat { slot } => {
                let slot = file.get(start(slot)..start(slot) + SLOT_LEN)?.to_vec();
                *file = slot.repeat(2);
            }
            Self::Truncate { len } => file.truncate(usize::from(*len)),
        }
        Some(())
    }
}
