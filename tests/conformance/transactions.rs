//! Promise: commands between MULTI and EXEC are kept, refused and answered as by Redis. The texts are those of Redis 7.0.15.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use streamlog::command::{Reply, Session};
use streamlog::{Options, Store};

/// Runs commands in one session; each line is a command and, after an arrow, what it is answered.
fn run(lines: &str) {
    let mut session = Session::new(&Store::in_memory());
    for line in lines.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        let (command, expected) = line.split_once(" → ").expect("a command has its answer after an arrow");
        let args: Vec<&str> = command.split(' ').collect();
        assert_eq!(text(&session.execute(&args)), expected, "{command}");
    }
}

fn text(reply: &Reply) -> String {
    match reply {
        Reply::Simple(text) => text.to_string(),
        Reply::Error(text) => String::from_utf8_lossy(text).into_owned(),
        Reply::Integer(number) => number.to_string(),
        Reply::Bulk(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Reply::NilArray => "*nil".to_owned(),
        Reply::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", ")),
        Reply::Pairs(pairs) => {
            let pair = |(key, value): &(Reply, Reply)| format!("[{}, {}]", text(key), text(value));
            format!("[{}]", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        reply => format!("{reply:?}"),
    }
}

#[test]
fn commands_are_kept_until_exec() {
    run("
        MULTI → OK
        XADD s 1-1 f v → QUEUED
        XLEN s → QUEUED
        UNWATCH → QUEUED
        EXEC → [\"1-1\", 1, OK]
        XLEN s → 1
        EXEC → ERR EXEC without MULTI
        MULTI → OK
        EXEC → []
    ");
}

/// M-9: a clock that goes on with every look at it stands still for a command, and for all of a transaction.
#[test]
fn the_commands_of_a_transaction_are_of_one_moment() {
    let looks = AtomicU64::new(0);
    let clock = move || UNIX_EPOCH + Duration::from_millis(1_000_000 * (1 + looks.fetch_add(1, Ordering::Relaxed)));
    let mut session = Session::new(&Options::new().clock(clock).in_memory());
    let mut run = |command: &str| text(&session.execute(&command.split(' ').collect::<Vec<_>>()));
    let groups = ["XGROUP CREATE s g $ MKSTREAM", "XGROUP CREATE t g $ MKSTREAM"];
    let adds = ["MULTI", "XADD s * f 1", "XADD t * f 2", "XADD s * f 3"];
    let reads = ["XREADGROUP GROUP g a STREAMS s t > >", "XPENDING s g - + 9"];
    for command in groups.iter().chain(&adds).chain(&reads) {
        run(command);
    }
    let replies = run("EXEC");
    let ms = replies.split('-').next().unwrap().trim_start_matches("[\"");
    assert!(ms.len() >= 7 && ms.ends_with("000000"), "{replies}");
    let read = format!(r#"[["s", [["{ms}-0", ["f", "1"]], ["{ms}-1", ["f", "3"]]]], ["t", [["{ms}-0", ["f", "2"]]]]]"#);
    let pending = format!(r#"[["{ms}-0", "a", 0, 1], ["{ms}-1", "a", 0, 1]]"#);
    assert_eq!(replies, format!(r#"["{ms}-0", "{ms}-0", "{ms}-1", {read}, {pending}]"#));
    let later = run("XADD s * f 4");
    assert!(later.ends_with("000000-0\"") && !later.contains(ms), "time goes on: {later}");

    // What the second of the streams gives was claimed from the first a moment ago, and that is now.
    let claimed = run("XREADGROUP GROUP g b CLAIM 1 STREAMS t t > >");
    assert_eq!(claimed.matches(r#"["f", "2"]"#).count(), 1, "{claimed}");
}

#[test]
fn discarded_commands_are_not_run() {
    run("
        DISCARD → ERR DISCARD without MULTI
        MULTI → OK
        XADD s 1-1 f v → QUEUED
        DISCARD → OK
        EXISTS s → 0
        EXEC → ERR EXEC without MULTI
    ");
}

#[test]
fn a_command_that_cannot_be_run_discards_the_transaction() {
    for (command, error) in [
        ("NOSUCH x", "ERR unknown command 'NOSUCH', with args beginning with: 'x' "),
        ("XADD s", "ERR wrong number of arguments for 'xadd' command"),
        ("XINFO FOO", "ERR unknown subcommand 'FOO'. Try XINFO HELP."),
        ("XINFO STREAM", "ERR wrong number of arguments for 'xinfo|stream' command"),
        ("MULTI x", "ERR wrong number of arguments for 'multi' command"),
    ] {
        run(&format!(
            "
            MULTI → OK
            XADD s 1-1 f v → QUEUED
            {command} → {error}
            XLEN s → QUEUED
            EXEC → EXECABORT Transaction discarded because of previous errors.
            EXISTS s → 0
            EXEC → ERR EXEC without MULTI
            "
        ));
    }
}

#[test]
fn an_exec_that_cannot_be_run_discards_the_transaction() {
    let error = "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
    run(&format!(
        "
        EXEC now → {error}
        MULTI → OK
        EXEC now → {error}
        EXEC → ERR EXEC without MULTI
        "
    ));
}

#[test]
fn what_has_no_place_in_a_transaction_does_not_harm_it() {
    run("
        MULTI → OK
        XADD s 1-1 f v → QUEUED
        MULTI → ERR MULTI calls can not be nested
        WATCH s → ERR WATCH inside MULTI is not allowed
        EXEC → [\"1-1\"]
    ");
}

#[test]
fn a_failing_command_stops_nothing() {
    run("
        MULTI → OK
        XADD s x f v → QUEUED
        XADD s 1-1 f v → QUEUED
        EXEC → [ERR Invalid stream ID specified as stream command argument, \"1-1\"]
    ");
}

/// BLK-14, and case 32 of section 19 of the behavioural reference.
#[test]
fn nothing_blocks_in_a_transaction() {
    run("
        MULTI → OK
        XREAD BLOCK 0 STREAMS s $ → QUEUED
        XREAD BLOCK x STREAMS s $ → QUEUED
        EXEC → [*nil, ERR timeout is not an integer or out of range]
        XREAD BLOCK 1 STREAMS s $ → *nil
    ");
    run("
        XADD s 1-0 f 1 → \"1-0\"
        XGROUP CREATE s g $ → OK
        MULTI → OK
        XREAD BLOCK 0 STREAMS s 9 → QUEUED
        XREADGROUP GROUP g a BLOCK 0 STREAMS s > → QUEUED
        XREADGROUP GROUP g a BLOCK 0 CLAIM 0 STREAMS s > → QUEUED
        XREADGROUP GROUP g a BLOCK -1 STREAMS s > → QUEUED
        XREADGROUP GROUP h a BLOCK 0 STREAMS s > → QUEUED
        XADD s 2-0 f 2 → QUEUED
        XREADGROUP GROUP g a BLOCK 0 STREAMS s > → QUEUED
        EXEC → [*nil, *nil, *nil, ERR timeout is negative, NOGROUP No such key 's' or consumer group 'h' in XREADGROUP with GROUP option, \"2-0\", [[\"s\", [[\"2-0\", [\"f\", \"2\"]]]]]]
        XGROUP CREATECONSUMER s g a → 0
    ");
}

#[test]
fn watching_is_refused_because_transactions_are_not_isolated() {
    run("
        WATCH s → ERR WATCH is not supported, because transactions are not isolated
        UNWATCH → OK
    ");
}

#[test]
fn a_new_protocol_counts_from_the_next_command_on() {
    use streamlog::command::Protocol;
    let mut session = Session::new(&Store::in_memory());
    for command in [&["MULTI"][..], &["HELLO", "3"]] {
        session.execute(command);
    }
    assert_eq!(session.protocol(), Protocol::Resp2);
    session.execute(&["EXEC"]);
    assert_eq!(session.protocol(), Protocol::Resp3);
}
