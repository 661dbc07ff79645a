//! Runs the tests one after the other, and prints what cargo's own runner would, with those that were skipped as ignored.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// What became of a test that did not fail.
pub enum Outcome {
    /// It passed, and this is what it did.
    Passed(String),
    /// It could not be run, and this is why.
    Skipped(String),
}

pub type Test = (&'static str, fn() -> Outcome);

/// Runs those whose names hold one of the arguments, or are one of them after `--exact`.
pub fn run(tests: &[Test]) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_named = |name: &str| {
        names.is_empty() || names.iter().any(|&n| if has("--exact") { name == n } else { name.contains(n.as_str()) })
    };
    let chosen: Vec<&Test> = tests.iter().filter(|(name, _)| is_named(name)).collect();
    if has("--list") {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    println!("\nrunning {} tests; STREAMLOG_SEED={}", chosen.len(), seed());
    let started = Instant::now();
    let (mut passed, mut skipped, mut failed) = (0, 0, Vec::new());
    for (name, test) in &chosen {
        let began = Instant::now();
        match catch_unwind(AssertUnwindSafe(test)) {
            Ok(Outcome::Passed(what)) => {
                passed += 1;
                println!("test {name} ... ok: {what} ({:.1}s)", began.elapsed().as_secs_f64());
            }
            Ok(Outcome::Skipped(why)) => {
                println!("SKIPPED: {name}: {why}");
                match no_skips() {
                    true => failed.push(*name),
                    false => skipped += 1,
                }
            }
            Err(_) => {
                failed.push(*name);
                println!("test {name} ... FAILED");
            }
        }
    }
    for name in &failed {
        println!("    {name} failed; STREAMLOG_SEED={}", seed());
    }
    println!(
        "\ntest result: {}. {passed} passed; {} failed; {skipped} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed.is_empty() { "ok" } else { "FAILED" },
        failed.len(),
        tests.len() - chosen.len(),
        started.elapsed().as_secs_f64()
    );
    if !failed.is_empty() {
        std::process::exit(101);
    }
}

/// Whether each test is to be run, or else fails.
fn no_skips() -> bool {
    std::env::var_os("STREAMLOG_NO_SKIPS").is_some()
}

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The seed of everything that is random here.
pub fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    static SEED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *SEED.get_or_init(|| {
        number("STREAMLOG_SEED").unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish() >> 32)
    })
}

/// Numbers that look random and follow from a seed (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}
