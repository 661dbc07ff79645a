//! Promise: what a store or a Redis server writes as commands, a store or a server rebuilds without loss.
//!
//! Random histories print their seed; `STREAMLOG_SEED` repeats them. Without a `redis-server` of version 7.0 on the PATH nothing
//! is compared with one, and a line says so that begins with `SKIPPED:`; with `STREAMLOG_NO_SKIPS` in the environment that is a
//! failure.
//!
//! | module | asks |
//! |---|---|
//! | [`fixtures`] | does what Redis 8.6.2 wrote come to what it answers? |
//! | [`round_trip`] | does a store that is written and read again come to the same? |
//! | [`input`] | what of logs that are cut short, damaged, or of more than streams? |
//! | [`resume`] | does an import that is stopped anywhere come to the same? |
//! | [`server`] | does a running server rebuild what is exported, and is what it logs imported? |

#[allow(dead_code, reason = "its random commands are for servers and stores side by side")]
#[path = "../differential/commands.rs"]
mod commands;
#[path = "../differential/differences.rs"]
mod differences;
mod fixtures;
mod harness;
mod history;
mod input;
#[path = "../conformance/recorded.rs"]
mod recorded;
#[path = "../differential/server.rs"]
mod redis;
mod resume;
mod round_trip;
mod server;
#[path = "../conformance/value.rs"]
mod value;
