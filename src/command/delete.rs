//! XDEL.

use super::reply::{Failure, Reply};
use super::{Arity, Command, Session, parse};

pub(super) const COMMANDS: &[Command] = &[Command::new("xdel", Arity::AtLeast(3), xdel)];

/// `XDEL key id [id ...]`
///
/// Order of checks (DEL-1): key, and if it exists, all IDs; nothing is deleted unless all are valid (M-10).
fn xdel(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, ids @ ..] = args else { return Err(Failure::Arity) };
    let Some(stream) = session.existing(key)? else { return Ok(Reply::Integer(0)) };
    let ids = ids.iter().map(|id| parse::id(id)).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::count(stream.delete(ids)?))
}
