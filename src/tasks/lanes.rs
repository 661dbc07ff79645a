//! Threads for what blocks, such as a sync: jobs of one lane one after the other, those of different lanes side by side.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::hash::HashMap;
use crate::sync::{Condvar, Mutex};

/// So many lanes are worked on at the same time: what a device makes of more syncs at once is not more.
const THREADS_MAX: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// Jobs in lanes.
#[derive(Default)]
pub struct Lanes {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    /// Lanes that have jobs or are being worked on.
    jobs: HashMap<usize, VecDeque<Job>>,
    /// Lanes that have jobs and are not being worked on.
    ready: VecDeque<usize>,
    /// Threads that have nothing to do.
    idle: usize,
    threads: Vec<JoinHandle<()>>,
    is_stopping: bool,
}

impl Lanes {
    /// Puts a job into a lane.
    ///
    /// # Errors
    ///
    /// There is no thread for it, and none can be started.
    pub fn push(self: &Arc<Self>, lane: usize, job: Job) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.idle <= state.ready.len() && state.threads.len() < THREADS_MAX && !state.jobs.contains_key(&lane) {
            let lanes = Arc::clone(self);
            match thread::Builder::new().name("streamlog-commit".to_owned()).spawn(move || lanes.work()) {
                Ok(thread) => state.threads.push(thread),
                // Those that are there get to it.
                Err(_) if !state.threads.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(jobs) = state.jobs.get_mut(&lane) {
            jobs.push_back(job);
        } else {
            state.jobs.insert(lane, VecDeque::from([job]));
            state.ready.push_back(lane);
            self.bell.notify_one();
        }
        Ok(())
    }

    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            let Some(lane) = state.ready.pop_front() else {
                if state.is_stopping {
                    return;
                }
                state.idle += 1;
                self.bell.wait(&mut state);
                state.idle -= 1;
                continue;
            };
            let jobs = state.jobs.get_mut(&lane).map(std::mem::take).unwrap_or_default();
            drop(state);
            for job in jobs {
                // Whoever waits for it is told that it came to nothing.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
            state = self.state.lock();
            match state.jobs.get(&lane) {
                // After the others.
                Some(jobs) if !jobs.is_empty() => state.ready.push_back(lane),
                _ => _ = state.jobs.remove(&lane),
            }
        }
    }

    /// Ends the threads when there is nothing left to do, and waits for them.
    pub fn stop(&self) {
        let threads = {
            let mut state = self.state.lock();
            state.is_stopping = true;
            std::mem::take(&mut state.threads)
        };
        self.bell.notify_all();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").finish_non_exhaustive()
    }
}
