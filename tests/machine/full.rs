//! A disk that is full is an error, never a signal: reading, acknowledging, trimming and deleting go on, and adding works
//! again, without opening anew, once there is room.

use std::io::Write;
use std::path::Path;

use streamlog::{Durability, Error, GroupOptions, Options, Position, Store, Stream, Trim, WriteMode};

use crate::children::{self, Role};
use crate::mounts::{Mount, text};
use crate::runner::{Outcome, Test};

pub const TESTS: &[Test] = &[
    ("a_full_tmpfs_is_an_error_and_no_signal", on_tmpfs),
    ("a_full_ext4_is_an_error_and_no_signal", on_ext4),
    ("a_full_xfs_is_an_error_and_no_signal", on_xfs),
    ("a_full_btrfs_is_an_error_and_no_signal", on_btrfs),
    ("a_disk_without_inodes_left_is_an_error", without_inodes),
];
pub const ROLES: &[Role] = &[("fill", fill), ("fill-inodes", fill_inodes)];

fn on_tmpfs() -> Outcome {
    on("tmpfs", 16, &[])
}

fn on_ext4() -> Outcome {
    on("ext4", 64, &[])
}

fn on_xfs() -> Outcome {
    on("xfs", 320, &[])
}

fn on_btrfs() -> Outcome {
    on("btrfs", 128, &[])
}

/// Every way of filling a file system of this kind, each in a child on a new one.
fn on(kind: &str, mib: u64, mkfs: &[&str]) -> Outcome {
    let mut cells = Vec::new();
    for mode in ["auto", "mapped", "pwrite"] {
        // btrfs moves blocks: the documentation says what a mapping gets there.
        if kind == "btrfs" && mode == "mapped" {
            continue;
        }
        for level in ["os", "always"] {
            for filler in ["itself", "others"] {
                // It takes long to fill a disk a sync at a time.
                if level == "always" && filler == "itself" && kind != "tmpfs" {
                    continue;
                }
                let mount = match Mount::new(kind, mib, mkfs) {
                    Ok(mount) => mount,
                    Err(why) => return Outcome::Skipped(why),
                };
                let added = children::run("fill", &[text(&mount.at), mode, level, filler]);
                cells.push(format!("{mode}/{level}/{filler} {}", added.trim()));
            }
        }
    }
    Outcome::Passed(format!("{} ways, 0 signals: {}", cells.len(), cells.join(", ")))
}

/// A file that takes all the room there is.
fn take_all_room(path: &Path) {
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    for size in [1 << 20, 64 << 10, 4096, 512, 1] {
        let bytes = vec![7; size];
        while file.write_all(&bytes).is_ok() {}
    }
    let _ = file.sync_all();
}

fn fill(arguments: &[String]) {
    let [mounted, mode, level, filler] = arguments else { panic!("four arguments") };
    let mounted = Path::new(mounted);
    let mode = match mode.as_str() {
        "auto" => WriteMode::Auto,
        "mapped" => WriteMode::Mapped,
        _ => WriteMode::Pwrite,
    };
    let durability = if level == "always" { Durability::Always } else { Durability::Os };
    let options = || Options::new().durability(durability).write_mode(mode).segment_bytes_max(4 << 20);
    let store = options().open(mounted.join("store")).unwrap();
    let stream = store.stream("log").unwrap();
    let group = stream.group("g");
    let consumer = group.consumer("c");
    let other = store.stream("other").unwrap();
    group.create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
    let mut added = 0;
    for _ in 0..100 {
        other.add([("other", [1; 1000])]).unwrap();
        add(&stream, &mut added).unwrap();
    }
    consumer.read().count(50).new_entries().unwrap();

    let wall = mounted.join("wall");
    // There may be no room for a new file once the disk is full.
    std::fs::File::create(&wall).unwrap();
    if filler == "others" {
        take_all_room(&wall);
    }
    let refused = loop {
        match add(&stream, &mut added) {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused:?}");
    if filler == "itself" {
        // Others take what is left, down to the last byte.
        take_all_room(&wall);
    }
    assert!(matches!(add(&stream, &mut added), Err(Error::NoSpace { .. })));
    check(&stream, 0, added);

    // Everything but adding goes on.
    let delivered = consumer.read().count(20).new_entries().unwrap();
    assert_eq!(delivered.len(), 20);
    let pending = group.pending_entries().count(30).run().unwrap();
    assert_eq!(consumer.ack(pending.iter().map(|pending| pending.id)).unwrap(), 30);
    assert_eq!(stream.delete(pending[..5].iter().map(|pending| pending.id)).unwrap(), 5);
    check(&stream, 5, added);
    let kept = added / 2;
    assert_eq!(stream.trim(Trim::to_len(kept)).unwrap(), added - 5 - kept);
    assert_eq!(stream.len().unwrap(), kept);
    assert_eq!(store.delete(["other"]).unwrap(), 1);
    store.sync().unwrap();

    // There is room again: the same handles go on.
    std::fs::remove_file(&wall).unwrap();
    let before = added;
    for _ in 0..200 {
        add(&stream, &mut added).unwrap_or_else(|error| panic!("with room again: {error:?}"));
    }
    store.stream("new").unwrap().add([("a", "b")]).unwrap();
    assert_eq!(stream.len().unwrap(), kept + 200);
    assert!(!consumer.read().count(10).new_entries().unwrap().is_empty());
    drop((stream, group, consumer, other));
    store.close().unwrap();

    let store = options().open(mounted.join("store")).unwrap();
    let stream = store.stream("log").unwrap();
    assert!(stream.recovery().unwrap().is_clean);
    check(&stream, before - kept, added);
    assert_eq!(store.names().unwrap(), [&b"log"[..], b"new"]);
    store.close().unwrap();
    println!("{added}");
}

fn add(stream: &Stream, added: &mut u64) -> streamlog::Result<()> {
    let mut value = [0; 1024];
    value[..8].copy_from_slice(&added.to_le_bytes());
    stream.add([("n", &value[..])])?;
    *added += 1;
    Ok(())
}

/// The stream holds the entries that were added from `first` on, and no other.
fn check(stream: &Stream, first: u64, added: u64) {
    let found = stream.range(..).map(|entry| {
        let entry = entry.unwrap();
        u64::from_le_bytes(*entry.get("n").unwrap().first_chunk().unwrap())
    });
    assert!(found.eq(first..added), "the entries {first} to {added}");
}

fn without_inodes() -> Outcome {
    let mount = match Mount::new("ext4", 16, &["-N", "64"]) {
        Ok(mount) => mount,
        Err(why) => return Outcome::Skipped(why),
    };
    Outcome::Passed(children::run("fill-inodes", &[text(&mount.at)]).trim().to_owned())
}

fn fill_inodes(arguments: &[String]) {
    let path = Path::new(&arguments[0]).join("store");
    let options = || Options::new().durability(Durability::Os).segment_bytes_max(64 << 10);
    let store = options().open(&path).unwrap();
    let mut streams = 0;
    let refused = loop {
        match store.stream(format!("s{streams}")).unwrap().add([("a", "b")]) {
            Ok(_) => streams += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused:?}");
    assert!(streams > 10);
    // Those that are there go on, as far as they need no new file, and then say so.
    let first = store.stream("s0").unwrap();
    let mut added = 1;
    let refused = loop {
        match first.add([("n", [0; 1000])]) {
            Ok(_) => added += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused:?}");
    assert_eq!(first.len().unwrap(), added);
    assert_eq!(store.delete(["s1", "s2"]).unwrap(), 2);
    for _ in 0..10 {
        first.add([("n", [0; 1000])]).unwrap();
    }
    drop(first);
    store.close().unwrap();
    let store: Store = options().open(&path).unwrap();
    assert_eq!(store.names().unwrap().len(), streams - 2);
    assert_eq!(store.stream("s0").unwrap().len().unwrap(), added + 10);
    println!("{streams} streams");
}
