//! A disk that is full when its files have so many bytes together.

use std::ffi::OsString;
use std::fmt;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::format::file_name::IMPORT;
use crate::io::{Access, Disk, File, FileKind};

/// A disk with a limit of its own. What counts is the length of files, preallocated room with it.
#[derive(Debug)]
pub struct Budgeted {
    disk: Arc<dyn Disk>,
    account: Arc<Account>,
}

#[derive(Debug)]
struct Account {
    limit: u64,
    used: AtomicU64,
}

/// The error of what would go beyond the limit, within an [`Error`] of the kind `StorageFull`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverBudget {
    pub limit: u64,
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the limit of {} bytes is reached", self.limit)
    }
}

impl std::error::Error for OverBudget {}

impl Account {
    fn take(&self, bytes: u64) -> Result<()> {
        let fits = |used: u64| used.checked_add(bytes).filter(|&used| used <= self.limit || bytes == 0);
        match self.used.fetch_update(Relaxed, Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(ErrorKind::StorageFull, OverBudget { limit: self.limit })),
        }
    }

    fn give(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = self.used.fetch_update(Relaxed, Relaxed, less);
    }
}

impl Budgeted {
    /// Looks at every file there is, but for what an import has put aside: that is made and removed without this. More than the
    /// limit may be there already: nothing is added then.
    pub fn new(disk: Arc<dyn Disk>, limit: u64) -> Result<Arc<Self>> {
        let mut used = 0u64;
        let mut directories = vec![PathBuf::new()];
        while let Some(directory) = directories.pop() {
            for (name, kind) in disk.list(&directory)? {
                let path = directory.join(name);
                match kind {
                    FileKind::File => used = used.saturating_add(disk.size(&path)?),
                    FileKind::Directory if path == Path::new(IMPORT) => {}
                    FileKind::Directory => directories.push(path),
                    FileKind::Other => {}
                }
            }
        }
        Ok(Arc::new(Self { disk, account: Arc::new(Account { limit, used: AtomicU64::new(used) }) }))
    }

    /// How many bytes the files have together.
    pub fn used(&self) -> u64 {
        self.account.used.load(Relaxed)
    }

    /// The bytes of the file at `path`, if there is one.
    fn there(&self, path: &Path) -> u64 {
        match self.disk.kind(path) {
            Ok(Some(FileKind::File)) => self.disk.size(path).unwrap_or(0),
            _ => 0,
        }
    }
}

impl Disk for Budgeted {
    fn create_dir(&self, path: &Path) -> Result<()> {
        self.disk.create_dir(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, FileKind)>> {
        self.disk.list(path)
    }

    fn is_empty(&self, path: &Path) -> Result<bool> {
        self.disk.is_empty(path)
    }

    fn kind(&self, path: &Path) -> Result<Option<FileKind>> {
        self.disk.kind(path)
    }

    fn create(&self, path: &Path, capacity: u64) -> Result<Arc<dyn File>> {
        self.account.take(capacity)?;
        match self.disk.create(path, capacity) {
            Ok(file) => Ok(Arc::new(BudgetedFile { file, account: Arc::clone(&self.account) })),
            Err(error) => {
                self.account.give(capacity);
                Err(error)
            }
        }
    }

    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn File>> {
        let file = self.disk.open(path, access)?;
        Ok(match access {
            Access::Read => file,
            Access::Write => Arc::new(BudgetedFile { file, account: Arc::clone(&self.account) }),
        })
    }

    fn watch(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.disk.watch(path)
    }

    fn board(&self, path: &Path, capacity: u64) -> Option<Arc<dyn File>> {
        let more = capacity.saturating_sub(self.there(path));
        self.account.take(more).ok()?;
        let file = self.disk.board(path, capacity);
        if file.is_none() {
            self.account.give(more);
        }
        Some(Arc::new(BudgetedFile { file: file?, account: Arc::clone(&self.account) }))
    }

    fn read(&self, path: &Path, len_max: u64) -> Result<Option<Vec<u8>>> {
        self.disk.read(path, len_max)
    }

    fn size(&self, path: &Path) -> Result<u64> {
        self.disk.size(path)
    }

    fn allocated(&self, path: &Path) -> Result<u64> {
        self.disk.allocated(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let replaced = self.there(to);
        self.disk.rename(from, to)?;
        self.account.give(replaced);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        let removed = self.there(path);
        self.disk.remove_file(path)?;
        self.account.give(removed);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.disk.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.disk.sync_dir(path)
    }

    fn lacks_descriptors(&self) -> bool {
        self.disk.lacks_descriptors()
    }

    fn lock(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.disk.lock(path)
    }

    fn root(&self) -> Option<&Path> {
        self.disk.root()
    }
}

/// A file that takes what it grows by from the account of its disk.
#[derive(Debug)]
struct BudgetedFile {
    file: Arc<dyn File>,
    account: Arc<Account>,
}

impl File for BudgetedFile {
    fn len(&self) -> Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.file.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let before = self.file.len()?;
        if offset.saturating_add(bytes.len() as u64) <= before {
            return self.file.write_at(offset, bytes);
        }
        let more = offset.saturating_add(bytes.len() as u64) - before;
        self.account.take(more)?;
        let written = self.file.write_at(offset, bytes);
        // One that failed may have written a part.
        let after = self.file.len().unwrap_or(before);
        self.account.give((before + more).saturating_sub(after));
        written
    }

    fn sync(&self) -> Result<()> {
        self.file.sync()
    }

    fn truncate(&self, len: u64) -> Result<()> {
        let before = self.file.len()?;
        self.file.truncate(len)?;
        self.account.give(before.saturating_sub(len));
        Ok(())
    }

    fn grow(&self, capacity: u64) -> Result<Arc<dyn File>> {
        let more = capacity.saturating_sub(self.file.len()?);
        self.account.take(more)?;
        match self.file.grow(capacity) {
            Ok(file) => Ok(Arc::new(Self { file, account: Arc::clone(&self.account) })),
            Err(error) => {
                self.account.give(more);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::MemDisk;

    #[test]
    fn the_account_is_the_sum_of_the_files_whatever_is_done() {
        let disk = MemDisk::new();
        let create = |disk: &dyn Disk, name: &str, len| disk.create(Path::new(name), len);
        disk.create_dir(Path::new("d")).unwrap();
        create(&*disk, "d/old", 100).unwrap();
        let budgeted = Budgeted::new(disk.clone(), 1000).unwrap();
        let used = || budgeted.account.used.load(Relaxed);
        assert_eq!(used(), 100);
        let file = create(&*budgeted, "a", 300).unwrap();
        assert_eq!(create(&*budgeted, "a", 300).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(create(&*budgeted, "b", 601).unwrap_err().kind(), ErrorKind::StorageFull);
        file.write_at(290, &[1; 10]).unwrap();
        assert_eq!(used(), 400);
        file.write_at(290, &[1; 30]).unwrap();
        assert_eq!(used(), 420);
        let file = file.grow(800).unwrap();
        assert_eq!(used(), 900);
        let error = file.write_at(790, &[1; 200]).unwrap_err();
        assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&OverBudget { limit: 1000 }));
        assert_eq!(file.grow(901).unwrap_err().kind(), ErrorKind::StorageFull);
        file.truncate(50).unwrap();
        assert_eq!(used(), 150);
        budgeted.rename(Path::new("a"), Path::new("d/old")).unwrap();
        assert_eq!(used(), 50);
        // The handle is of the file, whatever it is called.
        file.write_at(50, &[1; 5]).unwrap();
        assert_eq!(used(), 55);
        budgeted.remove_file(Path::new("d/old")).unwrap();
        assert_eq!(used(), 0);
        assert!(budgeted.remove_file(Path::new("d/old")).is_err());
    }
}
