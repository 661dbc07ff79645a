//! A store on media that cannot be written to can be verified, dumped and read, also one that was not closed.

use std::path::Path;

use streamlog::inspect::Inspection;
use streamlog::{Durability, Error, Options, Position, Store};

use crate::mounts::{Mount, run, scratch, text};
use crate::runner::{Outcome, Test};

pub const TESTS: &[Test] = &[
    ("a_store_on_a_read_only_mount_is_verified_and_dumped", on_ext4),
    ("a_store_on_squashfs_is_verified_and_dumped", on_squashfs),
];

/// Stores that were closed, and that were not; returns the path of the second.
fn fill(path: &Path) {
    for name in ["closed", "left"] {
        let options = Options::new().durability(Durability::Os).segment_bytes_max(8 << 10);
        let store = options.open(path.join(name)).unwrap();
        let stream = store.stream("log").unwrap();
        for n in 0..100 {
            stream.add([("n", format!("{n:0>300}"))]).unwrap();
        }
        stream.group("g").create(Position::Start).unwrap();
        stream.group("g").consumer("c").read().count(5).new_entries().unwrap();
        store.sync().unwrap();
        if name == "left" {
            // As it is while it is open.
            run("cp", &["-r", text(&path.join("left")), text(&path.join("copy"))]).unwrap();
        }
        drop(stream);
        store.close().unwrap();
    }
}

fn look(path: &Path) {
    for name in ["closed", "copy"] {
        let path = path.join(name);
        let inspection = Inspection::open(&path).unwrap();
        let reports = inspection.verify().unwrap();
        assert!(reports.iter().all(|report| report.findings.is_empty()), "{reports:?}");
        let mut items = 0;
        inspection
            .dump_stream(b"log", |_| {
                items += 1;
                Ok::<(), Error>(())
            })
            .unwrap();
        assert!(items > 100, "{items} items");
        let log = Store::open_read_only(&path).unwrap().stream("log").unwrap();
        assert_eq!((log.range(..).count(), log.group("g").pending().unwrap().count), (100, 5));
        let refused = Store::open(&path).unwrap_err();
        let is_told =
            matches!(&refused, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::ReadOnlyFilesystem);
        assert!(is_told, "{refused:?}");
    }
}

fn on_ext4() -> Outcome {
    let mut mount = match Mount::new("ext4", 16, &[]) {
        Ok(mount) => mount,
        Err(why) => return Outcome::Skipped(why),
    };
    fill(&mount.at);
    mount.unmount().unwrap();
    mount.mount("ro").unwrap();
    look(&mount.at);
    Outcome::Passed("a store that was closed, and a copy of one that was open".to_owned())
}

fn on_squashfs() -> Outcome {
    let scratch = scratch();
    fill(scratch.path());
    let image = scratch.path().join("image");
    if let Err(why) =
        run("mksquashfs", &[text(&scratch.path().join("closed")), text(&scratch.path().join("copy")), text(&image)])
    {
        return Outcome::Skipped(why);
    }
    match Mount::of_image(&image, "ro") {
        Ok(mount) => look(&mount.at),
        Err(why) => return Outcome::Skipped(why),
    }
    Outcome::Passed("a store that was closed, and a copy of one that was open".to_owned())
}
