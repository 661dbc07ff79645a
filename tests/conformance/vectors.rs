//! Promise: replaying what clients told a Redis server gives the replies that server gave.
//!
//! The sessions in `tests/data/vectors` are described in the README beside them.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flate2::read::GzDecoder;
use serde_json::Value as Json;
use streamlog::Durability;

use crate::subject::{Mode, Subject};
use crate::value::Value;

/// Commands without which a session makes no sense: all keys are streams here, so nothing sets another type.
const UNSUPPORTED: &[&str] = &["SET"];

/// How many sessions there are without these.
const SESSIONS_MIN: usize = 597;

#[test]
fn in_a_directory_always_synced() {
    replay_all(Mode::Directory(Durability::Always));
}

#[test]
fn in_a_directory_synced_at_intervals() {
    replay_all(Mode::Directory(Durability::Interval(Duration::from_millis(5))));
}

#[test]
fn in_a_directory_never_synced() {
    replay_all(Mode::Directory(Durability::Os));
}

#[test]
fn in_a_directory_reopened_between_any_two_commands() {
    replay_all(Mode::Reopened);
}

#[test]
fn in_memory() {
    replay_all(Mode::Memory);
}

/// So many sessions are replayed at a time: most of the time is spent waiting for the disk.
const AT_A_TIME: usize = 4;

fn replay_all(mode: Mode) {
    let (mut steps, mut skipped) = (0, BTreeMap::<String, usize>::new());
    let mut supported = Vec::new();
    for session in recorded_sessions() {
        let unsupported = session.unsupported();
        if unsupported.is_empty() {
            steps += session.steps.len();
            supported.push(session);
        }
        for what in unsupported {
            *skipped.entry(what).or_default() += 1;
        }
    }
    let mismatches = replay(&supported, mode);
    let replayed = supported.len();
    report(&mode, replayed, steps, &skipped);
    let shown = mismatches.iter().take(20).map(String::as_str).collect::<String>();
    assert!(mismatches.is_empty(), "{} sessions of {replayed} differ, {mode:?}:\n{shown}", mismatches.len());
    assert!(replayed >= SESSIONS_MIN, "only {replayed} sessions were replayed");
}

/// Returns how the sessions differ that do, in their order.
fn replay(sessions: &[Recorded], mode: Mode) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let mut mismatches: Vec<(usize, String)> = std::thread::scope(|scope| {
        let replay_some = || {
            let taken = std::iter::from_fn(|| {
                let at = next.fetch_add(1, Ordering::Relaxed);
                sessions.get(at).map(|session| (at, session))
            });
            taken.filter_map(|(at, session)| Some((at, session.replay(&mut Subject::new(mode))?))).collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(replay_some)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no replay panics")).collect()
    });
    mismatches.sort_unstable();
    mismatches.into_iter().map(|(_, mismatch)| mismatch).collect()
}

/// Past the capturing of test output: what was not tested is worth knowing when everything passes.
fn report(mode: &Mode, replayed: usize, steps: usize, skipped: &BTreeMap<String, usize>) {
    let mut text =
        format!("\nconformance {mode:?}: REPLAYED {replayed} sessions ({steps} steps); SKIPPED for the lack of");
    for (what, sessions) in skipped {
        let _ = write!(text, " {what} ({sessions})");
    }
    let _ = writeln!(std::io::stderr(), "{text}");
}

struct Recorded {
    name: String,
    steps: Vec<Step>,
}

enum Step {
    Command { args: Vec<Vec<u8>>, reply: Expected },
    Sleep(Duration),
}

/// A reply in which some values are masked.
enum Expected {
    Exactly(Value),
    Array(Vec<Expected>),
    /// Any integer.
    Integer,
    /// An integer of 0 or more.
    Time,
    /// An ID made from the clock.
    Id,
}

impl Recorded {
    /// The commands it needs that are not supported.
    fn unsupported(&self) -> Vec<String> {
        let commands = self.steps.iter().filter_map(|step| match step {
            Step::Command { args, .. } => args.first(),
            Step::Sleep(_) => None,
        });
        let mut names: Vec<String> = commands.map(|name| String::from_utf8_lossy(name).to_uppercase()).collect();
        names.retain(|name| UNSUPPORTED.contains(&name.as_str()));
        names.sort();
        names.dedup();
        names
    }

    /// Describes the first mismatch; what follows it tells little.
    fn replay(&self, subject: &mut Subject) -> Option<String> {
        for (number, step) in self.steps.iter().enumerate() {
            match step {
                Step::Sleep(duration) => std::thread::sleep(*duration),
                Step::Command { args, reply } => {
                    let got = subject.execute(args);
                    if !reply.matches(&got) {
                        let command = args.iter().map(|arg| format!(" {:?}", Printable(arg))).collect::<String>();
                        let name = &self.name;
                        return Some(format!(
                            "{name}, step {number}:{command}\n    expected {reply}\n         got {got}\n"
                        ));
                    }
                }
            }
        }
        None
    }
}

impl Expected {
    fn matches(&self, got: &Value) -> bool {
        match (self, got) {
            (Self::Exactly(value), got) => value == got,
            (Self::Array(items), Value::Array(got)) => {
                items.len() == got.len() && items.iter().zip(got).all(|(item, got)| item.matches(got))
            }
            (Self::Integer, Value::Integer(_)) | (Self::Time, Value::Integer(0..)) => true,
            (Self::Id, Value::Bulk(id)) => {
                let parts: Vec<&[u8]> = id.split(|byte| *byte == b'-').collect();
                parts.len() == 2 && parts.iter().all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(value) => value.fmt(f),
            Self::Array(items) => {
                f.write_str("[")?;
                for (position, item) in items.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(f, "{separator}{item}")?;
                }
                f.write_str("]")
            }
            Self::Integer => f.write_str("<integer>"),
            Self::Time => f.write_str("<time>"),
            Self::Id => f.write_str("<id>"),
        }
    }
}

/// Bytes for a message.
struct Printable<'a>(&'a [u8]);

impl fmt::Debug for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

fn recorded_sessions() -> Vec<Recorded> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vectors");
    let mut files: Vec<_> =
        dir.read_dir().expect("the recordings are there").map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gz"));
    files.sort();
    let mut sessions = Vec::new();
    for path in files {
        let mut lines = String::new();
        let file = std::fs::File::open(&path).expect("a recording can be read");
        GzDecoder::new(file).read_to_string(&mut lines).expect("a recording is compressed text");
        sessions.extend(lines.lines().map(|line| session(&serde_json::from_str(line).expect("a recording is JSON"))));
    }
    sessions
}

fn session(json: &Json) -> Recorded {
    let name = json["name"].as_str().expect("a session has a name").to_owned();
    let steps = json["steps"].as_array().expect("a session has steps").iter().map(step).collect();
    Recorded { name, steps }
}

fn step(json: &Json) -> Step {
    match json.get("sleep_ms") {
        Some(ms) => Step::Sleep(Duration::from_millis(ms.as_u64().expect("a pause is a number of milliseconds"))),
        None => Step::Command {
            args: json["cmd"].as_array().expect("a step has a command").iter().map(argument).collect(),
            reply: reply(&json["reply"]),
        },
    }
}

fn argument(json: &Json) -> Vec<u8> {
    match json {
        Json::String(text) => text.clone().into_bytes(),
        json => unhex(&json["hex"]),
    }
}

fn unhex(json: &Json) -> Vec<u8> {
    let digits = json.as_str().expect("bytes are a string of hexadecimal digits");
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("digits are hexadecimal")).collect()
}

fn reply(json: &Json) -> Expected {
    if let Json::Array(items) = json {
        return Expected::Array(items.iter().map(reply).collect());
    }
    let (kind, content) = json.as_object().and_then(|object| object.iter().next()).expect("a reply is an object");
    let text = || content.as_str().expect("the content is text");
    match (kind.as_str(), content) {
        ("any", _) => match text() {
            "int" => Expected::Integer,
            "ms" | "time" => Expected::Time,
            "id" => Expected::Id,
            other => panic!("unknown mask {other}"),
        },
        ("simple", _) => Expected::Exactly(Value::Simple(text().into())),
        ("error", _) => Expected::Exactly(Value::Error(text().into())),
        ("bulk", _) => Expected::Exactly(Value::Bulk(text().into())),
        ("bulk_hex", content) => Expected::Exactly(Value::Bulk(unhex(content))),
        ("int", content) => Expected::Exactly(Value::Integer(content.as_i64().expect("an integer is one"))),
        ("nil", _) if text() == "bulk" => Expected::Exactly(Value::Nil),
        ("nil", _) if text() == "array" => Expected::Exactly(Value::NilArray),
        (kind, _) => panic!("unknown reply {kind}"),
    }
}
