//! What stays in memory: of what is stored nothing to speak of, of what is pending some 42 bytes each; and what it takes to
//! write a stream as commands, and to read them.
//!
//! Each figure is of a process of its own.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::Command;

use streamlog::transfer::{Import, Part};
use streamlog::{Durability, Error, Position};

mod common;
use common::{Goals, STREAM, anonymous_kib, events, fill, open, scaled};

const CHILD: &str = "STREAMLOG_BENCH_CHILD";

fn mib() -> f64 {
    anonymous_kib() as f64 / 1024.0
}

fn write(path: &Path, count: u64) {
    let store = open(path, Durability::Os);
    fill(&store.stream(STREAM).unwrap(), &events(0), 0..count, 1);
    Goals.at_most(&format!("anonymous memory after writing {count} entries"), mib(), "MiB", 16.0);
    store.close().unwrap();
}

fn scan(path: &Path, count: u64) {
    let store = open(path, Durability::Os);
    let stream = store.stream(STREAM).unwrap();
    assert_eq!(stream.len().unwrap(), count);
    Goals.at_most("after opening", mib(), "MiB", 16.0);
    assert_eq!(stream.range(..).map(Result::unwrap).count() as u64, count);
    Goals.at_most("after reading all of them", mib(), "MiB", 16.0);
    assert_eq!(stream.range(..).rev().map(Result::unwrap).count() as u64, count);
    Goals.at_most("and once more from the end", mib(), "MiB", 16.0);
    store.close().unwrap();
}

fn pending(path: &Path, count: u64) {
    let store = open(path, Durability::Os);
    let stream = store.stream(STREAM).unwrap();
    fill(&stream, &events(0), 0..count, 100);
    let group = stream.group("workers");
    group.create(Position::Start).unwrap();
    let before = anonymous_kib();
    let consumers = [0, 1, 2].map(|number| group.consumer(format!("c{number}")));
    for consumer in consumers.iter().cycle() {
        if consumer.read().count(100).new_entries().unwrap().is_empty() {
            break;
        }
    }
    let each = (anonymous_kib() - before) as f64 * 1024.0 / count as f64;
    Goals.at_most("all that a million pending entries take, each", each, "bytes", 48.0);
    store.close().unwrap();
}

fn opened(path: &Path, count: u64) {
    let before = anonymous_kib();
    let store = open(path, Durability::Os);
    assert_eq!(store.stream(STREAM).unwrap().group("workers").pending().unwrap().count, count);
    let each = (anonymous_kib() - before) as f64 * 1024.0 / count as f64;
    Goals.at_most("the same after opening", each, "bytes", 48.0);
    store.close().unwrap();
}

/// Writes the stream as commands, into a file beside the store.
fn export(path: &Path, _: u64) {
    let store = open(path, Durability::Os);
    let mut log = BufWriter::new(File::create(path.with_extension("log")).unwrap());
    let (before, mut highest) = (mib(), 0.0f64);
    let written = store.stream(STREAM).unwrap().export().unwrap().run(|part| {
        if let Part::Commands { bytes, .. } = part {
            log.write_all(&bytes).unwrap();
        }
        highest = highest.max(mib());
        Ok::<(), Error>(())
    });
    written.unwrap();
    log.flush().unwrap();
    Goals.at_most("what exporting a million entries takes at the most", highest - before, "MiB", 16.0);
    store.close().unwrap();
}

/// Reads these commands into another store.
fn import(path: &Path, count: u64) {
    let store = open(&path.with_extension("copy"), Durability::Os);
    let log = BufReader::new(File::open(path.with_extension("log")).unwrap());
    let (before, mut highest) = (mib(), 0.0f64);
    let mut import = Import::new(&store).unwrap();
    import.read(log, |_| highest = highest.max(mib())).unwrap();
    assert_eq!(import.finish().entries, count);
    Goals.at_most("what importing them takes at the most", highest - before, "MiB", 16.0);
    store.close().unwrap();
}

fn child(path: &Path, what: &str, count: u64) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(std::env::args().skip(1))
        .env(CHILD, format!("{}|{what}|{count}", path.display()))
        .status();
    assert!(status.unwrap().success());
}

fn main() {
    if let Ok(arguments) = std::env::var(CHILD) {
        let arguments: Vec<_> = arguments.split('|').collect();
        let (path, count) = (Path::new(arguments[0]), arguments[2].parse().unwrap());
        return match arguments[1] {
            "write" => write(path, count),
            "scan" => scan(path, count),
            "pending" => pending(path, count),
            "export" => export(path, count),
            "import" => import(path, count),
            _ => opened(path, count),
        };
    }
    let directory = tempfile::tempdir().unwrap();
    child(directory.path(), "write", scaled(10_000_000));
    child(directory.path(), "scan", scaled(10_000_000));
    let directory = tempfile::tempdir().unwrap();
    child(directory.path(), "pending", scaled(1_000_000));
    child(directory.path(), "opened", scaled(1_000_000));
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    for what in ["write", "export", "import"] {
        child(&store, what, scaled(1_000_000));
    }
}
