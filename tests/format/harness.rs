//! Verbs for tests about files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use streamlog::sim::{Image, Op, SimDisk, Step};
use streamlog::{AddOptions, Durability, Options, Result, Store, Stream, StreamId};

/// Segments of 4 KiB, so that a few entries fill one.
pub fn options(durability: Durability) -> Options {
    Options::new().durability(durability).segment_bytes_max(4096)
}

pub fn mount(disk: &Arc<SimDisk>, durability: Durability) -> Store {
    Store::open_simulated(options(durability), disk).expect("the store opens")
}

/// Adds `count` entries of about 1 KiB with the IDs that follow `first-0`.
pub fn fill(stream: &Stream, first: u64, count: u64) {
    let value = "x".repeat(1000);
    for ms in first..first + count {
        let options = AddOptions::new().id(StreamId::new(ms, 0));
        stream.add_with(options, [("value", &value)]).expect("an entry is added");
    }
}

pub fn ids(stream: &Stream) -> Vec<u64> {
    stream.range(..).map(|entry| entry.expect("an entry is read").id().ms()).collect()
}

/// Everything on the disk, as a process that is killed leaves it.
pub fn image(disk: &SimDisk) -> Image {
    disk.kill_image(disk.steps())
}

/// The contents of all files, for comparing.
pub fn contents(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let image = image(disk);
    image.files().map(|path| (path.to_owned(), image.file(path).unwrap_or_default().to_vec())).collect()
}

/// The only file of a stream that ends so.
pub fn file_of(image: &Image, stream: &str, ending: &str) -> PathBuf {
    let directory = Path::new("streams").join(stream);
    let mut found =
        image.files().filter(|path| path.starts_with(&directory) && path.to_string_lossy().ends_with(ending));
    let first = found.next().unwrap_or_else(|| panic!("{stream} has no {ending}")).to_owned();
    assert_eq!(found.next(), None, "{stream} has several files {ending}");
    first
}

/// The steps since one of them.
pub fn steps_since(disk: &SimDisk, from: usize) -> Vec<Step> {
    disk.history().split_off(from)
}

/// Where the first step is that does this to a file whose path ends so.
pub fn position(steps: &[Step], op: Op, ending: &str) -> usize {
    position_from(steps, 0, op, ending)
}

pub fn position_from(steps: &[Step], from: usize, op: Op, ending: &str) -> usize {
    let found = steps.iter().skip(from).position(|step| step.op == op && step.path.to_string_lossy().ends_with(ending));
    from + found.unwrap_or_else(|| panic!("no {op:?} of {ending} from step {from} on in {steps:#?}"))
}

/// What `open` of a stream fails with.
pub fn error_of<T>(result: Result<T>) -> streamlog::Error {
    match result {
        Ok(_) => panic!("it should have failed"),
        Err(error) => error,
    }
}
