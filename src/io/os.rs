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
//!
//! Everything is reached from a descriptor of the root, wherever that is moved. What changes names looks first whether the
//! root still has its path: the messages that name it, and whoever opens the store there, would be wrong otherwise.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Error, ErrorKind, Result, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, FallocateFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

use super::map::Map;
use super::process::Process;
use super::window::Window;
use super::{Access, Disk, File, FileKind};
use crate::WriteMode;

/// How many bytes of a directory one call reads.
const LISTED: usize = 32 << 10;
/// How many bytes of zeros one call writes where a file system cannot allocate.
const ZEROS: usize = 64 << 10;

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

/// Descriptors that are held in order to be given up when there are no others, so that what needs one for a moment, in the
/// middle of a change, has it. What keeps one depends on others being closed: see [`Disk::lacks_descriptors`].
#[derive(Debug, Default)]
struct Spare {
    held: Mutex<Vec<fs::File>>,
    is_short: AtomicBool,
}

impl Spare {
    const COUNT: usize = 4;

    /// Takes as many as there should be, if it can.
    fn refill(&self) {
        let mut held = self.held.lock();
        let mut options = fs::OpenOptions::new();
        options.read(true).custom_flags(OFlags::PATH.bits() as i32);
        while held.len() < Self::COUNT {
            match options.open("/") {
                Ok(file) => held.push(file),
                Err(_) => return self.is_short.store(true, Relaxed),
            }
        }
        self.is_short.store(false, Relaxed);
    }

    fn is_short(&self) -> bool {
        self.is_short.load(Relaxed)
    }

    /// Opens something, with a descriptor that was set aside if there is no other.
    fn opening<T>(&self, open: impl Fn() -> Result<T>) -> Result<T> {
        if self.is_short() {
            // What needed them may be done.
            self.refill();
        }
        loop {
            match open() {
                Err(error) if super::lacks_descriptors(&error) => {
                    self.is_short.store(true, Relaxed);
                    if self.held.lock().pop().is_none() {
                        return Err(error);
                    }
                }
                opened => return opened,
            }
        }
    }
}

/// How many descriptors this process may have; `None` if as many as it likes.
pub(crate) fn descriptors_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
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
        let directory = fs::OpenOptions::new().read(true).custom_flags(OFlags::PATH.bits() as i32).open(&root)?;
        let directory = above_standard(directory)?;
        let metadata = directory.metadata()?;
        if !metadata.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self { root, directory, mode: WriteMode::Pwrite, maps: false, spare: Spare::default(), identity })
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

    /// Goes through a directory, without `.` and `..`, until told to stop.
    fn each(&self, path: &Path, mut visit: impl FnMut(&OsStr, FileType) -> ControlFlow<()>) -> Result<OwnedFd> {
        let directory = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut buffer = Vec::with_capacity(LISTED);
        let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." && visit(OsStr::from_bytes(name), entry.file_type()).is_break() {
                break;
            }
        }
        Ok(directory.into())
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
        self.check_root()?;
        let name = below(path)?;
        rustix::fs::mkdirat(&self.directory, name, Mode::RWXU)?;
        let set = |mode| Ok(rustix::fs::chmodat(&self.directory, name, mode, AtFlags::empty())?);
        restrict(self.look(path)?.st_mode, Mode::RWXU, set)
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, FileKind)>> {
        let mut found = Vec::new();
        let directory = self.each(path, |name, kind| {
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
        self.each(path, |_, _| {
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
        keep_blocks(&file);
        let set = |mode: Mode| file.set_permissions(fs::Permissions::from_mode(mode.bits()));
        let made =
            restrict(file.metadata()?.mode(), Mode::RUSR | Mode::WUSR, set).and_then(|()| allocate(&file, 0, capacity));
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
                    false => {
                        let shared = Arc::new(Shared::new(Some(file), len));
                        Arc::new(OsFile { shared, map: None, window: Window::new(0) })
                    }
                }
            }
            Access::Write => {
                let (file, len) = self.open_regular(path, OFlags::RDWR)?;
                self.writable(file, len)
            }
        })
    }

    fn read(&self, path: &Path, len_max: u64) -> Result<Option<Vec<u8>>> {
        let (file, len) = match self.open_regular(path, OFlags::RDONLY) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut bytes = vec![0; usize::try_from(len.min(len_max)).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0)?;
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
        match directory.sync_all() {
            // A file system that cannot sync directories has no better way, and PostgreSQL accepts it as well.
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
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
        if named.is_none_or(|named| (named.st_dev, named.st_ino) != (metadata.dev(), metadata.ino())) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut shared = Shared::new(Some(file), len);
        shared.locked_by = Some(Process::current());
        Ok(Arc::new(OsFile { shared: Arc::new(shared), map: None, window: Window::new(0) }))
    }
}

/// A path as it is from the root. Fails with `InvalidInput` for one that could leave it.
fn below(path: &Path) -> Result<&Path> {
    let is_root = super::names(path)?.next().is_none();
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
fn restrict(found: u32, mode: Mode, set: impl FnOnce(Mode) -> Result<()>) -> Result<()> {
    if found & 0o777 == mode.bits() { Ok(()) } else { set(mode) }
}

fn kind_of(kind: FileType) -> FileKind {
    match kind {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        _ => FileKind::Other,
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

/// Has btrfs write to a new, empty file in place, as far as it can (`chattr +C`). Otherwise every write takes a new block,
/// and what was allocated ahead is of no use on a full disk. It costs the file system's checksums, but we have our own.
fn keep_blocks(file: &fs::File) {
    #[cfg(target_os = "linux")]
    {
        const BTRFS: u32 = 0x9123_683e;
        if rustix::fs::fstatfs(file).is_ok_and(|stat| stat.f_type as u32 == BTRFS)
            && let Ok(flags) = rustix::fs::ioctl_getflags(file)
        {
            let _ = rustix::fs::ioctl_setflags(file, flags | rustix::fs::IFlags::NOCOW);
        }
    }
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
    /// Who has its lock, which lasts as long as this does.
    locked_by: Option<Process>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Closing the descriptor gives the lock up only if no forked child has inherited it. A child, on the other hand,
        // would give up that of its parent.
        if let (Some(process), Some(file)) = (&self.locked_by, &self.file)
            && process.is_current()
        {
            let _ = file.unlock();
        }
    }
}

impl Shared {
    fn new(file: Option<fs::File>, len: u64) -> Self {
        let within = if allowed(len).is_ok() { len } else { 0 };
        Self { file, len: AtomicU64::new(len), allowed: AtomicU64::new(within), locked_by: None }
    }

    fn writable(&self) -> Result<&fs::File> {
        self.file.as_ref().ok_or_else(super::read_only)
    }
}

/// One open file of the operating system's.
#[derive(Debug)]
struct OsFile {
    shared: Arc<Shared>,
    map: Option<Arc<Map>>,
    window: Window,
}

impl OsFile {
    fn new(shared: Arc<Shared>, mapped: bool, window: u64) -> Self {
        let len = shared.len.load(Relaxed);
        let map = shared.file.as_ref().and_then(|file| {
            if mapped { Map::writable(file, len).ok() } else { None }.or_else(|| Map::read_only(file, len).ok())
        });
        let map = map.map(Arc::new);
        Self { shared, map, window: Window::new(window) }
    }

    /// A file that is only read keeps its descriptor only if it cannot be mapped.
    fn reading(file: fs::File, len: u64) -> Self {
        let map = Map::read_only(&file, len).ok().map(Arc::new);
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
        // Not by its metadata: who asks for those is told the times as well, and Linux, since 6.13, makes the next write change
        // them then, which the next sync writes to the disk.
        let found = (&*file).seek(SeekFrom::End(0))?;
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
        let mapped = self.map.as_ref().is_some_and(|map| map.is_writable());
        Ok(Arc::new(OsFile::new(self.shared.clone(), mapped, self.window.size())))
    }
}

fn end_of(offset: u64, len: usize) -> Result<u64> {
    offset.checked_add(len as u64).ok_or_else(|| ErrorKind::InvalidInput.into())
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

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
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("pipe"), 0o600.into()).unwrap();
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

    /// The window of a file that is not behind a trait.
    fn window(file: &OsFile) -> (u64, u64) {
        file.window.range()
    }

    fn mapped(len: u64) -> OsFile {
        let file = tempfile::tempfile().unwrap();
        allocate(&file, 0, len).unwrap();
        OsFile::new(Arc::new(Shared::new(Some(file), len)), true, Window::FIRST)
    }

    #[test]
    fn the_window_moves_ahead_of_the_tail_in_steps_that_double() {
        let file = mapped(1 << 20);
        file.write_at(100, b"first").unwrap();
        assert_eq!(window(&file), (100, 64 << 10));
        file.write_at(105, &[1; 64 << 10]).unwrap();
        assert_eq!(window(&file), (100, 128 << 10));
        file.write_at(105 + (64 << 10), &[2; 64 << 10]).unwrap();
        assert_eq!(window(&file), (100, 256 << 10));
        file.write_at((1 << 20) - 1, b"l").unwrap();
        assert_eq!(window(&file), ((1 << 20) - 1, 1 << 20));
    }

    #[test]
    fn the_window_ends_with_the_file() {
        let file = mapped(5000);
        file.write_at(0, &[1; 4990]).unwrap();
        assert_eq!(window(&file), (0, 5000));
        file.truncate(4000).unwrap();
        assert_eq!(window(&file), (0, 4000));
        file.write_at(3990, &[2; 20]).unwrap();
        assert_eq!(window(&file), (0, 4000), "what is beyond the end is appended by a call");
        file.write_at(3000, &[3; 1010]).unwrap();
        assert_eq!(window(&file), (0, 4010));
    }

    #[test]
    fn writes_before_the_window_are_calls() {
        let file = mapped(10_000);
        file.write_at(5000, b"tail").unwrap();
        file.write_at(0, b"head").unwrap();
        assert_eq!(window(&file), (5000, 10_000));
        let mut head = [0; 4];
        file.read_at(0, &mut head).unwrap();
        assert_eq!(&head, b"head");
    }

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
}
