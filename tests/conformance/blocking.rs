//! Promise: a reader that waits gets what Redis would give it, when Redis would, and nothing earlier.
//!
//! Numbers are those of section 19 of the behavioural reference. Here are readers without groups; those of groups are in
//! [`blocking_groups`](crate::blocking_groups).

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use streamlog::command::{Protocol, execute};
use streamlog::{Durability, Options, Store};

use crate::value::Value;

/// How long a reader is given to begin waiting, or to show that it wakes for nothing.
const SETTLE: Duration = Duration::from_millis(60);

/// After which a reader that has not woken never will. Long, for slow machines.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn answer(store: &Store, command: &str) -> String {
    let args: Vec<&str> = command.split(' ').collect();
    let mut bytes = Vec::new();
    execute(store, &args).encode(Protocol::Resp2, &mut bytes);
    Value::decode(&bytes).to_string()
}

/// A command that waits, on a thread of its own.
pub struct Reader(JoinHandle<String>);

impl Reader {
    /// Starts it, and gives it the time to begin waiting.
    pub fn start(store: &Store, command: &str) -> Self {
        let (store, command) = (store.clone(), command.to_owned());
        let reader = Self(thread::spawn(move || answer(&store, &command)));
        reader.assert_waiting();
        reader
    }

    pub fn assert_waiting(&self) {
        thread::sleep(SETTLE);
        assert!(!self.0.is_finished(), "the reader woke");
    }

    pub fn reply(self) -> String {
        let patience = Instant::now() + PATIENCE;
        while !self.0.is_finished() && Instant::now() < patience {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(self.0.is_finished(), "the reader does not wake");
        self.0.join().expect("the reader does not panic")
    }
}

pub fn entry(key: &str, id: &str) -> String {
    format!(r#"[["{key}", [["{id}", ["f", "v"]]]]]"#)
}

fn store_with(commands: &[&str]) -> Store {
    store_with_at(Durability::Always, commands)
}

pub fn store_with_at(level: Durability, commands: &[&str]) -> Store {
    let store = Options::new().durability(level).in_memory();
    for command in commands {
        assert!(!answer(&store, command).starts_with('!'), "{command} fails");
    }
    store
}

#[test]
fn case_108_an_entry_fans_out_to_all_readers() {
    let store = store_with(&["XADD s 1-0 f v"]);
    let readers = [(); 2].map(|()| Reader::start(&store, "XREAD BLOCK 0 STREAMS s $"));
    answer(&store, "XADD s 2-0 f v");
    answer(&store, "XADD s 3-0 f v");
    for reader in readers {
        // A reader that is slow to wake may find the second entry as well; it starts with the first in any case.
        let reply = reader.reply();
        assert!(reply.starts_with(r#"[["s", [["2-0", ["f", "v"]]"#), "{reply}");
    }
}

#[test]
fn case_109_entries_up_to_the_given_id_wake_nobody() {
    let store = store_with(&[]);
    let reader = Reader::start(&store, "XREAD BLOCK 0 STREAMS s 100-0");
    answer(&store, "XADD s 50-0 f v");
    reader.assert_waiting();
    answer(&store, "XADD s 101-0 f v");
    assert_eq!(reader.reply(), entry("s", "101-0"));
}

#[test]
fn case_112_an_entry_that_is_trimmed_at_once_wakes_nobody() {
    let store = store_with(&["XADD s 1-0 f v"]);
    let readers = [(); 2].map(|()| Reader::start(&store, "XREAD BLOCK 0 STREAMS s $"));
    assert_eq!(answer(&store, "XADD s MAXLEN 0 2-0 f v"), r#""2-0""#);
    readers.iter().for_each(Reader::assert_waiting);
    answer(&store, "XADD s 3-0 f v");
    for reader in readers {
        assert_eq!(reader.reply(), entry("s", "3-0"));
    }
}

#[test]
fn case_113_a_reader_outlives_the_stream_and_keeps_its_place() {
    let store = store_with(&["XADD s 5-0 f v"]);
    let reader = Reader::start(&store, "XREAD BLOCK 0 STREAMS s $");
    answer(&store, "DEL s");
    answer(&store, "XADD s 1-0 f v");
    reader.assert_waiting();
    answer(&store, "XADD s 6-0 f v");
    assert_eq!(reader.reply(), entry("s", "6-0"));
}

#[test]
fn case_116_a_stream_renamed_onto_the_key_is_read() {
    let store = store_with(&["XADD s 1-0 f v", "XADD t 5-0 f v"]);
    let reader = Reader::start(&store, "XREAD BLOCK 0 STREAMS s $");
    answer(&store, "RENAME t s");
    assert_eq!(reader.reply(), entry("s", "5-0"));
}

#[test]
fn a_stream_copied_onto_the_key_is_read() {
    let store = store_with(&["XADD t 5-0 f v"]);
    let reader = Reader::start(&store, "XREAD BLOCK 0 STREAMS s 0");
    answer(&store, "COPY t s");
    assert_eq!(reader.reply(), entry("s", "5-0"));
}

#[test]
fn case_121_a_reader_of_several_streams_gets_them_in_the_order_it_asked_for() {
    let store = store_with(&[]);
    let reader = Reader::start(&store, "XREAD BLOCK 0 STREAMS s t u 0 0 0");
    // Without transactions, whether the reader sees the second entry as well depends on how soon it wakes.
    answer(&store, "XADD u 1-0 f v");
    answer(&store, "XADD t 1-0 f v");
    let both = r#"[["t", [["1-0", ["f", "v"]]]], ["u", [["1-0", ["f", "v"]]]]]"#;
    let reply = reader.reply();
    assert!(reply == both || reply == entry("u", "1-0"), "{reply}");
    assert_eq!(answer(&store, "XREAD BLOCK 0 STREAMS s t u 0 0 0"), both);
}

#[test]
fn case_122_setting_the_last_id_wakes_nobody_and_dollar_on_a_missing_key_is_zero() {
    let store = store_with(&["XADD t 1-0 f v"]);
    let missing = Reader::start(&store, "XREAD BLOCK 0 STREAMS s $");
    let waiting = Reader::start(&store, "XREAD BLOCK 0 STREAMS t $");
    answer(&store, "XSETID t 9-0");
    waiting.assert_waiting();
    answer(&store, "XADD s 0-1 f v");
    assert_eq!(missing.reply(), entry("s", "0-1"));
    answer(&store, "XADD t 10-0 f v");
    assert_eq!(waiting.reply(), entry("t", "10-0"));
}

#[test]
fn case_123_plus_waits_for_the_first_entry_of_an_empty_or_missing_stream() {
    let store = store_with(&["XADD s 1-0 f v", "XDEL s 1-0"]);
    let empty = Reader::start(&store, "XREAD BLOCK 0 STREAMS s +");
    let missing = Reader::start(&store, "XREAD BLOCK 0 STREAMS t +");
    answer(&store, "XADD s 2-0 f v");
    answer(&store, "XADD t 2-0 f v");
    assert_eq!((empty.reply(), missing.reply()), (entry("s", "2-0"), entry("t", "2-0")));
}

#[test]
fn case_126_time_runs_out() {
    let store = store_with(&["XADD s 1-0 f v"]);
    let start = Instant::now();
    assert_eq!(answer(&store, "XREAD BLOCK 30 STREAMS s $"), "*nil");
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(29) && waited < Duration::from_secs(5), "it took {waited:?}");
    let mut bytes = Vec::new();
    execute(&store, &["XREAD", "BLOCK", "1", "STREAMS", "s", "$"]).encode(Protocol::Resp3, &mut bytes);
    assert_eq!(bytes, b"_\r\n");
}

#[test]
fn timeouts_are_checked() {
    let store = store_with(&[]);
    for (timeout, error) in [
        ("x", "!ERR timeout is not an integer or out of range"),
        ("1.5", "!ERR timeout is not an integer or out of range"),
        ("-1", "!ERR timeout is negative"),
        ("9223372036854775807", "!ERR timeout is out of range"),
    ] {
        assert_eq!(answer(&store, &format!("XREAD BLOCK {timeout} STREAMS s 0")), error);
    }
}

#[test]
fn closing_the_store_ends_the_wait_with_an_error() {
    let store = store_with(&[]);
    let reader = Reader::start(&store, "XREAD BLOCK 0 STREAMS s 0");
    store.close().expect("the store closes");
    assert_eq!(reader.reply(), "!ERR the store is closed");
}

#[test]
fn streams_nobody_named_wake_nobody() {
    let store = store_with(&[]);
    let reader = Reader::start(&store, "XREAD BLOCK 0 STREAMS s 0");
    answer(&store, "XADD t 1-0 f v");
    reader.assert_waiting();
    answer(&store, "XADD s 1-0 f v");
    assert_eq!(reader.reply(), entry("s", "1-0"));
}
