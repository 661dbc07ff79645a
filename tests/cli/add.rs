//! Adding entries from lines, CSV and JSON lines.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::{Ended, fails, prints, skipped, streamlog};

fn add(store: &Path, arguments: &str, input: &[u8]) -> Ended {
    streamlog().store(store).args("add").args(arguments).run_with_input(input)
}

/// The entries of `s`: a line for each field and for each ID that was given.
fn entries(store: &Path) -> String {
    let ended = streamlog().store(store).args("--raw XRANGE s - +").run();
    assert_eq!(ended.status, 0, "{ended:?}");
    ended.stdout
}

fn fields(store: &Path) -> Vec<String> {
    let is_id =
        |line: &&str| line.split_once('-').is_some_and(|(ms, seq)| ms.parse::<u64>().and(seq.parse::<u64>()).is_ok());
    entries(store).lines().filter(|line| !is_id(line)).map(str::to_owned).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lines_become_entries_whatever_is_in_them() {
    let store = tempfile::tempdir().unwrap();
    let ended = add(store.path(), "s", b"first\r\n\n{\"a\": 1},x\nlast");
    assert!(ended.status == 0 && ended.stdout.starts_with("4 entries in "), "{ended:?}");
    assert_eq!(fields(store.path()), ["line", "first", "line", "", "line", "{\"a\": 1},x", "line", "last"]);
    assert_eq!(add(store.path(), "t --fields message", b"a\n").status, 0);
    let ended = streamlog().store(store.path()).args("--raw XRANGE t - +").run();
    assert!(ended.stdout.ends_with("\nmessage\na\n"), "{ended:?}");
}

#[test]
fn rows_of_csv_are_named_by_the_header_or_by_an_option() {
    let store = tempfile::tempdir().unwrap();
    let ended = add(store.path(), "s --csv --id-field id", b"\xef\xbb\xbfid,a,b\n1,x,\"y,\"\"\n\"\n1,,z\n");
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.contains("2 entries in ") && ended.stdout.ends_with("; last ID 1-1\n"), "{ended:?}");
    assert_eq!(entries(store.path()), "1-0\na\nx\nb\ny,\"\n\n1-1\na\n\nb\nz\n");
    // A mark at the beginning, as editors on Windows write it.
    assert_eq!(add(store.path(), "m --json", b"\xef\xbb\xbf{\"a\":1}\n").status, 0);
    assert_eq!(streamlog().store(store.path()).args("--raw XRANGE m - +").run().stdout.lines().nth(1), Some("a"));
    assert_eq!(add(store.path(), "s --csv --delimiter tab --fields n,id --id-field id", b"5\t2-7\n").status, 0);
    assert!(entries(store.path()).ends_with("2-7\nn\n5\n"));
}

#[test]
fn ids_are_taken_from_times_as_people_write_them() {
    let store = tempfile::tempdir().unwrap();
    let input = b"{\"at\":\"2013-01-01T05:00:00.1234-05:00\",\"n\":1}\n{\"at\":\"2013-01-01 10:00:00.123Z\",\"n\":2}\n\
                  {\"at\":1357034400124,\"n\":3}\n";
    assert_eq!(add(store.path(), "s --json --id-field at", input).status, 0);
    assert_eq!(entries(store.path()), "1357034400123-0\nn\n1\n1357034400123-1\nn\n2\n1357034400124-0\nn\n3\n");
    let ended = add(store.path(), "s --csv --id-field at", b"at,n\n2013-01-02,4\n");
    let told = "line 2: expected an ID, milliseconds, or a time such as 2013-01-01T10:00:00Z, not \"2013-01-02\"";
    assert!(ended.status == 1 && ended.stderr.contains(told), "{ended:?}");
}

#[test]
fn objects_keep_their_order_and_their_numbers() {
    let store = tempfile::tempdir().unwrap();
    let ended =
        add(store.path(), "s --json", b"{\"b\":\"x\",\"a\":1.50,\"c\":{\"d\":[1]}}\n\n{\"a\":18446744073709551616}\n");
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(fields(store.path()), ["b", "x", "a", "1.50", "c", "{\"d\":[1]}", "a", "18446744073709551616"]);
}

#[test]
fn compressed_input_is_recognised_in_files_and_pipes() {
    let store = tempfile::tempdir().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("events.jsonl.gz");
    // Two members, as `cat a.gz b.gz` makes them.
    fs::write(&file, [gzip(b"{\"n\":1}\n{\"n\":2}\n"), gzip(b"{\"n\":3}\n")].concat()).unwrap();
    let ended = streamlog().store(store.path()).args("add s --file").arg(&file).run();
    assert!(ended.status == 0 && ended.stdout.starts_with("3 entries"), "{ended:?}");
    assert!(add(store.path(), "s --csv", &gzip(b"n\n4\n")).stdout.starts_with("1 entry in "));
    assert_eq!(fields(store.path()), ["n", "1", "n", "2", "n", "3", "n", "4"]);
    let cut = &gzip(b"a\nb\n")[..15];
    let ended = add(store.path(), "s", cut);
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    assert!(ended.stderr.contains("cannot be read"), "{ended:?}");
}

#[test]
fn a_wrong_line_is_named_what_is_before_it_is_added_and_one_can_go_on() {
    let store = tempfile::tempdir().unwrap();
    let input = b"id,n\n1,one\n2,two\n3\n4,four\n";
    assert_eq!(
        add(store.path(), "s --csv --id-field id", input),
        fails(
            "streamlog: standard input, line 4: 1 values for 2 fields; 2 entries before it were added. \
             To go on there: --from-line 4\n"
        )
    );
    assert_eq!(entries(store.path()), "1-0\nn\none\n2-0\nn\ntwo\n");
    assert_eq!(add(store.path(), "s --csv --id-field id --from-line 5", input).status, 0);
    assert!(entries(store.path()).ends_with("2-0\nn\ntwo\n4-0\nn\nfour\n"));
    for (arguments, input, expected) in [
        ("s --json", &b"{\"a\":1}\n{\"a\":}\n"[..], "line 2: expected value at column 6; 1 entry before it was added"),
        ("s --json", b"[]\n", "line 1: invalid type: sequence, expected an object; nothing was added"),
        ("s --json", b"{}\n", "line 1: an entry needs a field; nothing was added"),
        (
            "s --csv --id-field id",
            b"id,n\n9999999999999,a\n4,b\n",
            "line 3: the ID 4 is not above the one before it, 9999999999999-0; 1 entry",
        ),
        ("t --csv --id-field when", b"id,n\n1,a\n", "line 2: there is no field \"when\" to take the ID from"),
        ("t --file /nonexistent/x", b"", "cannot read /nonexistent/x: No such file"),
        ("t --file /", b"", "cannot read /: it is a directory"),
    ] {
        let ended = add(store.path(), arguments, input);
        assert_eq!((ended.status, ended.stdout.as_str()), (1, ""), "{arguments}");
        assert!(ended.stderr.contains(expected), "{expected} is not in {}", ended.stderr);
    }
}

#[test]
fn a_batch_that_cannot_be_added_is_named_by_its_first_line() {
    let store = tempfile::tempdir().unwrap();
    let last = "XADD s 18446744073709551615-18446744073709551612 a b";
    assert_eq!(streamlog().store(store.path()).args(last).run().status, 0);
    // There are three more IDs.
    assert_eq!(
        add(store.path(), "s --batch 2", b"one\ntwo\nthree\nfour\nfive\n"),
        fails(
            "streamlog: standard input, line 3: the stream has used up its last possible ID; \
             2 entries before it were added. To go on there: --from-line 3\n"
        )
    );
    assert_eq!(fields(store.path()), ["a", "b", "line", "one", "line", "two"]);
}

#[test]
fn what_a_pipe_gave_is_added_before_more_is_waited_for() {
    let store = tempfile::tempdir().unwrap();
    let mut running = streamlog().store(store.path()).args("add s").start();
    let mut input = running.0.stdin.take().unwrap();
    input.write_all(b"first\nsec").unwrap();
    let began = Instant::now();
    while !streamlog().store(store.path()).args("dump").run().stdout.contains("first") {
        assert!(began.elapsed() < Duration::from_secs(60), "the line was not added");
        std::thread::sleep(Duration::from_millis(20));
    }
    input.write_all(b"ond\n").unwrap();
    drop(input);
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    assert_eq!(fields(store.path()), ["line", "first", "line", "second"]);
}

#[test]
fn the_flights_take_one_command() {
    let store = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flights.csv.gz");
    if !file.exists() {
        skipped("the flights are not part of the package");
        return;
    }
    let ended = streamlog().store(store.path()).args("--durability os add flights --file").arg(file).run();
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.starts_with("336,776 entries in "), "{ended:?}");
    assert_eq!(streamlog().store(store.path()).args("XLEN flights").run(), prints("336776\n"));
    let first = streamlog().store(store.path()).args("--raw XRANGE flights - + COUNT 1").run().stdout;
    assert!(first.contains("\ncarrier\nUA\n") && first.ends_with("\ntime_hour\n2013-01-01T10:00:00Z\n"), "{first}");
}
