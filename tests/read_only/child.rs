//! The process that writes, until it is killed.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use streamlog::{Durability, GroupOptions, Options, StreamId, Trim};

/// What it is told in its environment: the level, and the directory.
pub const ORDER: &str = "STREAMLOG_READ_ONLY_CHILD";
pub const STREAM: &str = "busy";
/// The bytes of a value.
pub const VALUE_LEN: usize = 1000;
/// The most bytes of a segment.
pub const SEGMENT_LEN: u64 = 8 << 10;

/// It ends by itself after this time: its parent has died.
const LIFETIME: Duration = Duration::from_secs(120);
/// So many entries may be there that were not read yet: those that are read are trimmed, and no others.
const AHEAD: u64 = 2000;

pub fn options(level: Durability) -> Options {
    Options::new().durability(level).segment_bytes_max(SEGMENT_LEN).checkpoint_bytes_min(4 << 10)
}

/// Not a test of its own: what [`super::kills`] starts.
#[test]
#[ignore = "it is started by another test"]
fn child() {
    let Some(order) = std::env::var_os(ORDER) else { return };
    let order = order.into_string().expect("text");
    let (level, directory) = order.split_once(' ').expect("a level and a directory");
    let level = if level == "always" { Durability::Always } else { Durability::Os };
    // What its parent has read, as the number and the ID of an entry; a line each time.
    let read = Mutex::new((0, StreamId::MIN));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for line in std::io::stdin().lock().lines() {
                let line = line.expect("text");
                let (number, id) = line.split_once(' ').expect("a number and an ID");
                *read.lock().unwrap() = (number.parse().unwrap(), id.parse().unwrap());
            }
            // Nobody reads any more.
            std::process::exit(0);
        });
        write(&PathBuf::from(directory), level, &read)
    });
}

/// Adds entries with numbers that go on from the last one there is, as fast as it can; and trims them when they were read.
fn write(directory: &std::path::Path, level: Durability, read: &Mutex<(u64, StreamId)>) {
    let begun = Instant::now();
    let store = options(level).open(directory).unwrap();
    let stream = store.stream(STREAM).unwrap();
    let group = stream.group("g");
    if !group.exists().unwrap() {
        group.create_with(GroupOptions::new(streamlog::Position::Start).create_stream()).unwrap();
    }
    let consumer = group.consumer("c");
    let last = stream.last().unwrap();
    let mut number: u64 = last.map_or(0, |last| std::str::from_utf8(last.get("n").unwrap()).unwrap().parse().unwrap());
    let value = "x".repeat(VALUE_LEN);
    let mut trimmed = StreamId::MIN;
    while begun.elapsed() < LIFETIME {
        let (seen, id) = *read.lock().unwrap();
        if number >= seen + AHEAD {
            std::thread::sleep(Duration::from_micros(100));
            continue;
        }
        number += 1;
        stream.add([("n", &number.to_string()), ("value", &value)]).unwrap();
        if number.is_multiple_of(64) && id > trimmed {
            stream.trim(Trim::before(id)).unwrap();
            trimmed = id;
        }
        if number.is_multiple_of(16) {
            let given = consumer.read().count(16).new_entries().unwrap();
            consumer.ack(given.iter().map(|entry| entry.id())).unwrap();
        }
    }
}
