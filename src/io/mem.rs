//! A disk in memory, which is gone when its last handle is. Nothing on it fails, and nothing needs syncing.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::tree::{Ino, Tree};
use super::{Access, Disk, File, FileKind};

/// A disk in memory.
#[derive(Debug)]
pub(crate) struct MemDisk {
    tree: Mutex<Tree<Arc<Content>>>,
    locked: Arc<Mutex<BTreeSet<Ino>>>,
}

type Content = RwLock<Vec<u8>>;

impl MemDisk {
    /// An empty disk.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { tree: Mutex::new(Tree::new()), locked: Arc::default() })
    }
}

impl Disk for MemDisk {
    fn create_dir(&self, path: &Path) -> Result<()> {
        self.tree.lock().create_dir(path).map(|_| ())
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, FileKind)>> {
        self.tree.lock().list(path)
    }

    fn kind(&self, path: &Path) -> Result<Option<FileKind>> {
        self.tree.lock().kind(path)
    }

    fn create(&self, path: &Path, capacity: u64) -> Result<Arc<dyn File>> {
        let content = Arc::new(RwLock::new(zeros(capacity)?));
        self.tree.lock().create_file(path, content.clone())?;
        Ok(Arc::new(MemFile { content, writable: true, _lock: None }))
    }

    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn File>> {
        let content = self.tree.lock().file(path)?.1.clone();
        Ok(Arc::new(MemFile { content, writable: access == Access::Write, _lock: None }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.tree.lock().rename(from, to).map(|_| ())
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.tree.lock().remove_file(path).map(|_| ())
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.tree.lock().remove_dir(path).map(|_| ())
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.tree.lock().directory(path).map(|_| ())
    }

    fn lock(&self, path: &Path) -> Result<Arc<dyn File>> {
        let mut tree = self.tree.lock();
        if tree.find(path)?.is_none() {
            tree.create_file(path, Arc::default())?;
        }
        let (ino, content) = tree.file(path)?;
        let lock = Lock::take(&self.locked, ino)?;
        Ok(Arc::new(MemFile { content: content.clone(), writable: true, _lock: Some(lock) }))
    }
}

/// The exclusive lock of a file, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    ino: Ino,
    locked: Arc<Mutex<BTreeSet<Ino>>>,
}

impl Lock {
    pub(super) fn take(locked: &Arc<Mutex<BTreeSet<Ino>>>, ino: Ino) -> Result<Self> {
        match locked.lock().insert(ino) {
            true => Ok(Self { ino, locked: locked.clone() }),
            false => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.locked.lock().remove(&self.ino);
    }
}

#[derive(Debug)]
struct MemFile {
    content: Arc<Content>,
    writable: bool,
    _lock: Option<Lock>,
}

impl MemFile {
    fn check_writable(&self) -> Result<()> {
        if self.writable { Ok(()) } else { Err(super::read_only()) }
    }
}

impl File for MemFile {
    fn len(&self) -> Result<u64> {
        Ok(self.content.read().len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        read(&self.content.read(), offset, buf)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.check_writable()?;
        write(&mut self.content.write(), offset, bytes)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.check_writable()?;
        truncate(&mut self.content.write(), len)
    }

    fn grow(&self, capacity: u64) -> Result<Arc<dyn File>> {
        self.check_writable()?;
        extend(&mut self.content.write(), capacity)?;
        Ok(Arc::new(Self { content: self.content.clone(), writable: true, _lock: None }))
    }

    fn holds_descriptor(&self) -> bool {
        false
    }
}

/// [`File::read_at`] of a file in memory.
pub(super) fn read(content: &[u8], offset: u64, buf: &mut [u8]) -> Result<()> {
    let found = usize::try_from(offset).ok().and_then(|offset| content.get(offset..)?.get(..buf.len()));
    buf.copy_from_slice(found.ok_or(ErrorKind::UnexpectedEof)?);
    Ok(())
}

/// [`File::write_at`] of a file in memory.
pub(super) fn write(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) -> Result<()> {
    let offset = usize::try_from(offset).ok().filter(|&offset| offset <= content.len()).ok_or_else(super::gap)?;
    let (within, beyond) = bytes.split_at(bytes.len().min(content.len() - offset));
    content[offset..offset + within.len()].copy_from_slice(within);
    content.extend_from_slice(beyond);
    Ok(())
}

/// [`File::truncate`] of a file in memory.
pub(super) fn truncate(content: &mut Vec<u8>, len: u64) -> Result<()> {
    let len = usize::try_from(len).ok().filter(|&len| len <= content.len()).ok_or(ErrorKind::InvalidInput)?;
    content.truncate(len);
    Ok(())
}

/// [`File::grow`] of a file in memory.
pub(super) fn extend(content: &mut Vec<u8>, capacity: u64) -> Result<()> {
    let more = usize::try_from(capacity).map_err(|_| ErrorKind::StorageFull)?.saturating_sub(content.len());
    content.try_reserve_exact(more).map_err(|_| ErrorKind::StorageFull)?;
    resize(content, content.len() + more);
    Ok(())
}

/// As [`Vec::resize`] with zeros, by copying: an interpreter takes a million steps to write 64 KiB a byte at a time.
pub(super) fn resize(content: &mut Vec<u8>, len: usize) {
    const ZEROS: [u8; 4096] = [0; 4096];
    content.truncate(len);
    content.reserve(len - content.len());
    while content.len() < len {
        content.extend_from_slice(&ZEROS[..ZEROS.len().min(len - content.len())]);
    }
}

fn zeros(len: u64) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    extend(&mut content, len)?;
    Ok(content)
}
