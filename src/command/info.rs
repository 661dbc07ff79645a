//! XINFO and XSETID: the state of a stream, and how to set it.

use super::reply::{Failure, Reply};
use super::{Arity, Command, Session, parse};
use crate::{Entry, SetId, SetIdConflict, Stream, StreamId, StreamInfo};

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
    let Detail { entries_max } = match options {
        [] => return Ok(Reply::Map(summary(stream.info()?))),
        options => Detail::parse(options)?,
    };
    full(&stream, entries_max).map(Reply::Map)
}

/// What `FULL` asks for.
struct Detail {
    /// `None` for all.
    entries_max: Option<usize>,
}

impl Detail {
    fn parse(options: &[&[u8]]) -> Result<Self, Failure> {
        let count = match options {
            [full] if parse::is(full, "FULL") => 10,
            [full, count, value] if parse::is(full, "FULL") && parse::is(count, "COUNT") => parse::integer(value)?,
            _ => return Err(Failure::SubcommandSyntax),
        };
        Ok(Self {
            entries_max: match count {
                0 => None,
                ..0 => Some(10),
                count => usize::try_from(count).ok(),
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
    fields.push(field("groups", Reply::Integer(0)));
    fields.extend(edges);
    fields
}

fn full(stream: &Stream, entries_max: Option<usize>) -> Result<Fields, Failure> {
    let info = stream.info()?;
    // Two looks at the stream: entries that were added in between are left out again.
    let entries = stream
        .range(..=info.last_generated_id)
        .take(entries_max.unwrap_or(usize::MAX))
        .collect::<crate::Result<Vec<_>>>()?;
    let mut fields = common(&info);
    fields.push(field("entries", Reply::entries(&entries)));
    fields.push(field("groups", Reply::Array(Vec::new())));
    Ok(fields)
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
        field("entries-added", Reply::count(info.entries_added)),
        field("recorded-first-entry-id", Reply::id(info.recorded_first_entry_id)),
        field("idmp-duration", Reply::Integer(100)),
        field("idmp-maxsize", Reply::Integer(100)),
        field("pids-tracked", Reply::Integer(0)),
        field("iids-tracked", Reply::Integer(0)),
        field("iids-added", Reply::Integer(0)),
        field("iids-duplicates", Reply::Integer(0)),
    ]
}

/// `XINFO GROUPS key`. No stream has groups yet.
fn groups(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key] = args else { return Err(Failure::Arity) };
    session.existing(key)?.ok_or(Failure::NoSuchKey)?;
    Ok(Reply::Array(Vec::new()))
}

/// `XINFO CONSUMERS key group`. No stream has groups yet.
fn consumers(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, group] = args else { return Err(Failure::Arity) };
    session.existing(key)?.ok_or(Failure::NoSuchKey)?;
    Err(Failure::NoSuchGroup { key: key.to_vec(), group: group.to_vec() })
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
