//! A directory tree in memory: names, numbered like the inodes of a file system.
//!
//! The rules and the errors are those of Linux. What a file holds is up to whoever has the tree.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};

use super::FileKind;

/// Identifies a file or directory, whatever it is called. Never used again.
pub(super) type Ino = u64;

/// The directory that paths are relative to.
pub(super) const ROOT: Ino = 0;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) dir: Ino,
    pub(super) name: OsString,
}

#[derive(Debug)]
pub(super) struct Tree<F> {
    nodes: BTreeMap<Ino, Node<F>>,
    next: Ino,
}

#[derive(Debug)]
struct Node<F> {
    place: Place,
    body: Body<F>,
}

#[derive(Debug)]
enum Body<F> {
    Directory(BTreeMap<OsString, Ino>),
    File(F),
}

impl<F> Tree<F> {
    pub(super) fn new() -> Self {
        let place = Place { dir: ROOT, name: OsString::new() };
        let root = Node { place, body: Body::Directory(BTreeMap::new()) };
        Self { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }

    /// What is at `path`, if anything.
    pub(super) fn find(&self, path: &Path) -> Result<Option<Ino>> {
        let mut ino = ROOT;
        for name in super::names(path)? {
            match self.entries(ino)?.get(name) {
                Some(&next) => ino = next,
                None => return Ok(None),
            }
        }
        Ok(Some(ino))
    }

    pub(super) fn get(&self, path: &Path) -> Result<Ino> {
        self.find(path)?.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// A directory, by its path.
    pub(super) fn directory(&self, path: &Path) -> Result<Ino> {
        let ino = self.get(path)?;
        self.entries(ino).map(|_| ino)
    }

    /// A file, by its path. `InvalidInput` if it is a directory.
    pub(super) fn file(&self, path: &Path) -> Result<(Ino, &F)> {
        let ino = self.get(path)?;
        match self.nodes.get(&ino).map(|node| &node.body) {
            Some(Body::File(file)) => Ok((ino, file)),
            _ => Err(ErrorKind::InvalidInput.into()),
        }
    }

    pub(super) fn kind(&self, path: &Path) -> Result<Option<FileKind>> {
        Ok(self.find(path)?.map(|ino| self.kind_of(ino)))
    }

    pub(super) fn list(&self, path: &Path) -> Result<Vec<(OsString, FileKind)>> {
        let entries = self.entries(self.get(path)?)?;
        Ok(entries.iter().map(|(name, &ino)| (name.clone(), self.kind_of(ino))).collect())
    }

    /// The path of something that may have been renamed since, or removed.
    pub(super) fn path_of(&self, mut ino: Ino) -> Option<PathBuf> {
        let mut names = Vec::new();
        while ino != ROOT {
            let place = &self.nodes.get(&ino)?.place;
            names.push(&place.name);
            ino = place.dir;
        }
        Some(names.into_iter().rev().collect())
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> Result<(Place, Ino)> {
        self.add(path, Body::Directory(BTreeMap::new()))
    }

    pub(super) fn create_file(&mut self, path: &Path, file: F) -> Result<(Place, Ino)> {
        self.add(path, Body::File(file))
    }

    /// Whether something can be created at `path`.
    pub(super) fn check_free(&self, path: &Path) -> Result<()> {
        self.free_place(path).map(|_| ())
    }

    /// Renames; says what was where and is now where, and what it replaced. `None` if the two are the same.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<Option<Renamed>> {
        let ino = self.get(from)?;
        let (from, to, replaced) = (self.place(from)?, self.place(to)?, self.find(to)?);
        if replaced == Some(ino) {
            return Ok(None);
        }
        self.check_rename(ino, &to, replaced)?;
        if let Some(replaced) = replaced {
            self.nodes.remove(&replaced);
        }
        self.entries_mut(from.dir)?.remove(&from.name);
        self.entries_mut(to.dir)?.insert(to.name.clone(), ino);
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.place = to.clone();
        }
        Ok(Some(Renamed { ino, from, to, replaced }))
    }

    /// Removes a file.
    pub(super) fn remove_file(&mut self, path: &Path) -> Result<(Place, Ino)> {
        let ino = self.get(path)?;
        if self.kind_of(ino) == FileKind::Directory {
            return Err(ErrorKind::IsADirectory.into());
        }
        self.remove(path, ino)
    }

    /// Removes an empty directory.
    pub(super) fn remove_dir(&mut self, path: &Path) -> Result<(Place, Ino)> {
        let ino = self.get(path)?;
        if !self.entries(ino)?.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        self.remove(path, ino)
    }

    fn check_rename(&self, ino: Ino, to: &Place, replaced: Option<Ino>) -> Result<()> {
        let mut above = to.dir;
        while above != ROOT {
            if above == ino {
                return Err(ErrorKind::InvalidInput.into());
            }
            above = self.nodes.get(&above).map_or(ROOT, |node| node.place.dir);
        }
        let Some(replaced) = replaced else { return Ok(()) };
        match (self.kind_of(ino), self.entries(replaced)) {
            (FileKind::Directory, Err(error)) => Err(error),
            (FileKind::Directory, Ok(entries)) if !entries.is_empty() => Err(ErrorKind::DirectoryNotEmpty.into()),
            (FileKind::File, Ok(_)) => Err(ErrorKind::IsADirectory.into()),
            _ => Ok(()),
        }
    }

    fn add(&mut self, path: &Path, body: Body<F>) -> Result<(Place, Ino)> {
        let place = self.free_place(path)?;
        let ino = self.next;
        self.next += 1;
        self.entries_mut(place.dir)?.insert(place.name.clone(), ino);
        self.nodes.insert(ino, Node { place: place.clone(), body });
        Ok((place, ino))
    }

    fn remove(&mut self, path: &Path, ino: Ino) -> Result<(Place, Ino)> {
        let place = self.place(path)?;
        self.entries_mut(place.dir)?.remove(&place.name);
        self.nodes.remove(&ino);
        Ok((place, ino))
    }

    fn free_place(&self, path: &Path) -> Result<Place> {
        let place = self.place(path)?;
        match self.entries(place.dir)?.contains_key(&place.name) {
            true => Err(ErrorKind::AlreadyExists.into()),
            false => Ok(place),
        }
    }

    /// The directory and the name of a path, whether or not there is anything. The root has no place.
    fn place(&self, path: &Path) -> Result<Place> {
        let name: &OsStr = super::names(path)?.next_back().ok_or(ErrorKind::ResourceBusy)?;
        let dir = self.directory(path.parent().unwrap_or(Path::new("")))?;
        Ok(Place { dir, name: name.to_owned() })
    }

    fn kind_of(&self, ino: Ino) -> FileKind {
        match self.entries(ino) {
            Ok(_) => FileKind::Directory,
            Err(_) => FileKind::File,
        }
    }

    fn entries(&self, ino: Ino) -> Result<&BTreeMap<OsString, Ino>> {
        match self.nodes.get(&ino).map(|node| &node.body) {
            Some(Body::Directory(entries)) => Ok(entries),
            Some(Body::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn entries_mut(&mut self, ino: Ino) -> Result<&mut BTreeMap<OsString, Ino>> {
        match self.nodes.get_mut(&ino).map(|node| &mut node.body) {
            Some(Body::Directory(entries)) => Ok(entries),
            Some(Body::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }
}

/// What [`Tree::rename`] did.
#[derive(Debug)]
pub(super) struct Renamed {
    pub(super) ino: Ino,
    pub(super) from: Place,
    pub(super) to: Place,
    pub(super) replaced: Option<Ino>,
}
