//! What macOS does in its own way.

use std::ffi::OsStr;
use std::fs;
use std::io::Result;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Dir, FallocateFlags, FileType, OFlags};
use rustix::io::Errno;

/// How a directory is opened from which others are reached.
pub(super) const PLACE: OFlags = OFlags::DIRECTORY;

/// Goes through a directory, without `.` and `..`, until told to stop.
pub(super) fn each(directory: &fs::File, mut visit: impl FnMut(&OsStr, FileType) -> ControlFlow<()>) -> Result<()> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." && visit(OsStr::from_bytes(name), entry.file_type()).is_break() {
            break;
        }
    }
    Ok(())
}

/// Nothing is written through mappings unless asked for: APFS takes a new block for a write where there is a snapshot or a clone,
/// and there is no way to have that done ahead.
pub(super) fn never_moves_blocks(_: &fs::File) -> bool {
    false
}

pub(super) fn keep_blocks(_: &fs::File) {}

/// Allocates the first `capacity` bytes of a file, which has no more; returns whether its file system can do that.
///
/// `F_PREALLOCATE` counts from the end of what is allocated, so a file that grows asks for more than it keeps, for a moment.
pub(in super::super) fn preallocate(file: &fs::File, capacity: u64) -> Result<bool> {
    if file.metadata()?.len() >= capacity {
        // `fallocate` would cut it. A copy of a file that lost its allocated blocks stays without them here.
        return Ok(true);
    }
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, capacity)) {
        Err(Errno::NOTSUP | Errno::OPNOTSUPP) => Ok(false),
        allocated => {
            allocated?;
            Ok(true)
        }
    }
}

/// There is nothing to ask for: nothing is written through mappings here.
pub(super) fn read_as_asked(_: &fs::File) {}
