//! Stores that nobody writes to.

use std::os::unix::fs::PermissionsExt;

use streamlog::inspect::Inspection;
use streamlog::sim::{CrashLimits, SimDisk};
use streamlog::{AddOptions, Durability, Error, Problem, Store};

use crate::harness::{dump, fill, findings, id, listing, options};

#[test]
fn a_closed_store_is_sound_and_nothing_in_it_is_touched() {
    let directory = tempfile::tempdir().unwrap();
    let store = options().open(directory.path()).unwrap();
    fill(&store);
    store.close().unwrap();
    let before = listing(directory.path());
    let inspection = Inspection::open(directory.path()).unwrap();
    let reports = inspection.verify().unwrap();
    assert_eq!(findings(&reports), Vec::<&streamlog::Finding>::new());
    let counts: Vec<_> = reports.iter().map(|report| report.entries).collect();
    assert_eq!(counts, [1, 0, 6, 200]);
    let text = dump(&inspection);
    let stat = inspection.stat_stream("log").unwrap();
    assert_eq!((stat.entries, stat.first_id, stat.entries_added), (200, Some(id(90)), 210));
    assert!(stat.is_clean && stat.segments.len() > 3 && stat.index_bytes > 0 && stat.journal_generation == 1);
    assert_eq!(stat.deleted, 2);
    let groups = inspection.stat_stream("groups").unwrap().groups;
    let counts: Vec<_> = groups.iter().map(|group| (group.consumers, group.pending, group.released)).collect();
    assert_eq!(counts, [(2, 4, 1), (0, 0, 0)]);
    assert!(inspection.reserve().unwrap() >= 64 << 10);
    assert_eq!(listing(directory.path()), before);
    // What opening finds is what was seen.
    let store = Store::open(directory.path()).unwrap();
    for name in store.names().unwrap() {
        let info = store.stream(&name).unwrap().info().unwrap();
        let stat = inspection.stat_stream(&name).unwrap();
        let seen = (stat.entries, stat.last_id, stat.max_deleted_id, stat.entries_added, stat.segments.len());
        let there = (info.len, info.last_generated_id, info.max_deleted_entry_id, info.entries_added, info.segments);
        assert_eq!(seen, there);
        let lags: Vec<_> = store.stream(&name).unwrap().groups().unwrap().iter().map(|group| group.lag).collect();
        assert_eq!(stat.groups.iter().map(|group| group.lag).collect::<Vec<_>>(), lags);
    }
    store.close().unwrap();
    assert_eq!(dump(&Inspection::open(directory.path()).unwrap()), text);
}

#[test]
fn the_dump_is_canonical() {
    let dump_of = |durability| {
        let directory = tempfile::tempdir().unwrap();
        let store = options().durability(durability).open(directory.path()).unwrap();
        fill(&store);
        store.close().unwrap();
        dump(&Inspection::open(directory.path()).unwrap())
    };
    let text = dump_of(Durability::Always);
    assert_eq!(text, dump_of(Durability::Os));
    let start = text.find("stream \"groups\"").unwrap();
    let end = start + text[start..].find("stream \"log\"").unwrap();
    let expected = concat!(
        "stream \"groups\" entries 6 added 7 last 1700000000000-0 max-deleted 4-0\n",
        "  entry 1-0 \"n\" \"1\"\n",
        "  entry 2-0 \"n\" \"2\"\n",
        "  entry 3-0 \"n\" \"3\"\n",
        "  entry 5-0 \"n\" \"5\"\n",
        "  entry 6-0 \"n\" \"6\"\n",
        "  entry 1700000000000-0 \"made\" \"once\"\n",
        "  group \"g\\xff\\\"\" last-delivered 5-0 entries-read 5 pending 4 consumers 2\n",
        "    consumer \"alice\" seen 1700000000000 active 1700000000000\n",
        "    consumer \"bob\" seen 1700000000000 active 1700000000000\n",
        "    pending 2-0 released delivered 0 count 1\n",
        "    pending 3-0 consumer \"alice\" delivered 1700000000000 count 1\n",
        "    pending 4-0 consumer \"alice\" delivered 1700000000000 count 1\n",
        "    pending 5-0 consumer \"bob\" delivered 1700000000000 count 1\n",
        "  group \"idle\" last-delivered 3-0 entries-read unknown pending 0 consumers 0\n",
        "  producers duration 100 max 100 added 1 duplicates 0\n",
        "    production \"p\\x00\" \"k\" 1700000000000-0\n",
    );
    assert_eq!(&text[start..end], expected);
    assert!(text.contains("entry 5-0 \"a\" \"\\x0a\\\\é\"\n"), "{text}");
}

#[test]
fn a_directory_without_write_permission_can_be_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let store = options().open(directory.path()).unwrap();
    fill(&store);
    store.close().unwrap();
    let text = dump(&Inspection::open(directory.path()).unwrap());
    let set = |directories: u32, files: u32| {
        for path in listing(directory.path()).keys() {
            let mode = if path.is_dir() { directories } else { files };
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    set(0o500, 0o400);
    let inspection = Inspection::open(directory.path()).unwrap();
    let reports = inspection.verify().unwrap();
    assert!(findings(&reports).is_empty());
    assert_eq!(dump(&inspection), text);
    set(0o700, 0o600);
}

#[test]
fn what_a_crash_leaves_is_no_damage_and_is_what_opening_finds() {
    for durability in [Durability::Always, Durability::Os] {
        let disk = SimDisk::new();
        let store = Store::open_simulated(options().durability(durability), &disk).unwrap();
        fill(&store);
        let steps = disk.steps();
        for at in (0..=steps).rev().step_by(steps / 60) {
            let image = disk.kill_image(at).mount();
            let Ok(inspection) = Inspection::open_simulated(&image) else { continue };
            let reports = inspection.verify().unwrap_or_else(|error| panic!("after step {at}: {error}"));
            let damaged: Vec<_> = findings(&reports).into_iter().filter(|finding| finding.is_damage()).collect();
            // Before the store was complete.
            if damaged.iter().any(|finding| finding.path.ends_with("streams") || finding.path.ends_with("LOCK")) {
                continue;
            }
            assert!(damaged.is_empty(), "after step {at}: {damaged:?}");
            let seen = dump(&inspection);
            let reopened = Store::open_simulated(options(), &image).unwrap();
            for name in reopened.names().unwrap() {
                reopened.stream(&name).unwrap().len().unwrap();
            }
            reopened.close().unwrap();
            assert_eq!(dump(&Inspection::open_simulated(&image).unwrap()), seen, "after step {at}");
            let reports = Inspection::open_simulated(&image).unwrap().verify().unwrap();
            assert!(findings(&reports).is_empty(), "after step {at}: {:?}", findings(&reports));
        }
        drop(store);
    }
}

#[test]
fn what_a_power_loss_leaves_is_no_damage_and_is_what_opening_finds() {
    let disk = SimDisk::new();
    let store = Store::open_simulated(options(), &disk).unwrap();
    fill(&store);
    let steps = disk.steps();
    let mut looks = 0;
    for at in (0..=steps).step_by(steps / 150) {
        for image in disk.crash_images(at, CrashLimits::default(), at as u64).take(6) {
            let what = format!("after step {at}: {}", image.description());
            let image = image.mount();
            // Before the store was complete there is none.
            let Ok(reopened) = Store::open_simulated(options(), &image) else { continue };
            let names = reopened.names().unwrap();
            drop(reopened);
            let inspection = Inspection::open_simulated(&image).unwrap();
            let reports = inspection.verify().unwrap_or_else(|error| panic!("{what}: {error}"));
            let damaged: Vec<_> = findings(&reports).into_iter().filter(|finding| finding.is_damage()).collect();
            assert!(damaged.is_empty(), "{what}: {damaged:?}");
            let seen = dump(&inspection);
            let reopened = Store::open_simulated(options(), &image).unwrap();
            for name in names {
                reopened.stream(&name).unwrap().len().unwrap();
            }
            reopened.close().unwrap();
            assert_eq!(dump(&Inspection::open_simulated(&image).unwrap()), seen, "{what}");
            looks += 1;
        }
    }
    assert!(looks > 500, "{looks}");
    drop(store);
}

#[test]
fn what_is_no_store_is_told() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Inspection::open(directory.path()), Err(Error::NotAStore { .. })));
    assert!(matches!(Inspection::open(directory.path().join("none")), Err(Error::Io { .. })));
    let store = Store::open(directory.path()).unwrap();
    store.stream("s").unwrap().add_with(AddOptions::new().id(id(1)), [("a", "b")]).unwrap();
    let inspection = Inspection::open(directory.path()).unwrap();
    assert!(matches!(inspection.verify_stream("none", |_| {}), Err(Error::StreamNotFound { .. })));
    assert!(matches!(inspection.stat_stream("none"), Err(Error::StreamNotFound { .. })));
    std::fs::write(directory.path().join("letter.txt"), "dear").unwrap();
    std::fs::create_dir(directory.path().join("tmp/0123")).unwrap();
    std::fs::write(directory.path().join("streams/s/00000000000000000001.idx.new"), "x").unwrap();
    std::fs::write(directory.path().join("streams/s/note"), "x").unwrap();
    let found = inspection.verify().unwrap();
    let found: Vec<_> = findings(&found).into_iter().map(|finding| finding.problem.clone()).collect();
    assert_eq!(found, [Problem::Unknown, Problem::Leftover, Problem::Leftover, Problem::Unknown]);
    drop(store);
}
