//! Promise: no arguments make a command panic, and none leave a store that contradicts itself (P1, P9).

use arbitrary::{Arbitrary, Unstructured};
use streamlog::command::{Protocol, Reply, Session};
use streamlog::{Durability, Store};

use super::examine::read_all;
use super::subject::{OF_AN_INPUT, number_identities, options};

#[derive(Arbitrary, Debug)]
struct Input {
    commands: Vec<Command>,
}

#[derive(Arbitrary, Debug)]
struct Command {
    name: u8,
    args: Vec<Arg>,
}

#[derive(Arbitrary, Debug)]
enum Arg {
    Word(u8),
    Key(u8),
    Id { ms: u8, seq: u8 },
    Number(i8),
    Large(i64),
    Bytes(Vec<u8>),
}

const WORDS: [&str; 62] = [
    "*",
    "$",
    ">",
    "+",
    "-",
    "(",
    "~",
    "=",
    "STREAMS",
    "COUNT",
    "BLOCK",
    "GROUP",
    "NOACK",
    "CLAIM",
    "MKSTREAM",
    "CREATE",
    "DESTROY",
    "SETID",
    "CREATECONSUMER",
    "DELCONSUMER",
    "ENTRIESREAD",
    "ENTRIESADDED",
    "MAXDELETEDID",
    "MAXLEN",
    "MINID",
    "LIMIT",
    "NOMKSTREAM",
    "KEEPREF",
    "DELREF",
    "ACKED",
    "IDS",
    "IDLE",
    "TIME",
    "RETRYCOUNT",
    "FORCE",
    "JUSTID",
    "LASTID",
    "STREAM",
    "FULL",
    "GROUPS",
    "CONSUMERS",
    "HELP",
    "IDMP",
    "IDMPAUTO",
    "IDMP-DURATION",
    "IDMP-MAXSIZE",
    "SILENT",
    "FAIL",
    "FATAL",
    "REPLACE",
    "DB",
    "MATCH",
    "TYPE",
    "ASYNC",
    "SYNC",
    "MAXCOUNT",
    "MAXSIZE",
    "0-0",
    "5-*",
    "alice",
    "g",
    "field",
];

impl Arg {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Word(number) => WORDS[usize::from(*number) % WORDS.len()].into(),
            Self::Key(number) => vec![b'a' + number % 3],
            Self::Id { ms, seq } => format!("{ms}-{seq}").into_bytes(),
            Self::Number(number) => number.to_string().into_bytes(),
            Self::Large(number) => number.to_string().into_bytes(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

pub fn run(bytes: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let names = streamlog::command::names();
    number_identities(OF_AN_INPUT);
    let store = options(Durability::Os).in_memory();
    let mut session = Session::new(&store);
    for command in input.commands.iter().take(32) {
        // A container and its subcommand are two words.
        let name = &names[usize::from(command.name) % names.len()];
        let mut args: Vec<Vec<u8>> = name.split(' ').map(|word| word.into()).collect();
        args.extend(command.args.iter().take(32).map(Arg::bytes));
        // In a transaction nothing blocks.
        session.execute(&["MULTI"]);
        encode(&session.execute(&args));
        encode(&session.execute(&["EXEC"]));
        session.execute(&["DISCARD"]);
        assert_eq!(session.execute(&["PING"]), Reply::Simple("PONG".into()), "after {args:?}");
    }
    agrees(&store, &mut session);
}

/// A reply is one in either protocol, and ends where it should.
fn encode(reply: &Reply) {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut out = Vec::new();
        reply.encode(protocol, &mut out);
        assert!(out.ends_with(b"\r\n"), "{reply:?}");
    }
}

/// Counts and lists say the same.
fn agrees(store: &Store, session: &mut Session) {
    for name in store.names().expect("a store in memory has names") {
        let stream = store.stream(&name).expect("a name that is there");
        let read = read_all(&stream);
        let len = Reply::Integer(read.len() as i64);
        assert_eq!(session.execute(&[&b"XLEN"[..], &name]), len, "entries of {stream:?}");
        for detail in stream.group_details(usize::MAX).expect("groups of a stream in memory") {
            assert_eq!(detail.info.pending, detail.pending.len() as u64, "{detail:?}");
        }
    }
}
