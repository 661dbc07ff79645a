use std::collections::BTreeSet;

use streamlog::Store;
use streamlog::command::{self, Reply, Session, split_line};

use super::super::syntax::Term;
use super::*;

/// A store in which the examples mean something.
fn store() -> Store {
    let store = Store::in_memory();
    let mut session = Session::new(&store);
    for line in [
        "XADD orders 1-0 type order.created",
        "XADD orders 2-0 type order.paid",
        "XADD payments 1-0 order o1",
        "XGROUP CREATE orders workers 0",
        "XREADGROUP GROUP workers alice COUNT 1 STREAMS orders >",
        "XREADGROUP GROUP workers bob COUNT 1 STREAMS orders >",
    ] {
        run(&mut session, line);
    }
    store
}

fn run(session: &mut Session, line: &str) -> Reply {
    let reply = session.execute(&split_line(line.as_bytes()).unwrap());
    assert!(!reply.is_error(), "{line}: {reply:?}");
    reply
}

#[test]
fn every_command_is_described_and_nothing_else() {
    let described: BTreeSet<_> = all().map(|entry| entry.name.to_owned()).collect();
    assert_eq!(described, command::names().into_iter().collect());
    assert_eq!(all().count(), described.len(), "something is described twice");
}

#[test]
fn every_example_can_be_typed() {
    for entry in all() {
        assert!(!entry.examples.is_empty() || entry.name == "WATCH", "{} has no example", entry.name);
        for example in entry.examples {
            let words = split_line(example.as_bytes()).unwrap();
            let (called, arguments) = find(&words).unwrap();
            assert_eq!(called.name, entry.name, "{example}");
            let left = arguments.iter().try_fold(entry.syntax(), |rest, argument| rest.after(argument));
            assert!(left.is_some(), "{example} is not {}", entry.arguments);
            let mut session = Session::new(&store());
            if ["EXEC", "DISCARD"].contains(&entry.name) {
                run(&mut session, "MULTI");
            }
            run(&mut session, example);
        }
    }
}

/// The command layer counts arguments first, so it says of what it is given whether the syntax has as many.
#[test]
fn a_syntax_asks_for_no_more_and_no_fewer_arguments_than_the_command() {
    for entry in all() {
        let mut words: Vec<Vec<u8>> = entry.words().map(|word| word.as_bytes().to_vec()).collect();
        let name = words.len();
        for word in shortest(entry) {
            if words.len() > name {
                assert!(is_refused(&words), "{} takes fewer arguments than {}", entry.name, entry.arguments);
            }
            words.push(word.as_bytes().to_vec());
        }
        assert!(!is_refused(&words), "{} takes more arguments than {}", entry.name, entry.arguments);
    }
}

/// The arguments that have to be there.
fn shortest(entry: &Entry) -> Vec<&'static str> {
    let mut depth = 0;
    let mut words = Vec::new();
    for word in entry.arguments.split_ascii_whitespace() {
        depth += word.matches('[').count();
        if depth == 0 {
            words.push(word.split('|').next_back().unwrap());
        }
        depth -= word.matches(']').count();
    }
    words
}

fn is_refused(words: &[Vec<u8>]) -> bool {
    let reply = Session::new(&Store::in_memory()).execute(words);
    matches!(&reply, Reply::Error(text) if text.starts_with(b"ERR wrong number of arguments"))
}

#[test]
fn descriptions_are_short_and_plain() {
    for entry in all() {
        assert!(entry.summary.ends_with('.') && entry.summary.len() <= 110, "{}: {}", entry.name, entry.summary);
        assert!(entry.more.is_empty() || entry.more.ends_with('.'), "{}", entry.name);
        assert!(!entry.more.contains("  "), "{} has blanks in a row", entry.name);
        assert_eq!(entry.syntax().to_string(), entry.arguments, "{}", entry.name);
    }
}

#[test]
fn names_of_streams_and_groups_can_be_completed_wherever_they_are_asked_for() {
    let named = |name| all().filter(move |entry| entry.arguments.split([' ', '[', ']', '|']).any(|word| word == name));
    assert!(named("stream").count() > 25 && named("group").count() > 10);
    for entry in named("stream").filter(|entry| !entry.arguments.contains("STREAMS")) {
        assert!(entry.syntax().next().contains(&Term::Argument("stream")), "{} begins with something else", entry.name);
    }
}
