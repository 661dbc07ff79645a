//! Promise: whatever the changes of a journal say, and their checksums fit, the stream is refused or gone on with (P9).

use arbitrary::{Arbitrary, Unstructured};

use super::examine::{Forged, examine};
use super::frames::{Edit, edited};
use super::subject::{DIRECTORY, Left};

#[derive(Arbitrary, Debug)]
struct Input {
    left: Left,
    edits: Vec<Edit>,
}

pub fn run(bytes: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let mut image = input.left.image();
    let files: Vec<_> = image.files().filter(|path| path.starts_with(DIRECTORY)).map(|path| path.to_owned()).collect();
    let newest = files.iter().rfind(|path| path.extension().is_some_and(|extension| extension == "journal"));
    if let Some(bytes) = newest.and_then(|path| image.file_mut(path)) {
        *bytes = edited(bytes, &input.edits, true);
    }
    examine(&image, Forged::default());
}
