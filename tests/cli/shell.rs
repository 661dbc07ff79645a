//! The shell without a terminal: a script, one command per line.

use crate::harness::{Ended, prints, streamlog};

fn script(lines: &[u8]) -> Ended {
    streamlog().args("--in-memory --no-raw shell").run_with_input(lines)
}

#[test]
fn lines_are_commands_quoted_as_in_redis_cli() {
    assert_eq!(
        script(b"XADD s 1-0 'a b' \"\\x00\"\n\n  XRANGE s - +  \nping"),
        prints("\"1-0\"\n1) 1) \"1-0\"\n   2) 1) \"a b\"\n      2) \"\\x00\"\nPONG\n")
    );
}

#[test]
fn lines_are_any_bytes() {
    assert_eq!(script(b"ECHO \xff\n"), prints("\"\\xff\"\n"));
}

#[test]
fn errors_are_shown_the_script_goes_on_and_the_status_tells() {
    let ended = script(b"XLEN\nECHO \"open\nPING\n");
    assert_eq!(ended.status, 1);
    assert_eq!(ended.stdout, "(error) ERR wrong number of arguments for 'xlen' command\nInvalid argument(s)\nPONG\n");
}

#[test]
fn exit_and_quit_leave() {
    assert_eq!(script(b"PING\nEXIT\nPING\n"), prints("PONG\n"));
    assert_eq!(script(b"quit\nPING\n"), prints(""));
}

#[test]
fn help_helps() {
    let ended = script(b"help\nhelp xadd\nhelp me\n");
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    for told in [
        "  Groups    XGROUP CREATE, ",
        "Add an entry",
        "\nXADD stream [NOMKSTREAM]",
        "XADD orders * type",
        "There is no command ME",
    ] {
        assert!(ended.stdout.contains(told), "{told} is not in {}", ended.stdout);
    }
}

#[test]
fn the_shell_is_what_runs_when_nothing_else_is_asked_for() {
    assert_eq!(streamlog().arg("--in-memory").run_with_input(b"ECHO a\n"), prints("a\n"));
}

#[test]
fn maps_are_printed_as_such_after_hello_3() {
    let ended = script(b"HELLO 3\nXADD s 1-0 a b\nXREAD STREAMS s 0\n");
    assert!(
        ended.stdout.ends_with("1# \"s\" => 1) 1) \"1-0\"\n      2) 1) \"a\"\n         2) \"b\"\n"),
        "{}",
        ended.stdout
    );
}
