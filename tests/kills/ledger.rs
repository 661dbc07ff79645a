//! What children said, and whether a store agrees with it.

use std::collections::{BTreeMap, BTreeSet};

use streamlog::{Store, StreamId};

use crate::child::{CONSUMERS, GROUP, SHARED, SHORT, SHORT_LEN, batch_len, first_number, value};

/// Thread and number of an entry.
type Key = (u64, u64);

/// What is known of a store.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub seed: u64,
    cycle: u64,
    /// The entries of [`SHARED`] that are to be there, and the newest ever.
    entries: BTreeMap<StreamId, Key>,
    last_id: StreamId,
    added: u64,
    /// What was said since the store was last looked at.
    said: Said,
    /// Whether there may be a group, what was delivered up to then, and what was acknowledged or was about to be.
    position: StreamId,
    acknowledged: BTreeSet<StreamId>,
    tried: BTreeSet<StreamId>,
    delivered: BTreeSet<StreamId>,
    /// All that was added to [`SHORT`].
    short: Vec<(StreamId, u64)>,
    pub checked: u64,
}

#[derive(Clone, Debug, Default)]
struct Said {
    /// The next number of each thread.
    next: BTreeMap<u64, u64>,
    deleted: BTreeSet<StreamId>,
    deleting: BTreeSet<StreamId>,
    trimmed: StreamId,
    trimming: StreamId,
}

type Check = Result<(), String>;

fn parse_ids<'a>(words: impl Iterator<Item = &'a str>) -> Result<Vec<StreamId>, String> {
    words.map(|word| word.parse().map_err(|_| format!("{word} is no ID"))).collect()
}

impl Ledger {
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Begins with the lines of another child.
    pub fn begin(&mut self, cycle: u64) {
        self.cycle = cycle;
        self.said = Said::default();
    }

    /// Takes in a line.
    pub fn hear(&mut self, line: &str) -> Check {
        let Some(line) = line.strip_prefix('~') else { return Ok(()) };
        let mut words = line.split_whitespace();
        let what = words.next().unwrap_or_default();
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
        match what {
            "A" => {
                let (thread, first) = (number(), number());
                let ids = parse_ids(words)?;
                for (id, number) in ids.iter().zip(first..) {
                    if let Some(there) = self.entries.insert(*id, (thread, number)) {
                        return Err(format!("{id} was handed out to {there:?} and to {:?}", (thread, number)));
                    }
                    self.last_id = self.last_id.max(*id);
                }
                self.added += ids.len() as u64;
                self.said.next.insert(thread, first + ids.len() as u64);
                self.checked += 1;
            }
            "S" => {
                let first = number();
                let ids = parse_ids(words)?;
                self.short.push((ids[0], first));
                self.checked += 1;
            }
            "x" => self.said.deleting = parse_ids(words)?.into_iter().collect(),
            "X" => {
                self.said.deleted.extend(parse_ids(words)?);
                self.said.deleting.clear();
                self.checked += 1;
            }
            "t" => self.said.trimming = parse_ids(words)?[0],
            "T" => {
                self.said.trimmed = self.said.trimmed.max(parse_ids(words)?[0]);
                self.said.trimming = StreamId::MIN;
                self.checked += 1;
            }
            "D" => {
                for id in parse_ids(words)? {
                    if id <= self.position {
                        return Err(format!("{id} was delivered as new, though the group was at {}", self.position));
                    }
                    if !self.delivered.insert(id) {
                        return Err(format!("{id} was delivered as new twice"));
                    }
                }
                self.checked += 1;
            }
            "k" => self.tried.extend(parse_ids(words)?),
            "K" => {
                self.acknowledged.extend(parse_ids(words)?);
                self.checked += 1;
            }
            "!" => return Err(format!("the child failed: {line}")),
            _ => {}
        }
        Ok(())
    }

    /// Holds a store against what was said, and takes over what it holds.
    pub fn check(&mut self, store: &Store) -> Check {
        let text = |error: streamlog::Error| error.to_string();
        for name in store.names().map_err(text)? {
            let stream = store.stream(&name).map_err(text)?;
            let (there, back) = (stream.range(..).count(), stream.range(..).rev().count());
            stream.range(..).try_for_each(|entry| entry.map(drop)).map_err(text)?;
            if there != back || there as u64 != stream.len().map_err(text)? {
                return Err(format!("{stream:?}: {there} entries forwards, {back} backwards"));
            }
        }
        self.check_short(store)?;
        let found = self.read(store, SHARED)?;
        self.check_shared(store, &found)?;
        self.check_group(store)
    }

    /// The entries of a stream, each of which is one that a child may have written.
    fn read(&self, store: &Store, name: &str) -> Result<BTreeMap<StreamId, Key>, String> {
        let (mut found, mut keys, mut last) = (BTreeMap::new(), BTreeSet::new(), StreamId::MIN);
        for entry in store.stream(name).map_err(|error| error.to_string())?.range(..) {
            let entry = entry.map_err(|error| error.to_string())?;
            let id = entry.id();
            if id <= last {
                return Err(format!("{name}: {id} stands behind {last}"));
            }
            last = id;
            let number = |field: &str| {
                let text = entry.get(field).and_then(|value| std::str::from_utf8(value).ok());
                text.and_then(|text| text.parse::<u64>().ok()).ok_or_else(|| format!("{name}: {id} has no {field}"))
            };
            let key = (number("thread")?, number("number")?);
            if entry.get("value") != Some(&*value(self.seed, key.0, key.1)) {
                return Err(format!("{name}: {id} has another value than was added"));
            }
            if !keys.insert(key) {
                return Err(format!("{name}: {key:?} is there twice"));
            }
            found.insert(id, key);
        }
        Ok(found)
    }

    fn check_shared(&mut self, store: &Store, found: &BTreeMap<StreamId, Key>) -> Check {
        // What was being added when the child was killed.
        let mut fresh: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (id, key) in found {
            match self.entries.get(id) {
                Some(known) if known == key => {}
                Some(known) => return Err(format!("{id} is {key:?}, not {known:?}")),
                None => fresh.entry(key.0).or_default().push(key.1),
            }
        }
        for (&thread, numbers) in &fresh {
            let next = self.said.next.get(&thread).copied().unwrap_or(first_number(self.cycle));
            let one = *numbers == [next];
            let batch: Vec<u64> = (next..next + batch_len(self.seed, next)).collect();
            if thread > 3 || !(one || *numbers == batch) {
                return Err(format!("thread {thread} was at {next}, and there are {numbers:?}"));
            }
        }
        let said = &self.said;
        let explained = |id: &StreamId| *id < said.trimmed || said.deleted.contains(id) || said.deleting.contains(id);
        let missing = self.entries.keys().filter(|id| !found.contains_key(id) && !explained(id));
        let missing: Vec<StreamId> = missing.copied().collect();
        if let Some(lost) = missing.iter().find(|id| **id >= said.trimming) {
            return Err(format!("{lost} {:?} was acknowledged and is missing", self.entries[lost]));
        }
        // A trim is made as a whole, and so is a deletion.
        let left = found.keys().find(|id| **id < said.trimming).filter(|_| !missing.is_empty());
        if let Some(left) = left {
            return Err(format!("{left} is left of a trim that removed {}", missing[0]));
        }
        let there = said.deleting.iter().filter(|id| found.contains_key(id)).count();
        let first = found.keys().next().copied().unwrap_or(StreamId::MAX);
        let floor = if first >= said.trimming { said.trimmed.max(said.trimming) } else { said.trimmed };
        let deletable = said.deleting.iter().filter(|id| **id >= floor && self.entries.contains_key(id)).count();
        if there != 0 && there != deletable {
            return Err(format!("of {:?}, which were being deleted, {there} are left", said.deleting));
        }
        if let Some(back) = found.keys().find(|id| **id < said.trimmed || said.deleted.contains(id)) {
            return Err(format!("{back} was removed and is back"));
        }
        let info = store.stream(SHARED).and_then(|stream| stream.info()).map_err(|error| error.to_string());
        let (added, last_id) = match info {
            Ok(info) => (info.entries_added, info.last_generated_id),
            Err(_) if self.entries.is_empty() => (0, StreamId::MIN),
            Err(why) => return Err(why),
        };
        self.added += fresh.values().map(Vec::len).sum::<usize>() as u64;
        self.added += self.trimmed_unsaid(&fresh, added.saturating_sub(self.added));
        self.last_id = self.last_id.max(found.keys().last().copied().unwrap_or(StreamId::MIN));
        if (added, last_id.max(self.last_id)) != (self.added, last_id) {
            return Err(format!(
                "{added} entries were added, up to {last_id}, not {} up to {}",
                self.added, self.last_id
            ));
        }
        self.entries.clone_from(found);
        Ok(())
    }

    /// Of `surplus` entries how many were added, but removed by a trim before the thread that added them could say so.
    fn trimmed_unsaid(&self, fresh: &BTreeMap<u64, Vec<u64>>, surplus: u64) -> u64 {
        let mut sums = BTreeSet::from([0]);
        if self.said.trimmed.max(self.said.trimming) > StreamId::MIN {
            for thread in (0..4).filter(|thread| !fresh.contains_key(thread)) {
                let next = self.said.next.get(&thread).copied().unwrap_or(first_number(self.cycle));
                let each = [0, 1, batch_len(self.seed, next)];
                sums = sums.iter().flat_map(|sum| each.map(|more| sum + more)).collect();
            }
        }
        if sums.contains(&surplus) { surplus } else { 0 }
    }

    fn check_group(&mut self, store: &Store) -> Check {
        let group = store.stream(SHARED).map_err(|error| error.to_string())?.group(GROUP);
        if !group.exists().unwrap_or(false) {
            let known = !self.delivered.is_empty() || !self.entries.is_empty();
            return if known { Err("the group is gone".to_owned()) } else { Ok(()) };
        }
        let text = |error: streamlog::Error| error.to_string();
        let position = group.info().map_err(text)?.last_delivered_id;
        let pending = group.pending_entries().count(u64::MAX).run().map_err(text)?;
        let pending: BTreeSet<StreamId> = pending
            .into_iter()
            .map(|entry| match entry.consumer.as_deref() {
                Some(name) if CONSUMERS.iter().any(|known| known.as_bytes() == name) => Ok(entry.id),
                other => Err(format!("{} is pending with {other:?}", entry.id)),
            })
            .collect::<Result<_, _>>()?;
        let newest = self.delivered.last().copied().unwrap_or(StreamId::MIN);
        if position < newest.max(self.position) {
            return Err(format!("the group is at {position}, though {newest} was delivered"));
        }
        if position > self.last_id {
            return Err(format!("the group is at {position}, ahead of {}", self.last_id));
        }
        if let Some(id) = pending.iter().find(|id| **id > position) {
            return Err(format!("{id} is pending, though the group is at {position}"));
        }
        if let Some(id) = pending.intersection(&self.acknowledged).next() {
            return Err(format!("{id} was acknowledged and is pending"));
        }
        let settled = |id: &StreamId| pending.contains(id) || self.tried.contains(id);
        if let Some((id, _)) = self.entries.range(..=position).find(|(id, _)| !settled(id)) {
            return Err(format!("{id} is neither pending nor acknowledged, though the group is at {position}"));
        }
        self.position = position;
        // What is below the position is not delivered as new any more; what matters of it is in the other sets.
        self.delivered.clear();
        Ok(())
    }

    fn check_short(&mut self, store: &Store) -> Check {
        let found: Vec<(StreamId, u64)> = self.read(store, SHORT)?.into_iter().map(|(id, key)| (id, key.1)).collect();
        let last = |all: &[(StreamId, u64)]| all[all.len().saturating_sub(SHORT_LEN as usize)..].to_vec();
        if found == last(&self.short) {
            return Ok(());
        }
        // One more, which was being added.
        let mut with = self.short.clone();
        with.extend(found.last());
        let next = match self.short.last() {
            Some((_, number)) if *number >= first_number(self.cycle) => number + 1,
            _ => first_number(self.cycle),
        };
        if found == last(&with) && found.last().is_some_and(|(_, number)| *number == next) {
            self.short = with;
            return Ok(());
        }
        Err(format!("{SHORT}: found {found:?}, not {:?}", last(&self.short)))
    }
}
