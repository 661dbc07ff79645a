//! Promises P2 to P5 and P9: what was acknowledged survives, damage is noticed, and what is not a store is left alone.
//!
//! | module | asks |
//! |---|---|
//! | [`power_loss`] | is the state after a crash one that was, and nothing acknowledged missing? |

mod harness;
mod power_loss;
