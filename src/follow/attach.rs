//! From the files of a stream to one that can be followed.

use std::sync::Arc;

use crate::env::Env;
use crate::follow::Watch;
use crate::follow::follower::{Follower, Following, last_id};
use crate::follow::journal_end::JournalEnd;
use crate::follow::log_end::LogEnd;
use crate::follow::{moment, picture};
use crate::format::board::Notice;
use crate::format::file_name::{self, File as FileName, STREAMS};
use crate::format::header::Kind;
use crate::format::meta::Meta;
use crate::group::journal::Replay;
use crate::io::place::Place;
use crate::log::segment::{OUT_OF_PLACE, read_header};
use crate::stream::commit::Progress;
use crate::stream::inner::Inner;
use crate::stream::open::{self, Opening};
use crate::stream::superblock::{self, Superblock};
use crate::{Error, RecoveryReport, Result};

/// How often a stream is looked at again because it changed underneath.
const TRIES: u32 = 20;
/// So many sealed segments of a stream are kept open. Each takes a descriptor.
const OPEN_MAX: usize = 4;

/// The stream of this name as far as others may see it, to be followed from here on; `None` if there is none.
pub fn attach(watch: &Arc<Watch>, env: &Arc<Env>, name: &[u8]) -> Result<Option<Arc<Inner>>> {
    let directory = file_name::escape(name);
    let mut tries = 0;
    loop {
        let notice = std::cell::RefCell::new(None);
        let told = |incarnation: &_| {
            let found = watch.board.find(incarnation, &mut 0);
            notice.borrow_mut().clone_from(&found);
            found
        };
        let Some(frozen) = moment::freeze_as_told(&watch.root, &directory, &told, 0)? else { return Ok(None) };
        let attached =
            Frozen { watch, env, name, directory: &directory, frozen: &frozen }.attach(notice.take().as_ref());
        tries += 1;
        match attached {
            Err(_) if tries < TRIES && !moment::is_unchanged(&watch.root, &frozen) => {}
            attached => return attached.map(Some),
        }
    }
}

/// The files of a stream at one moment.
struct Frozen<'a> {
    watch: &'a Arc<Watch>,
    env: &'a Arc<Env>,
    name: &'a [u8],
    directory: &'a str,
    frozen: &'a Place,
}

impl Frozen<'_> {
    fn attach(&self, notice: Option<&Notice>) -> Result<Arc<Inner>> {
        let meta = self.meta()?;
        let files = open::list(self.frozen)?;
        let mut replay = open::open_journal(self.frozen, &files, &meta)?;
        let mut active = open::open_active(self.frozen, &files, &meta, &mut replay)?;
        let productions = std::mem::take(&mut active.found.productions);
        let produced = productions.last().map_or(0, |last| last.ordinal + 1);
        let mut aside = open::take_aside(replay.as_mut(), productions);
        aside.producers.forget_due(self.env.now_ms());
        if let Some(replay) = &replay {
            open::check_dead(&aside, active.found.next_ordinal, &replay.path)?;
        }
        // From here on the files as they are.
        let place = self.watch.root.within(STREAMS).within(self.directory);
        let name = FileName::Segment(active.header.base).name();
        let file = place.watch(&name)?;
        if read_header(&*file, &active.path, Kind::Segment)?.file != active.header.file {
            return Err(Error::corrupt(&active.path, 0, OUT_OF_PLACE));
        }
        active.file = Arc::clone(&file);
        let (mut appender, slots) = open::begin(&active, &files, &aside, &meta, replay.as_ref())?;
        if notice.is_some() {
            appender.last_id = last_id(&meta, &active.found, &aside.state, notice);
        }
        let (floor, segment) = (appender.floor, Arc::clone(&appender.segment));
        let opening = Opening {
            superblock: Superblock::open(self.frozen)?,
            appender,
            slots,
            aside,
            generation: files.journals.last().copied().unwrap_or(0),
            changes: replay.as_ref().map_or(0, Replay::count),
            durable: Progress::default(),
            recovery: RecoveryReport::default(),
        };
        let journal = replay.as_ref().map(|replay| JournalEnd::behind(&place, replay)).transpose()?;
        let mut inner = opening.into_inner(self.env, place, self.name, meta.incarnation);
        let place = Arc::clone(&inner.place);
        inner.log = Arc::new(Arc::into_inner(inner.log).ok_or(Error::Closed)?.keep_open(OPEN_MAX));
        inner.log.tombstones.write().forget_below(floor);
        open::check_first(&inner.log, floor, &files)?;
        let inner = Arc::new(inner);
        let log = LogEnd::behind(segment, file, active.found);
        let follower = Follower::new(self.watch, place, meta, (log, journal), produced);
        let _ = inner.log.source.set(Box::new(Following::new(&inner, follower)));
        Ok(inner)
    }

    fn meta(&self) -> Result<Meta> {
        let meta = picture::meta_of(self.frozen, self.watch.store)?;
        let is_own = file_name::escape(&meta.name) == self.directory;
        match is_own || moment::is_being_renamed(&self.watch.root, self.directory, &meta) {
            true => Ok(meta),
            false => Err(superblock::misnamed(self.frozen)),
        }
    }
}
