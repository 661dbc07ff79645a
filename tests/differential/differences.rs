//! What may differ: values that depend on the moment, and what changed between Redis 7.0 and the version that is promised.
//!
//! Everything else has to be the same, byte for byte.

use std::time::SystemTime;

use crate::commands::{Kind, Words};
use crate::value::Value;

/// What is left of a reply when what may differ is taken out; the same is done to both sides.
pub fn comparable(kind: Kind, command: &Words, reply: Value) -> Value {
    let is = |position: usize, word: &str| command.get(position).is_some_and(|arg| arg.eq_ignore_ascii_case(word));
    match reply {
        Value::Array(items) if is(0, "XINFO") => Value::Array(fields(kind, items)),
        Value::Array(items) if is(0, "XPENDING") => Value::Array(items.into_iter().map(without_idle).collect()),
        Value::Error(text) => Value::Error(reworded(command, text)),
        reply => reply,
    }
}

/// Errors of which the wording changed since 7.0, in their new form.
fn reworded(command: &Words, text: Vec<u8>) -> Vec<u8> {
    let reworded = REWORDED.iter().find(|(name, old, _)| {
        command.first().is_some_and(|command| command.eq_ignore_ascii_case(name)) && old.as_bytes() == text
    });
    reworded.map_or(text, |(_, _, new)| new.as_bytes().to_vec())
}

/// Command, old text, new text.
const REWORDED: [(&str, &str, &str); 2] = [
    // XREAD takes `+` since 7.4, and XREADGROUP got a text of its own.
    (
        "XREAD",
        "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified.",
    ),
    (
        "XREADGROUP",
        "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
    ),
];

/// What to do with a field of XINFO.
enum Rule {
    /// It describes memory or the clock, so it only has to be there.
    Present,
    /// 7.0 does not have it.
    Dropped,
    /// A moment in Unix milliseconds.
    Moment,
    /// For so many milliseconds.
    Duration,
    /// A list of pending entries: the last but one of each is a moment.
    Pending,
}

fn rule(kind: Kind, name: &[u8], value: &Value) -> Option<Rule> {
    Some(match (name, value) {
        // Memory layout: the nodes of Redis's tree, our segments.
        (b"radix-tree-keys" | b"radix-tree-nodes", _) => Rule::Present,
        // Idempotent production came with 8.6.
        (b"idmp-duration" | b"idmp-maxsize" | b"pids-tracked", _) => Rule::Dropped,
        (b"iids-tracked" | b"iids-added" | b"iids-duplicates", _) => Rule::Dropped,
        // 7.2 tells when a consumer last got something from when it was last seen.
        (b"active-time" | b"inactive", _) => Rule::Dropped,
        // Entries that are released, not acknowledged, came with 8.8.
        (b"nacked-count", _) => Rule::Dropped,
        // How entries are counted that were removed ahead of a group, or that ENTRIESREAD tells wrongly, was mended after
        // 7.0 (LAG-1, LAG-2, LAG-5). Where nothing is removed, both have to be the same.
        (b"entries-read" | b"lag", _) if kind != Kind::GroupsThatGrow => Rule::Present,
        (b"seen-time", Value::Integer(_)) => Rule::Moment,
        (b"idle", Value::Integer(_)) => Rule::Duration,
        (b"pending", Value::Array(_)) => Rule::Pending,
        _ => return None,
    })
}

/// Applies the rules to names and values, however deep.
fn fields(kind: Kind, items: Vec<Value>) -> Vec<Value> {
    let mut left = Vec::new();
    let mut items = items.into_iter().peekable();
    while let Some(item) = items.next() {
        let rule = match (&item, items.peek()) {
            (Value::Bulk(name), Some(value)) => rule(kind, name, value),
            _ => None,
        };
        let Some(rule) = rule else {
            left.push(match item {
                Value::Array(items) => Value::Array(fields(kind, items)),
                item => item,
            });
            continue;
        };
        let value = items.next().expect("it was looked at");
        match rule {
            Rule::Dropped => {}
            Rule::Present => left.push(item),
            Rule::Moment => left.extend([item, moment(value)]),
            Rule::Duration => left.extend([item, duration(value)]),
            Rule::Pending => left.extend([item, pending(value)]),
        }
    }
    left
}

fn pending(list: Value) -> Value {
    let Value::Array(entries) = list else { return list };
    let entries = entries.into_iter().map(|entry| match entry {
        Value::Array(mut parts) if parts.len() >= 2 => {
            let at = parts.len() - 2;
            parts[at] = moment(parts[at].clone());
            Value::Array(parts)
        }
        entry => entry,
    });
    Value::Array(entries.collect())
}

/// An entry of XPENDING's long form.
fn without_idle(entry: Value) -> Value {
    match entry {
        Value::Array(mut parts) if parts.len() == 4 => {
            parts[2] = duration(parts[2].clone());
            Value::Array(parts)
        }
        entry => entry,
    }
}

/// Times are told apart by these many milliseconds, which no test takes.
const GRAIN_MS: i64 = 1_000_000;

/// A moment that was set outright stays; one by the clock becomes how long ago it was, roughly.
fn moment(value: Value) -> Value {
    match value {
        Value::Integer(ms @ 1_000_000_000_000..) => roughly("ago", now_ms() - ms),
        value => value,
    }
}

fn duration(value: Value) -> Value {
    match value {
        Value::Integer(ms) => roughly("for", ms),
        value => value,
    }
}

fn roughly(what: &str, ms: i64) -> Value {
    Value::bulk(&format!("{what} {}", ms.div_euclid(GRAIN_MS)))
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(now.as_millis()).expect("it is before the year 292 million")
}
