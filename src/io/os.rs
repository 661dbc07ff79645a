//! The operating system's files.
//!
//! # By system
//!
//! | | Linux | macOS | Windows |
//! |---|---|---|---|
//! | writes | copied to a mapping, or `pwrite` | `pwrite` | `WriteFile` at an offset |
//! | reads | copied from a mapping | copied from a mapping | `ReadFile` at an offset |
//! | a sync of a file | `fdatasync` | `F_FULLFSYNC` | `FlushFileBuffers` |
//! | a sync of a directory | `fsync` | `F_FULLFSYNC` | `FlushFileBuffers`; where that is refused, none |
//! | room is allocated with | `fallocate`, or zeros | `F_PREALLOCATE`, or zeros | zeros |
//! | a lock | `flock` | `flock` | nobody else may open the file for writing |
//! | a link as the last part of a path | `O_NOFOLLOW` | `O_NOFOLLOW` | `FILE_FLAG_OPEN_REPARSE_POINT` |
//! | the rights of others | none: 0700, 0600 | none: 0700, 0600 | those of the directory that the store is in |
//! | the directory of the store | is reached wherever it is moved | is reached wherever it is moved | cannot be moved |
//!
//! `fsync` of macOS stops at the cache of the disk, `F_FULLFSYNC` does not; a file system that does not have it (some network
//! shares) fails the sync, and so does not open. Windows neither deletes, cuts nor renames over files that are mapped, so nothing is
//! mapped there; a directory in which a file is open is not renamed either, so renaming or deleting a stream that somebody is
//! reading fails, as [`Error::Io`](crate::Error::Io). Other systems are refused when compiling: whether their mappings and
//! calls agree, and what their syncs promise, is not known here.
//!
//! # What is kept open, where files are mapped
//!
//! | opened with | descriptor | mapping | reads | writes |
//! |---|---|---|---|---|
//! | [`Disk::create`](super::Disk::create), [`Access::Write`] | kept | for reading, or for reading and writing | copied from the mapping | copied to the mapping, or `pwrite` |
//! | [`Access::Read`] | closed once mapped | for reading | copied from the mapping | refused |
//! | [`Disk::lock`] | kept | none | `pread` | `pwrite` |
//!
//! A file that cannot be mapped (it is empty, there are too many maps, the file system has none) is read and written
//! with system calls instead. So is whatever lies beyond the mapping: a file that grew by appending.
//!
//! # Writing through the mapping
//!
//! Where [`WriteMode`](crate::WriteMode) allows it, and the kernel is Linux, bytes are copied to pages that were made ready
//! ahead of them, a [`Window`] at a time. Making them ready is what reports a full disk; it has the `pwrite` done instead
//! that says so. Bytes before the window (a header that is written again) and all others take the `pwrite`. The two agree,
//! as they share the page cache.
//!
//! # What can go wrong below
//!
//! - *Full disk*: an error, `StorageFull` or `QuotaExceeded`, from [`Disk::create`], [`File::grow`] or
//!   [`File::write_at`]. What was allocated can still be written.
//! - *`RLIMIT_FSIZE`*: `FileTooLarge`. It is looked at first, since the kernel would send a signal.
//! - *I/O error* while writing back: the next [`File::sync`] fails, and so does each after it; nothing is known about the
//!   bytes written since the one before. While reading: `pread` fails, but a mapping gets the signal `SIGBUS`.
//! - *Another process truncates a file*: reading beyond the new end through a mapping gets `SIGBUS`. A sync notices,
//!   and fails, unless the file has its old size again. Truncation through this module is safe for all handles that
//!   stem from one [`Disk::open`] or [`Disk::create`]; a handle opened apart must not read what was cut off.
//! - *A copy that shares blocks* (`cp --reflink`) of a file that is being written through a mapping, on a disk that is
//!   full: `SIGBUS`. [`WriteMode::Pwrite`](crate::WriteMode::Pwrite) is for those who take such copies.
//!
//! Symbolic links are refused as the last part of a path; the directories on the way are the caller's to check, with
//! [`Disk::kind`].
//!
//! Everything is reached from a descriptor of the root, wherever that is moved. What changes names looks first whether the
//! root still has its path: the messages that name it, and whoever opens the store there, would be wrong otherwise.
//!
//! [`Access::Read`]: super::Access::Read
//! [`Access::Write`]: super::Access::Write
//! [`Disk::create`]: super::Disk::create
//! [`Disk::kind`]: super::Disk::kind
//! [`Disk::lock`]: super::Disk::lock
//! [`Disk::open`]: super::Disk::open
//! [`File::grow`]: super::File::grow
//! [`File::sync`]: super::File::sync
//! [`File::write_at`]: super::File::write_at
//! [`Window`]: super::window::Window

mod file;
mod room;
#[cfg(unix)]
mod unix;
mod watched;
#[cfg(windows)]
mod windows;

use std::path::Path;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub(super) use system::address_space_max;
#[cfg(miri)]
pub(super) use system::read_exact_at;
pub(crate) use system::{OsDisk, create_root, descriptors_max, exchange, lacks_descriptors, no_descriptors};

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
compile_error!(
    "streamlog runs on Linux, macOS and Windows: see src/io/os.rs for what another system would have to promise"
);

#[cfg(not(target_has_atomic = "64"))]
compile_error!("streamlog needs atomic numbers of 64 bits, which this processor does not have");

/// The directories that get a new name when all those are made that are missing on the way to `path`, the innermost first.
fn parents_of_new(path: &Path) -> Vec<&Path> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let parents = path.ancestors().take_while(is_missing).filter_map(Path::parent);
    parents.map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_in_which_one_is_made_is_synced() {
        let root = tempfile::tempdir().unwrap();
        let in_root = |path: &str| root.path().join(path);
        std::fs::create_dir(in_root("there")).unwrap();
        let store = in_root("there/a/b/store");
        assert_eq!(parents_of_new(&store), [in_root("there/a/b"), in_root("there/a"), in_root("there")]);
        assert!(parents_of_new(&in_root("there")).is_empty());
        assert_eq!(parents_of_new(Path::new("not there/store")), [Path::new("not there"), Path::new(".")]);
    }
}
