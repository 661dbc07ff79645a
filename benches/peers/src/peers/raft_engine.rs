//! raft-engine: the log of TiKV. A stream is a Raft group, an entry has the index that its writer gives it.
//!
//! Indexes of a group must come in order, so a lock is around numbering and writing. That keeps threads that write to
//! one group from sharing a sync; those of different groups share it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use protobuf::descriptor::UninterpretedOption;
use raft_engine::{Config, Engine, LogBatch, MessageExt};

use crate::common::Event;
use crate::encode::{decode, encode};
use crate::peer::{Each, Peer, Reader, Result, Writer};

const PAGE: u64 = 1000;

/// What raft-engine stores are messages of protobuf. This one is among those that come with its crate, and has what an
/// entry of Raft needs: a number and bytes.
type Message = UninterpretedOption;

struct Numbered;

impl MessageExt for Numbered {
    type Entry = Message;

    fn index(entry: &Message) -> u64 {
        entry.get_positive_int_value()
    }
}

type Next = Arc<Mutex<u64>>;

pub struct Groups {
    engine: Engine,
    next: Mutex<HashMap<u32, Next>>,
    sync: bool,
}

pub fn open_unsynced(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, false)
}

pub fn open_synced(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, true)
}

fn open(path: &Path, sync: bool) -> Result<Box<dyn Peer>> {
    let dir = path.to_str().ok_or("a path that is not UTF-8")?.to_owned();
    let engine = Engine::open(Config { dir, ..Config::default() })?;
    Ok(Box::new(Groups { engine, next: Mutex::default(), sync }))
}

impl Peer for Groups {
    fn writer(&self, stream: u32) -> Result<Box<dyn Writer + '_>> {
        let next = self.next.lock().entry(stream).or_default().clone();
        Ok(Box::new(GroupWriter { groups: self, group: u64::from(stream), next, batch: LogBatch::default() }))
    }

    fn reader(&self, stream: u32) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(GroupReader { engine: &self.engine, group: u64::from(stream) }))
    }
}

struct GroupWriter<'a> {
    groups: &'a Groups,
    group: u64,
    next: Next,
    batch: LogBatch,
}

impl Writer for GroupWriter<'_> {
    fn append(&mut self, event: &Event) -> Result {
        self.append_batch(std::slice::from_ref(event))
    }

    fn append_batch(&mut self, events: &[Event]) -> Result {
        let mut messages: Vec<Message> = events.iter().map(message).collect();
        let mut next = self.next.lock();
        for message in &mut messages {
            message.set_positive_int_value(*next);
            *next += 1;
        }
        self.batch.add_entries::<Numbered>(self.group, &messages)?;
        self.groups.engine.write(&mut self.batch, self.groups.sync)?;
        Ok(())
    }
}

fn message(event: &Event) -> Message {
    let mut message = Message::new();
    message.set_string_value(encode(event));
    message
}

struct GroupReader<'a> {
    engine: &'a Engine,
    group: u64,
}

impl Reader for GroupReader<'_> {
    fn scan(&mut self, each: Each) -> Result {
        let end = self.engine.last_index(self.group).map_or(0, |last| last + 1);
        let mut page = Vec::new();
        for begin in (0..end).step_by(PAGE as usize) {
            page.clear();
            let end = end.min(begin + PAGE);
            self.engine.fetch_entries_to::<Numbered>(self.group, begin, end, None, &mut page)?;
            for message in &page {
                each(decode(message.get_string_value())?);
            }
        }
        Ok(())
    }

    fn get(&mut self, number: u64, each: Each) -> Result {
        let message = self.engine.get_entry::<Numbered>(self.group, number)?.ok_or("no such entry")?;
        each(decode(message.get_string_value())?);
        Ok(())
    }
}
