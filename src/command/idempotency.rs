//! XCFGSET and XIDMPRECORD.

use std::time::Duration;

use super::reply::{Failure, Reply};
use super::{Arity, Command, Session, parse};

pub(super) const COMMANDS: &[Command] =
    &[Command::new("xcfgset", Arity::AtLeast(2), xcfgset), Command::new("xidmprecord", Arity::Exactly(5), xidmprecord)];

/// `XCFGSET key [IDMP-DURATION s] [IDMP-MAXSIZE n]`
///
/// Order of checks (IDM-9): key, parameters, of each whether it was there before and then its value, at least one of them.
fn xcfgset(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, options @ ..] = args else { return Err(Failure::Arity) };
    let stream = session.existing(key)?.ok_or(Failure::NoSuchKey)?;
    let (mut duration, mut max_len, mut options) = (None, None, options);
    while let [option, rest @ ..] = options {
        let [value, rest @ ..] = rest else { return Err(Failure::Syntax) };
        let (setting, name) = if parse::is(option, "IDMP-DURATION") {
            (&mut duration, "IDMP-DURATION")
        } else if parse::is(option, "IDMP-MAXSIZE") {
            (&mut max_len, "IDMP-MAXSIZE")
        } else {
            return Err(Failure::Syntax);
        };
        if setting.is_some() {
            return Err(Failure::SettingTwice(name));
        }
        let value = parse::integer(value)?;
        let range = if name == "IDMP-DURATION" { 1..=86_400 } else { 1..=10_000 };
        let value = u64::try_from(value).ok().filter(|value| range.contains(value));
        *setting = Some(value.ok_or(Failure::SettingOutOfRange(name))?);
        options = rest;
    }
    if duration.is_none() && max_len.is_none() {
        return Err(Failure::NoSetting);
    }
    stream.configure_producers(duration.map(Duration::from_secs), max_len)?;
    Ok(Reply::OK)
}

/// `XIDMPRECORD key pid iid id`
///
/// Order of checks (IDM-10): ID, producer's ID, idempotent ID, key, entry, what is known of the pair.
fn xidmprecord(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [key, producer, production, id] = args else { return Err(Failure::Arity) };
    let id = parse::id(id)?;
    if producer.is_empty() {
        return Err(Failure::RecordNeedsProducer);
    }
    if production.is_empty() {
        return Err(Failure::RecordNeedsId);
    }
    session.existing(key)?.ok_or(Failure::NoSuchKey)?.remember_production(producer, production, id)?;
    Ok(Reply::OK)
}
