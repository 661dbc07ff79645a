//! XDEL and XDELEX.

use super::reply::{Failure, Reply};
use super::trim::references;
use super::{Arity, Command, Session, parse};
use crate::{Deletion, References};

pub(super) const COMMANDS: &[Command] =
    &[Command::new("xdel", Arity::AtLeast(3), xdel), Command::new("xdelex", Arity::AtLeast(5), xdelex)];

/// `XDEL key id [id ...]`
///
/// Order of checks (DEL-1): key, and if it exists, all IDs; nothing is deleted unless all are valid (M-10).
fn xdel(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, ids @ ..] = args else { return Err(Failure::Arity) };
    let Some(stream) = session.existing(key)? else { return Ok(Reply::Integer(0)) };
    let ids = ids.iter().map(|id| parse::id(id)).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::count(stream.delete(ids)?))
}

/// `XDELEX key [KEEPREF|DELREF|ACKED] IDS n id [id ...]`
///
/// Order of checks (DEL-2): options, key, IDs.
fn xdelex(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, options @ ..] = args else { return Err(Failure::Arity) };
    let Ids { ids, references } = Ids::parse(options)?;
    let Some(stream) = session.existing(key)? else {
        return Ok(statuses(&vec![Deletion::NotFound; ids.len()]));
    };
    let ids = ids.iter().map(|id| parse::id(id)).collect::<Result<Vec<_>, _>>()?;
    Ok(statuses(&stream.delete_with(ids, references)?))
}

/// A reference policy and a block of IDs, in either order.
pub(super) struct Ids<'a> {
    pub(super) ids: &'a [&'a [u8]],
    pub(super) references: References,
}

impl<'a> Ids<'a> {
    pub(super) fn parse(mut args: &'a [&'a [u8]]) -> Result<Self, Failure> {
        let (mut ids, mut policy) = (None, None);
        while let [option, rest @ ..] = args {
            if let Some(references) = references(option) {
                if policy.replace(references).is_some() {
                    return Err(Failure::Syntax);
                }
                args = rest;
                continue;
            }
            args = match rest {
                [count, rest @ ..] if parse::is(option, "IDS") => {
                    let count = parse::strict_integer(count).and_then(|count| usize::try_from(count).ok());
                    let count = count.filter(|&count| count > 0).ok_or(Failure::IdCount)?;
                    let (listed, rest) = rest.split_at_checked(count).ok_or(Failure::IdCountMismatch)?;
                    // A second block replaces the first.
                    ids = Some(listed);
                    rest
                }
                _ => return Err(Failure::Syntax),
            };
        }
        Ok(Self { ids: ids.ok_or(Failure::Syntax)?, references: policy.unwrap_or_default() })
    }
}

/// DEL-3: what became of each ID.
pub(super) fn statuses(deletions: &[Deletion]) -> Reply {
    let status = |deletion: &Deletion| {
        Reply::Integer(match deletion {
            Deletion::Deleted => 1,
            Deletion::NotFound => -1,
            Deletion::Referenced => 2,
        })
    };
    Reply::Array(deletions.iter().map(status).collect())
}
