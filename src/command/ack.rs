//! XACK, XACKDEL and XNACK.

use super::delete::{Ids, statuses};
use super::reply::{Failure, Reply};
use super::{Arity, Command, Session, parse};
use crate::{Deletion, Error, Group, Release, ReleaseOptions};

pub(super) const COMMANDS: &[Command] = &[
    Command::new("xack", Arity::AtLeast(4), xack),
    Command::new("xackdel", Arity::AtLeast(6), xackdel),
    Command::new("xnack", Arity::AtLeast(7), xnack),
];

impl Session {
    /// The group of that name, if it and its stream exist.
    pub(super) fn existing_group(&self, key: &[u8], group: &[u8]) -> Result<Option<Group>, Failure> {
        let group = self.existing(key)?.map(|stream| stream.group(group));
        Ok(match group {
            Some(group) if group.exists()? => Some(group),
            _ => None,
        })
    }

    /// As [`existing_group`](Self::existing_group); it is an error if there is none.
    pub(super) fn required_group(&self, key: &[u8], group: &[u8]) -> Result<Group, Failure> {
        self.existing_group(key, group)?.ok_or_else(|| no_such_group(key, group))
    }
}

fn no_such_group(key: &[u8], group: &[u8]) -> Failure {
    Failure::NoSuchKeyOrGroup { key: key.to_vec(), group: group.to_vec() }
}

/// What to answer when a group went while the command was being served.
pub(super) fn or_gone(error: Error, key: &[u8], group: &[u8]) -> Failure {
    match error {
        Error::GroupNotFound { .. } | Error::StreamNotFound { .. } => no_such_group(key, group),
        error => error.into(),
    }
}

/// What a call came to; `None` if the group went meanwhile.
fn unless_gone<T>(result: crate::Result<T>) -> Result<Option<T>, Failure> {
    match result {
        Err(Error::GroupNotFound { .. } | Error::StreamNotFound { .. }) => Ok(None),
        result => Ok(Some(result?)),
    }
}

/// `XACK key group id [id ...]`
///
/// Order of checks (ACK-1): key and group, and if they exist, all IDs.
fn xack(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, group, ids @ ..] = args else { return Err(Failure::Arity) };
    let Some(group) = session.existing_group(key, group)? else { return Ok(Reply::Integer(0)) };
    let ids = ids.iter().map(|id| parse::id(id)).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::count(unless_gone(group.acknowledge(ids))?.unwrap_or(0)))
}

/// `XACKDEL key group [KEEPREF|DELREF|ACKED] IDS n id [id ...]`
///
/// Order of checks (DEL-2): options, key and group, IDs.
fn xackdel(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, group, options @ ..] = args else { return Err(Failure::Arity) };
    let Ids { ids, references } = Ids::parse(options)?;
    let not_found = || statuses(&vec![Deletion::NotFound; ids.len()]);
    let Some(group) = session.existing_group(key, group)? else { return Ok(not_found()) };
    let parsed = ids.iter().map(|id| parse::id(id)).collect::<Result<Vec<_>, _>>()?;
    let deleted = unless_gone(group.acknowledge_and_delete(parsed, references))?;
    Ok(deleted.map_or_else(not_found, |deleted| statuses(&deleted)))
}

/// `XNACK key group <SILENT|FAIL|FATAL> IDS n id [id ...] [RETRYCOUNT count] [FORCE]`
///
/// Order of checks (NCK-1): key and group, mode, options, IDs.
fn xnack(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, name, mode, options @ ..] = args else { return Err(Failure::Arity) };
    let group = session.required_group(key, name)?;
    let modes = [("SILENT", Release::Silent), ("FAIL", Release::Failed), ("FATAL", Release::Fatal)];
    let release = modes.into_iter().find(|(keyword, _)| parse::is(mode, keyword)).map(|(_, release)| release);
    let release = release.ok_or(Failure::ReleaseMode)?;
    let Releasing { ids, delivery_count, force } = Releasing::parse(options)?;
    let ids = ids.iter().map(|id| parse::id(id)).collect::<Result<Vec<_>, _>>()?;
    let released = group.release_with(ids, ReleaseOptions { release, delivery_count, force });
    Ok(Reply::count(released.map_err(|error| or_gone(error, key, name))?))
}

struct Releasing<'a> {
    ids: &'a [&'a [u8]],
    delivery_count: Option<u64>,
    force: bool,
}

impl<'a> Releasing<'a> {
    fn parse(mut args: &'a [&'a [u8]]) -> Result<Self, Failure> {
        let (mut ids, mut delivery_count, mut force) = (None, None, false);
        while let [option, rest @ ..] = args {
            args = match rest {
                rest if parse::is(option, "FORCE") => {
                    force = true;
                    rest
                }
                [count, rest @ ..] if parse::is(option, "IDS") => {
                    let count = parse::strict_integer(count).and_then(|count| usize::try_from(count).ok());
                    let count = count.filter(|&count| count > 0).ok_or(Failure::ReleaseIdCount)?;
                    let (listed, rest) = rest.split_at_checked(count).ok_or(Failure::ReleaseIdsMismatch)?;
                    ids = Some(listed);
                    rest
                }
                [count, rest @ ..] if parse::is(option, "RETRYCOUNT") => {
                    let count = u64::try_from(parse::integer(count)?).map_err(|_| Failure::RetryCountNegative)?;
                    delivery_count = Some(count);
                    rest
                }
                _ => return Err(Failure::ReleaseOption(option.to_vec())),
            };
        }
        let ids = ids.ok_or(Failure::ReleaseNeedsIds)?;
        Ok(Self { ids, delivery_count, force })
    }
}
