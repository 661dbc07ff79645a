//! A system call fails, whichever it is: the child is told, does not end by it, and its store opens soundly afterwards.

use std::path::Path;
use std::process::Command;

use streamlog::{Durability, Error, Options, Position, Store, Trim};

use crate::children::{self, Role};
use crate::mounts::{run, scratch, text};
use crate::runner::{Outcome, Test};

pub const TESTS: &[Test] = &[
    ("a_system_call_that_fails_is_an_error_that_loses_nothing", fail_calls),
    ("the_names_of_a_store_and_of_what_it_is_in_are_synced", sync_names),
    ("a_store_opens_in_a_directory_that_cannot_be_read", open_in_unreadable),
];
pub const ROLES: &[Role] = &[("work", work), ("open", open)];

const CALLS: [(&str, &[&str]); 10] = [
    ("pwrite64", &["EIO", "ENOSPC"]),
    ("fdatasync", &["EIO", "ENOSPC"]),
    ("fsync", &["EIO"]),
    ("fallocate", &["ENOSPC", "EOPNOTSUPP"]),
    ("openat", &["EMFILE", "EACCES"]),
    ("renameat", &["EIO", "ENOSPC"]),
    ("unlinkat", &["EIO"]),
    ("mmap", &["ENOMEM", "ENODEV"]),
    ("ftruncate", &["EIO"]),
    ("mkdirat", &["ENOSPC"]),
];

fn options() -> Options {
    Options::new().durability(Durability::Always).segment_bytes_max(4 << 10).checkpoint_bytes_min(1 << 10)
}

fn add(store: &Store, n: u64) -> Result<(), Error> {
    store.stream("log")?.add([("n", format!("{n:0>200}"))]).map(|_| ())
}

/// Adds, reads, acknowledges, trims, creates, deletes; says after each entry that it was added.
fn work(arguments: &[String]) {
    let path = Path::new(&arguments[0]);
    println!("start");
    let result = options().open(path).and_then(|store| {
        let stream = store.stream("log")?;
        let group = stream.group("g");
        let consumer = group.consumer("c");
        let mut error = None;
        for n in 20..100 {
            let done = add(&store, n).map(|()| println!("added {n}")).and_then(|()| {
                for entry in consumer.read().count(2).new_entries()? {
                    consumer.ack([entry.id()])?;
                }
                if n % 20 == 0 {
                    store.stream(format!("new{n}"))?.add([("a", "b")])?;
                    store.delete([format!("new{n}")])?;
                    stream.trim(Trim::to_len(200))?;
                }
                Ok(())
            });
            // Later entries would not follow the one that is missing.
            if let Err(found) = done {
                error = Some(found);
                break;
            }
        }
        drop((stream, group, consumer));
        let closed = store.close();
        error.map_or(closed, Err)
    });
    match result {
        Ok(()) => println!("done"),
        Err(error) => println!("failed: {error:?}"),
    }
}

fn prepare(path: &Path) {
    let store = options().open(path).unwrap();
    for n in 0..20 {
        add(&store, n).unwrap();
    }
    store.stream("log").unwrap().group("g").create(Position::Start).unwrap();
    store.close().unwrap();
}

fn traced(path: &Path, call: &str, inject: Option<&str>, log: &Path) -> Command {
    let own = children::command("work", &[text(path)]);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", text(log), "-e", &format!("trace=write,{call}")]);
    if let Some(inject) = inject {
        command.args(["-e", &format!("inject={call}:{inject}")]);
    }
    if call == "mmap" {
        // Those of the heap are another matter.
        for entry in std::fs::read_dir(path.join("streams/log")).unwrap() {
            command.args(["-P", text(&entry.unwrap().path())]);
        }
    }
    command.arg(own.get_program()).args(own.get_args()).env("RUST_BACKTRACE", "0");
    command
}

fn fail_calls() -> Outcome {
    if let Err(why) = run("strace", &["-qq", "-e", "inject=getpid:error=EIO", "true"]) {
        return Outcome::Skipped(why);
    }
    let (mut runs, mut told, mut unnoticed) = (0, 0, 0);
    for (call, errors) in CALLS {
        let scratch = scratch();
        let log = scratch.path().join("trace");
        let path = scratch.path().join("store");
        prepare(&path);
        children::finish(traced(&path, call, None, &log), call);
        // Only those that come after the child has begun: what the loader does is another matter.
        let trace = std::fs::read_to_string(&log).unwrap();
        let begun = if call == "mmap" { 0 } else { trace.find("start").expect("it began") };
        let needle = format!(" {call}(");
        let (before, all) = (trace[..begun].matches(&needle).count(), trace.matches(&needle).count());
        assert!(all > before, "there is a call of {call}");
        let mut chosen: Vec<usize> = vec![before + 1, before + 2, before + (all - before) / 3, (before + all) / 2, all];
        chosen.retain(|when| (before + 1..=all).contains(when));
        chosen.dedup();
        for error in errors {
            for when in &chosen {
                let scratch = tempfile::tempdir_in(scratch.path()).unwrap();
                let path = scratch.path().join("store");
                prepare(&path);
                let inject = format!("error={error}:when={when}");
                let said = children::finish(traced(&path, call, Some(&inject), &log), &format!("{call} {inject}"));
                told += u32::from(said.contains("failed: "));
                unnoticed += u32::from(said.ends_with("done\n"));
                runs += 1;
                let added = 20 + said.lines().filter(|line| line.starts_with("added")).count() as u64;
                let checked = std::panic::catch_unwind(|| check(&path, added));
                assert!(checked.is_ok(), "{call} {inject}: {said}");
            }
        }
    }
    assert!(told > 0, "no failure came to the engine");
    Outcome::Passed(format!("{runs} failures of {} calls: {told} told, {unnoticed} made up for", CALLS.len()))
}

fn open(arguments: &[String]) {
    options().open(&arguments[0]).unwrap().close().unwrap();
}

/// The directories that are synced when a store is opened under `strace`, below this one.
fn synced(below: &Path, store: &Path) -> Vec<String> {
    let log = below.join("trace");
    let own = children::command("open", &[text(store)]);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-o", text(&log), "-e", "trace=fsync"]);
    command.arg(own.get_program()).args(own.get_args());
    children::finish(command, "open");
    let below = format!("<{}", text(below));
    let trace = std::fs::read_to_string(&log).unwrap();
    let path = |line: &str| Some(line.split_once(&below)?.1.split_once('>')?.0.to_owned());
    trace.lines().filter_map(path).collect()
}

fn sync_names() -> Outcome {
    if let Err(why) = run("strace", &["-qq", "true"]) {
        return Outcome::Skipped(why);
    }
    let scratch = scratch();
    let below = scratch.path().canonicalize().unwrap();
    let made = synced(&below, &below.join("a/b/store"));
    for name in ["", "/a", "/a/b", "/a/b/store"] {
        assert!(made.iter().any(|synced| synced == name), "{name:?} is not in {made:?}");
    }
    // Whoever made it may have been killed.
    std::fs::create_dir(below.join("made")).unwrap();
    let found = synced(&below, &below.join("made"));
    assert!(found.iter().any(String::is_empty), "{found:?}");
    Outcome::Passed(format!("{} and {} directories", made.len(), found.len()))
}

fn open_in_unreadable() -> Outcome {
    if let Err(why) = run("strace", &["-qq", "-e", "inject=getpid:error=EIO", "true"]) {
        return Outcome::Skipped(why);
    }
    let scratch = scratch();
    let parent = scratch.path().canonicalize().unwrap().join("parent");
    let store = parent.join("store");
    std::fs::create_dir(&parent).unwrap();
    for is_there in [false, true] {
        assert_eq!(store.exists(), is_there);
        let own = children::command("open", &[text(&store)]);
        let log = scratch.path().join("trace");
        let mut command = Command::new("strace");
        // Root may read whatever it likes.
        command.args(["-f", "-qq", "-o", text(&log), "-P", text(&parent), "-e", "inject=openat:error=EACCES"]);
        command.arg(own.get_program()).args(own.get_args());
        children::finish(command, "open");
        assert!(std::fs::read_to_string(&log).unwrap().contains("(INJECTED)"), "it was tried");
    }
    Outcome::Passed("once when it is made, once when it is there".to_owned())
}

/// What was acknowledged is there, at most one entry more, and the store goes on.
fn check(path: &Path, added: u64) {
    let store = options().open(path).unwrap();
    let stream = store.stream("log").unwrap();
    let found: Vec<u64> = stream
        .range(..)
        .map(|entry| String::from_utf8_lossy(entry.unwrap().get("n").unwrap()).parse().unwrap())
        .collect();
    let len = found.len() as u64;
    assert!(len == added || len == added + 1, "{len} entries where {added} were acknowledged");
    assert!(found.iter().copied().eq(0..len));
    add(&store, len).unwrap();
    let consumer = stream.group("g").consumer("c");
    consumer.read().new_entries().unwrap();
    assert!(stream.group("g").pending().unwrap().count > 0);
    drop((stream, consumer));
    store.close().unwrap();
}
