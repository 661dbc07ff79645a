//! A read that waits for its turn and for entries.

use std::time::Instant;

#[cfg(feature = "async")]
use super::Found;
use super::GroupRead;
use super::looking::Looked;
use crate::Result;
use crate::env::Env;
use crate::stream::group_options::GroupReadFrom;
#[cfg(feature = "async")]
use crate::stream::options::Block;
#[cfg(feature = "async")]
use crate::stream::put_off::{putting_off, settle_all};
use crate::waiters::{Interest, Registration};

impl GroupRead {
    /// What [`run`](Self::run) does, with sleeps and syncs that hold up no thread.
    #[cfg(feature = "async")]
    pub(super) async fn run_as_task(self) -> Result<Found> {
        let env = self.shared.env();
        let (queue, lanes) = (self.shared.tasks().queue(), self.shared.tasks().lanes());
        let deadline = self.block.deadline();
        let (looked, unsettled) = putting_off(|| self.look_first());
        // Also if it failed: consumers that it created stay.
        settle_all(unsettled, lanes).await?;
        let looked = looked?;
        let is_over = looked.is_answer() || self.block == Block::No;
        let found = looked.hand_over_async(lanes).await?;
        if is_over {
            return Ok(found);
        }
        let mut waiting = Waiting::begin(&self, env, deadline);
        let looked = loop {
            let until = match waiting.look()? {
                Step::Over(looked) => break looked,
                Step::Sleep(until) => until,
            };
            let is_woken = waiting.registration.wait_async(queue.sleep_until(until)).await;
            if let Some(looked) = waiting.rise(is_woken)? {
                break looked;
            }
        };
        drop(waiting);
        looked.hand_over_async(lanes).await
    }

    /// Looks in order of arrival, again whenever there may be something.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Result<Looked> {
        let mut waiting = Waiting::begin(self, self.shared.env(), deadline);
        loop {
            let until = match waiting.look()? {
                Step::Over(looked) => return Ok(looked),
                Step::Sleep(until) => until,
            };
            let is_woken = waiting.registration.wait(until);
            if let Some(looked) = waiting.rise(is_woken)? {
                return Ok(looked);
            }
        }
    }
}

/// A read that waits: it looks in order of arrival, again whenever there may be something, and sleeps in between.
struct Waiting<'a> {
    read: &'a GroupRead,
    env: &'a Env,
    registration: Registration<'a>,
    deadline: Option<Instant>,
    /// What the last look came to, and whether it had to stand back somewhere.
    last: Looked,
    stands_back: bool,
}

/// What a look of a read that waits leads to.
enum Step {
    Over(Looked),
    /// It is to sleep until it is woken, or until then.
    Sleep(Option<Instant>),
}

impl<'a> Waiting<'a> {
    fn begin(read: &'a GroupRead, env: &'a Env, deadline: Option<Instant>) -> Self {
        let interests = read.streams.iter().map(|(stream, from)| {
            let claims = matches!(from, GroupReadFrom::NewOrIdle(_));
            (stream.name(), Interest::Group { group: &read.group, claims })
        });
        let registration = env.waiters.register(interests);
        Self { read, env, registration, deadline, last: Looked::default(), stands_back: false }
    }

    fn look(&mut self) -> Result<Step> {
        self.env.check_waiting()?;
        let turns: Vec<bool> = (0..self.read.streams.len()).map(|at| self.registration.try_turn(at)).collect();
        let looked = self.read.look(|at| turns.get(at).copied().unwrap_or(false))?;
        looked.exhausted.iter().for_each(|&at| self.registration.exhausted(at));
        if looked.is_answer() {
            return Ok(Step::Over(looked));
        }
        self.last = looked;
        self.stands_back = turns.contains(&false);
        // Who has to stand back somewhere is called when its turn comes, and needs no timer of its own.
        let timer = if self.stands_back { None } else { self.read.next_idle()? };
        Ok(Step::Sleep([self.deadline, timer].into_iter().flatten().min()))
    }

    /// What follows when it sleeps no longer: what it comes to if time is up, or else another look.
    fn rise(&mut self, is_woken: bool) -> Result<Option<Looked>> {
        if is_woken {
            return Ok(None);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            // Who always had to stand back is owed a look.
            let last = if self.stands_back { self.read.look(|_| true)? } else { std::mem::take(&mut self.last) };
            return Ok(Some(last));
        }
        for at in 0..self.read.streams.len() {
            if self.read.idle_in(at)? == Some(0) {
                self.registration.stand_back(at);
            }
        }
        Ok(None)
    }
}
