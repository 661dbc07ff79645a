//! Promises P2 and P3 when the process is killed: what was acknowledged is there, whatever the level, and nothing else.
//!
//! A child, which is this program again, works on a store in a directory and says on a pipe what it is about to do and what
//! was acknowledged. It is killed with SIGKILL; the store is opened and held against what the child had said, and then is
//! where the next child begins.
//!
//! | module | |
//! |---|---|
//! | [`child`] | what the child does: at random with six threads, by a script, or one of the [`cases`] |
//! | [`ledger`] | what was said, and whether a store agrees |
//! | [`parent`] | starts and kills, at random |
//! | [`at_calls`] | kills at calls to the disk, until children have died at all of them |
//!
//! `STREAMLOG_KILLS` is the number of kills at random, `STREAMLOG_SEED` replays when and what, as far as threads let it.
//! `STREAMLOG_CASE=<case>` kills in one of the cases only.
#![cfg(unix)]

mod at_calls;
mod cases;
mod child;
mod ledger;
mod parent;

#[allow(dead_code, reason = "it is shared with the tests of faults, which use more of it")]
#[path = "../faults/damage.rs"]
mod damage;
#[allow(dead_code, reason = "it is shared with the tests of faults, which use more of it")]
#[path = "../faults/engine.rs"]
mod engine;
#[allow(dead_code, reason = "it is shared with the tests of recovery, which use more of it")]
#[path = "../recovery/harness.rs"]
mod harness;
#[allow(dead_code, reason = "it is shared with the tests of faults, which use more of it")]
#[path = "../faults/histories.rs"]
mod histories;
#[allow(dead_code, reason = "it is shared with the tests of faults, which use more of it")]
#[path = "../faults/inject.rs"]
mod inject;
#[allow(dead_code, reason = "it is shared with the tests of faults, which use more of it")]
#[path = "../faults/operations.rs"]
mod operations;
#[allow(dead_code, reason = "it is shared with the tests of faults, which use more of it")]
#[path = "../faults/sites.rs"]
mod sites;
