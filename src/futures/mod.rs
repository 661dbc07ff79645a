//! Calls as futures, and entries as [`Stream`](futures_core::Stream)s, for any runtime or none. Needs the feature `async`.
//!
//! Each handle has the calls that are worth it: [`Stream::add_async`](crate::Stream::add_async) and its like,
//! [`Read::run_async`](crate::Read::run_async), [`GroupRead::run_async`](crate::GroupRead::run_async),
//! [`Group::acknowledge_async`](crate::Group::acknowledge_async), [`Store::sync_async`](crate::Store::sync_async). Anything else
//! is a future by [`Store::run_async`](crate::Store::run_async). [`Follow`] gives the entries of a stream as they come,
//! [`Deliveries`] those that are delivered to a consumer.
//!
//! # Where the work is done
//!
//! Never on the thread that polls. The store has a thread of its own for the calls of futures, `streamlog-tasks`, and up to four
//! that sync, `streamlog-commit`; they are started when they are first needed, and end when the store is closed. So:
//!
//! - Futures need no runtime, block none, and can be polled by any.
//! - Calls are made in the order in which their futures were first polled.
//! - A read that waits takes no thread. It waits in the same queue as blocked threads do, first come first served.
//! - Adds, deliveries and acknowledgements whose futures wait at the same time share their syncs, also with threads, at
//!   [`Durability::Always`](crate::Durability::Always). Streams are synced side by side, four at a time.
//! - A call costs two changes of threads, a few microseconds where the threads are awake and some ten where they sleep. At
//!   [`Durability::Always`](crate::Durability::Always) that is little beside the sync. At the other levels, an
//!   [`add`](crate::Stream::add) is a copy in memory, but for the rare one that creates the stream or a segment: called directly it
//!   is cheaper.
//! - What a single call reads or does at length, such as opening a large stream, holds up the other futures of the store, though
//!   not their runtime.
//!
//! # What becomes of a future that is dropped
//!
//! | dropped | |
//! |---|---|
//! | before it was polled | nothing was done |
//! | an add, an acknowledgement, or any other change | it is done or not, wholly in either case; if it was done, it becomes durable. With a [`production`](crate::AddOptions::production), an add can be repeated |
//! | [`Read`](crate::Read), [`Follow`] | nothing was changed; the entries can be read again, after the last ID that was handed over |
//! | a read of a group that waits | it has left the queue, and nothing was delivered to it: what comes is new for the next consumer |
//! | a read of a group to which something was just being delivered | that is pending for its consumer: [`history`](crate::GroupRead::history) gives it to the consumer again, [`claim`](crate::GroupRead::claim) and [`auto_claim`](crate::Consumer::auto_claim) to others |
//! | [`Deliveries`] | as a read of a group; what was delivered and not yet handed over is pending, too |
//!
//! So a consumer that begins, or that has dropped a read, reads its [`history`](crate::GroupRead::history_async) first.
//!
//! A store that is closed, or poisoned by a failure, ends all futures with [`Error::Closed`](crate::Error::Closed) or
//! [`Error::Poisoned`](crate::Error::Poisoned); in a forked child they end with [`Error::Forked`](crate::Error::Forked). A future
//! that is under way keeps its store open. [`Store::close`](crate::Store::close) waits for the disk: on a runtime it is a call
//! for `spawn_blocking`, or for the end of `main`.
//!
//! # Examples
//!
//! A worker and a follower on tokio:
//!
//! ```
//! use std::pin::pin;
//! use std::time::Duration;
//! use streamlog::{Block, GroupOptions, Position, ReadFrom, Store, StreamId};
//!
//! /// The next entry of anything that gives entries.
//! async fn next<S: futures_core::Stream>(stream: &mut std::pin::Pin<&mut S>) -> Option<S::Item> {
//!     std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let store = Store::in_memory();
//!     let orders = store.stream("orders")?;
//!     let workers = orders.group("workers");
//!     workers.create_with(GroupOptions::new(Position::Start).create_stream())?;
//!
//!     let worker = tokio::spawn(async move {
//!         let alice = workers.consumer("alice");
//!         let mut orders = pin!(alice.read().count(10).into_stream());
//!         let order = next(&mut orders).await.expect("it ends only with an error")?;
//!         alice.ack_async([order.id]).await
//!     });
//!     let mut entries = pin!(orders.follow(ReadFrom::After(StreamId::MIN)));
//!     // Durable when it comes back.
//!     let id = orders.add_async([("order", "o1")]).await?;
//!     let entry = next(&mut entries).await.expect("it ends only with an error")?;
//!     assert_eq!(entry.id(), id);
//!     assert_eq!(worker.await??, 1);
//!
//!     // A time limit of the runtime's is as good as one of the read's own.
//!     let more = orders.read(ReadFrom::End).block(Block::Forever).run_async();
//!     assert!(tokio::time::timeout(Duration::from_millis(5), more).await.is_err());
//!     Ok(())
//! }
//! ```

mod calls;
mod deliveries;
mod follow;
mod operation;

pub use deliveries::Deliveries;
pub use follow::Follow;
pub use operation::Operation;
