//! Promise: a backup shares with the store what never changes, and nothing that is done to one of them changes the other.

use std::path::Path;

use streamlog::inspect::Inspection;
use streamlog::transfer::Sharing;
use streamlog::{Options, Store, Trim};

use crate::harness::{add, assert_sound, contents, dump, fill, options, segments};

struct Scene {
    _dir: tempfile::TempDir,
    path: std::path::PathBuf,
    copy: std::path::PathBuf,
    store: Store,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let [path, copy] = ["data", "copy"].map(|name| dir.path().join(name));
    let store = options().open(&path).unwrap();
    fill(&store);
    Scene { _dir: dir, path, copy, store }
}

fn copied(from: &Path, to: &Path) -> streamlog::transfer::BackedUp {
    Inspection::open(from).unwrap().backup().sharing(Sharing::Copy).to(to, |_| {}).unwrap()
}

#[test]
fn a_backup_is_what_the_store_is() {
    let Scene { _dir, path, copy, store } = scene();
    let done = store.backup(&copy).unwrap();
    assert_eq!(done.streams, 4);
    assert!(done.bytes_shared > 10_000, "{done:?}");
    assert_eq!(dump(&copy), dump(&path));
    assert_sound(&copy);
    let opened = options().open(&copy).unwrap();
    for name in opened.names().unwrap() {
        assert!(opened.stream(&name).unwrap().recovery().unwrap().is_clean);
    }
    assert_eq!(opened.names().unwrap(), store.names().unwrap());
}

#[test]
fn what_never_changes_is_shared() {
    let Scene { _dir, path, copy, store } = scene();
    let first = store.backup(&copy).unwrap();
    let (mut ours, theirs) = (segments(&path, "orders"), segments(&copy, "orders"));
    assert!(ours.len() > 5 && ours.keys().eq(theirs.keys()));
    let last = ours.pop_last().unwrap();
    assert_ne!(theirs[&last.0], last.1, "the last segment is still being written to");
    assert!(ours.iter().all(|(name, file)| theirs[name] == *file));
    add(&store, "orders", 300..400);
    let second = store.backup(&copy).unwrap();
    assert!(second.bytes_shared > first.bytes_shared && second.bytes_copied < second.bytes_shared);
    assert_eq!(dump(&copy), dump(&path));
    assert_sound(&copy);
}

#[test]
fn copies_are_made_once() {
    let Scene { _dir, path, copy, store } = scene();
    let first = copied(&path, &copy);
    assert_eq!(first.bytes_shared, 0);
    let before = segments(&copy, "orders");
    add(&store, "orders", 300..400);
    let second = copied(&path, &copy);
    let (after, ours) = (segments(&copy, "orders"), segments(&path, "orders"));
    assert!(second.bytes_shared > 10_000, "{second:?}");
    let kept = before.iter().filter(|(name, file)| after.get(*name) == Some(file)).count();
    assert_eq!(kept, before.len() - 1, "all but the last");
    assert!(after.iter().all(|(name, file)| ours[name] != *file), "no file is the store's own");
    assert_eq!(dump(&copy), dump(&path));
    assert_sound(&copy);
    // Of a backup that shares files, a copy is made anew.
    store.backup(&copy).unwrap();
    copied(&path, &copy);
    let after = segments(&copy, "orders");
    assert!(after.iter().all(|(name, file)| ours[name] != *file));
}

#[test]
fn nothing_that_is_done_to_one_changes_the_other() {
    let Scene { _dir, path, copy, store } = scene();
    store.backup(&copy).unwrap();
    let (ours, theirs) = (contents(&path), contents(&copy));
    // To the copy.
    let opened = options().open(&copy).unwrap();
    add(&opened, "orders", 300..350);
    opened.stream("orders").unwrap().trim(Trim::to_len(5)).unwrap();
    opened.delete(["small"]).unwrap();
    opened.close().unwrap();
    assert!(contents(&path) == ours, "the store has changed");
    store.backup(&copy).unwrap();
    assert!(contents(&copy).keys().eq(theirs.keys()));
    // And to the store.
    let theirs = contents(&copy);
    add(&store, "orders", 300..350);
    store.stream("orders").unwrap().trim(Trim::to_len(5)).unwrap();
    store.delete(["small"]).unwrap();
    store.close().unwrap();
    assert!(contents(&copy) == theirs, "the backup has changed");
    assert_sound(&copy);
}

/// What a crash has left behind the last whole record is not in a backup, which ends where the stream does.
#[test]
fn a_backup_of_a_store_that_was_killed_is_clean() {
    let Scene { _dir, path, copy, store } = scene();
    let killed = path.with_file_name("killed");
    copy_all(&path, &killed);
    store.close().unwrap();
    let last = segments(&killed, "small").pop_last().unwrap().0;
    let last = killed.join("streams/small").join(last);
    let mut bytes = std::fs::read(&last).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    bytes[end - 8..=end].fill(0);
    std::fs::write(&last, bytes).unwrap();
    let before = dump(&killed);
    Inspection::open(&killed).unwrap().backup().to(&copy, |_| {}).unwrap();
    assert_eq!(dump(&copy), before);
    assert_sound(&copy);
    let opened = options().open(&copy).unwrap();
    let small = opened.stream("small").unwrap();
    assert!(small.recovery().unwrap().is_clean);
    assert_eq!(small.len().unwrap(), 2);
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for item in from.read_dir().unwrap() {
        let path = item.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_all(&path, &to),
            false => drop(std::fs::copy(&path, &to).unwrap()),
        }
    }
}

#[test]
fn a_backup_is_restored() {
    let Scene { _dir, path, copy, store } = scene();
    store.backup(&copy).unwrap();
    let before = dump(&path);
    add(&store, "orders", 300..310);
    let restored = path.with_file_name("restored");
    let done = Inspection::open(&copy).unwrap().backup().restore_to(&restored, |_| {}).unwrap();
    assert_eq!((done.streams, dump(&restored)), (4, before));
    assert_sound(&restored);
    assert!(!restored.join("BACKUP").exists());
    let opened = options().open(&restored).unwrap();
    add(&opened, "orders", 300..400);
    opened.close().unwrap();
    assert_sound(&copy);
    // It is the store that it was a copy of, and can be backed up to the same place.
    Inspection::open(&restored).unwrap().backup().to(&copy, |_| {}).unwrap();
    assert_eq!(dump(&copy), dump(&restored));
}

#[test]
fn a_store_in_memory_is_backed_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = options().in_memory();
    fill(&store);
    for round in 0..2 {
        add(&store, "small", 10 * (round + 1)..10 * (round + 2));
        let done = store.backup(dir.path().join("copy")).unwrap();
        assert_eq!((done.streams, done.bytes_shared > 0), (4, round > 0));
    }
    assert_sound(&dir.path().join("copy"));
    let opened = Options::new().open(dir.path().join("copy")).unwrap();
    assert_eq!(opened.stream("orders").unwrap().len().unwrap(), 250);
}
