//! XREAD.

use std::time::Duration;

use super::reply::{Failure, Reply};
use super::{Arity, Command, Session, add, parse};
use crate::{Block, Entry, ReadFrom};

pub(super) const COMMANDS: &[Command] = &[Command::new("xread", Arity::AtLeast(4), xread)];

/// `XREAD [COUNT n] [MAXCOUNT n] [MAXSIZE bytes] [BLOCK ms] STREAMS key [key ...] id [id ...]`
///
/// Order of checks (READ-1, READ-2): options, balance of keys and IDs, then stream by stream.
fn xread(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let options = ReadOptions::parse(args, session.store.now_ms())?;
    let mut read = session.store.read().count(options.count).block(session.may_block(options.block));
    if let Some(count) = options.max_count {
        read = read.max_count(count);
    }
    if let Some(bytes) = options.max_size {
        // Names and values are the larger part of a reply, so this bounds what is read; `within` cuts exactly.
        read = read.max_size(bytes);
    }
    for (key, id) in options.keys.iter().zip(options.ids) {
        let stream = session.stream(key)?.ok_or_else(|| add::too_long(key))?;
        read = read.stream(&stream, read_from(id)?);
    }
    let streams = read.run()?;
    if streams.is_empty() {
        return Ok(Reply::NilArray);
    }
    let streams = streams.into_iter().filter_map(|(position, entries)| {
        let key = options.keys.get(position)?;
        Some((Reply::bulk(*key), entries))
    });
    let mut room = Room::new(session, options.max_size);
    let streams = streams.map_while(|(key, entries)| room.admit(key, &entries)).collect();
    Ok(Reply::Pairs(streams))
}

fn read_from(id: &[u8]) -> Result<ReadFrom, Failure> {
    match id {
        b"$" => Ok(ReadFrom::End),
        b"+" => Ok(ReadFrom::Last),
        b">" => Err(Failure::NewEntriesOutsideGroup),
        id => parse::id(id).map(ReadFrom::After),
    }
}

struct ReadOptions<'a> {
    /// Per stream; 0 for no limit.
    count: u64,
    max_count: Option<u64>,
    max_size: Option<u64>,
    block: Block,
    keys: &'a [&'a [u8]],
    ids: &'a [&'a [u8]],
}

impl<'a> ReadOptions<'a> {
    /// Reads all arguments. An option without its value is not that option (ARG-5), so a lone one is a syntax error.
    fn parse(mut args: &'a [&'a [u8]], now_ms: u64) -> Result<Self, Failure> {
        let (mut count, mut max_count, mut max_size, mut block) = (0, None, None, Block::No);
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
                [_, _, ..] if parse::is(option, "GROUP") => return Err(Failure::GroupReadOnly("GROUP")),
                [_, ..] if parse::is(option, "CLAIM") => return Err(Failure::GroupReadOnly("CLAIM")),
                _ if parse::is(option, "NOACK") => return Err(Failure::GroupReadOnly("NOACK")),
                _ => return Err(Failure::Syntax),
            };
        };
        if !streams.len().is_multiple_of(2) {
            return Err(Failure::UnbalancedStreams);
        }
        if max_count.is_some_and(|max_count| max_count < count) {
            return Err(Failure::MaxCountBelowCount);
        }
        let (keys, ids) = streams.split_at_checked(streams.len() / 2).unwrap_or_default();
        Ok(Self { count, max_count, max_size, block, keys, ids })
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
