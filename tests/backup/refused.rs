//! Promise: a backup replaces an earlier backup of the same store, and nothing else; and not by less.

use std::fs;
use std::path::Path;

use streamlog::inspect::Inspection;
use streamlog::{Error, Store};

use crate::harness::{dump, fill, options, segments};

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
