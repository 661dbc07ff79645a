//! A disk that tells somebody of every call before it is made: for tests that kill the process there, or let the call fail.

use std::ffi::OsString;
use std::fmt;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::io::sim::{Call, Failure, Op};
use crate::io::{Access, Disk, File, FileKind};

/// Another disk, observed.
#[derive(Debug)]
pub struct Observed {
    disk: Arc<dyn Disk>,
    observer: Arc<Observer>,
}

type Tell = dyn Fn(&Call) -> Option<Failure> + Send + Sync;

struct Observer {
    calls: AtomicU64,
    tell: Box<Tell>,
}

impl Observer {
    fn tell(&self, op: Op, path: &Path) -> Result<()> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        match (self.tell)(&Call { number, op, path: path.to_owned() }) {
            Some(failure) => Err(failure.into()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl Observed {
    /// Tells `tell` of every call of this disk and its files, in the thread that makes it; the call is not made if it
    /// says how it fails.
    pub fn new(disk: Arc<dyn Disk>, tell: impl Fn(&Call) -> Option<Failure> + Send + Sync + 'static) -> Arc<Self> {
        let observer = Observer { calls: AtomicU64::new(0), tell: Box::new(tell) };
        Arc::new(Self { disk, observer: Arc::new(observer) })
    }

    fn file(&self, path: &Path, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(ObservedFile { file, path: path.to_owned(), observer: Arc::clone(&self.observer) })
    }
}

impl Disk for Observed {
    fn create_dir(&self, path: &Path) -> Result<()> {
        self.observer.tell(Op::CreateDir, path)?;
        self.disk.create_dir(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, FileKind)>> {
        self.observer.tell(Op::List, path)?;
        self.disk.list(path)
    }

    fn is_empty(&self, path: &Path) -> Result<bool> {
        self.observer.tell(Op::List, path)?;
        self.disk.is_empty(path)
    }

    fn kind(&self, path: &Path) -> Result<Option<FileKind>> {
        self.observer.tell(Op::Kind, path)?;
        self.disk.kind(path)
    }

    fn create(&self, path: &Path, capacity: u64) -> Result<Arc<dyn File>> {
        self.observer.tell(Op::Create, path)?;
        Ok(self.file(path, self.disk.create(path, capacity)?))
    }

    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn File>> {
        self.observer.tell(Op::Open, path)?;
        Ok(self.file(path, self.disk.open(path, access)?))
    }

    fn watch(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.disk.watch(path)
    }

    // Not told of: whatever comes of it, nothing depends on it.
    fn board(&self, path: &Path, capacity: u64) -> Option<Arc<dyn File>> {
        self.disk.board(path, capacity)
    }

    fn allocated(&self, path: &Path) -> Result<u64> {
        self.observer.tell(Op::Len, path)?;
        self.disk.allocated(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.observer.tell(Op::Rename, from)?;
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.observer.tell(Op::RemoveFile, path)?;
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.observer.tell(Op::RemoveDir, path)?;
        self.disk.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.observer.tell(Op::SyncDir, path)?;
        self.disk.sync_dir(path)
    }

    fn size(&self, path: &Path) -> Result<u64> {
        self.observer.tell(Op::Len, path)?;
        self.disk.size(path)
    }

    fn lacks_descriptors(&self) -> bool {
        self.disk.lacks_descriptors()
    }

    fn lock(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.observer.tell(Op::Lock, path)?;
        Ok(self.file(path, self.disk.lock(path)?))
    }

    fn root(&self) -> Option<&Path> {
        self.disk.root()
    }
}

#[derive(Debug)]
struct ObservedFile {
    file: Arc<dyn File>,
    path: PathBuf,
    observer: Arc<Observer>,
}

impl File for ObservedFile {
    fn len(&self) -> Result<u64> {
        self.observer.tell(Op::Len, &self.path)?;
        self.file.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.observer.tell(Op::Read, &self.path)?;
        self.file.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.observer.tell(Op::Write, &self.path)?;
        self.file.write_at(offset, bytes)
    }

    fn sync(&self) -> Result<()> {
        self.observer.tell(Op::Sync, &self.path)?;
        self.file.sync()
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.observer.tell(Op::Truncate, &self.path)?;
        self.file.truncate(len)
    }

    fn grow(&self, capacity: u64) -> Result<Arc<dyn File>> {
        self.observer.tell(Op::Grow, &self.path)?;
        let file = self.file.grow(capacity)?;
        Ok(Arc::new(Self { file, path: self.path.clone(), observer: Arc::clone(&self.observer) }))
    }

    fn holds_descriptor(&self) -> bool {
        self.file.holds_descriptor()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::io::MemDisk;

    #[test]
    fn every_call_is_told_before_it_is_made() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = {
            let told = Arc::clone(&told);
            move |call: &Call| {
                told.lock().unwrap().push((call.number, call.op));
                (call.op == Op::Rename).then_some(Failure::Os(5))
            }
        };
        let disk = Observed::new(MemDisk::new(), tell);
        let file = disk.create(Path::new("a"), 8).unwrap().grow(16).unwrap();
        file.write_at(0, b"bytes").unwrap();
        assert_eq!(disk.rename(Path::new("a"), Path::new("b")).unwrap_err().raw_os_error(), Some(5));
        assert!(disk.open(Path::new("a"), Access::Read).is_ok(), "it was not renamed");
        let expected = [Op::Create, Op::Grow, Op::Write, Op::Rename, Op::Open];
        assert_eq!(*told.lock().unwrap(), (0..).zip(expected).collect::<Vec<_>>());
    }
}
