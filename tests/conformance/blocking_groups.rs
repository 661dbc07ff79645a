//! Promise: a consumer that waits gets what Redis would give it, when Redis would, in its turn, and nothing else.
//!
//! Numbers are those of section 19 and the rules of section 11 of the behavioural reference.

use std::thread;
use std::time::{Duration, Instant};

use streamlog::command::{Protocol, execute};
use streamlog::{Durability, NewId, Store};

use crate::blocking::{Reader, answer, entry, store_with_at};

const NO_GROUP: &str = "!NOGROUP No such key \\'s\\' or consumer group \\'g\\' in XREADGROUP with GROUP option";

/// Entries come to be seen in another way where they are to be durable first.
fn at_each_level(test: impl Fn(Durability)) {
    [Durability::Always, Durability::Os].into_iter().for_each(test);
}

/// A stream `s` with the group `g`, which has read everything.
fn store_with_group(level: Durability) -> Store {
    store_with_at(level, &["XGROUP CREATE s g $ MKSTREAM"])
}

/// As a consumer of `g`, waits for what is new in `s`; when this returns, it does.
fn start(store: &Store, consumer: &str) -> Reader {
    start_with(store, consumer, "")
}

fn start_with(store: &Store, consumer: &str, options: &str) -> Reader {
    let block = if options.contains("BLOCK") { "" } else { "BLOCK 0 " };
    let reader = Reader::start(store, &format!("XREADGROUP GROUP g {consumer} {block}{options}STREAMS s >"));
    assert!(consumers(store).contains(&format!("\"{consumer}\"")), "BLK-12: it exists as soon as it waits");
    reader
}

fn consumers(store: &Store) -> String {
    answer(store, "XINFO CONSUMERS s g")
}

fn pending(store: &Store) -> String {
    answer(store, "XPENDING s g")
}

/// Adds entries with the field `f` and the value `v`, all at once.
fn add_together(store: &Store, key: &str, ids: &[u64]) {
    let entries = ids.iter().map(|&ms| (NewId::Exact((ms, 0).into()), [("f", "v")]));
    store.stream(key).unwrap().add_batch(entries).unwrap();
}

#[test]
fn case_110_readers_are_served_in_the_order_in_which_they_came() {
    at_each_level(|level| {
        let store = store_with_group(level);
        let readers = ["c", "a", "b"].map(|consumer| start(&store, consumer));
        let mut waiting = Vec::from(readers);
        for (ms, consumer) in [(1, "c"), (2, "a"), (3, "b")] {
            answer(&store, &format!("XADD s {ms}-0 f v"));
            assert_eq!(waiting.remove(0).reply(), entry("s", &format!("{ms}-0")));
            waiting.iter().for_each(Reader::assert_waiting);
            let owned = format!("XPENDING s g {ms}-0 {ms}-0 1 {consumer}");
            assert!(answer(&store, &owned).starts_with(&format!("[[\"{ms}-0\", \"{consumer}\", ")));
        }
    });
}

#[test]
fn case_111_each_takes_what_its_count_allows() {
    at_each_level(|level| {
        let store = store_with_group(level);
        let (first, second, third) = (start_with(&store, "a", "COUNT 2 "), start(&store, "b"), start(&store, "c"));
        add_together(&store, "s", &[1, 2, 3]);
        assert_eq!(first.reply(), r#"[["s", [["1-0", ["f", "v"]], ["2-0", ["f", "v"]]]]]"#);
        assert_eq!(second.reply(), entry("s", "3-0"));
        third.assert_waiting();
        answer(&store, "XADD s 4-0 f v");
        assert_eq!(third.reply(), entry("s", "4-0"));
    });
}

#[test]
fn case_112_an_entry_that_is_trimmed_at_once_wakes_no_consumer() {
    at_each_level(|level| {
        let store = store_with_group(level);
        let reader = start(&store, "a");
        assert_eq!(answer(&store, "XADD s MAXLEN 0 2-0 f v"), r#""2-0""#);
        reader.assert_waiting();
        answer(&store, "XADD s 3-0 f v");
        assert_eq!(reader.reply(), entry("s", "3-0"));
    });
}

/// Cases 113, 114, 116 and 117, and other ways in which a group may go.
#[test]
fn who_waits_in_a_group_that_goes_is_told_so() {
    at_each_level(|level| {
        for command in [
            "DEL s",
            "UNLINK s",
            "FLUSHALL",
            "FLUSHDB ASYNC",
            "RENAME s gone",
            "RENAMENX s gone",
            "RENAME without s",
            "COPY without s REPLACE",
            "XGROUP DESTROY s g",
        ] {
            let store = store_with_group(level);
            for setup in ["XADD s 5-0 f v", "XADD without 3-0 f v", "XADD without 2000-0 f v", "XTRIM without MAXLEN 0"]
            {
                answer(&store, setup);
            }
            answer(&store, "XREADGROUP GROUP g zero STREAMS s >");
            let readers = [start(&store, "a"), start_with(&store, "b", "CLAIM 9000 NOACK ")];
            let plain = Reader::start(&store, "XREAD BLOCK 0 STREAMS s $");
            assert!(!answer(&store, command).starts_with('!'), "{command}");
            for reader in readers {
                assert_eq!(reader.reply(), NO_GROUP, "{command}");
            }
            // Case 113: it compares with the ID it started from.
            plain.assert_waiting();
            answer(&store, "XADD s 3000-0 f v");
            assert_eq!(plain.reply(), entry("s", "3000-0"), "{command}");
        }
    });
}

#[test]
fn case_113_a_stream_that_is_created_anew_with_the_group_is_another_one() {
    at_each_level(|level| {
        let store = store_with_group(level);
        let reader = start(&store, "a");
        answer(&store, "DEL s");
        assert_eq!(reader.reply(), NO_GROUP);
        answer(&store, "XGROUP CREATE s g 0 MKSTREAM");
        assert_eq!(answer(&store, "XINFO CONSUMERS s g"), "[]");
        answer(&store, "XADD s 1-0 f v");
        assert_eq!(start_now(&store, "a"), entry("s", "1-0"));
    });
}

/// As [`start`], but it need not wait.
fn start_now(store: &Store, consumer: &str) -> String {
    answer(store, &format!("XREADGROUP GROUP g {consumer} BLOCK 0 STREAMS s >"))
}

/// BLK-8, BLK-10: what has the group, and something for it, serves who waits, one after the other.
#[test]
fn readers_are_served_from_a_stream_that_comes_in_place_of_theirs() {
    at_each_level(|level| {
        for command in ["RENAME other s", "COPY other s REPLACE"] {
            let store = store_with_group(level);
            for setup in ["XADD other 1-0 f v", "XADD other 2-0 f v", "XGROUP CREATE other g 0"] {
                answer(&store, setup);
            }
            let readers = [start_with(&store, "a", "COUNT 1 "), start_with(&store, "b", "COUNT 1 ")];
            let third = start(&store, "c");
            answer(&store, command);
            assert_eq!(readers.map(Reader::reply), [entry("s", "1-0"), entry("s", "2-0")], "{command}");
            third.assert_waiting();
            // BLK-12: it looked, so it is a consumer of the new group, too.
            assert!(consumers(&store).contains("\"c\""), "{command}");
            answer(&store, "XADD s 3-0 f v");
            assert_eq!(third.reply(), entry("s", "3-0"), "{command}");
        }
    });
}

#[test]
fn case_118_a_position_that_is_set_back_is_noticed_with_the_next_entry() {
    at_each_level(|level| {
        let store = store_with_at(level, &["XADD s 1-0 f v", "XADD s 2-0 f v", "XGROUP CREATE s g $"]);
        let reader = start(&store, "a");
        answer(&store, "XGROUP SETID s g 0");
        reader.assert_waiting();
        answer(&store, "XADD s 3-0 f v");
        assert_eq!(reader.reply(), r#"[["s", [["1-0", ["f", "v"]], ["2-0", ["f", "v"]], ["3-0", ["f", "v"]]]]]"#);
    });
}

/// BLK-9, and whatever else brings nothing for a reader.
#[test]
fn what_brings_nothing_wakes_nobody() {
    at_each_level(|level| {
        let store =
            store_with_at(level, &["XADD s 1-0 f v", "XADD s 2-0 f v", "XADD s 3-0 f v", "XADD s IDMP p i * f v"]);
        for setup in ["XGROUP CREATE s g 0", "XGROUP CREATE s h 0", "XREADGROUP GROUP g z STREAMS s >"] {
            answer(&store, setup);
        }
        let readers = [start(&store, "a"), start(&store, "b")];
        for command in [
            "XGROUP CREATE s other 0",
            "XGROUP CREATE new g 0 MKSTREAM",
            "XGROUP CREATECONSUMER s g c",
            "XGROUP SETID s g $",
            "XGROUP DESTROY s other",
            "XGROUP DELCONSUMER s g c",
            "XGROUP DELCONSUMER s g a",
            "XREADGROUP GROUP g z STREAMS s 0",
            "XREADGROUP GROUP h z STREAMS s >",
            "XNACK s g FAIL IDS 1 2-0",
            "XNACK s h FAIL IDS 1 2-0",
            "XCLAIM s g z 0 3-0 IDLE 100000",
            "XAUTOCLAIM s g z 0 0",
            "XACK s g 3-0",
            "XDEL s 3-0",
            "XDELEX s DELREF IDS 1 2-0",
            "XTRIM s MAXLEN 1",
            "XADD s IDMP p i * f other",
            "XADD s MAXLEN 0 9999999999999-0 f v",
            "XADD other 1-0 f v",
            "XSETID s 9999999999999-5",
            "XCFGSET s IDMP-MAXSIZE 5",
            "COPY s elsewhere",
        ] {
            assert!(!answer(&store, command).starts_with('!'), "{command}");
        }
        readers.iter().for_each(Reader::assert_waiting);
        for reader in readers {
            assert_eq!(answer(&store, "XADD s 9999999999999-* f v").len(), 17);
            assert!(reader.reply().starts_with(r#"[["s", [["9999999999999-"#));
        }
    });
}

/// Without isolation the reader may see the moment between the two commands; it is told of it then.
#[test]
fn case_119_a_group_that_is_destroyed_and_created_again_serves_or_says_so() {
    at_each_level(|level| {
        let store = store_with_at(level, &["XADD s 1-0 f v", "XGROUP CREATE s g $"]);
        let reader = start(&store, "a");
        let mut session = streamlog::command::Session::new(&store);
        for command in ["MULTI", "XGROUP DESTROY s g", "XGROUP CREATE s g 0", "XADD s 2-0 f v", "EXEC"] {
            session.execute(&command.split(' ').collect::<Vec<_>>());
        }
        let reply = reader.reply();
        let both = r#"[["s", [["1-0", ["f", "v"]], ["2-0", ["f", "v"]]]]]"#;
        assert!(reply == NO_GROUP || reply == both || reply == entry("s", "1-0"), "{reply}");
    });
}

#[test]
fn case_120_a_waiting_consumer_that_is_deleted_is_created_again_by_what_it_gets() {
    at_each_level(|level| {
        let store = store_with_group(level);
        let reader = start(&store, "a");
        assert_eq!(answer(&store, "XGROUP DELCONSUMER s g a"), "0");
        reader.assert_waiting();
        assert_eq!(consumers(&store), "[]");
        answer(&store, "XADD s 1-0 f v");
        assert_eq!(reader.reply(), entry("s", "1-0"));
        assert_eq!(pending(&store), r#"[1, "1-0", "1-0", [["a", "1"]]]"#);
    });
}

#[test]
fn case_121_a_consumer_of_several_streams_gets_them_in_the_order_it_asked_for() {
    at_each_level(|level| {
        let store = store_with_group(level);
        for setup in ["XGROUP CREATE t g $ MKSTREAM", "XGROUP CREATE u g $ MKSTREAM"] {
            answer(&store, setup);
        }
        let command = "XREADGROUP GROUP g a BLOCK 0 STREAMS s t u > > >";
        let reader = Reader::start(&store, command);
        // Whether the reader sees the second entry as well depends on how soon it wakes.
        answer(&store, "XADD u 1-0 f v");
        answer(&store, "XADD t 1-0 f v");
        let both = r#"[["t", [["1-0", ["f", "v"]]]], ["u", [["1-0", ["f", "v"]]]]]"#;
        let reply = reader.reply();
        if reply != both {
            assert_eq!(reply, entry("u", "1-0"));
            assert_eq!(answer(&store, command), entry("t", "1-0"));
        }
    });
}

/// BLK-13. The entry is idle from when it was delivered, which is before the clock is read here.
#[test]
fn case_124_an_entry_is_claimed_as_soon_as_it_has_been_idle_for_long_enough() {
    at_each_level(|level| {
        let store = store_with_group(level);
        answer(&store, "XADD s 1-0 f v");
        let start = Instant::now();
        assert_eq!(answer(&store, "XREADGROUP GROUP g a STREAMS s >"), entry("s", "1-0"));
        let reply = answer(&store, "XREADGROUP GROUP g b BLOCK 30000 CLAIM 300 STREAMS s >");
        let waited = start.elapsed();
        let idle = reply.strip_prefix(r#"[["s", [["1-0", ["f", "v"], "#).and_then(|rest| rest.strip_suffix(", 1]]]]"));
        let idle: u64 = idle.unwrap_or_else(|| panic!("{reply}")).parse().unwrap();
        assert!(idle >= 300 && waited >= Duration::from_millis(299), "{idle} ms idle after {waited:?}");
        assert!(waited < Duration::from_secs(20), "it woke for this, not because its time was up");
    });
}

/// BLK-13: nothing tells who waits that an entry was made older, but the next thing that wakes it does.
#[test]
fn an_entry_that_is_made_older_is_claimed_when_the_reader_is_woken() {
    at_each_level(|level| {
        let store = store_with_group(level);
        for setup in ["XADD s 1-0 f v", "XREADGROUP GROUP g z STREAMS s >"] {
            answer(&store, setup);
        }
        let reader = start_with(&store, "a", "CLAIM 60000 ");
        answer(&store, "XCLAIM s g z 0 1-0 IDLE 70000 RETRYCOUNT 7");
        reader.assert_waiting();
        answer(&store, "XADD s 2-0 f v");
        let reply = reader.reply();
        assert!(reply.starts_with(r#"[["s", [["1-0", ["f", "v"], 70"#), "{reply}");
        assert!(reply.ends_with(r#", 7], ["2-0", ["f", "v"], 0, 0]]]]"#), "{reply}");
    });
}

/// BLK-5: whatever happens to a key makes all look who wait for it; also those for whom it is not.
#[test]
fn an_entry_that_is_made_older_is_claimed_by_who_waits_behind_a_reader_that_does_not_claim() {
    at_each_level(|level| {
        let store = store_with_group(level);
        for setup in ["XADD s 1-0 f v", "XREADGROUP GROUP g z STREAMS s >"] {
            answer(&store, setup);
        }
        let first = start(&store, "a");
        let second = start_with(&store, "b", "CLAIM 60000 ");
        answer(&store, "XCLAIM s g z 0 1-0 IDLE 70000 RETRYCOUNT 7");
        first.assert_waiting();
        second.assert_waiting();
        answer(&store, "XADD s 2-0 f v");
        assert_eq!(first.reply(), entry("s", "2-0"));
        let reply = second.reply();
        assert!(reply.starts_with(r#"[["s", [["1-0", ["f", "v"], 70"#) && reply.ends_with(", 7]]]]"), "{reply}");
    });
}

/// BLK-8
#[test]
fn a_group_that_was_set_back_is_read_when_another_one_is_destroyed() {
    at_each_level(|level| {
        let store = store_with_at(level, &["XADD s 1-0 f v", "XGROUP CREATE s g $", "XGROUP CREATE s h $"]);
        let reader = start(&store, "a");
        answer(&store, "XGROUP SETID s g 0");
        reader.assert_waiting();
        answer(&store, "XGROUP DESTROY s h");
        assert_eq!(reader.reply(), entry("s", "1-0"));
    });
}

#[test]
fn a_group_that_was_set_back_is_read_by_who_waits_for_another_stream_too() {
    at_each_level(|level| {
        let store = store_with_at(level, &["XGROUP CREATE s g $ MKSTREAM", "XADD t 1-0 f v", "XGROUP CREATE t g $"]);
        let first = start(&store, "a");
        let second = Reader::start(&store, "XREADGROUP GROUP g b BLOCK 0 STREAMS s t > >");
        answer(&store, "XGROUP SETID t g 0");
        first.assert_waiting();
        second.assert_waiting();
        answer(&store, "XADD s 1-0 f v");
        assert_eq!(first.reply(), entry("s", "1-0"));
        assert_eq!(second.reply(), entry("t", "1-0"));
    });
}

#[test]
fn case_125_a_new_entry_serves_a_reader_whose_pending_ones_are_too_young() {
    at_each_level(|level| {
        let store = store_with_group(level);
        for setup in ["XADD s 1-0 f v", "XREADGROUP GROUP g z STREAMS s >"] {
            answer(&store, setup);
        }
        let reader = start_with(&store, "a", "CLAIM 60000 ");
        answer(&store, "XADD s 2-0 f v");
        assert_eq!(reader.reply(), r#"[["s", [["2-0", ["f", "v"], 0, 0]]]]"#);
    });
}

/// BLK-13: two wait for the same entry. The second has it when it has been idle again.
#[test]
fn the_same_entry_is_claimed_in_the_order_of_arrival() {
    at_each_level(|level| {
        let store = store_with_group(level);
        answer(&store, "XADD s 1-0 f v");
        let begin = Instant::now();
        answer(&store, "XREADGROUP GROUP g z STREAMS s >");
        let (first, second) = (start_with(&store, "a", "CLAIM 250 "), start_with(&store, "b", "CLAIM 250 "));
        let (reply, second) = (first.reply(), second.reply());
        assert!(begin.elapsed() >= Duration::from_millis(498), "{:?}", begin.elapsed());
        assert!(reply.ends_with(", 1]]]]") && second.ends_with(", 2]]]]"), "{reply} and {second}");
    });
}

/// CLM-4: an entry whose message is gone is never claimed, so nobody wakes for it.
#[test]
fn a_dangling_entry_wakes_nobody() {
    at_each_level(|level| {
        let store = store_with_group(level);
        for setup in ["XADD s 1-0 f v", "XREADGROUP GROUP g z STREAMS s >", "XDEL s 1-0"] {
            answer(&store, setup);
        }
        assert_eq!(answer(&store, "XREADGROUP GROUP g a BLOCK 150 CLAIM 20 STREAMS s >"), "*nil");
        assert_eq!(pending(&store), r#"[1, "1-0", "1-0", [["z", "1"]]]"#);
    });
}

#[test]
fn case_126_time_runs_out_in_a_group() {
    at_each_level(|level| {
        let store = store_with_group(level);
        let start = Instant::now();
        assert_eq!(answer(&store, "XREADGROUP GROUP g a BLOCK 30 STREAMS s >"), "*nil");
        assert_eq!(answer(&store, "XREADGROUP GROUP g a BLOCK 30 CLAIM 5 STREAMS s >"), "*nil");
        let waited = start.elapsed();
        assert!(waited >= Duration::from_millis(59), "it took {waited:?}");
        let mut bytes = Vec::new();
        execute(&store, &["XREADGROUP", "GROUP", "g", "a", "BLOCK", "1", "STREAMS", "s", ">"])
            .encode(Protocol::Resp3, &mut bytes);
        assert_eq!(bytes, b"_\r\n");
        // XRG-7: waiting in vain is no activity.
        assert!(consumers(&store).ends_with(r#""inactive", -1]]"#));
    });
}

/// BLK-12
#[test]
fn being_seen_is_when_a_reader_last_looked_and_not_when_its_time_was_up() {
    at_each_level(|level| {
        let store = store_with_group(level);
        let idle = |store: &Store| {
            let row = answer(store, "XINFO CONSUMERS s g");
            let idle = row.split("\"idle\", ").nth(1).and_then(|rest| rest.split(',').next());
            idle.unwrap_or_else(|| panic!("{row}")).parse::<u64>().unwrap()
        };
        answer(&store, "XREADGROUP GROUP g a BLOCK 200 STREAMS s >");
        assert!(idle(&store) >= 199);
        let reader = start(&store, "a");
        thread::sleep(Duration::from_millis(200));
        let before = idle(&store);
        assert!(before >= 200);
        answer(&store, "XADD s MAXLEN 0 1-0 f v");
        // Nothing is left for it, but it looked: if it does not, this does not end.
        let patience = Instant::now() + Duration::from_secs(20);
        while idle(&store) >= before {
            assert!(Instant::now() < patience, "it did not look");
            thread::sleep(Duration::from_millis(1));
        }
        answer(&store, "XADD s 2-0 f v");
        assert_eq!(reader.reply(), entry("s", "2-0"));
    });
}

/// XRG-4, BLK-2
#[test]
fn who_asks_for_history_never_waits() {
    at_each_level(|level| {
        let store = store_with_at(level, &["XGROUP CREATE s g $ MKSTREAM", "XGROUP CREATE t g $ MKSTREAM"]);
        // Also where another waits already.
        let other = start(&store, "w");
        for (command, reply) in [
            ("XREADGROUP GROUP g a BLOCK 0 STREAMS s 0", r#"[["s", []]]"#),
            ("XREADGROUP GROUP g a BLOCK 0 STREAMS s t > 0", r#"[["t", []]]"#),
            ("XREADGROUP GROUP g a BLOCK 0 CLAIM 0 STREAMS s s > 5-5", r#"[["s", []]]"#),
        ] {
            assert_eq!(answer(&store, command), reply);
        }
        other.assert_waiting();
        answer(&store, "XADD s 1-0 f v");
        assert_eq!(other.reply(), entry("s", "1-0"));
    });
}

/// BLK-1, and that nothing else is looked at before.
#[test]
fn timeouts_of_consumers_are_checked() {
    at_each_level(|level| {
        let store = store_with_at(level, &[]);
        for (timeout, error) in [
            ("x", "!ERR timeout is not an integer or out of range"),
            ("1.5", "!ERR timeout is not an integer or out of range"),
            ("9223372036854775808", "!ERR timeout is not an integer or out of range"),
            ("-1", "!ERR timeout is negative"),
            ("9223372036854775807", "!ERR timeout is out of range"),
        ] {
            assert_eq!(answer(&store, &format!("XREADGROUP GROUP g a BLOCK {timeout} STREAMS s x y")), error);
        }
    });
}

#[test]
fn u11_released_entries_wake_who_claims_at_once() {
    at_each_level(|level| {
        let store = store_with_group(level);
        for setup in ["XADD s 1-0 f v", "XREADGROUP GROUP g z STREAMS s >"] {
            answer(&store, setup);
        }
        let (plain, reader) = (start(&store, "p"), start_with(&store, "a", "CLAIM 3600000 "));
        assert_eq!(answer(&store, "XNACK s g FAIL IDS 1 1-0"), "1");
        let reply = reader.reply();
        assert!(reply.starts_with(r#"[["s", [["1-0", ["f", "v"], "#) && reply.ends_with(", 1]]]]"), "{reply}");
        plain.assert_waiting();
        answer(&store, "XADD s 2-0 f v");
        assert_eq!(plain.reply(), entry("s", "2-0"));
    });
}

/// NCK-7, BLK-5: what the first leaves for its COUNT is for the next.
#[test]
fn each_released_entry_wakes_a_reader() {
    at_each_level(|level| {
        let store = store_with_group(level);
        for setup in ["XADD s 1-0 f v", "XADD s 2-0 f v", "XADD s 3-0 f v", "XREADGROUP GROUP g z STREAMS s >"] {
            answer(&store, setup);
        }
        let readers = ["a", "b", "c"].map(|consumer| start_with(&store, consumer, "COUNT 1 CLAIM 3600000 "));
        assert_eq!(answer(&store, "XNACK s g FAIL IDS 3 2-0 3-0 1-0"), "3");
        for (reader, id) in readers.into_iter().zip(["2-0", "3-0", "1-0"]) {
            let reply = reader.reply();
            assert!(reply.starts_with(&format!(r#"[["s", [["{id}", "#)), "{reply}");
        }
    });
}

/// Both come before the reader has woken, or soon after; either way there is one for each of them.
#[test]
fn what_a_reader_that_claims_leaves_is_for_the_next() {
    at_each_level(|level| {
        let store = store_with_group(level);
        for round in 1..50_u64 {
            let (old, new) = (2 * round, 2 * round + 1);
            answer(&store, &format!("XADD s {old}-0 f v"));
            answer(&store, "XREADGROUP GROUP g z STREAMS s >");
            let command =
                |consumer: &str, options: &str| format!("XREADGROUP GROUP g {consumer} BLOCK 0 {options}STREAMS s >");
            let commands = [command("a", "COUNT 1 CLAIM 3600000 "), command("b", "")];
            let readers = commands.map(|command| {
                let store = store.clone();
                let thread = thread::spawn(move || answer(&store, &command));
                thread::sleep(Duration::from_millis(2));
                thread
            });
            answer(&store, &format!("XNACK s g FAIL IDS 1 {old}-0"));
            answer(&store, &format!("XADD s {new}-0 f v"));
            let patience = Instant::now() + Duration::from_secs(20);
            while !readers.iter().all(thread::JoinHandle::is_finished) {
                assert!(Instant::now() < patience, "somebody sleeps while there is something");
                thread::sleep(Duration::from_millis(1));
            }
            answer(&store, &format!("XACK s g {old}-0 {new}-0"));
        }
    });
}

/// MAXCOUNT is for all streams together: a stream that it leaves out has something for others.
#[test]
fn what_a_limit_on_the_whole_reply_leaves_is_for_the_next() {
    at_each_level(|level| {
        for limit in ["MAXCOUNT 1", "MAXSIZE 1"] {
            let store = store_with_group(level);
            answer(&store, "XGROUP CREATE t g $ MKSTREAM");
            for setup in ["XADD both-s 1-0 f v", "XGROUP CREATE both-s g 0"] {
                answer(&store, setup);
            }
            // It was called for `t` already when it takes all it may from `s`.
            for round in 1..50 {
                let start = |command: String| {
                    let store = store.clone();
                    let thread = thread::spawn(move || answer(&store, &command));
                    thread::sleep(Duration::from_millis(2));
                    thread
                };
                let limited = start(format!("XREADGROUP GROUP g a BLOCK 0 {limit} STREAMS s t > >"));
                let other = start("XREADGROUP GROUP g b BLOCK 0 STREAMS t >".to_owned());
                answer(&store, &format!("XADD s {round}-0 f v"));
                answer(&store, &format!("XADD t {round}-0 f v"));
                let patience = Instant::now() + Duration::from_secs(20);
                while !(limited.is_finished() && other.is_finished()) {
                    assert!(Instant::now() < patience, "somebody sleeps while there is something: {limit}");
                    thread::sleep(Duration::from_millis(1));
                }
                assert_eq!(limited.join().unwrap(), entry("s", &format!("{round}-0")), "{limit}");
                assert_eq!(other.join().unwrap(), entry("t", &format!("{round}-0")), "{limit}");
            }
        }
    });
}

#[test]
fn each_group_is_served_by_itself() {
    at_each_level(|level| {
        let store = store_with_at(
            level,
            &["XGROUP CREATE s g $ MKSTREAM", "XGROUP CREATE s h $", "XGROUP CREATE t g $ MKSTREAM"],
        );
        let readers = [
            Reader::start(&store, "XREADGROUP GROUP g a BLOCK 0 STREAMS s >"),
            Reader::start(&store, "XREADGROUP GROUP h a BLOCK 0 STREAMS s >"),
            Reader::start(&store, "XREAD BLOCK 0 STREAMS s $"),
        ];
        let other = Reader::start(&store, "XREADGROUP GROUP g a BLOCK 0 STREAMS t >");
        answer(&store, "XADD s 1-0 f v");
        for reader in readers {
            assert_eq!(reader.reply(), entry("s", "1-0"));
        }
        other.assert_waiting();
        answer(&store, "XGROUP DESTROY s g");
        other.assert_waiting();
        answer(&store, "XADD t 1-0 f v");
        assert_eq!(other.reply(), entry("t", "1-0"));
    });
}

/// XRG-7, and that NOACK leaves nothing behind.
#[test]
fn who_waits_without_acknowledging_is_given_each_entry_once() {
    at_each_level(|level| {
        let store = store_with_group(level);
        let reader = start_with(&store, "a", "NOACK ");
        answer(&store, "XADD s 1-0 f v");
        assert_eq!(reader.reply(), entry("s", "1-0"));
        assert_eq!(pending(&store), "[0, nil, nil, *nil]");
        assert!(consumers(&store).ends_with(r#""inactive", -1]]"#));
    });
}

#[test]
fn closing_the_store_ends_every_wait_with_an_error() {
    at_each_level(|level| {
        let store = store_with_group(level);
        let readers = [
            start(&store, "a"),
            start_with(&store, "b", "BLOCK 30000 "),
            start_with(&store, "c", "CLAIM 3600000 "),
            Reader::start(&store, "XREADGROUP GROUP g d BLOCK 0 STREAMS s s > >"),
        ];
        store.close().expect("the store closes");
        for reader in readers {
            assert_eq!(reader.reply(), "!ERR the store is closed");
        }
    });
}
