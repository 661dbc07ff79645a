//! Going on with damage and repairing it, while calls fail: what can be read at the end is what can be read of the same
//! damage on a disk that does not fail.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use streamlog::sim::{Image, SimDisk};
use streamlog::{AddOptions, Durability, Error, OnDamage, Options, Position, Production, Result, Store, StreamId};

use crate::engine::{Campaign, End, LEVELS, expected, nightly};
use crate::inject::{Fault, inject};
use crate::sites::Hits;

const LOG: &str = "streams/s/00000000000000000001.log";
const JOURNAL: &str = "streams/s/00000000000000000001.journal";

pub fn options(level: Durability) -> Options {
    let options = Options::new().durability(level).segment_bytes_max(4096).on_damage(OnDamage::Quarantine);
    options.clock(|| UNIX_EPOCH + Duration::from_secs(1000))
}

fn open(disk: &Arc<SimDisk>, level: Durability) -> Result<Store> {
    Store::open_simulated(options(level), disk)
}

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

/// Segments of three entries each, a group that has read two, a deletion, a production in the last segment; killed.
fn sound() -> Image {
    let disk = SimDisk::new();
    let store = open(&disk, Durability::Always).unwrap();
    let stream = store.stream("s").unwrap();
    let value = |ms: u64| format!("value of {ms}.{}", "x".repeat(1000));
    (1..=10).for_each(|ms| _ = stream.add_with(AddOptions::new().id(id(ms)), [("n", value(ms))]).unwrap());
    stream.group("g").create(Position::Start).unwrap();
    stream.group("g").consumer("c").read().count(2).new_entries().unwrap();
    stream.delete([id(5)]).unwrap();
    let production = Production::Named { producer: b"p", id: b"1" };
    stream.add_with(AddOptions::new().production(production), [("n", "made")]).unwrap();
    disk.kill_image(disk.steps())
}

fn flip(image: &mut Image, path: impl AsRef<Path>, wanted: &str) {
    let bytes = image.file_mut(path).unwrap();
    let at = bytes.windows(wanted.len()).position(|window| window == wanted.as_bytes()).unwrap();
    bytes[at] ^= 1;
}

/// What is damaged, and how.
pub fn damages() -> Vec<(&'static str, Image)> {
    let sound = sound();
    let logs: Vec<_> = sound.files().filter(|path| path.to_string_lossy().ends_with(".log")).collect();
    let last = logs.into_iter().max().unwrap().to_owned();
    let damaged = |damage: &dyn Fn(&mut Image)| {
        let mut image = sound.clone();
        damage(&mut image);
        image
    };
    vec![
        ("damaged-entry", damaged(&|image| flip(image, &last, "value of 10."))),
        ("lost-superblock", damaged(&|image| image.file_mut("streams/s/meta").unwrap().fill(7))),
        ("damaged-journal", damaged(&|image| image.file_mut(JOURNAL).unwrap()[200..].fill(9))),
        ("lost-journal", damaged(&|image| image.remove(JOURNAL))),
        ("unreadable-journal", damaged(&|image| image.file_mut(JOURNAL).unwrap()[..100].fill(9))),
        ("missing-front", damaged(&|image| image.remove(LOG))),
        ("damaged-front", damaged(&|image| flip(image, LOG, "value of 2."))),
        ("unreadable-front", damaged(&|image| image.file_mut(LOG).unwrap()[..50].fill(3))),
        ("unreadable-end", damaged(&|image| image.file_mut(&last).unwrap()[..50].fill(3))),
        ("damaged-lock", damaged(&|image| image.file_mut("LOCK").unwrap()[20] ^= 1)),
        ("damaged-intent", {
            let disk = damaged(&|image| flip(image, LOG, "value of 3.")).mount();
            let mut image = disk.kill_image(disk.steps());
            image.put("intent", b"no intent".to_vec());
            image
        }),
    ]
}

/// What can be read, with a mark in the place of what cannot.
fn read(store: &Store) -> Result<String> {
    let stream = store.stream("s")?;
    let mut seen = Vec::new();
    for entry in stream.range(..) {
        match entry {
            // The last one has an ID that depends on how far the clock is known to have been.
            Ok(entry) if entry.get("n").is_some_and(|value| value.starts_with(b"value")) => {
                seen.push(entry.id().to_string());
            }
            Ok(_) => seen.push("made".to_owned()),
            Err(Error::Corrupt { ids: Some(_), .. }) => seen.push("-".to_owned()),
            Err(error) => return Err(error),
        }
    }
    let groups = stream.groups()?.len();
    Ok(format!("{seen:?}, {groups} groups, {} left", stream.len()?))
}

fn go_on(store: &Store) -> Result<String> {
    read(store)
}

fn repair(store: &Store) -> Result<String> {
    store.repair("s")?;
    read(store)
}

/// What is done with a damaged store, and what can be read then.
pub type Way = fn(&Store) -> Result<String>;

pub const WAYS: [(&str, Way); 2] = [("go-on", go_on), ("repair", repair)];

pub fn run(campaign: &mut Campaign) {
    for (name, image) in damages() {
        let image = Arc::new(image);
        for (way, run) in WAYS {
            for level in LEVELS {
                let image = Arc::clone(&image);
                let outcome = run(&open(&image.mount(), level).unwrap()).unwrap();
                let all = nightly() || level == Durability::Always;
                campaign.add(format!("{way}-{name} {level:?}"), move |call, fault, hits| {
                    match nightly() || (all && ["EIO", "ENOSPC"].contains(&fault.name)) {
                        true => attempt(&image, level, run, &outcome, call, fault, hits),
                        false => Ok(End::NotReached),
                    }
                });
            }
        }
    }
}

fn attempt(
    image: &Image,
    level: Durability,
    run: Way,
    outcome: &str,
    call: u64,
    fault: Fault,
    hits: &Arc<Mutex<Hits>>,
) -> std::result::Result<End, String> {
    let disk = image.mount();
    let injected = inject(&disk, call, fault, hits);
    let first = open(&disk, level).and_then(|store| run(&store));
    if injected.count() == 0 {
        return Ok(End::NotReached);
    }
    let end = match first {
        Ok(found) if found == outcome => End::Unharmed,
        Ok(found) => return Err(format!("it came to {found}, not {outcome}")),
        Err(Error::Corrupt { .. }) => End::Reopened,
        Err(error) => expected(&error, &fault).map(|()| End::Reopened)?,
    };
    disk.heal();
    for life in ["second", "third"] {
        let again = open(&disk, level).and_then(|store| {
            let found = run(&store)?;
            store.close().map(|()| found)
        });
        match again {
            Ok(found) if found == outcome => {}
            other => return Err(format!("in the {life} life it came to {other:?}, not {outcome}")),
        }
    }
    Ok(end)
}
