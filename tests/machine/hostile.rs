//! A directory in which somebody has put something else under the names of files: an error that says so, in time; nothing
//! outside the directory is touched, and streams that it does not concern go on.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};

use streamlog::inspect::Inspection;
use streamlog::{Durability, Error, Options, Position, Store};

use crate::kernel;
use crate::mounts::scratch;
use crate::runner::{Outcome, Test};

pub const TESTS: &[Test] = &[
    ("whatever_stands_under_the_name_of_a_file_is_an_error_or_harmless", foreign_things),
    ("a_directory_that_was_moved_away_takes_nothing_that_is_not_its_own", moved_away),
    ("a_second_process_is_told_that_the_store_is_locked", locked),
];

fn options() -> Options {
    Options::new().durability(Durability::Os).segment_bytes_max(4 << 10)
}

/// A store with a stream of some sealed segments, an active one and a journal, and a stream beside it.
fn fill(path: &Path) {
    let store = options().open(path).unwrap();
    let stream = store.stream("log").unwrap();
    for n in 0..30 {
        stream.add([("n", format!("{n:0>400}"))]).unwrap();
    }
    stream.group("g").create(Position::Start).unwrap();
    stream.group("g").consumer("c").read().count(5).new_entries().unwrap();
    store.stream("beside").unwrap().add([("a", "b")]).unwrap();
    drop(stream);
    store.close().unwrap();
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.clone());
        if path.is_dir() {
            found.extend(files(&path));
        }
    }
    found
}

const THINGS: [&str; 7] = ["link", "dangling", "link to a directory", "loop", "pipe", "directory", "device"];

fn put(thing: &str, at: &Path, outside: &Path) -> bool {
    match thing {
        "link" => symlink(outside.join("file"), at).unwrap(),
        "dangling" => symlink(outside.join("nothing"), at).unwrap(),
        "link to a directory" => symlink(outside, at).unwrap(),
        "loop" => symlink(at, at).unwrap(),
        "directory" => fs::create_dir(at).unwrap(),
        _ => {
            let path = CString::new(at.as_os_str().as_bytes()).unwrap();
            let kind = if thing == "pipe" { libc::S_IFIFO } else { libc::S_IFCHR };
            return kernel::make_node(&path, kind | 0o600, 1, 5);
        }
    }
    true
}

fn foreign_things() -> Outcome {
    let template = scratch();
    fill(&template.path().join("store"));
    let mut names: Vec<PathBuf> = files(&template.path().join("store"));
    names.iter_mut().for_each(|name| *name = name.strip_prefix(template.path().join("store")).unwrap().to_owned());
    // Also those that are there for a moment only.
    names.extend(
        ["intent", "intent.new", "tmp/left", "streams/new", "streams/log/00000000000000000099.log.new"]
            .map(PathBuf::from),
    );
    let next = names.iter().filter_map(|name| name.to_str()?.strip_suffix(".journal")).next().map(str::to_owned);
    names.extend(next.map(|name| PathBuf::from(name.replace("01", "02") + ".journal.new")));
    names.sort();
    let (mut cells, mut refused, mut devices) = (0, 0, 0);
    for name in &names {
        for thing in THINGS {
            let scratch = scratch();
            let (store, outside) = (scratch.path().join("store"), scratch.path().join("outside"));
            fill(&store);
            fs::create_dir(&outside).unwrap();
            fs::write(outside.join("file"), "outside").unwrap();
            let at = store.join(name);
            let _ = if at.is_dir() { fs::remove_dir_all(&at) } else { fs::remove_file(&at) };
            if !put(thing, &at, &outside) {
                continue;
            }
            devices += u32::from(fs::symlink_metadata(&at).unwrap().file_type().is_char_device());
            let concerns_all = name.components().count() == 1 || name.starts_with("streams/beside");
            let status = kernel::in_fork(|| use_it(&store, concerns_all));
            assert!(status <= 1, "{thing} at {name:?}: status {status}");
            refused += status;
            cells += 1;
            let left: Vec<_> = fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["file"], "{thing} at {name:?} led outside");
            assert_eq!(fs::read(outside.join("file")).unwrap(), b"outside", "{thing} at {name:?} led outside");
        }
    }
    Outcome::Passed(format!("{cells} stores, {refused} of them refused something, {devices} with a device"))
}

/// Does all kinds of things; 1 if some of them failed. A panic, a signal or a hang is something else.
fn use_it(path: &Path, concerns_all: bool) -> i32 {
    let mut failed = false;
    let mut note = |ok: bool| failed |= !ok;
    if let Ok(inspection) = Inspection::open(path) {
        note(inspection.verify().is_ok());
        for name in inspection.names().unwrap_or_default() {
            note(inspection.dump_stream(&name, |_| Ok::<(), Error>(())).is_ok());
        }
    }
    let store = match options().open(path) {
        Ok(store) => store,
        Err(error) => {
            assert!(concerns_all, "the store opens: {error:?}");
            assert!(!error.to_string().is_empty());
            return 1;
        }
    };
    note(store.names().is_ok());
    let stream = store.stream("log").unwrap();
    note(stream.range(..).all(|entry| entry.is_ok()));
    for _ in 0..20 {
        note(stream.add([("n", [0; 1000])]).is_ok());
    }
    let group = stream.group("g");
    note(group.consumer("c").read().new_entries().is_ok());
    note(group.pending_entries().run().and_then(|all| group.acknowledge(all.iter().map(|one| one.id))).is_ok());
    note(stream.trim(streamlog::Trim::to_len(1)).is_ok());
    note(store.stream("new").unwrap().add([("a", "b")]).is_ok());
    let is_there = store.stream("beside").unwrap().add([("a", "b")]).is_ok();
    // A failed write in one stream stops all that writes.
    let poisoned = matches!(store.sync(), Err(Error::Poisoned { .. }));
    assert!(is_there || concerns_all || poisoned, "the stream beside goes on");
    note(store.copy_over("log", "copied").is_ok());
    note(store.rename("beside", "renamed").is_ok());
    note(store.delete(["log", "copied"]).is_ok());
    drop((stream, group));
    note(store.close().is_ok());
    i32::from(failed)
}

fn moved_away() -> Outcome {
    let scratch = scratch();
    let (path, aside) = (scratch.path().join("store"), scratch.path().join("aside"));
    fill(&path);
    let store = options().open(&path).unwrap();
    let stream = store.stream("log").unwrap();
    stream.add([("before", "it")]).unwrap();
    let len = stream.len().unwrap();
    fs::rename(&path, &aside).unwrap();
    // Another one takes its place, with a stream of the same name.
    fill(&path);
    let (mut added, mut refused) = (0, None);
    for _ in 0..50 {
        match stream.add([("n", [0; 500])]) {
            Ok(_) => added += 1,
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let refused = refused.expect("there is no room in the segment that is open");
    assert!(matches!(&refused, Error::Io { .. }), "{refused:?}");
    let created = store.stream("other").unwrap().add([("a", "b")]);
    assert!(matches!(created, Err(Error::Io { action: "create", .. })), "{created:?}");
    let deleted = store.delete(["beside"]);
    assert!(matches!(deleted, Err(Error::Io { action: "rename", .. })), "{deleted:?}");
    drop(stream);
    let _ = store.close();
    // Neither has anything of the other, or has lost anything.
    for (path, len) in [(&path, 30), (&aside, len + added)] {
        let findings = Inspection::open(path).unwrap().verify().unwrap();
        assert!(findings.iter().all(|report| report.findings.is_empty()), "{findings:?}");
        let store = options().open(path).unwrap();
        assert_eq!(store.names().unwrap(), [&b"beside"[..], b"log"]);
        let stream = store.stream("log").unwrap();
        assert_eq!(stream.range(..).map(Result::unwrap).count() as u64, len);
        stream.add([("a", "b")]).unwrap();
    }
    Outcome::Passed(format!("{added} entries into the segment that was open"))
}

fn locked() -> Outcome {
    let scratch = scratch();
    let path = scratch.path().join("store");
    let store = Store::open(&path).unwrap();
    store.stream("log").unwrap().add([("a", "b")]).unwrap();
    let beside = scratch.path().join("link");
    symlink(&path, &beside).unwrap();
    let status = kernel::in_fork(|| {
        assert!(matches!(Store::open(&path), Err(Error::Locked { .. })));
        assert!(matches!(Store::open(&beside), Err(Error::Locked { .. })), "also by another path");
        0
    });
    assert_eq!(status, 0);
    // Without the lock file nobody can tell: it is refused.
    fs::remove_file(path.join("LOCK")).unwrap();
    assert!(matches!(Store::open(&path), Err(Error::NotAStore { .. })));
    store.stream("log").unwrap().add([("a", "b")]).unwrap();
    store.close().unwrap();
    Outcome::Passed("by a second process, by another path, without the lock file".to_owned())
}
