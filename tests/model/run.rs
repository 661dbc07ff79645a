//! One sequence of operations, done to a store and to the model; every answer and every state is compared.

use std::fmt::Debug;
use std::ops::Bound;

use proptest::test_runner::TestCaseError;
use streamlog::{AddOptions, Durability, NewId, ReadFrom, References, SetId, StreamId};

use crate::groups::{self, Budget};
use crate::model::{self, Entry, Fields, Model, Stream, TrimTo};
use crate::ops::{From, Id, Limit, Name, Op, Pick, Size, To, TrimBy};
use crate::subject::{CLAIMER, Dump, Found, Medium, Subject, dump, groups as groups_of, ids, info, owned};

/// How far the ceiling of IDs may be ahead of them, in milliseconds.
const CEILING_LEAD_MS: u64 = 5_000;
/// All is compared after so many operations, and after each that opens the store.
const COMPARE_EVERY: usize = 8;
/// After so many operations one is cut short by a crash, on the side.
const CRASH_EVERY: usize = 3;

pub fn run(medium: Medium, durability: Durability, ops: &[Op]) -> Result<(), TestCaseError> {
    check(medium, durability, ops).map_err(TestCaseError::fail)
}

pub fn check(medium: Medium, durability: Durability, ops: &[Op]) -> Result<(), String> {
    let mut run = Run {
        model: Model::default(),
        subject: Subject::new(medium, durability),
        durability,
        written: 0,
        was: Model::default(),
    };
    for (number, op) in ops.iter().enumerate() {
        let step = run.step(number, op, number + 1 == ops.len());
        step.map_err(|error| format!("operation {number}, {op:?}: {error}\n{}", run.subject.transcript()))?;
    }
    Ok(())
}

pub struct Run {
    pub model: Model,
    pub subject: Subject,
    durability: Durability,
    /// How many entries were made, so that each is different.
    pub written: u64,
    /// The model before the operation.
    was: Model,
}

pub fn name_of(name: Name) -> Vec<u8> {
    match name % 3 {
        0 => b"orders".to_vec(),
        1 => b"a/b \xff.".to_vec(),
        _ => vec![b'n'; 300],
    }
}

pub fn same<T: Debug + PartialEq>(what: &str, got: &T, expected: &T) -> Result<(), String> {
    match got == expected {
        true => Ok(()),
        false => Err(format!("{what}: the store says\n  {got:?}\nthe model\n  {expected:?}")),
    }
}

/// Results are the same if their errors are the same variants with the same contents.
pub fn same_result<T: Debug + PartialEq>(got: streamlog::Result<T>, expected: model::Result<T>) -> Result<(), String> {
    let (got, expected) = (got.map_err(|error| format!("{error:?}")), expected.map_err(|error| format!("{error:?}")));
    same("answer", &got, &expected)
}

fn same_entries(what: &str, got: &[Entry], expected: &[Entry]) -> Result<(), String> {
    same(what, &ids(got), &ids(expected))?;
    same(what, &got, &expected)
}

pub fn resolve(pick: Pick, stream: &Stream) -> StreamId {
    let nth = |at: u16, count: usize| at as usize % count.max(1);
    let shift = |id: StreamId, by: i8| {
        let step = |id: StreamId| if by < 0 { id.previous() } else { id.next() };
        (0..by.unsigned_abs()).try_fold(id, |id, _| step(id)).unwrap_or(id)
    };
    match pick {
        Pick::Zero => StreamId::MIN,
        Pick::Max => StreamId::MAX,
        Pick::Near(at, by) => {
            let id = stream.entries.keys().nth(nth(at, stream.entries.len()));
            shift(id.copied().unwrap_or(stream.last_id), by)
        }
        Pick::Last(by) => shift(stream.last_id, by),
        Pick::Past(at) => stream.past.get(nth(at, stream.past.len())).copied().unwrap_or(StreamId::new(1, 1)),
        Pick::Exactly(ms, seq) => StreamId::new(ms, seq),
        Pick::Pending(at) => {
            let all: Vec<_> = stream.groups.values().flat_map(|group| group.pending.keys().copied()).collect();
            all.get(nth(at, all.len())).copied().unwrap_or(stream.last_id)
        }
    }
}

fn new_id(id: Id, stream: &Stream) -> NewId {
    match id {
        Id::Auto => NewId::Auto,
        Id::Sequence(ms) => NewId::AutoSequence(ms),
        Id::SequenceNear(by) => NewId::AutoSequence(stream.last_id.ms().saturating_add_signed(i64::from(by))),
        Id::Exact(pick) => NewId::Exact(resolve(pick, stream)),
    }
}

pub fn trims(by: TrimBy, stream: &Stream) -> (streamlog::Trim, model::Trim) {
    let (to, trim) = match by.to {
        To::Len(len) => (TrimTo::Len(u64::from(len)), streamlog::Trim::to_len(u64::from(len))),
        To::Before(pick) => {
            let id = resolve(pick, stream);
            (TrimTo::Before(id), streamlog::Trim::before(id))
        }
    };
    let trim = if by.approximate { trim.approximately() } else { trim };
    let limit = by.limit.filter(|_| by.approximate).map(u64::from);
    let trim = limit.map_or(trim, |limit| trim.limit(limit)).references(by.references);
    (trim, model::Trim { to, approximate: by.approximate, limit, references: by.references })
}

/// Whether an operation is several to the store, of which a crash may leave a part.
fn is_several(op: &Op) -> bool {
    match op {
        Op::AddMany { .. } | Op::SetBack { .. } => true,
        Op::ReadGroup { from, .. } => from.len() > 1,
        _ => false,
    }
}

impl Run {
    fn step(&mut self, number: usize, op: &Op, is_last: bool) -> Result<(), String> {
        let steps = self.subject.steps();
        self.was = self.model.clone();
        self.apply(op)?;
        self.keep_older();
        if number.is_multiple_of(CRASH_EVERY) && !is_several(op) {
            self.crash_within(steps, number as u64)?;
        }
        let opened = matches!(op, Op::Reopen | Op::Kill | Op::PowerLoss(_));
        if opened || matches!(op, Op::Rename { .. } | Op::RenameNew { .. }) {
            self.after_opening()?;
        }
        if matches!(op, Op::Sync | Op::Reopen) {
            self.model.streams.values_mut().for_each(|stream| stream.older.clear());
        }
        self.compare(is_last || opened || number.is_multiple_of(COMPARE_EVERY))
    }

    /// Notes what a power loss may go back to: before what nobody waited for, unless somebody waited for more since.
    fn keep_older(&mut self) {
        for (name, stream) in &mut self.model.streams {
            match self.was.streams.get(name) {
                Some(was) if was.is_as(stream) => {}
                Some(was) if was.without_notes().is_as(&stream.without_notes()) => {
                    stream.older.push((was.groups.clone(), was.producers.clone()));
                }
                Some(_) => stream.older.clear(),
                _ => {}
            }
        }
    }

    pub fn fields(&mut self, size: Size) -> Fields {
        self.written += 1;
        let value = |len: usize| {
            let mut value = self.written.to_string().into_bytes();
            value.resize(len.max(value.len()), b'a' + (self.written % 26) as u8);
            value
        };
        match size {
            Size::Small(len) => vec![(b"value".to_vec(), value(len.into()))],
            Size::Large(len) => vec![(b"value".to_vec(), value(len.into())), (b"after".to_vec(), Vec::new())],
            Size::Odd(seed) => {
                let name = |at: u8| match (seed ^ at) % 5 {
                    0 => Vec::new(),
                    1 => b"value".to_vec(),
                    2 => vec![0xff; 70],
                    _ => format!("name {seed}").into_bytes(),
                };
                (0..=seed % 4).map(|at| (name(at), if at == 0 { value(1) } else { Vec::new() })).collect()
            }
        }
    }

    fn add(
        &mut self,
        name: &[u8],
        wanted: NewId,
        size: Size,
        trim: Option<TrimBy>,
        no_create: bool,
    ) -> Result<(), String> {
        let fields = self.fields(size);
        // How far a limit lets it go is seen only where the number is returned.
        let without_limit = |by: TrimBy| TrimBy { limit: by.limit.filter(|_| by.references == References::Keep), ..by };
        let trim = trim.map(|by| trims(without_limit(by), &self.model.stream(name)));
        let mut options = AddOptions::new().id(wanted);
        if let Some((trim, _)) = trim {
            options = options.trim(trim);
        }
        if no_create {
            options = options.no_create();
        }
        let got = self.subject.stream(name).add_with(options, fields.clone());
        let trim = trim.map(|(_, trim)| trim);
        let expected = self.model.add(name, &[wanted], &[fields], trim, no_create);
        same_result(got, expected.map(|ids| ids.map(|ids| ids[0])))
    }

    fn apply(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Clock(ms) => {
                self.model.now_ms = *ms;
                self.subject.set_clock(*ms);
                Ok(())
            }
            Op::Add { to, id, size, trim, no_create } => {
                let name = name_of(*to);
                let wanted = new_id(*id, &self.model.stream(&name));
                self.add(&name, wanted, *size, *trim, *no_create)
            }
            Op::AddMany { to, count, size } => {
                (0..*count).try_for_each(|_| self.add(&name_of(*to), NewId::Auto, *size, None, false))
            }
            Op::AddBatch { to, ids, size } => {
                let name = name_of(*to);
                let stream = self.model.stream(&name);
                let wanted: Vec<NewId> = ids.iter().map(|id| new_id(*id, &stream)).collect();
                let fields: Vec<Fields> = ids.iter().map(|_| self.fields(*size)).collect();
                let got = self.subject.stream(&name).add_batch(wanted.iter().copied().zip(fields.clone()));
                let expected = self.model.add(&name, &wanted, &fields, None, false);
                same_result(got, expected.map(Option::unwrap_or_default))
            }
            Op::Range { of, lower, upper, fronts } => self.range(&name_of(*of), *lower, *upper, fronts),
            Op::Get { of, id } => {
                let name = name_of(*of);
                let stream = self.model.stream(&name);
                let id = resolve(*id, &stream);
                let got = self.subject.stream(&name).get(id).map(|entry| entry.as_ref().map(owned));
                same_result(got, Ok(stream.entries.get(&id).map(|(_, fields)| (id, fields.clone()))))
            }
            Op::Ends { of } => {
                let (stream, expected) = (self.subject.stream(&name_of(*of)), self.model.stream(&name_of(*of)).info());
                same_result(stream.first().map(|entry| entry.as_ref().map(owned)), Ok(expected.first))?;
                same_result(stream.last().map(|entry| entry.as_ref().map(owned)), Ok(expected.last))?;
                same_result(stream.len(), Ok(expected.len))?;
                same_result(stream.is_empty(), Ok(expected.len == 0))
            }
            Op::Read { from, count, max_count, max_size } => self.read(from, *count, *max_count, *max_size),
            Op::Trim { of, by } => {
                let name = name_of(*of);
                let (trim, expected) = trims(*by, &self.model.stream(&name));
                let got = self.subject.stream(&name).trim(trim);
                let removed = *got.as_ref().unwrap_or(&0);
                let expected = self.model.streams.get_mut(&name).map_or(0, |stream| stream.trim(expected, removed));
                same_result(got, Ok(expected))
            }
            Op::Delete { of, ids } => {
                let name = name_of(*of);
                let stream = self.model.stream(&name);
                self.delete(&name, ids.iter().map(|pick| resolve(*pick, &stream)).collect())
            }
            Op::DeleteRun { of, from, count } => {
                let name = name_of(*of);
                let stream = self.model.stream(&name);
                let from = *from as usize % stream.entries.len().max(1);
                self.delete(&name, stream.entries.keys().skip(from).take(*count as usize).copied().collect())
            }
            Op::SetId { of, id, added, max_deleted } => {
                let name = name_of(*of);
                let stream = self.model.stream(&name);
                let max_deleted = max_deleted.map(|pick| resolve(pick, &stream));
                self.set_id(&name, resolve(*id, &stream), added.map(u64::from), max_deleted)
            }
            Op::SetBack { of, count } => {
                let name = name_of(*of);
                let stream = self.model.stream(&name);
                self.delete(&name, stream.entries.keys().rev().take(*count as usize).copied().collect())?;
                let newest = self.model.stream(&name).entries.last_key_value().map_or(StreamId::MIN, |(id, _)| *id);
                self.set_id(&name, stream.last_id, None, Some(newest.max(StreamId::new(0, 1))))?;
                self.set_id(&name, newest, None, None)
            }
            Op::Info { of } => {
                let name = name_of(*of);
                let expected = self.model.streams.get(&name).map(Stream::info);
                same_result(info(&self.subject.stream(&name)), expected.ok_or_else(|| model::not_found(&name)))
            }
            Op::Names => self.names(),
            Op::Create { name } => {
                let name = name_of(*name);
                let got = self.subject.store().create(&name).map(|_| ());
                let expected = match self.model.streams.contains_key(&name) {
                    true => Err(model::Error::StreamExists { name: String::from_utf8_lossy(&name).into_owned() }),
                    false => Ok(()),
                };
                self.model.streams.entry(name).or_default();
                same_result(got, expected)
            }
            Op::DeleteStreams { names } => {
                let names: Vec<Vec<u8>> = names.iter().map(|name| name_of(*name)).collect();
                same_result(self.subject.store().delete(&names), Ok(self.model.delete_streams(&names)))
            }
            Op::Rename { from, to } => {
                let (from, to) = (name_of(*from), name_of(*to));
                let expected = self.model.rename(&from, &to, true).map(|_| ());
                same_result(self.subject.store().rename(from, to), expected)
            }
            Op::RenameNew { from, to } => {
                let (from, to) = (name_of(*from), name_of(*to));
                let expected = self.model.rename(&from, &to, false);
                same_result(self.subject.store().rename_new(from, to), expected)
            }
            Op::Copy { from, to, replace } => {
                let (from, to) = (name_of(*from), name_of(*to));
                let expected = self.model.copy(&from, &to, *replace);
                let store = self.subject.store();
                let got = if *replace { store.copy_over(from, to) } else { store.copy(from, to) };
                same_result(got, Ok(expected))
            }
            Op::Group(of, op) => self.group_op(*of, op),
            Op::ReadGroup { from, by, count, max_count, max_size, no_ack } => {
                self.read_group(from, *by, (*count, *max_count, *max_size), *no_ack)
            }
            Op::DeleteWith { of, ids, references } => {
                let name = name_of(*of);
                let stream = self.model.stream(&name);
                let ids: Vec<StreamId> = ids.iter().map(|pick| resolve(*pick, &stream)).collect();
                let got = self.subject.stream(&name).delete_with(ids.iter().copied(), *references);
                let found = self.model.streams.get_mut(&name);
                let expected = found.map(|stream| stream.delete_with(&ids, *references));
                same_result(got, Ok(expected.unwrap_or_else(|| vec![streamlog::Deletion::NotFound; ids.len()])))
            }
            Op::Produce { to, producer, key, size, trim } => self.produce(*to, *producer, *key, *size, *trim),
            Op::Configure { of, duration_s, max_len } => self.configure(*of, *duration_s, *max_len),
            Op::Remember { of, producer, key, id } => self.remember(*of, *producer, *key, *id),
            Op::Sync => same_result(self.subject.store().sync(), Ok(())),
            Op::Reopen => self.subject.reopen(),
            Op::Kill => self.kill(),
            Op::PowerLoss(choice) if self.durability == Durability::Always => {
                self.subject.lose_power(*choice)?;
                self.adopt_older()
            }
            Op::PowerLoss(_) => self.kill(),
        }
    }

    fn delete(&mut self, name: &[u8], ids: Vec<StreamId>) -> Result<(), String> {
        let expected = self.model.streams.get_mut(name).map_or(0, |stream| stream.delete(&ids));
        same_result(self.subject.stream(name).delete(ids), Ok(expected))
    }

    fn set_id(
        &mut self,
        name: &[u8],
        id: StreamId,
        added: Option<u64>,
        max_deleted: Option<StreamId>,
    ) -> Result<(), String> {
        let mut set = SetId::new(id);
        set = added.map_or(set, |added| set.entries_added(added));
        set = max_deleted.map_or(set, |id| set.max_deleted_id(id));
        let expected = self.model.streams.get_mut(name).map(|stream| stream.set_id(id, added, max_deleted));
        same_result(self.subject.stream(name).set_id(set), expected.unwrap_or_else(|| Err(model::not_found(name))))
    }

    fn range(&self, name: &[u8], lower: Limit, upper: Limit, fronts: &[bool]) -> Result<(), String> {
        let stream = self.model.stream(name);
        let bound = |limit| match limit {
            Limit::None => Bound::Unbounded,
            Limit::Included(pick) => Bound::Included(resolve(pick, &stream)),
            Limit::Excluded(pick) => Bound::Excluded(resolve(pick, &stream)),
        };
        let bounds = (bound(lower), bound(upper));
        let mut expected = stream.range(bounds).into_iter();
        let mut range = self.subject.stream(name).range(bounds);
        for front in fronts.iter().cycle() {
            let (got, expected) = match front {
                true => (range.next(), expected.next()),
                false => (range.next_back(), expected.next_back()),
            };
            let got = got.transpose().map(|entry| entry.as_ref().map(owned));
            let done = expected.is_none();
            same_result(got, Ok(expected)).map_err(|error| format!("in {bounds:?}: {error}"))?;
            if done {
                break;
            }
        }
        match (range.next(), range.next_back()) {
            (None, None) => Ok(()),
            more => Err(format!("in {bounds:?}: after the end came {more:?}")),
        }
    }

    fn read(&self, from: &[(Name, From)], count: u8, max_count: u8, max_size: u16) -> Result<(), String> {
        let mut read = self.subject.store().read();
        let mut expected = Vec::new();
        for (name, from) in from {
            let name = name_of(*name);
            let (given, modelled) = match from {
                From::After(pick) => {
                    let id = resolve(*pick, &self.model.stream(&name));
                    (ReadFrom::After(id), model::From::After(id))
                }
                From::End => (ReadFrom::End, model::From::End),
                From::Last => (ReadFrom::Last, model::From::Last),
            };
            read = read.stream(&self.subject.stream(&name), given);
            expected.push((name, modelled));
        }
        let (count, max_count, max_size) = (count.into(), max_count.into(), max_size.into());
        let got = read.count(count).max_count(max_count).max_size(max_size).run();
        let got = got.map(|found| -> Vec<(usize, Vec<Entry>)> {
            found.into_iter().map(|(position, entries)| (position, entries.iter().map(owned).collect())).collect()
        });
        same_result(got, Ok(self.model.read(&expected, count, max_count, max_size)))
    }

    fn kill(&mut self) -> Result<(), String> {
        self.subject.kill()?;
        if self.durability != Durability::Always {
            // IDs that might have been handed out are not handed out again.
            for (name, stream) in &mut self.model.streams {
                let got = info(&self.subject.stream(name)).map_err(|error| format!("after the kill: {error:?}"))?;
                check_ceiling(stream, got.last_id)?;
                stream.last_id = got.last_id;
            }
        }
        Ok(())
    }

    fn names(&self) -> Result<(), String> {
        same_result(self.subject.store().names(), Ok(self.model.streams.keys().cloned().collect()))?;
        (0..3).map(name_of).try_for_each(|name| {
            let expected = self.model.streams.contains_key(&name);
            same_result(self.subject.store().exists(&name), Ok(expected))
        })
    }

    /// Compares what each stream says of itself, and with `all` everything.
    fn compare(&mut self, all: bool) -> Result<(), String> {
        (0..3).try_for_each(|name| self.settle_producers(&name_of(name)))?;
        self.names()?;
        for (name, stream) in &self.model.streams {
            same_result(info(&self.subject.stream(name)), Ok(stream.info()))?;
            same("groups", &groups_of(&self.subject.stream(name))?, &stream.seen())?;
        }
        if all {
            let got = dump(self.subject.store())?;
            for (name, stream) in &self.model.streams {
                same_entries("entries", &got[name].entries, &stream.entries())?;
                self.same_claims(&got[name], stream)?;
            }
        }
        Ok(())
    }

    /// Crashes somewhere within the operation that was just done, on the side: then it was done, or it was not.
    fn crash_within(&self, steps: usize, choice: u64) -> Result<(), String> {
        let (now, before) = (self.subject.steps(), &self.was);
        if now <= steps {
            return Ok(());
        }
        let step = steps + (choice as usize * 7919) % (now - steps + 1);
        let Some(found) = self.subject.crash_at(step, choice) else { return Ok(()) };
        let found = found?;
        let not_before = self.is_like(&found, before);
        let not_after = self.is_like(&found, &self.model).or_else(|why| {
            // The ceiling is lowered after the change that sets the last ID back: that may stay where it was.
            let mut kept = self.model.clone();
            for (name, stream) in &mut kept.streams {
                let last_id = before.streams.get(name).map_or(stream.last_id, |stream| stream.last_id);
                stream.last_id = stream.last_id.max(last_id);
            }
            self.is_like(&found, &kept).map_err(|_| why)
        });
        match (not_before, not_after) {
            (Err(not_before), Err(not_after)) => Err(format!(
                "after a crash at step {step} of {steps}..{now} the state is neither that before\n{not_before}\nnor \
                 that after\n{not_after}"
            )),
            _ => Ok(()),
        }
    }

    fn is_like(&self, found: &Dump, model: &Model) -> Result<(), String> {
        same("names", &found.keys().collect::<Vec<_>>(), &model.streams.keys().collect())?;
        for (name, stream) in &model.streams {
            let Found { info, entries, .. } = &found[name];
            check_ceiling(stream, info.last_id)?;
            let expected = model::Info { last_id: info.last_id, ..stream.info() };
            same("info", info, &expected)?;
            same_entries("entries", entries, &stream.entries())?;
            let mut allowed = stream.as_older();
            allowed.push(stream.clone());
            let like = allowed.into_iter().rev().map(|stream| self.is_like_aside(&found[name], stream));
            like.reduce(|newest, older| newest.or_else(|why| older.map_err(|_| why))).unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    /// Whether groups and producers were found so.
    fn is_like_aside(&self, found: &Found, mut stream: Stream) -> Result<(), String> {
        stream.last_id = found.info.last_id;
        same("groups", &found.groups, &stream.seen())?;
        self.same_claims(found, &stream)?;
        let now = self.model.now_ms;
        if stream.producers.may_come_back(now) || found.producers == stream.producers.swept(now).seen() {
            return Ok(());
        }
        same("producers", &found.producers, &stream.producers.seen())
    }

    /// Whether what is pending comes in the right order to whoever claims everything.
    fn same_claims(&self, found: &Found, stream: &Stream) -> Result<(), String> {
        let unlimited = Budget { count: u64::MAX, max_count: u64::MAX, max_size: u64::MAX, is_first: true };
        found.claims.iter().try_for_each(|(group, given)| {
            let (now, from) = (self.model.now_ms, groups::From::NewOrIdle(0));
            let expected = stream.clone().read_group(group, CLAIMER, from, false, now, &mut unlimited.clone());
            same("what can be claimed", given, &expected)
        })
    }
}

fn check_ceiling(stream: &Stream, last_id: StreamId) -> Result<(), String> {
    let highest = stream.last_id.ms().saturating_add(CEILING_LEAD_MS).saturating_add(20_000);
    match last_id >= stream.last_id && last_id.ms() <= highest {
        true => Ok(()),
        false => Err(format!("the last ID was {}, and is {last_id} after the crash", stream.last_id)),
    }
}
