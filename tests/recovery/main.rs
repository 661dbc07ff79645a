//! Promises P2 to P5 and P9: what was acknowledged survives, damage is noticed, and what is not a store is left alone.
//!
//! | module | asks |
//! |---|---|
//! | [`bit_flips`] | is damage noticed, and kept to what it hit? |
//! | [`budget`] | does a store keep to its own limit? |
//! | [`clock`] | are IDs handed out once, whatever the clock does? |
//! | [`every_bit`] | is any bit, sector or file changed that nobody notices? |
//! | [`failures`] | what does each call do after a failure? |
//! | [`groups`] | are log and groups cut at one point, and does a full disk stop nobody from acknowledging? |
//! | [`large_values`] | does damage to a value cost what is behind it? |
//! | [`power_loss`] | is the state after a crash one that was, and nothing acknowledged missing? |
//! | [`quarantine`] | can a damaged stream go on, and is all told that it lost? |

mod bit_flips;
mod budget;
mod clock;
mod every_bit;
mod failures;
mod groups;
#[allow(dead_code, reason = "it is shared with the tests of faults, which use more of it")]
mod harness;
mod large_values;
mod power_loss;
mod quarantine;
mod report;
