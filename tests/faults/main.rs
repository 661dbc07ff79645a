//! Promises P2, P3, P5 and P9 when the disk fails: every call to the disk fails in turn, with every error, once or from then
//! on.
//!
//! | module | asks |
//! |---|---|
//! | [`histories`] | does a failed operation leave the state before or after it, and the store fit to go on or to be reopened? |
//! | [`operations`] | the same of what the model of the histories does not know: many streams, long names, sealed segments… |
//! | [`named`] | what was found by it |
//! | [`sites`] | which calls in the source are made to the disk, and was each of them failed? |
//!
//! What an operation that fails may leave behind:
//!
//! | it returned | the state, now and after reopening | the store |
//! |---|---|---|
//! | [`Error::NoSpace`](streamlog::Error::NoSpace) | as before it | works; the same call succeeds once there is room |
//! | another error, and the store is not poisoned | as before it | works; the same call succeeds once the disk does |
//! | another error, and the store is poisoned | as before it or as after it, known after reopening | reads what is open or was closed |
//!
//! Until it is reopened, a poisoned store may also show a part of what failed: a stream that was to be replaced is missing,
//! pending entries are gone and what they name is not yet.
//!
//! `STREAMLOG_NIGHTLY=1` also lets a second call fail and the power, and fails the recovery from a crash.
//! `STREAMLOG_CASE="<scenario>"` runs one scenario only.

mod damage;
mod engine;
#[allow(dead_code, reason = "it is shared with the tests of recovery, which use more of it")]
#[path = "../recovery/harness.rs"]
mod harness;
mod histories;
mod inject;
mod named;
mod operations;
mod sites;

use std::time::Instant;

/// One test: what the scenarios reach is known when all have run.
#[test]
fn every_call_fails_with_every_error_and_nothing_is_lost() {
    let began = Instant::now();
    let mut campaign = engine::Campaign::new();
    histories::run(&mut campaign);
    operations::run(&mut campaign);
    damage::run(&mut campaign);
    campaign.finish(began);
}
