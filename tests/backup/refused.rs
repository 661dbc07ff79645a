//! Promise: a backup replaces an earlier backup of the same store, and nothing else; and not by less.

use std::fs;
use std::path::Path;

use streamlog::inspect::Inspection;
use streamlog::transfer::Sharing;
use streamlog::{Error, Store};

use crate::harness::{add, assert_sound, contents, dump, fill, options, segments};

fn refused(store: &Store, path: &Path, reason: &str) {
    let error = store.backup(path).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(format!("{error}: {source}").contains(reason), "{error}: {source}");
}

#[test]
fn what_is_no_backup_of_the_store_stays() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let store = options().open(at("data")).unwrap();
    fill(&store);
    fs::create_dir(at("other")).unwrap();
    fs::write(at("other").join("file"), "x").unwrap();
    refused(&store, &at("other"), "it is not a backup of this store");
    let another = options().open(at("another")).unwrap();
    another.backup(at("its copy")).unwrap();
    refused(&store, &at("its copy"), "it is not a backup of this store");
    Inspection::of(&store).unwrap().backup().restore_to(at("restored"), |_| {}).unwrap();
    refused(&store, &at("restored"), "it is a store, and not a backup");
    refused(&store, &at("data"), "it is in the store");
    refused(&store, &at("data/copy"), "it is in the store");
    refused(&store, &at("missing/copy"), "No such file or directory");
    let full = Inspection::of(&store).unwrap().backup().restore_to(at("another"), |_| {}).unwrap_err();
    assert!(matches!(full, Error::Io { .. }), "{full}");
    // Where there is nothing, it may have been made already.
    fs::create_dir(at("copy")).unwrap();
    store.backup(at("copy")).unwrap();
    let mut left: Vec<_> = dir.path().read_dir().unwrap().map(|found| found.unwrap().file_name()).collect();
    left.sort_unstable();
    assert_eq!(left, ["another", "copy", "data", "its copy", "other", "restored"]);
}

#[test]
fn a_backup_that_is_open_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = options().open(dir.path().join("data")).unwrap();
    fill(&store);
    let copy = dir.path().join("copy");
    store.backup(&copy).unwrap();
    let opened = options().open(&copy).unwrap();
    assert!(matches!(store.backup(&copy), Err(Error::Locked { .. })));
    opened.close().unwrap();
    store.backup(&copy).unwrap();
}

#[test]
fn a_damaged_store_does_not_replace_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let [path, copy] = ["data", "copy"].map(|name| dir.path().join(name));
    let store = options().open(&path).unwrap();
    fill(&store);
    store.backup(&copy).unwrap();
    store.close().unwrap();
    let before = dump(&copy);
    let last = path.join("streams/orders").join(segments(&path, "orders").pop_last().unwrap().0);
    let mut bytes = fs::read(&last).unwrap();
    bytes[300] ^= 1;
    fs::write(&last, bytes).unwrap();
    let error = Inspection::open(&path).unwrap().backup().to(&copy, |_| {}).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert_eq!(dump(&copy), before);
    assert_eq!(dir.path().read_dir().unwrap().count(), 2, "what was begun is gone");
}

/// The directories that a backup is built in are beside it, under names that others may have chosen, too.
#[test]
fn directories_that_are_called_like_ours_stay() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let store = options().open(at("data")).unwrap();
    add(&store, "s", 1..3);
    store.backup(at("another")).unwrap();
    for name in [".copy.new", ".copy.old"] {
        let mine = at(name);
        fs::create_dir_all(mine.join("streams")).unwrap();
        fs::write(mine.join("BACKUP"), "of my own").unwrap();
        fs::write(mine.join("streams/file"), "x").unwrap();
        let before = contents(dir.path());
        let error = store.backup(at("copy")).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        let error = Inspection::of(&store).unwrap().backup().restore_to(at("copy"), |_| {}).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(contents(dir.path()), before);
        fs::remove_dir_all(&mine).unwrap();
        // What a backup has left there, and nothing at all, are in nobody's way.
        fs::create_dir(&mine).unwrap();
        store.backup(at("copy")).unwrap();
        fs::rename(at("another"), &mine).unwrap();
        store.backup(at("copy")).unwrap();
        assert!(!mine.exists());
        store.backup(at("another")).unwrap();
        fs::remove_dir_all(at("copy")).unwrap();
    }
}

/// Where directories cannot be exchanged, the earlier backup is under another name for a moment.
#[test]
fn a_backup_that_was_about_to_be_replaced_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let store = options().open(at("data")).unwrap();
    fill(&store);
    store.backup(at("copy")).unwrap();
    let before = dump(&at("copy"));
    fs::rename(at("copy"), at(".copy.old")).unwrap();
    let error = Inspection::of(&store).unwrap().backup().restore_to(at("copy"), |_| {}).unwrap_err();
    assert!(error.to_string().contains("copy"), "{error}");
    assert_eq!(dump(&at("copy")), before);
    fs::rename(at("copy"), at(".copy.old")).unwrap();
    add(&store, "small", 4..6);
    store.backup(at("copy")).unwrap();
    assert_eq!(dump(&at("copy")), dump(&at("data")));
    assert_eq!(dir.path().read_dir().unwrap().count(), 2);
}

#[test]
fn a_stream_under_another_name_is_not_backed_up() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let store = options().open(at("data")).unwrap();
    add(&store, "b", 1..3);
    store.close().unwrap();
    fs::rename(at("data/streams/b"), at("data/streams/a")).unwrap();
    let error = Inspection::open(at("data")).unwrap().backup().to(at("copy"), |_| {}).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(!at("copy").exists());
}

/// A bit that the disk of the backup has lost is not handed down.
#[test]
fn a_damaged_copy_is_copied_again() {
    let dir = tempfile::tempdir().unwrap();
    let [path, copy] = ["data", "copy"].map(|name| dir.path().join(name));
    let store = options().segment_bytes_max(32 << 10).open(&path).unwrap();
    add(&store, "orders", 1..2000);
    let copied = || Inspection::of(&store).unwrap().backup().sharing(Sharing::Copy).to(&copy, |_| {}).unwrap();
    copied();
    let sealed = copy.join("streams/orders").join(segments(&copy, "orders").into_keys().rev().nth(1).unwrap());
    let mut bytes = fs::read(&sealed).unwrap();
    let middle = bytes.len() / 2;
    assert!(middle > 8192, "of {} bytes", bytes.len());
    bytes[middle] ^= 1;
    fs::write(&sealed, bytes).unwrap();
    copied();
    assert_sound(&copy);
    assert_eq!(dump(&copy), dump(&path));
}
