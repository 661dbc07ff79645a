//! The directory of a store that is not opened for writing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::format::Identity;
use crate::format::file_name::{LOCK, STREAMS};
use crate::format::store::{LOCK_LEN, decode_lock};
use crate::io::place::Place;
use crate::io::reading::Reading;
use crate::io::{Disk, OsDisk};
use crate::log::segment::bad_header;
use crate::{Corruption, Error, Result};

/// The directory, of which nothing is mapped and to which nothing is written, and the identity of the store, unless `LOCK`
/// is damaged.
pub fn open(path: &Path) -> Result<(Place, Option<Identity>)> {
    let disk = OsDisk::open_unmapped(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotADirectory => {
            Error::NotAStore { path: path.to_owned(), reason: "it is not a directory".to_owned() }
        }
        _ => Error::io("open", path, error),
    })?;
    find(Arc::new(Reading(disk)), path)
}

/// As [`open`], on a disk.
pub fn find(disk: Arc<dyn Disk>, path: &Path) -> Result<(Place, Option<Identity>)> {
    let root = Place::new(disk, Arc::from(path), PathBuf::new());
    if root.kind(LOCK)?.is_none() && root.kind(STREAMS)?.is_none() {
        let reason = "there is neither a file LOCK nor a directory streams".to_owned();
        return Err(Error::NotAStore { path: path.to_owned(), reason });
    }
    match identity(&root) {
        Err(Error::Corrupt { .. }) => Ok((root, None)),
        store => store.map(|store| (root, Some(store))),
    }
}

/// The identity of a store.
pub fn identity(root: &Place) -> Result<Identity> {
    let missing = || Error::corrupt(&root.full(LOCK), 0, Corruption::Missing);
    let bytes = root.read(LOCK, LOCK_LEN as u64 + 1)?.ok_or_else(missing)?;
    decode_lock(&bytes).map_err(|bad| bad_header(&root.full(LOCK), bad))
}
