//! The operating system's files.
//!
//! # What is kept open
//!
//! | opened with | descriptor | mapping | reads | writes |
//! |---|---|---|---|---|
//! | [`Disk::create`], [`Access::Write`] | kept | for reading, or for reading and writing | copied from the mapping | copied to the mapping, or `pwrite` |
//! | [`Access::Read`] | closed once mapped | for reading | copied from the mapping | refused |
//! | [`Disk::lock`] | kept | none | `pread` | `pwrite` |
//!
//! A file that cannot be mapped (it is empty, there are too many maps, the file system has none) is read and written
//! with system calls instead. So is whatever lies beyond the mapping: a file that grew by appending.
//!
//! # Writing through the mapping
//!
//! Where [`WriteMode`] allows it, bytes are copied to pages that were made ready ahead of them, a [`Window`] at a time.
//! Making them ready is what reports a full disk; it has the `pwrite` done instead that says so. Bytes before the window
//! (a header that is written again) and all others take the `pwrite`. The two agree, as they share the page cache.
//!
//! # What can go wrong below
//!
//! - *Full disk*: an error, `StorageFull` or `QuotaExceeded`, from [`Disk::create`], [`File::grow`] or
//!   [`File::write_at`]. What was allocated can still be written.
//! - *`RLIMIT_FSIZE`*: `FileTooLarge`. It is looked at first, since the kernel would send a signal.
//! - *I/O error* while writing back: the next [`File::sync`] fails, and nothing is known about the bytes written since
//!   the one before it. While reading: `pread` fails, but a mapping gets the signal `SIGBUS`.
//! - *Another process truncates a file*: reading beyond the new end through a mapping gets `SIGBUS`. A sync notices,
//!   and fails, unless the file has its old size again. Truncation through this module is safe for all handles that
//!   stem from one [`Disk::open`] or [`Disk::create`]; a handle opened apart must not read what was cut off.
//! - *A copy that shares blocks* (`cp --reflink`) of a file that is being written through a mapping, on a disk that is
//!   full: `SIGBUS`. [`WriteMode::Pwrite`] is for those who take such copies.
//!
//! Symbolic links are refused as the last part of a path; the directories on the way are the caller's to check, with
//! [`Disk::kind`].

use std::ffi::OsString;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use super::map::Map;
use super::{Access, Disk, File, FileKind};
use crate::WriteMode;

/// How many bytes of zeros one call writes where a file system cannot allocate.
const ZEROS: usize = 64 << 10;

/// A directory of the operating system's.
#[derive(Debug)]
pub(crate) struct OsDisk {
    root: PathBuf,
    mode: WriteMode,
}

impl OsDisk {
    /// The directory `root`, which must exist. Symbolic links on the way to it are followed, now.
    pub(crate) fn open(root: &Path, mode: WriteMode) -> Result<Arc<Self>> {
        let root = fs::canonicalize(root)?;
        if !fs::metadata(&root)?.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok(Arc::new(Self { root, mode }))
    }

    fn full(&self, path: &Path) -> Result<PathBuf> {
        Ok(self.root.join(super::names(path)?.collect::<PathBuf>()))
    }

    /// Whether files on the file system of `file` are written through mappings.
    fn writes_mapped(&self, file: &fs::File) -> bool {
        match self.mode {
            WriteMode::Auto => never_moves_blocks(file),
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
        let path = self.full(path)?;
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        restrict(&fs::symlink_metadata(&path)?, 0o700, |permissions| fs::set_permissions(&path, permissions))
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, FileKind)>> {
        fs::read_dir(self.full(path)?)?
            .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), kind_of(entry.file_type()?)))))
            .collect()
    }

    fn kind(&self, path: &Path) -> Result<Option<FileKind>> {
        match fs::symlink_metadata(self.full(path)?) {
            Ok(metadata) => Ok(Some(kind_of(metadata.file_type()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, path: &Path, capacity: u64) -> Result<Arc<dyn File>> {
        let path = self.full(path)?;
        allowed(capacity)?;
        let file = above_standard(options().write(true).create_new(true).open(&path)?)?;
        let made = restrict(&file.metadata()?, 0o600, |permissions| file.set_permissions(permissions))
            .and_then(|()| allocate(&file, 0, capacity));
        if let Err(error) = made {
            // The first error is the one to report.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(self.writable(file, capacity))
    }

    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn File>> {
        let path = self.full(path)?;
        let (file, len) = open_regular(&path, options().write(access == Access::Write))?;
        Ok(match access {
            Access::Read => Arc::new(OsFile::reading(file, len)),
            Access::Write => self.writable(file, len),
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(self.full(from)?, self.full(to)?)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        fs::remove_file(self.full(path)?)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        fs::remove_dir(self.full(path)?)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let directory = fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(self.full(path)?)?;
        match directory.sync_all() {
            // A file system that cannot sync directories has no better way, and PostgreSQL accepts it as well.
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }

    fn lock(&self, path: &Path) -> Result<Arc<dyn File>> {
        let path = self.full(path)?;
        let (file, len) = open_regular(&path, options().write(true).create(true))?;
        file.try_lock()?;
        let metadata = file.metadata()?;
        // Whoever replaced the file since we opened it may have locked the new one.
        let named = fs::symlink_metadata(&path).ok();
        if named.is_none_or(|named| (named.dev(), named.ino()) != (metadata.dev(), metadata.ino())) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Arc::new(OsFile { shared: Arc::new(Shared::new(Some(file), len)), map: None, window: Window::new(0) }))
    }
}

/// How every file is opened. `O_NONBLOCK` keeps a pipe from blocking the open; `std` adds `O_CLOEXEC`.
fn options() -> fs::OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = fs::OpenOptions::new();
    options.read(true).mode(0o600).custom_flags(flags.bits() as i32);
    options
}

/// Opens what must be a regular file; says how long it is.
fn open_regular(path: &Path, options: &fs::OpenOptions) -> Result<(fs::File, u64)> {
    let not_regular = || Error::new(ErrorKind::InvalidInput, "not a regular file");
    let file = options.open(path).map_err(|error| match fs::symlink_metadata(path) {
        // The errors differ: ELOOP for a symbolic link, EISDIR for a directory, ENXIO for a socket.
        Ok(metadata) if !metadata.is_file() => not_regular(),
        _ => error,
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(not_regular());
    }
    Ok((above_standard(file)?, metadata.len()))
}

/// Moves a descriptor away from 0 to 2: somebody who closed those may still print to them.
fn above_standard(file: fs::File) -> Result<fs::File> {
    const FIRST: i32 = 3;
    if file.as_raw_fd() >= FIRST {
        return Ok(file);
    }
    Ok(fs::File::from(OwnedFd::from(rustix::io::fcntl_dupfd_cloexec(&file, FIRST)?)))
}

/// Sets the permissions if they are not these, as with an unusual umask.
fn restrict(metadata: &fs::Metadata, mode: u32, set: impl FnOnce(fs::Permissions) -> Result<()>) -> Result<()> {
    if metadata.mode() & 0o777 == mode { Ok(()) } else { set(fs::Permissions::from_mode(mode)) }
}

fn kind_of(kind: fs::FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Directory
    } else {
        FileKind::Other
    }
}

/// Whether the file is on a file system that, once a block is allocated, never needs another one to write to it.
fn never_moves_blocks(file: &fs::File) -> bool {
    const EXT4: u32 = 0xef53;
    const XFS: u32 = 0x5846_5342;
    const TMPFS: u32 = 0x0102_1994;
    // Magic numbers have 32 bits, and are sign-extended on some platforms.
    rustix::fs::fstatfs(file).is_ok_and(|stat| matches!(stat.f_type as u32, EXT4 | XFS | TMPFS))
}

/// Fails if this process may not have files of `len` bytes. The kernel would send `SIGXFSZ`.
fn allowed(len: u64) -> Result<()> {
    match rustix::process::getrlimit(rustix::process::Resource::Fsize).current {
        Some(limit) if limit < len => Err(ErrorKind::FileTooLarge.into()),
        _ => Ok(()),
    }
}

/// Allocates the bytes up to `capacity` in a file of `len` bytes, so that writing to them cannot fail for want of room.
fn allocate(file: &fs::File, len: u64, capacity: u64) -> Result<()> {
    if capacity == 0 {
        return Ok(());
    }
    // From the start: a copy of a file may have lost its allocated blocks.
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, capacity)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, len, capacity),
        result => Ok(result?),
    }
}

/// Allocates by writing. Piece by piece: pages that were brought in by one large write are written back together for
/// ever after, however little of them a mapped store changes.
fn write_zeros(file: &fs::File, mut from: u64, to: u64) -> Result<()> {
    let zeros = [0; ZEROS];
    while from < to {
        let len = (to - from).min(ZEROS as u64);
        file.write_all_at(&zeros[..len as usize], from)?;
        from += len;
    }
    Ok(())
}

/// What the handles of one open file have in common.
#[derive(Debug)]
struct Shared {
    /// `None` once a file that is only read has been mapped.
    file: Option<fs::File>,
    /// The size, as far as it is known here. A truncation lowers it before it cuts, so that no read that starts later
    /// touches a page that is gone; bytes are published by the layers above, which order more than this.
    len: AtomicU64,
    /// Up to where `RLIMIT_FSIZE` is known to let us write.
    allowed: AtomicU64,
}

impl Shared {
    fn new(file: Option<fs::File>, len: u64) -> Self {
        let within = if allowed(len).is_ok() { len } else { 0 };
        Self { file, len: AtomicU64::new(len), allowed: AtomicU64::new(within) }
    }

    fn writable(&self) -> Result<&fs::File> {
        self.file.as_ref().ok_or_else(super::read_only)
    }
}

/// One open file of the operating system's.
#[derive(Debug)]
struct OsFile {
    shared: Arc<Shared>,
    map: Option<Map>,
    window: Window,
}

impl OsFile {
    fn new(shared: Arc<Shared>, mapped: bool, window: u64) -> Self {
        let len = shared.len.load(Relaxed);
        let map = shared.file.as_ref().and_then(|file| {
            if mapped { Map::writable(file, len).ok() } else { None }.or_else(|| Map::read_only(file, len).ok())
        });
        Self { shared, map, window: Window::new(window) }
    }

    /// A file that is only read keeps its descriptor only if it cannot be mapped.
    fn reading(file: fs::File, len: u64) -> Self {
        let map = Map::read_only(&file, len).ok();
        let file = if map.is_some() || len == 0 { None } else { Some(file) };
        Self { shared: Arc::new(Shared::new(file, len)), map, window: Window::new(0) }
    }

    /// What [`File::write_at`] does when the bytes are not within the window.
    #[cold]
    #[inline(never)]
    fn write_outside(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = end_of(offset, bytes.len())?;
        let len = self.shared.len.load(Relaxed);
        if offset > len {
            return Err(super::gap());
        }
        if let Some(map) = self.map.as_ref().filter(|map| map.is_writable() && end <= len.min(map.len()))
            && self.window.advance(map, offset, end, len)
        {
            map.write(offset as usize, bytes);
            return Ok(());
        }
        self.write_by_call(offset, bytes, end)
    }

    fn write_by_call(&self, offset: u64, bytes: &[u8], end: u64) -> Result<()> {
        let file = self.shared.writable()?;
        if end > self.shared.allowed.load(Relaxed) {
            allowed(end)?;
            self.shared.allowed.fetch_max(end, Relaxed);
        }
        // Retries what was interrupted, goes on after what was short.
        file.write_all_at(bytes, offset)?;
        self.shared.len.fetch_max(end, Relaxed);
        Ok(())
    }
}

impl File for OsFile {
    fn len(&self) -> Result<u64> {
        Ok(self.shared.len.load(Relaxed))
    }

    #[inline]
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let end = end_of(offset, buf.len())?;
        if end > self.shared.len.load(Relaxed) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match (&self.map, &self.shared.file) {
            (Some(map), _) if end <= map.len() => map.read(offset as usize, buf),
            (_, Some(file)) => file.read_exact_at(buf, offset)?,
            (_, None) => debug_assert!(buf.is_empty(), "a file without a map or descriptor is empty"),
        }
        Ok(())
    }

    #[inline]
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        match &self.map {
            Some(map) if self.window.covers(offset, bytes.len()) => map.write(offset as usize, bytes),
            _ => return self.write_outside(offset, bytes),
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let Some(file) = &self.shared.file else { return Ok(()) };
        // Before and after, as we may lengthen or shorten the file meanwhile.
        let len = self.shared.len.load(Relaxed);
        file.sync_data()?;
        let found = file.metadata()?.len();
        let len = len.min(self.shared.len.load(Relaxed));
        if found < len {
            self.shared.len.fetch_min(found, Relaxed);
            self.window.cut(found);
            return Err(Error::other(format!("somebody truncated the file from {len} to {found} bytes")));
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        let file = self.shared.writable()?;
        if len > self.shared.len.load(Relaxed) {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.window.cut(len);
        self.shared.len.store(len, Relaxed);
        file.set_len(len)
    }

    fn grow(&self, capacity: u64) -> Result<Arc<dyn File>> {
        let file = self.shared.writable()?;
        allowed(capacity)?;
        allocate(file, self.shared.len.load(Relaxed), capacity)?;
        self.shared.len.fetch_max(capacity, Relaxed);
        self.shared.allowed.fetch_max(capacity, Relaxed);
        let mapped = self.map.as_ref().is_some_and(Map::is_writable);
        Ok(Arc::new(OsFile::new(self.shared.clone(), mapped, self.window.size.load(Relaxed))))
    }
}

fn end_of(offset: u64, len: usize) -> Result<u64> {
    offset.checked_add(len as u64).ok_or_else(|| ErrorKind::InvalidInput.into())
}

/// The part of a mapping that was made ready to be stored to.
///
/// It begins at the first byte that was written and moves ahead of the tail, in steps that double: a small stream
/// should not dirty more pages than it needs, a large one should not make a system call per page. What is made ready is
/// also written back once, as zeros, which spares later syncs the conversion of unwritten blocks.
///
/// Only the one thread that writes looks at this; the atomics are there because it does so through `&self`. If two did,
/// a store might go to a page that is not ready: slower, and a signal on a full disk.
#[derive(Debug)]
struct Window {
    from: AtomicU64,
    to: AtomicU64,
    size: AtomicU64,
    /// The kernel cannot make pages ready.
    useless: AtomicBool,
}

impl Window {
    /// The first step, in bytes. Steps are multiples of every page size.
    const FIRST: u64 = 64 << 10;
    /// The largest step.
    const LAST: u64 = 1 << 20;

    /// An empty window, whose first step is `size` bytes.
    fn new(size: u64) -> Self {
        Self {
            from: AtomicU64::new(u64::MAX),
            to: AtomicU64::new(0),
            size: AtomicU64::new(size.max(Self::FIRST)),
            useless: AtomicBool::new(false),
        }
    }

    #[inline]
    fn covers(&self, offset: u64, len: usize) -> bool {
        let last = self.to.load(Relaxed).checked_sub(len as u64);
        self.from.load(Relaxed) <= offset && last.is_some_and(|last| offset <= last)
    }

    /// Makes the bytes from `offset` to `end` ready, and some more of the file's `len`. Says whether it could.
    fn advance(&self, map: &Map, offset: u64, end: u64, len: u64) -> bool {
        let (from, to) = (self.from.load(Relaxed), self.to.load(Relaxed));
        let empty = from >= to;
        if self.useless.load(Relaxed) || (!empty && offset < from) {
            return false;
        }
        let size = self.size.load(Relaxed);
        let goes_on = !empty && offset <= to;
        let start = if goes_on { to } else { offset };
        let ahead = end.next_multiple_of(size).min(len).min(map.len());
        match map.make_writable(start as usize..ahead as usize) {
            Ok(()) => {}
            Err(error) => {
                self.useless.store(error.kind() == ErrorKind::InvalidInput, Relaxed);
                return false;
            }
        }
        if !goes_on {
            self.from.store(offset, Relaxed);
        }
        self.to.store(ahead, Relaxed);
        self.size.store((size * 2).min(Self::LAST), Relaxed);
        true
    }

    /// Takes the bytes from `len` out of the window.
    fn cut(&self, len: u64) {
        self.to.fetch_min(len, Relaxed);
    }
}
