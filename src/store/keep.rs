//! Seeing to the retention of streams, whether or not they are open.

use std::sync::Weak;

use crate::format::file_name::{self, File as FileName};
use crate::format::header::Kind;
use crate::io::Access;
use crate::io::place::Place;
use crate::log::segment::read_header;
use crate::store::background::Background;
use crate::store::catalog::Catalog;
use crate::stream::inner::Inner;
use crate::stream::open;
use crate::stream::superblock::Superblock;
use crate::{Error, Result, Retention};

/// Streams that are not open are looked at once in so many intervals: an hour's, if these are seconds.
const INTERVALS: u64 = 3600;

impl Catalog {
    /// Sees to it that there is a thread that keeps to the retention of streams.
    pub fn start_keeping(&self) -> Result<()> {
        let interval = self.env().retention_interval;
        let mut keeper = self.keeper.lock();
        // With the lock: whoever closes the store takes the thread away after that.
        self.env().check_writable()?;
        if keeper.is_some() || interval.is_zero() {
            return Ok(());
        }
        let this = Weak::clone(&self.this);
        let mut passes = 0u64;
        let keep = move || {
            passes += 1;
            this.upgrade().is_some_and(|catalog| catalog.keep(passes.is_multiple_of(INTERVALS)))
        };
        let started = Background::start("streamlog-keep", interval, keep);
        *keeper = Some(started.map_err(|error| Error::io("start the thread that trims", &self.path(), error))?);
        Ok(())
    }

    /// What the thread does each time; returns whether to go on.
    fn keep(&self, also_idle: bool) -> bool {
        if self.env().check_writable().is_err() {
            return false;
        }
        // A panic, as of a clock, is to be noticed by whoever writes next.
        let _guard = self.env().guard();
        // Held one by one, so that none is kept from being closed.
        for inner in self.all_open().iter().filter_map(Weak::upgrade) {
            inner.retain_if_possible(false);
        }
        if also_idle {
            self.keep_idle();
        }
        if let Some(budget) = &self.env().budget {
            drop(budget.make_room(0));
        }
        true
    }

    /// A stream has been opened, and may not have been looked at for long.
    pub fn keep_opened(&self, inner: &Inner) {
        if !inner.retention().is_none() {
            // Without the thread the rules are kept to when something is added.
            let _ = self.start_keeping();
            inner.retain_if_possible(true);
        }
    }

    /// Opens the streams that are not open and have a segment that is too old: with that it goes.
    fn keep_idle(&self) {
        let now_ms = self.env().now_ms();
        for name in self.sound_names().unwrap_or_default() {
            if self.env().check_writable().is_err() {
                return;
            }
            if self.is_open(&name) {
                continue;
            }
            let place = self.place_of(&name);
            let oldest_ms = rules_of(&place).and_then(|rules| rules.oldest_ms(now_ms, false));
            if oldest_ms.is_some_and(|ms| oldest_segment(&place).is_some_and(|last| last < ms)) {
                let _ = self.find(&name);
            }
        }
    }

    /// Keeps to the retention of all streams, and to the budget of the store, now.
    pub fn keep_all(&self) -> Result<()> {
        self.env().check_writable()?;
        let mut result = Ok(());
        for name in self.sound_names()? {
            // One that cannot be read is told when it is opened.
            if rules_of(&self.place_of(&name)).is_some_and(|rules| rules.is_none()) {
                continue;
            }
            let kept = self.find(&name).and_then(|inner| inner.map_or(Ok(()), |inner| inner.retain(true)));
            self.env().check_writable()?;
            result = result.and(kept);
        }
        if let Some(budget) = &self.env().budget {
            drop(budget.make_room(0));
        }
        result
    }

    /// How old the oldest segment of each stream is, by its last ID in milliseconds, at the least; without those where giving
    /// it up would give no room. Costs a look at a few files of each.
    pub fn oldest_of_all(&self) -> Vec<(Vec<u8>, u64)> {
        let names = self.sound_names().unwrap_or_default().into_iter();
        names.filter_map(|name| self.oldest_of(&self.place_of(&name)).map(|ms| (name, ms))).collect()
    }

    fn oldest_of(&self, place: &Place) -> Option<u64> {
        let segments = open::list(place).ok()?.segments;
        let only = match &*segments {
            [only] => FileName::Segment(*only).name(),
            // What cannot be read is found out when it is opened.
            _ => return Some(oldest_segment(place).unwrap_or(0)),
        };
        let is_large = place.size(only).is_ok_and(|len| len > self.env().segment_bytes_first);
        // No entry of a stream that was closed is above it, and its last one is at it.
        is_large.then(|| Superblock::open(place).map_or(0, |superblock| superblock.current().ceiling.ms()))
    }

    /// Notes how old the oldest segment of a stream is, which was closed.
    pub fn note_oldest(&self, inner: &Inner) {
        if let Some(budget) = &self.env().budget
            && let Some(ms) = inner.oldest_segment_ms()
        {
            budget.note(&inner.name, ms);
        }
    }

    fn place_of(&self, name: &[u8]) -> Place {
        self.streams.within(file_name::escape(name))
    }
}

/// The rules of a stream, if its superblock can be read.
fn rules_of(place: &Place) -> Option<Retention> {
    Some(Superblock::open(place).ok()?.current().retention)
}

/// The last ID of the oldest segment of a stream that is not open, in milliseconds; `None` if it has no other.
fn oldest_segment(place: &Place) -> Option<u64> {
    let files = open::list(place).ok()?;
    let name = FileName::Segment(*files.segments.get(1)?).name();
    let file = place.open(&name, Access::Read).ok()?;
    Some(read_header(&*file, &place.full(&name), Kind::Segment).ok()?.previous_id.ms())
}
