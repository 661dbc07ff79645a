//! The operating system, or a simulated one: everything above works on these traits alone.
//!
//! Paths are relative to the root of the store and use no `..`. All methods take `&self` and may be called from any
//! thread. Errors are those of the operating system; the layers above add the path and decide what they mean.
//!
//! | method | promise the layers above build on |
//! |---|---|
//! | [`Disk::create`] | the file is new, its first `capacity` bytes are allocated and read as zeros |
//! | [`File::write_at`] | the bytes are with the operating system when it returns: they survive the death of the process |
//! | [`File::sync`] | bytes and size survive power loss when it returns; after an error nothing is known |
//! | [`Disk::rename`] | atomic; survives power loss after [`Disk::sync_dir`] of the directory |

pub mod board;
pub mod budget;
pub mod frozen;
mod helper;
pub mod latch;
mod map;
mod mem;
pub mod observed;
mod os;
pub mod place;
pub mod process;
pub mod reading;
pub mod sim;
mod tree;
mod window;
mod words;
mod write_behind;

#[cfg(test)]
mod contract;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{Error, ErrorKind, Result};
use std::path::{Component, Path};
use std::sync::Arc;

pub(crate) use mem::MemDisk;
pub(crate) use os::{OsDisk, create_root, descriptors_max, exchange, lacks_descriptors, no_descriptors};

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else: a symbolic link, a pipe, a device.
    Other,
}

/// What an opened file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only. The whole file is mapped where that is possible, and no descriptor is kept then.
    Read,
    /// Reading and writing.
    Write,
}

/// A directory tree: the root of a store.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates a directory (mode 0700) whose parent exists. Fails with `AlreadyExists` if there is anything.
    fn create_dir(&self, path: &Path) -> Result<()>;

    /// What is in a directory, in no particular order, without `.` and `..`.
    fn list(&self, path: &Path) -> Result<Vec<(OsString, FileKind)>>;

    /// Whether there is nothing in a directory, without reading all of it.
    fn is_empty(&self, path: &Path) -> Result<bool> {
        Ok(self.list(path)?.is_empty())
    }

    /// What `path` is, without following a symbolic link; `None` if there is nothing.
    fn kind(&self, path: &Path) -> Result<Option<FileKind>>;

    /// Creates a file (mode 0600) of `capacity` allocated zero bytes, for writing.
    ///
    /// Fails with `AlreadyExists` if there is anything at `path`, and with `StorageFull` if the room cannot be
    /// allocated; there is no file then.
    fn create(&self, path: &Path, capacity: u64) -> Result<Arc<dyn File>>;

    /// Opens a regular file. Symbolic links are not followed, and what is not a regular file is `InvalidInput`.
    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn File>>;

    /// Opens a regular file that another process may be writing to, lengthening and cutting, for reading: its length is what
    /// it is at the time, and what is not there reads as zeros. Fails as [`open`](Self::open) does.
    fn watch(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.open(path, Access::Read)
    }

    /// The file by which this process tells others what it has published, made with `capacity` bytes if it is not there.
    /// `None` if there are no others that could look, or no room for it.
    fn board(&self, path: &Path, capacity: u64) -> Option<Arc<dyn File>> {
        let _ = (path, capacity);
        None
    }

    /// The content of a small file, or its first `len_max` bytes; `None` if there is nothing. Fails as
    /// [`open`](Self::open) does.
    fn read(&self, path: &Path, len_max: u64) -> Result<Option<Vec<u8>>> {
        if self.kind(path)?.is_none() {
            return Ok(None);
        }
        let file = self.open(path, Access::Read)?;
        let mut bytes = vec![0; usize::try_from(file.len()?.min(len_max)).unwrap_or(usize::MAX)];
        file.read_at(0, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// The size of a file, in bytes.
    fn size(&self, path: &Path) -> Result<u64> {
        self.open(path, Access::Read)?.len()
    }

    /// How many bytes a file takes on the disk, which is more or less than its length.
    fn allocated(&self, path: &Path) -> Result<u64> {
        self.size(path)
    }

    /// Renames a file or directory, replacing a file (or an empty directory) that is at `to`.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file. Whoever has it open goes on reading it.
    fn remove_file(&self, path: &Path) -> Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> Result<()>;

    /// Makes the creations, renames and removals in a directory survive power loss.
    fn sync_dir(&self, path: &Path) -> Result<()>;

    /// Whether the descriptors that are set aside for when there are no others are in use; tries to set some aside again.
    fn lacks_descriptors(&self) -> bool {
        false
    }

    /// Where the root is, if it is a directory of the operating system's.
    fn root(&self) -> Option<&Path> {
        None
    }

    /// Gives a file another name, at a path of the operating system's. Fails where that is not possible, as on another file
    /// system: then there is nothing at `to`.
    fn link_out(&self, path: &Path, to: &Path) -> Result<()> {
        let _ = (path, to);
        Err(ErrorKind::Unsupported.into())
    }

    /// Whether a path of the operating system's is another name of the file.
    fn is_same_file(&self, path: &Path, other: &Path) -> Result<bool> {
        let _ = (path, other);
        Ok(false)
    }

    /// Opens or creates the file and takes its exclusive lock, which lasts until the file is dropped.
    /// `WouldBlock` if somebody else, in this process or another, has it.
    fn lock(&self, path: &Path) -> Result<Arc<dyn File>>;
}

/// An open file.
///
/// One thread writes at a time, and nobody reads bytes that are being written: the layers above see to both.
pub trait File: Send + Sync + fmt::Debug {
    /// The size, in bytes.
    fn len(&self) -> Result<u64>;

    /// Fills `buf` from `offset`; `UnexpectedEof` if the file ends before that.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()>;

    /// Writes all of `bytes` at `offset`, within the file's size or appending to it without a gap.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Makes everything written so far, and the size, survive power loss.
    fn sync(&self) -> Result<()>;

    /// Cuts the file to `len` bytes, which is not more than it has.
    fn truncate(&self, len: u64) -> Result<()>;

    /// The same open file with at least `capacity` allocated bytes; the new ones read as zeros.
    ///
    /// The handle that this was called on goes on working for reading and syncing, but not for writing.
    fn grow(&self, capacity: u64) -> Result<Arc<dyn File>>;

    /// Whether it has a descriptor as long as it is open, of which a process may have few.
    fn holds_descriptor(&self) -> bool {
        true
    }
}

/// The names along a path. Fails with `InvalidInput` for one that could leave the root.
fn names(path: &Path) -> Result<impl DoubleEndedIterator<Item = &OsStr>> {
    if !path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir)) {
        return Err(Error::new(ErrorKind::InvalidInput, "the path is not below the root"));
    }
    Ok(path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    }))
}

/// Whether a directory can be renamed while a file in it is open.
pub(crate) const MOVES_OPEN_DIRECTORIES: bool = !cfg!(windows);

/// Whether maps are better given back than kept at hand: what this process may have of the address space is bounded.
pub(crate) fn addresses_are_few() -> bool {
    cfg!(target_pointer_width = "32") || os::address_space_max().is_some()
}

/// The error of writing to a file that was opened for reading.
pub(crate) fn read_only() -> Error {
    Error::new(ErrorKind::PermissionDenied, "the file is open for reading only")
}

/// The error of writing beyond the end of a file.
fn gap() -> Error {
    Error::new(ErrorKind::InvalidInput, "the write would leave a gap")
}
