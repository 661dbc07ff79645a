//! Promise: whatever is wrong with a command, what is checked first is what is reported, and nothing is changed.
//!
//! The tables follow the rules "Order" of the behavioural reference. Of each command every argument is broken in turn, and
//! every two of them at once, where the group exists, where it does not, and where the key does not.

use streamlog::Store;
use streamlog::command::{Protocol, execute};

use crate::notation::{catalogue_error, value};
use crate::value::Value;

/// What is no integer (ARG-2).
const NO_INTEGERS: &[&[u8]] = &[
    b"",
    b"x",
    b"1.5",
    b"+1",
    b"01",
    b"-0",
    b" 1",
    b"1 ",
    b"0x1",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"99999999999999999999",
    b"-",
    b"+",
    b"$",
    b"(1",
    b"1\0",
    b"\xff",
    b"1\r\n",
];

/// What is no ID in any position that knows neither edges nor exclusive bounds.
const NO_IDS: &[&[u8]] = &[
    b"",
    b"x",
    b"-",
    b"+",
    b"$",
    b">",
    b"*",
    b"1-*",
    b"(1-1",
    b"(",
    b"1-",
    b"-1",
    b"1-1-1",
    b"1.5",
    b"1-1 ",
    b"18446744073709551616",
    b"1-18446744073709551616",
    b"\xff",
    b"1\r\n",
    b"x\r\n-ERR y",
    b"x\0y",
];

/// What is no keyword.
const NO_WORDS: &[&[u8]] = &[b"", b"x", b"COUNTS", b"\xff", b"a\r\nb"];

/// A command whose arguments are valid, and in which order they are checked.
struct Call {
    /// Position 0 is the name of the command.
    valid: &'static str,
    /// What is answered where there is no key, and where there is no group. The same as with both if empty.
    no_key: &'static str,
    no_group: &'static str,
    /// `position:kind=error` in the order of checks; `lookup` is when key and group are looked for. An error that quotes
    /// the argument has a `_`. After the kind's own error there may be others, for certain arguments, or `ok` for those
    /// that are valid here: `,argument=error`.
    checks: &'static str,
}

const CALLS: &[Call] = &[
    Call { valid: "XACK s g 1-1", no_key: "0", no_group: "0", checks: "lookup 3:id=E-ID" },
    Call { valid: "XACK s g 9-1 9-2", no_key: "0", no_group: "0", checks: "lookup 3:id=E-ID 4:id=E-ID" },
    Call {
        valid: "XACKDEL s g KEEPREF IDS 1 1-1",
        no_key: "[-1]",
        no_group: "[-1]",
        checks: "3:word=E-SYNTAX 4:word=E-SYNTAX 5:int=E-NUMIDS,0=E-NUMIDS,-1=E-NUMIDS,2=E-NUMIDS-MATCH lookup 6:id=E-ID",
    },
    Call {
        valid: "XNACK s g FAIL RETRYCOUNT 1 IDS 2 9-1 9-2 FORCE",
        no_key: "E-NOGROUP-KEY(s,g)",
        no_group: "E-NOGROUP-KEY(s,g)",
        checks: "lookup 3:word=E-NACK-MODE 4:word=E-NACK-OPT(_) 5:int=E-INT,-1=E-NACK-RETRY 6:word=E-NACK-OPT(_) \
                 7:int=E-NACK-NUMIDS,0=E-NACK-NUMIDS,-1=E-NACK-NUMIDS,9=E-NACK-MATCH 10:word=E-NACK-OPT(_) 8:id=E-ID 9:id=E-ID",
    },
    Call { valid: "XPENDING s g", no_key: "E-NOGROUP-KEY(s,g)", no_group: "E-NOGROUP-KEY(s,g)", checks: "lookup" },
    Call {
        valid: "XPENDING s g IDLE 5 1 2 3 a",
        no_key: "E-NOGROUP-KEY(s,g)",
        no_group: "E-NOGROUP-KEY(s,g)",
        checks: "4:int=E-INT 7:int=E-INT \
                 5:id=E-ID,-=ok,+=ok,(1-1=ok,(18446744073709551615-18446744073709551615=E-START \
                 6:id=E-ID,-=ok,+=ok,(1-1=ok,(0-0=E-END lookup",
    },
    Call {
        valid: "XCLAIM s g b 0 9-1 IDLE 5 TIME 5 RETRYCOUNT 1 FORCE LASTID 0-1 JUSTID",
        no_key: "E-NOGROUP-KEY(s,g)",
        no_group: "E-NOGROUP-KEY(s,g)",
        checks: "lookup 4:int=E-CLAIM-IDLE(XCLAIM) 5:id=E-CLAIM-OPT(_) 6:word=E-CLAIM-OPT(_) 7:int=E-CLAIM-ARG(IDLE) \
                 8:word=E-CLAIM-OPT(_) 9:int=E-CLAIM-ARG(TIME) 10:word=E-CLAIM-OPT(_) 11:int=E-CLAIM-ARG(RETRYCOUNT) \
                 12:word=E-CLAIM-OPT(_) 13:word=E-CLAIM-OPT(_) 14:id=E-ID 15:word=E-CLAIM-OPT(_)",
    },
    Call {
        valid: "XAUTOCLAIM s g b 99999 5 COUNT 7 JUSTID",
        no_key: "E-NOGROUP-KEY(s,g)",
        no_group: "E-NOGROUP-KEY(s,g)",
        checks: "4:int=E-CLAIM-IDLE(XAUTOCLAIM) \
                 5:id=E-ID,-=ok,+=ok,(1-1=ok,(18446744073709551615-18446744073709551615=E-START \
                 6:word=E-SYNTAX 7:int=E-COUNT,0=E-COUNT,-1=E-COUNT,576460752303423488=E-COUNT,9223372036854775807=E-COUNT \
                 8:word=E-SYNTAX lookup",
    },
    Call {
        valid: "XREADGROUP GROUP g a COUNT 1 BLOCK 1 CLAIM 99999 NOACK MAXCOUNT 4 MAXSIZE 5 STREAMS s s > 0",
        no_key: "E-NOGROUP-READ(s,g)",
        no_group: "E-NOGROUP-READ(s,g)",
        checks: "1:word=E-SYNTAX 4:word=E-SYNTAX 5:int=E-INT 6:word=E-SYNTAX \
                 7:int=E-TIMEOUT-INT,-1=E-TIMEOUT-NEG,9223372036854775807=E-TIMEOUT-BIG 8:word=E-SYNTAX \
                 9:int=E-IDLE-INT,-1=E-IDLE-NEG 10:word=E-SYNTAX 11:word=E-SYNTAX \
                 12:int=E-REPLY-LIMIT(MAXCOUNT),0=E-REPLY-LIMIT(MAXCOUNT),-1=E-REPLY-LIMIT(MAXCOUNT) 13:word=E-SYNTAX \
                 14:int=E-REPLY-LIMIT(MAXSIZE),0=E-REPLY-LIMIT(MAXSIZE),-1=E-REPLY-LIMIT(MAXSIZE) 15:word=E-SYNTAX \
                 lookup 18:id=E-ID,$=E-DOLLAR,+=E-PLUS,>=ok 19:id=E-ID,$=E-DOLLAR,+=E-PLUS,>=ok",
    },
    Call {
        valid: "XREAD COUNT 1 BLOCK 1 STREAMS s s 90 90",
        no_key: "*nil",
        no_group: "",
        checks: "1:word=E-SYNTAX 2:int=E-INT 3:word=E-SYNTAX \
                 4:int=E-TIMEOUT-INT,-1=E-TIMEOUT-NEG,9223372036854775807=E-TIMEOUT-BIG 5:word=E-SYNTAX \
                 8:id=E-ID,$=ok,+=ok,>=E-GT 9:id=E-ID,$=ok,+=ok,>=E-GT lookup",
    },
    Call {
        valid: "XGROUP CREATE s g 0 ENTRIESREAD 1",
        no_key: "E-XGROUP-KEY",
        no_group: "",
        checks: "5:word=E-SUB(XGROUP,CREATE) 6:int=E-INT,-2=E-ENTRIESREAD lookup 4:id=E-ID,$=ok",
    },
    Call {
        valid: "XGROUP SETID s g 0 ENTRIESREAD 1",
        no_key: "E-XGROUP-KEY",
        no_group: "E-NOGROUP-IN(s,g)",
        checks: "5:word=E-SUB(XGROUP,SETID) 6:int=E-INT,-2=E-ENTRIESREAD lookup 4:id=E-ID,$=ok,-=ok,+=ok",
    },
    Call { valid: "XGROUP DESTROY s g", no_key: "E-XGROUP-KEY", no_group: "0", checks: "lookup" },
    Call {
        valid: "XGROUP CREATECONSUMER s g new",
        no_key: "E-XGROUP-KEY",
        no_group: "E-NOGROUP-IN(s,g)",
        checks: "lookup",
    },
    Call { valid: "XGROUP DELCONSUMER s g a", no_key: "E-XGROUP-KEY", no_group: "E-NOGROUP-IN(s,g)", checks: "lookup" },
    Call { valid: "XINFO GROUPS s", no_key: "E-NOKEY", no_group: "", checks: "lookup" },
    Call { valid: "XINFO CONSUMERS s g", no_key: "E-NOKEY", no_group: "E-NOGROUP-IN(s,g)", checks: "lookup" },
    Call {
        valid: "XINFO STREAM s FULL COUNT 1",
        no_key: "E-NOKEY",
        no_group: "",
        checks: "lookup 3:word=E-SUB(XINFO,STREAM) 4:word=E-SUB(XINFO,STREAM) 5:int=E-INT",
    },
    Call { valid: "XDEL s 9-1 9-2", no_key: "0", no_group: "", checks: "lookup 2:id=E-ID 3:id=E-ID" },
    Call {
        valid: "XDELEX s IDS 1 9-1 DELREF",
        no_key: "[-1]",
        no_group: "",
        checks: "2:word=E-SYNTAX 3:int=E-NUMIDS,0=E-NUMIDS,-1=E-NUMIDS,3=E-NUMIDS-MATCH 5:word=E-SYNTAX lookup 4:id=E-ID",
    },
    Call {
        valid: "XCFGSET s IDMP-DURATION 5 IDMP-MAXSIZE 5",
        no_key: "E-NOKEY",
        no_group: "",
        checks: "lookup 2:word=E-SYNTAX 3:int=E-INT,0=E-CFG-DURATION,-1=E-CFG-DURATION,86401=E-CFG-DURATION \
                 4:word=E-SYNTAX 5:int=E-INT,0=E-CFG-MAXSIZE,-1=E-CFG-MAXSIZE,10001=E-CFG-MAXSIZE",
    },
    Call {
        valid: "XIDMPRECORD s p i 1-1",
        no_key: "E-NOKEY",
        no_group: "",
        checks: "4:id=E-ID 2:empty=E-REC-PID 3:empty=E-REC-IID lookup 4:none=E-REC-MSG,9-9=E-REC-MSG",
    },
    Call {
        valid: "XADD s NOMKSTREAM MAXLEN ~ 100 LIMIT 5 IDMP p i * f v",
        no_key: "nil",
        no_group: "",
        checks: "2:word=E-ID 3:word=E-ID 5:int=E-INT,-1=E-MAXLEN 6:word=E-ID 7:int=E-INT,-1=E-LIMIT 8:word=E-ID \
                 9:empty=E-IDMP-PID(IDMP) 10:empty=E-IDMP-IID \
                 11:id=E-ID,*=ok,1-*=E-IDMP-STAR,9-9=E-IDMP-STAR,0-0=E-IDMP-STAR lookup",
    },
    Call {
        valid: "XSETID s 9-9 ENTRIESADDED 50 MAXDELETEDID 1-1",
        no_key: "E-NOKEY",
        no_group: "",
        checks: "2:id=E-ID 3:word=E-SYNTAX 4:int=E-INT,-1=E-ADDED-NEG 5:word=E-SYNTAX 6:id=E-ID,9-10=E-SETID-NEWDEL lookup \
                 2:none=E-SETID-TOP,2-1=E-SETID-TOP 4:none=E-SETID-ADDED,0=E-SETID-ADDED",
    },
    Call {
        valid: "XTRIM s ACKED MAXLEN ~ 100 LIMIT 5",
        no_key: "0",
        no_group: "",
        checks: "2:word=E-SYNTAX 3:word=E-SYNTAX 5:int=E-INT,-1=E-MAXLEN 6:word=E-SYNTAX 7:int=E-INT,-1=E-LIMIT lookup",
    },
];

/// One argument that is wrong, and what is to be said of it.
struct Wrong {
    at: usize,
    argument: Vec<u8>,
    error: Vec<u8>,
    is_after_lookup: bool,
    /// Its place in the order of checks.
    order: usize,
    /// Another word in its place may change what the arguments after it are.
    is_word: bool,
}

impl Call {
    fn args(&self) -> Vec<Vec<u8>> {
        self.valid.split(' ').map(|arg| arg.as_bytes().to_vec()).collect()
    }

    fn wrongs(&self) -> Vec<Wrong> {
        let (mut wrongs, mut is_after_lookup) = (Vec::new(), false);
        for (order, check) in self.checks.split_whitespace().enumerate() {
            let Some((at, kind)) = check.split_once(':') else {
                is_after_lookup = true;
                continue;
            };
            let (at, is_word) = (at.parse().expect("a position is a number"), kind.starts_with("word"));
            for (argument, tag) in kinds(kind) {
                wrongs.push(Wrong { at, error: error(tag, &argument), argument, is_after_lookup, order, is_word });
            }
        }
        wrongs
    }
}

/// The arguments that are wrong in a position, each with the tag of its error.
fn kinds(kind: &'static str) -> Vec<(Vec<u8>, &'static str)> {
    // Errors may have a comma between parentheses: what follows a comma is another argument if it has an `=`.
    let mut parts: Vec<(String, &'static str)> = Vec::new();
    let mut rest = kind;
    loop {
        let (name, after) = rest[1..].split_once('=').expect("an error follows an =");
        let name = format!("{}{name}", &rest[..1]);
        let end = after.match_indices(',').map(|(at, _)| at).find(|at| after[at + 1..].contains('='));
        let (tag, next) = end.map_or((after, ""), |end| (&after[..end], &after[end + 1..]));
        parts.push((name, tag));
        if next.is_empty() {
            break;
        }
        rest = next;
    }
    let (kind, tag) = parts.remove(0);
    let usual: &[&[u8]] = match kind.as_str() {
        "int" => NO_INTEGERS,
        "id" => NO_IDS,
        "word" => NO_WORDS,
        "empty" => &[b""],
        "none" => &[],
        other => panic!("there is no kind {other}"),
    };
    let special = |argument: &[u8]| parts.iter().any(|(name, _)| name.as_bytes() == argument);
    let usual = usual.iter().filter(|argument| !special(argument)).map(|argument| (argument.to_vec(), tag));
    let specials = parts.iter().filter(|(_, tag)| *tag != "ok").map(|(name, tag)| (name.clone().into_bytes(), *tag));
    usual.chain(specials).collect()
}

/// The text of an error that quotes an argument: up to its first NUL, and without line breaks.
fn error(tag: &str, argument: &[u8]) -> Vec<u8> {
    let text = catalogue_error(&tag.replace("(_)", "(<quoted>)"));
    let quoted = argument.split(|byte| *byte == 0).next().unwrap_or_default();
    let (before, after) = text.split_once("<quoted>").map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
    let mut bytes = before.as_bytes().to_vec();
    if let Some(after) = after {
        bytes.extend_from_slice(quoted);
        bytes.extend_from_slice(after.as_bytes());
    }
    bytes.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b' ');
    bytes
}

fn run(store: &Store, args: &[Vec<u8>]) -> Value {
    let mut bytes = Vec::new();
    execute(store, args).encode(Protocol::Resp2, &mut bytes);
    // Panics if what was quoted breaks the protocol.
    Value::decode(&bytes)
}

fn run_line(store: &Store, line: &str) -> Value {
    run(store, &line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect::<Vec<_>>())
}

/// All that can be seen of the stream but what depends on when one looks.
fn state(store: &Store) -> String {
    let keys = run_line(store, "KEYS *");
    format!("{keys} {} {}", run_line(store, "XINFO STREAM s FULL COUNT 0"), run_line(store, "XINFO STREAM s"))
}

const SITUATIONS: [&str; 3] = ["the group exists", "there is no group", "there is no key"];

/// A store in which there is something for every command to find.
fn store_in(situation: &str) -> Store {
    let store = Store::in_memory();
    let setup: &[&str] = &["XADD s 1-1 f v", "XADD s 2-1 f v", "XADD s 3-1 f v"];
    let group: &[&str] = &["XGROUP CREATE s g 0", "XREADGROUP GROUP g a COUNT 2 STREAMS s >"];
    let commands = match situation {
        "there is no key" => vec![],
        "there is no group" => setup.to_vec(),
        _ => [setup, group].concat(),
    };
    for command in commands {
        assert!(!matches!(run_line(&store, command), Value::Error(_)), "{command}");
    }
    store
}

/// What is answered where something is missing; `None` if that makes no difference.
fn missing(call: &Call, situation: &str) -> Option<Value> {
    let answer = match situation {
        "there is no key" => call.no_key,
        "there is no group" => call.no_group,
        _ => "",
    };
    (!answer.is_empty()).then(|| value(answer))
}

fn show(args: &[Vec<u8>]) -> String {
    args.iter().map(|arg| format!("{:?} ", arg.escape_ascii().to_string())).collect()
}

/// Runs what is wrong in one or two ways; the first of them in the order of checks is what is to be reported.
fn check(call: &Call, situation: &str, store: &Store, before: &str, wrongs: &[&Wrong]) -> Result<(), String> {
    let mut args = call.args();
    for wrong in wrongs {
        args[wrong.at] = wrong.argument.clone();
    }
    let first = wrongs.iter().min_by_key(|wrong| wrong.order).expect("something is wrong");
    let expected = match missing(call, situation) {
        Some(answer) if first.is_after_lookup => answer,
        _ => Value::Error(first.error.clone()),
    };
    // What is answered with no error may change something.
    let fresh = (!matches!(expected, Value::Error(_))).then(|| store_in(situation));
    let got = run(fresh.as_ref().unwrap_or(store), &args);
    if got != expected {
        return Err(format!("{situation}: {}→ {got}, not {expected}\n", show(&args)));
    }
    if fresh.is_none() && state(store) != before {
        return Err(format!("{situation}: {}changed something\n", show(&args)));
    }
    Ok(())
}

#[test]
fn every_argument_that_is_wrong_is_reported_in_its_turn() {
    let (mut mismatches, mut count) = (String::new(), 0);
    for situation in SITUATIONS {
        let store = store_in(situation);
        let before = state(&store);
        for call in CALLS {
            let wrongs = call.wrongs();
            for (at, wrong) in wrongs.iter().enumerate() {
                let mut sets = vec![vec![wrong]];
                // One of each position that comes after it.
                let mut last = wrong.order;
                for other in wrongs.iter().skip(at + 1) {
                    if other.order > last && other.at != wrong.at && !wrong.is_word && !other.is_word {
                        sets.push(vec![wrong, other]);
                        last = other.order;
                    }
                }
                for set in sets {
                    count += 1;
                    mismatches.extend(check(call, situation, &store, &before, &set).err());
                }
            }
        }
    }
    println!("{count} calls with something wrong");
    assert!(mismatches.is_empty(), "{mismatches}");
}

#[test]
fn what_is_valid_is_answered_also_in_small_letters() {
    for situation in SITUATIONS {
        for call in CALLS {
            let args = call.args();
            let lower = args.iter().map(|arg| match arg.as_slice() {
                keyword if keyword.len() > 1 && keyword.is_ascii() => keyword.to_ascii_lowercase(),
                argument => argument.to_vec(),
            });
            let mixed = call
                .args()
                .iter()
                .map(|arg| match arg.split_first() {
                    Some((first, rest)) if arg.len() > 1 => [&[first.to_ascii_lowercase()], rest].concat(),
                    _ => arg.clone(),
                })
                .collect();
            let answers = [call.args(), lower.collect(), mixed].map(|args| masked(&run(&store_in(situation), &args)));
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{situation}: {}: {answers:?}", call.valid);
            match missing(call, situation) {
                Some(expected) => {
                    assert_eq!(run(&store_in(situation), &call.args()), expected, "{situation}: {}", call.valid)
                }
                None if call.valid.starts_with("XGROUP CREATE s g ") => {}
                None => assert!(!answers[0].starts_with('!'), "{situation}: {}: {}", call.valid, answers[0]),
            }
        }
    }
}

/// Without what depends on the clock, which numbers within a reply may.
fn masked(reply: &Value) -> String {
    let part = |item: &Value| if matches!(item, Value::Integer(_)) { "<number>".into() } else { masked(item) };
    match reply {
        Value::Bulk(id) if id.len() > 14 && id.ends_with(b"-0") => "<id>".into(),
        Value::Array(items) => format!("[{}]", items.iter().map(part).collect::<Vec<_>>().join(", ")),
        reply => reply.to_string(),
    }
}

/// ARG-3: before anything else.
#[test]
fn the_number_of_arguments_is_checked_first() {
    for (command, name, min, exact) in [
        ("XLEN s", "xlen", 2, true),
        ("XRANGE s - +", "xrange", 4, false),
        ("XREVRANGE s + -", "xrevrange", 4, false),
        ("XREAD STREAMS s 0", "xread", 4, false),
        ("XREADGROUP GROUP g a STREAMS s >", "xreadgroup", 7, false),
        ("XACK s g 1-1", "xack", 4, false),
        ("XACKDEL s g IDS 1 1-1", "xackdel", 6, false),
        ("XDEL s 1-1", "xdel", 3, false),
        ("XDELEX s IDS 1 1-1", "xdelex", 5, false),
        ("XNACK s g FAIL IDS 1 1-1", "xnack", 7, false),
        ("XPENDING s g", "xpending", 3, false),
        ("XCLAIM s g b 0 1-1", "xclaim", 6, false),
        ("XAUTOCLAIM s g b 0 0", "xautoclaim", 6, false),
        ("XTRIM s MAXLEN 1", "xtrim", 4, false),
        ("XSETID s 9-9", "xsetid", 3, false),
        ("XCFGSET s", "xcfgset", 2, false),
        ("XIDMPRECORD s p i 1-1", "xidmprecord", 5, true),
        ("XGROUP CREATE s g 0", "xgroup|create", 5, false),
        ("XGROUP SETID s g 0", "xgroup|setid", 5, false),
        ("XGROUP DESTROY s g", "xgroup|destroy", 4, true),
        ("XGROUP CREATECONSUMER s g a", "xgroup|createconsumer", 5, true),
        ("XGROUP DELCONSUMER s g a", "xgroup|delconsumer", 5, true),
        ("XGROUP HELP", "xgroup|help", 2, true),
        ("XINFO STREAM s", "xinfo|stream", 3, false),
        ("XINFO GROUPS s", "xinfo|groups", 3, true),
        ("XINFO CONSUMERS s g", "xinfo|consumers", 4, true),
        ("XINFO HELP", "xinfo|help", 2, true),
    ] {
        let arity = value(&format!("E-ARITY({name})"));
        for situation in SITUATIONS {
            let store = store_in(situation);
            let args: Vec<&str> = command.split(' ').collect();
            assert_eq!(args.len(), min, "{command}");
            let first = if name.contains('|') { 2 } else { 1 };
            for count in first..min {
                assert_eq!(
                    run_line(&store, &args[..count].join(" ")),
                    arity,
                    "{situation}: {command}, {count} of them"
                );
            }
            let surplus = run_line(&store, &format!("{command} surplus"));
            assert_eq!(surplus == arity, exact, "{situation}: {command} surplus → {surplus}");
        }
    }
    let store = Store::in_memory();
    for container in ["xgroup", "xinfo"] {
        assert_eq!(run_line(&store, container), value(&format!("E-ARITY({container})")));
        let unknown = format!("E-SUB-UNKNOWN({},nope)", container.to_uppercase());
        assert_eq!(run_line(&store, &format!("{container} nope")), value(&unknown));
        assert_eq!(run_line(&store, &format!("{container} nope a b c d e f")), value(&unknown));
    }
}

/// ARG-4, ARG-5
#[test]
fn of_an_option_that_is_given_twice_the_last_counts() {
    crate::notation::run(
        r#"
        1. S3; G0; H0 · XREADGROUP GROUP h x GROUP g a COUNT 9 COUNT 1 BLOCK 5 BLOCK 0 NOACK noack STREAMS s > → [["s", [["1-0", ["f", "1"]]]]]; pending of h → []
        2. S1; G0; R(a,1) · XREADGROUP GROUP g b CLAIM 0 CLAIM 99999 STREAMS s > → *nil; XREADGROUP GROUP g b CLAIM x CLAIM 0 STREAMS s > → E-IDLE-INT
        3. S1; G0; R(a,1) · XCLAIM s g b 0 1-0 RETRYCOUNT 5 RETRYCOUNT 7 → [["1-0", ["f", "1"]]]; pending of g → [1-0 b×7]
        4. S1; G0; R(a,1) · XCLAIM s g b 0 1-0 RETRYCOUNT 5 RETRYCOUNT -1 → [["1-0", ["f", "1"]]]; pending of g → [1-0 b×2]
        5. S3; G0 · XCLAIM s g b 0 LASTID 3-0 LASTID 2-0 → []; XREADGROUP GROUP g a STREAMS s > → [["s", [["3-0", ["f", "3"]]]]]
        6. S1; G0; R(a,1) · XCLAIM s g b 0 1-0 IDLE 99999 TIME 1 IDLE 0 JUSTID JUSTID FORCE FORCE → ["1-0"]; XPENDING s g IDLE 60000 - + 9 → []
        7. S1; G0; R(a,1) · XCLAIM s g b 0 1-0 IDLE 0 TIME 1 JUSTID → ["1-0"]; XPENDING s g IDLE 60000 - + 9 → [["1-0", "b", <ms>, 1]]
        8. S1; G0; R(a,1) · XCLAIM s g b 0 1-0 TIME 1 TIME -1 JUSTID → ["1-0"]; XPENDING s g IDLE 60000 - + 9 → []
        9. S3; G0; R(a,3) · XAUTOCLAIM s g b 0 - COUNT 1 COUNT 2 justid JUSTID → ["3-0", ["1-0", "2-0"], []]; XAUTOCLAIM s g b 0 - COUNT 0 COUNT 1 → E-COUNT
        10. S3; G0; R(a,3) · XNACK s g FAIL RETRYCOUNT 1 RETRYCOUNT 6 FORCE FORCE IDS 1 1-0 → 1; pending of g → [1-0 ×6, 2-0 a×1, 3-0 a×1]
        11. S3 · XGROUP CREATE s g 0 MKSTREAM MKSTREAM → OK; XGROUP CREATE s h 0 MKSTREAM MKSTREAM MKSTREAM → OK
        12. S3; G0 · XINFO STREAM s FULL FULL → E-SUB(XINFO,STREAM); XINFO STREAM s FULL COUNT 1 COUNT 1 → E-SUB(XINFO,STREAM)
        13. S2 · XDELEX s KEEPREF KEEPREF IDS 1 1-0 → E-SYNTAX; XDELEX s IDS 1 1-0 ACKED DELREF → E-SYNTAX; XACKDEL s g ACKED IDS 1 1-0 ACKED → E-SYNTAX
        14. S1 · XCFGSET s IDMP-DURATION 5 IDMP-DURATION 5 → E-CFG-TWICE(IDMP-DURATION); XCFGSET s IDMP-MAXSIZE 5 IDMP-MAXSIZE 6 → E-CFG-TWICE(IDMP-MAXSIZE)
        14. S1 · XCFGSET s IDMP-DURATION 5 IDMP-DURATION x → E-CFG-TWICE(IDMP-DURATION); XCFGSET s IDMP-MAXSIZE 5 IDMP-MAXSIZE 0 → E-CFG-TWICE(IDMP-MAXSIZE)
        15. S1 · XADD s IDMP p i IDMPAUTO p * f v → E-IDMP-TWICE; XADD s IDMPAUTO p IDMPAUTO p * f v → E-IDMP-TWICE; XADD s IDMPAUTO "" * f v → E-IDMP-PID(IDMPAUTO)
    "#,
    );
}

/// ARG-5: it is what is not known in that place.
#[test]
fn an_option_without_its_value_is_not_that_option() {
    crate::notation::run(
        r#"
        1. S1; G0; R(a,1) · XCLAIM s g b 0 1-0 TIME → E-CLAIM-OPT(TIME); XCLAIM s g b 0 1-0 RETRYCOUNT → E-CLAIM-OPT(RETRYCOUNT); XCLAIM s g b 0 1-0 LASTID → E-CLAIM-OPT(LASTID); XCLAIM s g b 0 1-0 FORCE idle → E-CLAIM-OPT(idle)
        2. S1; G0 · XAUTOCLAIM s g b 0 0 COUNT → E-SYNTAX; XAUTOCLAIM s g b 0 0 JUSTID COUNT → E-SYNTAX; XAUTOCLAIM s g b 0 0 COUNT 1 COUNT → E-SYNTAX
        3. S1; G0 · XREADGROUP GROUP g a COUNT 1 NOACK STREAMS → E-SYNTAX; XREADGROUP GROUP g a NOACK COUNT 1 BLOCK → E-SYNTAX; XREADGROUP GROUP g a COUNT 1 NOACK CLAIM → E-SYNTAX; XREADGROUP COUNT 1 NOACK COUNT 1 GROUP g → E-SYNTAX
        4. S1; G0 · XREADGROUP GROUP g a STREAMS s s > → E-UNBALANCED-GROUP; XREADGROUP GROUP g a COUNT 1 STREAMS s → E-UNBALANCED-GROUP; XREADGROUP COUNT 1 NOACK STREAMS s s > → E-UNBALANCED-GROUP; XREADGROUP COUNT 1 NOACK STREAMS s > → E-NO-GROUP-OPT; XREADGROUP COUNT 1 NOACK NOACK STREAMS s x → E-NO-GROUP-OPT
        5. S1; G0 · XREADGROUP GROUP STREAMS a STREAMS STREAMS > → E-NOGROUP-READ(STREAMS,STREAMS); XREAD STREAMS STREAMS 0 → *nil
        6. S1 · XREAD GROUP g a STREAMS s 0 → E-GROUP-ONLY(GROUP); XREAD NOACK STREAMS s 0 → E-GROUP-ONLY(NOACK); XREAD CLAIM x STREAMS s 0 → E-GROUP-ONLY(CLAIM); XREAD COUNT 1 STREAMS s → E-UNBALANCED; XREAD COUNT 1 GROUP s → E-SYNTAX; XREAD COUNT 1 STREAMS s 0 1 → E-UNBALANCED
        7. S1; G0 · XGROUP CREATE s h 0 ENTRIESREAD → E-SUB(XGROUP,CREATE); XGROUP SETID s g 0 ENTRIESREAD → E-SUB(XGROUP,SETID); xgroup SetId s g 0 MKSTREAM → E-SUB(XGROUP,SetId); XGROUP create nokey h 0 nope → E-SUB(XGROUP,create)
        8. S1; G0 · XPENDING s g - → E-SYNTAX; XPENDING s g - + → E-SYNTAX; XPENDING s g IDLE 5 - + → E-SYNTAX; XPENDING s g IDLE x - + → E-INT; XPENDING s g - + 10 a b c → []; XPENDING s g - + 10 a b c d → E-SYNTAX; XPENDING s g IDLE 0 - + 5 a b → E-SYNTAX
        9. S1; G0 · XNACK s g FAIL IDS 1 1-0 RETRYCOUNT → E-NACK-OPT(RETRYCOUNT); XNACK s g FAIL FORCE FORCE IDS → E-NACK-OPT(IDS); XNACK s g FAIL FAIL IDS 1 1-0 → E-NACK-OPT(FAIL); XNACK s g FAIL IDS 3 1-0 2-0 → E-NACK-MATCH
        10. S1; G0 · XACKDEL s g IDS 1 1-0 IDS → E-SYNTAX; XDELEX s IDS 2 1-0 → E-NUMIDS-MATCH; XDELEX s ACKED DELREF IDS → E-SYNTAX; XACKDEL s g KEEPREF KEEPREF IDS 0 → E-SYNTAX; XACKDEL s g IDS 0 x y → E-NUMIDS
        11. S1 · XINFO STREAM s FULL COUNT → E-SUB(XINFO,STREAM); XINFO STREAM s nope → E-SUB(XINFO,STREAM); xinfo stream s full count x → E-INT; XINFO STREAM nokey nope → E-NOKEY
        12. S1 · XCFGSET s → E-CFG-NONE; XCFGSET s IDMP-DURATION → E-SYNTAX; XCFGSET nokey nope → E-NOKEY; XCFGSET s IDMP-DURATION 5 nope → E-SYNTAX
        13. XADD s IDMP p → E-ARITY(xadd); XADD s IDMP p i → E-ARITY(xadd); XADD s IDMP p i * → E-ARITY(xadd); XADD s IDMP p i * f → E-ARITY(xadd); XADD s IDMPAUTO p * → E-ARITY(xadd)
    "#,
    );
}

/// What is quoted is quoted whole, as far as C would print it.
#[test]
fn an_option_that_is_not_known_is_quoted_whole() {
    let store = store_in("the group exists");
    let long = "x".repeat(300);
    for (command, error) in [
        (format!("XCLAIM s g b 0 1-1 {long}"), format!("E-CLAIM-OPT({long})")),
        (format!("XNACK s g FAIL IDS 1 1-1 {long}"), format!("E-NACK-OPT({long})")),
        (format!("XCLAIM {long} g b 0 1-1"), format!("E-NOGROUP-KEY({long},g)")),
        (format!("XREADGROUP GROUP {long} a STREAMS s >"), format!("E-NOGROUP-READ(s,{long})")),
        (format!("XGROUP DELCONSUMER s {long} a"), format!("E-NOGROUP-IN(s,{long})")),
        // These are the ones that Redis cuts.
        (format!("XGROUP {long} s"), format!("E-SUB-UNKNOWN(XGROUP,{})", &long[..128])),
    ] {
        assert_eq!(run_line(&store, &command), value(&error));
    }
}

/// The number of tokens that a subcommand of XGROUP can have is looked at after key and group, and before the ID.
#[test]
fn too_many_options_of_xgroup_are_noticed_between_the_group_and_the_id() {
    crate::notation::run(
        r#"
        1. S1; G0 · XGROUP SETID s g x ENTRIESREAD 1 ENTRIESREAD 1 → E-SUB(XGROUP,SETID); XGROUP SETID s g 0 ENTRIESREAD 1 ENTRIESREAD -2 → E-ENTRIESREAD
        2. S1; G0 · XGROUP SETID nokey g 0 ENTRIESREAD 1 ENTRIESREAD 1 → E-XGROUP-KEY; XGROUP SETID s nog 0 ENTRIESREAD 1 ENTRIESREAD 1 → E-NOGROUP-IN(s,nog)
        3. S1; G0 · XGROUP CREATE s h x ENTRIESREAD 1 ENTRIESREAD 1 → E-SUB(XGROUP,CREATE); XGROUP CREATE s g 0 ENTRIESREAD 1 ENTRIESREAD 1 → E-SUB(XGROUP,CREATE)
        4. XGROUP CREATE nokey g 0 ENTRIESREAD 1 ENTRIESREAD 1 → E-XGROUP-KEY; XGROUP CREATE nokey g 0 ENTRIESREAD 1 ENTRIESREAD 1 MKSTREAM → E-SUB(XGROUP,CREATE); EXISTS nokey → 0; XGROUP CREATE nokey g 0 ENTRIESREAD 1 MKSTREAM → OK
    "#,
    );
}

/// Names are any bytes. What errors quote of them does not break the protocol.
#[test]
fn names_are_any_bytes() {
    let long = vec![b'n'; 1 << 20];
    let longest_key = vec![b'k'; streamlog::NAME_LEN_MAX];
    let names: [&[u8]; 9] =
        [b"", b"\0", b"a\0b", b"a\r\nb", b"\r\n-ERR no\r\n", b"\xff\xfe", "ключ".as_bytes(), b"$", &long];
    for name in names {
        let key = if name.len() > longest_key.len() { &longest_key } else { name };
        let store = Store::in_memory();
        let run = |args: &[&[u8]]| run(&store, &args.iter().map(|arg| arg.to_vec()).collect::<Vec<_>>());
        let text = |text: &str| Value::Bulk(text.into());
        let bytes = |bytes: &[u8]| Value::Bulk(bytes.to_vec());
        let entry = Value::Array(vec![text("1-1"), Value::Array(vec![text("f"), text("v")])]);
        let missing = |name: &[u8]| match run(&[b"XPENDING", key, name]) {
            Value::Error(error) => error,
            other => panic!("{other}"),
        };
        let quoted = |name: &[u8]| {
            let quoted = name.split(|byte| *byte == 0).next().unwrap().to_vec();
            quoted.into_iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect::<Vec<_>>()
        };
        let no_group =
            [b"NOGROUP No such key '", &quoted(key)[..], b"' or consumer group '", &quoted(name), b"'"].concat();
        assert_eq!(missing(name), no_group);
        assert_eq!(run(&[b"XGROUP", b"CREATE", key, name, b"0", b"MKSTREAM"]), Value::Simple("OK".into()));
        assert_eq!(run(&[b"XGROUP", b"CREATE", key, name, b"0"]), value("E-BUSY"));
        assert_eq!(run(&[b"XGROUP", b"CREATECONSUMER", key, name, name]), Value::Integer(1));
        assert_eq!(run(&[b"XADD", key, b"1-1", b"f", b"v"]), text("1-1"));
        let read = run(&[b"XREADGROUP", b"GROUP", name, name, b"STREAMS", key, b">"]);
        assert_eq!(read, Value::Array(vec![Value::Array(vec![bytes(key), Value::Array(vec![entry.clone()])])]));
        let pending = run(&[b"XPENDING", key, name]);
        let owner = Value::Array(vec![bytes(name), text("1")]);
        assert_eq!(pending, Value::Array(vec![Value::Integer(1), text("1-1"), text("1-1"), Value::Array(vec![owner])]));
        let Value::Array(rows) = run(&[b"XPENDING", key, name, b"-", b"+", b"9", name]) else { panic!("no rows") };
        assert!(matches!(&rows[..], [Value::Array(row)] if row[1] == bytes(name)));
        let Value::Array(rows) = run(&[b"XINFO", b"CONSUMERS", key, name]) else { panic!("no rows") };
        assert!(matches!(&rows[..], [Value::Array(row)] if row[1] == bytes(name)));
        assert_eq!(run(&[b"XCLAIM", key, name, name, b"0", b"1-1"]), Value::Array(vec![entry.clone()]));
        assert_eq!(run(&[b"XNACK", key, name, b"FAIL", b"IDS", b"1", b"1-1"]), Value::Integer(1));
        let claimed = run(&[b"XAUTOCLAIM", key, name, name, b"9999", b"-"]);
        assert_eq!(claimed, Value::Array(vec![text("0-0"), Value::Array(vec![entry]), Value::Array(vec![])]));
        assert_eq!(run(&[b"XACK", key, name, b"1-1"]), Value::Integer(1));
        assert_eq!(run(&[b"XGROUP", b"SETID", key, name, b"0"]), Value::Simple("OK".into()));
        assert_eq!(run(&[b"XGROUP", b"DELCONSUMER", key, name, name]), Value::Integer(0));
        assert_eq!(run(&[b"XGROUP", b"DESTROY", key, name]), Value::Integer(1));
        assert_eq!(missing(name), no_group);
        // A producer's names are bytes as well, but not none.
        let made = run(&[b"XADD", key, b"IDMP", name, name, b"*", b"f", b"v"]);
        match name {
            [] => assert_eq!(made, value("E-IDMP-PID(IDMP)")),
            name => assert_eq!(run(&[b"XADD", key, b"IDMP", name, name, b"*", b"f", b"w"]), made),
        }
    }
}

/// What a name that is too long for a key here gives with groups: the same as any key that is not there.
#[test]
fn a_key_that_is_too_long_has_no_groups() {
    let store = Store::in_memory();
    let long = "k".repeat(streamlog::NAME_LEN_MAX + 1);
    for (command, answer) in [
        ("XACK _ g x", "0".to_owned()),
        ("XACKDEL _ g IDS 2 x y", "[-1, -1]".to_owned()),
        ("XPENDING _ g", format!("E-NOGROUP-KEY({long},g)")),
        ("XCLAIM _ g a 0 1-1", format!("E-NOGROUP-KEY({long},g)")),
        ("XAUTOCLAIM _ g a 0 0", format!("E-NOGROUP-KEY({long},g)")),
        ("XNACK _ g FAIL IDS 1 1-1", format!("E-NOGROUP-KEY({long},g)")),
        ("XREADGROUP GROUP g a BLOCK 0 STREAMS _ >", format!("E-NOGROUP-READ({long},g)")),
        ("XGROUP CREATE _ g 0", "E-XGROUP-KEY".to_owned()),
        ("XGROUP SETID _ g 0", "E-XGROUP-KEY".to_owned()),
        ("XGROUP DESTROY _ g", "E-XGROUP-KEY".to_owned()),
        ("XINFO GROUPS _", "E-NOKEY".to_owned()),
        ("XINFO CONSUMERS _ g", "E-NOKEY".to_owned()),
        ("XCFGSET _ IDMP-MAXSIZE 1", "E-NOKEY".to_owned()),
        ("XIDMPRECORD _ p i 1-1", "E-NOKEY".to_owned()),
    ] {
        assert_eq!(run_line(&store, &command.replace('_', &long)), value(&answer), "{command}");
    }
    assert!(matches!(run_line(&store, &format!("XGROUP CREATE {long} g 0 MKSTREAM")), Value::Error(_)));
}

/// To Redis keywords and IDs are C strings; names of commands and of their subcommands are not. Tried on a server of 7.0.15.
#[test]
fn a_zero_byte_ends_a_keyword_and_an_id() {
    let store = Store::in_memory();
    let run = |line: &str| {
        let args: Vec<_> = line.split(' ').map(|arg| arg.replace('0', "\0").replace('O', "0")).collect();
        let mut bytes = Vec::new();
        execute(&store, &args).encode(Protocol::Resp2, &mut bytes);
        String::from_utf8(bytes).unwrap()
    };
    // In these a 0 stands for the zero byte, and an O for a zero.
    for (command, reply) in [
        ("xadd s 1-O f v", "$3\r\n1-0\r\n"),
        ("xadd s maxlen0x =0 3 2-*0x f v", "$3\r\n2-0\r\n"),
        ("xrange s - +0 count0 1", "*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"),
        ("xread streams0 s $0", "*-1\r\n"),
        ("xread streams s +0", "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"),
        ("xgroup create s g $0", "+OK\r\n"),
        ("xgroup setid s g -0", "+OK\r\n"),
        (
            "xreadgroup group0 g a count0 1 streams s >0",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n",
        ),
        ("xpending s g idle0 O -0 +0 5", "*1\r\n*4\r\n$3\r\n1-0\r\n$1\r\na\r\n:0\r\n:1\r\n"),
        ("xclaim s g b O 1-O0 justid0", "*1\r\n$3\r\n1-0\r\n"),
        ("copy s t db0 O replace0", ":1\r\n"),
        ("xtrim s maxlen0 ~0 1 limit0 5", ":0\r\n"),
    ] {
        let found = run(command);
        // How long it has been idle depends on the clock.
        let found = if command.starts_with("xpending") { idle_as_zero(&found) } else { found };
        assert_eq!(found, reply, "{command}");
    }
    assert_eq!(
        run("xread0 streams s 1"),
        "-ERR unknown command 'xread', with args beginning with: 'streams' 's' '1' \r\n"
    );
    assert_eq!(run("xgroup create0 s g 1"), "-ERR unknown subcommand 'create'. Try XGROUP HELP.\r\n");
}

/// The only number of an XPENDING reply that is not fixed.
fn idle_as_zero(reply: &str) -> String {
    let (head, tail) = reply.split_once("a\r\n:").unwrap();
    format!("{head}a\r\n:0{}", &tail[tail.find('\r').unwrap()..])
}

#[test]
fn a_database_is_a_number_of_32_bits() {
    let store = Store::in_memory();
    for command in ["SELECT", "COPY s t DB"] {
        let run = |database: &str| run_line(&store, &format!("{command} {database}"));
        for out_of_range in ["2147483648", "-2147483649", "9223372036854775807"] {
            let expected = "ERR value is out of range, value must between -2147483648 and 2147483647";
            assert_eq!(run(out_of_range), Value::Error(expected.into()), "{command}");
        }
        assert_eq!(run("2147483647"), Value::Error("ERR DB index is out of range".into()), "{command}");
        assert_eq!(run("9223372036854775808"), value("E-INT"), "{command}");
    }
}
