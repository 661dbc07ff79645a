//! Promise: any bytes in, no panic out. A damaged store opens or refuses, is read, written and opened again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use streamlog::inspect::Inspection;
use streamlog::{AddOptions, Durability, OnDamage, Result, Store, StreamId, Trim};
use tempfile::TempDir;

use super::damage::{Damage, Files};
use super::subject::{self, OF_AN_INPUT, number_identities};

pub fn run(bytes: &[u8]) {
    let Ok(damage) = Damage::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let mut files = if damage.after_a_kill { KILLED.clone() } else { CLOSED.clone() };
    damage.apply(&mut files);
    let directory = scratch();
    number_identities(OF_AN_INPUT);
    write(&files, directory.path());
    // Errors are fine, each life of the store may find other ones; panics are what is looked for.
    let _ = Inspection::open(directory.path()).and_then(|inspection| inspection.verify());
    let _ = live(directory.path(), OnDamage::Refuse);
    let _ = live(directory.path(), OnDamage::Quarantine);
    let _ = live(directory.path(), OnDamage::Refuse);
}

/// Opens the store, reads everything there is, changes a little of everything, and closes it.
fn live(path: &Path, on_damage: OnDamage) -> Result<()> {
    let store = subject::options(Durability::Os).on_damage(on_damage).open(path)?;
    for name in store.names()? {
        let _ = use_stream(&store, &name);
    }
    let _ = use_stream(&store, b"new");
    store.close()
}

fn use_stream(store: &Store, name: &[u8]) -> Result<()> {
    let stream = store.stream(name)?;
    let _ = stream.info();
    read(stream.range(..));
    read(stream.range(..).rev());
    let _ = stream.get(StreamId::new(5, 0));
    let _ = stream.add([("after", "damage")]);
    if let Ok(Some(first)) = stream.first() {
        let _ = stream.delete([first.id()]);
    }
    let _ = stream.trim(Trim::to_len(8));
    read(stream.range(..));
    Ok(())
}

/// Takes every entry, and stops when it meets the same error for ever.
fn read(entries: impl Iterator<Item = Result<streamlog::Entry>>) {
    let mut errors = 0;
    for entry in entries {
        match entry {
            Ok(entry) => assert!(entry.fields().len() > 0, "entry {} without fields", entry.id()),
            Err(_) => errors += 1,
        }
        assert!(errors < 10_000, "an iterator repeats its error");
    }
}

/// The files of a small valid store, closed properly.
static CLOSED: LazyLock<Files> = LazyLock::new(|| {
    number_identities(1);
    let directory = scratch();
    build(directory.path()).and_then(Store::close).expect("an undamaged disk takes a store");
    collect(directory.path())
});

/// The files of the same store as a killed process leaves them: nothing sealed, nothing closed.
static KILLED: LazyLock<Files> = LazyLock::new(|| {
    number_identities(2);
    let directory = scratch();
    let store = build(directory.path()).expect("an undamaged disk takes a store");
    let files = collect(directory.path());
    drop(store);
    files
});

/// Streams of several segments, with deleted and trimmed entries, one of them empty.
fn build(path: &Path) -> Result<Store> {
    let store = subject::options(Durability::Os).open(path)?;
    let orders = store.stream("orders")?;
    for n in 1..=200 {
        let text = n.to_string();
        orders.add_with(
            AddOptions::new().id(StreamId::new(n / 3, n)),
            [("type", "order.created"), ("order", &text), ("note", "a longer value, to fill segments a little faster")],
        )?;
    }
    orders.delete([StreamId::new(20, 60), StreamId::new(33, 100)])?;
    orders.trim(Trim::to_len(150))?;
    store.stream(b"\xff binary/..")?.add([("", "")])?;
    store.create("empty")?;
    Ok(store)
}

/// A directory in memory where there is one: the fuzzer writes a store a thousand times a second. Of the same name each time,
/// and so there is one at a time.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let name = format!("streamlog-fuzz-{}", std::process::id());
    // A process of the same number may have been killed.
    let _ = fs::remove_dir_all(place.join(&name));
    tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir_in(place).expect("a temporary directory")
}

/// All files below `root`, by their path from there.
fn collect(root: &Path) -> Files {
    let mut files = Files::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        for item in fs::read_dir(root.join(&directory)).expect("a readable directory") {
            let item = item.expect("a readable directory");
            let path = directory.join(item.file_name());
            match item.file_type().expect("a file type") {
                kind if kind.is_dir() => directories.push(path),
                _ => drop(files.insert(path, fs::read(item.path()).expect("a readable file"))),
            }
        }
    }
    files
}

fn write(files: &Files, root: &Path) {
    for (path, bytes) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a path below the root")).expect("a new directory");
        fs::write(path, bytes).expect("a new file");
    }
}
