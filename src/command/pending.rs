//! XPENDING.

use std::time::Duration;

use super::ack::or_gone;
use super::reply::{Failure, Reply};
use super::{Arity, Command, Session, parse};
use crate::PendingEntry;

pub(super) const COMMANDS: &[Command] = &[Command::new("xpending", Arity::AtLeast(3), xpending)];

/// `XPENDING key group` and `XPENDING key group [IDLE min] start end count [consumer]`
///
/// Order of checks (PND-1): number of tokens, IDLE, count, start, end, key and group.
fn xpending(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, group, options @ ..] = args else { return Err(Failure::Arity) };
    match options {
        [] => summary(session, key, group),
        options => list(session, key, group, options),
    }
}

fn summary(session: &Session, key: &[u8], name: &[u8]) -> Result<Reply, Failure> {
    let group = session.required_group(key, name)?;
    let summary = group.pending().map_err(|error| or_gone(error, key, name))?;
    let (Some(first), Some(last)) = (summary.first_id, summary.last_id) else {
        return Ok(Reply::Array(vec![Reply::Integer(0), Reply::Nil, Reply::Nil, Reply::NilArray]));
    };
    let consumers = summary.consumers.into_iter().map(|(name, count)| {
        // PND-2: this count is a string.
        Reply::Array(vec![Reply::Bulk(name), Reply::bulk(count.to_string())])
    });
    let consumers = Reply::Array(consumers.collect());
    Ok(Reply::Array(vec![Reply::count(summary.count), Reply::id(first), Reply::id(last), consumers]))
}

fn list(session: &Session, key: &[u8], name: &[u8], options: &[&[u8]]) -> Result<Reply, Failure> {
    // PND-5: what comes after the consumer is ignored, up to 9 tokens in all.
    if options.len() < 3 || options.len() > 6 {
        return Err(Failure::Syntax);
    }
    let (idle, options) = match options {
        [idle, value, options @ ..] if parse::is(idle, "IDLE") => {
            let idle = parse::integer(value)?;
            if options.len() < 3 {
                return Err(Failure::Syntax);
            }
            (u64::try_from(idle).unwrap_or(0), options)
        }
        options => (0, options),
    };
    let [start, end, count, consumer @ ..] = options else { return Err(Failure::Syntax) };
    let count = u64::try_from(parse::integer(count)?).unwrap_or(0);
    let (start, end) = (parse::range_start(start)?, parse::range_end(end)?);
    let group = session.required_group(key, name)?;
    let mut pending = group.pending_entries().ids(start..=end).count(count).min_idle(Duration::from_millis(idle));
    if let [consumer, ..] = consumer {
        pending = pending.consumer(consumer);
    }
    let entries = pending.run().map_err(|error| or_gone(error, key, name))?;
    Ok(Reply::Array(entries.iter().map(describe).collect()))
}

/// `[ID, owner, idle ms, delivery count]`; a released entry has the owner "" and has been idle for -1 (NCK-5).
fn describe(entry: &PendingEntry) -> Reply {
    let idle = match entry.consumer {
        Some(_) => Reply::count(entry.idle.as_millis()),
        None => Reply::Integer(-1),
    };
    let owner = Reply::Bulk(entry.consumer.clone().unwrap_or_default());
    Reply::Array(vec![Reply::id(entry.id), owner, idle, Reply::count(entry.delivery_count)])
}
