//! Promise: replaying what clients told a Redis server gives the replies that server gave.
//!
//! The sessions in `tests/data/vectors` are described in the README beside them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flate2::read::GzDecoder;
use streamlog::Durability;

use crate::recorded::{Recorded, Step, session};
use crate::subject::{Mode, Subject};

/// Commands without which a session makes no sense: all keys are streams here, so nothing sets another type.
const UNSUPPORTED: &[&str] = &["SET"];

/// How many sessions there are without these.
const SESSIONS_MIN: usize = 597;

#[test]
fn in_a_directory_always_synced() {
    replay_all(Mode::Directory(Durability::Always));
}

#[test]
fn in_a_directory_synced_at_intervals() {
    replay_all(Mode::Directory(Durability::Interval(Duration::from_millis(5))));
}

#[test]
fn in_a_directory_never_synced() {
    replay_all(Mode::Directory(Durability::Os));
}

#[test]
fn in_a_directory_reopened_between_any_two_commands() {
    replay_all(Mode::Reopened);
}

#[test]
fn in_memory() {
    replay_all(Mode::Memory);
}

/// So many sessions are replayed at a time: most of the time is spent waiting for the disk.
const AT_A_TIME: usize = 4;

fn replay_all(mode: Mode) {
    let (mut steps, mut skipped) = (0, BTreeMap::<String, usize>::new());
    let mut supported = Vec::new();
    for session in recorded_sessions() {
        let unsupported = unsupported(&session);
        if unsupported.is_empty() {
            steps += session.steps.len();
            supported.push(session);
        }
        for what in unsupported {
            *skipped.entry(what).or_default() += 1;
        }
    }
    let mismatches = replay(&supported, mode);
    let replayed = supported.len();
    report(&mode, replayed, steps, &skipped);
    let shown = mismatches.iter().take(20).map(String::as_str).collect::<String>();
    assert!(mismatches.is_empty(), "{} sessions of {replayed} differ, {mode:?}:\n{shown}", mismatches.len());
    assert!(replayed >= SESSIONS_MIN, "only {replayed} sessions were replayed");
}

/// Returns how the sessions differ that do, in their order.
fn replay(sessions: &[Recorded], mode: Mode) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let mut mismatches: Vec<(usize, String)> = std::thread::scope(|scope| {
        let replay_some = || {
            let taken = std::iter::from_fn(|| {
                let at = next.fetch_add(1, Ordering::Relaxed);
                sessions.get(at).map(|session| (at, session))
            });
            taken.filter_map(|(at, session)| Some((at, replay_one(session, mode)?))).collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(replay_some)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no replay panics")).collect()
    });
    mismatches.sort_unstable();
    mismatches.into_iter().map(|(_, mismatch)| mismatch).collect()
}

/// Past the capturing of test output: what was not tested is worth knowing when everything passes.
fn report(mode: &Mode, replayed: usize, steps: usize, skipped: &BTreeMap<String, usize>) {
    let mut text =
        format!("\nconformance {mode:?}: REPLAYED {replayed} sessions ({steps} steps); SKIPPED for the lack of");
    for (what, sessions) in skipped {
        let _ = write!(text, " {what} ({sessions})");
    }
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn replay_one(session: &Recorded, mode: Mode) -> Option<String> {
    let mut subject = Subject::new(mode);
    session.replay(|args| subject.execute(args))
}

/// The commands a session needs that are not supported.
fn unsupported(session: &Recorded) -> Vec<String> {
    let commands = session.steps.iter().filter_map(|step| match step {
        Step::Command { args, .. } => args.first(),
        Step::Sleep(_) => None,
    });
    let mut names: Vec<String> = commands.map(|name| String::from_utf8_lossy(name).to_uppercase()).collect();
    names.retain(|name| UNSUPPORTED.contains(&name.as_str()));
    names.sort();
    names.dedup();
    names
}

fn recorded_sessions() -> Vec<Recorded> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vectors");
    let mut files: Vec<_> =
        dir.read_dir().expect("the recordings are there").map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gz"));
    files.sort();
    let mut sessions = Vec::new();
    for path in files {
        let mut lines = String::new();
        let file = std::fs::File::open(&path).expect("a recording can be read");
        GzDecoder::new(file).read_to_string(&mut lines).expect("a recording is compressed text");
        sessions.extend(lines.lines().map(|line| session(&serde_json::from_str(line).expect("a recording is JSON"))));
    }
    sessions
}
