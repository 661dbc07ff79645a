//! Promise: a store that is exported and imported again is as it was, and exported once more gives the same bytes.

use streamlog::inspect::Inspection;
use streamlog::{AddOptions, Store, StreamId, Trim};

use crate::harness::{
    assert_same, collect, dump_of_commands, export, export_from, import_all, in_memory, options, seed,
};
use crate::history::{History, Known, Random, words};

/// What came of a random history, and what comes of it on the way through commands, are the same.
fn any_history(cases: u64, mut compare: impl FnMut(&mut Random, u64) -> Vec<u8>) {
    let mut random = Random::new(seed());
    let bytes: usize = (0..cases).map(|case| compare(&mut random, case).len()).sum();
    assert!(bytes as u64 > cases * 1000, "{bytes} bytes of commands say little");
}

/// Makes the same of one store in another; returns what was exported.
fn carry_over(store: &Store, copy: &Store, case: u64) -> Vec<u8> {
    let log = export(store);
    import_all(copy, &log);
    let [again, first] = [&export(copy), &log].map(|log| log.escape_ascii().to_string().replace("\\r\\n", "\n"));
    assert_same(&again, &first, format_args!("commands of case {case}"));
    log
}

#[test]
fn any_history_comes_back() {
    any_history(60, |random, case| {
        let [store, copy] = [in_memory(), in_memory()];
        History::new(&store, random, Known::All).run(40 + case * 5);
        let log = carry_over(&store, &copy, case);
        let [found, expected] = [&copy, &store].map(|store| without_last_id(&dump_of_commands(&look(store))));
        assert_same(&found, &expected, format_args!("case {case}"));
        log
    });
}

#[test]
fn any_history_comes_back_on_disk() {
    any_history(6, |random, case| {
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [store, copy] = [0, 1].map(|at: usize| options().open(directories[at].path()).unwrap());
        History::new(&store, random, Known::All).run(150);
        let log = carry_over(&store, &copy, case);
        store.close().unwrap();
        copy.close().unwrap();
        let [store, copy] = [0, 1].map(|at: usize| Inspection::open(directories[at].path()).unwrap());
        assert!(export_from(&store) == log, "case {case}: from outside it is something else");
        assert_same(&dump_of_commands(&copy), &dump_of_commands(&store), format_args!("case {case}"));
        log
    });
}

fn look(store: &Store) -> Inspection {
    Inspection::of(store).unwrap()
}

/// Of a store that is open, there is a bound of it where IDs were automatic; the commands have it exactly.
fn without_last_id(dump: &str) -> String {
    let of_stream =
        |line: &str| line.split_once(" last ").filter(|_| line.starts_with("stream")).map(|(of, _)| of.to_owned());
    dump.lines().map(|line| of_stream(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

/// Runs commands, and says what comes of them and of their export.
fn there_and_back(commands: &str) -> (String, String) {
    let [store, copy] = [in_memory(), in_memory()];
    for line in commands.lines() {
        let reply = streamlog::command::execute(&store, &words(&line.split(' ').collect::<Vec<_>>()));
        assert!(!reply.is_error(), "{line}: {reply:?}");
    }
    import_all(&copy, &export(&store));
    (dump_of_commands(&look(&store)), dump_of_commands(&look(&copy)))
}

#[test]
fn pending_entries_outlive_what_they_name() {
    // Before the first living entry, between two, behind the last, and all of them.
    for deleted in ["XTRIM s MINID 3", "XDEL s 3-0", "XDEL s 5-0", "XTRIM s MAXLEN 0", "XDEL s 1-0 3-0 5-0"] {
        let (before, after) = there_and_back(&format!(
            "XADD s 1-0 a b\nXADD s 2-0 a b\nXADD s 3-0 a b\nXADD s 4-0 a b\nXADD s 5-0 a b\nXGROUP CREATE s g 0\n\
             XREADGROUP GROUP g c STREAMS s >\n{deleted}"
        ));
        assert_eq!(after, before, "{deleted}");
        assert_eq!(before.matches("pending ").count(), 6, "{before}");
    }
}

#[test]
fn a_group_may_have_read_more_than_was_added() {
    let (before, after) = there_and_back(
        "XADD s 1-0 a b\nXADD s 2-0 a b\nXADD s 3-0 a b\nXGROUP CREATE s g 0\nXREADGROUP GROUP g c STREAMS s >\n\
         XTRIM s MAXLEN 1\nXSETID s 3-0 ENTRIESADDED 1",
    );
    assert_eq!(after, before);
    assert!(before.contains("added 1 ") && before.contains("entries-read 3 "), "{before}");
}

#[test]
fn productions_outlive_their_entries() {
    let (before, after) = there_and_back(
        "XADD s 1-0 a b\nXCFGSET s IDMP-MAXSIZE 7\nXADD s IDMP p 1 * a b\nXADD s IDMP p 2 * a b\nXADD s IDMP q 1 * a b\n\
         XTRIM s MAXLEN 1",
    );
    assert_eq!(without_last_id(&after), without_last_id(&before));
    assert_eq!(before.matches("production ").count(), 3, "{before}");
}

/// Where the last ID was set back, between what was trimmed and what came after it.
#[test]
fn what_is_above_the_last_id_outlives_its_entries() {
    let (before, after) = there_and_back(
        "XADD s 1000-0 a b\nXADD s IDMP p 1 * a b\nXADD s IDMP p 2 * a b\nXGROUP CREATE s g 0\n\
         XREADGROUP GROUP g c STREAMS s >\nXTRIM s MAXLEN 0\nXSETID s 5-0\nXADD s 6-0 a b\nXADD s 7-0 c d\nXDEL s 7-0\n\
         XREADGROUP GROUP g d STREAMS s 0",
    );
    assert_eq!(without_last_id(&after), without_last_id(&before));
    assert_eq!(before.matches("production ").count(), 2, "{before}");
    assert_eq!(before.matches("pending ").count(), 4, "{before}");
}

#[test]
fn an_empty_stream_has_its_counters_and_its_last_id() {
    let (before, after) =
        there_and_back("XADD s 5-0 a b\nXADD s 6-0 a b\nXDEL s 5-0 6-0\nXGROUP CREATE t g 0 MKSTREAM");
    assert_eq!(after, before);
    assert!(before.starts_with("stream \"s\" entries 0 added 2 last 6-0 max-deleted 6-0\n"), "{before}");
}

#[test]
fn an_import_adds_to_what_is_there() {
    let (one, other) = (in_memory(), in_memory());
    streamlog::command::execute(&one, &["XADD", "a", "1-1", "f", "v"]);
    streamlog::command::execute(&other, &["XADD", "b", "1-1", "f", "v"]);
    import_all(&other, &export(&one));
    assert_eq!(other.names().unwrap(), [b"a", b"b"]);
}

/// Which of them were deleted is forgotten when they are trimmed, but not by those who began to read before.
#[test]
fn what_was_deleted_before_an_export_stays_out_of_it_whatever_is_trimmed_meanwhile() {
    let [store, copy] = [in_memory(), in_memory()];
    let stream = store.stream("s").unwrap();
    let id = |ms| StreamId::new(ms, 1);
    let add = |ms| _ = stream.add_with(AddOptions::new().id(id(ms)), [("n", "x".repeat(10))]).unwrap();
    (1..=20).for_each(add);
    stream.delete((1..=10).map(id)).unwrap();
    let export = stream.export().unwrap();
    stream.trim(Trim::to_len(5)).unwrap();
    let segments = stream.info().unwrap().segments;
    (21..1000).take_while(|_| stream.info().unwrap().segments == segments).for_each(add);
    let mut log = Vec::new();
    export.run(|part| collect(part, &mut log)).unwrap();
    import_all(&copy, &log);
    let found: Vec<_> = copy.stream("s").unwrap().range(..).map(|entry| entry.unwrap().id().ms()).collect();
    assert_eq!(found, Vec::from_iter(11..=20));
}
