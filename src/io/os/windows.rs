//! A directory of Windows'.
//!
//! Files are opened so that others may read, write, rename and delete them, as on Unix, but for the lock. Paths are extended
//! (`\\?\`), so they may be long, and names such as `con` are ordinary ones. What the [parent](super) says of Windows is here.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{OsFile, Shared};
use super::parents_of_new;
use super::room::allocate;
use super::watched::Watched;
use crate::WriteMode;
use crate::io::{Access, Disk, File, FileKind, names};

const FILE_SHARE_READ: u32 = 1;
const FILE_SHARE_WRITE: u32 = 2;
/// A directory is opened only with this.
const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
/// A link is opened itself, and not what it leads to.
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
const ERROR_TOO_MANY_OPEN_FILES: i32 = 4;
const ERROR_SHARING_VIOLATION: i32 = 32;

/// A directory of the operating system's.
#[derive(Debug)]
pub(crate) struct OsDisk {
    root: PathBuf,
    /// As long as it is open, nobody can move or delete the directory. `None` if that is not our business.
    _directory: Option<fs::File>,
}

impl OsDisk {
    /// The directory `root`, which must exist. Symbolic links on the way to it are followed, now. There is one mode of
    /// writing only, as nothing is mapped.
    pub(crate) fn open(root: &Path, _: WriteMode) -> Result<Arc<Self>> {
        let mut disk = Self::new(root)?;
        let mut options = directory_options();
        disk._directory = Some(options.read(true).share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE).open(&disk.root)?);
        Ok(Arc::new(disk))
    }

    /// As [`open`](Self::open), for reading what another process may be writing: it may be moved meanwhile.
    pub(crate) fn open_unmapped(root: &Path) -> Result<Arc<Self>> {
        Self::new(root).map(Arc::new)
    }

    fn new(root: &Path) -> Result<Self> {
        let root = fs::canonicalize(root)?;
        if !fs::metadata(&root)?.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok(Self { root, _directory: None })
    }

    /// Makes the name of the root survive power loss: whoever made or moved it may not have come to that.
    pub(crate) fn sync_name(&self) -> Result<()> {
        self.root.parent().map_or(Ok(()), sync_directory)
    }

    /// A path below the root. Name by name: an extended path knows no `/`.
    fn full(&self, path: &Path) -> Result<PathBuf> {
        let mut full = self.root.clone();
        full.extend(names(path)?);
        Ok(full)
    }

    /// Opens what must be a regular file; says how long it is.
    fn open_regular(&self, path: &Path, options: &mut OpenOptions) -> Result<(fs::File, u64)> {
        let full = self.full(path)?;
        let not_regular = || Error::new(ErrorKind::InvalidInput, "not a regular file");
        let opened = options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(&full);
        let file = opened.map_err(|error| match fs::symlink_metadata(&full) {
            // A directory is refused as if it were forbidden.
            Ok(found) if !found.is_file() => not_regular(),
            _ => error,
        })?;
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok((file, metadata.len())) } else { Err(not_regular()) }
    }
}

fn directory_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT);
    options
}

fn unmapped(file: fs::File, len: u64) -> Arc<dyn File> {
    Arc::new(OsFile::unmapped(Shared::new(Some(file), len)))
}

fn kind_of(kind: fs::FileType) -> FileKind {
    match (kind.is_file(), kind.is_dir()) {
        (true, _) => FileKind::File,
        (_, true) => FileKind::Directory,
        _ => FileKind::Other,
    }
}

impl Disk for OsDisk {
    fn create_dir(&self, path: &Path) -> Result<()> {
        fs::create_dir(self.full(path)?)
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, FileKind)>> {
        let told = |entry: Result<fs::DirEntry>| {
            let entry = entry?;
            Ok((entry.file_name(), kind_of(entry.file_type()?)))
        };
        fs::read_dir(self.full(path)?)?.map(told).collect()
    }

    fn is_empty(&self, path: &Path) -> Result<bool> {
        Ok(fs::read_dir(self.full(path)?)?.next().transpose()?.is_none())
    }

    fn kind(&self, path: &Path) -> Result<Option<FileKind>> {
        match fs::symlink_metadata(self.full(path)?) {
            Ok(found) => Ok(Some(kind_of(found.file_type()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, path: &Path, capacity: u64) -> Result<Arc<dyn File>> {
        let full = self.full(path)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&full)?;
        if let Err(error) = allocate(&file, 0, capacity) {
            // The first error is the one to report.
            let _ = fs::remove_file(&full);
            return Err(error);
        }
        Ok(unmapped(file, capacity))
    }

    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn File>> {
        let (file, len) = self.open_regular(path, OpenOptions::new().read(true).write(access == Access::Write))?;
        Ok(match access {
            Access::Read => Arc::new(OsFile::reading(file, len)),
            Access::Write => unmapped(file, len),
        })
    }

    fn watch(&self, path: &Path) -> Result<Arc<dyn File>> {
        let (file, _) = self.open_regular(path, OpenOptions::new().read(true))?;
        Ok(Arc::new(Watched(file)))
    }

    fn board(&self, path: &Path, capacity: u64) -> Option<Arc<dyn File>> {
        match self.open(path, Access::Write) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.create(path, capacity).ok(),
            opened => opened.ok(),
        }
    }

    fn size(&self, path: &Path) -> Result<u64> {
        Ok(fs::symlink_metadata(self.full(path)?)?.len())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let (from, to) = (self.full(from)?, self.full(to)?);
        let is_directory = |path: &Path| fs::symlink_metadata(path).map(|found| found.is_dir());
        match (is_directory(&from)?, is_directory(&to)) {
            // A file in its place would be gone.
            (true, Ok(false)) => Err(ErrorKind::NotADirectory.into()),
            (false, Ok(true)) => Err(ErrorKind::IsADirectory.into()),
            // No directory is replaced, not even an empty one, which is all that this removes.
            (true, Ok(true)) => fs::remove_dir(&to).and_then(|()| fs::rename(&from, &to)),
            (_, _) => fs::rename(&from, &to),
        }
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        fs::remove_file(self.full(path)?)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        fs::remove_dir(self.full(path)?)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        sync_directory(&self.full(path)?)
    }

    fn root(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn link_out(&self, path: &Path, to: &Path) -> Result<()> {
        fs::hard_link(self.full(path)?, to)
    }

    fn is_same_file(&self, _: &Path, _: &Path) -> Result<bool> {
        // Known to the system, but not told by the standard library.
        Err(ErrorKind::Unsupported.into())
    }

    fn lock(&self, path: &Path) -> Result<Arc<dyn File>> {
        // Not `File::lock`: what it locks, nobody else can read, and looking at a store reads the file.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).share_mode(FILE_SHARE_READ);
        match self.open_regular(path, &mut options) {
            Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => Err(ErrorKind::WouldBlock.into()),
            opened => opened.map(|(file, len)| unmapped(file, len)),
        }
    }
}

/// Flushes a directory. That is not documented to work; where it is refused, there is no better way.
fn sync_directory(path: &Path) -> Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    let is_refused = |error: &Error| {
        matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::Unsupported)
    };
    match directory_options().read(true).write(true).open(path).and_then(|directory| directory.sync_all()) {
        Err(error) if is_refused(&error) => Ok(()),
        synced => synced,
    }
}

/// How many handles a process may have is not limited.
pub(crate) fn descriptors_max() -> Option<u64> {
    None
}

/// Nothing is mapped.
pub(in crate::io) fn address_space_max() -> Option<u64> {
    None
}

pub(super) fn file_size_max() -> Option<u64> {
    None
}

/// Whether an error is that there is no handle left.
pub(crate) fn lacks_descriptors(error: &Error) -> bool {
    error.raw_os_error() == Some(ERROR_TOO_MANY_OPEN_FILES)
}

/// The error that there is no handle left.
pub(crate) fn no_descriptors() -> Error {
    Error::from_raw_os_error(ERROR_TOO_MANY_OPEN_FILES)
}

/// Creates the directory of a store, and those that it is in; their names survive as what will be in it does.
pub(crate) fn create_root(path: &Path) -> Result<()> {
    let parents = parents_of_new(path);
    fs::create_dir_all(path)?;
    parents.into_iter().try_for_each(sync_directory)
}

/// Has two directories change names, in one step, which is not possible.
pub(crate) fn exchange(_: &Path, _: &Path) -> Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Fills `buf` from `offset`.
pub(in crate::io) fn read_exact_at(file: &fs::File, mut offset: u64, mut buf: &mut [u8]) -> Result<()> {
    while !buf.is_empty() {
        match file.seek_read(buf, offset)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => {
                buf = &mut buf[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}

/// Reads some bytes at `offset`, none at the end; returns how many.
pub(super) fn read_some_at(file: &fs::File, offset: u64, buf: &mut [u8]) -> Result<usize> {
    file.seek_read(buf, offset)
}

/// Writes all of `bytes` at `offset`.
pub(super) fn write_all_at(file: &fs::File, mut offset: u64, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset)? {
            0 => return Err(ErrorKind::WriteZero.into()),
            written => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
        }
    }
    Ok(())
}

/// Without calls that the standard library does not have, zeros are written.
pub(super) fn preallocate(_: &fs::File, _: u64) -> Result<bool> {
    Ok(false)
}
