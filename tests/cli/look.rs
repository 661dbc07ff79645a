//! Looking at a store: `verify`, `dump`, `stat`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use streamlog::transfer::ResumableImport;
use streamlog::{Error, Options};

use crate::harness::{prints, streamlog};

/// A store with two streams and a group.
fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for line in [
        "XADD orders 1-0 type created",
        "XADD orders 2-0 type paid total 49.99",
        "XADD orders 3-0 type sent",
        "XGROUP CREATE orders workers 0",
        "XREADGROUP GROUP workers alice COUNT 2 STREAMS orders >",
        "XACK orders workers 1-0",
        "XDEL orders 3-0",
        "XADD other 7-0 a b",
    ] {
        assert_eq!(streamlog().store(directory.path()).args(line).run().status, 0, "{line}");
    }
    directory
}

fn log_of(store: &Path, stream: &str) -> PathBuf {
    store.join("streams").join(stream).join("00000000000000000001.log")
}

/// Changes a byte of a file.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// The files and directories, when they were changed, and what is in them.
fn listing(directory: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for item in fs::read_dir(directory).unwrap() {
        let path = item.unwrap().path();
        let bytes = if path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
        found.insert(path.clone(), (fs::metadata(&path).unwrap().modified().unwrap(), bytes));
        if path.is_dir() {
            found.extend(listing(&path));
        }
    }
    found
}

fn json_of(store: &Path, line: &str) -> (i32, Value) {
    let ended = streamlog().store(store).args(line).run();
    (ended.status, serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error} in {ended:?}")))
}

#[test]
fn a_sound_store_is_status_0_and_not_touched() {
    let store = filled();
    let before = listing(store.path());
    let run = |line| streamlog().store(store.path()).args(line).run();
    let verified = run("verify");
    assert_eq!((verified.status, verified.stderr.as_str()), (0, ""));
    let lines: Vec<_> = verified.stdout.lines().collect();
    assert!(lines[0].starts_with("sound: \"orders\", 2 entries in 1 segment, "), "{lines:?}");
    assert!(lines[1].starts_with("sound: \"other\", 1 entry in 1 segment, "), "{lines:?}");
    assert!(lines.len() == 3 && lines[2].starts_with("sound: 2 streams, 3 entries, "), "{lines:?}");
    let (status, report) = json_of(store.path(), "verify --json other");
    assert_eq!((status, &report["status"], &report["findings"]), (0, &json!("sound"), &json!([])));
    assert_eq!(report["streams"].as_array().unwrap().len(), 1);
    assert_eq!(report["streams"][0]["entries"], 1);
    assert_eq!(run("dump").status, 0);
    assert_eq!(run("stat").status, 0);
    assert_eq!(listing(store.path()), before);
}

#[test]
fn stat_is_a_table_of_all_streams_and_tells_everything_of_those_that_are_named() {
    let store = filled();
    assert_eq!(streamlog().store(store.path()).args("retention other --max-len 5").run().status, 0);
    let stat = |names: &str| streamlog().store(store.path()).args("stat").args(names).run().stdout;
    let table = stat("");
    let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let titles =
        ["STREAM", "ENTRIES", "DELETED", "LOG", "PER", "ENTRY", "DISK", "SEGMENTS", "GROUPS", "PENDING", "RETENTION"];
    assert_eq!(rows[0], titles, "{table}");
    let [name, entries, deleted, _, _, _, rest @ ..] = &*rows[1] else { panic!("{table}") };
    assert_eq!((*name, *entries, *deleted, rest), ("orders", "2", "1", &["1", "1", "1", "keep-all"][..]), "{table}");
    assert!(rows[2].starts_with(&["other", "1", "0"]) && rows[2].ends_with(&["max-len", "5"]), "{table}");
    assert_eq!(rows[3][..4], ["2", "streams,", "3", "entries,"], "{table}");
    let told = stat("orders");
    for part in [
        "\"orders\"\n",
        "00000000000000000001.log: ",
        "group \"workers\": 1 consumer, 1 pending",
        "1 stream, 2 entries",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    flip(&log_of(store.path(), "orders"), 192 + 4 + 60);
    assert_eq!(streamlog().store(store.path()).args("DEL other").run().status, 0);
    let damaged = streamlog().store(store.path()).args("stat").run();
    assert!(
        damaged.status == 3 && damaged.stdout.contains("orders  ") && damaged.stdout.contains("checksum"),
        "{damaged:?}"
    );
    let none = tempfile::tempdir().unwrap();
    assert_eq!(streamlog().store(none.path()).args("PING").run().status, 0);
    let told = streamlog().store(none.path()).args("stat").run().stdout;
    assert!(told.starts_with("0 streams, 0 entries, 0 bytes of log\n"), "{told}");
}

#[test]
fn damage_is_status_3_with_file_offset_and_ids() {
    let store = filled();
    let path = log_of(store.path(), "orders");
    flip(&path, 192 + 4 + 60);
    let verified = streamlog().store(store.path()).args("verify").run();
    assert_eq!(verified.status, 3);
    let place = format!("  damage: {} at byte ", path.display());
    let finding = verified.stdout.lines().find(|line| line.starts_with(&place)).expect(&verified.stdout);
    assert!(finding.contains("; IDs above "), "{finding}");
    assert!(verified.stdout.starts_with("damaged: \"orders\""), "{}", verified.stdout);
    assert!(verified.stdout.contains("\nsound: \"other\""), "{}", verified.stdout);
    let (status, report) = json_of(store.path(), "verify --json");
    assert_eq!((status, &report["status"]), (3, &json!("damaged")));
    let finding = &report["streams"][0]["findings"][0];
    assert_eq!((&finding["damage"], &finding["path"]), (&json!(true), &json!(path.to_str().unwrap())));
    assert!(finding["offset"].as_u64().unwrap() >= 192 && finding["ids"]["after"].is_string(), "{finding}");
    for line in ["dump", "dump --json", "stat", "stat --json"] {
        let ended = streamlog().store(store.path()).args(line).run();
        assert_eq!(ended.status, 3, "{line}: {ended:?}");
        assert!(ended.stdout.contains("other"), "{line}: {ended:?}");
    }
    for line in ["groups", "pending orders workers"] {
        let ended = streamlog().store(store.path()).args(line).run();
        assert!(ended.status == 3 && ended.stderr.contains("checksum"), "{line}: {ended:?}");
    }
    assert_eq!(streamlog().store(store.path()).args("verify other").run().status, 0);
}

#[test]
fn what_cannot_be_told_is_status_1() {
    let store = filled();
    let run = |line| streamlog().store(store.path()).args(line).run();
    for line in ["verify none", "dump none", "stat none", "verify other none"] {
        let ended = run(line);
        assert_eq!(ended.status, 1, "{line}: {ended:?}");
        assert!(format!("{}{}", ended.stdout, ended.stderr).contains("there is no stream"), "{line}: {ended:?}");
    }
    let empty = tempfile::tempdir().unwrap();
    let ended = streamlog().store(empty.path()).args("verify").run();
    assert!(ended.status == 1 && ended.stderr.contains("is not a store"), "{ended:?}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is created");
    // A file of a later version.
    let path = log_of(store.path(), "orders");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    let crc = crc32(&bytes[..188]);
    bytes[188..192].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let ended = run("verify");
    assert!(ended.status == 1 && ended.stdout.contains("unknown: \"orders\": "), "{ended:?}");
    assert!(ended.stdout.contains("newer version"), "{ended:?}");
}

#[test]
fn a_store_in_which_an_import_was_stopped_is_not_told_to_be_sound() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let import = ResumableImport::open(&path, Options::new(), 0, Duration::from_secs(10)).unwrap();
    drop(import);
    assert!(matches!(Options::new().open(&path), Err(Error::ImportUnfinished { .. })));
    let verified = streamlog().store(&path).args("verify").run();
    assert_eq!((verified.status, verified.stderr.as_str()), (1, ""));
    let note = format!("  note: {} at byte 0: an import was stopped: ", path.join("import").display());
    let lines: Vec<_> = verified.stdout.lines().collect();
    assert!(lines[0].starts_with(&note) && lines[0].contains("`streamlog import --abandon`"), "{lines:?}");
    assert_eq!(lines[1], "unknown: 0 streams, 0 entries, 0 bytes read");
    let (status, report) = json_of(&path, "verify --json");
    assert_eq!((status, &report["status"], &report["findings"][0]["damage"]), (1, &json!("unknown"), &json!(false)));
    let repair = streamlog().store(&path).args("repair").run();
    assert!(repair.status == 1 && repair.stdout.starts_with(&note), "{}", repair.stdout);
    assert_eq!(streamlog().store(&path).args("import --abandon").run().status, 0);
    assert_eq!(streamlog().store(&path).args("verify").run().status, 0);
}

/// The checksum of the files, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[test]
fn the_dump_is_text_to_compare_and_json_to_process() {
    let store = filled();
    let dump = streamlog().store(store.path()).args("dump other").run();
    assert_eq!(dump, prints("stream \"other\" entries 1 added 1 last 7-0 max-deleted 0-0\n  entry 7-0 \"a\" \"b\"\n"));
    let copy = tempfile::tempdir().unwrap();
    streamlog().store(copy.path()).args("XADD other 7-0 a b").run();
    assert_eq!(streamlog().store(copy.path()).args("dump").run(), dump);
    let lines = streamlog().store(store.path()).args("dump --json").run().stdout;
    let items: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<_> = items.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["stream", "entry", "entry", "group", "consumer", "pending", "stream", "entry"]);
    assert_eq!(items[2]["fields"], json!([["type", "paid"], ["total", "49.99"]]));
    assert_eq!(
        (&items[5]["id"], &items[5]["consumer"], &items[5]["delivery_count"]),
        (&json!("2-0"), &json!("alice"), &json!(1))
    );
}

#[test]
fn stat_tells_sizes_and_counts() {
    let store = filled();
    let (status, stat) = json_of(store.path(), "stat --json");
    assert_eq!(status, 0);
    let orders = &stat["streams"][0];
    for (name, value) in [
        ("name", json!("orders")),
        ("entries", json!(2)),
        ("deleted", json!(1)),
        ("entries_added", json!(3)),
        ("first_id", json!("1-0")),
        ("last_id", json!("3-0")),
        ("journal_generation", json!(1)),
        ("clean", json!(true)),
    ] {
        assert_eq!(orders[name], value, "{name} of {orders}");
    }
    let group = &orders["groups"][0];
    assert_eq!((&group["pending"], &group["consumers"], &group["name"]), (&json!(1), &json!(1), &json!("workers")));
    assert_eq!((&stat["total"]["streams"], &stat["total"]["entries"]), (&json!(2), &json!(3)));
    assert!(stat["total"]["reserve_bytes"].as_u64().unwrap() >= 64 << 10);
    let text = streamlog().store(store.path()).args("stat orders").run().stdout;
    assert!(text.contains("group \"workers\": 1 consumer, 1 pending"), "{text}");
}

#[test]
fn a_store_that_another_process_writes_to_is_sound_all_the_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = streamlog().store(directory.path()).args("--durability os pipe").start();
    let mut input = writer.0.stdin.take().unwrap();
    let mut output = writer.0.stdout.take().unwrap();
    let until = Instant::now() + Duration::from_secs(3);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let line = format!("XADD busy MAXLEN ~ 20000 * field {}\r\n", "x".repeat(100));
            let read = "XREADGROUP GROUP g c COUNT 50 NOACK STREAMS busy >\r\n";
            input.write_all(b"XGROUP CREATE busy g 0 MKSTREAM\r\n").unwrap();
            while Instant::now() < until {
                input.write_all(format!("{}{read}", line.repeat(50)).as_bytes()).unwrap();
            }
        });
        scope.spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        std::thread::sleep(Duration::from_millis(300));
        let mut looks = 0;
        while Instant::now() < until {
            let ended = streamlog().store(directory.path()).args("verify").run();
            assert_eq!(ended.status, 0, "{ended:?}");
            assert!(!ended.stdout.contains("damage"), "{ended:?}");
            assert_eq!(streamlog().store(directory.path()).args("stat busy").run().status, 0);
            looks += 1;
        }
        assert!(looks > 2, "{looks}");
    });
    drop(writer);
    // It was killed, which is no damage either.
    let ended = streamlog().store(directory.path()).args("verify").run();
    assert_eq!(ended.status, 0, "{ended:?}");
}

#[test]
fn help_has_examples_and_tells_the_status() {
    for command in ["verify", "dump", "stat"] {
        let help = streamlog().args(command).arg("--help").run();
        assert_eq!(help.status, 0);
        for mentioned in ["Examples:", "Exit status:", "--json", &format!("streamlog --store data {command}")] {
            assert!(help.stdout.contains(mentioned), "{mentioned} is not in\n{}", help.stdout);
        }
    }
    assert!(streamlog().arg("--help").run().stdout.contains("verify"));
}

#[test]
fn a_repair_tells_what_it_would_do_and_does_it_when_told_to() {
    let directory = filled();
    let path = directory.path();
    let sound = json_of(path, "repair --json");
    assert_eq!(sound, (0, json!({"applied": false, "status": "sound", "findings": [], "streams": []})));
    let log = log_of(path, "orders");
    let bytes = fs::read(&log).unwrap();
    flip(&log, bytes.windows(5).position(|window| window == b"49.99").unwrap());
    let lock = fs::read(path.join("LOCK")).unwrap();
    flip(&path.join("LOCK"), 20);
    let before = listing(path);

    let (status, plan) = json_of(path, "repair --json");
    assert_eq!((status, &plan["applied"], &plan["status"]), (3, &json!(false), &json!("damaged")));
    assert_eq!(plan["streams"][0]["findings"][0]["ids"], json!({"after": "1-0", "through": "2-18446744073709551615"}));
    let told = streamlog().store(path).args("repair").run();
    assert_eq!(told.status, 3);
    for line in ["damaged: \"orders\"", "would copy the file, keep what can be read", "nothing was changed"] {
        assert!(told.stdout.contains(line), "{line} in {}", told.stdout);
    }
    assert_eq!(listing(path), before);

    let (status, done) = json_of(path, "repair --apply --json");
    assert_eq!((status, &done["status"]), (0, &json!("sound")), "{done}");
    assert_eq!(done["streams"][0]["entries_lost"], json!(1));
    let copy = PathBuf::from(done["streams"][0]["copies"][0].as_str().unwrap());
    assert_eq!(fs::read(copy).unwrap(), before[&log].1);
    assert_eq!(fs::read(path.join("LOCK")).unwrap(), lock);
    assert_eq!(streamlog().store(path).args("verify").run().status, 0);
    let left = streamlog().store(path).args("--raw XRANGE orders - +").run();
    assert!(left.stdout.contains("1-0") && !left.stdout.contains("2-0"), "{}", left.stdout);
    assert_eq!(streamlog().store(path).args("--raw XLEN orders").run().stdout, "1\n");
}

#[test]
fn what_is_exported_is_written_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to, file) = (directory.path().join("from"), directory.path().join("to"), directory.path().join("s.aof"));
    let store = streamlog::Store::open(&from).unwrap();
    let orders = store.stream("or\x1b]ders").unwrap();
    // What controls a terminal, and any other byte.
    let every: Vec<u8> = (0..=255).collect();
    for value in [&b"\x1b]0;title"[..], b"\x1b[31mred\x1b[m", b"a\0b\x07\x7f", &every] {
        orders.add([(value, b"name".as_slice()), (b"value", value)]).unwrap();
    }
    store.close().unwrap();
    let exported = streamlog().store(&from).args("export").stdout(fs::File::create(&file).unwrap()).run();
    assert_eq!(exported, prints(""));
    let imported = streamlog().store(&to).arg("import").arg(&file).run();
    assert_eq!((imported.status, &*imported.stderr), (0, ""), "{imported:?}");
    let dump = |store: &Path| streamlog().store(store).args("dump").run();
    assert!(dump(&from).stdout.contains("\\x1b[31mred"), "{:?}", dump(&from));
    let entries = |store: &Path| -> Vec<String> {
        dump(store).stdout.lines().filter(|line| line.contains("value")).map(str::to_owned).collect()
    };
    assert_eq!(entries(&from).len(), 4);
    assert_eq!(entries(&from), entries(&to));
}

#[test]
fn nothing_is_written_with_read_only() {
    let (directory, input) = (filled(), tempfile::tempdir().unwrap());
    let file = input.path().join("s.aof");
    fs::write(&file, "XADD s 1-0 a b\r\n").unwrap();
    flip(&log_of(directory.path(), "other"), 215);
    let before = listing(directory.path());
    for (line, status) in [
        ("retention orders --max-len 1", 2),
        ("retention --enforce", 2),
        ("repair --apply", 2),
        ("import --abandon", 2),
        (&format!("import {}", file.display()), 2),
        ("restore /nonexistent", 2),
        ("add orders", 2),
        ("XADD orders * a b", 1),
    ] {
        let ended = streamlog().store(directory.path()).arg("--read-only").args(line).run();
        assert_eq!((ended.status, &*ended.stdout), (status, ""), "{line}: {ended:?}");
        assert!(ended.stderr.contains("read"), "{line}: {ended:?}");
        assert!(listing(directory.path()) == before, "{line}");
    }
    for line in ["retention", "repair"] {
        assert_ne!(streamlog().store(directory.path()).arg("--read-only").args(line).run().status, 1, "{line}");
    }
}
