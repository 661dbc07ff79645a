//! XLEN, XRANGE and XREVRANGE.

use super::reply::{Failure, Reply};
use super::{Arity, Command, Session, parse};

pub(super) const COMMANDS: &[Command] = &[
    Command::new("xlen", Arity::Exactly(2), xlen),
    Command::new("xrange", Arity::AtLeast(4), xrange),
    Command::new("xrevrange", Arity::AtLeast(4), xrevrange),
];

/// `XLEN key`
fn xlen(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key] = args else { return Err(Failure::Arity) };
    let stream = session.existing(key)?;
    Ok(Reply::count(stream.map_or(Ok(0), |stream| stream.len())?))
}

/// `XRANGE key start end [COUNT n]`
fn xrange(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, start, end, options @ ..] = args else { return Err(Failure::Arity) };
    range(session, key, [start, end], options, Direction::Ascending)
}

/// `XREVRANGE key end start [COUNT n]`
fn xrevrange(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, end, start, options @ ..] = args else { return Err(Failure::Arity) };
    range(session, key, [start, end], options, Direction::Descending)
}

enum Direction {
    Ascending,
    Descending,
}

/// Order of checks (RNG-1): lower bound, upper bound, COUNT, key.
fn range(
    session: &Session,
    key: &[u8],
    [start, end]: [&[u8]; 2],
    options: &[&[u8]],
    direction: Direction,
) -> Result<Reply, Failure> {
    let ids = parse::range_start(start)?..=parse::range_end(end)?;
    let count = count(options)?;
    let Some(stream) = session.existing(key)? else { return Ok(Reply::Array(Vec::new())) };
    let count = match count {
        None => usize::MAX,
        Some(count @ 1..) => usize::try_from(count).unwrap_or(usize::MAX),
        // RNG-3: not an empty array, which a missing key gives.
        Some(_) => return Ok(Reply::NilArray),
    };
    if ids.is_empty() {
        return Ok(Reply::Array(Vec::new()));
    }
    let (mut range, mut entries) = (stream.range(ids), Vec::new());
    while entries.len() < count {
        let entry = match direction {
            Direction::Ascending => range.next_ref(),
            Direction::Descending => range.next_back_ref(),
        };
        let Some(entry) = entry else { break };
        entries.push(Reply::entry_ref(entry?));
    }
    Ok(Reply::Array(entries))
}

fn count(mut options: &[&[u8]]) -> Result<Option<i64>, Failure> {
    let mut count = None;
    while let [option, rest @ ..] = options {
        let [value, rest @ ..] = rest else { return Err(Failure::Syntax) };
        if !parse::is(option, "COUNT") {
            return Err(Failure::Syntax);
        }
        count = Some(parse::integer(value)?);
        options = rest;
    }
    Ok(count)
}
