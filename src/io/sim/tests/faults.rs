//! Calls fail where they are told to, and every step is in the history.

use super::*;

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
