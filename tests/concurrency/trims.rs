//! Nobody waits while segments are removed: neither for their files, nor for a reader who is still at one of them.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::Duration;

use streamlog::sim::Op;
use streamlog::{AddOptions, Durability, Options, Store, Stream, StreamId, Trim};

/// What nobody has to wait for is there by then.
const SOON: Duration = Duration::from_secs(20);
const ENTRIES: u64 = 40;

fn options() -> Options {
    Options::new().durability(Durability::Os).segment_bytes_max(8192)
}

/// A store with six segments, the last of which has room.
fn fill(path: &Path) -> Vec<StreamId> {
    let store = options().open(path).unwrap();
    let stream = store.stream("s").unwrap();
    let ids = (0..ENTRIES).map(|_| stream.add([("n", [b'x'; 1000])]).unwrap()).collect();
    store.close().unwrap();
    ids
}

/// Somebody else looks, and adds; returns what tells that this is done.
fn look_and_add(stream: Stream, is_seen: impl Fn(&Stream) -> bool + Send + 'static) -> Receiver<()> {
    let (done, is_done) = channel();
    std::thread::spawn(move || {
        while !is_seen(&stream) {
            std::thread::sleep(Duration::from_millis(1));
        }
        // With an ID that needs no ceiling, which only who has the turn can raise.
        stream.add_with(AddOptions::new().id(StreamId::new(u64::MAX, 0)), [("n", "meanwhile")]).unwrap();
        done.send(()).unwrap();
    });
    is_done
}

#[test]
fn nobody_waits_for_the_files_of_what_was_trimmed() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let somebody: Arc<Mutex<Option<Stream>>> = Arc::default();
    let (told, outcome) = channel();
    let tell = {
        let somebody = Arc::clone(&somebody);
        move |call: &streamlog::sim::Call| {
            let is_segment = call.op == Op::Open && call.path.extension().is_some_and(|is| is == "log");
            // Once: who looks opens segments, too.
            if let Some(stream) = is_segment.then(|| somebody.lock().unwrap().take()).flatten() {
                let is_done = look_and_add(stream, |stream| stream.range(..).next_back().is_some());
                told.send(is_done.recv_timeout(SOON).is_ok()).unwrap();
            }
            None
        }
    };
    let store = Store::open_observed(options(), directory.path(), tell).unwrap();
    let stream = store.stream("s").unwrap();
    assert_eq!(stream.len().unwrap(), ENTRIES);
    *somebody.lock().unwrap() = Some(stream.clone());
    assert_eq!(stream.trim(Trim::to_len(1)).unwrap(), ENTRIES - 1);
    assert!(outcome.try_recv().expect("the header of a segment was read"), "somebody had to wait");
    assert_eq!((stream.len().unwrap(), stream.info().unwrap().segments), (2, 1));
}

#[test]
fn nobody_waits_for_a_reader_of_what_was_trimmed() {
    const READER: &str = "reader";
    let directory = tempfile::tempdir().unwrap();
    let ids = fill(directory.path());
    for entry in std::fs::read_dir(directory.path().join("streams/s")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|is| is == "idx") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let (opening, is_opening): (Sender<()>, _) = channel();
    let (go_on, may_go_on): (Sender<()>, Receiver<()>) = channel();
    let may_go_on = Mutex::new(may_go_on);
    let tell = move |call: &streamlog::sim::Call| {
        // It has made the index of a segment that it opens, and is about to write it.
        let is_index = call.op == Op::Create && call.path.to_string_lossy().contains(".idx");
        if is_index && std::thread::current().name() == Some(READER) {
            opening.send(()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
        }
        None
    };
    let store = Store::open_observed(options(), directory.path(), tell).unwrap();
    let stream = store.stream("s").unwrap();
    assert_eq!(stream.len().unwrap(), ENTRIES);
    let second = ids[10];
    let reading = stream.clone();
    let read = move || reading.range(second..).next().map(|entry| entry.map(|entry| entry.id()));
    let reader = Builder::new().name(READER.to_owned()).spawn(read).unwrap();
    is_opening.recv_timeout(SOON).unwrap();
    let trimming = stream.clone();
    let trimmer = std::thread::spawn(move || trimming.trim(Trim::to_len(1)).unwrap());
    let is_done = look_and_add(stream.clone(), |stream| stream.info().unwrap().segments == 1);
    let done = is_done.recv_timeout(SOON);
    go_on.send(()).unwrap();
    assert!(done.is_ok(), "somebody had to wait");
    assert_eq!(trimmer.join().unwrap(), ENTRIES - 1);
    assert_eq!(reader.join().unwrap().unwrap().unwrap(), second);
}
