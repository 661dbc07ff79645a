//! The notation of the behavioural reference (section 19), read and run.
//!
//! A case is a line: set-up commands joined by `;`, then ` · `, then commands with what they are to answer after a ` → `.
//!
//! | notation | means |
//! |---|---|
//! | `S5` | adds `1-0` … `5-0`, each with the single pair (`f`, its number) |
//! | `G0`, `H0` | `XGROUP CREATE s g 0`, `XGROUP CREATE s h 0` |
//! | `R(a,2)`, `RH(a,2)` | `XREADGROUP GROUP g a COUNT 2 STREAMS s >`, and the same for the group h |
//! | `MAX`, `MAX1` | 18446744073709551615, and one less |
//! | `XINFO STREAM s: length` | that field of the reply |
//! | `pending of g` | what is pending in that group of s, as `[ID owner×delivery_count, …]`; no owner if it was released |
//! | `counters of g` | two fields of that group's row, as `entries-read 2, lag 0` |
//! | `"x"`, `5`, `nil`, `*nil`, `OK`, `[a, b]` | bulk string, integer, the two nulls, simple string, array |
//! | `<ms>` | any number of milliseconds |
//! | `E-TYPE`, `E-NOGROUP-KEY(s,g)` | that error of the catalogue (section 3.5), with what is substituted in it |
//! | `!ERR text` | an error that is not in the catalogue |

use crate::subject::{Mode, Subject};
use crate::value::Value;

/// Runs cases, one per line, each numbered, in all ways to open a store; panics with all that differ.
pub fn run(cases: &str) {
    let cases: Vec<&str> = cases.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut mismatches = String::new();
    // Miri has no files that a store could use.
    for &mode in if cfg!(miri) { &[Mode::Memory][..] } else { &Mode::ALL } {
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
        if let Some(name) = command.strip_prefix("pending of ") {
            compare(command, expected, &pending(subject, name))?;
        } else if let Some(name) = command.strip_prefix("counters of ") {
            compare(command, expected, &counters(subject, name))?;
        } else {
            let got = execute(subject, command);
            if !matches(&value(expected), &got) {
                compare(command, expected, &got.to_string())?;
            }
        }
    }
    Ok(())
}

fn compare(command: &str, expected: &str, got: &str) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("{command} → {got}, not {expected}")) }
}

/// The commands of a shorthand, or the command itself.
fn expand(command: &str) -> Vec<String> {
    if let Some(count) = command.strip_prefix('S').and_then(|count| count.parse::<u32>().ok()) {
        return (1..=count).map(|number| format!("XADD s {number}-0 f {number}")).collect();
    }
    let read = |group: &str, arguments: &str| {
        let (consumer, count) = arguments.trim_end_matches(')').split_once(',').expect("a consumer and a count");
        format!("XREADGROUP GROUP {group} {consumer} COUNT {count} STREAMS s >")
    };
    vec![match command {
        "G0" => "XGROUP CREATE s g 0".into(),
        "H0" => "XGROUP CREATE s h 0".into(),
        _ => match (command.strip_prefix("R("), command.strip_prefix("RH(")) {
            (Some(arguments), _) => read("g", arguments),
            (_, Some(arguments)) => read("h", arguments),
            _ => command.to_owned(),
        },
    }]
}

fn pending(subject: &mut Subject, group: &str) -> String {
    let Value::Array(rows) = execute(subject, &format!("XPENDING s {group} - + 1000")) else {
        panic!("there is no group {group}");
    };
    let row = |row: &Value| match row {
        Value::Array(row) => match &row[..] {
            [Value::Bulk(id), Value::Bulk(owner), _, Value::Integer(count)] => {
                format!("{} {}×{count}", id.escape_ascii(), owner.escape_ascii())
            }
            _ => panic!("{row:?} is no pending entry"),
        },
        row => panic!("{row} is no pending entry"),
    };
    format!("[{}]", rows.iter().map(row).collect::<Vec<_>>().join(", "))
}

fn counters(subject: &mut Subject, group: &str) -> String {
    let Value::Array(rows) = execute(subject, "XINFO GROUPS s") else { panic!("there is no stream") };
    let rows = rows.iter().map(|row| match row {
        Value::Array(fields) => fields,
        row => panic!("{row} is no row"),
    });
    let row = rows.into_iter().find(|row| row[1] == Value::bulk(group)).expect("the group is there");
    format!("entries-read {}, lag {}", row[9], row[11])
}

/// Whether a reply is as expected, where `<ms>` is any number of milliseconds.
fn matches(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::Array(expected), Value::Array(got)) => {
            expected.len() == got.len() && expected.iter().zip(got).all(|(expected, got)| matches(expected, got))
        }
        (Value::Simple(text), Value::Integer(0..)) if text == b"<ms>" => true,
        _ => expected == got,
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

/// Reads a value.
pub fn value(text: &str) -> Value {
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
    if rest.starts_with("E-") {
        return Value::Error(catalogue_error(std::mem::take(rest)).into());
    }
    let (word, after) = rest.split_at(rest.find([',', ']']).unwrap_or(rest.len()));
    *rest = after;
    match (word, word.parse()) {
        (_, Ok(number)) => Value::Integer(number),
        ("nil", _) => Value::Nil,
        ("*nil", _) => Value::NilArray,
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

/// An error of the catalogue: `E-TAG`, or `E-TAG(argument,argument)`.
pub fn catalogue_error(tag: &str) -> String {
    let (tag, arguments) = tag.strip_suffix(')').and_then(|tag| tag.split_once('(')).unwrap_or((tag, ""));
    let mut text = catalogue(tag).to_owned();
    for (number, argument) in arguments.split(',').enumerate() {
        text = text.replace(&format!("<{number}>"), argument);
    }
    text
}

/// The error catalogue. What is substituted in a text is `<0>`, `<1>`.
fn catalogue(tag: &str) -> &'static str {
    match tag {
        "E-ARITY" => "ERR wrong number of arguments for '<0>' command",
        "E-SYNTAX" => "ERR syntax error",
        "E-INT" => "ERR value is not an integer or out of range",
        "E-NOKEY" => "ERR no such key",
        "E-ID" => "ERR Invalid stream ID specified as stream command argument",
        "E-SUB" => "ERR unknown subcommand or wrong number of arguments for '<1>'. Try <0> HELP.",
        "E-SUB-UNKNOWN" => "ERR unknown subcommand '<1>'. Try <0> HELP.",
        "E-ZERO" => "ERR The ID specified in XADD must be greater than 0-0",
        "E-SMALL" => "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        "E-FULL" => "ERR The stream has exhausted the last possible ID, unable to add more items",
        "E-MAXLEN" => "ERR The MAXLEN argument must be >= 0.",
        "E-LIMIT" => "ERR The LIMIT argument must be >= 0.",
        "E-TWO-STRATEGIES" => "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        "E-LIMIT-TILDE" => "ERR syntax error, LIMIT cannot be used without the special ~ option",
        "E-LIMIT-ALONE" => "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
        "E-NO-STRATEGY" => "ERR syntax error, XTRIM must be called with a trimming strategy",
        "E-IDMP-TWICE" => "ERR syntax error, IDMP/IDMPAUTO specified multiple times",
        "E-IDMP-PID" => "ERR syntax error, <0> requires a non-empty producer ID",
        "E-IDMP-IID" => "ERR syntax error, IDMP requires a non-empty idempotent ID",
        "E-IDMP-STAR" => "ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs",
        "E-START" => "ERR invalid start ID for the interval",
        "E-END" => "ERR invalid end ID for the interval",
        "E-UNBALANCED" => {
            "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified."
        }
        "E-UNBALANCED-GROUP" => {
            "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."
        }
        "E-GROUP-ONLY" => "ERR The <0> option is only supported by XREADGROUP. You called XREAD instead.",
        "E-GT" => {
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
        }
        "E-DOLLAR" => {
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
             specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set."
        }
        "E-PLUS" => {
            "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
             specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set."
        }
        "E-NO-GROUP-OPT" => "ERR Missing GROUP option for XREADGROUP",
        "E-NOGROUP-READ" => "NOGROUP No such key '<0>' or consumer group '<1>' in XREADGROUP with GROUP option",
        "E-NOGROUP-KEY" => "NOGROUP No such key '<0>' or consumer group '<1>'",
        "E-NOGROUP-IN" => "NOGROUP No such consumer group '<1>' for key name '<0>'",
        "E-TIMEOUT-INT" => "ERR timeout is not an integer or out of range",
        "E-TIMEOUT-NEG" => "ERR timeout is negative",
        "E-TIMEOUT-BIG" => "ERR timeout is out of range",
        "E-IDLE-INT" => "ERR min-idle-time is not an integer or out of range",
        "E-IDLE-NEG" => "ERR min-idle-time must be a positive integer",
        "E-NUMIDS" => "ERR Number of IDs must be a positive integer",
        "E-NUMIDS-MATCH" => "ERR The `numids` parameter must match the number of arguments",
        "E-CLAIM-IDLE" => "ERR Invalid min-idle-time argument for <0>",
        "E-CLAIM-OPT" => "ERR Unrecognized XCLAIM option '<0>'",
        "E-CLAIM-ARG" => "ERR Invalid <0> option argument for XCLAIM",
        "E-COUNT" => "ERR COUNT must be > 0",
        "E-XGROUP-KEY" => {
            "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
             option to create an empty stream automatically."
        }
        "E-BUSY" => "BUSYGROUP Consumer Group name already exists",
        "E-ENTRIESREAD" => "ERR value for ENTRIESREAD must be positive or -1",
        "E-ADDED-NEG" => "ERR entries_added must be positive",
        "E-SETID-TOP" => "ERR The ID specified in XSETID is smaller than the target stream top item",
        "E-SETID-CURDEL" => "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        "E-SETID-NEWDEL" => "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
        "E-SETID-ADDED" => "ERR The entries_added specified in XSETID is smaller than the target stream length",
        "E-CFG-NONE" => "ERR At least one parameter must be specified",
        "E-CFG-DURATION" => "ERR IDMP-DURATION must be between 1 and 86400 seconds",
        "E-CFG-MAXSIZE" => "ERR IDMP-MAXSIZE must be between 1 and 10000 entries",
        "E-CFG-TWICE" => "ERR <0> specified multiple times",
        "E-REC-PID" => "ERR producer ID must be non-empty",
        "E-REC-IID" => "ERR idempotent ID must be non-empty",
        "E-REC-MSG" => "ERR No such message in stream",
        "E-REC-CONFLICT" => "ERR IID already exists for this producer with a different stream ID",
        // Section 18: of Redis 8.10.
        "E-REPLY-LIMIT" => "ERR <0> must be a positive integer",
        "E-MAXCOUNT" => "ERR MAXCOUNT must be greater than or equal to COUNT",
        // Section 13: of Redis 8.8, in which some of them may begin with `ERR` twice.
        "E-NACK-MODE" => "ERR mode must be SILENT, FAIL, or FATAL",
        "E-NACK-NUMIDS" => "ERR numids must be a positive integer",
        "E-NACK-MATCH" => "ERR number of IDs doesn't match numids",
        "E-NACK-OPT" => "ERR Unrecognized XNACK option '<0>'",
        "E-NACK-IDS" => "ERR syntax error, expected IDS keyword",
        "E-NACK-RETRY" => "ERR Invalid RETRYCOUNT value, must be >= 0",
        other => panic!("{other} is not in the catalogue"),
    }
}
