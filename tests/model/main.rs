//! Promise: no sequence of operations, reopening and crashes included, tells a store from a handful of sorted maps.
//!
//! A failing sequence is made smaller and printed; it can be run again by the seed that is printed with it, as
//! `STREAMLOG_SEED=<seed> cargo test --test model`. `PROPTEST_CASES` or `STREAMLOG_NIGHTLY=1` make it more sequences.

mod group_ops;
mod groups;
mod model;
mod named;
mod ops;
mod run;
mod subject;

use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestError, TestRng, TestRunner};
use streamlog::Durability;
use subject::Medium;

/// Runs random sequences against one medium; `cases` unless the environment asks for more.
fn random_sequences(medium: Medium, durability: Durability, cases: u32, len: usize) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let nightly = if std::env::var_os("STREAMLOG_NIGHTLY").is_some() { 50 } else { 1 };
    let cases = number("PROPTEST_CASES").map_or(cases * nightly, |cases| cases as u32);
    let seed = number("STREAMLOG_SEED").unwrap_or_else(any_seed);
    println!("{medium:?} at {durability:?}: {cases} sequences, STREAMLOG_SEED={seed}");
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
    let result = runner.run(&vec(ops::any_op(), 1..len), |ops| run::run(medium, durability, &ops));
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, ops)) => {
            let ops: String = ops.iter().map(|op| format!("  {op:?},\n")).collect();
            panic!("{reason}\nThe shortest sequence found:\n{ops}STREAMLOG_SEED={seed}");
        }
        Err(abort) => panic!("{abort}"),
    }
}

fn any_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[test]
fn a_store_in_memory_behaves_like_sorted_maps() {
    random_sequences(Medium::Memory, Durability::Always, 150, 120);
}

#[test]
fn a_store_in_memory_behaves_like_sorted_maps_without_syncs() {
    random_sequences(Medium::Memory, Durability::Os, 150, 120);
}

#[test]
fn a_store_on_a_disk_that_loses_power_behaves_like_sorted_maps() {
    random_sequences(Medium::Simulated, Durability::Always, 150, 80);
}

#[test]
fn a_store_of_a_process_that_is_killed_behaves_like_sorted_maps() {
    random_sequences(Medium::Simulated, Durability::Os, 150, 80);
}

#[test]
fn a_store_that_syncs_in_the_background_behaves_like_sorted_maps() {
    random_sequences(Medium::Simulated, Durability::Interval(std::time::Duration::from_millis(1)), 20, 80);
}

#[test]
fn a_store_of_files_behaves_like_sorted_maps() {
    random_sequences(Medium::Files, Durability::Os, 15, 100);
}

#[test]
fn a_store_of_synced_files_behaves_like_sorted_maps() {
    random_sequences(Medium::Files, Durability::Always, 4, 60);
}
