//! Promise: no sequence of operations, with reopening, kills and power losses, tells a stream from a sorted map (P2, P3).
//!
//! What was acknowledged is there after a kill at any level, and after a power loss at the level `Always`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use streamlog::sim::{CrashLimits, Image, SimDisk};
use streamlog::{
    AddOptions, Durability, Entry, Error, GroupOptions, NewId, OnDamage, Position, SetId, Store, Stream, StreamId, Trim,
};

use super::subject::{OF_AN_INPUT, number_identities, open};

#[derive(Arbitrary, Debug)]
struct Input {
    /// Each operation is durable when it returns.
    always: bool,
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    Add { value: u16 },
    AddAt { ahead: u8, seq: u8, value: u16 },
    Batch { count: u8 },
    Delete { nth: u8, count: u8 },
    TrimToLen { len: u8 },
    TrimBefore { nth: u8 },
    SetId { ahead: u8 },
    CreateGroup { from_start: bool },
    DestroyGroup,
    Deliver { consumer: u8, count: u8 },
    Acknowledge { nth: u8, count: u8 },
    ClaimAll { consumer: u8 },
    DeleteConsumer { consumer: u8 },
    DeleteStream,
    Reopen,
    Kill,
    PowerLoss { seed: u64 },
}

/// The value of each entry's only field.
type Entries = BTreeMap<StreamId, Vec<u8>>;

/// What a stream should hold.
#[derive(Clone, Debug, Default)]
struct Model {
    entries: Entries,
    last: StreamId,
    added: u64,
    group: Option<GroupModel>,
}

#[derive(Clone, Debug, Default)]
struct GroupModel {
    position: StreamId,
    /// Owner and how often it was delivered.
    pending: BTreeMap<StreamId, (Vec<u8>, u64)>,
}

struct Run {
    disk: Arc<SimDisk>,
    store: Option<Store>,
    level: Durability,
    /// `None` if there is no such stream.
    model: Option<Model>,
}

const STREAM: &str = "s";
/// How far the last ID may be raised by a crash, in milliseconds.
const LEAD_MS: u64 = 5_000;

pub fn run(bytes: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let level = if input.always { Durability::Always } else { Durability::Os };
    number_identities(OF_AN_INPUT);
    let disk = SimDisk::new();
    let store = open(&disk, level, OnDamage::Refuse).expect("a new store opens");
    let mut run = Run { disk, store: Some(store), level, model: None };
    for op in input.ops.iter().take(64) {
        run.apply(op);
    }
    run.check();
    run.apply(&Op::Reopen);
}

fn consumer(number: u8) -> Vec<u8> {
    vec![b'a' + number % 3]
}

fn fields(value: &[u8]) -> [(&'static str, &[u8]); 1] {
    [("value", value)]
}

fn ids(entries: &[Entry]) -> Vec<StreamId> {
    entries.iter().map(Entry::id).collect()
}

/// `None` if there is no such stream or group.
fn there<T>(result: streamlog::Result<T>) -> Option<T> {
    match result {
        Err(Error::StreamNotFound { .. } | Error::GroupNotFound { .. }) => None,
        result => Some(result.expect("the disk is sound")),
    }
}

impl Run {
    fn stream(&self) -> Stream {
        self.store.as_ref().expect("the store is open").stream(STREAM).expect("a short name")
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Add { value } => self.add(&[(NewId::Auto, *value)]),
            Op::AddAt { ahead, seq, value } => {
                let last = self.model.as_ref().map_or(StreamId::MIN, |model| model.last);
                let id = StreamId::new(last.ms() + u64::from(*ahead), u64::from(*seq));
                self.add(&[(NewId::Exact(id), *value)]);
            }
            Op::Batch { count } => self.add(&vec![(NewId::Auto, 40); usize::from(count % 20) + 1]),
            Op::Delete { nth, count } => self.delete(*nth, *count),
            Op::TrimToLen { len } => {
                let surplus = |entries: &Entries| entries.len().saturating_sub(usize::from(*len));
                self.trim(Trim::to_len(u64::from(*len)), surplus);
            }
            Op::TrimBefore { nth } => {
                let id = self.nth(*nth).unwrap_or(StreamId::MIN);
                self.trim(Trim::before(id), |entries| entries.range(..id).count());
            }
            Op::SetId { ahead } => {
                let Some(model) = &mut self.model else { return };
                model.last = StreamId::new(model.last.ms() + u64::from(*ahead), model.last.seq());
                let set = SetId::new(model.last);
                self.stream().set_id(set).expect("an ID above the last one can be set");
            }
            Op::CreateGroup { from_start } => self.create_group(*from_start),
            Op::DestroyGroup => {
                let group = self.model.as_mut().and_then(|model| model.group.take());
                let destroyed = there(self.stream().group("g").destroy()).unwrap_or(false);
                assert_eq!(destroyed, group.is_some(), "a group destroyed");
            }
            Op::Deliver { consumer, count } => self.deliver(*consumer, u64::from(count % 16) + 1),
            Op::Acknowledge { nth, count } => self.acknowledge(*nth, *count),
            Op::ClaimAll { consumer } => self.claim_all(*consumer),
            Op::DeleteConsumer { consumer: number } => {
                let name = consumer(*number);
                let Some(group) = self.model.as_mut().and_then(|model| model.group.as_mut()) else { return };
                let before = group.pending.len();
                group.pending.retain(|_, (owner, _)| *owner != name);
                let gone = (before - group.pending.len()) as u64;
                assert_eq!(there(self.stream().group("g").consumer(name).delete()), Some(gone), "pending entries gone");
            }
            Op::DeleteStream => {
                let count = u64::from(self.model.take().is_some());
                let store = self.store.as_ref().expect("the store is open");
                assert_eq!(store.delete([STREAM]).expect("the disk is sound"), count);
            }
            Op::Reopen => {
                self.store.take().expect("the store is open").close().expect("the disk is sound");
                self.store = Some(open(&self.disk, self.level, OnDamage::Refuse).expect("a closed store opens"));
                self.check();
            }
            Op::Kill => self.crash(self.disk.kill_image(self.disk.steps())),
            Op::PowerLoss { seed } => {
                if self.level == Durability::Always {
                    let limits = CrashLimits { exhaustive_max: 4, samples: 4, ..CrashLimits::default() };
                    let images: Vec<Image> = self.disk.crash_images(self.disk.steps(), limits, *seed).take(8).collect();
                    let chosen = *seed as usize % images.len().max(1);
                    if let Some(image) = images.into_iter().nth(chosen) {
                        self.crash(image);
                    }
                }
            }
        }
    }

    fn nth(&self, nth: u8) -> Option<StreamId> {
        let entries = &self.model.as_ref()?.entries;
        entries.keys().nth(usize::from(nth) % entries.len().max(1)).copied()
    }

    fn add(&mut self, wanted: &[(NewId, u16)]) {
        let values: Vec<Vec<u8>> =
            wanted.iter().map(|(_, value)| vec![*value as u8; usize::from(*value % 1500)]).collect();
        let entries = wanted.iter().zip(&values).map(|((id, _), value)| (*id, fields(value)));
        let added = match (wanted, &values[..]) {
            ([(id, _)], [value]) => {
                let options = AddOptions::new().id(*id);
                self.stream().add_with(options, fields(value)).map(|id| id.into_iter().collect())
            }
            _ => self.stream().add_batch(entries),
        };
        let model = self.model.clone().unwrap_or_default();
        let added: Vec<StreamId> = match added {
            Err(Error::IdTooSmall { last, .. }) => {
                assert!(last == model.last && self.model.is_some(), "{last} after {}", model.last);
                return;
            }
            Err(Error::IdZero) => return,
            added => added.expect("the disk is sound"),
        };
        let model = self.model.get_or_insert_with(Model::default);
        for ((wanted, id), value) in wanted.iter().zip(&added).zip(values) {
            assert!(*id > model.last, "{id} after {}", model.last);
            assert!(!matches!(wanted.0, NewId::Exact(exact) if exact != *id), "{id} for {wanted:?}");
            model.entries.insert(*id, value);
            model.last = *id;
            model.added += 1;
        }
    }

    fn delete(&mut self, nth: u8, count: u8) {
        let Some(first) = self.nth(nth) else { return };
        let Some(model) = &mut self.model else { return };
        let ids: Vec<StreamId> =
            model.entries.range(first..).take(usize::from(count % 8) + 1).map(|(id, _)| *id).collect();
        model.entries.retain(|id, _| !ids.contains(id));
        assert_eq!(there(self.stream().delete(ids.iter().copied())), Some(ids.len() as u64), "entries deleted");
    }

    fn trim(&mut self, trim: Trim, surplus: impl FnOnce(&Entries) -> usize) {
        let trimmed = there(self.stream().trim(trim)).unwrap_or(0);
        let Some(model) = &mut self.model else { return assert_eq!(trimmed, 0) };
        let count = surplus(&model.entries);
        for _ in 0..count {
            model.entries.pop_first();
        }
        assert_eq!(trimmed, count as u64, "entries trimmed");
    }

    fn create_group(&mut self, from_start: bool) {
        let position = if from_start { Position::Start } else { Position::End };
        let created = self.stream().group("g").create_with(GroupOptions::new(position).create_stream());
        let model = self.model.get_or_insert_with(Model::default);
        match created {
            Err(Error::GroupExists { .. }) => assert!(model.group.is_some(), "there is no group"),
            created => {
                created.expect("the disk is sound");
                assert!(model.group.is_none(), "there is a group");
                let position = if from_start { StreamId::MIN } else { model.last };
                model.group = Some(GroupModel { position, ..GroupModel::default() });
            }
        }
    }

    fn deliver(&mut self, number: u8, count: u64) {
        let name = consumer(number);
        let read = there(self.stream().group("g").consumer(&name).read().count(count).new_entries());
        let Some(Model { entries, group: Some(group), .. }) = &mut self.model else { return assert!(read.is_none()) };
        let above = entries.keys().copied().filter(|id| *id > group.position);
        let expected: Vec<StreamId> = above.take(count as usize).collect();
        assert_eq!(read.as_deref().map(ids), Some(expected.clone()), "entries delivered");
        for id in expected {
            group.position = id;
            group.pending.insert(id, (name.clone(), 1));
        }
    }

    fn acknowledge(&mut self, nth: u8, count: u8) {
        let Some(group) = self.model.as_mut().and_then(|model| model.group.as_mut()) else { return };
        let skip = usize::from(nth) % group.pending.len().max(1);
        let ids: Vec<StreamId> = group.pending.keys().copied().skip(skip).take(usize::from(count % 8) + 1).collect();
        group.pending.retain(|id, _| !ids.contains(id));
        let acknowledged = there(self.stream().group("g").acknowledge(ids.iter().copied()));
        assert_eq!(acknowledged, Some(ids.len() as u64), "entries acknowledged");
    }

    fn claim_all(&mut self, number: u8) {
        let name = consumer(number);
        let claimed = there(self.stream().group("g").consumer(&name).auto_claim(Duration::ZERO).count(1000).run());
        let Some(Model { entries, group: Some(group), .. }) = &mut self.model else {
            return assert!(claimed.is_none());
        };
        let (kept, gone): (Vec<_>, Vec<_>) = group.pending.keys().copied().partition(|id| entries.contains_key(id));
        group.pending.retain(|id, _| entries.contains_key(id));
        for (owner, count) in group.pending.values_mut() {
            *owner = name.clone();
            *count += 1;
        }
        let claimed = claimed.expect("there is a group");
        assert_eq!((claimed.ids, claimed.deleted), (kept, gone), "entries claimed, and gone");
    }

    /// Goes on with what a crash has left.
    fn crash(&mut self, image: Image) {
        drop(self.store.take());
        self.disk = image.mount();
        self.store = Some(open(&self.disk, self.level, OnDamage::Refuse).expect("a store opens after a crash"));
        let stream = self.stream();
        if let Some(model) = &mut self.model {
            let last = stream.info().expect("the stream opens after a crash").last_generated_id;
            let highest = model.last.ms().max(super::subject::NOW_MS) + LEAD_MS;
            assert!(last >= model.last && last.ms() <= highest, "the last ID is {last}, not {}", model.last);
            model.last = last;
        }
        self.check();
    }

    /// Everything that users can see is what it should be.
    fn check(&self) {
        let stream = self.stream();
        let Some(model) = &self.model else { return assert!(!stream.exists().expect("the disk is sound")) };
        let info = stream.info().expect("the stream is there");
        assert_eq!((info.len, info.entries_added), (model.entries.len() as u64, model.added), "counters");
        assert_eq!(info.last_generated_id, model.last, "the last ID");
        let read = stream.range(..).map(|entry| {
            let entry = entry.expect("the disk is sound");
            (entry.id(), entry.get("value").expect("the field").to_vec())
        });
        assert_eq!(read.collect::<BTreeMap<_, _>>(), model.entries);
        let back: Vec<_> = stream.range(..).rev().map(|entry| entry.expect("the disk is sound").id()).collect();
        assert!(back.iter().rev().eq(model.entries.keys()), "read backwards");
        let details = stream.group_details(usize::MAX).expect("the stream is there");
        let group = details.first().map(|detail| {
            let pending = detail.pending.iter().map(|entry| {
                let owner = entry.consumer.clone().expect("nothing was released");
                (entry.id, (owner, entry.delivery_count))
            });
            (detail.info.last_delivered_id, pending.collect::<BTreeMap<_, _>>())
        });
        assert_eq!(group, model.group.clone().map(|group| (group.position, group.pending)), "the group");
    }
}
