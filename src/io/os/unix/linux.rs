//! What Linux does in its own way.

use std::ffi::OsStr;
use std::fs;
use std::io::Result;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FallocateFlags, FileType, IFlags, OFlags, RawDir};
use rustix::io::Errno;

/// How many bytes of a directory one call reads.
const LISTED: usize = 32 << 10;

/// How a directory is opened from which others are reached.
pub(super) const PLACE: OFlags = OFlags::PATH;

/// Goes through a directory, without `.` and `..`, until told to stop.
pub(super) fn each(directory: &fs::File, mut visit: impl FnMut(&OsStr, FileType) -> ControlFlow<()>) -> Result<()> {
    let mut buffer = Vec::with_capacity(LISTED);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." && visit(OsStr::from_bytes(name), entry.file_type()).is_break() {
            break;
        }
    }
    Ok(())
}

/// Whether the file is on a file system that, once a block is allocated, never needs another one to write to it.
pub(super) fn never_moves_blocks(file: &fs::File) -> bool {
    const EXT4: u32 = 0xef53;
    const XFS: u32 = 0x5846_5342;
    const TMPFS: u32 = 0x0102_1994;
    // Magic numbers have 32 bits, and are sign-extended on some platforms.
    rustix::fs::fstatfs(file).is_ok_and(|stat| matches!(stat.f_type as u32, EXT4 | XFS | TMPFS))
}

/// Has btrfs write to a new, empty file in place, as far as it can (`chattr +C`). Otherwise every write takes a new block,
/// and what was allocated ahead is of no use on a full disk. It costs the file system's checksums, but we have our own.
pub(super) fn keep_blocks(file: &fs::File) {
    const BTRFS: u32 = 0x9123_683e;
    if rustix::fs::fstatfs(file).is_ok_and(|stat| stat.f_type as u32 == BTRFS)
        && let Ok(flags) = rustix::fs::ioctl_getflags(file)
    {
        let _ = rustix::fs::ioctl_setflags(file, flags | IFlags::NOCOW);
    }
}

/// Allocates the first `capacity` bytes of a file; returns whether its file system can do that.
pub(in super::super) fn preallocate(file: &fs::File, capacity: u64) -> Result<bool> {
    // From the start: a copy of a file may have lost its allocated blocks.
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, capacity)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        allocated => {
            allocated?;
            Ok(true)
        }
    }
}

/// Has no more read than what is asked for: pages that are brought in ahead, many at a time, are written back as many by
/// whoever writes to one of them. It is advice; a file system that does not take it does no harm.
pub(super) fn read_as_asked(file: &fs::File) {
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Random);
}
