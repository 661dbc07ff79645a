//! One open file, mapped or not.

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests;

use std::fs;
use std::io::{Error, ErrorKind, Result, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::room::{allocate, allowed};
use super::system;
use crate::io::map::Map;
use crate::io::process::Process;
use crate::io::window::Window;
use crate::io::write_behind::WriteBehind;
use crate::io::{File, gap, read_only};

/// What the handles of one open file have in common.
#[derive(Debug)]
pub(super) struct Shared {
    /// `None` once a file that is only read has been mapped.
    file: Option<fs::File>,
    /// It was opened for reading only.
    is_read_only: bool,
    /// The size, as far as it is known here. A truncation lowers it before it cuts, so that no read that starts later
    /// touches a page that is gone; bytes are published by the layers above, which order more than this.
    len: AtomicU64,
    /// Up to where `RLIMIT_FSIZE` is known to let us write.
    allowed: AtomicU64,
    behind: Arc<WriteBehind>,
    /// Who has its lock, which lasts as long as this does.
    pub(super) locked_by: Option<Process>,
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
    pub(super) fn new(file: Option<fs::File>, len: u64) -> Self {
        let within = if allowed(len).is_ok() { len } else { 0 };
        let (len, allowed) = (AtomicU64::new(len), AtomicU64::new(within));
        Self { file, is_read_only: false, len, allowed, behind: Arc::new(WriteBehind::new()), locked_by: None }
    }

    /// As [`new`](Self::new), of a file that was opened for reading only.
    pub(super) fn reading(file: Option<fs::File>, len: u64) -> Self {
        // Nothing is written to it, so no limit is asked for.
        let (len, allowed) = (AtomicU64::new(len), AtomicU64::new(0));
        Self { file, is_read_only: true, len, allowed, behind: Arc::new(WriteBehind::new()), locked_by: None }
    }

    fn writable(&self) -> Result<&fs::File> {
        self.file.as_ref().filter(|_| !self.is_read_only).ok_or_else(read_only)
    }
}

/// One open file of the operating system's.
#[derive(Debug)]
pub(super) struct OsFile {
    shared: Arc<Shared>,
    map: Option<Arc<Map>>,
    pub(super) window: Window,
}

impl OsFile {
    pub(super) fn new(shared: Arc<Shared>, mapped: bool, window: u64) -> Self {
        let len = shared.len.load(Relaxed);
        let map = shared.file.as_ref().and_then(|file| {
            if mapped { Map::writable(file, len).ok() } else { None }.or_else(|| Map::read_only(file, len).ok())
        });
        let map = map.map(Arc::new);
        Self { shared, map, window: Window::new(window) }
    }

    /// A file that is only read keeps its descriptor only if it cannot be mapped.
    pub(super) fn reading(file: fs::File, len: u64) -> Self {
        let map = Map::read_only(&file, len).ok().map(Arc::new);
        let file = if map.is_some() || len == 0 { None } else { Some(file) };
        Self { shared: Arc::new(Shared::reading(file, len)), map, window: Window::new(0) }
    }

    /// A file without a mapping.
    pub(super) fn unmapped(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), map: None, window: Window::new(0) }
    }

    /// What [`File::write_at`] does when the bytes are not within the window.
    #[cold]
    #[inline(never)]
    fn write_outside(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = end_of(offset, bytes.len())?;
        let len = self.shared.len.load(Relaxed);
        if offset > len {
            return Err(gap());
        }
        if let Some(map) = self.map.as_ref().filter(|map| map.is_writable() && end <= len.min(map.len()))
            && self.window.advance(map, offset, end, len)
        {
            map.write(offset as usize, bytes);
            // One byte after the other, as it is a log.
            self.shared.behind.stored(map, offset);
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
        system::write_all_at(file, offset, bytes)?;
        self.shared.len.fetch_max(end, Relaxed);
        Ok(())
    }

    /// What [`File::sync`] does, by one thread at a time: what went wrong is found by one of them.
    fn sync_alone(&self, mut file: &fs::File) -> Result<()> {
        // Before and after, as we may lengthen or shorten the file meanwhile.
        let len = self.shared.len.load(Relaxed);
        file.sync_data()?;
        // Not by its metadata: who asks for those is told the times as well, and Linux, since 6.13, makes the next write change
        // them then, which the next sync writes to the disk.
        let found = file.seek(SeekFrom::End(0))?;
        let len = len.min(self.shared.len.load(Relaxed));
        if found < len {
            self.shared.len.fetch_min(found, Relaxed);
            self.window.cut(found);
            return Err(Error::other(format!("somebody truncated the file from {len} to {found} bytes")));
        }
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
            (_, Some(file)) => system::read_exact_at(file, offset, buf)?,
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
        let Ok(file) = self.shared.writable() else { return Ok(()) };
        self.shared.behind.sync(self.window.end(), || self.sync_alone(file))
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

    fn holds_descriptor(&self) -> bool {
        self.shared.file.is_some()
    }
}

fn end_of(offset: u64, len: usize) -> Result<u64> {
    offset.checked_add(len as u64).ok_or_else(|| ErrorKind::InvalidInput.into())
}
