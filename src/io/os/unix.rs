//! A directory of Linux' or macOS'.

#[cfg(target_os = "macos")]
mod apple;
#[cfg(target_os = "linux")]
mod linux;
mod spare;
#[cfg(all(test, not(miri)))]
mod tests;

use std::ffi::OsString;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

#[cfg(target_os = "macos")]
use self::apple as system;
#[cfg(target_os = "linux")]
use self::linux as system;
use self::spare::Spare;
use super::file::{OsFile, Shared};
use super::parents_of_new;
use super::room::{allocate, allowed};
use super::watched::Watched;
use crate::WriteMode;
use crate::io::process::Process;
use crate::io::window::Window;
use crate::io::{Access, Disk, File, FileKind, names};

pub(super) use self::system::preallocate;

/// A directory of the operating system's.
#[derive(Debug)]
pub(crate) struct OsDisk {
    root: PathBuf,
    /// The root itself, from which everything is reached.
    directory: fs::File,
    mode: WriteMode,
    /// Files that are only read are mapped.
    maps: bool,
    spare: Spare,
    /// The device and number of the root.
    identity: (u64, u64),
}

impl OsDisk {
    /// The directory `root`, which must exist. Symbolic links on the way to it are followed, now.
    pub(crate) fn open(root: &Path, mode: WriteMode) -> Result<Arc<Self>> {
        let disk = Self { mode, maps: true, ..Self::new(root)? };
        disk.spare.refill();
        Ok(Arc::new(disk))
    }

    /// As [`open`](Self::open), for reading what another process may be writing and cutting: without mappings, which
    /// would get a signal where a file was cut.
    pub(crate) fn open_unmapped(root: &Path) -> Result<Arc<Self>> {
        Self::new(root).map(Arc::new)
    }

    fn new(root: &Path) -> Result<Self> {
        let root = fs::canonicalize(root)?;
        let directory = fs::OpenOptions::new().read(true).custom_flags(system::PLACE.bits() as i32).open(&root)?;
        let directory = above_standard(directory)?;
        let metadata = directory.metadata()?;
        if !metadata.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self { root, directory, mode: WriteMode::Pwrite, maps: false, spare: Spare::default(), identity })
    }

    /// Makes the name of the root survive power loss: whoever made or moved it may not have come to that.
    pub(crate) fn sync_name(&self) -> Result<()> {
        self.root.parent().map_or(Ok(()), sync_outside)
    }

    /// To be called before names are changed. Fails if the root is not there any more: what has its path now is another's.
    fn check_root(&self) -> Result<()> {
        let found = fs::symlink_metadata(&self.root).ok().map(|found| (found.dev(), found.ino()));
        if found == Some(self.identity) {
            Ok(())
        } else {
            Err(Error::other("the directory of the store was moved away"))
        }
    }

    /// Opens something below the root. `O_NONBLOCK` keeps a pipe from blocking the open.
    fn open_at(&self, path: &Path, flags: OFlags) -> Result<fs::File> {
        let path = below(path)?;
        let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = || retrying(|| rustix::fs::openat(&self.directory, path, flags, Mode::RUSR | Mode::WUSR));
        self.spare.opening(open).map(fs::File::from)
    }

    /// What is at a path, without following a symbolic link.
    fn look(&self, path: &Path) -> Result<Stat> {
        Ok(rustix::fs::statat(&self.directory, below(path)?, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Opens what must be a regular file; says how long it is.
    fn open_regular(&self, path: &Path, flags: OFlags) -> Result<(fs::File, u64)> {
        let not_regular = || Error::new(ErrorKind::InvalidInput, "not a regular file");
        let file = self.open_at(path, flags | OFlags::NOFOLLOW).map_err(|error| match self.look(path) {
            // The errors differ: ELOOP for a symbolic link, EISDIR for a directory, ENXIO for a socket.
            Ok(found) if kind_of(FileType::from_raw_mode(found.st_mode)) != FileKind::File => not_regular(),
            _ => error,
        })?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(not_regular());
        }
        Ok((above_standard(file)?, metadata.len()))
    }

    fn directory(&self, path: &Path) -> Result<fs::File> {
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Whether files on the file system of `file` are written through mappings.
    fn writes_mapped(&self, file: &fs::File) -> bool {
        match self.mode {
            WriteMode::Auto => system::never_moves_blocks(file),
            WriteMode::Mapped => true,
            WriteMode::Pwrite => false,
        }
    }

    fn writable(&self, file: fs::File, len: u64) -> Arc<dyn File> {
        let mapped = self.writes_mapped(&file);
        Arc::new(OsFile::new(Arc::new(Shared::new(Some(file), len)), mapped, Window::FIRST))
    }
}

impl Disk for OsDisk {
    fn create_dir(&self, path: &Path) -> Result<()> {
        self.check_root()?;
        let name = below(path)?;
        rustix::fs::mkdirat(&self.directory, name, Mode::RWXU)?;
        let set = |mode| Ok(rustix::fs::chmodat(&self.directory, name, mode, AtFlags::empty())?);
        restrict(Mode::from_raw_mode(self.look(path)?.st_mode), Mode::RWXU, set)
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, FileKind)>> {
        let mut found = Vec::new();
        let directory = self.directory(path)?;
        system::each(&directory, |name, kind| {
            found.push((name.to_owned(), kind));
            ControlFlow::Continue(())
        })?;
        let told = |(name, kind): (OsString, FileType)| match kind {
            // A file system that does not say it here.
            FileType::Unknown => {
                let found = rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW)?;
                Ok((name, kind_of(FileType::from_raw_mode(found.st_mode))))
            }
            kind => Ok((name, kind_of(kind))),
        };
        found.into_iter().map(told).collect()
    }

    fn is_empty(&self, path: &Path) -> Result<bool> {
        let mut is_empty = true;
        system::each(&self.directory(path)?, |_, _| {
            is_empty = false;
            ControlFlow::Break(())
        })?;
        Ok(is_empty)
    }

    fn kind(&self, path: &Path) -> Result<Option<FileKind>> {
        match self.look(path) {
            Ok(found) => Ok(Some(kind_of(FileType::from_raw_mode(found.st_mode)))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, path: &Path, capacity: u64) -> Result<Arc<dyn File>> {
        self.check_root()?;
        allowed(capacity)?;
        let file = self.open_at(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW)?;
        let file = above_standard(file)?;
        system::keep_blocks(&file);
        let set = |mode| Ok(rustix::fs::fchmod(&file, mode)?);
        let found = Mode::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
        let made = restrict(found, Mode::RUSR | Mode::WUSR, set).and_then(|()| allocate(&file, 0, capacity));
        if let Err(error) = made {
            // The first error is the one to report.
            let _ = self.remove_file(path);
            return Err(error);
        }
        Ok(self.writable(file, capacity))
    }

    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn File>> {
        Ok(match access {
            Access::Read => {
                let (file, len) = self.open_regular(path, OFlags::RDONLY)?;
                match self.maps {
                    true => Arc::new(OsFile::reading(file, len)),
                    false => Arc::new(OsFile::unmapped(Shared::reading(Some(file), len))),
                }
            }
            Access::Write => {
                let (file, len) = self.open_regular(path, OFlags::RDWR)?;
                self.writable(file, len)
            }
        })
    }

    fn watch(&self, path: &Path) -> Result<Arc<dyn File>> {
        let (file, _) = self.open_regular(path, OFlags::RDONLY)?;
        system::read_as_asked(&file);
        Ok(Arc::new(Watched(file)))
    }

    fn board(&self, path: &Path, capacity: u64) -> Option<Arc<dyn File>> {
        match self.open(path, Access::Write) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.create(path, capacity).ok(),
            opened => opened.ok(),
        }
    }

    fn read(&self, path: &Path, len_max: u64) -> Result<Option<Vec<u8>>> {
        let (file, len) = match self.open_regular(path, OFlags::RDONLY) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut bytes = vec![0; usize::try_from(len.min(len_max)).unwrap_or(usize::MAX)];
        read_exact_at(&file, 0, &mut bytes)?;
        Ok(Some(bytes))
    }

    fn size(&self, path: &Path) -> Result<u64> {
        Ok(u64::try_from(self.look(path)?.st_size).unwrap_or(0))
    }

    fn allocated(&self, path: &Path) -> Result<u64> {
        // Blocks of 512 bytes, whatever the file system's are.
        Ok(u64::try_from(self.look(path)?.st_blocks).unwrap_or(0).saturating_mul(512))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.check_root()?;
        Ok(rustix::fs::renameat(&self.directory, below(from)?, &self.directory, below(to)?)?)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.check_root()?;
        Ok(rustix::fs::unlinkat(&self.directory, below(path)?, AtFlags::empty())?)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.check_root()?;
        Ok(rustix::fs::unlinkat(&self.directory, below(path)?, AtFlags::REMOVEDIR)?)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let directory = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)?;
        sync_directory(&directory)
    }

    fn root(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn link_out(&self, path: &Path, to: &Path) -> Result<()> {
        fs::hard_link(self.root.join(below(path)?), to)
    }

    fn is_same_file(&self, path: &Path, other: &Path) -> Result<bool> {
        let found = fs::symlink_metadata(other)?;
        Ok(identity_of(self.look(path)?) == (found.dev(), found.ino()))
    }

    fn lacks_descriptors(&self) -> bool {
        if self.spare.is_short() {
            self.spare.refill();
        }
        self.spare.is_short()
    }

    fn lock(&self, path: &Path) -> Result<Arc<dyn File>> {
        let (file, len) = self.open_regular(path, OFlags::RDWR | OFlags::CREATE)?;
        file.try_lock()?;
        let metadata = file.metadata()?;
        // Whoever replaced the file since we opened it may have locked the new one.
        let named = self.look(path).ok();
        if named.is_none_or(|named| identity_of(named) != (metadata.dev(), metadata.ino())) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut shared = Shared::new(Some(file), len);
        shared.locked_by = Some(Process::current());
        Ok(Arc::new(OsFile::unmapped(shared)))
    }
}

/// How many descriptors this process may have; `None` if as many as it likes.
pub(crate) fn descriptors_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// How many bytes of address space this process may have; `None` if as many as it likes.
pub(in crate::io) fn address_space_max() -> Option<u64> {
    getrlimit(Resource::As).current
}

/// How many bytes a file of this process may have; `None` if as many as it likes.
pub(super) fn file_size_max() -> Option<u64> {
    getrlimit(Resource::Fsize).current
}

/// Whether an error is that there is no descriptor left, to this process or at all.
pub(crate) fn lacks_descriptors(error: &Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// The error that there is no descriptor left.
pub(crate) fn no_descriptors() -> Error {
    Errno::MFILE.into()
}

/// Creates the directory of a store, and those that it is in; their names survive as what will be in it does.
pub(crate) fn create_root(path: &Path) -> Result<()> {
    let parents = parents_of_new(path);
    fs::DirBuilder::new().mode(0o700).recursive(true).create(path)?;
    parents.into_iter().try_for_each(sync_outside)
}

/// Makes the names in a directory that is not ours survive power loss, as far as that is for us to do: it may be one that can
/// be searched but not read, or on a file system on which nothing changes.
fn sync_outside(path: &Path) -> Result<()> {
    match fs::File::open(path).and_then(|directory| sync_directory(&directory)) {
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => Ok(()),
        synced => synced,
    }
}

fn sync_directory(directory: &fs::File) -> Result<()> {
    match directory.sync_all() {
        // A file system that cannot sync directories has no better way, and PostgreSQL accepts it as well.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// Has two directories change names, in one step. Fails with `Unsupported` or `InvalidInput` where that is not possible.
pub(crate) fn exchange(a: &Path, b: &Path) -> Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

/// Fills `buf` from `offset`.
pub(in crate::io) fn read_exact_at(file: &fs::File, offset: u64, buf: &mut [u8]) -> Result<()> {
    file.read_exact_at(buf, offset)
}

/// Reads some bytes at `offset`, none at the end; returns how many.
pub(super) fn read_some_at(file: &fs::File, offset: u64, buf: &mut [u8]) -> Result<usize> {
    file.read_at(buf, offset)
}

/// Writes all of `bytes` at `offset`.
pub(super) fn write_all_at(file: &fs::File, offset: u64, bytes: &[u8]) -> Result<()> {
    file.write_all_at(bytes, offset)
}

/// A path as it is from the root. Fails with `InvalidInput` for one that could leave it.
fn below(path: &Path) -> Result<&Path> {
    let is_root = names(path)?.next().is_none();
    Ok(if is_root { Path::new(".") } else { path })
}

/// Does it again as long as a signal interrupts it.
fn retrying<T>(call: impl FnMut() -> rustix::io::Result<T>) -> Result<T> {
    Ok(rustix::io::retry_on_intr(call)?)
}

/// Moves a descriptor away from 0 to 2: somebody who closed those may still print to them.
fn above_standard(file: fs::File) -> Result<fs::File> {
    const FIRST: i32 = 3;
    if file.as_raw_fd() >= FIRST {
        return Ok(file);
    }
    Ok(fs::File::from(rustix::io::fcntl_dupfd_cloexec(&file, FIRST)?))
}

/// Sets the permissions if they are not these, as with an unusual umask.
fn restrict(found: Mode, mode: Mode, set: impl FnOnce(Mode) -> Result<()>) -> Result<()> {
    if found & (Mode::RWXU | Mode::RWXG | Mode::RWXO) == mode { Ok(()) } else { set(mode) }
}

fn kind_of(kind: FileType) -> FileKind {
    match kind {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        _ => FileKind::Other,
    }
}

/// The device and number of what was looked at. How wide they are differs from system to system.
#[allow(clippy::unnecessary_cast, reason = "they have fewer bits elsewhere")]
fn identity_of(found: Stat) -> (u64, u64) {
    (found.st_dev as u64, found.st_ino as u64)
}
