//! `import`: what is no log leaves nothing behind. What is one, `tests/transfer` takes in.

use std::fs;
use std::path::Path;

use crate::harness::{Ended, prints, streamlog};

fn import(store: &Path, files: &[&Path], input: &[u8]) -> Ended {
    files.iter().fold(streamlog().store(store).arg("import"), |program, file| program.arg(file)).run_with_input(input)
}

#[test]
fn what_is_no_log_is_refused_before_there_is_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("good.aof"), "XADD orders 1-1 a b\n").unwrap();
    for (name, bytes, told) in [
        ("dump.rdb", &b"REDIS0011\xfa\x09redis-ver"[..], "it begins with a snapshot (RDB)"),
        ("streams.aof.gz", b"\x1f\x8b\x08\0\0\0", "it is compressed"),
        ("copy", b"file a.1.base.aof seq 1 type b\n", "it is a list of files"),
        ("noise", b"*1\r\n!3\r\n", "there is no command at byte 0: "),
        (
            "passwd",
            b"root:x:0:0:root:/root:/bin/bash\n",
            "line 1 begins with `root:x:0:0:root:/root:/bin/bash`, which is no",
        ),
        (
            "script",
            b"#!/bin/sh\n\n[ -e x ] || exit\n",
            "line 3 begins with `[`, which is no command: what is taken in are",
        ),
        ("unended", b"{\"key\":\"value\"}", "line 1 begins with `"),
    ] {
        let file = path(name);
        fs::write(&file, bytes).unwrap();
        let store = path("store");
        let refused = |ended: &Ended, name: &str| {
            assert_eq!((ended.status, ended.stdout.as_str()), (1, ""), "{ended:?}");
            assert!(ended.stderr.starts_with(&format!("streamlog: {name}: {told}")), "{ended:?}");
            assert!(!store.exists(), "{name}");
        };
        refused(&import(&store, &[&file], b""), file.to_str().unwrap());
        refused(&import(&store, &[&path("good.aof"), &file], b""), file.to_str().unwrap());
        refused(&import(&store, &[Path::new("-")], bytes), "-");
    }
    let missing = import(&path("store"), &[&path("good.aof"), &path("missing.aof")], b"");
    assert_eq!(missing.status, 1);
    assert!(missing.stderr.contains("missing.aof: No such file"), "{missing:?}");
    assert!(!path("store").exists());
}

/// A module of the server may have any command, which is passed over as those of other types are.
#[test]
fn a_log_may_begin_with_what_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    for (number, (line, told)) in [
        ("JSON.SET doc $ 1", "  skipped: 1 JSON.SET in database 0\n"),
        ("hset h f v", "  skipped: 1 HSET in database 0\n"),
        ("# it's a note\n\n#TS:1700000000", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let store = directory.path().join(number.to_string());
        let log = format!("{line}\nXADD orders 1-1 a b\nroot:x:0\n");
        let ended = import(&store, &[Path::new("-")], log.as_bytes());
        let later = "  skipped: 1 ROOT:X:0 in database 0\n";
        assert_eq!(ended, prints(format!("1 entry, 1 command, {} bytes\n{told}{later}", log.len())));
    }
}

#[test]
fn what_was_looked_at_is_taken_in() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let ended = import(&store, &[Path::new("-")], b"XADD orders 1-1 a b\nXADD orders 2-1 a b\n");
    assert_eq!(ended, prints("2 entries, 2 commands, 40 bytes\n"));
    assert_eq!(import(&store, &[Path::new("-")], b""), prints("0 entries, 0 commands, 0 bytes\n"));
    assert_eq!(streamlog().store(&store).args("XLEN orders").run(), prints("2\n"));
}
