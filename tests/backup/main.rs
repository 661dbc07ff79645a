//! Promise: a backup of a store that is in use is a store, with a prefix of every stream; and what was there before is there
//! until it is.
//!
//! Random kills print their seed; `STREAMLOG_SEED` repeats them.

mod files;
mod harness;
mod kills;
mod live;
mod refused;
