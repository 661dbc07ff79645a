//! The entries of one stream, in segments.
//!
//! One thread at a time appends, through the [`Appender`](append::Appender). Readers work on a [`View`]: a list of
//! segments that nobody changes, and the tail as it was published. They take no lock that is held during I/O of a writer.

pub mod append;
pub mod cold;
pub mod cursor;
pub mod holes;
pub mod interpolate;
pub mod loaded;
pub mod lookup;
pub mod pieces;
pub mod published;
pub mod recovery;
pub mod scan;
pub mod segment;
pub mod tombstones;

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use crate::damage::IdRange;
use crate::format::Identity;
use crate::io::place::Place;
use crate::log::published::Published;
use crate::log::segment::{Segment, Slot};
use crate::log::tombstones::Tombstones;
use crate::sync::Mutex;
use crate::{Corruption, Error, Result, StreamId};

/// How many sealed segments are kept open. Each takes up to 8 bytes of memory for a KiB of log, for its index.
const OPEN_MAX: usize = 32;
/// And of so many more the files stay open, but not the tables: see [`cold`].
const COLD_MAX: usize = 1024;

/// The end of the log as readers may see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Counts the changes to it.
    pub version: u64,
    /// The active segment, by the ordinal of its first entry, and where its entries end.
    pub segment: u64,
    pub offset: u64,
    /// The ordinal after the last entry.
    pub next_ordinal: u64,
    /// The lowest ordinal that is not trimmed.
    pub floor: u64,
    pub last_id: StreamId,
    pub entries_added: u64,
}

/// How many entries were ever added, after so many more.
pub fn entries_added(before: u64, more: u64) -> u64 {
    before.saturating_add(more)
}

type Slots = Arc<Vec<Arc<Slot>>>;

/// Where it is known from what becomes of a log that another process writes.
pub trait Source: Send + Sync + fmt::Debug {
    /// Takes in what has become of it since. This thread has locked nothing of the stream.
    fn catch_up(&self, log: &Log) -> Result<()>;

    /// Whether the stream still has entries with some of these ordinals, of which a log that is retired does not tell.
    fn has_any(&self, log: &Log, ordinals: Range<u64>) -> bool;
}

thread_local! {
    /// This thread has locked what catching up would lock.
    static STILL: Cell<bool> = const { Cell::new(false) };
}

/// Looks at logs as they are, without taking in what other processes have done: a segment that these have removed looks as if it
/// were lost.
pub fn as_they_are<T>(look: impl FnOnce() -> T) -> T {
    let before = STILL.replace(true);
    let found = look();
    STILL.set(before);
    found
}

/// The log of a stream, for reading.
#[derive(Debug)]
pub struct Log {
    pub place: Arc<Place>,
    pub incarnation: Identity,
    /// In ascending order; the last one is active.
    slots: RwLock<Slots>,
    tail: Published,
    pub tombstones: RwLock<Tombstones>,
    /// Nothing is written through it any more, and its directory may be another stream's or gone. Set once, before the
    /// directory changes, so whoever misses a file of it sees this.
    pub retired: AtomicBool,
    /// The sealed segments that are open, the oldest opening first.
    opened: Mutex<VecDeque<Arc<Slot>>>,
    /// Those of which only the files are, in the order in which their tables went.
    cold: Mutex<VecDeque<Arc<Slot>>>,
    open_max: usize,
    /// Damage was found.
    doubted: AtomicBool,
    /// Who keeps it up to date, if it is not written here.
    pub source: OnceLock<Box<dyn Source>>,
}

impl Log {
    pub fn new(place: Arc<Place>, incarnation: Identity, slots: Vec<Arc<Slot>>, tail: Tail) -> Self {
        Self {
            place,
            incarnation,
            slots: RwLock::new(Arc::new(slots)),
            tail: Published::new(tail),
            tombstones: RwLock::default(),
            retired: AtomicBool::new(false),
            opened: Mutex::default(),
            cold: Mutex::default(),
            open_max: OPEN_MAX,
            doubted: AtomicBool::new(false),
            source: OnceLock::new(),
        }
    }

    /// Keeps no more sealed segments open than this.
    pub fn keep_open(mut self, open_max: usize) -> Self {
        self.open_max = open_max;
        self
    }

    /// Lets readers see the log as it is there; what is older than what they see already is dropped. Returns whether they
    /// see entries that they did not see before.
    #[inline]
    pub fn publish(&self, tail: Tail) -> bool {
        self.tail.set(tail)
    }

    /// As [`publish`](Self::publish), where each tail is published under the lock of the appender: all but those that wait
    /// for a sync.
    #[inline]
    pub fn publish_in_turn(&self, tail: Tail) -> bool {
        self.tail.set_alone(tail)
    }

    #[inline]
    pub fn tail(&self) -> Tail {
        self.tail.get()
    }

    /// What readers may see now.
    pub fn view(self: &Arc<Self>) -> View {
        // The tail first: the list that is read after it holds at least the segments it counts.
        let tail = self.tail();
        self.view_to(tail)
    }

    /// What is there up to a tail, which need not have been published.
    pub fn view_to(self: &Arc<Self>, tail: Tail) -> View {
        View { log: Arc::clone(self), slots: Arc::clone(&self.slots.read()), tail }
    }

    pub fn slots(&self) -> Slots {
        Arc::clone(&self.slots.read())
    }

    /// Takes segments out of the list, and adds the one that is active from now on, at once. Returns those that were taken out,
    /// which are to be [closed](Self::close_removed); they have been [prepared](Self::prepare_removal).
    pub fn replace(&self, removed: &[u64], active: Arc<Segment>) -> Vec<Arc<Slot>> {
        let mut slots = self.slots.write();
        let (removed, mut list) = without(&slots, removed);
        if let Some(sealed) = list.last() {
            sealed.close();
        }
        list.push(Arc::new(Slot::opened(active)));
        *slots = Arc::new(list);
        removed
    }

    /// Takes in segments that follow, the last one active. Of the one that was active before everything `is_known`, or it is
    /// opened anew when it is needed.
    pub fn extend(&self, is_known: bool, newer: impl IntoIterator<Item = Arc<Slot>>) {
        let known = {
            let mut slots = self.slots.write();
            let mut list = Vec::clone(&slots);
            let known = list.last().filter(|_| is_known).map(Arc::clone);
            if let Some(sealed) = list.last_mut().filter(|_| !is_known) {
                *sealed = Arc::new(Slot::closed(sealed.base));
            }
            list.extend(newer);
            *slots = Arc::new(list);
            known
        };
        known.into_iter().for_each(|sealed| self.note_opened(sealed));
    }

    /// Takes in that a sealed segment is open, and closes the one that has been for longest if there are too many.
    fn note_opened(&self, slot: Arc<Slot>) {
        let mut opened = self.opened.lock();
        if opened.iter().any(|open| Arc::ptr_eq(open, &slot)) {
            return;
        }
        opened.push_back(slot);
        let oldest = if opened.len() > self.open_max { opened.pop_front() } else { None };
        drop(opened);
        if let Some(oldest) = oldest {
            // What is removed, or left to another log, is not to be kept on the disk by this one.
            match self.retired.load(Ordering::Acquire) || !self.has(&oldest) {
                true => oldest.close(),
                false if oldest.cool(&self.place) => self.note_cold(oldest),
                false => {}
            }
        }
    }

    /// Takes in that of a segment only the files are open, and closes those of the one that has been so for longest if there are
    /// too many.
    fn note_cold(&self, slot: Arc<Slot>) {
        let mut cold = self.cold.lock();
        cold.retain(|known| !Arc::ptr_eq(known, &slot));
        cold.push_back(Arc::clone(&slot));
        let oldest = if cold.len() > COLD_MAX { cold.pop_front() } else { None };
        drop(cold);
        oldest.into_iter().for_each(|oldest| oldest.close_cold());
        // It may have been removed meanwhile.
        self.let_go_unless_listed(&slot);
    }

    /// Closes a segment that has been removed from the list since it was opened: whoever removed it did not find it.
    fn let_go_unless_listed(&self, slot: &Arc<Slot>) {
        if !self.has(slot) {
            self.close_removed(std::slice::from_ref(slot));
        }
    }

    /// Lets go what only looking up takes: the log is not written through this any more, and what it holds may be deleted.
    pub fn close_cold(&self) {
        let cold = std::mem::take(&mut *self.cold.lock());
        cold.iter().for_each(|slot| slot.close_cold());
    }

    /// The sealed segments, below the active one, in which no entry from `floor` on is alive.
    pub fn dead_segments(&self, active: u64, floor: u64) -> Vec<u64> {
        let slots = self.slots();
        let ends = slots.iter().skip(1).map(|slot| slot.base).chain([active]);
        let dead =
            slots.iter().zip(ends).filter(|(slot, end)| slot.base < *end && self.live(slot.base.max(floor), *end) == 0);
        dead.map(|(slot, _)| slot.base).collect()
    }

    /// Takes segments out of the list; whoever reads them goes on. They are given in ascending order, by whoever has the turn and
    /// no lock.
    pub fn remove(&self, bases: &[u64]) {
        self.prepare_removal(bases);
        let removed = {
            let mut slots = self.slots.write();
            let (removed, kept) = without(&slots, bases);
            *slots = Arc::new(kept);
            removed
        };
        self.close_removed(&removed);
    }

    /// Sees to what readers with an older list bisect by when the files are gone. Reads the headers of segments that were never
    /// opened; to be called without a lock.
    pub fn prepare_removal(&self, bases: &[u64]) {
        for slot in self.slots().iter().filter(|slot| bases.binary_search(&slot.base).is_ok()) {
            // If it cannot be read, they tell.
            let _ = slot.previous_id(&self.place);
        }
    }

    /// Closes segments that are not in the list any more: as long as one is open, its room on the disk is not free. Waits for
    /// readers who are just opening one; to be called without a lock.
    pub fn close_removed(&self, removed: &[Arc<Slot>]) {
        for list in [&self.opened, &self.cold] {
            list.lock().retain(|open| !removed.iter().any(|slot| Arc::ptr_eq(open, slot)));
        }
        removed.iter().for_each(|slot| slot.close());
    }

    /// The lowest ordinal that is neither trimmed nor deleted.
    pub fn first_live(&self, tail: &Tail) -> u64 {
        self.tombstones.read().first_live(tail.floor, tail.next_ordinal)
    }

    /// Looks at the lengths of all sealed segments of which they are not known yet.
    pub fn measure(&self) {
        let slots = self.slots();
        slots.iter().rev().skip(1).for_each(|slot| slot.measure(&self.place));
    }

    /// Forgets which of the trimmed entries were deleted before; those who still read them see none of them from then on, up to
    /// the last one that was deleted.
    pub fn forget_trimmed(&self) {
        let floor = self.tail().floor;
        self.tombstones.write().forget_below(floor);
    }

    /// The number of entries that are neither trimmed nor deleted.
    pub fn len(&self, tail: &Tail) -> u64 {
        self.live(tail.floor, tail.next_ordinal)
    }

    /// The number of entries from one ordinal to before another that are not deleted.
    pub fn live(&self, from: u64, to: u64) -> u64 {
        to.saturating_sub(from) - self.tombstones.read().count(from..to)
    }

    /// Opens a segment; `None` if it has been removed since the list was made.
    fn open_slot(&self, slot: &Arc<Slot>, next_base: Option<u64>) -> Result<Option<Arc<Segment>>> {
        if let Some(segment) = slot.get() {
            return Ok(Some(segment));
        }
        let open = || slot.open(&self.place, &self.incarnation, next_base);
        let opened = match open() {
            // Those that could not be mapped hold one each.
            Err(Error::NoDescriptors { .. }) if self.close_opened() => open(),
            opened => opened,
        };
        let segment = match opened {
            Err(error) if self.explains(&error, slot, next_base) => return Ok(None),
            opened => opened.inspect_err(|_| self.doubt())?,
        };
        self.note_opened(Arc::clone(slot));
        self.let_go_unless_listed(slot);
        Ok(Some(segment))
    }

    /// Lets all sealed segments go; returns whether there were any. Whoever reads them goes on.
    fn close_opened(&self) -> bool {
        let opened = std::mem::take(&mut *self.opened.lock());
        opened.iter().for_each(|slot| slot.close());
        !opened.is_empty()
    }

    /// To be called where there is damage. Another process that writes the log may repair it.
    pub fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Whether damage was found.
    pub fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// Whether a segment cannot be opened because it has been removed, alone or with its stream.
    fn explains(&self, error: &Error, slot: &Arc<Slot>, next_base: Option<u64>) -> bool {
        let Error::Corrupt { what, .. } = error else { return false };
        let ordinals = || slot.base..next_base.unwrap_or(self.tail().next_ordinal);
        let explains = || match self.retired.load(Ordering::Acquire) {
            // What is in its place may be of a stream that has the name now. Or the stream is still there, and followed anew.
            true => {
                matches!(what, Corruption::Missing | Corruption::Foreign(_))
                    && !self.source.get().is_some_and(|source| source.has_any(self, ordinals()))
            }
            false => *what == Corruption::Missing && !self.has(slot),
        };
        explains() || (self.catch_up() && explains())
    }

    /// Takes in what another process has done; whether it may have done anything.
    fn catch_up(&self) -> bool {
        !STILL.get() && self.source.get().is_some_and(|source| source.catch_up(self).is_ok())
    }

    fn has(&self, slot: &Arc<Slot>) -> bool {
        self.slots.read().iter().any(|listed| Arc::ptr_eq(listed, slot))
    }
}

/// The segments with these numbers, which ascend, and the others.
fn without(slots: &Slots, bases: &[u64]) -> (Vec<Arc<Slot>>, Vec<Arc<Slot>>) {
    slots.iter().map(Arc::clone).partition(|slot| bases.binary_search(&slot.base).is_ok())
}

/// The log as it was at one moment, but for deletions since.
#[derive(Clone, Debug)]
pub struct View {
    pub log: Arc<Log>,
    slots: Slots,
    pub tail: Tail,
}

/// From which end entries are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// What is at a place in the list of a [`View`].
#[derive(Debug)]
pub enum Found {
    Segment(Opened),
    /// A segment that is gone, because nothing in it was alive or the stream has been deleted or renamed.
    Removed,
    /// The list is at its end.
    Nothing,
}

/// A segment of a [`View`].
#[derive(Clone, Debug)]
pub struct Opened {
    pub segment: Arc<Segment>,
    /// Where its entries end.
    pub end: u64,
}

impl View {
    /// The number of segments.
    pub fn segments(&self) -> usize {
        self.slots.partition_point(|slot| slot.base <= self.tail.segment)
    }

    /// The place in this list of the segment that is at a place of another one, if it is there. Its number does not tell: an
    /// empty segment may have been replaced by another with the same.
    pub fn place_of(&self, other: &View, at: usize) -> Option<usize> {
        let slot = other.slots.get(at)?;
        let place = self.slots.binary_search_by_key(&slot.base, |slot| slot.base).ok()?;
        Arc::ptr_eq(self.slots.get(place)?, slot).then_some(place)
    }

    /// Opens a segment by its place in the list.
    pub fn open(&self, at: usize) -> Result<Found> {
        let slot = self.slots.get(at).filter(|slot| slot.base <= self.tail.segment);
        let Some(slot) = slot else { return Ok(Found::Nothing) };
        let Some(segment) = self.log.open_slot(slot, self.base_of(at + 1))? else { return Ok(Found::Removed) };
        let tail = if slot.base == self.tail.segment { self.tail.offset } else { u64::MAX };
        let end = segment.end(tail);
        Ok(Found::Segment(Opened { segment, end }))
    }

    /// The first ordinal of the segment at a place of the list.
    fn base_of(&self, at: usize) -> Option<u64> {
        self.slots.get(at).map(|slot| slot.base)
    }

    /// The first ordinal of a segment that must be there behind the one at this place of the list, but is not: entries
    /// between a segment and the next are dead otherwise.
    pub fn gap_after(&self, at: usize, segment: &Segment) -> Option<u64> {
        let next_base = self.slots.get(at + 1).filter(|slot| slot.base <= self.tail.segment)?.base;
        let entries = segment.sealed_entries.load(Ordering::Acquire);
        let end = segment.header.base.saturating_add(entries);
        // What was trimmed since may be gone from a list that is newer than the tail.
        let is_lost = || self.log.live(end.max(self.tail.floor).max(self.log.tail().floor), next_base) > 0;
        let is_lost = entries > 0 && is_lost() && (!self.log.catch_up() || is_lost());
        if is_lost {
            self.log.doubt();
        }
        is_lost.then_some(end)
    }

    /// The place of the segment in which the first entry at or above `id` is, if there is one. Where that is not known
    /// because headers are damaged, it is the first (`Direction::Forward`) or last one in which it may be.
    pub fn segment_of(&self, id: StreamId, direction: Direction) -> Result<usize> {
        // Bisects for the last segment whose IDs may reach down to `id`.
        let (mut low, mut high) = (0, self.segments());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let (at, begins_below) = self.first_that_tells(middle..high, id)?;
            match (begins_below, direction) {
                (Some(true), _) => low = at,
                (_, Direction::Backward) if at > middle => (low, high) = (at - 1, at),
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The first of these segments that tells whether IDs below `id` may be in it, and what it tells; the end if none does.
    fn first_that_tells(&self, places: std::ops::Range<usize>, id: StreamId) -> Result<(usize, Option<bool>)> {
        for at in places.clone() {
            match self.begins_below(at, id) {
                Ok(begins_below) => return Ok((at, Some(begins_below))),
                Err(Error::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((places.end, None))
    }

    /// Whether there is a segment at this place of the list, and IDs below `id` may be in it.
    pub fn begins_below(&self, at: usize, id: StreamId) -> Result<bool> {
        let Some(slot) = self.slots.get(at).filter(|slot| slot.base <= self.tail.segment) else { return Ok(false) };
        match slot.previous_id(&self.log.place) {
            Err(error) if self.log.explains(&error, slot, self.base_of(at + 1)) => Ok(false),
            previous => Ok(previous? < id),
        }
    }

    /// The IDs that may be in the segment at this place of the list, as far as the headers around it tell.
    pub fn ids_of(&self, at: usize) -> IdRange {
        let before = |at: usize| {
            let slot = self.slots.get(at).filter(|slot| slot.base <= self.tail.segment)?;
            slot.previous_id(&self.log.place).ok()
        };
        let last = (at + 1 >= self.segments()).then_some(self.tail.last_id);
        IdRange { after: before(at).unwrap_or(StreamId::MIN), through: before(at + 1).or(last) }
    }

    /// Whether an entry is neither trimmed nor deleted.
    pub fn is_live(&self, ordinal: u64) -> bool {
        ordinal >= self.tail.floor && !self.log.tombstones.read().contains(ordinal)
    }

    /// Whether no entry in a range of ordinals is trimmed or deleted.
    pub fn are_live(&self, ordinals: Range<u64>) -> bool {
        ordinals.start >= self.tail.floor && self.log.tombstones.read().count(ordinals) == 0
    }

    /// The first ordinal of the first segment that may hold IDs of that millisecond or a later one, by the headers that can
    /// be read.
    pub fn first_segment_from(&self, ms: u64) -> u64 {
        let ends_before = |slot: &&Arc<Slot>| matches!(slot.previous_id(&self.log.place), Ok(id) if id.ms() < ms);
        let listed = self.slots.iter().filter(|slot| slot.base <= self.tail.segment);
        listed.rev().find(ends_before).map_or(self.tail.floor, |slot| slot.base)
    }

    /// The first segment that may hold live entries.
    pub fn first_segment(&self) -> usize {
        self.slots.partition_point(|slot| slot.base <= self.tail.floor).saturating_sub(1)
    }
}
