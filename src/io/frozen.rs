//! A directory as it was at one moment, for reading only.
//!
//! Files that somebody else may go on writing to are *held*: they are open, and end where they ended at that moment. What is
//! sealed does not change, and is opened when it is needed.

use std::ffi::OsString;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::hash::HashMap;
use crate::io::{Access, Disk, File, FileKind, read_only};

/// One directory of a disk, frozen; and the rest of the disk, for reading.
#[derive(Debug)]
pub struct Frozen {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    listing: Vec<(OsString, FileKind)>,
    held: HashMap<PathBuf, Arc<dyn File>>,
}

impl Frozen {
    pub fn new(disk: Arc<dyn Disk>, directory: PathBuf, listing: Vec<(OsString, FileKind)>) -> Self {
        Self { disk, directory, listing, held: HashMap::default() }
    }

    /// Lets a file of the directory be this one from now on.
    pub fn hold(&mut self, name: &Path, file: Arc<dyn File>) {
        self.held.insert(self.directory.join(name), file);
    }
}

impl Disk for Frozen {
    fn create_dir(&self, _: &Path) -> Result<()> {
        Err(read_only())
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, FileKind)>> {
        if path == self.directory { Ok(self.listing.clone()) } else { self.disk.list(path) }
    }

    fn kind(&self, path: &Path) -> Result<Option<FileKind>> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if parent == self.directory => {
                Ok(self.listing.iter().find(|(listed, _)| listed == name).map(|&(_, kind)| kind))
            }
            _ => self.disk.kind(path),
        }
    }

    fn create(&self, _: &Path, _: u64) -> Result<Arc<dyn File>> {
        Err(read_only())
    }

    fn open(&self, path: &Path, _: Access) -> Result<Arc<dyn File>> {
        match self.held.get(path) {
            Some(file) => Ok(Arc::clone(file)),
            None => self.disk.open(path, Access::Read),
        }
    }

    fn allocated(&self, path: &Path) -> Result<u64> {
        self.disk.allocated(path)
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
        self.disk.root()
    }

    fn link_out(&self, path: &Path, to: &Path) -> Result<()> {
        self.disk.link_out(path, to)
    }

    fn is_same_file(&self, path: &Path, other: &Path) -> Result<bool> {
        self.disk.is_same_file(path, other)
    }
}

/// A file of which only the bytes before a limit are looked at; up to its length, the rest reads as zeros.
#[derive(Debug)]
pub struct Bounded {
    pub file: Arc<dyn File>,
    pub limit: u64,
}

impl File for Bounded {
    fn len(&self) -> Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let end = offset.checked_add(buf.len() as u64).ok_or(ErrorKind::InvalidInput)?;
        if end > self.file.len()? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let there = usize::try_from(self.limit.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let (there, zeros) = buf.split_at_mut(there);
        zeros.fill(0);
        if there.is_empty() { Ok(()) } else { self.file.read_at(offset, there) }
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

/// Bytes that were read from a file.
#[derive(Debug)]
pub struct Bytes(pub Vec<u8>);

impl File for Bytes {
    fn len(&self) -> Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let eof = || Error::from(ErrorKind::UnexpectedEof);
        let start = usize::try_from(offset).map_err(|_| eof())?;
        let end = start.checked_add(buf.len()).ok_or_else(eof)?;
        buf.copy_from_slice(self.0.get(start..end).ok_or_else(eof)?);
        Ok(())
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

/// Where the last byte of a file is that is not zero, plus one; found from the end.
pub fn extent(file: &dyn File) -> Result<u64> {
    let mut end = file.len()?;
    let mut chunk = vec![0; usize::try_from(end).unwrap_or(usize::MAX).min(256 << 10)];
    while end > 0 {
        let len = usize::try_from(end).unwrap_or(usize::MAX).min(chunk.len());
        let chunk = chunk.get_mut(..len).unwrap_or_default();
        let start = end - len as u64;
        file.read_at(start, chunk)?;
        if let Some(last) = chunk.iter().rposition(|&byte| byte != 0) {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_file_ends_in_zeros() {
        let file = Bounded { file: Arc::new(Bytes(b"abcdef".to_vec())), limit: 3 };
        let mut buf = [7; 4];
        file.read_at(1, &mut buf).unwrap();
        assert_eq!(&buf, b"bc\0\0");
        file.read_at(2, &mut buf).unwrap();
        assert_eq!(&buf, b"c\0\0\0");
        assert_eq!(file.read_at(3, &mut buf).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(extent(&file).unwrap(), 3);
        assert_eq!(extent(&Bytes(vec![0; 9])).unwrap(), 0);
        assert!(file.write_at(0, b"x").is_err());
    }
}
