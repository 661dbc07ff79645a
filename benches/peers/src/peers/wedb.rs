//! wedb_embed: streams and groups with the API of Redis, over fjall.
//!
//! `xadd` reads the metadata of the stream, changes them and writes them back, without a lock: two threads that add at
//! once overwrite each other's entries. So there is a lock around it here. There is no `xadd` of several entries.

use std::path::Path;

use parking_lot::Mutex;
use wedb_embed::{Db, Engine, Fjall, StreamAdd, StreamEntry, StreamId, StreamRange, WeDb};

use crate::common::Event;
use crate::peer::{Consumer, Each, Peer, Reader, Result, Writer};

const PAGE: usize = 1000;

pub struct Wedb {
    engine: Fjall,
    db: Db<Fjall>,
    adding: Mutex<()>,
    sync: bool,
}

/// The defaults: the journal is written to the file when a buffer of 8 KiB is full.
pub fn open_default(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, true, false)
}

pub fn open_written(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, false, false)
}

/// Nothing syncs on its own, so `Engine::persist` after each call.
pub fn open_synced(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, false, true)
}

fn open(path: &Path, buffered: bool, sync: bool) -> Result<Box<dyn Peer>> {
    let builder = Fjall::default_database_builder(path.join("wedb")).manual_journal_persist(buffered);
    let engine = Fjall::open_with_cfg(
        builder,
        Fjall::default_data_partition_options(),
        Fjall::default_meta_partition_options(),
    )?;
    let db = WeDb::new(engine.clone()).ns(0)?.db(0)?;
    Ok(Box::new(Wedb { engine, db, adding: Mutex::new(()), sync }))
}

impl Wedb {
    fn synced(&self) -> Result {
        if self.sync {
            self.engine.persist()?;
        }
        Ok(())
    }
}

impl Peer for Wedb {
    fn writer(&self, stream: u32) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(WedbStream { wedb: self, name: format!("orders-{stream}"), ids: Vec::new() }))
    }

    fn reader(&self, stream: u32) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(WedbStream { wedb: self, name: format!("orders-{stream}"), ids: Vec::new() }))
    }

    fn consumer(&self) -> Result<Box<dyn Consumer + '_>> {
        self.db.xgroup_create("orders-0", "workers", "0", false, None)?;
        Ok(Box::new(WedbStream { wedb: self, name: "orders-0".to_owned(), ids: Vec::new() }))
    }
}

struct WedbStream<'a> {
    wedb: &'a Wedb,
    name: String,
    ids: Vec<StreamId>,
}

impl Writer for WedbStream<'_> {
    fn append(&mut self, event: &Event) -> Result {
        let adding = self.wedb.adding.lock();
        self.wedb.db.xadd(&self.name, StreamAdd::auto(), &event.fields())?;
        drop(adding);
        self.wedb.synced()
    }

    fn append_batch(&mut self, events: &[Event]) -> Result {
        let adding = self.wedb.adding.lock();
        for event in events {
            self.wedb.db.xadd(&self.name, StreamAdd::auto(), &event.fields())?;
        }
        drop(adding);
        self.wedb.synced()
    }
}

fn show((_, fields): &StreamEntry, each: Each) -> Result {
    match fields.as_slice() {
        [(_, kind), (_, data), (_, timestamp)] => each([kind.as_bytes(), data.as_bytes(), timestamp.as_bytes()]),
        _ => return Err("an entry without its fields".into()),
    }
    Ok(())
}

impl WedbStream<'_> {
    /// All entries, a page at a time.
    fn pages(&self, reverse: bool, mut with: impl FnMut(&StreamEntry) -> Result) -> Result {
        let mut range = StreamRange { count: Some(PAGE), ..StreamRange::default() };
        if reverse {
            (range.start, range.end) = (range.end, range.start);
        }
        loop {
            let db = &self.wedb.db;
            let page = if reverse { db.xrevrange(&self.name, range)? } else { db.xrange(&self.name, range)? };
            page.iter().try_for_each(&mut with)?;
            match page.last() {
                Some(&(id, _)) if page.len() == PAGE => (range.start, range.exclude_start) = (id, true),
                _ => return Ok(()),
            }
        }
    }
}

impl Reader for WedbStream<'_> {
    fn scan(&mut self, each: Each) -> Result {
        self.pages(false, |entry| show(entry, each))
    }

    fn scan_backward(&mut self, each: Each) -> Result {
        self.pages(true, |entry| show(entry, each))
    }

    fn prepare_lookups(&mut self) -> Result {
        let mut ids = Vec::new();
        self.pages(false, |&(id, _)| {
            ids.push(id);
            Ok(())
        })?;
        self.ids = ids;
        Ok(())
    }

    fn get(&mut self, number: u64, each: Each) -> Result {
        let id = self.ids[number as usize];
        let found = self.wedb.db.xrange(&self.name, StreamRange::new(id, id))?;
        show(found.first().ok_or("no such entry")?, each)
    }

    fn first(&mut self, each: Each) -> Result {
        let found = self.wedb.db.xrange(&self.name, StreamRange { count: Some(1), ..StreamRange::default() })?;
        show(found.first().ok_or("an empty stream")?, each)
    }
}

impl Consumer for WedbStream<'_> {
    fn deliver(&mut self, batch: usize, each: Each) -> Result<usize> {
        let db = &self.wedb.db;
        let entries = db.xreadgroup(&self.name, "workers", "alice", ">", Some(batch), false)?;
        entries.iter().try_for_each(|entry| show(entry, each))?;
        let ids: Vec<StreamId> = entries.iter().map(|&(id, _)| id).collect();
        Ok(db.xack(&self.name, "workers", &ids)? as usize)
    }
}
