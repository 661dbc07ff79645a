//! Looking at a store without opening it.
//!
//! Nothing is written, created, repaired or locked: it works on read-only media, and while another process has the store
//! open and writes to it. What is seen of a stream is one moment: what opening it would find if the machine had stopped then.
//! Of an append or change that is just being made there is either all or nothing.
//!
//! | to | there is | reads |
//! |---|---|---|
//! | check everything | [`Inspection::verify`], [`Inspection::verify_stream`] | all files |
//! | write everything down, so that two stores can be compared | [`Inspection::dump_stream`] | all files |
//! | know sizes and counts | [`Inspection::stat_stream`] | what opening reads, and the first entry |
//!
//! Files are not mapped, so that a writer may cut them meanwhile. No content of a file makes any of this panic.

mod dump;
mod report;
mod segment;
mod stat;
#[cfg(test)]
mod tests;
mod verify;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::damage::{Finding, Problem};
use crate::follow::picture::{self, Picture};
use crate::follow::{moment, root};
use crate::format::Identity;
use crate::format::file_name::{
    self, BACKUP, BACKUP_NEW, BOARD, Directory, INTENT, LOCK, QUARANTINE, RESERVE, STREAMS, TMP,
};
use crate::inspect::verify::Verifier;
use crate::io::place::Place;
use crate::io::{Disk, FileKind};
use crate::stream::superblock;
use crate::{Corruption, Error, Result};

pub use dump::{Escaped, Item};
pub use report::StreamReport;
pub use stat::{GroupStat, SegmentStat, StreamStat};

/// How often a stream is verified again because it changed underneath.
const TRIES: u32 = 10;

/// A store that is being looked at, but not opened.
///
/// # Examples
///
/// ```
/// use streamlog::Store;
/// use streamlog::inspect::Inspection;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// let store = Store::open(path)?;
/// store.stream("orders")?.add([("type", "order.created")])?;
///
/// // While the store is open, here or in another process.
/// let inspection = Inspection::open(path)?;
/// for report in inspection.verify()? {
///     assert!(!report.is_damaged());
///     assert_eq!(report.entries, 1);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Inspection {
    pub(crate) root: Place,
    /// `None` if `LOCK` is damaged.
    pub(crate) store: Option<Identity>,
}

impl fmt::Debug for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inspection").field(&self.root.full("")).finish()
    }
}

impl Inspection {
    /// Looks at the directory of a store. Costs reading two names and 44 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStore`] if there is none, [`Error::Unsupported`] if a newer version wrote it, [`Error::Io`] if it cannot
    /// be read. Damage is no error: see [`verify_store`](Self::verify_store).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::inspect::Inspection;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    /// # let store = streamlog::Store::open(path)?;
    /// # store.stream("orders")?.add([("order", "o1")])?;
    ///
    /// let inspection = Inspection::open(path)?; // while somebody writes
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let (root, store) = root::open(path.as_ref())?;
        Ok(Self { root, store })
    }

    /// Looks at a simulated disk.
    #[doc(hidden)]
    pub fn open_simulated(disk: &Arc<crate::sim::SimDisk>) -> Result<Self> {
        Self::on(Arc::clone(disk) as Arc<dyn Disk>, Path::new("simulated"))
    }

    pub(crate) fn on(disk: Arc<dyn Disk>, path: &Path) -> Result<Self> {
        let (root, store) = root::find(disk, path)?;
        Ok(Self { root, store })
    }

    /// Looks at a store that another process writes to, in its directory.
    pub(crate) fn of_root(root: &Place, store: Option<Identity>) -> Self {
        Self { root: root.within(""), store }
    }

    /// The names of all streams, in ascending order of their bytes. Costs reading one directory.
    ///
    /// A long name that cannot be read because the stream's superblock is damaged is given as that of its directory.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory cannot be read, [`Error::Corrupt`] if there is something else in its place.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::inspect::Inspection;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    /// # let store = streamlog::Store::open(path)?;
    /// # store.stream("orders")?.add([("order", "o1")])?;
    ///
    /// assert_eq!(Inspection::open(path)?.names()?, [b"orders"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn names(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.directories()?.into_iter().map(|(name, _)| name).collect())
    }

    /// The streams and their directories.
    pub(crate) fn directories(&self) -> Result<Vec<(Vec<u8>, String)>> {
        let streams = self.root.within(STREAMS);
        let mut found = Vec::new();
        if !self.has_streams()? {
            return Ok(found);
        }
        for (directory, kind) in streams.list()? {
            if kind != FileKind::Directory {
                continue;
            }
            match file_name::parse_directory(&directory) {
                Directory::Stream(name) => found.push((name, directory)),
                Directory::LongName => {
                    let name = self.long_name(&directory)?;
                    found.push((name.unwrap_or_else(|| directory.clone().into_bytes()), directory));
                }
                Directory::Foreign => {}
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn has_streams(&self) -> Result<bool> {
        match self.root.kind(STREAMS)? {
            None => Ok(false),
            Some(FileKind::Directory) => Ok(true),
            Some(_) => Err(Error::corrupt(&self.root.full(STREAMS), 0, Corruption::NotADirectory)),
        }
    }

    fn long_name(&self, directory: &str) -> Result<Option<Vec<u8>>> {
        let Some(frozen) = moment::freeze(&self.root, directory)? else { return Ok(None) };
        match picture::meta_of(&frozen, None) {
            Ok(meta) => Ok(Some(meta.name).filter(|name| file_name::escape(name) == directory)),
            Err(Error::Corrupt { .. } | Error::Unsupported { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The directory of a stream.
    fn directory(&self, name: &[u8]) -> Result<String> {
        let directory = file_name::escape(name);
        match self.root.within(STREAMS).kind(&directory)? {
            Some(FileKind::Directory) => Ok(directory),
            Some(_) => Err(Error::corrupt(&self.root.within(STREAMS).full(directory), 0, Corruption::NotADirectory)),
            // A name that is that of a directory, as `names` gives it where there is no other.
            None => match std::str::from_utf8(name).map(|name| (name, file_name::parse_directory(name))) {
                Ok((name, Directory::LongName)) if self.root.within(STREAMS).kind(name)?.is_some() => {
                    Ok(name.to_owned())
                }
                _ => Err(Error::stream_not_found(name)),
            },
        }
    }

    /// How many bytes the files of a stream have: what [`verify_stream`](Self::verify_stream) reads, about. Costs a look at
    /// each of its files.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`], [`Error::Io`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::inspect::Inspection;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    /// # let store = streamlog::Store::open(path)?;
    /// # store.stream("orders")?.add([("order", "o1")])?;
    ///
    /// assert!(Inspection::open(path)?.size("orders")? > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn size(&self, name: impl AsRef<[u8]>) -> Result<u64> {
        let place = self.root.within(STREAMS).within(self.directory(name.as_ref())?);
        let mut size = 0;
        for (name, kind) in place.list()? {
            if kind == FileKind::File {
                // One that went meanwhile has none.
                size += place.size(&name).unwrap_or(0);
            }
        }
        Ok(size)
    }

    /// How many bytes are set aside for deleting on a full disk; 0 while they are not.
    ///
    /// Costs a look at one file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Store, inspect::Inspection};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    /// let store = Store::open(path)?;
    /// assert!(Inspection::open(path)?.reserve()? > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(&self) -> Result<u64> {
        match self.root.kind(RESERVE)? {
            Some(FileKind::File) => self.allocated(Path::new(RESERVE)),
            _ => Ok(0),
        }
    }

    fn allocated(&self, path: &Path) -> Result<u64> {
        match self.root.disk().allocated(path) {
            // It went meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            allocated => allocated.map_err(|error| Error::io("look at", &self.root.full(path), error)),
        }
    }

    /// Verifies all streams, and what belongs to none: as [`verify_store`](Self::verify_store), in a report without name
    /// if there is anything, and [`verify_stream`](Self::verify_stream) for each.
    ///
    /// Costs reading all files of the store.
    ///
    /// # Errors
    ///
    /// As these.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::inspect::Inspection;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    /// # let store = streamlog::Store::open(path)?;
    /// # store.stream("orders")?.add([("order", "o1")])?;
    ///
    /// let reports = Inspection::open(path)?.verify()?;
    /// assert!(reports.iter().all(|report| !report.is_damaged()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self) -> Result<Vec<StreamReport>> {
        let findings = self.verify_store()?;
        let mut reports = Vec::new();
        if !findings.is_empty() {
            reports.push(StreamReport { findings, ..StreamReport::default() });
        }
        for (name, _) in self.directories()? {
            match self.verify_stream(&name, |_| {}) {
                // It was deleted meanwhile.
                Err(Error::StreamNotFound { .. }) => {}
                report => reports.push(report?),
            }
        }
        Ok(reports)
    }

    /// Checks what belongs to no stream: the store's identity, unfinished changes, names. Costs reading three directories.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if something cannot be read, [`Error::Unsupported`] if a newer version wrote it.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::inspect::Inspection;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    /// # let store = streamlog::Store::open(path)?;
    /// # store.stream("orders")?.add([("order", "o1")])?;
    ///
    /// assert!(Inspection::open(path)?.verify_store()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify_store(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let mut note = |place: &Place, name: &str, problem| findings.push(Finding::new(place.full(name), 0, problem));
        let not_a_directory = || Problem::Damage(Corruption::NotADirectory);
        match root::identity(&self.root) {
            Err(Error::Corrupt { what, .. }) => note(&self.root, LOCK, Problem::Damage(what)),
            identity => drop(identity?),
        }
        let mut names = self.root.list()?;
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (name, kind) in &names {
            match name.as_str() {
                LOCK | RESERVE | BOARD | QUARANTINE | BACKUP | BACKUP_NEW => {}
                STREAMS | TMP if *kind == FileKind::Directory => {}
                STREAMS | TMP => note(&self.root, name, not_a_directory()),
                INTENT if moment::intent(&self.root)?.is_none() && self.root.kind(INTENT)?.is_some() => {
                    note(&self.root, name, Problem::Damage(Corruption::Malformed("an intent that is none")));
                }
                INTENT | file_name::INTENT_NEW => note(&self.root, name, Problem::Leftover),
                file_name::IMPORT => note(&self.root, name, Problem::ImportUnfinished),
                "lost+found" => {}
                _ => note(&self.root, name, Problem::Unknown),
            }
        }
        let is_directory = |name| names.iter().any(|(found, kind)| found == name && *kind == FileKind::Directory);
        if !names.iter().any(|(name, _)| name == STREAMS) {
            note(&self.root, STREAMS, Problem::Damage(Corruption::Missing));
        }
        if is_directory(TMP) {
            let tmp = self.root.within(TMP);
            tmp.list()?.iter().for_each(|(name, _)| note(&tmp, name, Problem::Leftover));
        }
        if is_directory(STREAMS) {
            let streams = self.root.within(STREAMS);
            for (name, kind) in streams.list()? {
                match (file_name::parse_directory(&name), kind) {
                    (Directory::Foreign, _) => note(&streams, &name, Problem::Unknown),
                    (_, FileKind::Directory) => {}
                    _ => note(&streams, &name, not_a_directory()),
                }
            }
        }
        findings.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(findings)
    }

    /// Reads everything of a stream and checks it: every record of every file, the index of each segment against the segment,
    /// and the files against each other. `progress` is told how many bytes were checked, from file to file.
    ///
    /// Reads all files once, about as fast as a disk gives them. Takes the memory of what is pending, of a journal and,
    /// where one is damaged, of a segment.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`]. [`Error::Io`] if something cannot be read, [`Error::Unsupported`] if a newer version wrote it:
    /// it is not known then whether the stream is damaged. Damage is no error, but in the report.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::inspect::Inspection;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path();
    /// # let store = streamlog::Store::open(path)?;
    /// # store.stream("orders")?.add([("order", "o1")])?;
    ///
    /// let report = Inspection::open(path)?.verify_stream("orders", |_| {})?;
    /// assert!(!report.is_damaged());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify_stream(&self, name: impl AsRef<[u8]>, mut progress: impl FnMut(u64)) -> Result<StreamReport> {
        let directory = self.directory(name.as_ref())?;
        let mut tries = 0;
        loop {
            let Some(frozen) = moment::freeze(&self.root, &directory)? else {
                return Err(Error::stream_not_found(name.as_ref()));
            };
            let mut verifier = Verifier {
                place: &frozen,
                store: self.store,
                is_being_renamed: &|meta| moment::is_being_renamed(&self.root, &directory, meta),
                progress: &mut progress,
                report: StreamReport { name: name.as_ref().to_vec(), ..StreamReport::default() },
            };
            let ran = verifier.run();
            let report = verifier.report;
            tries += 1;
            // What went missing while the stream was read may have been trimmed.
            if (ran.is_err() || report.is_damaged()) && tries < TRIES && !moment::is_unchanged(&self.root, &frozen) {
                continue;
            }
            return ran.map(|()| report);
        }
    }

    /// A stream as opening it would find it.
    pub(crate) fn picture(&self, name: &[u8]) -> Result<(Place, Picture)> {
        let directory = self.directory(name)?;
        let mut tries = 0;
        loop {
            let Some(frozen) = moment::freeze(&self.root, &directory)? else {
                return Err(Error::stream_not_found(name));
            };
            let taken = picture::meta_of(&frozen, self.store).and_then(|meta| {
                match file_name::escape(&meta.name) == directory
                    || moment::is_being_renamed(&self.root, &directory, &meta)
                {
                    true => Picture::take(&frozen, meta),
                    false => Err(superblock::misnamed(&frozen)),
                }
            });
            tries += 1;
            match taken {
                Err(_) if tries < TRIES && !moment::is_unchanged(&self.root, &frozen) => {}
                taken => return taken.map(|picture| (frozen, picture)),
            }
        }
    }
}
