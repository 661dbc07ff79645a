//! A directory on a disk, whose files are named relative to it and in errors by their full path.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::io::{Access, Disk, File, FileKind};
use crate::{Corruption, Error, Result};

/// A directory. It can be renamed while its files are open.
#[derive(Debug)]
pub struct Place {
    disk: Arc<dyn Disk>,
    /// Where the disk's root is, for messages.
    root: Arc<Path>,
    path: RwLock<PathBuf>,
}

impl Place {
    pub fn new(disk: Arc<dyn Disk>, root: Arc<Path>, path: PathBuf) -> Self {
        Self { disk, root, path: RwLock::new(path) }
    }

    /// The place `name` within this one.
    pub fn within(&self, name: impl AsRef<Path>) -> Self {
        Self::new(Arc::clone(&self.disk), Arc::clone(&self.root), self.at(name))
    }

    /// The path of a file on the disk.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        join(&self.path.read(), name.as_ref())
    }

    /// The path of a file in messages.
    pub fn full(&self, name: impl AsRef<Path>) -> PathBuf {
        join(&self.root, &self.at(name))
    }

    /// Where the disk's root is, for messages.
    pub fn root(&self) -> Arc<Path> {
        Arc::clone(&self.root)
    }

    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    fn wrap<T>(&self, action: &'static str, name: &Path, result: io::Result<T>) -> Result<T> {
        result.map_err(|error| Error::io(action, &self.full(name), error))
    }

    pub fn list(&self) -> Result<Vec<(String, FileKind)>> {
        let entries = self.wrap("list", Path::new(""), self.disk.list(&self.path.read()))?;
        // What is not UTF-8 is none of ours.
        Ok(entries.into_iter().filter_map(|(name, kind)| Some((name.into_string().ok()?, kind))).collect())
    }

    pub fn is_empty(&self) -> Result<bool> {
        self.wrap("list", Path::new(""), self.disk.is_empty(&self.path.read()))
    }

    pub fn kind(&self, name: impl AsRef<Path>) -> Result<Option<FileKind>> {
        let name = name.as_ref();
        self.wrap("look at", name, self.disk.kind(&self.at(name)))
    }

    /// Creates a file of `capacity` bytes; one that was left over from a crash is replaced.
    pub fn create(&self, name: impl AsRef<Path>, capacity: u64) -> Result<Arc<dyn File>> {
        let name = name.as_ref();
        let path = self.at(name);
        let created = match self.disk.create(&path, capacity) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.wrap("remove", name, self.disk.remove_file(&path))?;
                self.disk.create(&path, capacity)
            }
            created => created,
        };
        self.wrap("create", name, created)
    }

    pub fn open(&self, name: impl AsRef<Path>, access: Access) -> Result<Arc<dyn File>> {
        let name = name.as_ref();
        self.opened("open", name, self.disk.open(&self.at(name), access))
    }

    /// As [`open`](Self::open), for reading what another process may be writing to: see [`Disk::watch`].
    pub fn watch(&self, name: impl AsRef<Path>) -> Result<Arc<dyn File>> {
        let name = name.as_ref();
        self.opened("open", name, self.disk.watch(&self.at(name)))
    }

    /// What became of opening a file that should be there.
    fn opened<T>(&self, action: &'static str, name: &Path, opened: io::Result<T>) -> Result<T> {
        match opened {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                Err(Error::corrupt(&self.full(name), 0, Corruption::NotAFile))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::corrupt(&self.full(name), 0, Corruption::Missing))
            }
            opened => self.wrap(action, name, opened),
        }
    }

    /// The whole content of a small file; `None` if there is none.
    pub fn read(&self, name: impl AsRef<Path>, len_max: u64) -> Result<Option<Vec<u8>>> {
        let name = name.as_ref();
        self.opened("read", name, self.disk.read(&self.at(name), len_max))
    }

    /// The size of a file, in bytes.
    pub fn size(&self, name: impl AsRef<Path>) -> Result<u64> {
        let name = name.as_ref();
        self.opened("look at", name, self.disk.size(&self.at(name)))
    }

    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        let from = from.as_ref();
        self.wrap("rename", from, self.disk.rename(&self.at(from), &self.at(to)))
    }

    /// Removes a file; it is no error if there is none.
    pub fn remove(&self, name: impl AsRef<Path>) -> Result<()> {
        let name = name.as_ref();
        match self.disk.remove_file(&self.at(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => self.wrap("remove", name, result),
        }
    }

    /// Makes creations, renames and removals in this directory survive power loss.
    pub fn sync(&self) -> Result<()> {
        let synced = self.disk.sync_dir(&self.path.read());
        synced.map_err(|error| Error::unsynced(&self.full(""), error))
    }

    /// Gives a synced file its final name, for good.
    pub fn publish(&self, new_name: &Path, name: &Path) -> Result<()> {
        self.rename(new_name, name)?;
        self.sync()
    }

    /// Creates a file with this content and gives it its name only when it is complete.
    pub fn write_whole(&self, new_name: &Path, name: &Path, content: &[u8]) -> Result<()> {
        let file = self.create(new_name, content.len() as u64)?;
        self.wrap("write to", new_name, file.write_at(0, content))?;
        self.wrap("sync", new_name, file.sync())?;
        self.publish(new_name, name)
    }

    pub fn create_dir(&self, name: impl AsRef<Path>) -> Result<()> {
        let name = name.as_ref();
        self.wrap("create", name, self.disk.create_dir(&self.at(name)))
    }

    /// Moves the directory itself to another path on the disk.
    pub fn move_to(&self, path: PathBuf) -> Result<()> {
        let mut current = self.path.write();
        let moved = self.disk.rename(&current, &path);
        moved.map_err(|error| Error::io("rename", &self.root.join(&*current), error))?;
        *current = path;
        Ok(())
    }

    /// The directory has been moved to another path.
    pub fn moved_to(&self, path: PathBuf) {
        *self.path.write() = path;
    }

    /// Removes the directory and all that is in it. Links are not followed.
    pub fn remove_all(&self) -> Result<()> {
        for (name, kind) in self.list()? {
            match kind {
                FileKind::Directory => self.within(&name).remove_all()?,
                _ => self.remove(&name)?,
            }
        }
        self.wrap("remove", Path::new(""), self.disk.remove_dir(&self.path.read()))
    }
}

/// As [`Path::join`], which ends with a separator if there is no name.
fn join(path: &Path, name: &Path) -> PathBuf {
    if name.as_os_str().is_empty() { path.to_owned() } else { path.join(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::MemDisk;

    #[test]
    fn a_directory_is_called_by_its_name_alone() {
        let root = Place::new(MemDisk::new(), Arc::from(Path::new("data")), PathBuf::new());
        let streams = root.within("streams");
        for (path, expected) in [
            (root.full(""), "data"),
            (root.at(""), ""),
            (root.within("").full("LOCK"), "data/LOCK"),
            (streams.full(""), "data/streams"),
            (streams.at(""), "streams"),
            (streams.within("").full("orders"), "data/streams/orders"),
        ] {
            // Paths are equal with and without a separator at the end.
            assert_eq!(path.as_os_str(), Path::new(expected).components().collect::<PathBuf>().as_os_str());
        }
    }
}
