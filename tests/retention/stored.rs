//! Rules are stored with their stream, and are there after anything that it goes through.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;

use streamlog::inspect::{Inspection, Item};
use streamlog::sim::{CrashLimits, SimDisk};
use streamlog::{Durability, Error, OnDamage, Position, Retention, Store};

use crate::harness::{Clock, HOUR, HOUR_MS, fill, mount, seed};

fn rules() -> Retention {
    Retention::new().max_age(HOUR).max_bytes(1 << 20).max_len(1000).acknowledged_only()
}

fn rules_of(store: &Store, name: &str) -> Retention {
    store.stream(name).unwrap().retention().unwrap()
}

#[test]
fn they_are_those_that_were_set_last_after_any_crash() {
    for level in [Durability::Always, Durability::Os] {
        let (clock, disk) = (Clock::new(), SimDisk::new());
        let options = || clock.options().durability(level);
        let store = mount(options(), &disk);
        let stream = store.stream("s").unwrap();
        let mut moments = vec![(disk.steps(), Retention::new())];
        for len in 1..=3 {
            fill(&stream, 2);
            stream.set_retention(Retention::new().max_len(len)).unwrap();
            moments.push((disk.steps(), Retention::new().max_len(len)));
        }
        stream.set_retention(Retention::new()).unwrap();
        moments.push((disk.steps(), Retention::new()));
        for step in 0..=disk.steps() {
            let before = moments.iter().rev().find(|(at, _)| *at <= step).map_or(Retention::new(), |(_, rules)| *rules);
            let next = moments.iter().find(|(at, _)| *at > step).map_or(before, |(_, rules)| *rules);
            for image in disk.crash_images(step, CrashLimits { samples: 8, ..CrashLimits::default() }, seed()) {
                let found = rules_of(&mount(options(), &image.mount()), "s");
                assert!(found == before || found == next, "{found} after step {step}, between {before} and {next}");
            }
        }
    }
}

#[test]
fn they_go_where_the_stream_goes() {
    let (clock, disk) = (Clock::new(), SimDisk::new());
    let options = || clock.options().checkpoint_bytes_min(200);
    let mut store = mount(options(), &disk);
    store.stream("s").unwrap().set_retention(rules()).unwrap();
    for round in 0..3 {
        let stream = store.stream("s").unwrap();
        // New segments, and new generations of the journal.
        fill(&stream, 40);
        for name in 0..20 {
            stream.group(format!("{round} {name}")).create(Position::End).unwrap();
        }
        store.close().unwrap();
        store = mount(options(), &disk);
        assert_eq!(rules_of(&store, "s"), rules(), "opened again");
    }
    assert!(store.copy("s", "copy").unwrap());
    store.rename("s", "renamed").unwrap();
    store.close().unwrap();
    let disk = disk.kill_image(disk.steps()).mount();
    let store = mount(options(), &disk);
    assert_eq!((rules_of(&store, "copy"), rules_of(&store, "renamed")), (rules(), rules()));
    assert_eq!(store.stream("copy").unwrap().len().unwrap(), 120);
    store.stream("renamed").unwrap().set_retention(Retention::new().max_len(3)).unwrap();
    assert_eq!(rules_of(&store, "copy"), rules(), "a copy is one of its own");
    store.delete(["renamed"]).unwrap();
    fill(&store.stream("renamed").unwrap(), 5);
    assert_eq!(rules_of(&store, "renamed"), Retention::new(), "another stream");
    assert!(store.repair("copy").unwrap().unwrap().damage.is_empty());
    assert_eq!(rules_of(&store, "copy"), rules(), "repaired");
}

#[test]
fn what_is_too_old_goes_when_a_stream_is_opened_again() {
    let (clock, disk) = (Clock::new(), SimDisk::new());
    let store = mount(clock.options(), &disk);
    let stream = store.stream("s").unwrap();
    stream.set_retention(Retention::new().max_age(HOUR)).unwrap();
    fill(&stream, 100);
    clock.advance(HOUR_MS / 2);
    fill(&stream, 3);
    store.close().unwrap();
    clock.advance(HOUR_MS * 3 / 4);
    let store = mount(clock.options(), &disk);
    assert_eq!(store.stream("s").unwrap().len().unwrap(), 3);
    assert!(disk.used() < 150_000, "{} bytes", disk.used());
}

#[test]
fn rules_of_damaged_superblocks_keep_everything_or_are_the_same() {
    let clock = Clock::new();
    let disk = SimDisk::new();
    let store = mount(clock.options(), &disk);
    let stream = store.stream("s").unwrap();
    stream.set_retention(Retention::new().max_len(3)).unwrap();
    fill(&stream, 5);
    store.close().unwrap();
    let image = disk.kill_image(disk.steps());
    let damaged = |slots: &[usize]| {
        let mut image = image.clone();
        let meta = image.file_mut("streams/s/meta").unwrap();
        slots.iter().for_each(|slot| meta[slot * 4096 + 3224] ^= 1);
        image.mount()
    };
    for slot in [0, 1] {
        assert_eq!(rules_of(&mount(clock.options(), &damaged(&[slot])), "s"), Retention::new().max_len(3));
    }
    let both = damaged(&[0, 1]);
    let refused = mount(clock.options(), &both).stream("s").unwrap().retention();
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    let store = mount(clock.options().on_damage(OnDamage::Quarantine), &both);
    let stream = store.stream("s").unwrap();
    assert_eq!((stream.retention().unwrap(), stream.len().unwrap()), (Retention::new(), 3));
    fill(&stream, 5);
    assert_eq!(stream.len().unwrap(), 8);
}

/// Files that an earlier version wrote, which knew no rules: for each its path and length in a line, then its bytes.
const WITHOUT_RULES: &[u8] = include_bytes!("../data/store-without-rules.gz");

fn unpack(packed: &[u8], to: &Path) {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    let mut rest = &bytes[..];
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        let (path, len) = line.split_once(' ').unwrap();
        let (content, after) = rest[end + 1..].split_at(len.parse().unwrap());
        std::fs::create_dir_all(to.join(path).parent().unwrap()).unwrap();
        std::fs::write(to.join(path), content).unwrap();
        rest = after;
    }
    std::fs::create_dir(to.join("tmp")).unwrap();
}

#[test]
fn a_store_from_before_there_were_rules_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    unpack(WITHOUT_RULES, directory.path());
    let open = || Clock::new().options().create(false).open(directory.path()).unwrap();
    let ids = |store: &Store| -> Vec<u64> {
        store.stream("orders").unwrap().range(..).map(|entry| entry.unwrap().id().ms()).collect()
    };
    let store = open();
    assert_eq!((ids(&store), rules_of(&store, "orders")), (vec![2, 3, 4, 6], Retention::new()));
    assert_eq!(store.stream("orders").unwrap().group("workers").pending().unwrap().count, 3);
    store.stream("orders").unwrap().set_retention(Retention::new().max_len(3)).unwrap();
    store.close().unwrap();
    let store = open();
    assert_eq!((ids(&store), rules_of(&store, "orders")), (vec![3, 4, 6], Retention::new().max_len(3)));
    assert_eq!(rules_of(&store, "other"), Retention::new());
}

#[test]
fn who_only_reads_sees_them_and_trims_nothing() {
    let (clock, directory) = (Clock::new(), tempfile::tempdir().unwrap());
    let store = clock.options().open(directory.path()).unwrap();
    let stream = store.stream("s").unwrap();
    stream.set_retention(rules()).unwrap();
    fill(&stream, 5);
    let reader = Store::open_read_only(directory.path()).unwrap().stream("s").unwrap();
    assert_eq!((reader.retention().unwrap(), reader.len().unwrap()), (rules(), 5));
    clock.advance(HOUR_MS + 1);
    stream.set_retention(Retention::new().max_age(HOUR)).unwrap();
    assert_eq!((reader.retention().unwrap(), reader.len().unwrap()), (Retention::new().max_age(HOUR), 0));
    fill(&stream, 5);
    store.close().unwrap();
    // Nobody trims it now.
    clock.advance(HOUR_MS + 1);
    let reader = Store::open_read_only(directory.path()).unwrap().stream("s").unwrap();
    assert_eq!((reader.retention().unwrap(), reader.len().unwrap()), (Retention::new().max_age(HOUR), 5));
}

fn lines(disk: &Arc<SimDisk>) -> Vec<String> {
    let mut lines = Vec::new();
    let each = |item: Item| {
        lines.push(item.to_string());
        Ok::<(), Error>(())
    };
    Inspection::open_simulated(disk).unwrap().dump_stream("s", each).unwrap();
    lines
}

#[test]
fn they_are_seen_from_outside() {
    let disk = SimDisk::new();
    let store = mount(Clock::new().options(), &disk);
    let stream = store.stream("s").unwrap();
    fill(&stream, 1);
    let stat = |disk: &Arc<SimDisk>| Inspection::open_simulated(disk).unwrap().stat_stream("s").unwrap().retention;
    assert_eq!((stat(&disk), lines(&disk).len()), (Retention::new(), 2), "nothing, where there are none");
    stream.set_retention(rules()).unwrap();
    assert_eq!(stat(&disk), rules());
    assert_eq!(lines(&disk)[1], "  retention max-age 1h max-bytes 1MiB max-len 1000 acknowledged-only");
}
