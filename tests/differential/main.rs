//! Promise: what both know, a store and a running Redis server answer the same, whatever the sequence of commands.
//!
//! A failing sequence is made smaller and printed; it can be run again by the seed that is printed with it, as
//! `STREAMLOG_SEED=<seed> cargo test --test differential`. `STREAMLOG_CASES=5000` makes it more sequences. Without a
//! `redis-server` of version 7.0 on the PATH nothing is compared, and a line says so that begins with `SKIPPED:`; with
//! `STREAMLOG_NO_SKIPS` in the environment that is a failure.
//!
//! | module | has |
//! |---|---|
//! | [`commands`] | random commands, right and wrong |
//! | [`differences`] | what may differ, and why |
//! | [`pair`] | the comparison |
//! | [`server`] | the server, started for the test |

mod commands;
mod differences;
mod pair;
mod server;
#[path = "../conformance/value.rs"]
mod value;

use commands::{Kind, Words};
use pair::{Pair, words};
use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestCaseError, TestError, TestRng, TestRunner};
use server::Server;

/// Runs random sequences; `cases` unless the environment asks for more.
fn random_sequences(kind: Kind, cases: u32) {
    let Some(server) = Server::start() else { return };
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let cases = number("STREAMLOG_CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(cases);
    let seed = number("STREAMLOG_SEED").unwrap_or_else(any_seed);
    println!("{kind:?}: {cases} sequences, STREAMLOG_SEED={seed}");
    let config = Config {
        cases,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: 4000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    // The runner hands out sequences one by one, but to a function that may not change anything.
    let server = std::cell::RefCell::new(server);
    let result = runner.run(&vec(commands::any_command(kind), 1..60), |commands| {
        let mut server = server.borrow_mut();
        Pair::new(&mut server, kind).and_then(|pair| pair.run(&commands)).map_err(TestCaseError::fail)
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, commands)) => {
            let commands: String = commands.iter().map(|words| format!("  {words:?}\n")).collect();
            panic!("{reason}\nThe shortest sequence found:\n{commands}STREAMLOG_SEED={seed}");
        }
        Err(abort) => panic!("{abort}"),
    }
}

fn any_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[test]
fn streams_answer_as_in_redis() {
    random_sequences(Kind::Streams, 300);
}

#[test]
fn groups_answer_as_in_redis() {
    random_sequences(Kind::Groups, 300);
}

#[test]
fn groups_count_what_they_read_as_in_redis() {
    random_sequences(Kind::GroupsThatGrow, 150);
}

#[test]
fn transactions_answer_as_in_redis() {
    let Some(mut server) = Server::start() else { return };
    let mut pair = Pair::new(&mut server, Kind::Streams).expect("both answer the first command the same");
    let commands: Vec<Words> = TRANSACTIONS.lines().map(|line| words(&line.split(' ').collect::<Vec<_>>())).collect();
    for command in commands {
        pair.compare(command).unwrap_or_else(|difference| panic!("{difference}"));
    }
}

/// Blocks of both hold 100 entries, and begin at the same ones in a stream that was filled in one go.
#[test]
fn approximate_trimming_removes_the_same_blocks_as_in_redis() {
    let Some(mut server) = Server::start() else { return };
    let mut failures = String::new();
    for trim in [
        "MAXLEN ~ 1000",
        "MAXLEN ~ 950",
        "MAXLEN ~ 900",
        "MAXLEN ~ 899",
        "MAXLEN ~ 55",
        "MINID ~ 2-0",
        "MINID ~ 101-0",
        "MINID ~ 102-0",
        "MINID ~ 777-0",
        "MAXLEN ~ 100 LIMIT 0",
        "MAXLEN ~ 100 LIMIT 99",
        "MAXLEN ~ 100 LIMIT 100",
        "MAXLEN ~ 100 LIMIT 250",
        "MINID ~ 777-0 LIMIT 399",
    ] {
        let fill = words(&["@fill", "s", "1000"]);
        let trim = format!("XTRIM s {trim}");
        let trim = words(&trim.split(' ').collect::<Vec<_>>());
        let pair = Pair::new(&mut server, Kind::Streams);
        if let Err(difference) = pair.and_then(|pair| pair.run(&[fill, trim])) {
            failures.push_str(&format!("{difference}\n"));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

const TRANSACTIONS: &str = "\
EXEC
DISCARD
MULTI
XADD s 1-1 f v
XLEN s
XADD s 1-1 f v
XREAD BLOCK 0 STREAMS s $
XREAD BLOCK x STREAMS s $
UNWATCH
PING
EXEC
EXEC
MULTI
MULTI
WATCH s
XADD s 1-2 f v
EXEC
MULTI
XDEL s 1-1
DISCARD
XLEN s
MULTI
NOSUCH x
XLEN s
EXEC
MULTI
XINFO NOSUCH
EXEC
MULTI
XADD s
DISCARD
MULTI
MULTI x
EXEC
MULTI
EXEC x
EXEC
EXEC x
MULTI
EXEC
UNWATCH";
