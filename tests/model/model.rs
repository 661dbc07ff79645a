//! What a store is, said as simply as possible: sorted maps, and nothing about files.

use std::collections::BTreeMap;
use std::ops::Bound;

use streamlog::{Error, NewId, Result, SetIdConflict, StreamId};

pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;
pub type Entry = (StreamId, Fields);

/// Approximate trimming takes whole blocks of so many.
const BLOCK: u64 = 100;

#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// With the number that each had among all that were ever added; those of a copy are counted anew.
    pub entries: BTreeMap<StreamId, (u64, Fields)>,
    pub last_id: StreamId,
    pub max_deleted_id: StreamId,
    pub entries_added: u64,
    /// How many were ever appended.
    pub appended: u64,
    /// Every ID there ever was, to ask for again.
    pub past: Vec<StreamId>,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub streams: BTreeMap<Vec<u8>, Stream>,
    pub now_ms: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum TrimTo {
    Len(u64),
    Before(StreamId),
}

#[derive(Clone, Copy, Debug)]
pub struct Trim {
    pub to: TrimTo,
    pub approximate: bool,
    pub limit: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub enum From {
    After(StreamId),
    End,
    Last,
}

/// What `info` says, and all entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    pub len: u64,
    pub last_id: StreamId,
    pub max_deleted_id: StreamId,
    pub entries_added: u64,
    pub first: Option<Entry>,
    pub last: Option<Entry>,
}

impl Stream {
    fn next_id(&self, wanted: NewId, now_ms: u64, last: StreamId) -> Result<StreamId> {
        let id = match wanted {
            NewId::Exact(StreamId::MIN) => return Err(Error::IdZero),
            _ if last == StreamId::MAX => return Err(Error::IdsExhausted),
            NewId::Auto => last.next().unwrap().max(StreamId::new(now_ms, 0)),
            NewId::AutoSequence(ms) => {
                if ms != last.ms() {
                    StreamId::new(ms, 0)
                } else if last.seq() < u64::MAX {
                    StreamId::new(ms, last.seq() + 1)
                } else {
                    last
                }
            }
            NewId::Exact(id) => id,
            _ => unreachable!(),
        };
        if id <= last { Err(Error::IdTooSmall { id, last }) } else { Ok(id) }
    }

    pub fn add(&mut self, wanted: &[NewId], now_ms: u64, fields: &[Fields]) -> Result<Vec<StreamId>> {
        let mut ids = Vec::new();
        for wanted in wanted {
            ids.push(self.next_id(*wanted, now_ms, ids.last().copied().unwrap_or(self.last_id))?);
        }
        for (id, fields) in ids.iter().zip(fields) {
            self.appended += 1;
            self.entries.insert(*id, (self.appended, fields.clone()));
            self.past.push(*id);
            self.last_id = *id;
            self.entries_added += 1;
        }
        Ok(ids)
    }

    pub fn trim(&mut self, trim: Trim) -> u64 {
        let in_order: Vec<(StreamId, u64)> = self.entries.iter().map(|(id, (number, _))| (*id, *number)).collect();
        let excess = match trim.to {
            TrimTo::Len(len) => in_order.len().saturating_sub(len as usize),
            TrimTo::Before(id) => self.entries.range(..id).count(),
        };
        let mut removed = 0;
        if !trim.approximate {
            removed = excess;
        } else {
            // Block by block, the oldest first, as long as all of it goes and nothing is to come in it.
            while removed < excess {
                let block = (in_order[removed].1 - 1) / BLOCK;
                let count = in_order[removed..].iter().take_while(|(_, number)| (number - 1) / BLOCK == block).count();
                let complete = self.appended >= (block + 1) * BLOCK;
                let too_many = trim.limit.is_some_and(|limit| limit > 0 && (removed + count) as u64 > limit);
                if !complete || removed + count > excess || too_many {
                    break;
                }
                removed += count;
            }
        }
        for (id, _) in &in_order[..removed] {
            self.entries.remove(id);
        }
        removed as u64
    }

    pub fn delete(&mut self, ids: &[StreamId]) -> u64 {
        let mut count = 0;
        for id in ids {
            if self.entries.remove(id).is_some() {
                count += 1;
                self.max_deleted_id = self.max_deleted_id.max(*id);
            }
        }
        count
    }

    pub fn set_id(&mut self, id: StreamId, added: Option<u64>, max_deleted: Option<StreamId>) -> Result<()> {
        let conflict = |reason| Err(Error::SetId { id, reason });
        if max_deleted.is_some_and(|max| max > id) {
            return conflict(SetIdConflict::BelowGivenMaxDeleted);
        }
        if id < self.max_deleted_id {
            return conflict(SetIdConflict::BelowMaxDeleted);
        }
        if let Some((newest, _)) = self.entries.last_key_value() {
            if id < *newest {
                return conflict(SetIdConflict::BelowNewestEntry);
            }
            if added.is_some_and(|added| added < self.entries.len() as u64) {
                return conflict(SetIdConflict::AddedBelowLength);
            }
        }
        self.last_id = id;
        self.entries_added = added.unwrap_or(self.entries_added);
        if let Some(max) = max_deleted.filter(|max| *max != StreamId::MIN) {
            self.max_deleted_id = max;
        }
        Ok(())
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.range((Bound::Unbounded, Bound::Unbounded))
    }

    pub fn range(&self, (lower, upper): (Bound<StreamId>, Bound<StreamId>)) -> Vec<Entry> {
        let is_in = |id: &StreamId| std::ops::RangeBounds::contains(&(lower, upper), id);
        let found = self.entries.iter().filter(|(id, _)| is_in(id));
        found.map(|(id, (_, fields))| (*id, fields.clone())).collect()
    }

    pub fn info(&self) -> Info {
        let entry = |(id, (_, fields)): (&StreamId, &(u64, Fields))| (*id, fields.clone());
        Info {
            len: self.entries.len() as u64,
            last_id: self.last_id,
            max_deleted_id: self.max_deleted_id,
            entries_added: self.entries_added,
            first: self.entries.first_key_value().map(entry),
            last: self.entries.last_key_value().map(entry),
        }
    }

    fn copied(&self) -> Self {
        let mut copy = self.clone();
        copy.appended = copy.entries.len() as u64;
        copy.entries.values_mut().zip(1..).for_each(|((number, _), counted)| *number = counted);
        copy
    }
}

impl Model {
    pub fn stream(&self, name: &[u8]) -> Stream {
        self.streams.get(name).cloned().unwrap_or_default()
    }

    pub fn add(
        &mut self,
        name: &[u8],
        wanted: &[NewId],
        fields: &[Fields],
        trim: Option<Trim>,
        no_create: bool,
    ) -> Result<Option<Vec<StreamId>>> {
        if wanted.contains(&NewId::Exact(StreamId::MIN)) {
            return Err(Error::IdZero);
        }
        if no_create && !self.streams.contains_key(name) {
            return Ok(None);
        }
        if wanted.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut stream = self.stream(name);
        let ids = stream.add(wanted, self.now_ms, fields)?;
        if let Some(trim) = trim {
            stream.trim(trim);
        }
        self.streams.insert(name.to_vec(), stream);
        Ok(Some(ids))
    }

    pub fn read(
        &self,
        from: &[(Vec<u8>, From)],
        count: u64,
        max_count: u64,
        max_size: u64,
    ) -> Vec<(usize, Vec<Entry>)> {
        let limit = |limit: u64| if limit == 0 { u64::MAX } else { limit };
        let (mut left, mut bytes_left) = (limit(max_count), limit(max_size));
        let mut found: Vec<(usize, Vec<Entry>)> = Vec::new();
        for (position, (name, from)) in from.iter().enumerate() {
            let stream = self.stream(name);
            let candidates = match from {
                From::After(id) => stream.range((Bound::Excluded(*id), Bound::Unbounded)),
                From::End => Vec::new(),
                From::Last => stream.info().last.into_iter().collect(),
            };
            let mut taken = Vec::new();
            for entry in candidates {
                let len = entry.1.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum::<u64>();
                let is_first = found.is_empty() && taken.is_empty();
                if taken.len() as u64 == limit(count) || left == 0 || (len > bytes_left && !is_first) {
                    break;
                }
                bytes_left = bytes_left.saturating_sub(len);
                left -= 1;
                taken.push(entry);
            }
            if !taken.is_empty() {
                found.push((position, taken));
            }
        }
        found
    }

    pub fn delete_streams(&mut self, names: &[Vec<u8>]) -> u64 {
        names.iter().filter(|name| self.streams.remove(*name).is_some()).count() as u64
    }

    pub fn rename(&mut self, from: &[u8], to: &[u8], replace: bool) -> Result<bool> {
        if !self.streams.contains_key(from) {
            return Err(not_found(from));
        }
        if !replace && self.streams.contains_key(to) {
            return Ok(false);
        }
        if let Some(stream) = self.streams.remove(from) {
            self.streams.insert(to.to_vec(), stream);
        }
        Ok(true)
    }

    pub fn copy(&mut self, from: &[u8], to: &[u8], replace: bool) -> bool {
        if !self.streams.contains_key(from) || (!replace && self.streams.contains_key(to)) {
            return false;
        }
        if from != to {
            let copy = self.stream(from).copied();
            self.streams.insert(to.to_vec(), copy);
        }
        true
    }
}

pub fn not_found(name: &[u8]) -> Error {
    Error::StreamNotFound { name: String::from_utf8_lossy(name).into_owned() }
}
