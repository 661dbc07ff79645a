//! XREAD and XREADGROUP.

use std::time::Duration;

use super::reply::{Failure, Reply};
use super::{Arity, Command, Protocol, Session, parse};
use crate::{Block, Entry, Error, GroupEntry, GroupRead, GroupReadFrom, Read, ReadFrom, StreamId};

pub(super) const COMMANDS: &[Command] =
    &[Command::new("xread", Arity::AtLeast(4), xread), Command::new("xreadgroup", Arity::AtLeast(7), xreadgroup)];

/// `XREAD [COUNT n] [MAXCOUNT n] [MAXSIZE bytes] [BLOCK ms] STREAMS key [key ...] id [id ...]`
///
/// Order of checks (READ-1, READ-2): options, balance of keys and IDs, then stream by stream.
fn xread(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let (read, asked) = Plain::parse(session, args)?;
    Ok(asked.reply(session, read.run()?))
}

/// As [`xread`], without holding up a thread while it blocks.
#[cfg(feature = "redis")]
pub(super) async fn xread_async(session: &Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let (read, asked) = Plain::parse(session, args)?;
    Ok(asked.reply(session, read.run_async().await?))
}

/// What an `XREAD` asks for.
struct Plain<'a> {
    /// Those that can be names of streams.
    keys: Vec<&'a [u8]>,
    max_size: Option<u64>,
}

impl<'a> Plain<'a> {
    fn parse(session: &Session, args: &'a [&'a [u8]]) -> Result<(Read, Self), Failure> {
        let options = ReadOptions::parse(args, Reader::Plain, session.store.now_ms())?;
        let mut read = session.store.read().count(options.count).block(session.may_block(options.block));
        if let Some(count) = options.max_count {
            read = read.max_count(count);
        }
        if let Some(bytes) = options.max_size {
            // Names and values are the larger part of a reply, so this bounds what is read; `within` cuts exactly.
            read = read.max_size(bytes);
        }
        let mut keys = Vec::with_capacity(options.keys.len());
        for (key, id) in options.keys.iter().zip(options.ids) {
            let from = read_from(id)?;
            // Under a name that no stream can have there is nothing, and nothing comes.
            if let Some(stream) = session.stream(key)? {
                read = read.stream(&stream, from);
                keys.push(*key);
            }
        }
        Ok((read, Self { keys, max_size: options.max_size }))
    }

    fn reply(&self, session: &Session, found: Vec<(usize, Vec<Entry>)>) -> Reply {
        if found.is_empty() {
            return Reply::NilArray;
        }
        let streams = found.into_iter().filter_map(|(position, entries)| {
            let key = *self.keys.get(position)?;
            Some((Reply::bulk(key), entries))
        });
        let mut room = Room::new(session, self.max_size);
        Reply::Pairs(streams.map_while(|(key, entries)| room.admit(key, &entries)).collect())
    }
}

fn read_from(id: &[u8]) -> Result<ReadFrom, Failure> {
    match parse::text(id) {
        b"$" => Ok(ReadFrom::End),
        b"+" => Ok(ReadFrom::Last),
        b">" => Err(Failure::NewEntriesOutsideGroup),
        _ => parse::id(id).map(ReadFrom::After),
    }
}

/// `XREADGROUP GROUP group consumer [COUNT n] [MAXCOUNT n] [MAXSIZE bytes] [BLOCK ms] [CLAIM min-idle] [NOACK]
/// STREAMS key [key ...] id [id ...]`
///
/// Order of checks (XRG-1): options, balance of keys and IDs, GROUP; then stream by stream: key and group, ID.
fn xreadgroup(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let (read, asked) = Grouped::parse(session, args)?;
    asked.reply(read.run())
}

/// As [`xreadgroup`], without holding up a thread while it blocks.
#[cfg(feature = "redis")]
pub(super) async fn xreadgroup_async(session: &Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let (read, asked) = Grouped::parse(session, args)?;
    asked.reply(read.run_async().await)
}

/// What an `XREADGROUP` asks for.
struct Grouped<'a> {
    group: &'a [u8],
    keys: &'a [&'a [u8]],
    /// Whether entries of the stream may be claimed, key by key.
    claims: Vec<bool>,
}

impl<'a> Grouped<'a> {
    fn parse(session: &Session, args: &'a [&'a [u8]]) -> Result<(GroupRead, Self), Failure> {
        let options = ReadOptions::parse(args, Reader::Group, session.store.now_ms())?;
        let (group, consumer) = options.group.ok_or(Failure::GroupMissing)?;
        let mut read = session.store.read_group(group, consumer).count(options.count).measure(encoded_len);
        read = read.block(session.may_block(options.block));
        if let Some(count) = options.max_count {
            read = read.max_count(count);
        }
        if let Some(bytes) = options.max_size {
            read = read.max_size(bytes);
        }
        if options.no_ack {
            read = read.no_ack();
        }
        let mut asked = Self { group, keys: options.keys, claims: Vec::with_capacity(options.keys.len()) };
        // CLM-6: no longer after a stream of which the history is asked for.
        let mut claim = options.claim;
        for (key, id) in options.keys.iter().zip(options.ids) {
            let found = session.existing_group(key, group)?.ok_or_else(|| asked.gone(key))?;
            let from = group_read_from(id, claim)?;
            if matches!(from, GroupReadFrom::History(_)) {
                claim = None;
            }
            asked.claims.push(claim.is_some());
            read = read.stream(found.stream(), from);
        }
        Ok((read, asked))
    }

    fn gone(&self, key: &[u8]) -> Failure {
        Failure::NoSuchGroupToRead { key: key.to_vec(), group: self.group.to_vec() }
    }

    fn reply(&self, found: crate::Result<Vec<(usize, Vec<GroupEntry>)>>) -> Result<Reply, Failure> {
        let found = found.map_err(|error| match error {
            Error::GroupNotFound { stream, .. } => {
                // Names are bytes; the error has them as text.
                let is_it = |key: &&&[u8]| String::from_utf8_lossy(key) == stream;
                self.gone(self.keys.iter().find(is_it).copied().unwrap_or_default())
            }
            error => error.into(),
        })?;
        if found.is_empty() {
            return Ok(Reply::NilArray);
        }
        let streams = found.iter().filter_map(|(position, entries)| {
            let (key, claims) = (self.keys.get(*position)?, *self.claims.get(*position)?);
            let entries = entries.iter().map(|entry| group_entry(entry, claims)).collect();
            Some((Reply::bulk(*key), Reply::Array(entries)))
        });
        Ok(Reply::Pairs(streams.collect()))
    }
}

fn group_read_from(id: &[u8], claim: Option<Duration>) -> Result<GroupReadFrom, Failure> {
    let new = claim.map_or(GroupReadFrom::New, GroupReadFrom::NewOrIdle);
    match parse::text(id) {
        b"$" => Err(Failure::MeaninglessId('$')),
        b"+" => Err(Failure::MeaninglessId('+')),
        b">" => Ok(new),
        // XRG-6: the highest ID is the same as `>`.
        _ => Ok(match parse::id(id)? {
            StreamId::MAX => new,
            id => GroupReadFrom::History(id),
        }),
    }
}

/// RESP-4: with four elements where entries may have been claimed.
fn group_entry(entry: &GroupEntry, claims: bool) -> Reply {
    let fields = match &entry.entry {
        Some(entry) => Reply::fields(entry),
        None => Reply::NilArray,
    };
    let mut parts = vec![Reply::id(entry.id), fields];
    if claims {
        parts.push(Reply::count(entry.idle.as_millis()));
        parts.push(Reply::count(entry.delivery_count));
    }
    Reply::Array(parts)
}

/// The bytes of an entry in a reply, or of one that is gone.
fn encoded_len(id: StreamId, entry: Option<&Entry>) -> u64 {
    let mut bytes = Vec::new();
    let gone = || Reply::Array(vec![Reply::id(id), Reply::NilArray]);
    entry.map_or_else(gone, Reply::entry).encode(Protocol::Resp2, &mut bytes);
    bytes.len() as u64
}

/// For whom options are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Plain,
    Group,
}

struct ReadOptions<'a> {
    /// Per stream; 0 for no limit.
    count: u64,
    max_count: Option<u64>,
    max_size: Option<u64>,
    block: Block,
    group: Option<(&'a [u8], &'a [u8])>,
    claim: Option<Duration>,
    no_ack: bool,
    keys: &'a [&'a [u8]],
    ids: &'a [&'a [u8]],
}

impl<'a> ReadOptions<'a> {
    /// Reads all arguments. An option without its value is not that option (ARG-5), so a lone one is a syntax error.
    fn parse(mut args: &'a [&'a [u8]], reader: Reader, now_ms: u64) -> Result<Self, Failure> {
        let (mut count, mut max_count, mut max_size, mut block) = (0, None, None, Block::No);
        let (mut group, mut claim, mut no_ack) = (None, None, false);
        let streams = loop {
            let [option, rest @ ..] = args else { return Err(Failure::Syntax) };
            args = match rest {
                [value, after @ ..] if parse::is(option, "BLOCK") => {
                    block = timeout(value, now_ms)?;
                    after
                }
                [value, after @ ..] if parse::is(option, "COUNT") => {
                    // READ-4: none, too, means no limit.
                    count = u64::try_from(parse::integer(value)?).unwrap_or(0);
                    after
                }
                [value, after @ ..] if parse::is(option, "MAXCOUNT") => {
                    max_count = Some(reply_limit(value, "MAXCOUNT")?);
                    after
                }
                [value, after @ ..] if parse::is(option, "MAXSIZE") => {
                    max_size = Some(reply_limit(value, "MAXSIZE")?);
                    after
                }
                [_, ..] if parse::is(option, "STREAMS") => break rest,
                [name, consumer, after @ ..] if parse::is(option, "GROUP") => {
                    if reader == Reader::Plain {
                        return Err(Failure::GroupReadOnly("GROUP"));
                    }
                    group = Some((*name, *consumer));
                    after
                }
                [value, after @ ..] if parse::is(option, "CLAIM") => {
                    if reader == Reader::Plain {
                        return Err(Failure::GroupReadOnly("CLAIM"));
                    }
                    claim = Some(min_idle(value)?);
                    after
                }
                after if parse::is(option, "NOACK") => {
                    if reader == Reader::Plain {
                        return Err(Failure::GroupReadOnly("NOACK"));
                    }
                    no_ack = true;
                    after
                }
                _ => return Err(Failure::Syntax),
            };
        };
        if !streams.len().is_multiple_of(2) {
            return Err(match reader {
                Reader::Plain => Failure::UnbalancedStreams,
                Reader::Group => Failure::UnbalancedGroupStreams,
            });
        }
        if max_count.is_some_and(|max_count| max_count < count) {
            return Err(Failure::MaxCountBelowCount);
        }
        let (keys, ids) = streams.split_at_checked(streams.len() / 2).unwrap_or_default();
        Ok(Self { count, max_count, max_size, block, group, claim, no_ack, keys, ids })
    }
}

/// A number of milliseconds; 0 waits without limit (BLK-1).
fn timeout(value: &[u8], now_ms: u64) -> Result<Block, Failure> {
    let ms = parse::strict_integer(value).ok_or(Failure::TimeoutNotAnInteger)?;
    let ms = u64::try_from(ms).map_err(|_| Failure::TimeoutNegative)?;
    match now_ms.checked_add(ms) {
        _ if ms == 0 => Ok(Block::Forever),
        Some(deadline) if i64::try_from(deadline).is_ok() => Ok(Block::For(Duration::from_millis(ms))),
        _ => Err(Failure::TimeoutOutOfRange),
    }
}

/// A number of milliseconds.
fn min_idle(value: &[u8]) -> Result<Duration, Failure> {
    let ms = parse::strict_integer(value).ok_or(Failure::MinIdleNotAnInteger)?;
    u64::try_from(ms).map(Duration::from_millis).map_err(|_| Failure::MinIdleNegative)
}

fn reply_limit(value: &[u8], option: &'static str) -> Result<u64, Failure> {
    let limit = parse::strict_integer(value).filter(|limit| *limit > 0).and_then(|limit| u64::try_from(limit).ok());
    limit.ok_or(Failure::ReplyLimitNotPositive(option))
}

/// The bytes that are left of MAXSIZE: keys and entries as they are encoded, without the lengths of the lists.
struct Room<'a> {
    session: &'a Session,
    left: Option<u64>,
    empty: bool,
    scratch: Vec<u8>,
}

impl<'a> Room<'a> {
    fn new(session: &'a Session, left: Option<u64>) -> Self {
        Self { session, left, empty: true, scratch: Vec::new() }
    }

    /// What of a stream fits into the reply; `None` if nothing does. The first entry of a reply always fits.
    fn admit(&mut self, key: Reply, entries: &[Entry]) -> Option<(Reply, Reply)> {
        let entries = entries.iter().map(Reply::entry);
        let Some(left) = self.left else { return Some((key, Reply::Array(entries.collect()))) };
        let mut left = left.saturating_sub(self.size(&key));
        let mut admitted = Vec::new();
        for entry in entries {
            match left.checked_sub(self.size(&entry)) {
                Some(rest) => left = rest,
                None if self.empty => left = 0,
                None => {
                    left = 0;
                    break;
                }
            }
            self.empty = false;
            admitted.push(entry);
        }
        self.left = Some(left);
        if admitted.is_empty() { None } else { Some((key, Reply::Array(admitted))) }
    }

    fn size(&mut self, reply: &Reply) -> u64 {
        self.scratch.clear();
        reply.encode(self.session.protocol(), &mut self.scratch);
        u64::try_from(self.scratch.len()).unwrap_or(u64::MAX)
    }
}
