//! The commands about the connection: what clients send before and between those they are there for.

use super::reply::{Failure, Reply};
use super::{Arity, Command, Protocol, Session, parse};

pub(super) const COMMANDS: &[Command] = &[
    Command::new("ping", Arity::AtLeast(1), ping),
    Command::new("echo", Arity::Exactly(2), echo),
    Command::new("time", Arity::Exactly(1), time),
    Command::new("select", Arity::Exactly(2), select),
    Command::new("hello", Arity::AtLeast(1), hello),
];

/// The version of Redis whose stream commands these are. Clients decide by it what they can use.
const REDIS_VERSION: &str = "8.10.0";

/// `PING [message]`
fn ping(_: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    match args {
        [] => Ok(Reply::Simple("PONG".into())),
        [message] => Ok(Reply::bulk(*message)),
        _ => Err(Failure::Arity),
    }
}

/// `ECHO message`
fn echo(_: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [message] = args else { return Err(Failure::Arity) };
    Ok(Reply::bulk(*message))
}

/// `TIME`: seconds and microseconds, by the store's clock, which counts milliseconds.
fn time(session: &mut Session, _: &[&[u8]]) -> Result<Reply, Failure> {
    let now_ms = session.store.now_ms();
    let [seconds, microseconds] = [now_ms / 1000, now_ms % 1000 * 1000].map(|number| Reply::bulk(number.to_string()));
    Ok(Reply::Array(vec![seconds, microseconds]))
}

/// `SELECT 0`
fn select(_: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let [database] = args else { return Err(Failure::Arity) };
    only_database(database)?;
    Ok(Reply::OK)
}

pub(super) fn only_database(database: &[u8]) -> Result<(), Failure> {
    match i32::try_from(parse::integer(database)?) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Failure::DatabaseOutOfRange),
        Err(_) => Err(Failure::IntegerOutOfRange),
    }
}

/// `HELLO [protover [AUTH username password] [SETNAME clientname]]`
///
/// There are no users, so the one that every Redis has is let in with any password. Names are checked and forgotten.
fn hello(session: &mut Session, args: &[&[u8]]) -> Result<Reply, Failure> {
    let mut protocol = session.protocol;
    let mut options = args;
    if let [version, rest @ ..] = args {
        protocol = match parse::strict_integer(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(Failure::ProtocolUnsupported),
            None => return Err(Failure::ProtocolNotAnInteger),
        };
        options = rest;
    }
    while let [option, rest @ ..] = options {
        options = match rest {
            [user, _, rest @ ..] if parse::is(option, "AUTH") => {
                if *user != b"default" {
                    return Err(Failure::WrongPassword);
                }
                rest
            }
            [name, rest @ ..] if parse::is(option, "SETNAME") => {
                if !name.iter().all(u8::is_ascii_graphic) {
                    return Err(Failure::ClientName);
                }
                rest
            }
            _ => return Err(Failure::HelloOption(option.to_vec())),
        };
    }
    session.protocol = protocol;
    let version = match protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    let fields = [
        ("server", Reply::bulk("streamlog")),
        ("version", Reply::bulk(REDIS_VERSION)),
        ("proto", Reply::Integer(version)),
        ("id", Reply::Integer(1)),
        ("mode", Reply::bulk("standalone")),
        ("role", Reply::bulk("master")),
        ("modules", Reply::Array(Vec::new())),
    ];
    Ok(Reply::Map(fields.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect()))
}
