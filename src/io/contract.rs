//! What every disk does alike. Each test runs on all of them.

use std::io::ErrorKind::{self, *};
use std::path::Path;
use std::sync::Arc;

use super::budget::Budgeted;
use super::sim::SimDisk;
use super::{Access, Disk, File, FileKind, MemDisk, OsDisk};
use crate::WriteMode;

macro_rules! on_every_disk {
    ($($test:ident)*) => {
        mod memory { $(#[test] fn $test() { super::$test(&*super::MemDisk::new()); })* }
        mod budgeted { $(#[test] fn $test() {
            super::$test(&*super::Budgeted::new(super::MemDisk::new(), u64::MAX).unwrap());
        })* }
        mod simulated { $(#[test] fn $test() { super::$test(&*super::SimDisk::new()); })* }
        mod auto { $(#[test] #[cfg_attr(miri, ignore)] fn $test() { super::on_os(super::WriteMode::Auto, super::$test); })* }
        mod mapped { $(#[test] #[cfg_attr(miri, ignore)] fn $test() { super::on_os(super::WriteMode::Mapped, super::$test); })* }
        mod pwrite { $(#[test] #[cfg_attr(miri, ignore)] fn $test() { super::on_os(super::WriteMode::Pwrite, super::$test); })* }
    };
}

on_every_disk! {
    directories_are_created_listed_and_removed
    errors_of_directories_say_what_is_wrong
    a_created_file_is_zeros_of_its_capacity
    what_is_created_must_be_new
    what_was_written_is_read
    reads_end_with_the_file
    writes_append_without_a_gap
    a_file_grows_with_zeros_and_keeps_its_bytes
    a_handle_that_was_grown_goes_on_reading
    a_file_is_cut_and_appended_to_again
    reading_handles_do_not_write
    another_handle_sees_what_was_written
    an_empty_file_is_read_and_written
    open_refuses_directories_and_finds_nothing
    rename_replaces_files_and_moves_directories
    rename_refuses_what_it_cannot_replace
    a_removed_file_is_read_to_the_end
    a_renamed_file_stays_open
    a_lock_is_exclusive_until_dropped
    paths_do_not_leave_the_root
    any_pattern_of_appends_is_read_back
}

fn on_os(mode: WriteMode, test: impl Fn(&dyn Disk)) {
    let dir = tempfile::tempdir().unwrap();
    test(&*OsDisk::open(dir.path(), mode).unwrap());
}

fn path(path: &str) -> &Path {
    Path::new(path)
}

fn bytes(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn create(disk: &dyn Disk, name: &str, content: &[u8]) -> Arc<dyn File> {
    let file = disk.create(path(name), content.len() as u64).unwrap();
    file.write_at(0, content).unwrap();
    file
}

#[track_caller]
fn fails<T: std::fmt::Debug>(kind: ErrorKind, result: std::io::Result<T>) {
    let found = result.unwrap_err().kind();
    // Windows tells less of what is in the way.
    let is_told_otherwise = match kind {
        NotADirectory => matches!(found, NotFound | PermissionDenied | InvalidFilename),
        IsADirectory | InvalidInput => found == PermissionDenied,
        _ => false,
    };
    assert!(found == kind || cfg!(windows) && is_told_otherwise, "{found:?} instead of {kind:?}");
}

fn directories_are_created_listed_and_removed(disk: &dyn Disk) {
    assert_eq!(disk.list(path("")).unwrap(), []);
    disk.create_dir(path("a")).unwrap();
    disk.create_dir(path("a/b")).unwrap();
    create(disk, "a/c", b"");
    let mut found = disk.list(path("a")).unwrap();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, [("b".into(), FileKind::Directory), ("c".into(), FileKind::File)]);
    assert_eq!(disk.kind(path("a")).unwrap(), Some(FileKind::Directory));
    assert_eq!(disk.kind(path("a/c")).unwrap(), Some(FileKind::File));
    assert_eq!(disk.kind(path("d/e")).unwrap(), None);
    disk.sync_dir(path("a")).unwrap();
    disk.sync_dir(path("")).unwrap();
    disk.remove_dir(path("a/b")).unwrap();
    disk.remove_file(path("a/c")).unwrap();
    disk.remove_dir(path("a")).unwrap();
    assert_eq!(disk.list(path("")).unwrap(), []);
}

fn errors_of_directories_say_what_is_wrong(disk: &dyn Disk) {
    disk.create_dir(path("a")).unwrap();
    create(disk, "a/file", b"x");
    fails(AlreadyExists, disk.create_dir(path("a")));
    fails(AlreadyExists, disk.create_dir(path("a/file")));
    fails(NotFound, disk.create_dir(path("b/c")));
    fails(NotADirectory, disk.create_dir(path("a/file/c")));
    fails(NotFound, disk.list(path("b")));
    fails(NotADirectory, disk.list(path("a/file")));
    fails(NotFound, disk.sync_dir(path("b")));
    fails(NotADirectory, disk.sync_dir(path("a/file")));
    fails(DirectoryNotEmpty, disk.remove_dir(path("a")));
    fails(NotADirectory, disk.remove_dir(path("a/file")));
    fails(IsADirectory, disk.remove_file(path("a")));
    fails(NotFound, disk.remove_file(path("b")));
    fails(NotFound, disk.remove_dir(path("b")));
    match disk.kind(path("a/file/c")) {
        Ok(found) => assert!(cfg!(windows) && found.is_none(), "{found:?}"),
        Err(error) => assert_eq!(error.kind(), NotADirectory),
    }
}

fn a_created_file_is_zeros_of_its_capacity(disk: &dyn Disk) {
    for capacity in [0, 1, 7, 4096, 100_000] {
        let name = format!("file{capacity}");
        let file = disk.create(path(&name), capacity).unwrap();
        assert_eq!(file.len().unwrap(), capacity);
        assert_eq!(bytes(&*file), vec![0; capacity as usize]);
    }
}

fn what_is_created_must_be_new(disk: &dyn Disk) {
    create(disk, "file", b"kept");
    disk.create_dir(path("dir")).unwrap();
    fails(AlreadyExists, disk.create(path("file"), 10));
    fails(AlreadyExists, disk.create(path("dir"), 10));
    fails(NotFound, disk.create(path("nowhere/file"), 10));
    assert_eq!(bytes(&*disk.open(path("file"), Access::Read).unwrap()), b"kept");
}

fn what_was_written_is_read(disk: &dyn Disk) {
    let file = disk.create(path("file"), 200_000).unwrap();
    let mut expected = vec![0; 200_000];
    // Forwards, backwards, across pages and windows, and over what is there.
    for (offset, len, byte) in
        [(0, 100, 1), (100, 5000, 2), (65_530, 20, 3), (50, 10, 4), (199_999, 1, 5), (1, 66_000, 6)]
    {
        file.write_at(offset, &vec![byte; len]).unwrap();
        expected[offset as usize..offset as usize + len].fill(byte);
        assert_eq!(bytes(&*file), expected);
    }
    file.sync().unwrap();
    drop(file);
    for access in [Access::Read, Access::Write] {
        assert_eq!(bytes(&*disk.open(path("file"), access).unwrap()), expected);
    }
}

fn reads_end_with_the_file(disk: &dyn Disk) {
    let written = create(disk, "file", b"0123456789");
    for file in [written, disk.open(path("file"), Access::Read).unwrap()] {
        let mut two = [0; 2];
        file.read_at(8, &mut two).unwrap();
        assert_eq!(&two, b"89");
        fails(UnexpectedEof, file.read_at(9, &mut two));
        fails(UnexpectedEof, file.read_at(10, &mut two));
        fails(UnexpectedEof, file.read_at(1 << 40, &mut two));
        file.read_at(10, &mut []).unwrap();
        assert!(file.read_at(u64::MAX, &mut two).is_err());
    }
}

fn writes_append_without_a_gap(disk: &dyn Disk) {
    let file = create(disk, "file", b"01");
    file.write_at(2, b"23").unwrap();
    file.write_at(3, b"x45").unwrap();
    fails(InvalidInput, file.write_at(7, b"7"));
    assert!(file.write_at(u64::MAX, b"7").is_err());
    file.write_at(6, b"").unwrap();
    assert_eq!(bytes(&*file), b"012x45");
    assert_eq!(bytes(&*disk.open(path("file"), Access::Read).unwrap()), b"012x45");
}

fn a_file_grows_with_zeros_and_keeps_its_bytes(disk: &dyn Disk) {
    let file = create(disk, "file", b"0123");
    let larger = file.grow(70_000).unwrap();
    assert_eq!(larger.len().unwrap(), 70_000);
    larger.write_at(4, b"45").unwrap();
    larger.write_at(69_999, b"z").unwrap();
    larger.sync().unwrap();
    let mut expected = b"012345".to_vec();
    expected.resize(69_999, 0);
    expected.push(b'z');
    assert_eq!(bytes(&*larger), expected);
    let same = larger.grow(10).unwrap();
    assert_eq!(same.len().unwrap(), 70_000);
}

fn a_handle_that_was_grown_goes_on_reading(disk: &dyn Disk) {
    let file = create(disk, "file", b"0123");
    let larger = file.grow(5000).unwrap();
    larger.write_at(4, b"4567").unwrap();
    let mut all = [0; 8];
    file.read_at(0, &mut all).unwrap();
    assert_eq!(&all, b"01234567");
    file.sync().unwrap();
    larger.truncate(6).unwrap();
    fails(UnexpectedEof, file.read_at(0, &mut all));
}

fn a_file_is_cut_and_appended_to_again(disk: &dyn Disk) {
    let file = create(disk, "file", &[1; 10_000]);
    fails(InvalidInput, file.truncate(10_001));
    file.truncate(5000).unwrap();
    fails(UnexpectedEof, file.read_at(4999, &mut [0; 2]));
    file.write_at(4998, &[2; 3]).unwrap();
    file.write_at(5001, &[3; 3]).unwrap();
    let mut expected = vec![1; 4998];
    expected.extend([2, 2, 2, 3, 3, 3]);
    assert_eq!(bytes(&*file), expected);
    let larger = file.grow(10_000).unwrap();
    larger.write_at(5004, &[4; 2]).unwrap();
    expected.extend([4, 4]);
    expected.resize(10_000, 0);
    assert_eq!(bytes(&*larger), expected, "what was cut off does not come back");
    larger.truncate(0).unwrap();
    assert_eq!(bytes(&*larger), b"");
}

fn reading_handles_do_not_write(disk: &dyn Disk) {
    create(disk, "file", b"kept");
    let file = disk.open(path("file"), Access::Read).unwrap();
    fails(PermissionDenied, file.write_at(0, b"lost"));
    fails(PermissionDenied, file.write_at(0, b""));
    fails(PermissionDenied, file.truncate(0));
    fails(PermissionDenied, file.grow(10));
    file.sync().unwrap();
    assert_eq!(bytes(&*file), b"kept");
}

fn another_handle_sees_what_was_written(disk: &dyn Disk) {
    let file = disk.create(path("file"), 8192).unwrap();
    let reader = disk.open(path("file"), Access::Read).unwrap();
    file.write_at(100, b"seen").unwrap();
    file.write_at(10, b"too").unwrap();
    assert_eq!(bytes(&*reader), bytes(&*file));
}

fn an_empty_file_is_read_and_written(disk: &dyn Disk) {
    drop(disk.create(path("file"), 0).unwrap());
    let reader = disk.open(path("file"), Access::Read).unwrap();
    reader.read_at(0, &mut []).unwrap();
    fails(UnexpectedEof, reader.read_at(0, &mut [0]));
    let file = disk.open(path("file"), Access::Write).unwrap();
    file.write_at(0, b"first").unwrap();
    file.sync().unwrap();
    assert_eq!(bytes(&*file), b"first");
    assert_eq!(bytes(&*disk.open(path("file"), Access::Read).unwrap()), b"first");
}

fn open_refuses_directories_and_finds_nothing(disk: &dyn Disk) {
    disk.create_dir(path("dir")).unwrap();
    for access in [Access::Read, Access::Write] {
        fails(InvalidInput, disk.open(path("dir"), access));
        fails(NotFound, disk.open(path("nothing"), access));
        fails(NotFound, disk.open(path("no/thing"), access));
    }
    fails(InvalidInput, disk.lock(path("dir")));
    fails(NotFound, disk.lock(path("no/thing")));
}

fn rename_replaces_files_and_moves_directories(disk: &dyn Disk) {
    create(disk, "new", b"new");
    create(disk, "old", b"old");
    disk.rename(path("new"), path("old")).unwrap();
    assert_eq!(disk.kind(path("new")).unwrap(), None);
    assert_eq!(bytes(&*disk.open(path("old"), Access::Read).unwrap()), b"new");

    disk.create_dir(path("a")).unwrap();
    disk.create_dir(path("empty")).unwrap();
    create(disk, "a/file", b"inside");
    disk.rename(path("a"), path("b")).unwrap();
    disk.rename(path("b"), path("empty")).unwrap();
    assert_eq!(bytes(&*disk.open(path("empty/file"), Access::Read).unwrap()), b"inside");
    disk.rename(path("empty/file"), path("moved")).unwrap();
    disk.rename(path("moved"), path("moved")).unwrap();
    assert_eq!(bytes(&*disk.open(path("moved"), Access::Read).unwrap()), b"inside");
    assert_eq!(disk.list(path("empty")).unwrap(), []);
}

fn rename_refuses_what_it_cannot_replace(disk: &dyn Disk) {
    disk.create_dir(path("a")).unwrap();
    disk.create_dir(path("full")).unwrap();
    create(disk, "full/file", b"");
    create(disk, "file", b"");
    fails(NotFound, disk.rename(path("nothing"), path("b")));
    fails(NotFound, disk.rename(path("file"), path("no/thing")));
    fails(DirectoryNotEmpty, disk.rename(path("a"), path("full")));
    fails(NotADirectory, disk.rename(path("a"), path("file")));
    fails(IsADirectory, disk.rename(path("file"), path("a")));
    fails(InvalidInput, disk.rename(path("a"), path("a/b")));
    assert_eq!(disk.list(path("")).unwrap().len(), 3);
}

fn a_removed_file_is_read_to_the_end(disk: &dyn Disk) {
    let writer = create(disk, "file", b"still here");
    let reader = disk.open(path("file"), Access::Read).unwrap();
    disk.remove_file(path("file")).unwrap();
    create(disk, "file", b"another");
    assert_eq!(bytes(&*writer), b"still here");
    writer.write_at(0, b"S").unwrap();
    writer.sync().unwrap();
    assert_eq!(bytes(&*reader), b"Still here");
}

fn a_renamed_file_stays_open(disk: &dyn Disk) {
    let file = create(disk, "temporary", b"0123");
    disk.rename(path("temporary"), path("final")).unwrap();
    file.write_at(4, b"45").unwrap();
    assert_eq!(bytes(&*disk.open(path("final"), Access::Read).unwrap()), b"012345");
}

fn a_lock_is_exclusive_until_dropped(disk: &dyn Disk) {
    let lock = disk.lock(path("LOCK")).unwrap();
    assert_eq!(disk.kind(path("LOCK")).unwrap(), Some(FileKind::File));
    fails(WouldBlock, disk.lock(path("LOCK")));
    lock.write_at(0, b"who").unwrap();
    let other = disk.lock(path("OTHER")).unwrap();
    drop(lock);
    let again = disk.lock(path("LOCK")).unwrap();
    assert_eq!(bytes(&*again), b"who");
    fails(WouldBlock, disk.lock(path("OTHER")));
    drop(other);
}

fn paths_do_not_leave_the_root(disk: &dyn Disk) {
    for outside in ["/etc/passwd", "../file", "a/../../file"] {
        let outside = path(outside);
        fails(InvalidInput, disk.open(outside, Access::Read));
        fails(InvalidInput, disk.create(outside, 0));
        fails(InvalidInput, disk.create_dir(outside));
        fails(InvalidInput, disk.kind(outside));
        fails(InvalidInput, disk.list(outside));
        fails(InvalidInput, disk.rename(outside, path("a")));
        fails(InvalidInput, disk.remove_file(outside));
    }
}

fn any_pattern_of_appends_is_read_back(disk: &dyn Disk) {
    let capacity = if cfg!(miri) { 5000 } else { 300_000 };
    let file = disk.create(path("file"), capacity).unwrap();
    let mut expected = Vec::new();
    let mut seed = 1_u32;
    while (expected.len() as u64) < capacity + 1000 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let piece: Vec<u8> = (0..seed >> 22).map(|at| (seed >> (at % 24)) as u8).collect();
        file.write_at(expected.len() as u64, &piece).unwrap();
        expected.extend(piece);
        let from = expected.len() / 2;
        let mut half = vec![0; expected.len() - from];
        file.read_at(from as u64, &mut half).unwrap();
        assert!(half == expected[from..], "half of {}", expected.len());
    }
    file.sync().unwrap();
    assert!(bytes(&*disk.open(path("file"), Access::Read).unwrap()) == expected);
}
