//! A store and a server that are given the same commands, and have to answer the same.

use streamlog::Store;
use streamlog::command::{Protocol, Session};

use crate::commands::{FAR, GROUPS, KEYS, Kind, Words};
use crate::differences::comparable;
use crate::server::Server;
use crate::value::Value;

pub struct Pair<'a> {
    server: &'a mut Server,
    session: Session,
    kind: Kind,
    /// The IDs that XADD answered.
    added: Vec<String>,
    /// The milliseconds of the next ID above all of them.
    next_ms: u64,
}

/// Both sides are compared as a whole after so many commands.
const COMMANDS_BETWEEN_DUMPS: usize = 5;

impl<'a> Pair<'a> {
    /// An empty server and an empty store, but for what every sequence of that kind begins with.
    pub fn new(server: &'a mut Server, kind: Kind) -> Result<Self, String> {
        server.execute(&["FLUSHALL"]);
        let session = Session::new(&Store::in_memory());
        let mut pair = Self { server, session, kind, added: Vec::new(), next_ms: 1 };
        for command in kind.beginning().lines() {
            for command in pair.resolve(&words(&command.split(' ').collect::<Vec<_>>())) {
                pair.compare(command)?;
            }
        }
        Ok(pair)
    }

    /// Gives both the same commands; says how the first answers differ that do.
    pub fn run(mut self, commands: &[Words]) -> Result<(), String> {
        for (position, command) in commands.iter().enumerate() {
            for command in self.resolve(command) {
                if !self.is_answered_otherwise(&command) {
                    self.compare(command)?;
                }
            }
            if position % COMMANDS_BETWEEN_DUMPS == COMMANDS_BETWEEN_DUMPS - 1 {
                self.compare_state()?;
            }
        }
        self.compare_state()
    }

    pub fn compare(&mut self, command: Words) -> Result<(), String> {
        let theirs = self.server.execute(&command);
        self.make_up_for(&command, &theirs);
        let mut ours = Vec::new();
        self.session.execute(&command).encode(Protocol::Resp2, &mut ours);
        let ours = Value::decode(&ours);
        if let ([xadd, key, ..], Value::Bulk(id)) = (&command[..], &theirs)
            && xadd == "XADD"
            && key != FAR
        {
            self.added.push(String::from_utf8_lossy(id).into_owned());
        }
        let [theirs, ours] = [theirs, ours].map(|reply| comparable(self.kind, &command, reply));
        if theirs == ours {
            return Ok(());
        }
        Err(format!("{command:?}\n  redis:     {theirs}\n  streamlog: {ours}"))
    }

    /// Does on the server what later versions do besides.
    fn make_up_for(&mut self, command: &Words, reply: &Value) {
        if matches!(reply, Value::Error(_)) {
            return;
        }
        // GRP-9: in 7.0 a read or claim that takes nothing does not create its consumer.
        for [key, group, consumer] in named_consumers(command) {
            self.server.execute(&["XGROUP", "CREATECONSUMER", key, group, consumer]);
        }
    }

    /// Whether a command is left out, because 7.0 does with it what later versions do not.
    fn is_answered_otherwise(&mut self, command: &Words) -> bool {
        match &command[..] {
            // Later versions refuse a last ID below the highest deleted one.
            [xsetid, key, id, ..] if xsetid == "XSETID" => {
                let info = self.server.execute(&["XINFO", "STREAM", key]);
                let max_deleted = field(&info, "max-deleted-entry-id").and_then(id_of);
                id_of(id).zip(max_deleted).is_some_and(|(id, max_deleted)| id < max_deleted)
            }
            // Nor do they believe a count that is not right (LAG-2, LAG-5), and no other is given here.
            [xgroup, ..] if xgroup.eq_ignore_ascii_case("XGROUP") && self.kind == Kind::GroupsThatGrow => {
                command.iter().any(|word| word.eq_ignore_ascii_case("ENTRIESREAD"))
            }
            _ => false,
        }
    }

    /// Everything that can be seen of the streams.
    fn compare_state(&mut self) -> Result<(), String> {
        self.compare(words(&["DBSIZE"]))?;
        for key in KEYS.into_iter().chain([FAR]) {
            self.compare(words(&["XINFO", "STREAM", key, "FULL", "COUNT", "0"]))?;
            self.compare(words(&["XRANGE", key, "-", "+"]))?;
            self.compare(words(&["XLEN", key]))?;
            if self.kind != Kind::Streams {
                self.compare(words(&["XINFO", "GROUPS", key]))?;
                for group in GROUPS {
                    self.compare(words(&["XPENDING", key, group]))?;
                    self.compare(words(&["XPENDING", key, group, "-", "+", "1000"]))?;
                    self.compare(words(&["XINFO", "CONSUMERS", key, group]))?;
                }
            }
        }
        Ok(())
    }

    /// The commands that are meant: see [`commands`](crate::commands).
    fn resolve(&mut self, command: &Words) -> Vec<Words> {
        if let [fill, key, count] = &command[..]
            && fill == "@fill"
        {
            let count: u64 = count.parse().expect("a count is a number");
            return (0..count).map(|_| words(&["XADD", key, &self.next_id(), "f", "v"])).collect();
        }
        vec![command.iter().map(|word| self.resolve_word(word)).collect()]
    }

    fn resolve_word(&mut self, word: &str) -> String {
        let (before, word) = word.split_at(word.len() - word.trim_start_matches('(').len());
        let resolved = match word.strip_prefix('@') {
            Some("+") => self.next_id(),
            Some(number) => {
                let number: usize = number.parse().expect("an ID is chosen by number");
                let id = self.added.get(number % self.added.len().max(1));
                id.map_or("0-1".to_owned(), String::clone)
            }
            None => word.to_owned(),
        };
        format!("{before}{resolved}")
    }

    fn next_id(&mut self) -> String {
        self.next_ms += 1;
        format!("{}-0", self.next_ms)
    }
}

/// The consumers that a claim or a read of groups names: key, group and consumer.
fn named_consumers(command: &Words) -> Vec<[&String; 3]> {
    let is = |word: &String, name: &str| word.eq_ignore_ascii_case(name);
    let place_from =
        |start: usize, name: &str| Some(start + command.get(start..)?.iter().position(|word| is(word, name))?);
    match &command[..] {
        [claim, key, group, consumer, ..] if is(claim, "XCLAIM") || is(claim, "XAUTOCLAIM") => {
            vec![[key, group, consumer]]
        }
        [read, ..] if is(read, "XREADGROUP") => {
            let Some(names) = place_from(1, "GROUP").map(|group| group + 1) else { return Vec::new() };
            let Some([group, consumer]) = command.get(names..names + 2) else { return Vec::new() };
            // A group or consumer may be called so, too.
            let Some(streams) = place_from(names + 2, "STREAMS") else { return Vec::new() };
            let keys_and_ids = &command[streams + 1..];
            keys_and_ids[..keys_and_ids.len() / 2].iter().map(|key| [key, group, consumer]).collect()
        }
        _ => Vec::new(),
    }
}

/// The text of a field of XINFO STREAM.
fn field<'v>(info: &'v Value, name: &str) -> Option<&'v str> {
    let Value::Array(items) = info else { return None };
    let name = items.iter().position(|item| *item == Value::bulk(name))?;
    match items.get(name + 1)? {
        Value::Bulk(text) => str::from_utf8(text).ok(),
        _ => None,
    }
}

/// The milliseconds and the sequence of an ID; `None` of what is none.
fn id_of(id: &str) -> Option<(u64, u64)> {
    let (ms, seq) = id.split_once('-').unwrap_or((id, "0"));
    Some((ms.parse().ok()?, seq.parse().ok()?))
}

pub fn words(words: &[&str]) -> Words {
    words.iter().map(|word| (*word).to_owned()).collect()
}
