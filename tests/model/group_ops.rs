//! Operations on groups and producers, done to the store and to the model.

use std::time::{Duration, UNIX_EPOCH};

use streamlog::{AddOptions, GroupEntry, GroupOptions, GroupReadFrom, Position, Production, ReleaseOptions, Trim};

use crate::groups::{self, Budget, Claiming, From, Given, Key};
use crate::model::{self, Error, Stream, group_not_found, not_found};
use crate::ops::{At, DeliveredAt, GroupFrom, GroupOp, Member, Name, Pick, Size, TrimBy};
use crate::run::{Run, name_of, resolve, same, same_result, trims};
use crate::subject::{self, owned};

fn group_name(group: Member) -> &'static [u8] {
    [&b"g"[..], b"", b"\xff workers"][group as usize % 3]
}

fn consumer_name(consumer: Member) -> &'static [u8] {
    [&b"alice"[..], b"bob", b""][consumer as usize % 3]
}

fn producer_name(producer: Member) -> &'static [u8] {
    [&b"p"[..], b"\xff", b"another"][producer as usize % 3]
}

fn millis(ms: impl Into<u64>) -> Duration {
    Duration::from_millis(ms.into())
}

pub fn given(entry: &GroupEntry) -> Given {
    (entry.id, entry.entry.as_ref().map(owned), entry.idle.as_millis() as u64, entry.delivery_count)
}

impl Run {
    fn pick_all(&self, of: &[u8], ids: &[Pick]) -> Vec<streamlog::StreamId> {
        let stream = self.model.stream(of);
        ids.iter().map(|pick| resolve(*pick, &stream)).collect()
    }

    pub fn group_op(&mut self, of: Name, op: &GroupOp) -> Result<(), String> {
        let name = name_of(of);
        let stream = self.model.stream(&name);
        let subject = self.subject.stream(&name);
        let position = |at: At| match at {
            At::Start => (Position::Start, streamlog::StreamId::MIN),
            At::End => (Position::End, stream.last_id),
            At::After(pick) => (Position::After(resolve(pick, &stream)), resolve(pick, &stream)),
        };
        let now = self.model.now_ms;
        let is_there = self.model.streams.contains_key(&name);
        match op {
            GroupOp::Create { group, at, read, create_stream } => {
                let group = group_name(*group);
                let (given, id) = position(*at);
                let read = read.map(u64::from);
                let mut options = GroupOptions::new(given);
                if let Some(read) = read {
                    options = options.entries_read(read);
                }
                if *create_stream {
                    options = options.create_stream();
                }
                let got = subject.group(group).create_with(options);
                let expected = if !is_there && !create_stream {
                    Err(not_found(&name))
                } else if stream.groups.contains_key(group) {
                    let [stream, group] = [&name[..], group].map(|name| String::from_utf8_lossy(name).into_owned());
                    Err(Error::GroupExists { stream, group })
                } else {
                    let stream = self.model.streams.entry(name).or_default();
                    let entries_read = read.map(|read| read.min(stream.entries_added));
                    let new = groups::Group::new(id, entries_read);
                    stream.groups.insert(group.to_vec(), new);
                    Ok(())
                };
                same_result(got, expected)
            }
            GroupOp::SetPosition { group, at, read } => {
                let group = group_name(*group);
                let (given, id) = position(*at);
                let read = read.map(u64::from);
                let got = subject.group(group).set_position(given, read);
                let found = self.model.streams.get_mut(&name).and_then(|stream| stream.groups.get_mut(group));
                let expected = found.map(|found| {
                    found.position = id;
                    found.entries_read = read.map(|read| read.min(stream.entries_added));
                });
                same_result(got, expected.ok_or_else(|| group_not_found(&name, group)))
            }
            GroupOp::Destroy { group } => {
                let group = group_name(*group);
                let removed = self.model.streams.get_mut(&name).and_then(|stream| stream.groups.remove(group));
                same_result(subject.group(group).destroy(), Ok(removed.is_some()))
            }
            GroupOp::CreateConsumer { by } => {
                let (group, consumer) = (group_name(by.0), consumer_name(by.1));
                let got = subject.group(group).consumer(consumer).create();
                let found = self.model.streams.get_mut(&name).and_then(|stream| stream.groups.get_mut(group));
                let expected = found.map(|found| {
                    let new = groups::Consumer { seen: now, active: None };
                    let is_new = !found.consumers.contains_key(consumer);
                    found.consumers.entry(consumer.to_vec()).or_insert(new);
                    is_new
                });
                same_result(got, expected.ok_or_else(|| group_not_found(&name, group)))
            }
            GroupOp::DeleteConsumer { by } => {
                let (group, consumer) = (group_name(by.0), consumer_name(by.1));
                let got = subject.group(group).consumer(consumer).delete();
                let found = self.model.streams.get_mut(&name).and_then(|stream| stream.groups.get_mut(group));
                let expected = found.map(|found| {
                    let before = found.pending.len();
                    found.consumers.remove(consumer);
                    found.pending.retain(|_, entry| entry.owner.as_deref() != Some(consumer));
                    (before - found.pending.len()) as u64
                });
                same_result(got, expected.ok_or_else(|| group_not_found(&name, group)))
            }
            GroupOp::Acknowledge { group, ids } => {
                let (group, ids) = (group_name(*group), self.pick_all(&name, ids));
                let found = self.model.streams.get_mut(&name).and_then(|stream| stream.groups.get_mut(group));
                let expected = found.map(|found| found.acknowledge(&ids));
                let got = subject.group(group).acknowledge(ids);
                same_result(got, expected.ok_or_else(|| group_not_found(&name, group)))
            }
            GroupOp::AcknowledgeAndDelete { group, ids, references } => {
                let (group, ids) = (group_name(*group), self.pick_all(&name, ids));
                let found = self.model.streams.get_mut(&name);
                let expected = found.and_then(|stream| stream.acknowledge_and_delete(group, &ids, *references));
                let got = subject.group(group).acknowledge_and_delete(ids, *references);
                same_result(got, expected.ok_or_else(|| group_not_found(&name, group)))
            }
            GroupOp::Release { group, ids, how, count, force } => {
                let (group, ids) = (group_name(*group), self.pick_all(&name, ids));
                let count = count.map(u64::from);
                let found = self.model.streams.get_mut(&name);
                let expected = found.and_then(|stream| stream.release(group, &ids, *how, count, *force));
                let mut options = ReleaseOptions::new(*how);
                if let Some(count) = count {
                    options = options.delivery_count(count);
                }
                if *force {
                    options = options.force();
                }
                let got = subject.group(group).release_with(ids, options);
                same_result(got, expected.ok_or_else(|| group_not_found(&name, group)))
            }
            GroupOp::Claim { by, min_idle, ids, delivered, count, flags: (force, keep_count), last_id } => {
                let (group, consumer) = (group_name(by.0), consumer_name(by.1));
                let claiming = Claiming {
                    min_idle: (*min_idle).into(),
                    ids: self.pick_all(&name, ids),
                    delivered: match delivered {
                        DeliveredAt::Now => groups::DeliveredAt::Now,
                        DeliveredAt::Ago(ms) => groups::DeliveredAt::Ago((*ms).into()),
                        DeliveredAt::Time(ms) => groups::DeliveredAt::Time((*ms).into()),
                    },
                    count: count.map(u64::from),
                    force: *force,
                    keep_count: *keep_count,
                    last_id: last_id.map(|pick| resolve(pick, &stream)),
                };
                let mut claim =
                    subject.group(group).consumer(consumer).claim(millis(*min_idle), claiming.ids.iter().copied());
                claim = match delivered {
                    DeliveredAt::Now => claim,
                    DeliveredAt::Ago(ms) => claim.idle(millis(*ms)),
                    DeliveredAt::Time(ms) => claim.delivered_at(UNIX_EPOCH + millis(*ms)),
                };
                claim = claiming.count.map_or(claim.clone(), |count| claim.delivery_count(count));
                claim = claiming.last_id.map_or(claim.clone(), |id| claim.last_id(id));
                claim = if *force { claim.force() } else { claim };
                claim = if *keep_count { claim.keep_count() } else { claim };
                let got = claim.run().map(|entries| entries.iter().map(owned).collect::<Vec<_>>());
                same_result(got, self.model.claim(&name, group, consumer, &claiming))
            }
            GroupOp::AutoClaim { by, min_idle, start, count, ids_only } => {
                let (group, consumer) = (group_name(by.0), consumer_name(by.1));
                let start = resolve(*start, &stream);
                let claim = subject.group(group).consumer(consumer).auto_claim(millis(*min_idle));
                let claim = claim.start(start).count((*count).into());
                let got = if *ids_only { claim.ids_only().run() } else { claim.run() };
                let got = got.map(|found| {
                    (found.next, found.entries.iter().map(owned).collect::<Vec<_>>(), found.ids, found.deleted)
                });
                let how = ((*min_idle).into(), start, (*count).into(), *ids_only);
                let found = self.model.streams.get_mut(&name);
                let expected = found.and_then(|stream| stream.auto_claim(group, consumer, how, now));
                let expected = expected.map(|(next, claimed, gone)| {
                    let ids = claimed.iter().map(|(id, _)| *id).collect();
                    (next, if *ids_only { Vec::new() } else { claimed }, ids, gone)
                });
                same_result(got, expected.ok_or_else(|| group_not_found(&name, group)))
            }
            GroupOp::Pending { by, ids, count, own, min_idle } => {
                let ids = ids.map(|(from, to)| (resolve(from, &stream), resolve(to, &stream)));
                self.pending(&name, (group_name(by.0), consumer_name(by.1)), ids, (*count).into(), *own, *min_idle)
            }
        }
    }

    /// Reads the list of pending entries in all ways.
    fn pending(
        &self,
        name: &[u8],
        (group, consumer): (&[u8], &[u8]),
        ids: Option<(streamlog::StreamId, streamlog::StreamId)>,
        count: u64,
        own: bool,
        min_idle: u16,
    ) -> Result<(), String> {
        let (stream, now) = (self.model.stream(name), self.model.now_ms);
        let subject = self.subject.stream(name).group(group);
        let found = stream.groups.get(group).ok_or_else(|| group_not_found(name, group));
        let summary =
            subject.pending().map(|summary| (summary.count, summary.first_id, summary.last_id, summary.consumers));
        let expected = stream.seen().into_iter().find(|seen| *seen.name == *group);
        let expected = expected.map(|seen| {
            let consumers = seen.consumers.into_iter().map(|(name, _, _, ids)| (name, ids.len() as u64));
            let id = |entry: Option<&(streamlog::StreamId, _, _, _)>| entry.map(|entry| entry.0);
            (
                seen.pending.len() as u64,
                id(seen.pending.first()),
                id(seen.pending.last()),
                consumers.filter(|(_, count)| *count > 0).collect::<Vec<_>>(),
            )
        });
        same_result(summary, expected.ok_or_else(|| group_not_found(name, group)))?;
        let mut listing = subject.pending_entries().min_idle(millis(min_idle));
        if let Some((from, to)) = ids {
            listing = listing.ids(from..=to).count(count);
        }
        if own {
            listing = listing.consumer(consumer);
        }
        let got = listing.run().map(|entries| {
            entries.into_iter().map(|e| (e.id, e.consumer, e.delivery_time_ms, e.delivery_count)).collect::<Vec<_>>()
        });
        let expected = found.map(|found| {
            let (from, to) = ids.unwrap_or((streamlog::StreamId::MIN, streamlog::StreamId::MAX));
            let wanted = found.pending.iter().filter(|(id, entry)| {
                let is_idle = entry.owner.is_none() || now.saturating_sub(entry.time) >= min_idle.into();
                from <= **id && **id <= to && is_idle && (!own || entry.owner.as_deref() == Some(consumer))
            });
            let listed = wanted.map(|(id, e)| (*id, e.owner.clone(), e.time, e.count));
            listed.take(if ids.is_some() { count as usize } else { usize::MAX }).collect::<Vec<_>>()
        });
        same_result(got, expected)
    }

    pub fn read_group(
        &mut self,
        from: &[(Name, GroupFrom)],
        (group, consumer): (Member, Member),
        (count, max_count, max_size): (u8, u8, u16),
        no_ack: bool,
    ) -> Result<(), String> {
        let (group, consumer) = (group_name(group), consumer_name(consumer));
        let mut read = self.subject.store().read_group(group, consumer);
        let mut modelled = Vec::new();
        for (name, from) in from {
            let name = name_of(*name);
            let (how, expected) = match from {
                GroupFrom::New => (GroupReadFrom::New, From::New),
                GroupFrom::NewOrIdle(ms) => (GroupReadFrom::NewOrIdle(millis(*ms)), From::NewOrIdle((*ms).into())),
                GroupFrom::History(pick) => {
                    let id = resolve(*pick, &self.model.stream(&name));
                    (GroupReadFrom::History(id), From::History(id))
                }
            };
            read = read.stream(&self.subject.stream(&name), how);
            modelled.push((name, expected));
        }
        if no_ack {
            read = read.no_ack();
        }
        let got = read.count(count.into()).max_count(max_count.into()).max_size(max_size.into()).run();
        let got = got.map(|found| -> Vec<(usize, Vec<Given>)> {
            found.into_iter().map(|(position, entries)| (position, entries.iter().map(given).collect())).collect()
        });
        let limit = |limit: u64| if limit == 0 { u64::MAX } else { limit };
        let budget = Budget {
            count: limit(count.into()),
            max_count: limit(max_count.into()),
            max_size: limit(max_size.into()),
            is_first: true,
        };
        let expected = self.model.read_group(&modelled, (group, consumer), no_ack, budget);
        same_result(got, expected)
    }

    /// Lets the store forget productions, if it is going to, and the model with it.
    pub fn settle_producers(&mut self, name: &[u8]) -> Result<(), String> {
        let now = self.model.now_ms;
        let Some(stream) = self.model.streams.get_mut(name) else { return Ok(()) };
        let got = subject::producers(&self.subject.stream(name)).map_err(|error| format!("{error:?}"))?;
        let swept = stream.producers.swept(now);
        if got == swept.seen() {
            stream.producers = swept;
            return Ok(());
        }
        if stream.producers.is_overdue(now) {
            return Err(format!(
                "{got:?} are remembered, {:?} at {now} after the time: {:?}",
                swept.seen(),
                stream.producers
            ));
        }
        same("producers", &got, &stream.producers.seen())
    }

    pub fn produce(
        &mut self,
        to: Name,
        producer: Member,
        key: Option<u8>,
        size: Size,
        trim: Option<TrimBy>,
    ) -> Result<(), String> {
        let (name, producer) = (name_of(to), producer_name(producer));
        self.settle_producers(&name)?;
        // The same content comes again only if it is not numbered.
        let fields = match (key, size) {
            (None, Size::Small(len)) => {
                vec![(b"a".to_vec(), vec![b'v'; usize::from(len % 3)]), (b"b".to_vec(), Vec::new())]
            }
            _ => self.fields(size),
        };
        let given =
            if self.written.is_multiple_of(2) { fields.clone() } else { fields.iter().rev().cloned().collect() };
        let trim = trim.map(|by| trims(TrimBy { limit: None, ..by }, &self.model.stream(&name)));
        let id = key.map(|key| format!("key {key}").into_bytes());
        let production = match &id {
            Some(id) => Production::Named { producer, id },
            None => Production::ByContent { producer },
        };
        let options = AddOptions::new().production(production);
        let options = trim.map_or(options, |(trim, _): (Trim, model::Trim)| options.trim(trim));
        let got = self.subject.stream(&name).add_with(options, given.clone());
        let key = id.map_or_else(
            || {
                let mut sorted = fields.clone();
                sorted.sort();
                Key::Content(sorted)
            },
            Key::Named,
        );
        let expected = self.model.produce(&name, producer, key, &given, trim.map(|(_, trim)| trim));
        same_result(got, expected.map(Some))
    }

    pub fn configure(&mut self, of: Name, duration_s: Option<u8>, max_len: Option<u8>) -> Result<(), String> {
        let name = name_of(of);
        let (duration_s, max_len) = (duration_s.map(u64::from), max_len.map(u64::from));
        let got = self.subject.stream(&name).configure_producers(duration_s.map(Duration::from_secs), max_len);
        let expected = self.model.streams.get_mut(&name).map(|stream| stream.producers.configure(duration_s, max_len));
        same_result(got, expected.ok_or_else(|| not_found(&name)))
    }

    pub fn remember(&mut self, of: Name, producer: Member, key: u8, id: Pick) -> Result<(), String> {
        let (name, producer) = (name_of(of), producer_name(producer));
        self.settle_producers(&name)?;
        let id = resolve(id, &self.model.stream(&name));
        let now = self.model.now_ms;
        let key = format!("key {key}").into_bytes();
        let got = self.subject.stream(&name).remember_production(producer, &key, id);
        let expected = match self.model.streams.get_mut(&name) {
            None => Err(not_found(&name)),
            Some(stream) if !stream.entries.contains_key(&id) => Err(Error::EntryNotFound { id }),
            Some(stream) => match stream.producers.find(producer, &Key::Named(key.clone())) {
                Some(known) if known == id => Ok(()),
                Some(known) => Err(Error::ProductionExists { id: known }),
                None => {
                    stream.producers.remember(producer, Key::Named(key), id, now);
                    Ok(())
                }
            },
        };
        same_result(got, expected)
    }

    /// After a stream was opened anew: clears what may be remembered there again, see `Producers::may_come_back`.
    pub fn after_opening(&mut self) -> Result<(), String> {
        let names: Vec<_> = self.model.streams.keys().cloned().collect();
        for name in names {
            let now = self.model.now_ms;
            let stream = self.model.streams.get_mut(&name).ok_or("no stream")?;
            if stream.producers.may_come_back(now) {
                let duration_s = 101 - stream.producers.duration_s.min(99);
                stream.producers.configure(Some(duration_s), None);
                let got = self.subject.stream(&name).configure_producers(Some(Duration::from_secs(duration_s)), None);
                same_result(got, Ok(()))?;
            }
        }
        Ok(())
    }

    /// After a power loss: what nobody waited for may be missing.
    pub fn adopt_older(&mut self) -> Result<(), String> {
        for (name, stream) in &mut self.model.streams {
            let subject = self.subject.stream(name);
            let found =
                (subject::groups(&subject)?, subject::producers(&subject).map_err(|error| format!("{error:?}"))?);
            let now = self.model.now_ms;
            let like = |stream: &Stream| {
                let producers = [stream.producers.clone(), stream.producers.swept(now)];
                let fits = |producers: &groups::Producers| producers.may_come_back(now) || producers.seen() == found.1;
                stream.seen() == found.0 && producers.iter().any(fits)
            };
            if !like(stream) {
                let older = stream.as_older().into_iter().rev().find(like);
                *stream = older.ok_or_else(|| {
                    format!(
                        "after the power loss there are\n  {found:?}, not\n  {:?} {:?}\nor older",
                        stream.seen(),
                        stream.producers
                    )
                })?;
            }
            stream.older.clear();
        }
        Ok(())
    }
}
