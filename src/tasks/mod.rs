//! What futures of a store run on: threads of the store's own, so that they need no runtime and hold up nobody's.
//!
//! Two kinds of thread, each started when it is first needed, and ended when the store is closed:
//!
//! - one that *runs tasks* ([`Queue`]): it appends, reads and delivers, in the order in which tasks are started, and never
//!   waits for a sync of what it has appended. It also keeps the time of those who wait until a deadline;
//! - a few that *sync* ([`Lanes`]): a lane for each stream, in which one sync serves all who came before it began.
//!
//! A task whose future is dropped is dropped with it, at once, unless it is running in that moment: then when it next waits.

pub mod lanes;
pub mod queue;
pub mod task;

use std::future::Future;
use std::io;
use std::sync::Arc;

use crate::tasks::lanes::Lanes;
use crate::tasks::queue::Queue;
use crate::tasks::task::Handle;

/// The tasks of a store, and the threads that run them.
#[derive(Debug, Default)]
pub struct Tasks {
    queue: Arc<Queue>,
    lanes: Arc<Lanes>,
}

impl Tasks {
    /// Starts a task.
    ///
    /// # Errors
    ///
    /// The thread that would run it cannot be started.
    pub fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> io::Result<Handle<T>> {
        self.queue.start()?;
        Ok(task::spawn(&self.queue, future))
    }

    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    pub fn lanes(&self) -> &Arc<Lanes> {
        &self.lanes
    }

    /// Ends the threads, when all tasks have come to their end: to be called when nothing keeps them from it.
    pub fn stop(&self) {
        // First those that may want to have something synced.
        self.queue.stop();
        self.lanes.stop();
    }
}
