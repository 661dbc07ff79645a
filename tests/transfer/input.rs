//! Promise: of a log that is cut short, damaged, or of more than streams, what can be taken in is, and the rest is told.

use std::io::{BufRead, BufReader, ErrorKind, Read};

use streamlog::command::{Reply, execute};
use streamlog::transfer::{Import, ImportError, Imported, Skipped, Torn, files_of};
use streamlog::{Store, StreamId};

use crate::harness::{import, in_memory};

/// Imports plain lines into an empty store.
fn lines(log: &str) -> (Store, Imported) {
    let store = in_memory();
    let imported = import(&store, log.replace('\n', "\r\n").as_bytes());
    (store, imported)
}

fn fails(log: &[u8]) -> ImportError {
    Import::new(&in_memory()).unwrap().read(log, |_| {}).unwrap_err()
}

fn len(store: &Store, key: &str) -> Option<u64> {
    store.exists(key).unwrap().then(|| store.stream(key).unwrap().len().unwrap())
}

/// As `COMMAND:database:count`.
fn skipped(imported: &Imported) -> Vec<String> {
    let of = |(skipped, count): (&Skipped, &u64)| format!("{}:{}:{count}", skipped.command, skipped.database);
    imported.skipped.iter().map(of).collect()
}

/// A reader that gives one byte at a time, as a slow pipe may.
struct Drops<'a>(&'a [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
        self.0 = rest;
        buf[0] = *first;
        Ok(1)
    }
}

#[test]
fn a_log_that_is_cut_anywhere_is_taken_in_up_to_there() {
    let commands = [
        &b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"[..],
        b"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$3\r\n1-1\r\n$1\r\nf\r\n$4\r\n\r\nxy\r\n",
        b"#TS:1700000000\r\n",
        b"XADD s 2-1 f v\r\n",
        b"*1\r\n$5\r\nMULTI\r\n*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$3\r\n3-1\r\n$1\r\nf\r\n$0\r\n\r\nXADD s 4-1 f v\r\n*1\r\n$4\r\nEXEC\r\n",
        b"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$3\r\n5-1\r\n$1\r\nf\r\n$1\r\nv\r\n",
    ];
    let entries = [0, 1, 0, 1, 2, 1];
    let log = commands.concat();
    for cut in 0..=log.len() {
        let store = in_memory();
        let mut import = Import::new(&store).unwrap();
        import.read(BufReader::new(Drops(&log[..cut])), |_| {}).unwrap();
        let imported = import.finish();
        let (mut whole, mut expected) = (0, 0);
        for (command, entries) in commands.iter().zip(entries) {
            if whole + command.len() > cut {
                break;
            }
            whole += command.len();
            expected += entries;
        }
        assert_eq!(store.stream("s").unwrap().len().unwrap(), expected, "cut at {cut}");
        assert_eq!((imported.entries, imported.bytes), (expected, whole as u64), "cut at {cut}");
        let torn = imported.torn.map(|Torn { offset, len, .. }| (offset, len));
        assert_eq!(torn, (whole < cut).then_some((whole as u64, cut as u64)), "cut at {cut}");
    }
}

#[test]
fn a_transaction_without_its_end_is_told_of() {
    let (store, imported) = lines("XADD s 1-1 f v\nMULTI\nXADD s 2-1 f v\n");
    let torn = imported.torn.unwrap();
    assert_eq!((len(&store, "s"), torn.offset, torn.is_transaction), (Some(1), 16, true));
    assert_eq!(torn.to_string(), "the last transaction is cut short: it begins at byte 16 of 39");
    let (store, imported) = lines("MULTI\nXADD s 2-1 f v\nDISCARD\nXADD s 1-1 f v\n");
    assert_eq!((len(&store, "s"), imported.torn), (Some(1), None));
}

#[test]
fn the_program_reads_no_file_after_one_that_is_cut_short() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("base"), "XADD s 1-1 f v\r\nXADD s 2").unwrap();
    std::fs::write(at("incr"), "DEL s\r\n").unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_streamlog"));
    command.arg("--store").arg(at("data")).arg("import").args([at("base"), at("incr"), at("incr")]);
    let told = command.output().unwrap();
    assert_eq!(told.status.code(), Some(1));
    let lines = String::from_utf8(told.stderr).unwrap();
    let lines: Vec<_> = lines.lines().map(|line| line.rsplit_once('/').unwrap().1).collect();
    let not_read = "incr: not read, as what comes before it is missing";
    let torn = "base: the last command is cut short: it begins at byte 16 of 24; everything before it was taken in";
    assert_eq!(lines, [torn, not_read, not_read]);
    assert_eq!(Store::open(at("data")).unwrap().stream("s").unwrap().len().unwrap(), 1);
}

#[test]
fn what_is_no_log_is_refused_with_advice() {
    let snapshot = fails(b"REDIS0011\xfa\tredis-ver");
    assert!(matches!(snapshot, ImportError::Snapshot));
    assert!(snapshot.to_string().contains("CONFIG SET aof-use-rdb-preamble no"), "{snapshot}");
    assert!(matches!(fails(b"\x1f\x8b\x08\0"), ImportError::Compressed));
    assert!(matches!(fails(b"file appendonly.aof.1.base.rdb seq 1 type b\n"), ImportError::Manifest));
    assert!(Import::new(&in_memory()).unwrap().read(&b""[..], |_| {}).is_ok());
}

#[test]
fn a_text_is_refused_and_says_where_it_is_none() {
    let text = b"# a comment\n\nroot:x:0:0:root:/root:/bin/bash\nXADD s 1-1 f v\n";
    for input in [&mut &text[..] as &mut dyn BufRead, &mut BufReader::new(Drops(text))] {
        let store = in_memory();
        let mut import = Import::new(&store).unwrap();
        let error = import.read(input, |_| {}).unwrap_err();
        assert!(
            matches!(&error, ImportError::NotCommands { line: 3, word, .. } if word.starts_with("root:x")),
            "{error}"
        );
        assert_eq!(
            error.to_string(),
            "line 3 begins with `root:x:0:0:root:/root:/bin/bash`, which is no command: what is taken in are the files that \
             `streamlog export` or a Redis server has written, and plain lines that begin with the name of a command, such as \
             XADD or JSON.SET"
        );
        assert_eq!((len(&store, "s"), import.imported().skipped_count()), (None, 0));
    }
    // Further on it may be a command of a server to come.
    let (store, imported) = lines("XADD s 1-1 f v\nroot:x:0\n");
    assert_eq!((len(&store, "s"), skipped(&imported)), (Some(1), vec!["ROOT:X:0:0:1".to_owned()]));
}

#[test]
fn what_is_before_damage_is_taken_in() {
    let store = in_memory();
    let mut import = Import::new(&store).unwrap();
    let error = import.read(&b"XADD s 1-1 f v\r\n*1\r\n!3\r\nXADD s 2-1 f v\r\n"[..], |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "there is no command at byte 16");
    assert!(matches!(error, ImportError::Malformed { offset: 16, .. }));
    assert_eq!((len(&store, "s"), import.imported().bytes), (Some(1), 16));
}

#[test]
fn one_database_is_taken_in() {
    let log = "SET a 1\nXADD s 1-1 f v\nSELECT 3\nXADD s 2-1 f v\nDEL s\nXADD s 3-1 f v\nHSET h f v\nSELECT 0\nXADD s 4-1 f v\n";
    let (store, imported) = lines(log);
    assert_eq!((len(&store, "s"), imported.entries), (Some(2), 2));
    assert_eq!(skipped(&imported), ["SET:0:1", "DEL:3:1", "HSET:3:1", "XADD:3:2"]);
    let store = in_memory();
    let mut import = Import::new(&store).unwrap().database(3);
    import.read(log.as_bytes(), |_| {}).unwrap();
    assert_eq!(store.stream("s").unwrap().info().unwrap().last_generated_id, StreamId::new(3, 1));
    assert_eq!(import.finish().entries, 2);
}

#[test]
fn each_log_begins_with_database_0() {
    let store = in_memory();
    let mut import = Import::new(&store).unwrap();
    for log in ["SELECT 5\r\n", "XADD s 1-1 f v\r\n"] {
        import.read(log.as_bytes(), |_| {}).unwrap();
    }
    let imported = import.finish();
    assert_eq!((imported.entries, imported.torn, imported.bytes), (1, None, 26));
}

/// A server refuses such logs, too: the second one goes on where the first one would have ended.
#[test]
fn nothing_is_read_after_a_log_that_is_cut_short() {
    for first in ["XADD s 1-1 f v\r\nXADD s 2", "XADD s 1-1 f v\r\nMULTI\r\n"] {
        let store = in_memory();
        let mut import = Import::new(&store).unwrap();
        import.read(first.as_bytes(), |_| {}).unwrap();
        for _ in 0..2 {
            let error = import.read(&b"DEL s\r\n"[..], |_| {}).unwrap_err();
            assert!(matches!(error, ImportError::Torn { torn, .. } if torn.offset == 16), "{error}");
        }
        assert_eq!(import.finish().torn.map(|torn| torn.offset), Some(16));
        assert_eq!(len(&store, "s"), Some(1));
    }
}

#[test]
fn what_replaces_a_stream_deletes_it() {
    for command in [
        "SET s x",
        "MSET a 1 s 2",
        "RENAME not-a-stream s",
        "COPY not-a-stream s REPLACE",
        "SUNIONSTORE s a b",
        "BITOP AND s a b",
        "SORT l STORE s",
        "SORT store STORE s",
        "SORT l STORE s GET store ALPHA",
        "SORT l BY store LIMIT 0 store GET store STORE s",
        "GEORADIUS g 15 37 200 km STORE s COUNT 5",
        "GEORADIUS store 15 37 200 km ASC STOREDIST s",
        "GEORADIUSBYMEMBER g store 200 km STOREDIST s",
        "MSETEX 2 s 1 other t EX 5",
        "RESTORE s 0 \"\\x00x\" REPLACE",
        "RESTORE-ASKING s 0 \"\\x19x\"",
        "MOVE s 4",
        "DEL s",
    ] {
        let (store, imported) = lines(&format!("XADD s 1-1 f v\nXADD t 1-1 f v\n{command}\n"));
        assert_eq!((len(&store, "s"), len(&store, "t"), imported.refused_count), (None, Some(1), 0), "{command}");
    }
    for command in [
        "SET other x",
        "COPY s x DB 4",
        "DEL other",
        "PERSIST s",
        "EVAL return 0",
        "RENAME other another",
        "MSETEX 1 k s EX 5",
        "MSETEX x s 1",
        "SORT l GET store",
    ] {
        let (store, imported) = lines(&format!("XADD s 1-1 f v\n{command}\n"));
        assert_eq!((len(&store, "s"), imported.skipped_count()), (Some(1), 1), "{command}");
    }
    let (store, _) = lines("XADD s 1-1 f v\nXADD t 1-1 f v\nRENAME s t\nCOPY t u\n");
    assert_eq!((len(&store, "s"), len(&store, "t"), len(&store, "u")), (None, Some(1), Some(1)));
}

#[test]
fn expiry_is_told_of_and_not_set() {
    let (store, imported) = lines("XADD s 1-1 f v\nPEXPIREAT s 1000\nPEXPIREAT other 1000\n");
    assert_eq!((len(&store, "s"), imported.expiries, imported.skipped_count()), (Some(1), 1, 1));
}

#[test]
fn everything_is_deleted_only_if_all_is_of_the_log() {
    for flush in ["FLUSHALL", "FLUSHDB", "SELECT 2\nFLUSHALL\nSELECT 0"] {
        let (store, imported) = lines(&format!("XADD s 1-1 f v\n{flush}\nXADD t 1-1 f v\n"));
        assert_eq!((len(&store, "s"), len(&store, "t"), imported.refused_count), (None, Some(1), 0), "{flush}");
    }
    let (store, _) = lines("XADD s 1-1 f v\nSELECT 2\nFLUSHDB\n");
    assert_eq!(len(&store, "s"), Some(1));
    let store = in_memory();
    execute(&store, &["XADD", "mine", "1-1", "f", "v"]);
    let error = Import::new(&store).unwrap().read(&b"XADD s 1-1 f v\nFLUSHALL\n"[..], |_| {}).unwrap_err();
    assert!(matches!(error, ImportError::Flushed { offset: 15, .. }), "{error}");
    assert_eq!((len(&store, "mine"), len(&store, "s")), (Some(1), Some(1)));
    assert!(matches!(fails(b"SWAPDB 0 1\n"), ImportError::Swapped { offset: 0, .. }));
}

/// AOF-8: forms that a server takes from its log only.
#[test]
fn effects_are_logged_in_forms_of_their_own() {
    let (store, imported) = lines(
        "XADD s IDMP p 1 18000000000000-1 f v\nXADD s IDMP p 1 * f v\nXADD s IDMP p 2 * f v\nXADD s 18000000000000-2 f v\n\
         XADD s MAXLEN = 2 LIMIT 10 18000000000000-3 f v\nXTRIM s MAXLEN = 1 LIMIT 1\nXREAD BLOCK 0 STREAMS s $\n\
         XGROUP CREATE s g $\nXREADGROUP GROUP g c BLOCK 0 STREAMS s >\nXADD s 1-1 late v\nXADD\n",
    );
    assert_eq!((len(&store, "s"), imported.entries), (Some(1), 3));
    let producers = store.stream("s").unwrap().info().unwrap().producers;
    assert_eq!((producers.added, producers.duplicates, producers.productions), (1, 1, 1));
    assert_eq!(skipped(&imported), ["XREAD:0:1"]);
    let refused: Vec<_> = imported.refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        refused,
        [
            "byte 280: XADD s 1-1 late: ERR The ID specified in XADD is equal or smaller than the target stream top item",
            "byte 299: XADD: ERR wrong number of arguments for 'xadd' command"
        ]
    );
    let session = execute(&store, &["XADD", "s", "IDMP", "p", "1", "18000000000000-9", "f", "v"]);
    assert!(matches!(session, Reply::Error(_)), "as from a client it is refused");
}

/// A server logs an ID for what it has added, even if the production is one that would be remembered here.
#[test]
fn a_production_with_an_id_was_new_when_it_was_logged() {
    let log = "XADD s IDMP p 1 1000000-0 f v\nXADD s IDMP p 1 1300000-0 f v\nXADD s IDMPAUTO q 1300000-1 f v\n\
               XADD s IDMPAUTO q 18000000000000-0 f v\nXADD s IDMPAUTO q * f v\n";
    let (store, imported) = lines(log);
    assert_eq!((len(&store, "s"), imported.entries, imported.refused_count), (Some(4), 4, 0));
    let producers = store.stream("s").unwrap().info().unwrap().producers;
    assert_eq!((producers.added, producers.duplicates), (4, 1));
}

/// What comes from a database that is not read is not known here.
#[test]
fn a_key_from_another_database_ends_the_import() {
    for command in ["COPY s s DB 0 REPLACE", "COPY s other replace db 0", "MOVE s 0"] {
        let store = in_memory();
        let log = format!("XADD s 1-0 f old\r\nSELECT 1\r\n{command}\r\n");
        let error = Import::new(&store).unwrap().read(log.as_bytes(), |_| {}).unwrap_err();
        assert!(matches!(error, ImportError::Moved { offset: 28, .. }), "{command}: {error}");
    }
    let (store, imported) = lines("XADD s 1-0 f v\nSELECT 1\nCOPY s s REPLACE\nCOPY s s DB 2 REPLACE\nMOVE s 3\n");
    assert_eq!((len(&store, "s"), imported.skipped_count()), (Some(1), 3));
}

/// Also where the database that is read has another number than the only one of a store.
#[test]
fn a_copy_may_name_the_database_it_is_in() {
    for database in [0, 3] {
        let store = in_memory();
        let log = format!("SELECT {database}\nXADD s 1-0 f v\nCOPY s t DB {database} REPLACE\nXADD t 2-0 f v\n");
        let mut import = Import::new(&store).unwrap().database(database);
        import.read(log.as_bytes(), |_| {}).unwrap();
        assert_eq!((len(&store, "s"), len(&store, "t")), (Some(1), Some(2)), "{database}");
        assert_eq!(import.imported().refused_count, 0);
    }
}

/// The first byte of what is serialized is its type. What it says of a type that came later is not known here.
#[test]
fn a_stream_that_a_server_has_serialized_ends_the_import() {
    for kind in [0x0f, 0x13, 0x15, 0x1a, 0x1b, 0x70, 0xff] {
        for command in ["RESTORE", "restore-asking"] {
            let store = in_memory();
            let log = format!("XADD s 1-0 f old\r\n{command} s 0 \"\\x{kind:02x}x\" REPLACE\r\nXADD s 2-0 f v\r\n");
            let error = Import::new(&store).unwrap().read(log.as_bytes(), |_| {}).unwrap_err();
            assert!(matches!(error, ImportError::Restored { offset: 18, .. }), "{kind}: {error}");
            assert_eq!(len(&store, "s"), Some(1), "what comes before is done");
        }
    }
    let (store, imported) = lines("XADD s 1-0 f v\nSELECT 1\nRESTORE s 0 \"\\x0fx\"\n");
    assert_eq!((len(&store, "s"), imported.skipped_count()), (Some(1), 1));
}

/// A server passes over the whole line.
#[test]
fn annotations_may_have_quotes() {
    let (store, imported) = lines("# don't\nXADD s 1-1 f v\n#\"\n#TS:17 \"x\"y\n");
    assert_eq!((len(&store, "s"), imported.annotations, imported.torn), (Some(1), 3, None));
}

#[test]
fn the_files_of_a_log_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let list = |text: &str| std::fs::write(path("a.manifest"), text).unwrap();
    let refused = || files_of(dir.path()).unwrap_err().kind();
    assert_eq!(refused(), ErrorKind::NotFound, "an empty directory");
    list(
        "# a comment\nfile \"a 1.aof\" seq 1 type b\nfile a.0 seq 1 type h\nfile a.2 seq 1 type i\nfile a.3 seq 2 type i\n",
    );
    let expected = vec![path("a 1.aof"), path("a.2"), path("a.3")];
    assert_eq!(files_of(dir.path()).unwrap(), expected);
    assert_eq!(files_of(path("a.manifest")).unwrap(), expected);
    assert_eq!(files_of(path("any")).unwrap(), [path("any")]);
    for bad in [
        "file ../x seq 1 type b",
        "file .. seq 1 type b",
        "file / seq 1 type b",
        "file . seq 1 type b",
        "file \"x seq 1 type b",
        "seq 1",
        "file /etc/x type b",
    ] {
        list(bad);
        assert_eq!(refused(), ErrorKind::InvalidData, "{bad}");
    }
    list("");
    std::fs::write(path("b.manifest"), "").unwrap();
    assert_eq!(refused(), ErrorKind::InvalidData, "two manifests");
}
