//! What a stream remembers of idempotent productions: which entry came of which one.
//!
//! A production is named by a producer's ID and an idempotent ID of the producer's. The newest ones of each producer are
//! remembered, for a time that counts from the milliseconds of their entries' IDs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::StreamId;
use crate::format::entries::Production;
use crate::format::groups::{GroupChange, Memory};
use crate::hash::HashMap;

/// How long a production is remembered, in seconds, and how many of each producer, unless configured otherwise.
pub const DURATION_S: u64 = 100;
pub const MAX_LEN: u64 = 100;
/// The limits of both.
pub const DURATION_S_MAX: u64 = 86_400;
pub const LEN_MAX: u64 = 10_000;
/// What is due is forgotten about so often, in milliseconds.
const SWEEP_MS: u64 = 1000;

/// The remembered productions of a stream.
#[derive(Clone, Debug)]
pub struct Producers {
    pub duration_s: u64,
    pub max_len: u64,
    /// How many were ever remembered, and how many duplicates recognised.
    pub added: u64,
    pub duplicates: u64,
    by_id: BTreeMap<Box<[u8]>, Productions>,
    /// When what is due was last forgotten, or looked for at first.
    swept: Option<u64>,
    /// The productions of entries before this ordinal are in the journal.
    pub journaled: u64,
    /// Something was remembered that the journal does not have.
    pub unjournaled: bool,
}

/// The productions of one producer, in the order in which they were remembered.
#[derive(Clone, Debug, Default, PartialEq)]
struct Productions {
    ids: HashMap<Arc<[u8]>, StreamId>,
    order: VecDeque<Arc<[u8]>>,
}

impl Default for Producers {
    fn default() -> Self {
        Self {
            duration_s: DURATION_S,
            max_len: MAX_LEN,
            added: 0,
            duplicates: 0,
            by_id: BTreeMap::new(),
            swept: None,
            journaled: 0,
            unjournaled: false,
        }
    }
}

impl PartialEq for Producers {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |of: &Self| (of.duration_s, of.max_len, of.added, of.duplicates);
        numbers(self) == numbers(other) && self.by_id == other.by_id
    }
}

impl Producers {
    /// Whether it is as in a new stream.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The entry that came of a production, if that is remembered.
    pub fn find(&self, producer: &[u8], key: &[u8]) -> Option<StreamId> {
        self.by_id.get(producer)?.ids.get(key).copied()
    }

    /// How many producers there are, and how many productions of all of them.
    pub fn tracked(&self) -> (usize, usize) {
        (self.by_id.len(), self.by_id.values().map(|productions| productions.order.len()).sum())
    }

    /// Remembers a production whose entry was added.
    pub fn produced(&mut self, production: Production) {
        let Production { producer, key, id, .. } = production;
        self.remember(producer, key, id);
        self.unjournaled = true;
    }

    /// Takes in a production that was found in the log, unless the journal has it.
    #[inline]
    pub fn take_in(&mut self, production: Production) {
        if production.ordinal >= self.journaled {
            self.produced(production);
        }
    }

    fn remember(&mut self, producer: Box<[u8]>, key: Box<[u8]>, id: StreamId) {
        let productions = self.by_id.entry(producer).or_default();
        productions.push(Arc::from(key), id);
        productions.drop_above(self.max_len);
        self.added = self.added.saturating_add(1);
    }

    /// Forgets what is due, about once a second.
    pub fn sweep(&mut self, now_ms: u64) {
        let swept = self.swept.map_or(now_ms, |swept| swept.min(now_ms));
        self.swept = Some(swept);
        if now_ms - swept >= SWEEP_MS && !self.by_id.is_empty() {
            self.forget_due(now_ms);
        }
    }

    /// Forgets what is due: when a stream is opened, there is no telling when that was last done.
    pub fn forget_due(&mut self, now_ms: u64) {
        self.swept = Some(now_ms);
        let Some(due) = now_ms.checked_sub(self.duration_s.saturating_mul(1000)) else { return };
        self.by_id.retain(|_, productions| productions.forget_up_to(due));
    }

    pub fn apply(&mut self, change: &GroupChange) {
        match change {
            GroupChange::Remember { producer, key, id } => self.remember(producer.clone(), key.clone(), *id),
            GroupChange::Configure { duration_s, max_len } => {
                (self.duration_s, self.max_len) = (*duration_s, *max_len);
                self.by_id.clear();
            }
            GroupChange::Duplicates { count } => self.duplicates = self.duplicates.saturating_add(*count),
            GroupChange::Producers(memory) | GroupChange::Memory(memory) => self.load(memory),
            _ => {}
        }
    }

    fn load(&mut self, memory: &Memory) {
        let mut by_id = BTreeMap::new();
        for (producer, list) in &memory.producers {
            let productions: &mut Productions = by_id.entry(producer.clone()).or_default();
            list.iter().for_each(|(key, id)| productions.push(Arc::from(&**key), *id));
        }
        *self = Self {
            duration_s: memory.duration_s,
            max_len: memory.max_len,
            added: memory.added,
            duplicates: memory.duplicates,
            by_id,
            swept: self.swept,
            journaled: memory.next_ordinal,
            unjournaled: false,
        };
    }

    /// All of it, as the journal has it when entries up to `next_ordinal` are there.
    pub fn memory(&self, next_ordinal: u64) -> Memory {
        let list = |productions: &Productions| {
            let id = |key: &Arc<[u8]>| productions.ids.get(key).map(|&id| (Box::from(&**key), id));
            productions.order.iter().filter_map(id).collect()
        };
        Memory {
            next_ordinal,
            duration_s: self.duration_s,
            max_len: self.max_len,
            added: self.added,
            duplicates: self.duplicates,
            producers: self.by_id.iter().map(|(producer, productions)| (producer.clone(), list(productions))).collect(),
        }
    }
}

impl Productions {
    fn push(&mut self, key: Arc<[u8]>, id: StreamId) {
        if self.ids.insert(Arc::clone(&key), id).is_some() {
            // It had been forgotten, which a replay does not know.
            self.order.retain(|known| *known != key);
        }
        self.order.push_back(key);
    }

    fn drop_above(&mut self, max_len: u64) {
        while self.order.len() as u64 > max_len {
            let Some(oldest) = self.order.pop_front() else { return };
            self.ids.remove(&oldest);
        }
    }

    /// Forgets those of entries up to `ms`, from the oldest one on until one is to stay; returns whether any are left.
    fn forget_up_to(&mut self, ms: u64) -> bool {
        while let Some(key) = self.order.pop_front_if(|key| self.ids.get(key).is_none_or(|id| id.ms() <= ms)) {
            self.ids.remove(&key);
        }
        !self.order.is_empty()
    }
}

/// The idempotent ID of a production that is named by what it produces (IDM-11): order of the fields does not count.
pub fn content_key<'a>(fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> [u8; 16] {
    let (mut sums, mut xors) = ((0u64, 0u64), (0u64, 0u64));
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.clear();
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&(name.len() as u64).to_le_bytes());
        bytes.extend_from_slice(value);
        let hash = xxhash_rust::xxh3::xxh3_128(&bytes);
        let (low, high) = (hash as u64, (hash >> 64) as u64);
        sums = (sums.0.wrapping_add(low), sums.1.wrapping_add(high));
        xors = (xors.0 ^ low, xors.1 ^ high);
    }
    let halves = [sums.0 ^ xors.1.rotate_left(1), sums.1 ^ xors.0.rotate_left(1)];
    let [low, high] = halves.map(u64::to_le_bytes);
    let mut key = [0; 16];
    let (first, second) = key.split_at_mut(8);
    first.copy_from_slice(&low);
    second.copy_from_slice(&high);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    fn produce(producers: &mut Producers, producer: &str, key: &str, id: StreamId) {
        let (producer, key) = (producer.as_bytes().into(), key.as_bytes().into());
        producers.produced(Production { ordinal: 1, producer, key, id });
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut producers = Producers { max_len: 2, ..Producers::default() };
        for (key, ms) in [("a", 1), ("b", 2), ("c", 3)] {
            produce(&mut producers, "p", key, id(ms));
        }
        assert_eq!(producers.find(b"p", b"a"), None);
        assert_eq!(producers.find(b"p", b"b"), Some(id(2)));
        assert_eq!(producers.find(b"q", b"b"), None);
        assert_eq!((producers.tracked(), producers.added), ((1, 2), 3));
    }

    /// As in Redis: one that is to stay keeps those that were remembered after it, however old their entries are.
    #[test]
    fn what_is_due_is_forgotten_in_the_order_in_which_it_was_remembered() {
        let mut producers = Producers::default();
        for (key, ms) in [("a", 1_000), ("b", 900_000), ("c", 2_000)] {
            produce(&mut producers, "p", key, id(ms));
        }
        producers.forget_due(500_000);
        assert_eq!(producers.find(b"p", b"a"), None);
        assert_eq!(producers.find(b"p", b"c"), Some(id(2_000)));
        assert_eq!(producers.tracked(), (1, 2));
        producers.forget_due(1_000_000);
        assert_eq!(producers.tracked(), (0, 0));
    }

    #[test]
    fn what_is_due_is_forgotten_within_about_a_second() {
        let mut producers = Producers::default();
        produce(&mut producers, "p", "a", id(1_000));
        produce(&mut producers, "q", "a", id(9_000));
        producers.sweep(101_000);
        assert_eq!(producers.tracked(), (2, 2), "not looked at yet");
        producers.sweep(102_000);
        assert_eq!(producers.tracked(), (1, 1));
        producers.sweep(50_000);
        producers.sweep(51_000);
        assert_eq!(producers.tracked(), (1, 1), "the clock went back");
    }

    #[test]
    fn a_memory_gives_the_same_producers() {
        let mut producers = Producers::default();
        for (producer, key, ms) in [("p", "b", 1), ("p", "a", 2), ("q", "a", 3)] {
            produce(&mut producers, producer, key, id(ms));
        }
        producers.apply(&GroupChange::Duplicates { count: 4 });
        let mut loaded = Producers::default();
        loaded.apply(&GroupChange::Memory(producers.memory(7)));
        assert_eq!(loaded, producers);
        assert_eq!(loaded.journaled, 7);
        producers.apply(&GroupChange::Configure { duration_s: 5, max_len: 6 });
        assert_eq!((producers.tracked(), producers.added, producers.duplicates), ((0, 0), 3, 4));
    }

    #[test]
    fn the_content_key_is_the_one_of_the_reference() {
        let key = content_key([(&b"k"[..], &b"v"[..])]);
        assert_eq!(u128::from_be_bytes(key), 0xfd99_1ff5_8039_2a64_11c2_2a93_4e7c_1dd4);
        let pairs = [(&b"a"[..], &b"1"[..]), (b"b", b"2")];
        assert_eq!(content_key(pairs), content_key(pairs.into_iter().rev()));
        assert_ne!(content_key(pairs), content_key(pairs.into_iter().chain([pairs[1]])));
    }
}
