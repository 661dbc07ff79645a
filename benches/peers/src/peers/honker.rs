//! honker: streams and queues of JSON documents in SQLite, by its own functions.
//!
//! One connection behind a lock, as it is made. There is no call for several events; a transaction around single ones
//! is its way. Its streams have consumers that save an offset; what delivers and acknowledges are its queues.

use std::path::Path;

use honker::{Database, EnqueueOpts, Queue, QueueOpts};
use serde_json::{Value, json};

use crate::common::Event;
use crate::peer::{Consumer, Each, Peer, Reader, Result, Writer};

const PAGE: i64 = 1000;

pub struct Honker(Database);

/// As it comes: `synchronous = NORMAL`.
pub fn open_normal(path: &Path) -> Result<Box<dyn Peer>> {
    Ok(Box::new(Honker(Database::open(path.join("honker.db"))?)))
}

pub fn open_full(path: &Path) -> Result<Box<dyn Peer>> {
    let db = Database::open(path.join("honker.db"))?;
    db.with_conn(|connection| connection.execute_batch("PRAGMA synchronous = FULL"))?;
    Ok(Box::new(Honker(db)))
}

impl Peer for Honker {
    fn writer(&self, stream: u32) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(Topic { db: &self.0, stream: self.0.stream(&format!("orders-{stream}")), offsets: Vec::new() }))
    }

    fn reader(&self, stream: u32) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(Topic { db: &self.0, stream: self.0.stream(&format!("orders-{stream}")), offsets: Vec::new() }))
    }

    /// Moves what is in the stream to a queue.
    fn consumer(&self) -> Result<Box<dyn Consumer + '_>> {
        let queue = self.0.queue("orders", QueueOpts::default());
        let stream = self.0.stream("orders-0");
        let mut offset = 0;
        loop {
            let page = stream.read_since(offset, PAGE)?;
            let Some(last) = page.last() else { break };
            offset = last.offset;
            let transaction = self.0.transaction()?;
            for event in &page {
                queue.enqueue_tx(&transaction, &event.payload_as::<Value>()?, EnqueueOpts::default())?;
            }
            transaction.commit()?;
        }
        Ok(Box::new(queue))
    }
}

struct Topic<'a> {
    db: &'a Database,
    stream: honker::Stream,
    offsets: Vec<i64>,
}

fn document(event: &Event) -> Value {
    let [(_, kind), (_, data), (_, timestamp)] = event.fields();
    json!({ "type": kind, "data": data, "timestamp": timestamp })
}

fn show(payload: &[u8], each: Each) -> Result {
    #[derive(serde::Deserialize)]
    struct Document {
        r#type: String,
        data: String,
        timestamp: String,
    }
    let document: Document = serde_json::from_slice(payload)?;
    each([document.r#type.as_bytes(), document.data.as_bytes(), document.timestamp.as_bytes()]);
    Ok(())
}

impl Writer for Topic<'_> {
    fn append(&mut self, event: &Event) -> Result {
        self.stream.publish(&document(event))?;
        Ok(())
    }

    fn append_batch(&mut self, events: &[Event]) -> Result {
        let transaction = self.db.transaction()?;
        for event in events {
            self.stream.publish_tx(&transaction, &document(event))?;
        }
        Ok(transaction.commit()?)
    }
}

impl Reader for Topic<'_> {
    fn scan(&mut self, each: Each) -> Result {
        let mut offset = 0;
        loop {
            let page = self.stream.read_since(offset, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            offset = last.offset;
            page.iter().try_for_each(|event| show(&event.payload, each))?;
        }
    }

    fn prepare_lookups(&mut self) -> Result {
        self.offsets.clear();
        loop {
            let page = self.stream.read_since(self.offsets.last().copied().unwrap_or(0), PAGE)?;
            if page.is_empty() {
                return Ok(());
            }
            self.offsets.extend(page.iter().map(|event| event.offset));
        }
    }

    fn get(&mut self, number: u64, each: Each) -> Result {
        let found = self.stream.read_since(self.offsets[number as usize] - 1, 1)?;
        show(&found.first().ok_or("no such event")?.payload, each)
    }

    fn first(&mut self, each: Each) -> Result {
        show(&self.stream.read_since(0, 1)?.first().ok_or("an empty topic")?.payload, each)
    }
}

impl Consumer for Queue {
    fn deliver(&mut self, batch: usize, each: Each) -> Result<usize> {
        let jobs = self.claim_batch("alice", batch as i64)?;
        jobs.iter().try_for_each(|job| show(&job.payload, each))?;
        let ids: Vec<i64> = jobs.iter().map(|job| job.id).collect();
        Ok(self.ack_batch(&ids, "alice")? as usize)
    }
}
