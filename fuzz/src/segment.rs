//! Promise: whatever the records of a segment hold, and their checksums fit, the stream is refused or read consistently (P9).

use arbitrary::{Arbitrary, Unstructured};

use super::examine::examine;
use super::frames::{Edit, edited};
use super::subject::{DIRECTORY, Left};

#[derive(Arbitrary, Debug)]
struct Input {
    left: Left,
    file: u8,
    without_index: bool,
    edits: Vec<Edit>,
}

pub fn run(bytes: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    edit(&input, ".log");
}

fn edit(input: &Input, ending: &str) {
    let mut image = input.left.image();
    let files: Vec<_> = image.files().filter(|path| path.starts_with(DIRECTORY)).map(|path| path.to_owned()).collect();
    let mut segments = files.iter().filter(|path| path.to_string_lossy().ends_with(ending));
    let count = segments.clone().count();
    let Some(path) = segments.nth(usize::from(input.file) % count.max(1)) else { return };
    if let Some(bytes) = image.file_mut(path) {
        *bytes = edited(bytes, &input.edits, true);
    }
    if input.without_index {
        image.remove(path.with_extension("idx"));
    }
    examine(&image);
}
