//! Promise: the same store as futures, on any runtime. No runtime is held up by the disk, no wake-up is lost, and a future that
//! is dropped loses nothing.
//!
//! | module | shows |
//! |---|---|
//! | [`adds`] | changes whose futures come back when they are durable, share syncs, fail as calls do |
//! | [`reads`] | reads that wait, and entries as they come |
//! | [`read_only`] | the same of a store that another process writes |
//! | [`groups`] | consumers: whose turn it is, among tasks and threads; what becomes of what was delivered |
//! | [`endings`] | stores that are closed, poisoned or forked while futures wait |

mod adds;
mod endings;
mod groups;
mod harness;
mod read_only;
mod reads;
