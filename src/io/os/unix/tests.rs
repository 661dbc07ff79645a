use std::os::unix::fs::symlink;

use super::*;
use crate::io::os::room::{ZEROS, write_zeros};

fn disk(mode: WriteMode) -> (tempfile::TempDir, Arc<OsDisk>) {
    let dir = tempfile::tempdir().unwrap();
    let disk = OsDisk::open(dir.path(), mode).unwrap();
    (dir, disk)
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn the_root_is_a_directory_that_exists() {
    let (dir, _) = disk(WriteMode::Auto);
    fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(kind(OsDisk::open(&dir.path().join("file"), WriteMode::Auto)), ErrorKind::NotADirectory);
    assert_eq!(kind(OsDisk::open(&dir.path().join("nothing"), WriteMode::Auto)), ErrorKind::NotFound);
}

#[test]
fn what_is_not_a_regular_file_is_refused_without_blocking() {
    let (dir, disk) = disk(WriteMode::Auto);
    fs::write(dir.path().join("file"), "secret").unwrap();
    symlink("file", dir.path().join("link")).unwrap();
    symlink("nothing", dir.path().join("dangling")).unwrap();
    symlink("link-to-itself", dir.path().join("link-to-itself")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    for name in ["link", "dangling", "link-to-itself", "pipe", "socket"] {
        let name = Path::new(name);
        assert_eq!(disk.kind(name).unwrap(), Some(FileKind::Other));
        assert_eq!(kind(disk.open(name, Access::Read)), ErrorKind::InvalidInput, "reading {name:?}");
        assert_eq!(kind(disk.open(name, Access::Write)), ErrorKind::InvalidInput, "writing {name:?}");
        assert_eq!(kind(disk.lock(name)), ErrorKind::InvalidInput, "locking {name:?}");
        assert_eq!(kind(disk.create(name, 10)), ErrorKind::AlreadyExists, "creating {name:?}");
    }
    assert_eq!(kind(disk.sync_dir(Path::new("link"))), ErrorKind::NotADirectory);
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"secret");
}

#[test]
fn nobody_else_may_read() {
    let (dir, disk) = disk(WriteMode::Auto);
    disk.create_dir(Path::new("dir")).unwrap();
    disk.create(Path::new("dir/file"), 10).unwrap();
    disk.lock(Path::new("dir/LOCK")).unwrap();
    let mode = |name| fs::metadata(dir.path().join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("dir"), mode("dir/file"), mode("dir/LOCK")), (0o700, 0o600, 0o600));
}

#[test]
fn room_is_allocated_when_a_file_is_created_and_grown() {
    let (dir, disk) = disk(WriteMode::Auto);
    let file = disk.create(Path::new("file"), 100_000).unwrap();
    let allocated = || fs::metadata(dir.path().join("file")).unwrap().blocks() * 512;
    assert!(allocated() >= 100_000);
    let _larger = file.grow(200_000).unwrap();
    assert!(allocated() >= 200_000);
}

#[test]
fn zeros_are_written_where_nothing_can_be_allocated() {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(b"kept", 0).unwrap();
    write_zeros(&file, 4, 3 * ZEROS as u64 + 1).unwrap();
    let metadata = file.metadata().unwrap();
    assert_eq!(metadata.len(), 3 * ZEROS as u64 + 1);
    assert!(metadata.blocks() * 512 >= metadata.len());
    let mut start = [1; 8];
    file.read_exact_at(&mut start, 0).unwrap();
    assert_eq!(&start, b"kept\0\0\0\0");
}

#[test]
fn a_file_larger_than_the_process_may_have_is_an_error_and_no_signal() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const LIMIT: u64 = 1 << 34;
    let (dir, disk) = disk(WriteMode::Pwrite);
    fs::File::create(dir.path().join("large")).unwrap().set_len(LIMIT - 2).unwrap();
    let large = disk.open(Path::new("large"), Access::Write).unwrap();
    // High enough not to be in the way of other tests in this process.
    setrlimit(Resource::Fsize, Rlimit { current: Some(LIMIT), ..getrlimit(Resource::Fsize) }).unwrap();

    large.write_at(LIMIT - 2, b"01").unwrap();
    assert_eq!(kind(large.write_at(LIMIT, b"2")), ErrorKind::FileTooLarge);
    assert_eq!(kind(large.write_at(LIMIT - 1, b"12")), ErrorKind::FileTooLarge);
    assert_eq!(kind(large.grow(LIMIT + 1)), ErrorKind::FileTooLarge);
    assert_eq!(kind(disk.create(Path::new("file"), LIMIT + 1)), ErrorKind::FileTooLarge);
    assert_eq!(disk.kind(Path::new("file")).unwrap(), None);
}

#[test]
fn a_file_that_does_not_fit_is_not_there() {
    let (_dir, disk) = disk(WriteMode::Auto);
    let error = disk.create(Path::new("file"), 1 << 43).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::FileTooLarge), "{error}");
    assert_eq!(disk.kind(Path::new("file")).unwrap(), None);
}

#[cfg(target_os = "linux")]
#[test]
fn a_mapped_file_that_is_read_keeps_no_descriptor() {
    let (_dir, disk) = disk(WriteMode::Auto);
    drop(disk.create(Path::new("file"), 100).unwrap());
    let open = || fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let is_open = || open().any(|target| target == disk.root.join("file"));
    let reader = disk.open(Path::new("file"), Access::Read).unwrap();
    assert!(!is_open());
    let writer = disk.open(Path::new("file"), Access::Write).unwrap();
    assert!(is_open());
    drop((reader, writer));
}

#[test]
fn a_lock_file_that_was_replaced_does_not_lock() {
    let (dir, disk) = disk(WriteMode::Auto);
    let name = Path::new("LOCK");
    let first = disk.lock(name).unwrap();
    fs::remove_file(dir.path().join(name)).unwrap();
    // Nothing can be done about those who do that; the next one at least is alone again.
    let second = disk.lock(name).unwrap();
    assert_eq!(kind(disk.lock(name)), ErrorKind::WouldBlock);
    drop((first, second));
}

#[test]
fn a_sync_notices_that_somebody_truncated_the_file() {
    let (dir, disk) = disk(WriteMode::Mapped);
    let file = disk.create(Path::new("file"), 10_000).unwrap();
    file.write_at(0, b"0123").unwrap();
    file.sync().unwrap();
    fs::OpenOptions::new().write(true).open(dir.path().join("file")).unwrap().set_len(3).unwrap();
    assert!(file.sync().is_err());
    assert_eq!(kind(file.read_at(0, &mut [0; 4])), ErrorKind::UnexpectedEof);
}

#[cfg(target_os = "linux")]
/// Needs the right to mount.
#[test]
#[ignore = "mounts a file system"]
fn a_full_disk_is_an_error_and_no_signal() {
    let dir = tempfile::tempdir().unwrap();
    let run = |command: &mut std::process::Command| assert!(command.status().unwrap().success());
    run(std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(dir.path()));
    let disk = OsDisk::open(dir.path(), WriteMode::Mapped).unwrap();
    // Without blocks, as a careless copy would have it.
    fs::File::create(dir.path().join("sparse")).unwrap().set_len(1 << 20).unwrap();
    let sparse = disk.open(Path::new("sparse"), Access::Write).unwrap();
    let full = (0..1024).find_map(|at| sparse.write_at(at << 10, &[1; 1 << 10]).err().map(|error| (at, error)));
    assert_eq!(kind(sparse.write_at(1 << 19, b"x")), ErrorKind::StorageFull);
    assert_eq!(kind(disk.create(Path::new("file"), 4096)), ErrorKind::StorageFull);
    assert_eq!(disk.kind(Path::new("file")).unwrap(), None);
    let (full_at, error) = full.unwrap();
    assert_eq!((full_at, error.kind()), (256, ErrorKind::StorageFull));
    sparse.write_at(0, b"what is allocated can be written").unwrap();
    sparse.truncate(1 << 12).unwrap();
    drop(disk.create(Path::new("file"), 4096).unwrap());
    drop((sparse, disk));
    run(std::process::Command::new("umount").arg(dir.path()));
}
