//! Limits of the process: descriptors, mappings, address space, the size of files. Each ends in an error that says so, or is
//! not noticed at all; none in a signal.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use streamlog::{Durability, Error, GroupOptions, Options, Position, Store, Trim};

use crate::children::{self, Role};
use crate::kernel;
use crate::mounts::{scratch, text};
use crate::runner::{Outcome, Test};

pub const TESTS: &[Test] = &[
    ("a_thousand_streams_need_no_more_than_64_descriptors", many_streams),
    ("without_a_descriptor_left_a_call_fails_and_the_next_one_does_not", no_descriptors),
    ("segments_that_cannot_be_mapped_do_not_use_up_descriptors", unmapped_segments),
    ("a_store_larger_than_the_address_space_is_read", small_address_space),
    ("without_a_mapping_left_a_store_works", no_maps),
    ("segments_are_as_small_as_files_may_be", small_files),
    ("a_limit_too_small_for_a_store_is_an_error", tiny_files),
];
pub const ROLES: &[Role] = &[
    ("many-streams", many_streams_child),
    ("no-descriptors", no_descriptors_child),
    ("unmapped-segments", unmapped_segments_child),
    ("gib", gib_child),
    ("small-address-space", small_address_space_child),
    ("no-maps", no_maps_child),
    ("small-files", small_files_child),
    ("tiny-files", tiny_files_child),
];

fn in_child(role: &str) -> Outcome {
    let scratch = scratch();
    Outcome::Passed(children::run(role, &[text(scratch.path())]).trim().to_owned())
}

fn many_streams() -> Outcome {
    in_child("many-streams")
}

fn no_descriptors() -> Outcome {
    in_child("no-descriptors")
}

fn unmapped_segments() -> Outcome {
    in_child("unmapped-segments")
}

fn no_maps() -> Outcome {
    in_child("no-maps")
}

fn small_files() -> Outcome {
    in_child("small-files")
}

fn tiny_files() -> Outcome {
    in_child("tiny-files")
}

fn os() -> Options {
    Options::new().durability(Durability::Os)
}

fn many_streams_child(arguments: &[String]) {
    kernel::limit(libc::RLIMIT_NOFILE, 64);
    let options = || os().open_streams_max(10_000);
    let store = options().open(&arguments[0]).unwrap();
    let streams: Vec<_> = (0..1000).map(|n| store.stream(format!("s{n}")).unwrap()).collect();
    for round in 0..2 {
        for stream in &streams {
            stream.add([("round", format!("{round}"))]).unwrap();
        }
    }
    for stream in &streams {
        stream.group("g").create(Position::Start).unwrap();
    }
    for stream in &streams {
        let consumer = stream.group("g").consumer("c");
        let delivered = consumer.read().new_entries().unwrap();
        assert_eq!(delivered.len(), 2);
        assert_eq!(consumer.ack([delivered[0].id()]).unwrap(), 1);
    }
    store.sync().unwrap();
    // One read of all of them holds them all: more than there are descriptors.
    let all = streams
        .iter()
        .fold(store.read(), |read, stream| read.stream(stream, streamlog::ReadFrom::After(streamlog::StreamId::MIN)));
    assert_eq!(all.run().unwrap().len(), 1000);
    drop(streams);
    store.close().unwrap();
    let store = options().open(&arguments[0]).unwrap();
    for name in store.names().unwrap() {
        let stream = store.stream(&name).unwrap();
        assert!(stream.recovery().unwrap().is_clean);
        assert_eq!((stream.len().unwrap(), stream.group("g").pending().unwrap().count), (2, 1));
    }
    store.close().unwrap();
    println!("1000 streams written, read, read by groups, opened again");
}

/// All descriptors that there are.
fn take_all_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

fn no_descriptors_child(arguments: &[String]) {
    kernel::limit(libc::RLIMIT_NOFILE, 64);
    let store = os().segment_bytes_max(8 << 10).open(&arguments[0]).unwrap();
    let (mut refused, mut done) = (0, 0);
    let mut count = |result: Result<u64, Error>| match result {
        Ok(_) => done += 1,
        Err(Error::NoDescriptors { .. }) => refused += 1,
        Err(error) => panic!("{error:?}"),
    };
    for round in 0..10 {
        let mut streams = Vec::new();
        for n in 0..20 {
            streams.push(store.stream(format!("s{n}")).unwrap());
            streams[n].add([("n", [0; 100])]).unwrap();
        }
        let taken = take_all_descriptors();
        for stream in &streams {
            let group = stream.group(format!("g{round}"));
            count(group.create(Position::Start).map(|()| 0));
            count(group.consumer("c").read().new_entries().map(|_| 0).or_else(|error| match error {
                Error::GroupNotFound { .. } => Ok(0),
                error => Err(error),
            }));
            for _ in 0..30 {
                count(stream.add([("n", [0; 1000])]).map(|_| 0));
            }
            count(stream.range(..).next().unwrap().map(|_| 0));
            count(stream.trim(Trim::to_len(20)));
        }
        count(store.stream(format!("new{round}")).unwrap().add([("a", "b")]).map(|_| 0));
        count(store.delete([format!("new{round}")]));
        drop(taken);
        // There are descriptors again, and nothing is left of it.
        for stream in &streams {
            stream.add([("n", [0; 1000])]).unwrap();
            stream.trim(Trim::to_len(20)).unwrap();
            assert_eq!(stream.range(..).map(Result::unwrap).count(), stream.len().unwrap() as usize);
        }
    }
    store.close().unwrap();
    println!("{refused} calls refused, {done} not");
}

fn unmapped_segments_child(arguments: &[String]) {
    let store = os().segment_bytes_max(4 << 10).open(&arguments[0]).unwrap();
    for n in 0..10 {
        let stream = store.stream(format!("s{n}")).unwrap();
        for _ in 0..200 {
            stream.add([("n", [0; 1000])]).unwrap();
        }
    }
    store.close().unwrap();
    kernel::limit(libc::RLIMIT_NOFILE, 64);
    let store = os().open(&arguments[0]).unwrap();
    let maps = kernel::use_up_maps();
    for n in 0..10 {
        let stream = store.stream(format!("s{n}")).unwrap();
        assert_eq!(stream.range(..).map(Result::unwrap).count(), 200);
        assert_eq!(stream.range(..).rev().map(Result::unwrap).count(), 200);
    }
    store.close().unwrap();
    println!("{maps} maps taken, 10 streams of 50 segments read");
}

fn gib_child(arguments: &[String]) {
    let store = os().open(&arguments[0]).unwrap();
    let stream = store.stream("large").unwrap();
    let mut value = vec![0; 1 << 20];
    for n in 0..1100_u32 {
        value[..4].copy_from_slice(&n.to_le_bytes());
        stream.add([("n", &value)]).unwrap();
    }
    drop(stream);
    store.close().unwrap();
}

fn small_address_space() -> Outcome {
    let scratch = scratch();
    children::run("gib", &[text(scratch.path())]);
    Outcome::Passed(children::run("small-address-space", &[text(scratch.path())]).trim().to_owned())
}

fn small_address_space_child(arguments: &[String]) {
    kernel::limit(libc::RLIMIT_AS, 512 << 20);
    let store = os().open(&arguments[0]).unwrap();
    let stream = store.stream("large").unwrap();
    for (entry, n) in stream.range(..).zip(0_u32..) {
        assert_eq!(entry.unwrap().get("n").unwrap()[..4], n.to_le_bytes());
    }
    assert_eq!(stream.range(..).rev().count(), 1100);
    let group = stream.group("g");
    group.create(Position::Start).unwrap();
    assert_eq!(group.consumer("c").read().count(100).new_entries().unwrap().len(), 100);
    for _ in 0..100 {
        stream.add([("n", vec![1; 1 << 20])]).unwrap();
    }
    assert_eq!(stream.trim(Trim::to_len(100)).unwrap(), 1100);
    drop((stream, group));
    store.close().unwrap();
    println!("1.1 GiB read and written within 512 MiB");
}

fn no_maps_child(arguments: &[String]) {
    let store = os().segment_bytes_max(16 << 10).open(&arguments[0]).unwrap();
    let stream = store.stream("log").unwrap();
    let maps = kernel::use_up_maps();
    let use_it = |store: &Store| {
        let stream = store.stream("log").unwrap();
        let group = stream.group("g");
        let _ = group.create_with(GroupOptions::new(Position::Start).create_stream());
        for n in 0..200 {
            stream.add([("n", vec![n as u8; 1000])]).unwrap();
        }
        let delivered = group.consumer("c").read().new_entries().unwrap();
        assert_eq!(group.acknowledge(delivered.iter().map(|entry| entry.id())).unwrap(), 200);
        assert_eq!(stream.range(..).map(Result::unwrap).count() as u64, stream.len().unwrap());
    };
    use_it(&store);
    drop(stream);
    store.close().unwrap();
    let store = os().segment_bytes_max(16 << 10).open(&arguments[0]).unwrap();
    use_it(&store);
    assert_eq!(store.stream("log").unwrap().len().unwrap(), 400);
    store.close().unwrap();
    println!("{maps} maps taken before");
}

fn small_files_child(arguments: &[String]) {
    const LIMIT: u64 = 256 << 10;
    kernel::limit(libc::RLIMIT_FSIZE, LIMIT);
    let store = os().open(&arguments[0]).unwrap();
    let stream = store.stream("log").unwrap();
    let group = stream.group("g");
    group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    let consumer = group.consumer("c");
    for _ in 0..4000 {
        stream.add([("n", [0; 1000])]).unwrap();
    }
    // An entry does not fit into any file.
    let refused = stream.add([("n", vec![0; 300 << 10])]).unwrap_err();
    assert!(matches!(&refused, Error::Io { source, .. } if source.kind() == ErrorKind::FileTooLarge), "{refused:?}");
    stream.add([("n", [0; 1000])]).unwrap();
    // More changes than a journal may hold: it is written anew.
    for _ in 0..4 {
        while !consumer.read().count(50).new_entries().unwrap().is_empty() {}
        for pending in group.pending_entries().count(u64::MAX).run().unwrap() {
            assert_eq!(consumer.ack([pending.id]).unwrap(), 1);
        }
        group.set_position(Position::Start, None).unwrap();
    }
    assert_eq!(stream.range(..).map(Result::unwrap).count(), 4001);
    let longest = longest_file(Path::new(&arguments[0]));
    assert!(longest <= LIMIT, "a file of {longest} bytes");
    drop((stream, group, consumer));
    store.close().unwrap();
    let store = os().open(&arguments[0]).unwrap();
    assert_eq!(store.stream("log").unwrap().len().unwrap(), 4001);
    store.close().unwrap();
    println!("4 MB in files of at most {longest} bytes");
}

fn longest_file(directory: &Path) -> u64 {
    let lens = std::fs::read_dir(directory).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() { longest_file(&entry.path()) } else { metadata.len() }
    });
    lens.max().unwrap_or(0)
}

fn tiny_files_child(arguments: &[String]) {
    for limit in [6000, 1000, 10, 0] {
        kernel::limit(libc::RLIMIT_FSIZE, limit);
        let path = Path::new(&arguments[0]).join(limit.to_string());
        let refused = match os().open(&path) {
            Ok(store) => store.stream("log").unwrap().add([("a", vec![0; 5000])]).map(|_| ()),
            Err(error) => Err(error),
        };
        let is_told = matches!(&refused, Err(Error::Io { source, .. }) if source.kind() == ErrorKind::FileTooLarge);
        assert!(is_told, "{refused:?}");
    }
    println!("4 limits");
}
