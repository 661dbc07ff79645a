//! Promise: what the recordings do not cover answers as Redis documents it, too.

use std::collections::BTreeSet;

use streamlog::command::{Protocol, Reply, Session, execute};
use streamlog::{NAME_LEN_MAX, Store};

use crate::notation::run;

#[test]
fn keys_come_and_go() {
    run(r#"
        1. S1; XADD t 1-0 f v · EXISTS s t u s → 3; DEL s u → 1; UNLINK t t → 1; EXISTS s t → 0; TYPE s → none
        2. S2 · RENAME s t → OK; EXISTS s → 0; XLEN t → 2; RENAME s t → E-NOKEY; RENAME t t → OK; XADD t 2-0 f v → E-SMALL
        3. S2; XADD t 9-0 f v · RENAME s t → OK; XLEN t → 2; XADD t 3-0 f v → "3-0"
        4. S1; XADD t 1-0 f v · RENAMENX s t → 0; RENAMENX s s → 0; RENAMENX nokey t → E-NOKEY; RENAMENX s u → 1; EXISTS s u → 1
        5. S2; XADD t 9-0 f v · COPY s t → 0; COPY s t REPLACE → 1; XLEN t → 2; COPY nokey t → 0; XLEN t → 2
        6. S1 · COPY s s → !ERR source and destination objects are the same; COPY s t DB 0 REPLACE → 1; COPY s t DB 1 → !ERR DB index is out of range; COPY s t DB x → E-INT; COPY s t DB → E-SYNTAX
        7. S1; XADD t 1-0 f v · DBSIZE → 2; FLUSHDB ASYNC → OK; DBSIZE → 0; FLUSHALL → OK; FLUSHALL NOW → E-SYNTAX; FLUSHALL SYNC SYNC → E-SYNTAX
        8. S1; XADD user:1 1-0 f v; XADD user:2 1-0 f v · KEYS user:[13] → ["user:1"]; KEYS nothing* → []
        9. S1 · SCAN x → !ERR invalid cursor; SCAN 0 COUNT 0 → E-SYNTAX; SCAN 0 COUNT x → E-INT; SCAN 0 MATCH → E-SYNTAX; SCAN 0 → ["0", ["s"]]; SCAN 0 TYPE stream → ["0", ["s"]]; SCAN 0 TYPE string → ["0", []]; SCAN 0 MATCH t* → ["0", []]
    "#);
}

#[test]
fn connections_are_greeted() {
    run(r#"
        1. PING → PONG; PING hello → "hello"; PING a b → !ERR wrong number of arguments for 'ping' command; ECHO x → "x"
        2. SELECT 0 → OK; SELECT 1 → !ERR DB index is out of range; SELECT x → E-INT
        3. HELLO 4 → !NOPROTO unsupported protocol version; HELLO x → !ERR Protocol version is not an integer or out of range
        4. HELLO 2 AUTH me secret → !WRONGPASS invalid username-password pair or user is disabled.
        5. HELLO 2 AUTH default → !ERR Syntax error in HELLO option 'AUTH'; HELLO 2 SETNAME "a b" → !ERR Client names cannot contain spaces, newlines or special characters.
        6. HELLO 3 AUTH default x SETNAME me: mode → "standalone"; HELLO: proto → 2
    "#);
}

#[test]
fn unknown_commands_are_quoted_with_their_arguments() {
    let store = Store::in_memory();
    for (args, error) in [
        (&["foo", "a", "b"][..], "ERR unknown command 'foo', with args beginning with: 'a' 'b' "),
        (&["a\nb"], "ERR unknown command 'a b', with args beginning with: "),
        (&[], "ERR unknown command '', with args beginning with: "),
    ] {
        assert_eq!(execute(&store, args), Reply::Error(error.into()));
    }
}

#[test]
fn replies_of_xread_can_be_limited_as_a_whole() {
    run(r#"
        1. S3; XADD t 1-0 f v · XREAD MAXCOUNT 4 STREAMS s t 0 0 → [["s", [["1-0", ["f", "1"]], ["2-0", ["f", "2"]], ["3-0", ["f", "3"]]]], ["t", [["1-0", ["f", "v"]]]]]
        2. S3; XADD t 1-0 f v · XREAD MAXCOUNT 2 STREAMS s t 0 0 → [["s", [["1-0", ["f", "1"]], ["2-0", ["f", "2"]]]]]
        3. S3; XADD t 1-0 f v · XREAD COUNT 1 MAXCOUNT 2 STREAMS s t 0 0 → [["s", [["1-0", ["f", "1"]]]], ["t", [["1-0", ["f", "v"]]]]]
        4. S3; XADD t 1-0 f v · XREAD MAXSIZE 1 STREAMS s t 0 0 → [["s", [["1-0", ["f", "1"]]]]]
        5. S3 · XREAD MAXSIZE 70 STREAMS s 0 → [["s", [["1-0", ["f", "1"]], ["2-0", ["f", "2"]]]]]
        6. S3 · XREAD MAXSIZE 1000000 STREAMS s 1 → [["s", [["2-0", ["f", "2"]], ["3-0", ["f", "3"]]]]]
        7. XREAD MAXCOUNT 0 STREAMS s 0 → !ERR MAXCOUNT must be a positive integer; XREAD MAXSIZE -1 STREAMS s 0 → !ERR MAXSIZE must be a positive integer
        8. XREAD COUNT 3 MAXCOUNT 2 STREAMS s 0 → !ERR MAXCOUNT must be greater than or equal to COUNT
    "#);
}

/// Section 18, of Redis 8.10: what is left out is not delivered, and an empty history is never what a limit left of one.
#[test]
fn replies_of_xreadgroup_can_be_limited_as_a_whole() {
    run(r#"
        1. S3; G0; XADD t 1-0 f v; XGROUP CREATE t g 0 · XREADGROUP GROUP g a MAXCOUNT 4 STREAMS s t > > → [["s", [["1-0", ["f", "1"]], ["2-0", ["f", "2"]], ["3-0", ["f", "3"]]]], ["t", [["1-0", ["f", "v"]]]]]
        2. S3; G0; XADD t 1-0 f v; XGROUP CREATE t g 0 · XREADGROUP GROUP g a MAXCOUNT 2 STREAMS s t > > → [["s", [["1-0", ["f", "1"]], ["2-0", ["f", "2"]]]]]; pending of g → [1-0 a×1, 2-0 a×1]; counters of g → entries-read 2, lag 1; XPENDING t g → [0, nil, nil, *nil]; XREADGROUP GROUP g a STREAMS s t > > → [["s", [["3-0", ["f", "3"]]]], ["t", [["1-0", ["f", "v"]]]]]
        3. S3; G0; XADD t 1-0 f v; XGROUP CREATE t g 0 · XREADGROUP GROUP g a COUNT 1 MAXCOUNT 2 STREAMS s t > > → [["s", [["1-0", ["f", "1"]]]], ["t", [["1-0", ["f", "v"]]]]]
        4. S3; G0 · XREADGROUP GROUP g a MAXSIZE 1 STREAMS s s > > → [["s", [["1-0", ["f", "1"]]]]]; pending of g → [1-0 a×1]; XREADGROUP GROUP g a MAXSIZE 70 STREAMS s > → [["s", [["2-0", ["f", "2"]], ["3-0", ["f", "3"]]]]]; XREADGROUP GROUP g a MAXSIZE 1 STREAMS s > → *nil
        5. S3; G0; R(a,3) · XREADGROUP GROUP g a MAXCOUNT 2 STREAMS s 0 → [["s", [["1-0", ["f", "1"]], ["2-0", ["f", "2"]]]]]; pending of g → [1-0 a×2, 2-0 a×2, 3-0 a×1]; XREADGROUP GROUP g a MAXSIZE 1 STREAMS s 2 → [["s", [["3-0", ["f", "3"]]]]]; XREADGROUP GROUP g a MAXSIZE 1 STREAMS s 3 → [["s", []]]
        6. S3; G0; R(a,2) · XREADGROUP GROUP g a MAXCOUNT 2 STREAMS s s 0 > → [["s", [["1-0", ["f", "1"]], ["2-0", ["f", "2"]]]]]; counters of g → entries-read 2, lag 1; XREADGROUP GROUP g a MAXCOUNT 1 STREAMS s s > 0 → [["s", [["3-0", ["f", "3"]]]]]; pending of g → [1-0 a×2, 2-0 a×2, 3-0 a×1]
        7. S3; G0; R(a,2) · XREADGROUP GROUP g a MAXSIZE 40 STREAMS s s > 0 → [["s", [["3-0", ["f", "3"]]]]]; pending of g → [1-0 a×1, 2-0 a×1, 3-0 a×1]; XREADGROUP GROUP g a MAXSIZE 1000 STREAMS s s > 5 → [["s", []]]
        8. S3; G0; R(a,2) · XREADGROUP GROUP g b MAXCOUNT 2 CLAIM 0 STREAMS s > → [["s", [["1-0", ["f", "1"], <ms>, 1], ["2-0", ["f", "2"], <ms>, 1]]]]; XREADGROUP GROUP g c MAXCOUNT 3 CLAIM 0 STREAMS s > → [["s", [["1-0", ["f", "1"], <ms>, 2], ["2-0", ["f", "2"], <ms>, 2], ["3-0", ["f", "3"], 0, 0]]]]
        9. S3; G0; R(a,2) · XREADGROUP GROUP g b MAXSIZE 1 CLAIM 0 STREAMS s > → [["s", [["1-0", ["f", "1"], <ms>, 1]]]]; pending of g → [1-0 b×2, 2-0 a×1]; XREADGROUP GROUP g b MAXSIZE 1 NOACK STREAMS s > → [["s", [["3-0", ["f", "3"]]]]]; pending of g → [1-0 b×2, 2-0 a×1]
        10. S3; G0; R(a,3); XDEL s 1-0 2-0 · XREADGROUP GROUP g a MAXSIZE 1 STREAMS s 0 → [["s", [["1-0", *nil]]]]; XREADGROUP GROUP g a MAXCOUNT 2 STREAMS s 0 → [["s", [["1-0", *nil], ["2-0", *nil]]]]; pending of g → [1-0 a×1, 2-0 a×1, 3-0 a×1]
        11. S1; G0 · XREADGROUP GROUP g a MAXCOUNT 0 STREAMS s > → E-REPLY-LIMIT(MAXCOUNT); XREADGROUP GROUP g a MAXSIZE x STREAMS s > → E-REPLY-LIMIT(MAXSIZE); XREADGROUP GROUP g a COUNT 3 MAXCOUNT 2 STREAMS s > → E-MAXCOUNT; XREADGROUP GROUP g a COUNT 2 MAXCOUNT 2 STREAMS s 5 → [["s", []]]; XREADGROUP GROUP g a MAXCOUNT 1 COUNT -1 STREAMS s > → [["s", [["1-0", ["f", "1"]]]]]
        12. S1; G0 · XREADGROUP GROUP g a BLOCK 5 MAXCOUNT 1 MAXSIZE 1 STREAMS s s > > → [["s", [["1-0", ["f", "1"]]]]]; XREADGROUP GROUP g a BLOCK 5 MAXCOUNT 1 MAXSIZE 1 STREAMS s s > > → *nil
    "#);
}

#[test]
fn ids_are_read_as_leniently_as_by_redis() {
    run(r#"
        1. XADD s " 1-+1" f v → "1-1"; XADD s 01-007 f v → "1-7"; XADD s 1--01 f v → "1-MAX"; XADD s 1--1 f v → E-ID
        2. S1 · XRANGE s " 1" "\t1" → [["1-0", ["f", "1"]]]; XDEL s 00001-00 → 1
    "#);
}

#[test]
fn options_of_idempotent_adds_are_checked() {
    run(r#"
        1. XADD s IDMP p i 1-1 f v → !ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs
        2. XADD s IDMP "" i * f v → !ERR syntax error, IDMP requires a non-empty producer ID; XADD s IDMP p "" * f v → !ERR syntax error, IDMP requires a non-empty idempotent ID
        3. XADD s IDMP p i IDMPAUTO p * f v → !ERR syntax error, IDMP/IDMPAUTO specified multiple times
    "#);
}

#[test]
fn names_that_are_too_long_exist_nowhere() {
    let store = Store::in_memory();
    let (long, longest) = (vec![b'n'; NAME_LEN_MAX + 1], vec![b'n'; NAME_LEN_MAX]);
    let run = |args: &[&[u8]]| execute(&store, args);
    assert!(run(&[b"XADD", &long, b"1-1", b"f", b"v"]).is_error());
    assert!(!run(&[b"XADD", &longest, b"1-1", b"f", b"v"]).is_error());
    assert_eq!(run(&[b"XADD", &long, b"NOMKSTREAM", b"1-1", b"f", b"v"]), Reply::Nil);
    assert_eq!(run(&[b"XLEN", &long]), Reply::Integer(0));
    assert_eq!(run(&[b"XRANGE", &long, b"-", b"+", b"COUNT", b"0"]), Reply::Array(vec![]));
    assert_eq!(run(&[b"XDEL", &long, b"x"]), Reply::Integer(0));
    assert_eq!(run(&[b"XTRIM", &long, b"MAXLEN", b"0"]), Reply::Integer(0));
    assert_eq!(run(&[b"XINFO", b"STREAM", &long]), Reply::Error(b"ERR no such key".to_vec()));
    assert_eq!(run(&[b"XSETID", &long, b"1-1"]), Reply::Error(b"ERR no such key".to_vec()));
    assert_eq!(run(&[b"DEL", &long, &longest]), Reply::Integer(1));
    assert_eq!(run(&[b"EXISTS", &long]), Reply::Integer(0));
}

#[test]
fn a_scan_returns_every_key_that_stays_however_many_come_and_go() {
    let store = Store::in_memory();
    let add = |name: String| {
        execute(&store, &["XADD", &name, "1-1", "f", "v"]);
    };
    (0..200).for_each(|number| add(format!("stays:{number}")));
    (0..200).for_each(|number| add(format!("goes:{number}")));
    let (mut cursor, mut seen, mut calls) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let Reply::Array(reply) = execute(&store, &["SCAN", &cursor, "COUNT", "7"]) else { panic!("SCAN fails") };
        let [Reply::Bulk(next), Reply::Array(page)] = &reply[..] else { panic!("SCAN has no cursor: {reply:?}") };
        for name in page {
            let Reply::Bulk(name) = name else { panic!("{name:?} is no name") };
            seen.extend(String::from_utf8(name.clone()).ok().filter(|name| name.starts_with("stays")));
        }
        execute(&store, &["DEL", &format!("goes:{calls}")]);
        add(format!("comes:{calls}"));
        calls += 1;
        cursor = String::from_utf8(next.clone()).unwrap();
        if cursor == "0" {
            break;
        }
    }
    assert!(calls >= 400 / 7, "{calls} calls are too few for pages of 7");
    assert_eq!(seen.len(), 200, "no key twice");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 200);
}

#[test]
fn the_third_protocol_has_maps_and_one_null() {
    let mut session = Session::new(&Store::in_memory());
    let mut answer = |args: &[&str]| {
        let mut bytes = Vec::new();
        let reply = session.execute(args);
        reply.encode(session.protocol(), &mut bytes);
        String::from_utf8(bytes).unwrap().replace("\r\n", "|")
    };
    assert!(answer(&["HELLO", "3"]).starts_with("%7|$6|server|"));
    assert_eq!(answer(&["XADD", "s", "1-1", "f", "v"]), "$3|1-1|");
    assert_eq!(answer(&["XREAD", "STREAMS", "s", "0"]), "%1|$1|s|*1|*2|$3|1-1|*2|$1|f|$1|v|");
    assert_eq!(answer(&["XREAD", "STREAMS", "s", "1-1"]), "_|");
    assert_eq!(answer(&["XRANGE", "s", "-", "+", "COUNT", "0"]), "_|");
    assert!(answer(&["XINFO", "STREAM", "s"]).starts_with("%16|$6|length|:1|"));
    assert_eq!(answer(&["XINFO", "HELP"]).split('|').next(), Some("*9"));
    assert!(answer(&["HELLO", "2"]).starts_with("*14|"));
    assert_eq!(session.protocol(), Protocol::Resp2);
}

/// RESP-1 to RESP-4: what differs is the reads, which are maps, and the rows and nested parts of XINFO.
#[test]
fn replies_of_groups_have_their_shapes_in_the_third_protocol() {
    let mut session = Session::new(&Store::in_memory());
    let mut answer = |command: &str| {
        let mut bytes = Vec::new();
        let reply = session.execute(&command.split(' ').collect::<Vec<_>>());
        reply.encode(session.protocol(), &mut bytes);
        String::from_utf8(bytes).unwrap().replace("\r\n", "|")
    };
    answer("HELLO 3");
    for (command, reply) in [
        ("XGROUP CREATE s g 0 MKSTREAM", "+OK|"),
        ("XGROUP CREATE t g 0 MKSTREAM", "+OK|"),
        ("XPENDING s g", "*4|:0|_|_|_|"),
        ("XPENDING s g - + 9", "*0|"),
        (
            "XINFO GROUPS t",
            "*1|%6|$4|name|$1|g|$9|consumers|:0|$7|pending|:0|$17|last-delivered-id|$3|0-0|$12|entries-read|_|$3|lag|:0|",
        ),
        ("XINFO CONSUMERS s g", "*0|"),
        ("XADD s 1-0 f 1", "$3|1-0|"),
        ("XADD s 2-0 f 2", "$3|2-0|"),
        (
            "XREADGROUP GROUP g a COUNT 1 STREAMS s s t > > 0",
            "%3|$1|s|*1|*2|$3|1-0|*2|$1|f|$1|1|$1|s|*1|*2|$3|2-0|*2|$1|f|$1|2|$1|t|*0|",
        ),
        ("XREADGROUP GROUP g a STREAMS s >", "_|"),
        ("XREADGROUP GROUP g a BLOCK 1 STREAMS s >", "_|"),
        ("XDEL s 1-0", ":1|"),
        ("XREADGROUP GROUP g a STREAMS s 0", "%1|$1|s|*2|*2|$3|1-0|_|*2|$3|2-0|*2|$1|f|$1|2|"),
        ("XPENDING s g", "*4|:2|$3|1-0|$3|2-0|*1|*2|$1|a|$1|2|"),
        ("XCLAIM s g b 0 2-0", "*1|*2|$3|2-0|*2|$1|f|$1|2|"),
        ("XCLAIM s g b 0 2-0 JUSTID", "*1|$3|2-0|"),
        ("XAUTOCLAIM s g b 0 0", "*3|$3|0-0|*1|*2|$3|2-0|*2|$1|f|$1|2|*1|$3|1-0|"),
        ("XAUTOCLAIM s g b 0 0 JUSTID", "*3|$3|0-0|*1|$3|2-0|*0|"),
        ("XNACK s g FATAL IDS 1 2-0", ":1|"),
        ("XPENDING s g - + 9", "*1|*4|$3|2-0|$0||:-1|:9223372036854775807|"),
        ("XACKDEL s g IDS 2 2-0 3-0", "*2|:1|:-1|"),
        ("XACK s g 2-0", ":0|"),
        ("XGROUP DELCONSUMER s g a", ":0|"),
        ("XGROUP DESTROY s g", ":1|"),
        ("XINFO GROUPS s", "*0|"),
    ] {
        assert_eq!(answer(command), reply, "{command}");
    }
    let claimed = answer("XADD t 1-0 f 1") + &answer("XREADGROUP GROUP g a CLAIM 0 STREAMS t >");
    assert_eq!(claimed, "$3|1-0|%1|$1|t|*1|*4|$3|1-0|*2|$1|f|$1|1|:0|:0|");
    assert!(answer("XINFO CONSUMERS t g").starts_with("*1|%4|$4|name|$1|a|$7|pending|:1|$4|idle|:"));
    let full = answer("XINFO STREAM t FULL");
    let (stream, groups) = full.split_once("$6|groups|*1|%7|$4|name|$1|g|").expect("groups are maps of 7");
    assert!(stream.starts_with("%15|$6|length|:1|"), "{stream}");
    assert!(groups.starts_with(
        "$17|last-delivered-id|$3|1-0|$12|entries-read|:1|$3|lag|:0|$9|pel-count|:1|$7|pending|*1|*4|$3|1-0|$1|a|:"
    ));
    let (_, consumers) =
        groups.split_once("$9|consumers|*1|%5|$4|name|$1|a|$9|seen-time|:").expect("consumers are maps of 5");
    assert!(
        consumers.contains("|$11|active-time|:") && consumers.contains("|$9|pel-count|:1|$7|pending|*1|*3|$3|1-0|:")
    );
    assert!(answer("XGROUP HELP").starts_with("*17|+XGROUP <subcommand>"));
}

/// INF-2: a field of Redis 8.8, which is there only when there is something to tell.
#[test]
fn released_entries_are_counted_where_there_are_any() {
    let counted = |commands: &str| {
        let store = Store::in_memory();
        let setup = "XADD s 1-0 f 1; XADD s 2-0 f 2; XGROUP CREATE s g 0; XREADGROUP GROUP g a STREAMS s >; ";
        let mut reply = Vec::new();
        for command in (setup.to_owned() + commands + "XINFO STREAM s FULL").split("; ") {
            reply.clear();
            execute(&store, &command.split(' ').collect::<Vec<_>>()).encode(Protocol::Resp2, &mut reply);
        }
        let reply = String::from_utf8(reply).unwrap().replace("\r\n", "|");
        let (_, after) = reply.split_once("$9|pel-count|").expect("there is a group");
        after.split("$7|pending|").next().unwrap().to_owned()
    };
    assert_eq!(counted(""), ":2|");
    assert_eq!(counted("XNACK s g FAIL IDS 1 1-0; "), ":2|$12|nacked-count|:1|");
    assert_eq!(counted("XNACK s g FAIL IDS 2 1-0 2-0; XNACK s g FAIL IDS 1 2-0; "), ":2|$12|nacked-count|:2|");
    assert_eq!(counted("XNACK s g FAIL IDS 1 1-0; XCLAIM s g b 9999 1-0; "), ":2|");
    assert_eq!(counted("XNACK s g FAIL IDS 1 1-0; XACK s g 1-0; "), ":1|");
}

#[test]
fn no_arguments_make_a_command_panic() {
    let store = Store::in_memory();
    let names = "XADD XLEN XRANGE XREVRANGE XREAD XTRIM XDEL XSETID XINFO DEL UNLINK EXISTS TYPE KEYS SCAN RENAME RENAMENX \
                 XGROUP XREADGROUP XACK XACKDEL XNACK XPENDING XCLAIM XAUTOCLAIM XDELEX XCFGSET XIDMPRECORD \
                 COPY DBSIZE FLUSHALL PING ECHO TIME HELLO SELECT MULTI EXEC DISCARD WATCH UNWATCH NOSUCH";
    let words = [
        "",
        "s",
        "*",
        "-",
        "+",
        "$",
        ">",
        "(",
        "(0",
        "0",
        "1-1",
        "-1",
        "18446744073709551615",
        "9223372036854775807",
        "~",
        "=",
        "MAXLEN",
        "MINID",
        "LIMIT",
        "COUNT",
        "STREAMS",
        "MAXCOUNT",
        "MAXSIZE",
        "STREAM",
        "FULL",
        "IDMP",
        "IDMPAUTO",
        "ACKED",
        "ENTRIESADDED",
        "MAXDELETEDID",
        "MATCH",
        "TYPE",
        "CREATE",
        "SETID",
        "DELCONSUMER",
        "MKSTREAM",
        "ENTRIESREAD",
        "GROUP",
        "g",
        "CLAIM",
        "NOACK",
        "IDLE",
        "TIME",
        "RETRYCOUNT",
        "FORCE",
        "JUSTID",
        "LASTID",
        "IDS",
        "FAIL",
        "FATAL",
        "[",
        "\0",
        "\r\n",
    ];
    assert!(execute::<&str>(&store, &[]).is_error());
    // A linear congruential generator: the same commands in every run.
    let mut state = 1_u64;
    let mut pick = |count: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % count
    };
    let names: Vec<&str> = names.split_whitespace().collect();
    for _ in 0..20_000 {
        let mut args = vec![names[pick(names.len())]];
        args.extend((0..pick(9)).map(|_| words[pick(words.len())]));
        let mut bytes = Vec::new();
        execute(&store, &args).encode(Protocol::Resp3, &mut bytes);
    }
}
