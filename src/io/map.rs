//! Files mapped into memory: the only unsafe code.
//!
//! A [`Map`] is copied out of and into, a word at a time ([`words`]). No reference to its bytes ever exists, only to
//! atomic words while they are copied, so whatever other threads and processes do to the file, safe code stays sound:
//! nothing in here trusts the callers, the file's contents or its length.
//!
//! What soundness does not cover is the signal `SIGBUS`, which the kernel sends when it cannot provide a page:
//!
//! - *Full disk.* A store to a page without a block, or one shared with a copy (`cp --reflink`), needs room.
//!   [`Map::make_writable`] asks for it first, and reports what a bare store would raise. Whoever stores to bytes that
//!   were not made ready, or whose file is on a file system that moves blocks on every write (btrfs, zfs), is at risk.
//! - *I/O error.* A page that is not in memory and cannot be read from the disk.
//! - *Truncation by another process.* Pages beyond the new end are gone. Bytes after the new end within its page read
//!   as zeros, and stores there are lost in silence. Our own truncation is kept apart by `io::os`, which lowers the
//!   length it checks against.
//!
//! An error in writing back what was stored is reported by the next sync of the descriptor that is kept with the map,
//! once; the pages are clean afterwards although the disk does not have them.
//!
//! Maps are not part of core dumps. Forked children inherit them (they are shared, so that costs nothing): one that does not
//! would, when it drops what it has of its parent, unmap whatever has come to be at the same address since.

#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]

use std::fmt;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::words::{self, WORD};

/// The first `len` bytes of a file, in memory.
pub(super) struct Map {
    region: Region,
    len: usize,
    writable: bool,
    _share: Share,
}

/// The part of the address space that a map takes.
struct Share(u64);

impl Share {
    /// Fails if all maps would take more than a quarter of what the process may have. The rest is for the heap: a process
    /// that gets no memory is aborted, a file that is not mapped is read with calls.
    fn take(len: usize) -> Result<Self> {
        let limit = super::os::address_space_max().unwrap_or(u64::MAX);
        let share = Self(len as u64);
        let taken = TAKEN.fetch_add(share.0, Relaxed).saturating_add(share.0);
        // Dropping it gives back what is too much.
        if taken > limit.min(usize::MAX as u64) / 4 { Err(ErrorKind::OutOfMemory.into()) } else { Ok(share) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        TAKEN.fetch_sub(self.0, Relaxed);
    }
}

/// How many bytes are mapped.
static TAKEN: AtomicU64 = AtomicU64::new(0);

impl Map {
    /// Maps a file for reading. Fails if it is empty, too large for the address space, or on an unsuitable file system.
    pub(super) fn read_only(file: &File, len: u64) -> Result<Self> {
        let len = mappable(len)?;
        let share = Share::take(len)?;
        Ok(Self { region: Region::read_only(file, len)?, len, writable: false, _share: share })
    }

    /// Maps a file for reading and writing.
    pub(super) fn writable(file: &File, len: u64) -> Result<Self> {
        let len = mappable(len)?;
        let share = Share::take(len)?;
        Ok(Self { region: Region::writable(file, len)?, len, writable: true, _share: share })
    }

    #[inline]
    pub(super) fn len(&self) -> u64 {
        self.len as u64
    }

    #[inline]
    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Copies the bytes from `offset` to `out`. Panics if they are not within the map.
    #[inline]
    pub(super) fn read(&self, offset: usize, out: &mut [u8]) {
        words::load(self.words(offset, out.len()), offset % WORD, out);
    }

    /// Copies `bytes` to `offset`. Panics if that is not within the map, or the map is for reading only.
    #[inline]
    pub(super) fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(self.writable, "a map for reading is not written to");
        words::store(self.words(offset, bytes.len()), offset % WORD, bytes);
    }

    /// Brings in the pages of a range, ready to be stored to, with room on the disk.
    ///
    /// Fails with `EFAULT` if there is no room for one of them (or no file), with `EINVAL` on a kernel before 5.14, and as
    /// unsupported on macOS.
    pub(super) fn make_writable(&self, range: Range<usize>) -> Result<()> {
        assert!(self.writable && range.start <= range.end && range.end <= self.len, "a range within the map");
        self.region.populate(range)
    }

    /// Writes the pages of a range to the disk, and waits for it. An error is one of those that a sync would report.
    pub(super) fn write_back(&self, range: Range<usize>) -> Result<()> {
        if range.start > range.end || range.end > self.len {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.region.write_back(range)
    }

    /// The words that hold `len` bytes at `offset`.
    #[inline]
    fn words(&self, offset: usize, len: usize) -> &[AtomicUsize] {
        assert!(offset <= self.len && len <= self.len - offset, "a copy is within the map");
        let first = offset / WORD;
        self.region.words(first..first + words::count(offset % WORD, len))
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("len", &self.len).field("writable", &self.writable).finish_non_exhaustive()
    }
}

/// A length that can be mapped, and stays in range when it is rounded up to whole words.
fn mappable(len: u64) -> Result<usize> {
    match usize::try_from(len) {
        Ok(len) if len > 0 && len <= isize::MAX as usize - WORD => Ok(len),
        _ => Err(Error::new(ErrorKind::InvalidInput, "the file is empty or too large to be mapped")),
    }
}

/// A word of memory that a forked child finds zero, whatever its parent stored to it. `None` if the kernel has none.
#[cfg(all(target_os = "linux", not(miri)))]
pub(super) fn wiped_on_fork() -> Option<&'static AtomicU64> {
    let page = memmap2::MmapRaw::from(memmap2::MmapOptions::new().len(size_of::<AtomicU64>()).map_anon().ok()?);
    let address = page.as_mut_ptr();
    // SAFETY: `address` is the start of a mapping of at least `page.len()` bytes that is ours alone: private, anonymous,
    // never unmapped (it is forgotten below), and known to nobody else yet. The advice changes nothing in this process.
    let advised = unsafe { rustix::mm::madvise(address.cast(), page.len(), rustix::mm::Advice::LinuxWipeOnFork) };
    advised.ok()?;
    std::mem::forget(page);
    // SAFETY: `address` is aligned to a page, valid for a word of 8 bytes for as long as the process lives, as the mapping
    // was forgotten, and holds zeros, which are a valid number. It is accessed through this reference only. The kernel
    // changes it in no process but a child that does not run yet.
    Some(unsafe { &*address.cast::<AtomicU64>() })
}

#[cfg(any(not(target_os = "linux"), miri))]
pub(super) fn wiped_on_fork() -> Option<&'static AtomicU64> {
    None
}

/// Whole words of memory that are backed by a file.
#[cfg(not(any(miri, windows)))]
struct Region(memmap2::MmapRaw);

#[cfg(not(any(miri, windows)))]
impl Region {
    fn read_only(file: &File, len: usize) -> Result<Self> {
        Ok(Self::new(memmap2::MmapOptions::new().len(len.next_multiple_of(WORD)).map_raw_read_only(file)?))
    }

    fn writable(file: &File, len: usize) -> Result<Self> {
        Ok(Self::new(memmap2::MmapOptions::new().len(len.next_multiple_of(WORD)).map_raw(file)?))
    }

    fn new(map: memmap2::MmapRaw) -> Self {
        // Advice only: a kernel that does not take it does no harm.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::DontDump);
        Self(map)
    }

    #[inline]
    fn words(&self, range: Range<usize>) -> &[AtomicUsize] {
        assert!(range.start <= range.end && range.end <= self.0.len() / WORD, "words are within the map");
        // SAFETY: `range.len()` words from `range.start` are valid as atomics for as long as `self` is borrowed.
        // - In bounds: the assertion above, against the length that was mapped in `read_only` or `writable`. That is at
        //   most a word longer than the file, and within its last page, as pages are whole words.
        // - Mapped: only the drop of `self.0` unmaps, and the slice borrows `self`.
        // - Aligned: the map starts on a page boundary.
        // - Initialised: pages of a file always hold bytes, and any bytes are a valid `usize`.
        // - No race: the memory is accessed in this function's result only, by atomics of one size; other processes
        //   are outside the memory model, and atomics are how memory shared with them is accessed.
        // - Read-only memory: `Map::write` is the only one to store, and refuses if the map is not writable. Relaxed
        //   loads of a word are allowed on read-only memory.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast::<AtomicUsize>().add(range.start), range.len()) }
    }

    #[cfg(target_os = "linux")]
    fn populate(&self, range: Range<usize>) -> Result<()> {
        self.0.advise_range(memmap2::Advice::PopulateWrite, range.start, range.len())
    }

    #[cfg(not(target_os = "linux"))]
    fn populate(&self, _: Range<usize>) -> Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn write_back(&self, range: Range<usize>) -> Result<()> {
        self.0.flush_range(range.start, range.len())
    }
}

/// The twin for Miri, which cannot map files: a copy of the file. Only files that are not written to have one, the
/// others are read and written with system calls.
#[cfg(miri)]
struct Region(Box<[AtomicUsize]>);

#[cfg(miri)]
impl Region {
    fn read_only(file: &File, len: usize) -> Result<Self> {
        let mut bytes = vec![0; len];
        super::os::read_exact_at(file, 0, &mut bytes)?;
        let words: Box<[_]> = (0..len.div_ceil(WORD)).map(|_| AtomicUsize::new(0)).collect();
        words::store(&words, 0, &bytes);
        Ok(Self(words))
    }

    fn writable(_: &File, _: usize) -> Result<Self> {
        Err(ErrorKind::Unsupported.into())
    }

    fn words(&self, range: Range<usize>) -> &[AtomicUsize] {
        &self.0[range]
    }

    fn populate(&self, _: Range<usize>) -> Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn write_back(&self, _: Range<usize>) -> Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// Windows neither deletes, cuts nor renames over a file that is mapped: none is, and calls are made instead.
#[cfg(all(windows, not(miri)))]
enum Region {}

#[cfg(all(windows, not(miri)))]
impl Region {
    fn read_only(_: &File, _: usize) -> Result<Self> {
        Err(ErrorKind::Unsupported.into())
    }

    fn writable(_: &File, _: usize) -> Result<Self> {
        Err(ErrorKind::Unsupported.into())
    }

    fn words(&self, _: Range<usize>) -> &[AtomicUsize] {
        match *self {}
    }

    fn populate(&self, _: Range<usize>) -> Result<()> {
        match *self {}
    }

    fn write_back(&self, _: Range<usize>) -> Result<()> {
        match *self {}
    }
}
