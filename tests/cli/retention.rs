//! How much of a stream is kept, from the command line.

use serde_json::{Value, json};

use crate::harness::{Ended, prints, streamlog};

fn store() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for id in 1..=5 {
        let line = format!("XADD orders {id}-0 type created");
        assert_eq!(streamlog().store(directory.path()).args(&line).run().status, 0);
    }
    assert_eq!(streamlog().store(directory.path()).args("XADD other 7-0 a b").run().status, 0);
    directory
}

fn run(store: &tempfile::TempDir, line: &str) -> Ended {
    streamlog().store(store.path()).args(line).run()
}

#[test]
fn it_is_set_told_and_kept_to() {
    let store = store();
    assert_eq!(run(&store, "retention"), prints("STREAM  RETENTION\norders  keep-all\nother   keep-all\n"));
    let set = run(&store, "retention orders --max-len 3 --max-bytes 1GiB");
    assert_eq!(set, prints("STREAM  RETENTION\norders  max-bytes 1GiB max-len 3\n"));
    assert_eq!(run(&store, "XLEN orders"), prints("3\n"), "at once");
    assert_eq!(run(&store, "XADD orders 6-0 type paid"), prints("6-0\n"));
    assert_eq!(run(&store, "XRANGE orders - + COUNT 1").stdout.lines().next(), Some("4-0"), "and from then on");
    // In place of what was set before. IDs of 1970 are old.
    assert_eq!(run(&store, "retention orders --max-age 7d"), prints("STREAM  RETENTION\norders  max-age 7d\n"));
    assert_eq!(run(&store, "XLEN orders"), prints("0\n"));
    assert_eq!(run(&store, "retention orders --keep-all"), prints("STREAM  RETENTION\norders  keep-all\n"));
    assert_eq!(run(&store, "retention --enforce").status, 0);
    assert_eq!(run(&store, "XLEN other"), prints("1\n"));
}

#[test]
fn programs_are_told_too() {
    let store = store();
    assert_eq!(run(&store, "retention orders other --acknowledged-only --max-age 36h --json").status, 0);
    let told: Value = serde_json::from_str(&run(&store, "retention other --json").stdout).unwrap();
    let rules = json!({"max_age_ms": 129_600_000, "max_bytes": null, "max_len": null, "acknowledged_only": true});
    assert_eq!(told, json!({"streams": [{"name": "other", "retention": rules}]}));
    let stat: Value = serde_json::from_str(&run(&store, "stat other --json").stdout).unwrap();
    assert_eq!(stat["streams"][0]["retention"], rules);
    assert!(run(&store, "stat other").stdout.contains("\n  retention: max-age 36h acknowledged-only\n"));
    let dump = run(&store, "dump other --json").stdout;
    let lines: Vec<Value> = dump.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[1], json!({"type": "retention", "rules": rules}));
    assert_eq!(run(&store, "dump other").stdout.lines().nth(1), Some("  retention max-age 36h acknowledged-only"));
}

#[test]
fn what_is_asked_for_in_the_wrong_way_changes_nothing() {
    let store = store();
    for (line, status, told) in [
        ("retention --max-len 3", 2, "<STREAM>"),
        ("retention orders orderz --max-len 3", 1, "orderz"),
        ("retention orders --max-age 7", 2, "expected a number with ms, s, m, h, d or w"),
        ("retention orders --max-bytes 1GB", 2, "expected bytes, or a number with KiB"),
        ("retention orders --max-len 3 --keep-all", 2, "cannot be used with"),
        ("retention orders --enforce", 2, "cannot be used with"),
    ] {
        let ended = run(&store, line);
        assert_eq!(ended.status, status, "{line}: {ended:?}");
        assert!(ended.stderr.contains(told), "{line}: {}", ended.stderr);
    }
    assert_eq!(run(&store, "retention"), prints("STREAM  RETENTION\norders  keep-all\nother   keep-all\n"));
    assert_eq!(run(&store, "XLEN orders"), prints("5\n"));
    let nowhere = store.path().join("nowhere");
    assert_eq!(streamlog().store(&nowhere).args("retention s --max-len 3").run().status, 1);
    assert!(!nowhere.exists());
}
