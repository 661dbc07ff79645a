//! What a crash leaves is what was synced, and of the rest any part: each image is one such outcome.

use super::*;

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
