//! What a store is, said as simply as possible: sorted maps, and nothing about files.

use std::collections::BTreeMap;
use std::ops::Bound;

use streamlog::{NewId, References, SetIdConflict, StreamId};

use crate::groups::{Budget, Claiming, Given, Group, Key, Name, Producers};

pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;
pub type Entry = (StreamId, Fields);
pub type Result<T> = std::result::Result<T, Error>;

/// What the store is to refuse something with: an error of the same name and content, which it alone can make.
#[derive(Debug, PartialEq)]
pub enum Error {
    IdTooSmall { id: StreamId, last: StreamId },
    IdZero,
    IdsExhausted,
    StreamNotFound { name: String },
    StreamExists { name: String },
    GroupNotFound { stream: String, group: String },
    GroupExists { stream: String, group: String },
    EntryNotFound { id: StreamId },
    ProductionExists { id: StreamId },
    SetId { id: StreamId, reason: SetIdConflict },
}

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
    pub groups: BTreeMap<Name, Group>,
    pub producers: Producers,
    /// What groups and producers were before each change since the last one that somebody waited for.
    pub older: Vec<(BTreeMap<Name, Group>, Producers)>,
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
    pub references: References,
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

    /// Trims; where the limit leaves it open how far, that is as many as `got`.
    pub fn trim(&mut self, trim: Trim, got: u64) -> u64 {
        if trim.references != References::Keep {
            return self.trim_referenced(trim, got);
        }
        let in_order: Vec<(StreamId, u64)> = self.entries.iter().map(|(id, (number, _))| (*id, *number)).collect();
        let excess = match trim.to {
            TrimTo::Len(len) => in_order.len().saturating_sub(len as usize),
            TrimTo::Before(id) => self.entries.range(..id).count(),
        };
        let mut removed = 0;
        if !trim.approximate {
            removed = excess;
        } else {
            // Block by block, the oldest first, as long as all of it goes. The last one need not be full.
            while removed < excess {
                let block = (in_order[removed].1 - 1) / BLOCK;
                let count = in_order[removed..].iter().take_while(|(_, number)| (number - 1) / BLOCK == block).count();
                let too_many = trim.limit.is_some_and(|limit| limit > 0 && (removed + count) as u64 > limit);
                if removed + count > excess || too_many {
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

    /// Goes entry by entry, whether or not it is exact.
    fn trim_referenced(&mut self, trim: Trim, got: u64) -> u64 {
        let all: Vec<StreamId> = self.entries.keys().copied().collect();
        let (below, excess) = match trim.to {
            TrimTo::Len(len) => (all.len(), all.len().saturating_sub(len as usize)),
            TrimTo::Before(id) => (self.entries.range(..id).count(), usize::MAX),
        };
        let candidates = match trim.references {
            References::Acknowledged => &all[..below],
            _ => &all[..below.min(excess)],
        };
        let count = match trim.limit {
            Some(limit) if limit > 0 => excess.min(got.min(limit) as usize),
            _ => excess,
        };
        self.remove_unreferenced(candidates, trim.references, count)
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

    /// The same, but for what is changed without anybody waiting for it: the times at which consumers were seen, and
    /// the number of duplicates.
    pub fn without_notes(&self) -> Self {
        let mut without = self.clone();
        without.groups.values_mut().flat_map(|group| group.consumers.values_mut()).for_each(|it| it.seen = 0);
        without.producers.duplicates = 0;
        without
    }

    /// Whether they are the same, as far as changes to one of them can tell.
    pub fn is_as(&self, other: &Self) -> bool {
        self.groups == other.groups
            && self.producers == other.producers
            && self.info() == other.info()
            && self.entries.len() == other.entries.len()
    }

    /// The same, with groups and producers as they were before changes that nobody waited for; the oldest first.
    pub fn as_older(&self) -> Vec<Self> {
        let with = |(groups, producers): &(BTreeMap<Name, Group>, Producers)| Self {
            groups: groups.clone(),
            producers: producers.clone(),
            ..self.clone()
        };
        self.older.iter().map(with).collect()
    }

    fn copied(&self) -> Self {
        let mut copy = self.clone();
        copy.appended = copy.entries.len() as u64;
        copy.producers = self.producers.copied();
        copy.older.clear();
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
            stream.trim(trim, 0);
        }
        self.streams.insert(name.to_vec(), stream);
        Ok(Some(ids))
    }

    /// Adds an entry unless its production is remembered.
    pub fn produce(
        &mut self,
        name: &[u8],
        producer: &[u8],
        key: Key,
        fields: &Fields,
        trim: Option<Trim>,
    ) -> Result<StreamId> {
        let now_ms = self.now_ms;
        if let Some(stream) = self.streams.get_mut(name)
            && let Some(id) = stream.producers.find(producer, &key)
        {
            stream.producers.duplicates += 1;
            return Ok(id);
        }
        let ids = self.add(name, &[NewId::Auto], std::slice::from_ref(fields), trim, false)?;
        let id = ids.unwrap_or_default()[0];
        if let Some(stream) = self.streams.get_mut(name) {
            stream.producers.remember(producer, key, id, now_ms);
        }
        Ok(id)
    }

    /// Reads as a consumer of a group that all of the streams must have.
    pub fn read_group(
        &mut self,
        from: &[(Vec<u8>, crate::groups::From)],
        (group, consumer): (&[u8], &[u8]),
        no_ack: bool,
        budget: Budget,
    ) -> Result<Vec<(usize, Vec<Given>)>> {
        if let Some((name, _)) = from.iter().find(|(name, _)| !self.stream(name).groups.contains_key(group)) {
            return Err(group_not_found(name, group));
        }
        let mut found = Vec::new();
        let (now_ms, mut left) = (self.now_ms, budget);
        for (position, (name, from)) in from.iter().enumerate() {
            // What comes after a full answer is left alone.
            if left.max_count == 0 {
                break;
            }
            left.count = budget.count;
            let stream = self.streams.entry(name.clone()).or_default();
            let given = stream.read_group(group, consumer, *from, no_ack, now_ms, &mut left);
            // An empty history says that there is none, so it is not what a limit has left of one.
            let is_empty_history = match from {
                crate::groups::From::History(after) => !stream.has_history(group, consumer, *after),
                _ => false,
            };
            if !given.is_empty() || is_empty_history {
                found.push((position, given));
            }
        }
        Ok(found)
    }

    pub fn claim(&mut self, name: &[u8], group: &[u8], consumer: &[u8], claiming: &Claiming) -> Result<Vec<Entry>> {
        let now_ms = self.now_ms;
        let claimed = self.streams.get_mut(name).and_then(|stream| stream.claim(group, consumer, claiming, now_ms));
        claimed.ok_or_else(|| group_not_found(name, group))
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

pub fn group_not_found(stream: &[u8], group: &[u8]) -> Error {
    let [stream, group] = [stream, group].map(|name| String::from_utf8_lossy(name).into_owned());
    Error::GroupNotFound { stream, group }
}
