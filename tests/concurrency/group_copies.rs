//! Promise: what goes on at the same time leaves groups and entries of one moment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use streamlog::{AddOptions, Durability, Error, GroupOptions, Options, Position, Production, StreamId};

const HOW_LONG: Duration = Duration::from_millis(700);

/// Sets it when it goes, also by a panic: then the others end, too.
struct Set<'a>(&'a AtomicBool);

impl Drop for Set<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Calls `work` in a thread of its own until `done` is set, and sets it also if that panics.
fn until<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    done: &'scope AtomicBool,
    mut work: impl FnMut() + Send + 'scope,
) {
    scope.spawn(move || {
        let _set = Set(done);
        while !done.load(Ordering::SeqCst) {
            work();
        }
    });
}

/// Found by reading: the groups of a copy were those of a later moment, and swallowed what was added to it.
#[test]
fn a_copy_has_log_and_groups_of_one_moment() {
    for level in [Durability::Os, Durability::Always] {
        let store = Options::new().durability(level).in_memory();
        let stream = store.stream("s").unwrap();
        let group = stream.group("g");
        group.create_with(GroupOptions::new(Position::Start).entries_read(0).create_stream()).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (stream, group, mut number) = (&stream, &group, 0u32);
            until(scope, &done, move || {
                number += 1;
                let key = number.to_le_bytes();
                let options = AddOptions::new().production(Production::Named { producer: b"p", id: &key });
                stream.add_with(options, [("n", "v")]).unwrap();
                let given = group.consumer("alice").read().new_entries().unwrap();
                group.acknowledge(given.iter().map(streamlog::Entry::id)).unwrap();
                // So that copying takes not too long.
                stream.trim(streamlog::Trim::to_len(500)).unwrap();
            });
            let _set = Set(&done);
            let began = Instant::now();
            while began.elapsed() < HOW_LONG && !done.load(Ordering::SeqCst) {
                assert!(store.copy_over("s", "copy").unwrap());
                let copy = store.stream("copy").unwrap();
                let (info, groups) = (copy.info().unwrap(), copy.groups().unwrap());
                let position = groups[0].last_delivered_id;
                assert!(position <= info.last_generated_id, "{position} of {}", info.last_generated_id);
                assert!(groups[0].entries_read.unwrap() <= info.entries_added);
                assert_eq!(info.producers.added, info.entries_added, "each came of a production");
            }
        });
    }
}

/// Changes wait while a journal is replaced, and find the stream renamed, or retired, when their turn comes.
#[test]
fn nothing_is_lost_or_given_twice_while_journals_are_replaced_and_the_stream_is_renamed() {
    for level in [Durability::Os, Durability::Always] {
        let directory = tempfile::tempdir().unwrap();
        let options = || Options::new().durability(level).segment_bytes_max(4096).checkpoint_bytes_min(600);
        let store = options().open(directory.path()).unwrap();
        store.stream("s").unwrap().group("g").create_with(GroupOptions::new(Position::Start).create_stream()).unwrap();
        let done = AtomicBool::new(false);
        let given = parking_lot::Mutex::new((Vec::<StreamId>::new(), Vec::<StreamId>::new()));
        let unless_away = |error: &Error| matches!(error, Error::GroupNotFound { .. } | Error::StreamNotFound { .. });
        std::thread::scope(|scope| {
            let (store, done, given) = (&store, &done, &given);
            until(scope, done, move || {
                match store.stream("s").unwrap().add_with(AddOptions::new().no_create(), [("n", "v")]) {
                    Ok(_) => {}
                    Err(error) => assert!(unless_away(&error), "{error}"),
                }
            });
            for consumer in ["alice", "bob"] {
                until(scope, done, move || {
                    let group = store.stream("s").unwrap().group("g");
                    let entries = match group.consumer(consumer).read().count(3).new_entries() {
                        Ok(entries) => entries,
                        Err(error) if unless_away(&error) => return,
                        Err(error) => panic!("{error}"),
                    };
                    let ids: Vec<StreamId> = entries.iter().map(streamlog::Entry::id).collect();
                    let acknowledged = match group.acknowledge(ids.iter().copied().take(2)) {
                        Ok(count) => count as usize,
                        Err(error) if unless_away(&error) => 0,
                        Err(error) => panic!("{error}"),
                    };
                    let mut given = given.lock();
                    given.1.extend(&ids[..acknowledged]);
                    given.0.extend(ids);
                });
            }
            until(scope, done, move || {
                std::thread::sleep(Duration::from_millis(20));
                store.rename("s", "t").unwrap();
                store.rename("t", "s").unwrap();
            });
            std::thread::sleep(HOW_LONG);
            done.store(true, Ordering::SeqCst);
        });
        store.close().unwrap();
        let store = options().open(directory.path()).unwrap();
        let (stream, (mut given, acknowledged)) = (store.stream("s").unwrap(), given.into_inner());
        given.sort_unstable();
        assert!(given.is_sorted_by(|a, b| a < b), "an entry was given to two consumers");
        assert!(given.len() > 20, "{} were given", given.len());
        let group = stream.group("g");
        let pending = group.pending_entries().run().unwrap();
        let expected: Vec<StreamId> = given.iter().copied().filter(|id| !acknowledged.contains(id)).collect();
        assert_eq!(pending.iter().map(|entry| entry.id).collect::<Vec<_>>(), expected);
        given.extend(group.consumer("zoe").read().new_entries().unwrap().iter().map(streamlog::Entry::id));
        let all: Vec<StreamId> = stream.range(..).map(|entry| entry.unwrap().id()).collect();
        assert_eq!(given, all, "all were given, in order");
    }
}
