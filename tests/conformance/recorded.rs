//! What a Redis server answered to a sequence of commands, as it was recorded: the format is described in
//! `tests/data/vectors/README.md`.

use std::fmt;
use std::time::Duration;

use serde_json::Value as Json;

use crate::value::Value;

/// A session: commands, and what the server answered.
pub struct Recorded {
    pub name: String,
    pub steps: Vec<Step>,
}

pub enum Step {
    Command { args: Vec<Vec<u8>>, reply: Expected },
    Sleep(Duration),
}

/// A reply in which some values are masked.
pub enum Expected {
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
    /// Describes the first mismatch; what follows it tells little.
    pub fn replay(&self, mut execute: impl FnMut(&[Vec<u8>]) -> Value) -> Option<String> {
        for (number, step) in self.steps.iter().enumerate() {
            match step {
                Step::Sleep(duration) => std::thread::sleep(*duration),
                Step::Command { args, reply } => {
                    let got = execute(args);
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
    pub fn matches(&self, got: &Value) -> bool {
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

/// A session from a line of a recording.
pub fn session(json: &Json) -> Recorded {
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
