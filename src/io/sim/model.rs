//! What is on the platter, and what may be.
//!
//! | was done since the last sync | after power loss |
//! |---|---|
//! | writes to a sector of 512 bytes | the sector is as synced, or as any of the writes left it; each sector for itself |
//! | one of them torn (option) | a part of one version and the rest of the next |
//! | one of them ruined (option) | anything |
//! | the size of the file changed | any of the sizes since; what was never written reads as zeros |
//! | names in a directory changed | the first *n* changes are there, or any subset of them (option) |
//!
//! - [`File::sync`](super::File::sync) is about the file, however it is called; not about its name.
//! - [`Disk::sync_dir`](super::Disk::sync_dir) is about names, and only those directly in the directory. A rename from
//!   one directory to another happens in both or in neither; syncing either makes it durable, with all that came before.
//! - After a sync that failed, the next one succeeds, but writes only what was written again. What the failed one was
//!   to write may be there or not, for ever.
//! - Bytes that a write did not touch are safe, also in a sector that it did touch, unless the sector is ruined.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::ops::Range;
use std::sync::Arc;

use super::super::mem;
use super::super::tree::{Ino, Place, ROOT};

/// The unit that a disk writes whole, or tears.
pub(super) const SECTOR: usize = 512;

/// What a sector holds.
pub(super) type Bytes = [u8; SECTOR];

/// What a step changed, by identity rather than by name.
#[derive(Clone, Debug)]
pub(super) enum Change {
    CreateDir { place: Place, ino: Ino },
    Create { place: Place, ino: Ino, len: u64 },
    Write { ino: Ino, offset: usize, bytes: Box<[u8]> },
    Truncate { ino: Ino, len: usize },
    Grow { ino: Ino, len: usize },
    Sync { ino: Ino, failed: bool },
    Rename { from: Place, to: Place, ino: Ino },
    Remove { place: Place },
    SyncDir { ino: Ino },
}

impl Change {
    pub(super) fn is_sync(&self) -> bool {
        matches!(self, Change::Sync { .. } | Change::SyncDir { .. })
    }
}

/// A disk, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) files: BTreeMap<Ino, FileModel>,
    /// What is durable.
    pub(super) dirs: BTreeMap<Ino, Entries>,
    /// What is not, in order.
    pub(super) pending: Vec<Naming>,
}

/// The names in a directory.
pub(super) type Entries = BTreeMap<OsString, Ino>;

/// A change of names.
#[derive(Clone, Debug)]
pub(super) enum Naming {
    Link { place: Place, ino: Ino },
    Unlink { place: Place },
    Rename { from: Place, to: Place, ino: Ino },
}

impl Naming {
    /// What a step changes of names, if it does.
    pub(super) fn of(change: &Change) -> Option<Self> {
        match change {
            Change::CreateDir { place, ino } | Change::Create { place, ino, .. } => {
                Some(Self::Link { place: place.clone(), ino: *ino })
            }
            Change::Rename { from, to, ino } => Some(Self::Rename { from: from.clone(), to: to.clone(), ino: *ino }),
            Change::Remove { place } => Some(Self::Unlink { place: place.clone() }),
            _ => None,
        }
    }

    /// The directories it changes: one, or two.
    pub(super) fn dirs(&self) -> impl Iterator<Item = Ino> {
        let (first, second) = match self {
            Naming::Link { place, .. } | Naming::Unlink { place } => (place.dir, None),
            Naming::Rename { from, to, .. } => (from.dir, Some(to.dir).filter(|to| *to != from.dir)),
        };
        std::iter::once(first).chain(second)
    }

    /// What it gives a name to.
    pub(super) fn ino(&self) -> Option<Ino> {
        match self {
            Naming::Link { ino, .. } | Naming::Rename { ino, .. } => Some(*ino),
            Naming::Unlink { .. } => None,
        }
    }

    pub(super) fn apply(&self, dirs: &mut BTreeMap<Ino, Entries>) {
        match self {
            Naming::Link { place, ino } => link(dirs, place, *ino),
            Naming::Unlink { place } => {
                dirs.entry(place.dir).or_default().remove(&place.name);
            }
            Naming::Rename { to, ino, .. } => {
                // Whatever name it has, as an earlier rename may not have happened: there are no hard links.
                dirs.values_mut().for_each(|entries| entries.retain(|_, found| found != ino));
                link(dirs, to, *ino);
            }
        }
    }
}

fn link(dirs: &mut BTreeMap<Ino, Entries>, place: &Place, ino: Ino) {
    dirs.entry(place.dir).or_default().insert(place.name.clone(), ino);
}

/// Parts changes of names, in order, into those that syncing `dir` makes durable and those that stay open.
pub(super) fn split_synced<T>(all: Vec<T>, dir: Ino, naming: impl Fn(&T) -> &Naming) -> (Vec<T>, Vec<T>) {
    let mut synced = BTreeSet::from([dir]);
    let (mut durable, mut open) = (Vec::new(), Vec::new());
    for change in all.into_iter().rev() {
        if naming(&change).dirs().any(|dir| synced.contains(&dir)) {
            synced.extend(naming(&change).dirs());
            durable.push(change);
        } else {
            open.push(change);
        }
    }
    durable.reverse();
    open.reverse();
    (durable, open)
}

impl Model {
    pub(super) fn new() -> Self {
        Self { files: BTreeMap::new(), dirs: BTreeMap::from([(ROOT, Entries::new())]), pending: Vec::new() }
    }

    /// Adds what was there before the first step.
    pub(super) fn add_durable(&mut self, place: &Place, ino: Ino, file: Option<Arc<Vec<u8>>>) {
        match file {
            Some(content) => drop(self.files.insert(ino, FileModel::durable(content))),
            None => drop(self.dirs.insert(ino, Entries::new())),
        }
        link(&mut self.dirs, place, ino);
    }

    pub(super) fn apply(&mut self, change: &Change) {
        self.pending.extend(Naming::of(change));
        match change {
            Change::CreateDir { ino, .. } => drop(self.dirs.insert(*ino, Entries::new())),
            Change::Create { ino, len, .. } => drop(self.files.insert(*ino, FileModel::created(*len as usize))),
            Change::Rename { .. } | Change::Remove { .. } => {}
            Change::SyncDir { ino } => self.sync_dir(*ino),
            Change::Write { ino, offset, bytes } => self.file(*ino, |file| file.write(*offset, bytes)),
            Change::Truncate { ino, len } => self.file(*ino, |file| file.truncate(*len)),
            Change::Grow { ino, len } => self.file(*ino, |file| file.grow(*len)),
            Change::Sync { ino, failed } => self.file(*ino, |file| file.sync(*failed)),
        }
    }

    /// A file that no name can lead to any more is of no interest.
    fn file(&mut self, ino: Ino, change: impl FnOnce(&mut FileModel)) {
        if let Some(file) = self.files.get_mut(&ino) {
            change(file);
        }
    }

    /// Makes the changes to `dir` durable, and those of other directories that came before and belong to them.
    fn sync_dir(&mut self, dir: Ino) {
        let (durable, pending) = split_synced(std::mem::take(&mut self.pending), dir, |naming| naming);
        durable.iter().for_each(|naming| naming.apply(&mut self.dirs));
        self.pending = pending;
        self.forget_unnamed();
    }

    fn forget_unnamed(&mut self) {
        let named: BTreeSet<Ino> = self.named().collect();
        self.files.retain(|ino, _| named.contains(ino));
        self.dirs.retain(|ino, _| *ino == ROOT || named.contains(ino));
    }

    /// What has a name, or may have one.
    pub(super) fn named(&self) -> impl Iterator<Item = Ino> {
        let durable = self.dirs.values().flat_map(|entries| entries.values().copied());
        durable.chain(self.pending.iter().filter_map(Naming::ino))
    }
}

/// The content of a file, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct FileModel {
    /// As it was synced; its length is the first of `sizes`.
    pub(super) durable: Arc<Vec<u8>>,
    /// As the process sees it. Where a sector is not in `sectors`, the two are the same, or zeros.
    pub(super) live: Arc<Vec<u8>>,
    /// The durable size, and those it was given since.
    pub(super) sizes: Vec<usize>,
    /// What was written since, by sector number.
    pub(super) sectors: BTreeMap<usize, Sector>,
    /// A sync of the size failed, and it was not changed since.
    size_lost: bool,
}

/// A sector that was written since it was synced.
#[derive(Clone, Debug)]
pub(super) struct Sector {
    /// The durable content, and what each write made of it.
    pub(super) versions: Vec<Bytes>,
    /// A sync of it failed, and it was not written since.
    lost: bool,
}

impl FileModel {
    fn durable(content: Arc<Vec<u8>>) -> Self {
        let sizes = vec![content.len()];
        Self { durable: content.clone(), live: content, sizes, sectors: BTreeMap::new(), size_lost: false }
    }

    fn created(len: usize) -> Self {
        let mut file = Self::durable(Arc::default());
        file.grow(len);
        file
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.change(offset..end, |live| {
            if live.len() < end {
                mem::resize(live, end);
            }
            live[offset..end].copy_from_slice(bytes);
        });
    }

    fn truncate(&mut self, len: usize) {
        self.change(len..self.live.len(), |live| live.truncate(len));
    }

    fn grow(&mut self, len: usize) {
        self.change(0..0, |live| mem::resize(live, len));
    }

    /// Changes the bytes in a range, and the size perhaps.
    fn change(&mut self, bytes: Range<usize>, change: impl FnOnce(&mut Vec<u8>)) {
        change(Arc::make_mut(&mut self.live));
        for number in bytes.start / SECTOR..bytes.end.div_ceil(SECTOR) {
            self.add_version(number);
        }
        if self.sizes.last() != Some(&self.live.len()) {
            self.sizes.push(self.live.len());
            self.size_lost = false;
        }
    }

    fn add_version(&mut self, number: usize) {
        let (before, now) = (sector_of(&self.durable, number), sector_of(&self.live, number));
        match self.sectors.get_mut(&number) {
            Some(sector) => {
                sector.lost = false;
                if sector.versions.last() != Some(&now) {
                    sector.versions.push(now);
                }
            }
            None if before == now => {}
            None => drop(self.sectors.insert(number, Sector { versions: vec![before, now], lost: false })),
        }
    }

    fn sync(&mut self, failed: bool) {
        if failed {
            self.sectors.values_mut().for_each(|sector| sector.lost = true);
            self.size_lost = self.sizes.len() > 1;
            return;
        }
        let durable = Arc::make_mut(&mut self.durable);
        if !self.size_lost {
            mem::resize(durable, self.live.len());
            self.sizes = vec![self.live.len()];
        }
        for (number, sector) in self.sectors.iter().filter(|(_, sector)| !sector.lost) {
            if let Some(newest) = sector.versions.last() {
                put_sector(durable, *number, newest);
            }
        }
        self.sectors.retain(|_, sector| sector.lost);
    }
}

/// A sector of a file; zeros where the file has ended.
pub(super) fn sector_of(content: &[u8], number: usize) -> Bytes {
    let mut sector = [0; SECTOR];
    let found = content.get(number * SECTOR..).unwrap_or_default();
    let len = found.len().min(SECTOR);
    sector[..len].copy_from_slice(&found[..len]);
    sector
}

/// Replaces as much of a sector as is within the file.
pub(super) fn put_sector(content: &mut [u8], number: usize, sector: &Bytes) {
    let place = content.get_mut(number * SECTOR..).unwrap_or_default();
    let len = place.len().min(SECTOR);
    place[..len].copy_from_slice(&sector[..len]);
}
