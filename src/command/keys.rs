//! The commands about keys, which are the names of streams here.

use xxhash_rust::xxh3::xxh3_64;

use super::reply::{Failure, Reply};
use super::{Arity, Command, Session, add, glob, parse};
use crate::NAME_LEN_MAX;

pub(super) const COMMANDS: &[Command] = &[
    Command::new("del", Arity::AtLeast(2), del),
    Command::new("unlink", Arity::AtLeast(2), del),
    Command::new("exists", Arity::AtLeast(2), exists),
    Command::new("type", Arity::Exactly(2), type_of),
    Command::new("rename", Arity::Exactly(3), rename),
    Command::new("renamenx", Arity::Exactly(3), renamenx),
    Command::new("copy", Arity::AtLeast(3), copy),
];

/// Those about all keys.
pub(super) const STORE_COMMANDS: &[Command] = &[
    Command::new("keys", Arity::Exactly(2), keys),
    Command::new("scan", Arity::AtLeast(2), scan),
    Command::new("dbsize", Arity::Exactly(1), dbsize),
    Command::new("flushall", Arity::AtLeast(1), flush),
    Command::new("flushdb", Arity::AtLeast(1), flush),
];

/// `DEL key [key ...]` and `UNLINK key [key ...]`
fn del(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let possible = args.iter().filter(|key| is_possible(key));
    Ok(Reply::count(session.store.delete(possible)?))
}

/// `EXISTS key [key ...]`, which counts a key as often as it is named.
fn exists(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let mut count = 0_u64;
    for key in args {
        count += u64::from(exists_one(session, key)?);
    }
    Ok(Reply::count(count))
}

/// `TYPE key`
fn type_of(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key] = args else { return Err(Failure::Arity) };
    Ok(Reply::Simple(if exists_one(session, key)? { TYPE } else { "none" }.into()))
}

/// The type of all keys.
const TYPE: &str = "stream";

fn exists_one(session: &Session, key: &[u8]) -> Result<bool, Failure> {
    Ok(is_possible(key) && session.store.exists(key)?)
}

/// Whether there can be a stream of that name.
fn is_possible(key: &[u8]) -> bool {
    key.len() <= NAME_LEN_MAX
}

/// `RENAME key newkey`
fn rename(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let (from, to) = rename_args(session, args)?;
    if from != to {
        session.store.rename(from, to)?;
    }
    Ok(Reply::OK)
}

/// `RENAMENX key newkey`
fn renamenx(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let (from, to) = rename_args(session, args)?;
    let renamed = from != to && session.store.rename_new(from, to)?;
    Ok(Reply::Integer(i64::from(renamed)))
}

/// The names, of which the first exists and the second can.
fn rename_args<'a>(session: &Session, args: &'a [&'a [u8]]) -> Result<(&'a [u8], &'a [u8]), Failure> {
    let [from, to] = args else { return Err(Failure::Arity) };
    if !exists_one(session, from)? {
        return Err(Failure::NoSuchKey);
    }
    if is_possible(to) { Ok((from, to)) } else { Err(add::too_long(to)) }
}

/// `COPY source destination [DB destination-db] [REPLACE]`
fn copy(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [from, to, options @ ..] = args else { return Err(Failure::Arity) };
    let (mut replace, mut options) = (false, options);
    while let [option, rest @ ..] = options {
        options = match rest {
            rest if parse::is(option, "REPLACE") => {
                replace = true;
                rest
            }
            [database, rest @ ..] if parse::is(option, "DB") => {
                super::connection::only_database(database)?;
                rest
            }
            _ => return Err(Failure::Syntax),
        };
    }
    if from == to {
        return Err(Failure::SameObject);
    }
    if !exists_one(session, from)? {
        return Ok(Reply::Integer(0));
    }
    if !is_possible(to) {
        return Err(add::too_long(to));
    }
    let store = &session.store;
    let copied = if replace { store.copy_over(from, to) } else { store.copy(from, to) };
    Ok(Reply::Integer(i64::from(copied?)))
}

/// `KEYS pattern`
fn keys(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [pattern] = args else { return Err(Failure::Arity) };
    let names = session.store.names()?.into_iter().filter(|name| glob::matches(pattern, name));
    Ok(Reply::Array(names.map(Reply::Bulk).collect()))
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
///
/// Names are visited in the order of a hash of theirs, and the cursor is the lowest hash that is still to come. So
/// there is nothing to remember between calls, and a key that is there the whole time is returned exactly once,
/// whatever comes and goes meanwhile. Costs a listing of all names, so a high COUNT is what makes a scan fast.
fn scan(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [cursor, options @ ..] = args else { return Err(Failure::Arity) };
    let cursor = parse::lenient_unsigned(cursor).ok_or(Failure::InvalidCursor)?;
    let ScanOptions { pattern, count, type_name } = ScanOptions::parse(options)?;

    let names = session.store.names()?.into_iter().map(|name| (position(&name), name));
    let mut names: Vec<(u64, Vec<u8>)> = names.filter(|(at, _)| *at >= cursor).collect();
    // Names of one position are returned together: a cursor cannot point between them.
    let next = match names.len() {
        len if len > count => names.select_nth_unstable(count - 1).1.0 + 1,
        _ => u64::MAX,
    };
    let next_cursor = if names.iter().any(|(at, _)| *at >= next) { next } else { 0 };

    let wanted = |name: &Vec<u8>| {
        pattern.is_none_or(|pattern| glob::matches(pattern, name)) && type_name.is_none_or(|name| parse::is(name, TYPE))
    };
    let page = names.into_iter().filter(|(at, _)| *at < next).map(|(_, name)| name).filter(wanted);
    let page = Reply::Array(page.map(Reply::Bulk).collect());
    Ok(Reply::Array(vec![Reply::bulk(next_cursor.to_string()), page]))
}

/// Where a name comes in a scan: from 1, and below 2^52, so that clients may keep a cursor in a floating-point number.
fn position(name: &[u8]) -> u64 {
    (xxh3_64(name) >> 12).max(1)
}

struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    type_name: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    fn parse(mut options: &'a [&'a [u8]]) -> Result<Self, Failure> {
        let mut parsed = Self { pattern: None, count: 10, type_name: None };
        while let [option, rest @ ..] = options {
            let [value, rest @ ..] = rest else { return Err(Failure::Syntax) };
            if parse::is(option, "COUNT") {
                let count = parse::integer(value)?;
                parsed.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(Failure::Syntax)?;
            } else if parse::is(option, "MATCH") {
                parsed.pattern = Some(value);
            } else if parse::is(option, "TYPE") {
                parsed.type_name = Some(value);
            } else {
                return Err(Failure::Syntax);
            }
            options = rest;
        }
        Ok(parsed)
    }
}

/// `DBSIZE`
fn dbsize(session: &mut Session, _: &[&[u8]]) -> Result<Reply, Failure> {
    Ok(Reply::count(session.store.names()?.len()))
}

/// `FLUSHALL [ASYNC|SYNC]` and `FLUSHDB [ASYNC|SYNC]`
fn flush(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    match args {
        [] => {}
        [mode] if parse::is(mode, "ASYNC") || parse::is(mode, "SYNC") => {}
        _ => return Err(Failure::Syntax),
    }
    session.store.delete_all()?;
    Ok(Reply::OK)
}
