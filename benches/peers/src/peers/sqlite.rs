//! SQLite, by rusqlite, with a write-ahead log: a table of entries, and for groups what Redis keeps: the last delivered
//! entry, and a table of what is pending.
//!
//! One connection behind a lock: SQLite has one writer at a time, and waits for its turn by sleeping.

use std::path::Path;

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, Row, Rows, params};

use crate::common::Event;
use crate::encode::Counters;
use crate::peer::{Consumer, Each, Peer, Reader, Result, Writer};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS entries (
        stream INTEGER, number INTEGER, type TEXT, data TEXT, timestamp TEXT,
        PRIMARY KEY (stream, number)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS groups (name TEXT PRIMARY KEY, last_delivered INTEGER) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS pending (
        number INTEGER PRIMARY KEY, consumer TEXT, delivered_at INTEGER, delivery_count INTEGER
    );";
const INSERT: &str = "INSERT INTO entries VALUES (?, ?, ?, ?, ?)";
const ALL: &str = "SELECT type, data, timestamp FROM entries WHERE stream = ? ORDER BY number";
const ALL_BACKWARD: &str = "SELECT type, data, timestamp FROM entries WHERE stream = ? ORDER BY number DESC";
const ONE: &str = "SELECT type, data, timestamp FROM entries WHERE stream = ? AND number = ?";
const NEXT: &str = "SELECT type, data, timestamp, number FROM entries WHERE stream = 0 AND number > ? LIMIT ?";
const LAST_DELIVERED: &str = "SELECT last_delivered FROM groups WHERE name = 'workers'";
const DELIVER: &str = "INSERT INTO pending VALUES (?, 'alice', unixepoch(), 1)";
const DELIVERED: &str = "UPDATE groups SET last_delivered = ? WHERE name = 'workers'";
const ACKNOWLEDGE: &str = "DELETE FROM pending WHERE number = ?";

pub struct Store {
    connection: Mutex<Connection>,
    counters: Counters,
}

pub fn open_off(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, "OFF")
}

pub fn open_normal(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, "NORMAL")
}

pub fn open_full(path: &Path) -> Result<Box<dyn Peer>> {
    open(path, "FULL")
}

fn open(path: &Path, synchronous: &str) -> Result<Box<dyn Peer>> {
    let connection = Connection::open(path.join("sqlite.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.execute_batch(SCHEMA)?;
    Ok(Box::new(Store { connection: Mutex::new(connection), counters: Counters::default() }))
}

impl Peer for Store {
    fn writer(&self, stream: u32) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(StoreStream { store: self, stream }))
    }

    fn reader(&self, stream: u32) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(StoreStream { store: self, stream }))
    }

    fn consumer(&self) -> Result<Box<dyn Consumer + '_>> {
        let connection = self.connection.lock();
        connection.execute("INSERT OR IGNORE INTO groups VALUES ('workers', -1)", [])?;
        Ok(Box::new(Group(connection)))
    }
}

struct StoreStream<'a> {
    store: &'a Store,
    stream: u32,
}

impl StoreStream<'_> {
    fn insert(&self, connection: &Connection, event: &Event) -> Result {
        let number = self.store.counters.take(self.stream, 1) as i64;
        let [(_, kind), (_, data), (_, timestamp)] = event.fields();
        connection.prepare_cached(INSERT)?.execute(params![self.stream, number, kind, data, timestamp])?;
        Ok(())
    }

    fn show_all(&self, query: &str, each: Each) -> Result {
        let connection = self.store.connection.lock();
        let mut statement = connection.prepare_cached(query)?;
        show_rows(statement.query([self.stream])?, each)?;
        Ok(())
    }
}

fn show_rows(mut rows: Rows<'_>, each: Each) -> Result<usize> {
    let mut count = 0;
    while let Some(row) = rows.next()? {
        show(row, each)?;
        count += 1;
    }
    Ok(count)
}

fn show(row: &Row<'_>, each: Each) -> Result {
    let value = |column| -> Result<_> { Ok(row.get_ref(column)?.as_bytes()?) };
    each([value(0)?, value(1)?, value(2)?]);
    Ok(())
}

impl Writer for StoreStream<'_> {
    fn append(&mut self, event: &Event) -> Result {
        self.insert(&self.store.connection.lock(), event)
    }

    fn append_batch(&mut self, events: &[Event]) -> Result {
        let mut connection = self.store.connection.lock();
        let transaction = connection.transaction()?;
        events.iter().try_for_each(|event| self.insert(&transaction, event))?;
        Ok(transaction.commit()?)
    }
}

impl Reader for StoreStream<'_> {
    fn scan(&mut self, each: Each) -> Result {
        self.show_all(ALL, each)
    }

    fn scan_backward(&mut self, each: Each) -> Result {
        self.show_all(ALL_BACKWARD, each)
    }

    fn get(&mut self, number: u64, each: Each) -> Result {
        let connection = self.store.connection.lock();
        let mut statement = connection.prepare_cached(ONE)?;
        match show_rows(statement.query(params![self.stream, number as i64])?, each)? {
            1 => Ok(()),
            _ => Err("no such row".into()),
        }
    }
}

struct Group<'a>(MutexGuard<'a, Connection>);

impl Consumer for Group<'_> {
    fn deliver(&mut self, batch: usize, each: Each) -> Result<usize> {
        let mut numbers = Vec::with_capacity(batch);
        let delivery = self.0.transaction()?;
        let last: i64 = delivery.prepare_cached(LAST_DELIVERED)?.query_row([], |row| row.get(0))?;
        let mut next = delivery.prepare_cached(NEXT)?;
        let mut rows = next.query(params![last, batch as i64])?;
        let mut insert = delivery.prepare_cached(DELIVER)?;
        while let Some(row) = rows.next()? {
            show(row, each)?;
            let number: i64 = row.get(3)?;
            insert.execute([number])?;
            numbers.push(number);
        }
        if let Some(last) = numbers.last() {
            delivery.prepare_cached(DELIVERED)?.execute([last])?;
        }
        drop(rows);
        drop(next);
        drop(insert);
        delivery.commit()?;
        let acknowledgement = self.0.transaction()?;
        let mut delete = acknowledgement.prepare_cached(ACKNOWLEDGE)?;
        let mut count = 0;
        for number in numbers {
            count += delete.execute([number])?;
        }
        drop(delete);
        acknowledgement.commit()?;
        Ok(count)
    }
}
