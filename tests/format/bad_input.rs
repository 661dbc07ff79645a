//! Promise: bad input gets an error that names what is wrong and where, and leaves everything as it was.

use std::fs;
use std::path::{Path, PathBuf};

use streamlog::{
    AddOptions, ENTRY_LEN_MAX, Error, NAME_LEN_MAX, NewId, Options, SetId, SetIdConflict, Store, StreamId, Trim,
};
use tempfile::TempDir;

use crate::harness::error_of;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// All files below a directory, with their bytes.
fn tree(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for item in fs::read_dir(directory).unwrap() {
            let path = item.unwrap().path();
            match path.symlink_metadata().unwrap() {
                meta if meta.is_dir() => directories.push(path),
                meta if meta.is_file() => found.push((path.clone(), fs::read(&path).unwrap())),
                _ => found.push((path, Vec::new())),
            }
        }
    }
    found.sort();
    found
}

/// A closed store with the stream `s` of three entries.
fn store_in(path: &Path) {
    let store = Store::open(path).unwrap();
    let stream = store.stream("s").unwrap();
    for ms in 1..=3 {
        stream.add_with(AddOptions::new().id(StreamId::new(ms, 0)), [("n", ms.to_string())]).unwrap();
    }
    store.close().unwrap();
}

#[test]
fn names_may_be_empty_binary_and_long_but_not_too_long() {
    let root = directory();
    let longest = vec![0xfe; NAME_LEN_MAX];
    let names: [&[u8]; 6] = [b"", b"\0", b"../../etc/passwd", b"a/b", b"\xff\xfe", &longest];
    let store = Store::open(root.path()).unwrap();
    for name in names {
        store.stream(name).unwrap().add([("name", name)]).unwrap();
    }
    let too_long = vec![b'x'; NAME_LEN_MAX + 1];
    for error in [
        error_of(store.stream(&too_long)),
        error_of(store.rename("a/b", &too_long)),
        error_of(store.copy("a/b", &too_long)),
        error_of(store.create(&too_long)),
    ] {
        assert!(matches!(error, Error::NameTooLong { len: 3073, max: 3072, .. }), "{error}");
    }
    store.close().unwrap();
    let store = Store::open(root.path()).unwrap();
    let mut expected: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
    expected.sort();
    assert_eq!(store.names().unwrap(), expected);
    for name in names {
        let entry = store.stream(name).unwrap().last().unwrap().unwrap();
        assert_eq!(entry.get("name"), Some(name));
    }
    // Nothing has left the directory.
    let outside = fs::read_dir(root.path().parent().unwrap()).unwrap().any(|item| item.unwrap().file_name() == "etc");
    assert!(!outside);
}

#[test]
fn an_entry_without_fields_or_over_the_limit_is_refused_and_leaves_no_stream() {
    let store = Store::in_memory();
    let stream = store.stream("s").unwrap();
    let no_fields: [(&str, &str); 0] = [];
    assert!(matches!(error_of(stream.add(no_fields)), Error::NoFields));
    assert!(matches!(error_of(stream.add_batch([(NewId::Auto, no_fields)])), Error::NoFields));
    // A batch of three entries, each below the limit, of 1.2 GB together: refused before anything is written.
    let third = vec![0u8; 400 << 20];
    let batch = (0..3).map(|_| (NewId::Auto, [("value", third.as_slice())]));
    let error = error_of(stream.add_batch(batch));
    assert!(matches!(error, Error::EntryTooLarge { len, max: ENTRY_LEN_MAX, .. } if len > ENTRY_LEN_MAX), "{error}");
    assert!(!stream.exists().unwrap() && store.names().unwrap().is_empty());
}

#[test]
fn ids_at_both_ends_of_the_range() {
    let store = Store::in_memory();
    let stream = store.stream("s").unwrap();
    let add = |id: NewId| stream.add_with(AddOptions::new().id(id), [("n", "v")]);
    assert!(matches!(error_of(add(NewId::Exact(StreamId::MIN))), Error::IdZero));
    assert!(!stream.exists().unwrap(), "a refused add creates nothing");
    assert_eq!(add(NewId::AutoSequence(0)).unwrap(), Some(StreamId::new(0, 1)));
    let last = StreamId::new(0, 1);
    assert!(
        matches!(error_of(add(NewId::Exact(last))), Error::IdTooSmall { id, last: l, .. } if id == last && l == last)
    );
    let before_last = StreamId::new(u64::MAX, u64::MAX - 1);
    assert_eq!(add(NewId::Exact(before_last)).unwrap(), Some(before_last));
    assert_eq!(add(NewId::Auto).unwrap(), Some(StreamId::MAX));
    for id in [NewId::Auto, NewId::AutoSequence(5), NewId::Exact(StreamId::new(1, 1))] {
        assert!(matches!(error_of(add(id)), Error::IdsExhausted), "{id:?}");
    }
    assert_eq!(stream.len().unwrap(), 3);
    assert_eq!(stream.get(StreamId::MAX).unwrap().unwrap().id(), StreamId::MAX);
    assert_eq!(stream.range(StreamId::MAX..).count(), 1);
    let all = (std::ops::Bound::Excluded(StreamId::MAX), std::ops::Bound::Unbounded);
    assert_eq!(stream.range(all).count(), 0);
    assert_eq!(stream.range(StreamId::MAX..StreamId::MIN).count(), 0);
    assert_eq!(stream.trim(Trim::before(StreamId::MAX)).unwrap(), 2);
    assert_eq!(stream.delete([StreamId::MIN, StreamId::MAX, StreamId::MAX]).unwrap(), 1);
    let conflict = error_of(stream.set_id(SetId::new(StreamId::new(5, 0))));
    assert!(matches!(conflict, Error::SetId { reason: SetIdConflict::BelowMaxDeleted, .. }), "{conflict}");
}

#[test]
fn what_needs_a_stream_says_which_one_is_missing() {
    let store = Store::in_memory();
    let stream = store.stream("nobody").unwrap();
    for error in [
        error_of(stream.info()),
        error_of(stream.set_id(SetId::new(StreamId::MAX))),
        error_of(store.rename("nobody", "other")),
    ] {
        assert!(matches!(&error, Error::StreamNotFound { name, .. } if name == "nobody"), "{error}");
    }
    assert_eq!((stream.len().unwrap(), stream.range(..).count()), (0, 0));
    assert_eq!((stream.trim(Trim::to_len(0)).unwrap(), stream.delete([StreamId::MAX]).unwrap()), (0, 0));
}

#[test]
fn a_directory_of_something_else_is_refused_and_left_alone() {
    let root = directory();
    fs::write(root.path().join("notes.txt"), "mine").unwrap();
    let before = tree(root.path());
    let error = error_of(Store::open(root.path()));
    assert!(matches!(&error, Error::NotAStore { path, .. } if path == root.path()), "{error}");
    assert_eq!(tree(root.path()), before);
    let file = root.path().join("notes.txt");
    assert!(matches!(error_of(Store::open(&file)), Error::NotAStore { .. }));
    let missing = root.path().join("missing");
    let error = error_of(Options::new().create(false).open(&missing));
    assert!(matches!(&error, Error::Io { path, .. } if *path == missing), "{error}");
    assert!(!missing.exists());
    let empty = directory();
    assert!(matches!(error_of(Options::new().create(false).open(empty.path())), Error::NotAStore { .. }));
    assert_eq!(tree(empty.path()), []);
}

#[test]
fn a_store_without_its_lock_file_or_with_another_one_is_refused_and_left_alone() {
    let root = directory();
    store_in(root.path());
    let lock = fs::read(root.path().join("LOCK")).unwrap();
    fs::remove_file(root.path().join("LOCK")).unwrap();
    let before = tree(root.path());
    assert!(matches!(error_of(Store::open(root.path())), Error::NotAStore { .. }));
    assert_eq!(tree(root.path()), before);
    for bytes in [&b""[..], b"something else", &lock[..20], &[lock.as_slice(), b"more"].concat()] {
        fs::write(root.path().join("LOCK"), bytes).unwrap();
        let before = tree(root.path());
        let error = error_of(Store::open(root.path()));
        assert!(matches!(&error, Error::Corrupt { path, .. } if path.ends_with("LOCK")), "{error}");
        assert_eq!(tree(root.path()), before);
    }
    fs::write(root.path().join("LOCK"), lock).unwrap();
    assert_eq!(Store::open(root.path()).unwrap().stream("s").unwrap().len().unwrap(), 3);
}

#[test]
fn a_stream_of_another_store_is_refused_and_left_alone() {
    let (ours, theirs) = (directory(), directory());
    store_in(ours.path());
    store_in(theirs.path());
    fs::rename(theirs.path().join("streams/s"), ours.path().join("streams/theirs")).unwrap();
    let store = Store::open(ours.path()).unwrap();
    let before = tree(&ours.path().join("streams"));
    let error = error_of(store.stream("theirs").unwrap().len());
    assert!(matches!(&error, Error::Corrupt { path, .. } if path.ends_with("streams/theirs/meta")), "{error}");
    assert_eq!(tree(&ours.path().join("streams")), before);
    assert_eq!(store.stream("s").unwrap().len().unwrap(), 3);
}

#[cfg(unix)]
#[test]
fn links_directories_and_pipes_in_the_place_of_files_are_refused_and_not_followed() {
    let link = |target: &Path, path: &Path| std::os::unix::fs::symlink(target, path).unwrap();
    for name in ["LOCK", "streams/s/meta", "streams/s/00000000000000000001.log"] {
        for kind in ["link", "directory"] {
            let (root, outside) = (directory(), directory());
            store_in(root.path());
            let (path, moved) = (root.path().join(name), outside.path().join("moved"));
            fs::rename(&path, &moved).unwrap();
            match kind {
                "link" => link(&moved, &path),
                _ => fs::create_dir(&path).unwrap(),
            }
            let before = (tree(root.path()), fs::read(&moved).unwrap());
            let opened = Store::open(root.path()).and_then(|store| store.stream("s")?.len());
            let error = error_of(opened);
            let named = match &error {
                Error::Corrupt { path, .. } | Error::Io { path, .. } => path.ends_with(name),
                _ => false,
            };
            assert!(named, "{kind} at {name}: {error}");
            assert_eq!((tree(root.path()), fs::read(&moved).unwrap()), before, "{kind} at {name}");
        }
    }
    // A link in the place of a stream is no stream.
    let (root, outside) = (directory(), directory());
    store_in(root.path());
    link(outside.path(), &root.path().join("streams/linked"));
    let store = Store::open(root.path()).unwrap();
    let error = error_of(store.stream("linked").unwrap().add([("n", "v")]));
    assert!(matches!(&error, Error::Corrupt { path, .. } if path.ends_with("streams/linked")), "{error}");
    assert_eq!(tree(outside.path()), []);
    assert_eq!(store.names().unwrap(), [b"s"]);
}

#[test]
fn a_second_opener_is_told_that_it_is_locked_until_the_first_has_closed() {
    let root = directory();
    let store = Store::open(root.path()).unwrap();
    let forgotten = store.stream("s").unwrap();
    let error = error_of(Store::open(root.path()));
    assert!(matches!(&error, Error::Locked { path, .. } if path == root.path()), "{error}");
    // By another name, too.
    #[cfg(unix)]
    {
        let outside = directory();
        let alias = outside.path().join("alias");
        std::os::unix::fs::symlink(root.path(), &alias).unwrap();
        assert!(matches!(error_of(Store::open(&alias)), Error::Locked { .. }));
    }
    store.close().unwrap();
    let again = Store::open(root.path()).unwrap();
    assert!(matches!(error_of(forgotten.add([("n", "v")])), Error::Closed));
    assert!(matches!(error_of(forgotten.len()), Error::Closed));
    again.stream("s").unwrap().add([("n", "v")]).unwrap();
}

#[cfg(unix)]
#[test]
fn directories_and_files_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let outside = directory();
    let root = outside.path().join("store");
    store_in(&root);
    let mut paths = vec![root.clone(), root.join("streams"), root.join("streams/s"), root.join("tmp")];
    paths.extend(tree(&root).into_iter().map(|(path, _)| path));
    for path in paths {
        let meta = fs::metadata(&path).unwrap();
        let expected = if meta.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(meta.permissions().mode() & 0o777, expected, "{}", path.display());
    }
}
