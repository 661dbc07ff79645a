//! A stream as opening it would find it, from a frozen directory: by the same steps and the same decisions.

use std::sync::Arc;

use crate::format::Identity;
use crate::format::file_name;
use crate::format::meta::Meta;
use crate::group::aside::Aside;
use crate::group::journal::Replay;
use crate::group::lag::Facts;
use crate::io::place::Place;
use crate::log::cursor::Cursor;
use crate::log::{Log, Tail};
use crate::stream::open::{self, Active, Files};
use crate::stream::superblock::{self, Superblock};
use crate::{Corruption, Error, Result, Retention, StreamId};

/// What a journal has come to.
#[derive(Clone, Copy, Debug)]
pub struct JournalEnd {
    pub generation: u64,
    pub end: u64,
    pub changes: u64,
}

/// A stream as opening it would find it.
#[derive(Debug)]
pub struct Picture {
    pub files: Files,
    pub journal: Option<JournalEnd>,
    pub aside: Aside,
    pub log: Arc<Log>,
    pub tail: Tail,
    /// Log and journal end where a clean end was noted.
    pub clean: bool,
    /// The active segment is sealed.
    pub sealed: bool,
    pub retention: Retention,
}

/// The slot of `meta` that counts, if it is one of this stream.
pub fn meta_of(place: &Place, store: Option<Identity>) -> Result<Meta> {
    if place.kind(file_name::META)?.is_none() {
        return Err(Error::corrupt(&place.full(file_name::META), 0, Corruption::Missing));
    }
    let meta = Superblock::open(place)?.current();
    if store.is_some_and(|store| store != meta.store) {
        return Err(superblock::of_another_store(place));
    }
    Ok(meta)
}

impl Picture {
    /// Takes in what is in a frozen directory, of which `meta` is known.
    pub fn take(place: &Place, meta: Meta) -> Result<Self> {
        let files = open::list(place)?;
        let mut replay = open::open_journal(place, &files, &meta)?;
        let active = open::open_active(place, &files, &meta, &mut replay)?;
        let journal = replay.as_ref().map(|replay| replay.path.clone());
        let picture = Self::compose(place, files, meta, replay, active)?;
        if let Some(path) = journal {
            open::check_dead(&picture.aside, picture.tail.next_ordinal, &path)?;
        }
        open::check_first(&picture.log, picture.tail.floor, &picture.files)?;
        Ok(picture)
    }

    /// Puts together what was found; whether the first segments are missing has not been looked at.
    pub fn compose(
        place: &Place,
        files: Files,
        meta: Meta,
        mut replay: Option<Replay>,
        mut active: Active,
    ) -> Result<Self> {
        let aside = open::take_aside(replay.as_mut(), std::mem::take(&mut active.found.productions));
        let clean = active.is_clean(&meta, replay.as_ref());
        let (appender, slots) = open::begin(&active, &files, &aside, &meta, replay.as_ref())?;
        let tail = appender.tail();
        let place = Arc::new(Place::new(Arc::clone(place.disk()), place.root(), place.at("")));
        let mut log = Log::new(place, meta.incarnation, slots, tail);
        *log.tombstones.get_mut() = aside.tombstones.clone();
        log.tombstones.get_mut().forget_below(tail.floor);
        let journal = replay.map(|replay| JournalEnd {
            generation: replay.header.base_ms,
            end: replay.end,
            changes: replay.count(),
        });
        let (log, sealed, retention) = (Arc::new(log), active.sealed, meta.retention);
        Ok(Self { files, journal, aside, log, tail, clean, sealed, retention })
    }

    /// All living entries, in order.
    pub fn entries(&self) -> Cursor {
        Cursor::new(self.log.view_to(self.tail), StreamId::MIN, StreamId::MAX)
    }

    pub fn len(&self) -> u64 {
        self.log.len(&self.tail)
    }

    /// What groups count by.
    pub fn facts(&self, first_id: StreamId) -> Facts {
        Facts {
            first_id,
            last_id: self.tail.last_id,
            max_deleted_id: self.aside.state.max_deleted_id,
            len: self.len(),
            entries_added: self.tail.entries_added,
        }
    }
}
