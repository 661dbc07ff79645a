//! XINFO and XSETID: the state of a stream, and how to set it.

use super::reply::{Failure, Reply};
use super::{Arity, Command, Session, parse};
use crate::{
    ConsumerInfo, Entry, Error, GroupDetail, GroupInfo, PendingEntry, SetId, SetIdConflict, Stream, StreamId,
    StreamInfo,
};

pub(super) const COMMANDS: &[Command] =
    &[Command::container("xinfo", SUBCOMMANDS), Command::new("xsetid", Arity::AtLeast(3), xsetid)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("stream", Arity::AtLeast(3), stream),
    Command::new("groups", Arity::Exactly(3), groups),
    Command::new("consumers", Arity::Exactly(4), consumers),
    Command::new("help", Arity::Exactly(2), help),
];

/// `XINFO STREAM key [FULL [COUNT n]]`
///
/// Order of checks (section 10.1): key, options.
fn stream(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, options @ ..] = args else { return Err(Failure::Arity) };
    let stream = session.existing(key)?.ok_or(Failure::NoSuchKey)?;
    let Detail { count_max } = match options {
        [] => return Ok(Reply::Map(summary(stream.info()?))),
        options => Detail::parse(options)?,
    };
    full(&stream, count_max).map(Reply::Map)
}

/// What `FULL` asks for.
struct Detail {
    /// The most entries in each list.
    count_max: usize,
}

impl Detail {
    fn parse(options: &[&[u8]]) -> Result<Self, Failure> {
        let count = match options {
            [full] if parse::is(full, "FULL") => 10,
            [full, count, value] if parse::is(full, "FULL") && parse::is(count, "COUNT") => parse::integer(value)?,
            _ => return Err(Failure::SubcommandSyntax),
        };
        Ok(Self {
            count_max: match count {
                0 => usize::MAX,
                ..0 => 10,
                count => usize::try_from(count).unwrap_or(usize::MAX),
            },
        })
    }
}

type Fields = Vec<(Reply, Reply)>;

fn field(name: &str, value: Reply) -> (Reply, Reply) {
    (Reply::bulk(name), value)
}

fn summary(info: StreamInfo) -> Fields {
    let edge = |entry: &Option<Entry>| entry.as_ref().map_or(Reply::Nil, Reply::entry);
    let edges = [field("first-entry", edge(&info.first_entry)), field("last-entry", edge(&info.last_entry))];
    let mut fields = common(&info);
    fields.push(field("groups", Reply::count(info.groups)));
    fields.extend(edges);
    fields
}

fn full(stream: &Stream, count_max: usize) -> Result<Fields, Failure> {
    let info = stream.info()?;
    // Two looks at the stream: entries that were added in between are left out again.
    let entries = stream.range(..=info.last_generated_id).take(count_max).collect::<crate::Result<Vec<_>>>()?;
    let mut fields = common(&info);
    fields.push(field("entries", Reply::entries(&entries)));
    let groups = stream.group_details(count_max)?;
    fields.push(field("groups", Reply::Array(groups.iter().map(group_detail).collect())));
    Ok(fields)
}

fn group_detail(detail: &GroupDetail) -> Reply {
    let GroupDetail { info, pending, consumers, .. } = detail;
    let delivered = |entry: &PendingEntry| {
        let owner = Reply::Bulk(entry.consumer.clone().unwrap_or_default());
        let time = Reply::count(entry.delivery_time_ms);
        Reply::Array(vec![Reply::id(entry.id), owner, time, Reply::count(entry.delivery_count)])
    };
    let mut fields = vec![
        field("name", Reply::bulk(info.name.clone())),
        field("last-delivered-id", Reply::id(info.last_delivered_id)),
        field("entries-read", optional(info.entries_read)),
        field("lag", info.lag.map_or(Reply::Nil, Reply::Integer)),
        field("pel-count", Reply::count(info.pending)),
    ];
    // INF-2: newer than the rest. Where no entry was released the reply is the one that every client knows.
    if info.released > 0 {
        fields.push(field("nacked-count", Reply::count(info.released)));
    }
    fields.push(field("pending", Reply::Array(pending.iter().map(delivered).collect())));
    fields.push(field("consumers", Reply::Array(consumers.iter().map(consumer_detail).collect())));
    Reply::Map(fields)
}

fn consumer_detail((info, pending): &(ConsumerInfo, Vec<PendingEntry>)) -> Reply {
    let delivered = |entry: &PendingEntry| {
        let time = Reply::count(entry.delivery_time_ms);
        Reply::Array(vec![Reply::id(entry.id), time, Reply::count(entry.delivery_count)])
    };
    Reply::Map(vec![
        field("name", Reply::bulk(info.name.clone())),
        field("seen-time", Reply::count(info.seen_time_ms)),
        field("active-time", info.active_time_ms.map_or(Reply::Integer(-1), Reply::count)),
        field("pel-count", Reply::count(info.pending)),
        field("pending", Reply::Array(pending.iter().map(delivered).collect())),
    ])
}

fn optional(count: Option<u64>) -> Reply {
    count.map_or(Reply::Nil, Reply::round)
}

/// The fields of both forms, in the order in which Redis lists them.
fn common(info: &StreamInfo) -> Fields {
    vec![
        field("length", Reply::count(info.len)),
        // Redis describes its tree of blocks here; we have segments, and one index of them.
        field("radix-tree-keys", Reply::count(info.segments)),
        field("radix-tree-nodes", Reply::count(info.segments.saturating_add(1))),
        field("last-generated-id", Reply::id(info.last_generated_id)),
        field("max-deleted-entry-id", Reply::id(info.max_deleted_entry_id)),
        field("entries-added", Reply::round(info.entries_added)),
        field("recorded-first-entry-id", Reply::id(info.recorded_first_entry_id)),
        field("idmp-duration", Reply::count(info.producers.duration.as_secs())),
        field("idmp-maxsize", Reply::count(info.producers.max_len)),
        field("pids-tracked", Reply::count(info.producers.producers)),
        field("iids-tracked", Reply::count(info.producers.productions)),
        field("iids-added", Reply::count(info.producers.added)),
        field("iids-duplicates", Reply::count(info.producers.duplicates)),
    ]
}

/// `XINFO GROUPS key`
fn groups(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key] = args else { return Err(Failure::Arity) };
    let groups = session.existing(key)?.ok_or(Failure::NoSuchKey)?.groups()?;
    Ok(Reply::Array(groups.iter().map(group).collect()))
}

fn group(info: &GroupInfo) -> Reply {
    Reply::Map(vec![
        field("name", Reply::bulk(info.name.clone())),
        field("consumers", Reply::count(info.consumers)),
        field("pending", Reply::count(info.pending)),
        field("last-delivered-id", Reply::id(info.last_delivered_id)),
        field("entries-read", optional(info.entries_read)),
        field("lag", info.lag.map_or(Reply::Nil, Reply::Integer)),
    ])
}

/// `XINFO CONSUMERS key group`
fn consumers(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, name] = args else { return Err(Failure::Arity) };
    let stream = session.existing(key)?.ok_or(Failure::NoSuchKey)?;
    let consumers = stream.group(name).consumers().map_err(|error| match error {
        Error::GroupNotFound { .. } => Failure::NoSuchGroup { key: key.to_vec(), group: name.to_vec() },
        error => error.into(),
    })?;
    Ok(Reply::Array(consumers.iter().map(consumer).collect()))
}

fn consumer(info: &ConsumerInfo) -> Reply {
    Reply::Map(vec![
        field("name", Reply::bulk(info.name.clone())),
        field("pending", Reply::count(info.pending)),
        field("idle", Reply::count(info.idle.as_millis())),
        field("inactive", info.inactive.map_or(Reply::Integer(-1), |inactive| Reply::count(inactive.as_millis()))),
    ])
}

/// `XINFO HELP`
fn help(_: &mut Session, _: &[&[u8]]) -> Result<Reply, Failure> {
    Ok(Reply::lines(&[
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    Show consumers of <groupname>.",
        "GROUPS <key>",
        "    Show the stream consumer groups.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
        "HELP",
        "    Print this help.",
    ]))
}

/// `XSETID key id [ENTRIESADDED n] [MAXDELETEDID id]`
///
/// Order of checks (SET-1): ID, options from left to right, key, what the stream holds.
fn xsetid(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, id, options @ ..] = args else { return Err(Failure::Arity) };
    let id = parse::id(id)?;
    let mut set = SetId::new(id);
    let mut options = options;
    while let [option, rest @ ..] = options {
        let [value, rest @ ..] = rest else { return Err(Failure::Syntax) };
        if parse::is(option, "ENTRIESADDED") {
            let count = u64::try_from(parse::integer(value)?).map_err(|_| Failure::EntriesAddedNegative)?;
            set = set.entries_added(count);
        } else if parse::is(option, "MAXDELETEDID") {
            let max_deleted_id = parse::id(value)?;
            if id < max_deleted_id {
                return Err(Failure::SetId(SetIdConflict::BelowGivenMaxDeleted));
            }
            // SET-2: 0-0 means "leave as it is".
            set.max_deleted_id = Some(max_deleted_id).filter(|id| *id != StreamId::MIN);
        } else {
            return Err(Failure::Syntax);
        }
        options = rest;
    }
    let stream = session.stream(key)?.ok_or(Failure::NoSuchKey)?;
    stream.set_id(set)?;
    Ok(Reply::OK)
}
