//! Promise: code written for redis-rs runs on an embedded store, blocking and asynchronous.
//!
//! | module | shows |
//! |---|---|
//! | [`blocking`] | `Commands` with their typed replies, pipelines, errors |
//! | [`groups`] | the same for consumer groups |
//! | [`asynchronous`] | the same with futures, reads that wait, futures that are dropped |

mod asynchronous;
mod blocking;
mod groups;

use streamlog::Store;
use streamlog::command::Protocol;
use streamlog::redis::Connection;

/// A connection to an empty store, in each version of the protocol.
fn connections() -> [Connection; 2] {
    [Protocol::Resp2, Protocol::Resp3].map(|protocol| Connection::with_protocol(&Store::in_memory(), protocol))
}
