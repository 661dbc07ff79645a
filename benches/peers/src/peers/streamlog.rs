//! streamlog itself: `add`, `add_batch`, `range`, `get`, and a group with one consumer.

use std::path::Path;

use streamlog::{Durability, Entry, EntryRef, NewId, Position, Store, Stream, StreamId};

use crate::common::{self, Event};
use crate::peer::{Consumer, Each, Peer, Reader, Result, Writer};

pub struct Streamlog(Store);

pub fn open_os(path: &Path) -> Result<Box<dyn Peer>> {
    Ok(Box::new(Streamlog(common::open(path, Durability::Os))))
}

pub fn open_always(path: &Path) -> Result<Box<dyn Peer>> {
    Ok(Box::new(Streamlog(common::open(path, Durability::Always))))
}

impl Streamlog {
    fn stream(&self, stream: u32) -> Result<Stream> {
        Ok(self.0.stream(format!("orders-{stream}"))?)
    }
}

impl Peer for Streamlog {
    fn writer(&self, stream: u32) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(self.stream(stream)?))
    }

    fn reader(&self, stream: u32) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(StreamReader { stream: self.stream(stream)?, ids: Vec::new() }))
    }

    fn consumer(&self) -> Result<Box<dyn Consumer + '_>> {
        let group = self.stream(0)?.group("workers");
        if !group.exists()? {
            group.create(Position::Start)?;
        }
        Ok(Box::new(group.consumer("alice")))
    }
}

impl Writer for Stream {
    fn append(&mut self, event: &Event) -> Result {
        self.add(event.fields())?;
        Ok(())
    }

    fn append_batch(&mut self, events: &[Event]) -> Result {
        self.add_batch(events.iter().map(|event| (NewId::Auto, event.fields())))?;
        Ok(())
    }
}

struct StreamReader {
    stream: Stream,
    ids: Vec<StreamId>,
}

fn show(entry: EntryRef<'_>, each: Each) -> Result {
    let mut fields = entry.fields().map(|(_, value)| value);
    match (fields.next(), fields.next(), fields.next()) {
        (Some(kind), Some(data), Some(timestamp)) => each([kind, data, timestamp]),
        _ => return Err("an entry without its fields".into()),
    }
    Ok(())
}

impl Reader for StreamReader {
    fn scan(&mut self, each: Each) -> Result {
        let mut range = self.stream.range(..);
        while let Some(entry) = range.next_ref() {
            show(entry?, each)?;
        }
        Ok(())
    }

    fn scan_backward(&mut self, each: Each) -> Result {
        let mut range = self.stream.range(..);
        while let Some(entry) = range.next_back_ref() {
            show(entry?, each)?;
        }
        Ok(())
    }

    fn prepare_lookups(&mut self) -> Result {
        self.ids = self.stream.range(..).map(|entry| Ok(entry?.id())).collect::<Result<_>>()?;
        Ok(())
    }

    fn get(&mut self, number: u64, each: Each) -> Result {
        let entry = self.stream.get(self.ids[number as usize])?.ok_or("no such entry")?;
        show(entry.as_ref(), each)
    }

    fn first(&mut self, each: Each) -> Result {
        show(self.stream.first()?.ok_or("an empty stream")?.as_ref(), each)
    }
}

impl Consumer for streamlog::Consumer {
    fn deliver(&mut self, batch: usize, each: Each) -> Result<usize> {
        let entries = self.read().count(batch as u64).new_entries()?;
        entries.iter().try_for_each(|entry| show(entry.as_ref(), each))?;
        Ok(self.ack(entries.iter().map(Entry::id))? as usize)
    }
}
