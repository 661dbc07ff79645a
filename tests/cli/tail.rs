//! `tail`: what is there, and what comes, also while another process writes.

use std::io::{BufRead, BufReader, Read};
use std::process::Command;
use std::time::{Duration, Instant};

use streamlog::{AddOptions, OnDamage, Options, Store, StreamId};

use crate::harness::{prints, skipped, streamlog};

fn add(store: &Store, stream: &str, ms: u64, fields: &[(&str, &str)]) {
    let options = AddOptions::new().id(StreamId::new(ms, 0));
    store.stream(stream).unwrap().add_with(options, fields.iter().copied()).unwrap();
}

/// A store that this process has open.
fn filled() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    for ms in (1..=12).map(|n| n * 2) {
        let kind = if ms % 4 == 0 { "paid" } else { "created" };
        add(&store, "orders", ms, &[("type", kind), ("n", &ms.to_string())]);
    }
    add(&store, "payments", 7, &[("of", "a b"), ("to", "\u{1}=\""), ("none", "")]);
    (directory, store)
}

#[test]
fn the_newest_entries_are_shown_while_another_process_has_the_store_open() {
    let (directory, _store) = filled();
    let tail = |line: &str| streamlog().store(directory.path()).arg("tail").args(line).run();
    let lines = |ended: crate::harness::Ended| {
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
        ended.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let last = lines(tail("orders"));
    assert_eq!((last.len(), &*last[0], &*last[9]), (10, "6-0 type=created n=6", "24-0 type=paid n=24"));
    assert_eq!(tail("-n 1 orders"), prints("24-0 type=paid n=24\n"));
    assert_eq!(lines(tail("--from start orders")).len(), 12);
    assert_eq!(lines(tail("--from 21 orders")), ["22-0 type=created n=22", "24-0 type=paid n=24"]);
    assert_eq!(
        lines(tail("--from start -n 2 --where type=created orders")),
        ["18-0 type=created n=18", "22-0 type=created n=22"]
    );
    assert_eq!(lines(tail("--where type=paid --where n=8 orders")), ["8-0 type=paid n=8"]);
    assert_eq!(tail("--from end orders"), prints(""));
    assert_eq!(tail("-n 1 payments"), prints("7-0 of=\"a b\" to=\"\\x01=\\\"\" none=\"\"\n"));
    assert_eq!(
        tail("--json payments"),
        prints(
            r#"{"stream":"payments","id":"7-0","fields":[["of","a b"],["to","\u0001=\""],["none",""]]}"#.to_owned()
                + "\n"
        )
    );
}

#[test]
fn several_streams_are_shown_in_the_order_of_their_ids() {
    let (directory, _store) = filled();
    let tail = streamlog().store(directory.path()).args("tail --from 5 -n 3 orders payments").run();
    let shown = "payments 7-0 of=\"a b\" to=\"\\x01=\\\"\" none=\"\"\n\
        orders 20-0 type=paid n=20\norders 22-0 type=created n=22\norders 24-0 type=paid n=24\n";
    assert_eq!(tail, prints(shown));
}

#[test]
fn what_comes_is_shown_as_it_comes_until_the_output_is_closed() {
    let (directory, store) = filled();
    let mut tail =
        streamlog().store(directory.path()).args("tail -f -n 1 --where n=24 --where type=paid orders later").start();
    let mut out = BufReader::new(tail.0.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        line
    };
    assert_eq!(next(), "orders 24-0 type=paid n=24\n");
    add(&store, "orders", 26, &[("type", "created"), ("n", "24")]);
    add(&store, "orders", 28, &[("type", "paid"), ("n", "24")]);
    assert_eq!(next(), "orders 28-0 type=paid n=24\n");
    add(&store, "later", 1, &[("type", "paid"), ("n", "24")]);
    assert_eq!(next(), "later 1-0 type=paid n=24\n");
    store.delete(["orders"]).unwrap();
    add(&store, "orders", 3, &[("type", "paid"), ("n", "24")]);
    assert_eq!(next(), "orders 3-0 type=paid n=24\n");
    drop(out);
    // Whatever it writes next fails.
    add(&store, "orders", 5, &[("type", "paid"), ("n", "24")]);
    assert!(tail.0.wait().unwrap().success());
    let mut told = String::new();
    tail.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(told, "streamlog: there is no stream \"later\" yet; waiting for it\n");
}

#[test]
fn a_reader_that_leaves_ends_it_although_nothing_comes() {
    let (directory, _store) = filled();
    for line in ["tail -f -n 1 orders", "top --interval 1h", "top --interval 1h --json"] {
        let mut program = streamlog().store(directory.path()).args(line).start();
        let mut out = BufReader::new(program.0.stdout.take().unwrap());
        out.read_line(&mut String::new()).unwrap();
        drop(out);
        let began = Instant::now();
        let status = loop {
            if let Some(status) = program.0.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{line} goes on without a reader");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut told = String::new();
        program.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!((status.code(), told.as_str()), (Some(0), ""), "{line}");
    }
}

/// Whether this process ignores interrupts, and those that it starts: so does what a script runs in the background.
fn interrupts_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|signals| signals & (1 << 1) != 0)
}

#[test]
fn an_interrupt_ends_it_quietly() {
    if interrupts_are_ignored() {
        skipped("interrupts are ignored here");
        return;
    }
    let (directory, _store) = filled();
    let mut tail = streamlog().store(directory.path()).args("tail -f -n 1 orders").start();
    let mut out = BufReader::new(tail.0.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(Command::new("kill").args(["-INT", &tail.0.id().to_string()]).status().unwrap().success());
    tail.0.wait().unwrap();
    let mut told = String::new();
    tail.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    out.read_to_string(&mut told).unwrap();
    assert_eq!(told, "");
}

#[test]
fn what_cannot_be_shown_is_told() {
    let (directory, _store) = filled();
    let tail = |line: &str| streamlog().store(directory.path()).arg("tail").args(line).run();
    let missing = tail("nothing");
    assert_eq!((missing.status, &*missing.stderr), (1, "streamlog: there is no stream \"nothing\"\n"));
    assert_eq!(tail("--where x orders").status, 2);
    assert_eq!(tail("--from x orders").status, 2);
    assert_eq!(tail("").status, 2);
}

#[test]
fn damage_of_the_newest_entries_is_told() {
    let (directory, store) = filled();
    store.close().unwrap();
    let path = directory.path().join("streams/orders/00000000000000000001.log");
    let mut bytes = std::fs::read(&path).unwrap();
    let newest = b"\x04paid\x0224";
    let at = bytes.windows(newest.len()).position(|window| window == newest).unwrap();
    bytes[at + 2] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    // The stream goes on in a new segment, which is empty.
    let quarantine = Options::new().on_damage(OnDamage::Quarantine).open(directory.path()).unwrap();
    quarantine.stream("orders").unwrap().len().unwrap();
    quarantine.close().unwrap();
    let tail = streamlog().store(directory.path()).args("tail -n 2 orders").run();
    assert_eq!((tail.status, &*tail.stdout), (3, "22-0 type=created n=22\n"), "{tail:?}");
    assert!(tail.stderr.contains("00000000000000000001.log"), "{tail:?}");
}
