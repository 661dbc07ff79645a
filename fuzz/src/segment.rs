//! Promise: whatever the records of a segment hold, and their checksums fit, the stream is refused or read consistently (P9).

use arbitrary::{Arbitrary, Unstructured};
use streamlog::StreamId;

use super::examine::{Forged, examine, survive};
use super::frames::{Edit, edited, places, told};
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
    let segments = files.iter().filter(|path| path.to_string_lossy().ends_with(ending));
    let count = segments.clone().count();
    let Some(path) = segments.clone().nth(usize::from(input.file) % count.max(1)) else { return };
    let before = image.file(path).unwrap_or_default().to_vec();
    let after = edited(&before, &input.edits, true);
    if let Some(bytes) = image.file_mut(path) {
        bytes.clone_from(&after);
    }
    let index = path.with_extension("idx");
    if input.without_index {
        image.remove(&index);
    }
    let places_after = places(&after);
    let moved = places(&before).iter().any(|place| !places_after.contains(place));
    let (before, after) = (told(&before), told(&after));
    // No damage gives entries other IDs, in a header or a frame whose checksum fits. Where they are not in order any more, or an
    // index has them as they were, entries are out of reach from one end or another: reading goes by their IDs.
    let is_new = |id: &StreamId| !before.first_ids.contains(id);
    let has_new_id = image.file(&index).is_some() && after.first_ids.iter().any(is_new);
    let has_new_batch = after.batches.iter().any(|batch| !before.batches.contains(batch));
    let mut last = StreamId::MIN;
    let in_order = segments.map(|path| told(image.file(path).unwrap_or_default())).all(|told| {
        std::mem::replace(&mut last, told.previous_id) <= told.previous_id
            && told.first_ids.into_iter().all(|id| std::mem::replace(&mut last, id) < id)
    });
    let is_log = !has_new_id && !has_new_batch && in_order;
    assert!(is_log || !input.edits.is_empty(), "what was not edited is a log");
    if !is_log {
        return survive(&image);
    }
    let forged = Forged {
        moved: moved || after.has_jumps,
        out_of_order: after.is_out_of_order,
        renamed: after.names.iter().any(|names| !before.names.contains(names)),
    };
    examine(&image, forged);
}
