//! A disk, and parts of its files, for reading only: nothing above it can write, whatever it does.

use std::ffi::OsString;
use std::io::Result;
use std::path::Path;
use std::sync::Arc;

use crate::io::{Access, Disk, File, FileKind, read_only};

/// A disk that is not written to.
#[derive(Debug)]
pub struct Reading(pub Arc<dyn Disk>);

impl Disk for Reading {
    fn create_dir(&self, _: &Path) -> Result<()> {
        Err(read_only())
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, FileKind)>> {
        self.0.list(path)
    }

    fn is_empty(&self, path: &Path) -> Result<bool> {
        self.0.is_empty(path)
    }

    fn kind(&self, path: &Path) -> Result<Option<FileKind>> {
        self.0.kind(path)
    }

    fn create(&self, _: &Path, _: u64) -> Result<Arc<dyn File>> {
        Err(read_only())
    }

    fn open(&self, path: &Path, _: Access) -> Result<Arc<dyn File>> {
        self.0.open(path, Access::Read)
    }

    fn watch(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.0.watch(path)
    }

    fn read(&self, path: &Path, len_max: u64) -> Result<Option<Vec<u8>>> {
        self.0.read(path, len_max)
    }

    fn size(&self, path: &Path) -> Result<u64> {
        self.0.size(path)
    }

    fn allocated(&self, path: &Path) -> Result<u64> {
        self.0.allocated(path)
    }

    fn rename(&self, _: &Path, _: &Path) -> Result<()> {
        Err(read_only())
    }

    fn remove_file(&self, _: &Path) -> Result<()> {
        Err(read_only())
    }

    fn remove_dir(&self, _: &Path) -> Result<()> {
        Err(read_only())
    }

    fn sync_dir(&self, _: &Path) -> Result<()> {
        Err(read_only())
    }

    fn lock(&self, _: &Path) -> Result<Arc<dyn File>> {
        Err(read_only())
    }

    fn root(&self) -> Option<&Path> {
        self.0.root()
    }

    fn link_out(&self, path: &Path, to: &Path) -> Result<()> {
        self.0.link_out(path, to)
    }

    fn is_same_file(&self, path: &Path, other: &Path) -> Result<bool> {
        self.0.is_same_file(path, other)
    }
}

/// A file up to some length: what is behind that is not there.
#[derive(Debug)]
pub struct UpTo {
    file: Arc<dyn File>,
    len: u64,
}

impl UpTo {
    /// At most `limit` bytes of what there is now.
    pub fn new(file: &Arc<dyn File>, limit: u64) -> Result<Self> {
        Ok(Self { len: limit.min(file.len()?), file: Arc::clone(file) })
    }
}

impl File for UpTo {
    fn len(&self) -> Result<u64> {
        Ok(self.len)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        match offset.checked_add(buf.len() as u64) {
            Some(end) if end <= self.len => self.file.read_at(offset, buf),
            _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn write_at(&self, _: u64, _: &[u8]) -> Result<()> {
        Err(read_only())
    }

    fn sync(&self) -> Result<()> {
        Err(read_only())
    }

    fn truncate(&self, _: u64) -> Result<()> {
        Err(read_only())
    }

    fn grow(&self, _: u64) -> Result<Arc<dyn File>> {
        Err(read_only())
    }
}
