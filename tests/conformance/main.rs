//! Promise P1: every command answers as Redis does, and its errors read as Redis's do.
//!
//! | module | compares with |
//! |---|---|
//! | [`vectors`] | sessions recorded from Redis 8.6.2, replayed in every way a store can be opened |
//! | [`edge_cases`] | the cases that implementations get wrong, as the behavioural reference numbers them |
//! | [`beyond`] | what neither covers: key commands, connections, options newer than the recordings, RESP3 |
//! | [`blocking`] | readers that wait while others write |
//! | [`blocking_groups`] | the same as consumers of groups |
//! | [`misuse`] | arguments that are wrong, in every position and in every two |
//! | [`typed`] | misuse of the typed interface |
//! | [`transactions`] | commands between MULTI and EXEC |

mod beyond;
mod blocking;
mod blocking_groups;
mod edge_cases;
mod misuse;
mod notation;
mod recorded;
mod subject;
mod transactions;
mod typed;
mod value;
mod vectors;
