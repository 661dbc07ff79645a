//! Threads for what is help only: one for each kind of it in the whole process, from the first time on that there is
//! something to do.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::process::Process;

/// Something to do. Whoever gave it does not wait, and must do without it if need be.
pub(super) trait Job: Send + 'static {
    fn run(self);
}

/// A thread that does one job after the other.
pub(super) struct Helper<J> {
    name: &'static str,
    thread: OnceLock<Option<Running<J>>>,
}

struct Running<J> {
    jobs: Sender<J>,
    /// A forked child has no such thread.
    process: Process,
}

impl<J: Job> Helper<J> {
    /// The thread gets this name, of at most 15 bytes as Linux has it.
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, thread: OnceLock::new() }
    }

    /// Leaves a job to the thread. Where there can be none, nothing comes of it.
    pub(super) fn give(&self, job: J) {
        let running = self.thread.get_or_init(|| self.start()).as_ref();
        if let Some(running) = running.filter(|running| running.process.is_current()) {
            let _ = running.jobs.send(job);
        }
    }

    fn start(&self) -> Option<Running<J>> {
        let (jobs, taken) = channel();
        let work = move || {
            let taken: Receiver<J> = taken;
            taken.iter().for_each(J::run);
        };
        let thread = thread::Builder::new().name(self.name.to_owned()).stack_size(64 << 10);
        thread.spawn(work).ok()?;
        Some(Running { jobs, process: Process::current() })
    }
}
