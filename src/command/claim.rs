//! XCLAIM and XAUTOCLAIM.

use std::time::{Duration, UNIX_EPOCH};

use super::ack::or_gone;
use super::reply::{Failure, Reply};
use super::{Arity, Command, Session, parse};
use crate::{Claim, Consumer, StreamId};

pub(super) const COMMANDS: &[Command] =
    &[Command::new("xclaim", Arity::AtLeast(6), xclaim), Command::new("xautoclaim", Arity::AtLeast(6), xautoclaim)];

/// `XCLAIM key group consumer min-idle id [id ...] [IDLE ms] [TIME unix-ms] [RETRYCOUNT n] [FORCE] [JUSTID] [LASTID id]`
///
/// Order of checks (XCL-1): key and group, minimum idle time, IDs up to the first token that is none, options.
fn xclaim(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, group, consumer, min_idle, rest @ ..] = args else { return Err(Failure::Arity) };
    let claimer = session.required_group(key, group)?.consumer(consumer);
    let min_idle = min_idle_time(min_idle, "XCLAIM")?;
    let count = rest.iter().position(|token| parse::id(token).is_err()).unwrap_or(rest.len());
    let (ids, options) = rest.split_at_checked(count).unwrap_or_default();
    let ids = ids.iter().map(|id| parse::id(id)).collect::<Result<Vec<_>, _>>()?;
    let ClaimOptions { claim, ids_only } = ClaimOptions::parse(&claimer, min_idle, ids, options)?;
    let entries = claim.run().map_err(|error| or_gone(error, key, group))?;
    Ok(match ids_only {
        true => Reply::Array(entries.iter().map(|entry| Reply::id(entry.id())).collect()),
        false => Reply::entries(&entries),
    })
}

struct ClaimOptions {
    claim: Claim,
    ids_only: bool,
}

impl ClaimOptions {
    fn parse(
        consumer: &Consumer,
        min_idle: Duration,
        ids: Vec<StreamId>,
        mut options: &[&[u8]],
    ) -> Result<Self, Failure> {
        let (mut claim, mut ids_only, mut delivery_count) = (consumer.claim(min_idle, ids), false, None);
        while let [option, rest @ ..] = options {
            options = match rest {
                rest if parse::is(option, "FORCE") => {
                    claim = claim.force();
                    rest
                }
                rest if parse::is(option, "JUSTID") => {
                    (claim, ids_only) = (claim.keep_count(), true);
                    rest
                }
                [value, rest @ ..] if parse::is(option, "IDLE") => {
                    let idle = claim_number(value, "IDLE")?;
                    // XCL-3: what would be in the future counts as now.
                    claim = claim.idle(Duration::from_millis(u64::try_from(idle).unwrap_or(0)));
                    rest
                }
                [value, rest @ ..] if parse::is(option, "TIME") => {
                    let time = u64::try_from(claim_number(value, "TIME")?).ok().map(Duration::from_millis);
                    // One that the system has no room for is in the future, too.
                    claim = match time.and_then(|time| UNIX_EPOCH.checked_add(time)) {
                        Some(time) => claim.delivered_at(time),
                        None => claim.idle(Duration::ZERO),
                    };
                    rest
                }
                [value, rest @ ..] if parse::is(option, "RETRYCOUNT") => {
                    // XCL-6: a negative one is none, also after another (ARG-4).
                    delivery_count = u64::try_from(claim_number(value, "RETRYCOUNT")?).ok();
                    rest
                }
                [value, rest @ ..] if parse::is(option, "LASTID") => {
                    claim = claim.last_id(parse::id(value)?);
                    rest
                }
                _ => return Err(Failure::ClaimOption(option.to_vec())),
            };
        }
        if let Some(count) = delivery_count {
            claim = claim.delivery_count(count);
        }
        Ok(Self { claim, ids_only })
    }
}

fn claim_number(value: &[u8], option: &'static str) -> Result<i64, Failure> {
    parse::strict_integer(value).ok_or(Failure::ClaimArgument(option))
}

/// A number of milliseconds; less than none is none (PEL-1).
fn min_idle_time(value: &[u8], command: &'static str) -> Result<Duration, Failure> {
    let ms = parse::strict_integer(value).ok_or(Failure::ClaimMinIdle(command))?;
    Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// `XAUTOCLAIM key group consumer min-idle start [COUNT n] [JUSTID]`
///
/// Order of checks (ACL-1): minimum idle time, start, options, key and group.
fn xautoclaim(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, group, consumer, min_idle, start, options @ ..] = args else { return Err(Failure::Arity) };
    let min_idle = min_idle_time(min_idle, "XAUTOCLAIM")?;
    let start = parse::range_start(start)?;
    let (mut count, mut ids_only, mut options) = (None, false, options);
    while let [option, rest @ ..] = options {
        options = match rest {
            [value, rest @ ..] if parse::is(option, "COUNT") => {
                count = Some(autoclaim_count(value)?);
                rest
            }
            rest if parse::is(option, "JUSTID") => {
                ids_only = true;
                rest
            }
            _ => return Err(Failure::Syntax),
        };
    }
    let mut claim = session.required_group(key, group)?.consumer(consumer).auto_claim(min_idle).start(start);
    if let Some(count) = count {
        claim = claim.count(count);
    }
    if ids_only {
        claim = claim.ids_only();
    }
    let claimed = claim.run().map_err(|error| or_gone(error, key, group))?;
    let ids = |ids: &[StreamId]| Reply::Array(ids.iter().map(|&id| Reply::id(id)).collect());
    let entries = if ids_only { ids(&claimed.ids) } else { Reply::entries(&claimed.entries) };
    let next = Reply::id(claimed.next.unwrap_or(StreamId::MIN));
    Ok(Reply::Array(vec![next, entries, ids(&claimed.deleted)]))
}

/// ACL-1: a count of entries that fit into memory.
fn autoclaim_count(value: &[u8]) -> Result<u64, Failure> {
    const COUNT_MAX: i64 = i64::MAX / 16;
    let count = parse::strict_integer(value).filter(|count| (1..=COUNT_MAX).contains(count));
    count.and_then(|count| u64::try_from(count).ok()).ok_or(Failure::CountNotPositive)
}
