//! What the simulator promises: a test that passes on it means something.

use std::collections::BTreeSet;

use super::*;

const EXACT: CrashLimits = CrashLimits {
    exhaustive_max: 4096,
    samples: 64,
    torn: false,
    garbage: false,
    reorder_dirs: false,
    lying_syncs: false,
};

fn path(path: &str) -> &Path {
    Path::new(path)
}

/// A disk with a durable file of this content.
fn disk_with(name: &str, content: &[u8]) -> (Arc<SimDisk>, Arc<dyn File>) {
    let disk = SimDisk::new();
    let file = create(&disk, name, content);
    file.sync().unwrap();
    disk.sync_dir(path("")).unwrap();
    (disk, file)
}

fn create(disk: &SimDisk, name: &str, content: &[u8]) -> Arc<dyn File> {
    let file = disk.create(path(name), content.len() as u64).unwrap();
    file.write_at(0, content).unwrap();
    file
}

fn images(disk: &SimDisk, limits: CrashLimits) -> Vec<Image> {
    disk.crash_images(disk.steps(), limits, 1).collect()
}

/// What the file may hold after power loss; `None` if it may not be there.
fn outcomes(disk: &SimDisk, limits: CrashLimits, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    images(disk, limits).iter().map(|image| image.file(name).map(<[u8]>::to_vec)).collect()
}

fn contents<const N: usize>(contents: [&[u8]; N]) -> BTreeSet<Option<Vec<u8>>> {
    contents.into_iter().map(|content| Some(content.to_vec())).collect()
}

/// The names there may be, as lines.
fn namings(disk: &SimDisk, limits: CrashLimits) -> BTreeSet<String> {
    let line = |image: &Image| image.files().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ");
    images(disk, limits).iter().map(line).collect()
}

fn lines<const N: usize>(lines: [&str; N]) -> BTreeSet<String> {
    lines.into_iter().map(str::to_owned).collect()
}

#[test]
fn what_was_synced_is_there_in_every_image() {
    let (disk, file) = disk_with("file", b"synced");
    assert_eq!(outcomes(&disk, CrashLimits::default(), "file"), contents([b"synced"]));
    file.write_at(0, b"SYNCED").unwrap();
    file.sync().unwrap();
    assert_eq!(outcomes(&disk, CrashLimits::default(), "file"), contents([b"SYNCED"]));
}

#[test]
fn what_was_not_synced_may_be_there_in_any_of_its_versions() {
    let (disk, file) = disk_with("file", b"0");
    for version in [b"1", b"2", b"2", b"3"] {
        file.write_at(0, version).unwrap();
    }
    assert_eq!(outcomes(&disk, EXACT, "file"), contents([b"0", b"1", b"2", b"3"]));
}

#[test]
fn each_sector_is_written_or_not_for_itself() {
    let (disk, file) = disk_with("file", &[0; 3 * 512]);
    file.write_at(500, &[1; 600]).unwrap();
    let outcomes = outcomes(&disk, EXACT, "file");
    let written = |content: &Vec<u8>| [content[500] == 1, content[512] == 1, content[1024] == 1];
    let combinations: BTreeSet<_> = outcomes.iter().flatten().map(written).collect();
    assert_eq!((outcomes.len(), combinations.len()), (8, 8));
    for content in outcomes.iter().flatten() {
        assert!(content[512..1024].iter().all(|byte| *byte == content[512]), "a sector is whole");
        assert!(content[..500].iter().chain(&content[1100..]).all(|byte| *byte == 0));
    }
}

#[test]
fn a_torn_sector_is_a_part_of_one_version_and_the_rest_of_the_next() {
    let (disk, file) = disk_with("file", &[7; 1024]);
    file.write_at(600, &[8; 100]).unwrap();
    let mut torn = 0;
    for seed in 0..50 {
        for image in disk.crash_images(disk.steps(), CrashLimits::default(), seed) {
            let content = image.file("file").unwrap();
            assert!(
                content[..600].iter().chain(&content[700..]).all(|byte| *byte == 7),
                "what was not written is safe"
            );
            let changes = content[600..700].windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(changes <= 1);
            torn += changes;
        }
    }
    assert_eq!(torn, 50, "one in each three images");
}

#[test]
fn a_ruined_sector_loses_its_durable_neighbours_and_no_other_sector() {
    let (disk, file) = disk_with("file", &[7; 1024]);
    file.write_at(600, &[8; 100]).unwrap();
    let ruined = outcomes(&disk, CrashLimits { garbage: true, ..EXACT }, "file");
    assert_eq!(ruined.len(), 3);
    assert!(ruined.iter().flatten().all(|content| content[..512] == [7; 512]));
    assert!(ruined.iter().flatten().any(|content| content[512..600] != [7; 88]));
}

#[test]
fn size_and_bytes_are_written_independently() {
    let (disk, file) = disk_with("file", b"ab");
    file.write_at(2, b"cd").unwrap();
    assert_eq!(outcomes(&disk, EXACT, "file"), contents([b"ab", b"abcd", b"ab\0\0"]));
    file.sync().unwrap();
    file.truncate(1).unwrap();
    file.write_at(1, b"x").unwrap();
    let expected = contents([b"abcd", b"a\0\0\0", b"ax\0\0", b"a", b"ab", b"a\0", b"ax"]);
    assert_eq!(outcomes(&disk, EXACT, "file"), expected);
}

#[test]
fn room_that_was_allocated_reads_as_zeros() {
    let disk = SimDisk::new();
    let file = disk.create(path("file"), 3).unwrap();
    disk.sync_dir(path("")).unwrap();
    assert_eq!(outcomes(&disk, EXACT, "file"), contents([b"", b"\0\0\0"]));
    file.sync().unwrap();
    let _larger = file.grow(4).unwrap();
    assert_eq!(outcomes(&disk, EXACT, "file"), contents([b"\0\0\0", b"\0\0\0\0"]));
}

#[test]
fn a_new_name_needs_its_directory_synced() {
    let disk = SimDisk::new();
    let file = create(&disk, "file", b"content");
    file.sync().unwrap();
    assert_eq!(namings(&disk, EXACT), lines(["", "file"]));
    disk.sync_dir(path("")).unwrap();
    assert_eq!(namings(&disk, EXACT), lines(["file"]));
    disk.remove_file(path("file")).unwrap();
    assert_eq!(namings(&disk, EXACT), lines(["", "file"]));
}

#[test]
fn a_rename_needs_its_directory_synced() {
    let (disk, _old) = disk_with("final", b"old");
    let new = create(&disk, "temporary", b"new");
    new.sync().unwrap();
    disk.rename(path("temporary"), path("final")).unwrap();
    assert_eq!(outcomes(&disk, EXACT, "final"), contents([b"old", b"new"]));
    assert_eq!(namings(&disk, EXACT), lines(["final", "final temporary"]));
    disk.sync_dir(path("")).unwrap();
    assert_eq!(outcomes(&disk, EXACT, "final"), contents([b"new"]));
    assert_eq!(namings(&disk, EXACT), lines(["final"]));
}

#[test]
fn a_name_may_be_durable_before_what_it_names() {
    let (disk, _old) = disk_with("final", b"old");
    let _new = create(&disk, "temporary", b"new");
    disk.rename(path("temporary"), path("final")).unwrap();
    disk.sync_dir(path("")).unwrap();
    assert_eq!(outcomes(&disk, EXACT, "final"), contents([b"", b"\0\0\0", b"new"]));
}

#[test]
fn the_first_changes_of_a_directory_are_there_or_any_of_them() {
    let disk = SimDisk::new();
    for name in ["a", "b", "c"] {
        disk.create(path(name), 0).unwrap();
    }
    assert_eq!(namings(&disk, EXACT), lines(["", "a", "a b", "a b c"]));
    let any = CrashLimits { reorder_dirs: true, ..EXACT };
    assert_eq!(namings(&disk, any).len(), 8);
}

#[test]
#[cfg_attr(windows, ignore = "compares paths, or errors, of Unix")]
fn a_renamed_directory_takes_along_what_is_in_it() {
    let disk = SimDisk::new();
    disk.create_dir(path("a")).unwrap();
    let file = create(&disk, "a/file", b"content");
    file.sync().unwrap();
    disk.sync_dir(path("a")).unwrap();
    assert_eq!(namings(&disk, EXACT), lines(["", "a/file"]), "the directory's own name is not durable yet");
    disk.sync_dir(path("")).unwrap();
    disk.rename(path("a"), path("b")).unwrap();
    create(&disk, "b/other", b"");
    assert_eq!(namings(&disk, EXACT), lines(["a/file", "a/file a/other", "b/file", "b/file b/other"]));
}

#[test]
#[cfg_attr(windows, ignore = "compares paths, or errors, of Unix")]
fn a_move_between_directories_happens_in_both_or_in_neither() {
    for (synced, limits) in [("a", EXACT), ("b", EXACT), ("", CrashLimits { reorder_dirs: true, ..EXACT })] {
        let disk = SimDisk::new();
        disk.create_dir(path("a")).unwrap();
        disk.create_dir(path("b")).unwrap();
        disk.sync_dir(path("")).unwrap();
        disk.create(path("a/file"), 0).unwrap();
        disk.sync_dir(path("a")).unwrap();
        disk.rename(path("a/file"), path("b/file")).unwrap();
        assert_eq!(namings(&disk, limits), lines(["a/file", "b/file"]));
        disk.sync_dir(path(synced)).unwrap();
        let expected = if synced.is_empty() { lines(["a/file", "b/file"]) } else { lines(["b/file"]) };
        assert_eq!(namings(&disk, limits), expected);
    }
}

#[test]
fn syncs_are_about_files_and_not_about_names_or_handles() {
    let (disk, file) = disk_with("file", b"0");
    let other = disk.open(path("file"), Access::Write).unwrap();
    file.write_at(0, b"1").unwrap();
    disk.rename(path("file"), path("moved")).unwrap();
    create(&disk, "file", b"new");
    other.sync().unwrap();
    assert_eq!(outcomes(&disk, EXACT, "moved"), [None, Some(b"1".to_vec())].into());
    disk.sync_dir(path("")).unwrap();
    file.write_at(0, b"2").unwrap();
    assert_eq!(outcomes(&disk, EXACT, "moved"), contents([b"1", b"2"]));
}

#[test]
fn after_a_failed_sync_only_what_is_written_again_becomes_durable() {
    let (disk, file) = disk_with("file", &[0; 1024]);
    file.write_at(0, b"1").unwrap();
    file.write_at(512, b"1").unwrap();
    disk.fail_at(disk.calls(), 5, false);
    assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(5));
    file.sync().unwrap();
    assert_eq!(images(&disk, EXACT).len(), 4, "the second sync has nothing to write");
    file.write_at(0, b"1").unwrap();
    file.sync().unwrap();
    let images = images(&disk, EXACT);
    assert!(images.iter().all(|image| image.file("file").unwrap()[0] == b'1'));
    assert_eq!(images.len(), 2);
}

#[test]
fn a_disk_may_lie_about_syncs() {
    let disk = SimDisk::new();
    let file = create(&disk, "file", b"x");
    file.sync().unwrap();
    disk.sync_dir(path("")).unwrap();
    let liar = CrashLimits { lying_syncs: true, ..EXACT };
    assert!(outcomes(&disk, liar, "file").contains(&None));
    assert!(outcomes(&disk, liar, "file").contains(&Some(b"x".to_vec())));
    // And is honest when asked to be.
    assert_eq!(outcomes(&disk, EXACT, "file"), contents([b"x"]));
}

#[test]
fn a_killed_process_leaves_all_it_wrote_up_to_then() {
    let (disk, file) = disk_with("file", b"0");
    file.write_at(0, b"1").unwrap();
    let step = disk.steps();
    disk.rename(path("file"), path("moved")).unwrap();
    file.write_at(1, b"2").unwrap();
    assert_eq!(disk.kill_image(step).file("file"), Some(&b"1"[..]));
    let last = disk.kill_image(disk.steps());
    assert_eq!((last.file("file"), last.file("moved")), (None, Some(&b"12"[..])));
    assert_eq!(disk.kill_image(0).files().count(), 0, "earlier steps can be asked about at any time");
}

#[test]
fn every_step_can_be_the_last_one() {
    let disk = SimDisk::new();
    let file = create(&disk, "file", b"0");
    disk.sync_dir(path("")).unwrap();
    file.sync().unwrap();
    file.write_at(0, b"1").unwrap();
    let counts: Vec<usize> = (0..=disk.steps()).map(|step| disk.crash_images(step, EXACT, 1).count()).collect();
    // Nothing; no name, or one and two sizes; the byte as well; a name for sure; all for sure; either byte.
    assert_eq!(counts, [1, 3, 4, 3, 1, 2]);
}

#[test]
fn many_changes_are_sampled_the_same_way_for_the_same_seed() {
    let (disk, file) = disk_with("file", &[0; 100 * 512]);
    file.write_at(0, &[1; 100 * 512]).unwrap();
    let limits = CrashLimits { exhaustive_max: 50, samples: 20, ..EXACT };
    let digest = |seed| {
        let images = disk.crash_images(disk.steps(), limits, seed);
        images.map(|image| image.file("file").unwrap().to_vec()).collect::<Vec<_>>()
    };
    let images = digest(1);
    assert_eq!(images.len(), 2 + 2 * 25 + 20);
    assert_eq!(images[0], [0; 100 * 512], "nothing");
    assert_eq!(images[1], [1; 100 * 512], "everything");
    let new = |content: &Vec<u8>| content.chunks(512).filter(|sector| sector[0] == 1).count();
    let systematic = &images[2..52];
    assert_eq!(systematic.iter().filter(|content| new(content) == 99).count(), 25);
    assert_eq!(systematic.iter().filter(|content| new(content) == 1).count(), 25);
    assert_eq!(images.iter().collect::<BTreeSet<_>>().len(), images.len(), "no image comes twice");
    assert_eq!(images, digest(1));
    assert_ne!(images, digest(2));
    assert!(!self::images(&disk, limits)[0].is_exhaustive());
    assert!(self::images(&disk_with("file", b"").0, limits)[0].is_exhaustive());
}

#[test]
#[cfg_attr(windows, ignore = "compares paths, or errors, of Unix")]
fn an_image_is_a_disk_with_a_history_of_its_own() {
    let (disk, file) = disk_with("file", b"0");
    disk.create_dir(path("dir")).unwrap();
    create(&disk, "dir/inside", b"i");
    file.write_at(0, b"1").unwrap();
    let image = disk.kill_image(disk.steps());
    let second = image.mount();
    assert_eq!(second.steps(), 0);
    assert_eq!(namings(&second, EXACT), lines(["dir/inside file"]), "all of it is durable");
    let file = second.open(path("file"), Access::Write).unwrap();
    file.write_at(0, b"2").unwrap();
    assert_eq!(outcomes(&second, EXACT, "file"), contents([b"1", b"2"]));
    assert_eq!(image.file("file"), Some(&b"1"[..]));
    let mut unlocked = image.clone();
    unlocked.file_mut("file").unwrap()[0] = b'x';
    unlocked.remove("dir");
    assert_eq!((image.has_dir("dir"), unlocked.has_dir("dir")), (true, false));
    assert_eq!(outcomes(&unlocked.mount(), EXACT, "file"), contents([b"x"]));
}

/// A few calls of every sort; stops at the first error.
fn every_call(disk: &SimDisk) -> Result<()> {
    disk.create_dir(path("dir"))?;
    let lock = disk.lock(path("LOCK"))?;
    let file = disk.create(path("dir/file"), 10)?;
    file.write_at(0, b"0123")?;
    file.read_at(0, &mut [0])?;
    file.len()?;
    file.sync()?;
    file.grow(20)?.truncate(5)?;
    disk.sync_dir(path("dir"))?;
    disk.list(path("dir"))?;
    disk.kind(path("dir"))?;
    disk.rename(path("dir/file"), path("file"))?;
    drop(disk.open(path("file"), Access::Read)?);
    disk.remove_file(path("file"))?;
    disk.remove_dir(path("dir"))?;
    drop(lock);
    Ok(())
}

#[test]
fn every_call_can_fail() {
    let clean = SimDisk::new();
    every_call(&clean).unwrap();
    let mut steps = BTreeSet::new();
    for number in 0..clean.calls() {
        let disk = SimDisk::new();
        disk.fail_at(number, ErrorKind::StorageFull, false);
        assert_eq!(every_call(&disk).unwrap_err().kind(), ErrorKind::StorageFull, "call {number}");
        assert_eq!(disk.calls(), number + 1);
        steps.insert(disk.steps());
    }
    assert_eq!(steps.into_iter().collect::<Vec<_>>(), (0..clean.steps()).collect::<Vec<_>>());
}

#[test]
#[cfg_attr(windows, ignore = "compares paths, or errors, of Unix")]
fn failures_last_until_they_are_healed() {
    let (disk, file) = disk_with("file", b"0");
    disk.fail_at(disk.calls() + 1, ErrorKind::Other, true);
    file.write_at(0, b"1").unwrap();
    assert!(file.write_at(0, b"2").is_err());
    assert!(file.read_at(0, &mut [0]).is_err());
    disk.heal();
    let mut byte = [0];
    file.read_at(0, &mut byte).unwrap();
    assert_eq!(&byte, b"1", "a call that failed had no effect");

    disk.fail_when(|call| (call.op == Op::Write && call.path == path("file")).then_some(Failure::Os(28)));
    create(&disk, "other", b"x");
    assert_eq!(file.write_at(0, b"3").unwrap_err().kind(), ErrorKind::StorageFull);
    disk.tear_failed_writes();
    assert!(file.write_at(0, b"45").is_err());
    file.read_at(0, &mut byte).unwrap();
    assert_eq!(&byte, b"4");
}

#[test]
fn a_full_disk_takes_no_more_but_what_has_its_place() {
    let (disk, file) = disk_with("file", &[0; 10]);
    disk.set_space(Some(15));
    file.write_at(0, &[1; 10]).unwrap();
    assert_eq!(file.write_at(5, &[2; 11]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.grow(16).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.create(path("new"), 6).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.kind(path("new")).unwrap(), None);
    disk.create(path("new"), 5).unwrap();
    disk.remove_file(path("file")).unwrap();
    assert_eq!(disk.used(), 15, "whoever has it open keeps it");
    drop(file);
    assert_eq!(disk.used(), 5);
}

#[test]
#[cfg_attr(windows, ignore = "compares paths, or errors, of Unix")]
fn the_history_names_what_was_done() {
    let disk = SimDisk::new();
    every_call(&disk).unwrap();
    disk.note("done");
    let expected = "    1 CreateDir dir
    2 Lock LOCK
    3 Create dir/file to len 10
    4 Write dir/file at 0 len 4
    5 Sync dir/file
    6 Grow dir/file to len 20
    7 Truncate dir/file to len 5
    8 SyncDir dir
    9 Rename dir/file to file
   10 RemoveFile file
   11 RemoveDir dir
      -- done
";
    assert_eq!(disk.transcript(), expected);
    let history = disk.history();
    assert_eq!((history[3].op, history[3].ino, history[3].len), (Op::Write, history[2].ino, 4));
}

/// A store with a stream `s` of a sealed segment, an active one, and a journal, all of it durable.
struct Laid {
    disk: Arc<SimDisk>,
}

const SEGMENT: &str = "streams/s/00000000000000000001.log";
const ACTIVE: &str = "streams/s/00000000000000000009.log";
const NEXT: &str = "streams/s/00000000000000000012.log";
const NEXT_NEW: &str = "streams/s/00000000000000000012.log.new";
const JOURNAL: &str = "streams/s/00000000000000000001.journal";
const JOURNAL_NEW: &str = "streams/s/00000000000000000002.journal.new";
const JOURNAL_NEXT: &str = "streams/s/00000000000000000002.journal";

impl Laid {
    fn new() -> Self {
        let disk = SimDisk::new();
        for directory in ["streams", "tmp", "streams/s"] {
            disk.create_dir(path(directory)).unwrap();
        }
        for directory in ["", "streams"] {
            disk.sync_dir(path(directory)).unwrap();
        }
        for (name, len) in [(SEGMENT, 4096), (ACTIVE, 4096), (JOURNAL, 4096), ("streams/s/meta", 8192)] {
            disk.create(path(name), len).unwrap().sync().unwrap();
        }
        disk.sync_dir(path("streams/s")).unwrap();
        Self { disk }
    }

    fn write(&self, name: &str, offset: u64) -> &Self {
        self.disk.open(path(name), Access::Write).unwrap().write_at(offset, b"bytes").unwrap();
        self
    }

    fn sync(&self, name: &str) -> &Self {
        self.disk.open(path(name), Access::Write).unwrap().sync().unwrap();
        self
    }

    fn fail_to_sync(&self, name: &str) -> &Self {
        let file = self.disk.open(path(name), Access::Write).unwrap();
        self.disk.fail_at(self.disk.calls(), ErrorKind::Other, false);
        file.sync().unwrap_err();
        self
    }

    fn create(&self, name: &str) -> &Self {
        self.disk.create(path(name), 4096).unwrap();
        self
    }

    fn rename(&self, from: &str, to: &str) -> &Self {
        self.disk.rename(path(from), path(to)).unwrap();
        self
    }

    fn remove(&self, name: &str) -> &Self {
        self.disk.remove_file(path(name)).unwrap();
        self
    }

    fn create_dir(&self, name: &str) -> &Self {
        self.disk.create_dir(path(name)).unwrap();
        self
    }

    fn sync_dir(&self, name: &str) -> &Self {
        self.disk.sync_dir(path(name)).unwrap();
        self
    }

    fn begin_journal(&self) -> &Self {
        self.create(JOURNAL_NEW).write(JOURNAL_NEW, 0).sync(JOURNAL_NEW)
    }

    fn begin_segment(&self) -> &Self {
        self.create(NEXT_NEW).write(NEXT_NEW, 0).sync(NEXT_NEW)
    }

    fn intend(&self) -> &Self {
        self.create("intent.new").sync("intent.new").rename("intent.new", "intent")
    }

    /// A stream that is yet to be synced.
    fn build(&self) -> &Self {
        self.create_dir("tmp/x").create("tmp/x/meta").write("tmp/x/meta", 0)
    }

    fn identify(&self) -> &Self {
        let lock = self.disk.open(path("LOCK"), Access::Write).unwrap();
        lock.write_at(0, &crate::format::store::encode_lock(&[1; 16])).unwrap();
        self
    }

    fn renew_tmp(&self) -> &Self {
        self.disk.remove_dir(path("tmp")).unwrap();
        self.disk.lock(path("LOCK")).unwrap();
        self.create_dir("tmp")
    }

    /// Seals the active segment, and syncs it.
    fn seal(&self) -> &Self {
        let header = crate::format::header::Header {
            kind: crate::format::header::Kind::Segment,
            store: [1; 16],
            incarnation: [2; 16],
            file: [3; 16],
            base: 9,
            peer: 0,
            entries_added: 8,
            previous_id: crate::StreamId::MIN,
            floor: 1,
            base_ms: 0,
            predecessor: [4; 16],
        };
        let mut content = Vec::from(header.encode());
        let at = content.len() as u64;
        let head = crate::format::record::Head { kind: crate::format::entries::SEAL, ..Default::default() };
        let salt = crate::format::record::Salt::of(&header.file);
        crate::format::record::encode(&mut content, salt, at, &head, &[b"seal"]);
        self.disk.open(path(ACTIVE), Access::Write).unwrap().write_at(0, &content).unwrap();
        self.sync(ACTIVE)
    }
}

type Steps = for<'a> fn(&'a Laid) -> &'a Laid;

/// What is said of these steps, if they are out of order.
fn violation(steps: Steps) -> Option<String> {
    let laid = Laid::new();
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        steps(&laid);
    }));
    let said = done.err().map(|panic| panic.downcast_ref::<String>().cloned().expect("a message"));
    // So that the disk does not say it once more.
    std::mem::take(&mut laid.disk.state.lock().order);
    said
}

/// The first steps are out of order by this rule; the second ones, almost the same, are not.
fn rule(name: &str, bad: Steps, good: Steps) {
    let said = violation(bad).unwrap_or_else(|| panic!("{name} is not noticed"));
    assert!(said.contains(&format!(": {name}: ")), "{name}: {said}");
    assert_eq!(violation(good), None, "{name}, in order");
}

#[test]
fn a_journal_that_is_synced_before_the_log_is_out_of_order() {
    rule(
        "O1",
        |laid| laid.write(ACTIVE, 0).write(JOURNAL, 0).sync(JOURNAL),
        |laid| laid.write(ACTIVE, 0).write(JOURNAL, 0).sync(ACTIVE).sync(JOURNAL),
    );
    // A sync that failed is none, and another one does not write what it had lost.
    rule(
        "O1",
        |laid| laid.write(ACTIVE, 0).write(JOURNAL, 0).fail_to_sync(ACTIVE).sync(ACTIVE).sync(JOURNAL),
        |laid| laid.write(ACTIVE, 0).write(JOURNAL, 0).fail_to_sync(ACTIVE).write(ACTIVE, 0).sync(ACTIVE).sync(JOURNAL),
    );
    // What was added since is another matter.
    assert_eq!(violation(|laid| laid.write(JOURNAL, 0).write(ACTIVE, 0).sync(JOURNAL)), None);
}

#[test]
fn an_append_to_a_file_whose_name_may_be_lost_is_out_of_order() {
    rule(
        "O2",
        |laid| laid.begin_journal().rename(JOURNAL_NEW, JOURNAL_NEXT).write(JOURNAL_NEXT, 10),
        |laid| laid.begin_journal().rename(JOURNAL_NEW, JOURNAL_NEXT).sync_dir("streams/s").write(JOURNAL_NEXT, 10),
    );
    rule(
        "O2",
        |laid| laid.rename("streams/s", "streams/t").write("streams/t/meta", 0),
        |laid| laid.rename("streams/s", "streams/t").sync_dir("streams").write("streams/t/meta", 0),
    );
}

#[test]
fn a_stream_that_appears_before_it_is_durable_is_out_of_order() {
    rule(
        "O3",
        |laid| laid.build().sync_dir("tmp/x").rename("tmp/x", "streams/x"),
        |laid| laid.build().sync("tmp/x/meta").sync_dir("tmp/x").rename("tmp/x", "streams/x"),
    );
    rule(
        "O3",
        |laid| laid.build().sync("tmp/x/meta").rename("tmp/x", "streams/x"),
        |laid| laid.build().sync_dir("tmp/x").sync("tmp/x/meta").rename("tmp/x", "streams/x"),
    );
}

#[test]
fn a_file_that_gets_its_name_before_its_content_is_out_of_order() {
    rule(
        "O4",
        |laid| laid.create(JOURNAL_NEW).write(JOURNAL_NEW, 0).rename(JOURNAL_NEW, JOURNAL_NEXT),
        |laid| laid.create(JOURNAL_NEW).write(JOURNAL_NEW, 0).sync(JOURNAL_NEW).rename(JOURNAL_NEW, JOURNAL_NEXT),
    );
    rule(
        "O4",
        |laid| laid.create("intent.new").rename("intent.new", "intent"),
        |laid| laid.create("intent.new").sync("intent.new").rename("intent.new", "intent"),
    );
}

#[test]
fn a_segment_before_its_predecessor_is_complete_is_out_of_order() {
    rule(
        "O5",
        |laid| laid.seal().write(ACTIVE, 1000).begin_segment().rename(NEXT_NEW, NEXT),
        |laid| laid.seal().begin_segment().rename(NEXT_NEW, NEXT),
    );
    // Synced, but not sealed.
    rule(
        "O5",
        |laid| laid.write(ACTIVE, 0).sync(ACTIVE).begin_segment().rename(NEXT_NEW, NEXT),
        |laid| laid.seal().begin_segment().rename(NEXT_NEW, NEXT),
    );
}

#[test]
fn a_segment_that_goes_before_that_is_durable_is_out_of_order() {
    rule(
        "O6",
        |laid| laid.write(JOURNAL, 0).remove(SEGMENT),
        |laid| laid.write(JOURNAL, 0).sync(JOURNAL).remove(SEGMENT),
    );
    rule("O6", |laid| laid.remove(ACTIVE).remove(SEGMENT), |laid| laid.remove(SEGMENT).remove(ACTIVE));
}

#[test]
fn a_journal_that_goes_before_the_next_one_is_there_is_out_of_order() {
    rule(
        "O7",
        |laid| laid.begin_journal().rename(JOURNAL_NEW, JOURNAL_NEXT).remove(JOURNAL),
        |laid| laid.begin_journal().rename(JOURNAL_NEW, JOURNAL_NEXT).sync_dir("streams/s").remove(JOURNAL),
    );
}

#[test]
fn a_slot_that_is_written_before_the_other_is_synced_is_out_of_order() {
    const META: &str = "streams/s/meta";
    rule(
        "O8",
        |laid| laid.write(META, 0).write(META, 4096),
        |laid| laid.write(META, 0).write(META, 0).sync(META).write(META, 4096),
    );
}

#[test]
fn what_is_done_to_streams_before_the_names_are_durable_is_out_of_order() {
    rule(
        "O9",
        |laid| laid.rename("streams/s", "tmp/gone").remove("tmp/gone/meta"),
        |laid| laid.rename("streams/s", "tmp/gone").sync_dir("streams").remove("tmp/gone/meta"),
    );
    rule(
        "O10",
        |laid| laid.intend().rename("streams/s", "streams/t"),
        |laid| laid.intend().sync_dir("").rename("streams/s", "streams/t").sync_dir("streams").remove("intent"),
    );
    rule(
        "O10",
        |laid| laid.intend().sync_dir("").rename("streams/s", "streams/t").remove("intent"),
        |laid| laid.intend().sync_dir("").remove("intent"),
    );
}

#[test]
fn an_identity_without_directories_is_out_of_order() {
    rule("O11", |laid| laid.renew_tmp().identify(), |laid| laid.renew_tmp().sync_dir("").identify());
}

#[test]
#[should_panic(expected = "out of order")]
fn what_a_thread_did_out_of_order_ends_the_test_that_did_not_see_it() {
    let laid = Laid::new();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            laid.write(ACTIVE, 0).write(JOURNAL, 0).sync(JOURNAL);
        });
        assert!(thread.join().is_err());
    });
}
