//! XADD.

use super::reply::{Failure, Reply};
use super::trim::TrimOptions;
use super::{Arity, Command, Session, parse};
use crate::{AddOptions, Error, NewId, Production, Store, StreamId};

pub(super) const COMMANDS: &[Command] = &[Command::new("xadd", Arity::AtLeast(5), xadd)];

/// `XADD key [NOMKSTREAM] [KEEPREF|DELREF|ACKED] [IDMPAUTO pid | IDMP pid iid]
/// [MAXLEN|MINID [=|~] threshold [LIMIT n]] <*|id> field value [field value ...]`
///
/// Order of checks (ADD-2): options and ID from left to right, consistency of the trimming options, fields, `0-0`,
/// key, and then what the stream has to say: full, not above the last ID, too large.
fn xadd(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, rest @ ..] = args else { return Err(Failure::Arity) };
    let Add { id, no_create, mut trim, production, fields } = Add::parse(rest, session.replays)?;
    trim.ignores_idle_limit = session.replays;
    let trim = trim.into_trim()?;
    let id = id.ok_or(Failure::Arity)?;
    let (fields, odd) = fields.as_chunks::<2>();
    if fields.is_empty() || !odd.is_empty() {
        return Err(Failure::Arity);
    }
    if id == NewId::Exact(StreamId::MIN) {
        return Err(Failure::IdZero);
    }

    let Some(stream) = session.stream(key)? else {
        return if no_create { Ok(Reply::Nil) } else { Err(too_long(key)) };
    };
    let mut options = AddOptions::new().id(id);
    if no_create {
        options = options.no_create();
    }
    if let Some(trim) = trim {
        options = options.trim(trim);
    }
    if let Some(production) = production {
        options = options.production(production);
        options.replayed = session.replays;
    }
    match stream.add_with(options, fields.iter().map(|[name, value]| (*name, *value))) {
        Ok(Some(id)) => Ok(Reply::id(id)),
        Ok(None) => Ok(Reply::Nil),
        Err(Error::EntryTooLarge { .. }) => too_large(&session.store, key, id, no_create),
        Err(error) => Err(error.into()),
    }
}

/// The arguments after the key.
struct Add<'a> {
    /// `None` if there was nothing but options.
    id: Option<NewId>,
    no_create: bool,
    trim: TrimOptions,
    production: Option<Production<'a>>,
    fields: &'a [&'a [u8]],
}

impl<'a> Add<'a> {
    /// Reads options until something is not one, which is the ID then (ADD-1).
    fn parse(mut args: &'a [&'a [u8]], replays: bool) -> Result<Self, Failure> {
        let (mut no_create, mut trim, mut production) = (false, TrimOptions::default(), None);
        while let [first, rest @ ..] = args {
            if parse::is(first, "NOMKSTREAM") {
                no_create = true;
                args = rest;
            } else if let Some((taken, rest)) = take_production(args, production.is_some())? {
                production = Some(taken);
                args = rest;
            } else if let Some(rest) = trim.take(args)? {
                args = rest;
            } else {
                let id = parse::new_id(first)?;
                if production.is_some() && id != NewId::Auto && !replays {
                    return Err(Failure::IdempotencyNeedsAutoId);
                }
                return Ok(Self { id: Some(id), no_create, trim, production, fields: rest });
            }
        }
        Ok(Self { id: None, no_create, trim, production, fields: args })
    }
}

/// Reads `IDMPAUTO pid` or `IDMP pid iid` (IDM-2) and returns what follows; `None` if something else is there.
#[expect(clippy::type_complexity, reason = "what was read, and the rest of what it was read from")]
fn take_production<'a>(args: &'a [&'a [u8]], given: bool) -> Result<Option<(Production<'a>, &'a [&'a [u8]])>, Failure> {
    let (option, producer, id, rest) = match args {
        [option, producer, rest @ ..] if parse::is(option, "IDMPAUTO") => ("IDMPAUTO", *producer, None, rest),
        [option, producer, id, rest @ ..] if parse::is(option, "IDMP") => ("IDMP", *producer, Some(*id), rest),
        _ => return Ok(None),
    };
    if given {
        return Err(Failure::IdempotencyTwice);
    }
    if producer.is_empty() {
        return Err(Failure::NoProducerId(option));
    }
    let production = match id {
        Some([]) => return Err(Failure::NoIdempotentId),
        Some(id) => Production::Named { producer, id },
        None => Production::ByContent { producer },
    };
    Ok(Some((production, rest)))
}

/// What Redis answers to an entry that is too large, which it finds out last: after it has created the stream
/// (ADD-3) and looked at the ID.
fn too_large(store: &Store, key: &[u8], id: NewId, no_create: bool) -> Result<Reply, Failure> {
    if !store.exists(key)? {
        if no_create {
            return Ok(Reply::Nil);
        }
        store.create(key)?;
        return Err(Failure::EntryTooLarge);
    }
    let last = store.stream(key)?.info()?.last_generated_id;
    let small = match id {
        NewId::Auto => false,
        NewId::AutoSequence(ms) => ms < last.ms() || (ms == last.ms() && last.seq() == u64::MAX),
        NewId::Exact(id) => id <= last,
    };
    Err(match small {
        _ if last == StreamId::MAX => Failure::IdsExhausted,
        true => Failure::IdTooSmall,
        false => Failure::EntryTooLarge,
    })
}

pub(super) fn too_long(key: &[u8]) -> Failure {
    Failure::Store(Error::NameTooLong { len: key.len(), max: crate::NAME_LEN_MAX })
}
