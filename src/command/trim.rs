//! XTRIM, and the trimming options it shares with XADD.

use super::reply::{Failure, Reply};
use super::{Arity, Command, Session, parse};
use crate::{References, StreamId, Trim};

pub(super) const COMMANDS: &[Command] = &[Command::new("xtrim", Arity::AtLeast(4), xtrim)];

/// `XTRIM key [KEEPREF|DELREF|ACKED] MAXLEN|MINID [=|~] threshold [LIMIT n]`
///
/// Order of checks (TRIM-1): options, key.
fn xtrim(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, rest @ ..] = args else { return Err(Failure::Arity) };
    let mut options = TrimOptions::default();
    let mut rest = rest;
    while !rest.is_empty() {
        rest = options.take(rest)?.ok_or(Failure::Syntax)?;
    }
    options.ignores_idle_limit = session.replays;
    let trim = options.into_required_trim()?;
    let removed = match session.stream(key)? {
        Some(stream) => stream.trim(trim).or_else(|error| match error {
            crate::Error::StreamNotFound { .. } => Ok(0),
            error => Err(error),
        })?,
        None => 0,
    };
    Ok(Reply::count(removed))
}

/// The trimming options of a command, as far as they have been read.
#[derive(Default)]
pub(super) struct TrimOptions {
    threshold: Option<Threshold>,
    approximate: bool,
    limit: Option<u64>,
    references: Option<References>,
    /// As in a log of a server, where a limit has been applied (AOF-8).
    pub(super) ignores_idle_limit: bool,
}

enum Threshold {
    MaxLen(u64),
    MinId(StreamId),
}

/// How many entries a `~` removes at the most when there is no LIMIT: 100 blocks of 100 (TRIM-7).
const APPROXIMATE_LIMIT: u64 = 100 * 100;

impl TrimOptions {
    /// Reads one option from the front of `args` and returns what follows it; `None` if something else is there.
    ///
    /// An option without its value is something else (ARG-5), and so is a second reference policy (ADD-6).
    pub(super) fn take<'a>(&mut self, args: &'a [&'a [u8]]) -> Result<Option<&'a [&'a [u8]]>, Failure> {
        let [option, rest @ ..] = args else { return Ok(None) };
        if let Some(references) = references(option) {
            return Ok(self.references.is_none().then(|| {
                self.references = Some(references);
                rest
            }));
        }
        let [value, after @ ..] = rest else { return Ok(None) };
        if parse::is(option, "LIMIT") {
            self.limit = Some(u64::try_from(parse::integer(value)?).map_err(|_| Failure::LimitNegative)?);
            return Ok(Some(after));
        }
        let strategy: fn(&[u8]) -> Result<Threshold, Failure> = if parse::is(option, "MAXLEN") {
            max_len
        } else if parse::is(option, "MINID") {
            min_id
        } else {
            return Ok(None);
        };
        if self.threshold.is_some() {
            return Err(Failure::TwoStrategies);
        }
        // An operator needs a threshold after it; without one, it is taken for the threshold.
        let (approximate, threshold, after) = match (parse::text(value), after) {
            (b"~", [threshold, after @ ..]) => (true, *threshold, after),
            (b"=", [threshold, after @ ..]) => (false, *threshold, after),
            _ => (false, *value, after),
        };
        self.approximate = approximate;
        self.threshold = Some(strategy(threshold)?);
        Ok(Some(after))
    }

    /// What XADD is to do after adding.
    pub(super) fn into_trim(self) -> Result<Option<Trim>, Failure> {
        match (&self.threshold, self.limit) {
            (None, None) => Ok(None),
            (None, Some(0)) => Err(Failure::LimitWithoutTilde),
            (None, Some(_)) => Err(Failure::LimitWithoutStrategy),
            (Some(_), _) => self.into_required_trim().map(Some),
        }
    }

    /// What XTRIM is to do.
    fn into_required_trim(self) -> Result<Trim, Failure> {
        let trim = match (self.threshold, self.limit) {
            (Some(Threshold::MaxLen(len)), _) => Trim::to_len(len),
            (Some(Threshold::MinId(id)), _) => Trim::before(id),
            (None, Some(1..)) => return Err(Failure::LimitWithoutStrategy),
            (None, _) => return Err(Failure::NoStrategy),
        };
        let trim = match (self.approximate, self.limit) {
            (true, limit) => trim.approximately().limit(limit.unwrap_or(APPROXIMATE_LIMIT)),
            (false, None) => trim,
            (false, Some(_)) if self.ignores_idle_limit => trim,
            (false, Some(_)) => return Err(Failure::LimitWithoutTilde),
        };
        Ok(trim.references(self.references.unwrap_or_default()))
    }
}

fn max_len(value: &[u8]) -> Result<Threshold, Failure> {
    u64::try_from(parse::integer(value)?).map(Threshold::MaxLen).map_err(|_| Failure::MaxLenNegative)
}

fn min_id(value: &[u8]) -> Result<Threshold, Failure> {
    parse::id(value).map(Threshold::MinId)
}

pub(super) fn references(option: &[u8]) -> Option<References> {
    [("KEEPREF", References::Keep), ("DELREF", References::Delete), ("ACKED", References::Acknowledged)]
        .into_iter()
        .find_map(|(keyword, references)| parse::is(option, keyword).then_some(references))
}
