//! Promises P2 and P3 when the process is killed: what was acknowledged is there, whatever the level, and nothing else.
//!
//! A child, which is this program again, works on a store in a directory and says on a pipe what it is about to do and what
//! was acknowledged. It is killed with SIGKILL; the store is opened and held against what the child had said, and then is
//! where the next child begins.
//!
//! | module | |
//! |---|---|
//! | [`child`] | what the child does: at random with six threads, or by a script |
//! | [`ledger`] | what was said, and whether a store agrees |
//! | [`parent`] | starts and kills |
//!
//! `STREAMLOG_KILLS` is the number of kills at random, `STREAMLOG_SEED` replays when and what, as far as threads let it.

#[cfg(unix)]
mod child;
#[cfg(unix)]
mod ledger;
#[cfg(unix)]
mod parent;
#[cfg(unix)]
#[allow(dead_code, reason = "it is shared with the tests of faults, which use more of it")]
#[path = "../faults/sites.rs"]
mod sites;
