//! One command as arguments.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;

use crate::harness::{Running, fails, prints, streamlog};

#[test]
fn what_one_run_adds_the_next_one_reads() {
    let directory = tempfile::tempdir().unwrap();
    let run = |line| streamlog().store(&directory.path().join("store")).args(line).run();
    assert_eq!(run("XADD orders 1-1 type created"), prints("1-1\n"));
    assert_eq!(run("xadd orders 2-1 type paid total 49.99"), prints("2-1\n"));
    assert_eq!(run("XLEN orders"), prints("2\n"));
    assert_eq!(run("XRANGE orders - +"), prints("1-1\ntype\ncreated\n2-1\ntype\npaid\ntotal\n49.99\n"));
    assert_eq!(
        run("--no-raw XREVRANGE orders + - COUNT 1"),
        prints(concat!(
            "1) 1) \"2-1\"\n",
            "   2) 1) \"type\"\n",
            "      2) \"paid\"\n",
            "      3) \"total\"\n",
            "      4) \"49.99\"\n",
        ))
    );
}

#[test]
fn an_error_reply_goes_to_standard_error_and_into_the_status() {
    let run = |line| streamlog().arg("--in-memory").args(line).run();
    assert_eq!(run("XADD s 0-0 a b"), fails("ERR The ID specified in XADD must be greater than 0-0\n"));
    assert_eq!(run("--no-raw XLEN"), fails("(error) ERR wrong number of arguments for 'xlen' command\n"));
}

#[test]
fn arguments_after_the_command_are_taken_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let run = |line| streamlog().store(directory.path()).args(line).run();
    assert_eq!(run("XADD s 1-0 -- -1 --store --help -v -h"), prints("1-0\n"));
    assert_eq!(run("XRANGE s - +"), prints("1-0\n--\n-1\n--store\n--help\n-v\n-h\n"));
    assert_eq!(run("-- XLEN s"), prints("1\n"));
}

#[test]
fn arguments_are_any_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let run = |command: &[&[u8]]| {
        let program = streamlog().store(directory.path()).arg("--no-raw");
        command.iter().fold(program, |program, argument| program.arg(OsStr::from_bytes(argument))).run()
    };
    assert_eq!(run(&[b"XADD", b"\xff/..", b"1-0", b"", b"\x80\n\""]), prints("\"1-0\"\n"));
    assert_eq!(
        run(&[b"XRANGE", b"\xff/..", b"-", b"+"]),
        prints("1) 1) \"1-0\"\n   2) 1) \"\"\n      2) \"\\x80\\n\\\"\"\n")
    );
    assert_eq!(run(&[b"KEYS", b"*"]), prints("1) \"\\xff/..\"\n"));
}

#[test]
fn a_store_in_memory_is_gone_afterwards() {
    let run = |line| streamlog().arg("--in-memory").args(line).run();
    assert_eq!(run("XADD s 1-0 a b"), prints("1-0\n"));
    assert_eq!(run("XLEN s"), prints("0\n"));
}

#[test]
fn the_store_may_come_from_the_environment() {
    let named = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let run = || streamlog().env("STREAMLOG_STORE", named.path());
    assert_eq!(run().args("XADD s 1-0 a b").run(), prints("1-0\n"));
    assert_eq!(run().args("XLEN s").run(), prints("1\n"));
    assert_eq!(run().store(other.path()).args("XLEN s").run(), prints("0\n"));
    assert_eq!(run().args("--in-memory XLEN s").run(), prints("0\n"));
}

#[test]
fn every_durability_level_keeps_entries() {
    for level in ["always", "os", "interval:0.1", "interval:100ms"] {
        let directory = tempfile::tempdir().unwrap();
        let run = |line| streamlog().store(directory.path()).args("--durability").arg(level).args(line).run();
        assert_eq!(run("XADD s 1-0 a b"), prints("1-0\n"), "{level}");
        assert_eq!(run("XLEN s"), prints("1\n"), "{level}");
    }
}

#[test]
fn wrong_usage_is_status_2_with_a_hint() {
    for (line, hint) in [
        ("XLEN s", "STREAMLOG_STORE"),
        ("--in-memory --store x XLEN s", "--in-memory"),
        ("--in-memory --stroe x XLEN s", "--store"),
        ("--in-memory --durability never XLEN s", "interval:TIME"),
        ("--in-memory pipe fitting", "fitting"),
        ("--store", "--store"),
        ("--store /nonexistent/s retention --max-len 3", "<STREAM>"),
        ("--store /nonexistent/s retention --keep-all", "<STREAM>"),
        ("--store /nonexistent/s tail --where x s", "expected FIELD=VALUE"),
        ("--store /nonexistent/s add s --lines --fields a,b", "lines have one field"),
        ("--store /nonexistent/s add s --json --delimiter tab", "--delimiter is for --csv"),
        ("--store /nonexistent/s --read-only add s", "with --read-only nothing can be written"),
        ("--in-memory verify", "the store is in memory"),
        ("--store /nonexistent/s add s --file x.json --fields a", "objects name their fields themselves"),
        ("man nonsense", "there is no first word \"nonsense\""),
        ("help nonsense", "There is no command NONSENSE"),
    ] {
        let ended = streamlog().args(line).run();
        assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{line}");
        assert!(ended.stderr.contains(hint), "{line}: {}", ended.stderr);
    }
}

#[test]
fn a_first_word_that_is_unknown_makes_no_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    for (line, hint) in [
        ("stats", "'stat'"),
        ("xad orders * a b", "'xadd'"),
        ("XAD orders * a b", "'XADD'"),
        ("hepl", "'help'"),
        ("GET key", "unrecognized subcommand 'GET'"),
        ("", "unrecognized subcommand ''"),
    ] {
        let program = streamlog().store(&store).arg(line.split(' ').next().unwrap());
        let ended = program.args(line.split_once(' ').map_or("", |(_, arguments)| arguments)).run();
        assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{line}");
        assert!(ended.stderr.contains(hint), "{line}: {}", ended.stderr);
        assert!(!store.exists(), "{line}");
    }
}

#[test]
fn help_is_a_first_word_as_well() {
    let run = |line: &str| streamlog().args(line).run();
    let all = run("help").stdout;
    assert!(all.starts_with(run("--help").stdout.trim_end()) && all.contains("XREADGROUP"), "{all}");
    for word in ["add", "help"] {
        assert_eq!(run(&format!("help {word}")), run(&format!("{word} --help")), "{word}");
    }
    let told = run("help xlen");
    assert!(told.status == 0 && told.stdout.contains("Tell how many entries a stream has"), "{told:?}");
    let told = run("help XGROUP");
    assert!(told.status == 0 && told.stdout.contains("XGROUP CREATECONSUMER"), "{told:?}");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = streamlog().arg("--help").run();
    assert_eq!((help.status, help.stderr.as_str()), (0, ""));
    for mentioned in ["shell", "pipe", "--in-memory", "STREAMLOG_STORE", "XADD orders", "Exit status"] {
        assert!(help.stdout.contains(mentioned), "{mentioned} is not in\n{}", help.stdout);
    }
    assert_eq!(streamlog().arg("--version").run(), prints(format!("streamlog {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_store_that_is_in_use_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let _first = hold(directory.path());
    let ended = streamlog().store(directory.path()).args("XLEN s").run();
    let path = directory.path().display();
    let advice = "streamlog: with --read-only, commands that only read work meanwhile\n";
    let locked = format!("streamlog: {path} is locked: another process or handle has the store open\n{advice}");
    assert_eq!(ended, fails(locked));
}

#[test]
fn a_store_that_is_in_use_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(streamlog().store(directory.path()).args("XADD s 1-0 a b").run(), prints("1-0\n"));
    let _first = hold(directory.path());
    let run = |line| streamlog().store(directory.path()).arg("--read-only").args(line).run();
    assert_eq!(run("XRANGE s - +"), prints("1-0\na\nb\n"));
    let refused = run("XADD s * a b");
    assert!(refused.status == 1 && refused.stderr.starts_with("READONLY "), "{refused:?}");
    let script = streamlog().store(directory.path()).args("--read-only shell").run_with_input(b"XLEN s\n");
    assert_eq!(script, prints("1\n"));
    let refused = run("add s");
    assert!(refused.status == 2 && refused.stderr.contains("with --read-only nothing can be written"), "{refused:?}");
}

/// A process that has the store open.
fn hold(store: &std::path::Path) -> Running {
    use std::io::{Read, Write};
    let mut running = streamlog().store(store).arg("pipe").start();
    running.0.stdin.as_mut().unwrap().write_all(b"PING\r\n").unwrap();
    let mut pong = [0; 7];
    running.0.stdout.as_mut().unwrap().read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"+PONG\r\n");
    running
}

#[test]
fn a_directory_of_something_else_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("letter.txt"), "dear").unwrap();
    let ended = streamlog().store(directory.path()).args("XADD s * a b").run();
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    assert!(ended.stderr.starts_with("streamlog: ") && ended.stderr.contains("is not a store"), "{}", ended.stderr);
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert_eq!(left, ["letter.txt"]);
}

#[test]
fn a_full_standard_output_is_a_failure() {
    let ended = streamlog().args("--in-memory PING").stdout(File::create("/dev/full").unwrap()).run();
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.starts_with("streamlog: No space left"), "{}", ended.stderr);
}
