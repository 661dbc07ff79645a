//! Commands from a program, replies to it.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::harness::{Ended, prints, streamlog};

fn pipe(input: &[u8]) -> Ended {
    streamlog().args("--in-memory pipe").run_with_input(input)
}

#[test]
fn resp_commands_are_answered_in_order() {
    let ended = pipe(
        b"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$3\r\n1-0\r\n$1\r\na\r\n$3\r\n\x00\r\n\r\n*2\r\n$4\r\nXLEN\r\n$1\r\ns\r\n\
        *4\r\n$6\r\nXRANGE\r\n$1\r\ns\r\n$1\r\n-\r\n$1\r\n+\r\n",
    );
    assert_eq!(ended, prints("$3\r\n1-0\r\n:1\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n$3\r\n\0\r\n\r\n"));
}

#[test]
fn inline_commands_may_be_quoted_and_mixed_with_resp() {
    let ended = pipe(b"XADD s 1-0 name \"a b\\x01\"\r\n\r\n*1\r\n$4\r\nPING\r\nXREAD STREAMS s 0\nECHO ''\n");
    assert_eq!(
        ended,
        prints(
            "$3\r\n1-0\r\n+PONG\r\n*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$4\r\nname\r\n$4\r\na b\x01\r\n$0\r\n\r\n"
        )
    );
}

#[test]
fn error_replies_are_for_the_program_at_the_other_end() {
    assert_eq!(
        pipe(b"XADD s 0-0 a b\r\nPING\r\n"),
        prints("-ERR The ID specified in XADD must be greater than 0-0\r\n+PONG\r\n")
    );
}

#[test]
fn a_protocol_error_is_answered_and_ends_the_conversation() {
    let ended = pipe(b"PING\r\n*1\r\n:4\r\nPING\r\nPING\r\n");
    assert_eq!(ended.status, 1);
    assert_eq!(ended.stdout, "+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n");
    assert_eq!(ended.stderr, "streamlog: Protocol error: expected '$', got ':'\n");
}

#[test]
fn an_end_in_the_middle_of_a_command_is_an_error() {
    for unfinished in ["*2\r\n$4\r\nXLEN\r\n$1\r\n", "*1\r\n", "*", "XLEN s"] {
        let ended = pipe(format!("PING\r\n{unfinished}").as_bytes());
        assert_eq!((ended.status, ended.stdout.as_str()), (1, "+PONG\r\n"), "{unfinished:?}");
        assert_eq!(ended.stderr, "streamlog: the input ends in the middle of a command\n", "{unfinished:?}");
    }
}

#[test]
fn hello_switches_the_protocol() {
    let ended = pipe(b"XREAD STREAMS none 0\r\nHELLO 3\r\nXREAD STREAMS none 0\r\n");
    assert_eq!(ended.status, 0);
    assert!(ended.stdout.starts_with("*-1\r\n%"), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("\r\n_\r\n"), "{}", ended.stdout);
}

#[test]
fn quit_is_answered_and_ends_the_conversation() {
    assert_eq!(pipe(b"PING\r\nQUIT\r\nPING\r\n"), prints("+PONG\r\n+OK\r\n"));
}

#[test]
fn a_reply_does_not_wait_for_more_input() {
    let mut running = streamlog().args("--in-memory pipe").start();
    let mut input = running.0.stdin.take().unwrap();
    let mut output = BufReader::new(running.0.stdout.take().unwrap());
    for _ in 0..3 {
        // The second command is not complete when the reply to the first one is due.
        input.write_all(b"PING\r\nECHO ").unwrap();
        assert_eq!(line(&mut output), "+PONG\r\n");
        input.write_all(b"x\r\n").unwrap();
        assert_eq!(line(&mut output) + &line(&mut output), "$1\r\nx\r\n");
    }
    // Nor does it wait for a command that blocks.
    input.write_all(b"PING\r\nXREAD BLOCK 60000 STREAMS s $\r\n").unwrap();
    assert_eq!(line(&mut output), "+PONG\r\n");
}

fn line(input: &mut impl BufRead) -> String {
    let mut line = String::new();
    input.read_line(&mut line).unwrap();
    line
}

#[test]
fn many_commands_at_once_are_all_answered_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let count = 20_000;
    let input: String = (1..=count).map(|n| format!("XADD s {n}-0 n {n}\r\n")).collect();
    let ended = streamlog().store(directory.path()).args("--durability os pipe").run_with_input(input.as_bytes());
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    assert_eq!(ended.stdout.lines().count(), 2 * count);
    assert!(ended.stdout.ends_with("$7\r\n20000-0\r\n"));
    assert_eq!(streamlog().store(directory.path()).args("XLEN s").run(), prints("20000\n"));
}

#[test]
fn a_reader_that_left_is_no_failure() {
    let mut running = streamlog().args("--in-memory pipe").stdout(Stdio::piped()).start();
    drop(running.0.stdout.take());
    let mut input = running.0.stdin.take().unwrap();
    let _ = input.write_all(b"PING\r\n");
    let _ = input.write_all(b"PING\r\n");
    drop(input);
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}
