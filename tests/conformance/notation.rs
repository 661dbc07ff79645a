//! The notation of the behavioural reference (section 19), read and run.
//!
//! A case is a line: set-up commands joined by `;`, then ` · `, then commands with what they are to answer after a ` → `.
//!
//! | notation | means |
//! |---|---|
//! | `S5` | adds `1-0` … `5-0`, each with the single pair (`f`, its number) |
//! | `MAX`, `MAX1` | 18446744073709551615, and one less |
//! | `XINFO STREAM s: length` | that field of the reply |
//! | `"x"`, `5`, `nil`, `*nil`, `OK`, `[a, b]` | bulk string, integer, the two nulls, simple string, array |
//! | `E-TYPE` | that error of the catalogue (section 3.5) |
//! | `!ERR text` | an error that is not in the catalogue |

use crate::subject::{Mode, Subject};
use crate::value::Value;

/// Runs cases, one per line, each numbered, in all ways to open a store; panics with all that differ.
pub fn run(cases: &str) {
    let cases: Vec<&str> = cases.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut mismatches = String::new();
    for mode in Mode::ALL {
        for case in &cases {
            if let Err(mismatch) = run_case(case, &mut Subject::new(mode)) {
                mismatches.push_str(&format!("{case}\n  {mode:?}: {mismatch}\n"));
            }
        }
    }
    assert!(mismatches.is_empty(), "these cases differ:\n{mismatches}");
}

fn run_case(case: &str, subject: &mut Subject) -> Result<(), String> {
    let (_number, case) = case.split_once(". ").expect("a case is numbered");
    let (setup, steps) = case.split_once(" · ").unwrap_or(("", case));
    for command in setup.split("; ").filter(|command| !command.is_empty()) {
        for command in expand(command) {
            if let error @ Value::Error(_) = execute(subject, &command) {
                return Err(format!("{command} → {error}"));
            }
        }
    }
    for step in steps.split("; ") {
        let (command, expected) = step.split_once(" → ").expect("a command has its answer after an arrow");
        let (expected, got) = (value(expected), execute(subject, command));
        if expected != got {
            return Err(format!("{command} → {got}, not {expected}"));
        }
    }
    Ok(())
}

/// The commands of a shorthand, or the command itself.
fn expand(command: &str) -> Vec<String> {
    match command.strip_prefix('S').and_then(|count| count.parse::<u32>().ok()) {
        Some(count) => (1..=count).map(|number| format!("XADD s {number}-0 f {number}")).collect(),
        None => vec![command.to_owned()],
    }
}

fn execute(subject: &mut Subject, command: &str) -> Value {
    let (command, field) = match command.split_once(": ") {
        Some((command, field)) => (command, Some(field)),
        None => (command, None),
    };
    let args = streamlog::command::split_line(spell_out(command).as_bytes()).expect("quotes are closed");
    match (subject.execute(&args), field) {
        (reply, None) => reply,
        (Value::Array(fields), Some(name)) => {
            let names = fields.iter().step_by(2);
            let at = names.into_iter().position(|field| *field == Value::bulk(name)).expect("the field is there");
            fields[at * 2 + 1].clone()
        }
        (reply, Some(_)) => reply,
    }
}

/// Replaces `MAX1` and `MAX`, but not within words.
fn spell_out(text: &str) -> String {
    let mut spelled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("MAX") {
        let (before, found) = rest.split_at(at);
        spelled.push_str(before);
        let (number, len) = if found.starts_with("MAX1") { (u64::MAX - 1, 4) } else { (u64::MAX, 3) };
        let is_word = found[len..].starts_with(|next: char| next.is_ascii_alphanumeric());
        spelled.push_str(&if is_word { found[..len].to_owned() } else { number.to_string() });
        rest = &found[len..];
    }
    spelled + rest
}

fn value(text: &str) -> Value {
    let text = spell_out(text);
    let mut rest = text.as_str();
    let value = parse(&mut rest);
    assert!(rest.is_empty(), "{rest:?} follows a value");
    value
}

fn parse(rest: &mut &str) -> Value {
    if let Some(items) = rest.strip_prefix('[') {
        *rest = items;
        return parse_items(rest);
    }
    if let Some(text) = rest.strip_prefix('"') {
        let (text, after) = text.split_once('"').expect("a string is closed");
        *rest = after;
        return Value::bulk(text);
    }
    if let Some(error) = rest.strip_prefix('!') {
        *rest = "";
        return Value::Error(error.into());
    }
    let (word, after) = rest.split_at(rest.find([',', ']']).unwrap_or(rest.len()));
    *rest = after;
    match (word, word.parse()) {
        (_, Ok(number)) => Value::Integer(number),
        ("nil", _) => Value::Nil,
        ("*nil", _) => Value::NilArray,
        (tag, _) if tag.starts_with("E-") => Value::Error(error(tag).into()),
        (word, _) => Value::Simple(word.into()),
    }
}

fn parse_items(rest: &mut &str) -> Value {
    let mut items = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(']') {
            *rest = after;
            return Value::Array(items);
        }
        items.push(parse(rest));
        *rest = rest.strip_prefix(", ").unwrap_or(rest);
    }
}

/// The error catalogue, as far as the cases use it.
fn error(tag: &str) -> &'static str {
    match tag {
        "E-ARITY(xadd)" => "ERR wrong number of arguments for 'xadd' command",
        "E-SYNTAX" => "ERR syntax error",
        "E-INT" => "ERR value is not an integer or out of range",
        "E-NOKEY" => "ERR no such key",
        "E-ID" => "ERR Invalid stream ID specified as stream command argument",
        "E-ZERO" => "ERR The ID specified in XADD must be greater than 0-0",
        "E-SMALL" => "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        "E-FULL" => "ERR The stream has exhausted the last possible ID, unable to add more items",
        "E-TWO-STRATEGIES" => "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        "E-LIMIT-TILDE" => "ERR syntax error, LIMIT cannot be used without the special ~ option",
        "E-LIMIT-ALONE" => "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
        "E-NO-STRATEGY" => "ERR syntax error, XTRIM must be called with a trimming strategy",
        "E-START" => "ERR invalid start ID for the interval",
        "E-END" => "ERR invalid end ID for the interval",
        "E-GT" => {
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
        }
        "E-TIMEOUT-INT" => "ERR timeout is not an integer or out of range",
        "E-TIMEOUT-NEG" => "ERR timeout is negative",
        "E-TIMEOUT-BIG" => "ERR timeout is out of range",
        "E-SETID-TOP" => "ERR The ID specified in XSETID is smaller than the target stream top item",
        "E-SETID-CURDEL" => "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        "E-SETID-NEWDEL" => "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
        "E-SETID-ADDED" => "ERR The entries_added specified in XSETID is smaller than the target stream length",
        other => panic!("{other} is not in the catalogue"),
    }
}
