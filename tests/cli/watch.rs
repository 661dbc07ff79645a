//! `groups`, `pending` and `top`: who is behind, and with what; also while another process writes.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::ChildStdin;

use serde_json::{Value, json};

use crate::harness::{Running, streamlog};

/// A store with two streams, a group with two consumers, and a released entry.
fn store() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let script = "XADD orders 1-0 a b\nXADD orders 2-0 a b\nXADD orders 3-0 a b\nXADD orders 4-0 a b\nXADD other 7-0 a b\n\
                  XGROUP CREATE orders workers 0\nXREADGROUP GROUP workers alice COUNT 2 STREAMS orders >\n\
                  XREADGROUP GROUP workers bob COUNT 1 STREAMS orders >\nXNACK orders workers FAIL IDS 1 2-0\n\
                  XCLAIM orders workers bob 0 3-0\n";
    assert_eq!(streamlog().store(directory.path()).arg("shell").run_with_input(script.as_bytes()).status, 0);
    directory
}

fn run(store: &Path, line: &str) -> String {
    let ended = streamlog().store(store).args(line).run();
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{line}");
    ended.stdout
}

fn json_of(store: &Path, line: &str) -> Value {
    serde_json::from_str(&run(store, line)).unwrap()
}

/// A process that has the store open, and takes commands.
fn writer(store: &Path) -> (Running, ChildStdin) {
    let mut running = streamlog().store(store).arg("pipe").start();
    let mut input = running.0.stdin.take().unwrap();
    input.write_all(b"PING\r\n").unwrap();
    let mut pong = [0; 7];
    running.0.stdout.as_mut().unwrap().read_exact(&mut pong).unwrap();
    (running, input)
}

#[test]
fn groups_are_a_table_and_json() {
    let store = store();
    let _writer = writer(store.path());
    assert_eq!(
        run(store.path(), "groups"),
        "STREAM  GROUP    CONSUMERS  PENDING  RELEASED  LAG  LAST DELIVERED\n\
         orders  workers          2        3         1    1  3-0\n"
    );
    let consumers = run(store.path(), "groups --consumers orders");
    assert_eq!(consumers.lines().count(), 3, "{consumers}");
    assert!(consumers.contains("orders  workers  alice           1  "), "{consumers}");
    let groups = json_of(store.path(), "groups --json --consumers");
    assert_eq!(
        (&groups[0]["stream"], &groups[0]["group"], &groups[0]["lag"]),
        (&json!("orders"), &json!("workers"), &json!(1))
    );
    assert_eq!((&groups[0]["members"][1]["consumer"], &groups[0]["members"][1]["pending"]), (&json!("bob"), &json!(1)));
    assert_eq!(json_of(store.path(), "groups --json other"), json!([]));
    let missing = streamlog().store(store.path()).args("groups none orders").run();
    assert_eq!(missing.status, 1);
    assert!(missing.stdout.contains("workers") && missing.stderr.starts_with("streamlog: \"none\": "), "{missing:?}");
}

#[test]
fn what_is_pending_can_be_narrowed_down() {
    let store = store();
    let table = run(store.path(), "pending orders workers");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    assert_eq!(lines[0].split_ascii_whitespace().collect::<Vec<_>>(), ["ID", "CONSUMER", "IDLE", "DELIVERED"]);
    assert!(lines[1].starts_with("1-0  alice  ") && lines[1].ends_with(" 1"), "{table}");
    assert_eq!(lines[2].split_ascii_whitespace().collect::<Vec<_>>(), ["2-0", "-", "-", "1"]);
    assert!(lines[3].starts_with("3-0  bob ") && lines[3].ends_with(" 2"), "{table}");
    assert_eq!(lines[4], "3 listed, 3 pending: alice 1, bob 1, released 1");
    let pending = json_of(store.path(), "pending orders workers --json --consumer bob");
    assert_eq!((&pending["pending"], pending["entries"].as_array().unwrap().len()), (&json!(3), 1));
    assert_eq!((&pending["entries"][0]["id"], &pending["entries"][0]["delivery_count"]), (&json!("3-0"), &json!(2)));
    let ids = |line: &str| {
        let pending = json_of(store.path(), line);
        pending["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("pending --json orders workers --start 2-0 -n 1"), ["2-0"]);
    assert_eq!(ids("pending --json orders workers --count 0"), ["1-0", "2-0", "3-0"]);
    // A released entry has been idle for ever.
    assert_eq!(ids("pending --json orders workers --idle 1h"), ["2-0"]);
    for line in ["pending orders none", "pending none workers"] {
        let missing = streamlog().store(store.path()).args(line).run();
        assert_eq!((missing.status, missing.stdout.as_str()), (1, ""), "{line}");
        let whose = if line.ends_with("none") { "group" } else { "there is no stream" };
        assert!(missing.stderr.contains(whose), "{line}: {missing:?}");
    }
}

#[test]
fn top_prints_a_look_each_time_where_there_is_no_terminal() {
    let store = store();
    let table = run(store.path(), "top --count 2 --interval 50ms --groups");
    let looks: Vec<_> = table.split("\n\n").collect();
    assert_eq!(looks.len(), 2, "{table}");
    assert!(looks[0].starts_with("2 streams, 5 entries, ") && looks[0].contains("\n  workers "), "{table}");
    let last: Vec<_> = looks[1].lines().filter(|line| line.starts_with("orders")).collect();
    assert_eq!(last.len(), 1, "{table}");
    let ids: Vec<_> = last[0].split_ascii_whitespace().collect();
    assert_eq!((ids[1], ids[2], ids.last().copied()), ("4", "0", Some("4-0")), "{table}");
    let by_entries = run(store.path(), "top --count 1 --sort entries other orders");
    assert!(by_entries.find("\norders") < by_entries.find("\nother"), "{by_entries}");
}

#[test]
fn top_tells_of_a_stream_that_is_not_there() {
    let store = store();
    let looked = streamlog().store(store.path()).args("top --count 1 orderz other").run();
    assert_eq!((looked.status, looked.stderr.as_str()), (1, ""));
    let lines: Vec<_> = looked.stdout.lines().collect();
    assert!(lines[0].starts_with("1 stream, 1 entry, "), "{lines:?}");
    assert!(lines[2].starts_with("orderz  ") && lines[2].ends_with("there is no stream of this name yet"), "{lines:?}");
    let looked = streamlog().store(store.path()).args("top --count 1 --json orderz").run();
    assert!(looked.status == 1 && looked.stdout.contains("there is no stream of this name yet"), "{looked:?}");
}

#[test]
fn top_sees_what_another_process_does_meanwhile() {
    let store = store();
    let (_running, mut writer) = writer(store.path());
    let mut top = streamlog().store(store.path()).args("top --json --interval 50ms orders").start();
    let mut looks = BufReader::new(top.0.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let first = looks.next().unwrap();
    assert_eq!((&first["streams"][0]["entries"], &first["streams"][0]["added_per_second"]), (&json!(4), &Value::Null));
    writer.write_all(b"XADD orders 5-0 a b\r\nXREADGROUP GROUP workers bob COUNT 2 STREAMS orders >\r\n").unwrap();
    let seen = |look: &Value| look["streams"][0]["entries"] == 5 && look["streams"][0]["lag"] == 0;
    let looks: Vec<_> = std::iter::once(first)
        .chain(looks.take(500))
        .scan(false, |done, look| {
            let goes_on = !*done;
            *done = seen(&look);
            goes_on.then_some(look)
        })
        .collect();
    let last = looks.last().unwrap();
    assert!(seen(last), "{last}");
    assert_eq!((&last["streams"][0]["pending"], &last["streams"][0]["last_id"]), (&json!(5), &json!("5-0")));
    // Whenever it was added and read, there is a look that shows it as a rate.
    let rate = |name: &str| looks.iter().any(|look| look["streams"][0][name].as_f64().is_some_and(|rate| rate > 0.0));
    assert!(rate("added_per_second") && rate("read_per_second"), "{looks:?}");
}

#[test]
fn top_shows_each_of_many_streams() {
    let store = tempfile::tempdir().unwrap();
    let script: String = (1..=150).map(|n| format!("XADD s{n:03} {n}-0 a b\n")).collect();
    assert_eq!(streamlog().store(store.path()).arg("pipe").run_with_input(script.as_bytes()).status, 0);
    let (mut running, mut writer) = writer(store.path());
    writer.write_all(b"XADD s077 500-0 a b\r\n").unwrap();
    let mut reply = [0; 11];
    running.0.stdout.as_mut().unwrap().read_exact(&mut reply).unwrap();
    let looks = run(store.path(), "top --json --count 2 --interval 50ms");
    for look in looks.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let streams = look["streams"].as_array().unwrap();
        assert_eq!(streams.len(), 150);
        for (n, stream) in (1..).zip(streams) {
            let (entries, last) = if n == 77 { (2, 500) } else { (1, n) };
            assert_eq!(stream["name"], json!(format!("s{n:03}")));
            assert_eq!((&stream["entries"], &stream["last_id"]), (&json!(entries), &json!(format!("{last}-0"))));
        }
    }
}
