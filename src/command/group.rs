//! XGROUP.

use super::reply::{Failure, Reply};
use super::{Arity, Command, Session, add, parse};
use crate::{Error, Group, GroupOptions, Position, Stream, StreamId};

pub(super) const COMMANDS: &[Command] = &[Command::container("xgroup", SUBCOMMANDS)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("create", Arity::AtLeast(5), create),
    Command::new("setid", Arity::AtLeast(5), setid),
    Command::new("destroy", Arity::Exactly(4), destroy),
    Command::new("createconsumer", Arity::Exactly(5), createconsumer),
    Command::new("delconsumer", Arity::Exactly(5), delconsumer),
    Command::new("help", Arity::Exactly(2), help),
];

/// The options of CREATE and SETID.
#[derive(Default)]
struct Options {
    create_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(mut args: &[&[u8]], with_mkstream: bool) -> Result<Self, Failure> {
        let mut options = Self::default();
        while let [option, rest @ ..] = args {
            args = match rest {
                rest if with_mkstream && parse::is(option, "MKSTREAM") => {
                    options.create_stream = true;
                    rest
                }
                [value, rest @ ..] if parse::is(option, "ENTRIESREAD") => {
                    options.entries_read = match parse::integer(value)? {
                        ..-1 => return Err(Failure::EntriesReadNegative),
                        count => u64::try_from(count).ok(),
                    };
                    rest
                }
                _ => return Err(Failure::SubcommandSyntax),
            };
        }
        Ok(options)
    }
}

/// An option may be given twice, but only as long as there are no more tokens than without that.
fn at_most(options: &[&[u8]], tokens: usize) -> Result<(), Failure> {
    if options.len() > tokens { Err(Failure::SubcommandSyntax) } else { Ok(()) }
}

/// The stream of a subcommand, which has to exist.
fn required(session: &Session, key: &[u8]) -> Result<Stream, Failure> {
    session.existing(key)?.ok_or(Failure::GroupNeedsKey)
}

/// The group of a subcommand, which has to exist.
fn required_group(session: &Session, key: &[u8], group: &[u8]) -> Result<Group, Failure> {
    let found = required(session, key)?.group(group);
    match found.exists()? {
        true => Ok(found),
        false => Err(Failure::NoSuchGroup { key: key.to_vec(), group: group.to_vec() }),
    }
}

/// What to answer when a group or its stream went while the command was being served.
fn or_gone(error: Error, key: &[u8], group: &[u8]) -> Failure {
    match error {
        Error::GroupNotFound { .. } => Failure::NoSuchGroup { key: key.to_vec(), group: group.to_vec() },
        Error::StreamNotFound { .. } => Failure::GroupNeedsKey,
        error => error.into(),
    }
}

/// `XGROUP CREATE key group <id|$> [MKSTREAM] [ENTRIESREAD n]`
///
/// Order of checks (GRP-1): options, key, how many options there are, ID, group.
fn create(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, group, id, options @ ..] = args else { return Err(Failure::Arity) };
    let Options { create_stream, entries_read } = Options::parse(options, true)?;
    let stream = match session.existing(key)? {
        Some(stream) => stream,
        None if create_stream => session.stream(key)?.ok_or_else(|| add::too_long(key))?,
        None => return Err(Failure::GroupNeedsKey),
    };
    at_most(options, 3)?;
    let position = if parse::text(id) == b"$" { Position::End } else { Position::After(parse::id(id)?) };
    let options = GroupOptions { position, entries_read, create_stream };
    let created = stream.group(group).create_with(options);
    created.map_err(|error| or_gone(error, key, group))?;
    Ok(Reply::OK)
}

/// `XGROUP SETID key group <id|$> [ENTRIESREAD n]`
fn setid(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, name, id, options @ ..] = args else { return Err(Failure::Arity) };
    let Options { entries_read, .. } = Options::parse(options, false)?;
    let group = required_group(session, key, name)?;
    at_most(options, 2)?;
    let position = match parse::text(id) {
        b"$" => Position::End,
        // Section 2.1: accepted here alone.
        b"-" => Position::Start,
        b"+" => Position::After(StreamId::MAX),
        _ => Position::After(parse::id(id)?),
    };
    group.set_position(position, entries_read).map_err(|error| or_gone(error, key, name))?;
    Ok(Reply::OK)
}

/// `XGROUP DESTROY key group`
fn destroy(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, group] = args else { return Err(Failure::Arity) };
    let destroyed = required(session, key)?.group(group).destroy()?;
    Ok(Reply::Integer(i64::from(destroyed)))
}

/// `XGROUP CREATECONSUMER key group consumer`
fn createconsumer(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, group, consumer] = args else { return Err(Failure::Arity) };
    let created = required_group(session, key, group)?.consumer(consumer).create();
    Ok(Reply::Integer(i64::from(created.map_err(|error| or_gone(error, key, group))?)))
}

/// `XGROUP DELCONSUMER key group consumer`
fn delconsumer(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, group, consumer] = args else { return Err(Failure::Arity) };
    let deleted = required_group(session, key, group)?.consumer(consumer).delete();
    Ok(Reply::count(deleted.map_err(|error| or_gone(error, key, group))?))
}

/// `XGROUP HELP`
fn help(_: &mut Session, _: &[&[u8]]) -> Result<Reply, Failure> {
    Ok(Reply::lines(&[
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    Create a new consumer group. Options are:",
        "    * MKSTREAM",
        "      Create the empty stream if it does not exist.",
        "    * ENTRIESREAD entries_read",
        "      Set the group's entries_read counter (internal use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Create a new consumer in the specified group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove the specified consumer.",
        "DESTROY <key> <groupname>",
        "    Remove the specified group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the current group ID and entries_read counter.",
        "HELP",
        "    Print this help.",
    ]))
}
