//! Random histories of a few streams: everything that can be made of a stream, by commands that succeed more often than not.

use streamlog::Store;
use streamlog::command::{Reply, Session};

use crate::harness::NOW_MS;

/// A source of random numbers that is the same for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

const KEYS: [&str; 3] = ["s", "t with \"blanks\"", "u"];
const GROUPS: [&str; 3] = ["g", "", "another"];
const CONSUMERS: [&str; 4] = ["alice", "bob", "10", ""];

/// What commands a server must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// All there are.
    All,
    /// Those of Redis 7.0.
    Old,
}

/// Does random things to a store.
pub struct History<'a> {
    random: &'a mut Random,
    session: Session,
    known: Known,
    /// The milliseconds of the next ID.
    next_ms: u64,
}

impl<'a> History<'a> {
    pub fn new(store: &Store, random: &'a mut Random, known: Known) -> Self {
        Self { random, session: Session::new(store), known, next_ms: 1 }
    }

    /// Carries out so many random commands; returns how many were not refused.
    pub fn run(&mut self, commands: u64) -> u64 {
        let mut done = 0;
        for _ in 0..commands {
            let command = self.command();
            done += u64::from(!self.session.execute(&command).is_error());
        }
        done
    }

    fn command(&mut self) -> Vec<String> {
        let key = self.random.of(&KEYS);
        let group = self.random.of(&GROUPS);
        let consumer = self.random.of(&CONSUMERS);
        let kinds = if self.known == Known::All { 100 } else { 92 };
        match self.random.below(kinds) {
            0..30 => self.add(key, &[]),
            30..33 => {
                let len = self.random.below(12).to_string();
                self.add(key, &["MAXLEN", &len])
            }
            33..38 => [vec!["XDEL".into(), key.into()], self.ids(key)].concat(),
            38..41 => {
                let kept = self.random.below(15).to_string();
                words(&["XTRIM", key, "MAXLEN", &kept])
            }
            41..43 => [vec!["XTRIM".into(), key.into(), "MINID".into()], vec![self.id(key)]].concat(),
            43..45 => self.set_id(key),
            45..52 => {
                let start = if self.random.below(2) == 0 { "0".into() } else { self.id(key) };
                let read = self.random.below(9).to_string();
                let with_count = self.random.below(3) == 0;
                let create = words(&["XGROUP", "CREATE", key, group, &start, "MKSTREAM"]);
                if with_count { [create, words(&["ENTRIESREAD", &read])].concat() } else { create }
            }
            52..54 => words(&["XGROUP", "CREATECONSUMER", key, group, consumer]),
            54 => words(&["XGROUP", self.random.of(&["DESTROY"]), key, group]),
            55 => words(&["XGROUP", "DELCONSUMER", key, group, consumer]),
            56..58 => [words(&["XGROUP", "SETID", key, group]), vec![self.id(key)]].concat(),
            58..70 => {
                let count = self.random.below(6).to_string();
                words(&["XREADGROUP", "GROUP", group, consumer, "COUNT", &count, "STREAMS", key, ">"])
            }
            70..74 => [words(&["XACK", key, group]), self.ids(key)].concat(),
            74..82 => {
                let time = (NOW_MS - self.random.below(5) * 1000).to_string();
                let count = self.random.below(5).to_string();
                let claim = [words(&["XCLAIM", key, group, consumer, "0"]), self.ids(key)].concat();
                [claim, words(&["TIME", &time, "RETRYCOUNT", &count, "FORCE", "JUSTID"])].concat()
            }
            82 => words(&["XAUTOCLAIM", key, group, consumer, "0", "-", "COUNT", "3"]),
            83 => words(&["DEL", key]),
            84 => words(&["RENAME", key, self.random.of(&KEYS)]),
            85 => words(&["COPY", key, self.random.of(&KEYS), "REPLACE"]),
            86..92 => self.add(key, &[]),
            92..94 => {
                let mode = self.random.of(&["SILENT", "FAIL", "FATAL"]);
                let ids = self.ids(key);
                let count = ids.len().to_string();
                [words(&["XNACK", key, group, mode, "IDS", &count]), ids, vec!["FORCE".into()]].concat()
            }
            94 => {
                let [duration, len] = [1 + self.random.below(86_400), 1 + self.random.below(5)].map(|n| n.to_string());
                words(&["XCFGSET", key, "IDMP-DURATION", &duration, "IDMP-MAXSIZE", &len])
            }
            _ => {
                let production = self.random.below(20).to_string();
                let producer = self.random.of(&["p", "q"]);
                words(&["XADD", key, "IDMP", producer, &production, "*", "made", "once"])
            }
        }
    }

    fn add(&mut self, key: &str, options: &[&str]) -> Vec<String> {
        self.next_ms += self.random.below(3);
        let id = format!("{}-{}", self.next_ms, 1 + self.random.below(3));
        let mut command = [words(&["XADD", key]), words(options), vec![id]].concat();
        for _ in 0..=self.random.below(3) {
            let value = "\r\n\"x".repeat(self.random.below(30) as usize);
            command.extend([self.random.of(&["f", "name", ""]).into(), value]);
        }
        command
    }

    fn set_id(&mut self, key: &str) -> Vec<String> {
        let id = self.id(key);
        let mut command = words(&["XSETID", key, &id]);
        if self.random.below(2) == 0 {
            command.extend(words(&["ENTRIESADDED", &self.random.below(60).to_string()]));
        }
        if self.random.below(2) == 0 {
            command.extend([words(&["MAXDELETEDID"]), vec![self.id(key)]].concat());
        }
        command
    }

    /// The ID of an entry, or near one.
    fn id(&mut self, key: &str) -> String {
        let low = self.next_ms.saturating_sub(20);
        let id = format!("{}-{}", low + self.random.below(22), self.random.below(4));
        let exact = self.random.below(4) > 0;
        match self.session.execute(&words(&["XRANGE", key, &id, "+", "COUNT", "1"])) {
            Reply::Array(entries) if exact => match entries.first() {
                Some(Reply::Array(parts)) => match parts.first() {
                    Some(Reply::Bulk(found)) => String::from_utf8(found.clone()).expect("an ID is text"),
                    _ => id,
                },
                _ => id,
            },
            _ => id,
        }
    }

    fn ids(&mut self, key: &str) -> Vec<String> {
        (0..=self.random.below(4)).map(|_| self.id(key)).collect()
    }
}

pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
