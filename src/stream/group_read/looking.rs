//! One look at the streams of a read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Found, GroupRead, limit};
use crate::env::OneMoment;
use crate::stream::change::Made;
use crate::stream::commit::Progress;
use crate::stream::deliver::{Budget, Delivered, Request, millis};
use crate::stream::group_options::GroupReadFrom;
use crate::stream::inner::{Inner, Outcome};
#[cfg(feature = "async")]
use crate::stream::put_off::{Unsettled as PutOff, settle_all};
#[cfg(feature = "async")]
use crate::tasks::lanes::Lanes;
use crate::{Result, Stream};

impl GroupRead {
    /// When the next pending entry that may be claimed has been idle for long enough.
    pub(super) fn next_idle(&self) -> Result<Option<Instant>> {
        let mut next = None;
        for at in 0..self.streams.len() {
            let Some(wait) = self.idle_in(at)? else { continue };
            // Not sooner than the clock can tell.
            let at = Instant::now().checked_add(Duration::from_millis(wait.max(1)));
            next = [next, at].into_iter().flatten().min();
        }
        Ok(next)
    }

    /// How many milliseconds it is until there is something to claim at this position; `None` if nothing is claimed there.
    pub(super) fn idle_in(&self, at: usize) -> Result<Option<u64>> {
        let Some((stream, GroupReadFrom::NewOrIdle(min_idle))) = self.streams.get(at) else { return Ok(None) };
        let Some(inner) = stream.inner()? else { return Ok(None) };
        inner.idle_in(&self.group, millis(*min_idle))
    }

    /// Reads what there is in the streams at these positions. Nothing is read unless all streams have the group.
    pub(super) fn look(&self, is_wanted: impl Fn(usize) -> bool) -> Result<Looked> {
        let _moment = OneMoment::begin();
        // A single stream tells by itself.
        let by_itself = self.streams.len() == 1 && is_wanted(0);
        let mut unsettled = Vec::with_capacity(self.streams.len());
        for (stream, _) in &self.streams {
            let inner = stream.inner()?.filter(|inner| by_itself || inner.has_group(&self.group));
            let inner = inner.ok_or_else(|| self.not_found(stream))?;
            unsettled.push(Unsettled::new(inner));
        }
        let mut budget = self.budget();
        let mut looked = Looked::default();
        let streams = self.streams.iter().zip(&mut unsettled).enumerate().filter(|(position, _)| is_wanted(*position));
        for (position, ((stream, from), unsettled)) in streams {
            if budget.is_full() {
                break;
            }
            budget.count = limit(self.count);
            let delivered = match self.deliver(stream, unsettled, &self.request(*from), budget) {
                // What was delivered of others is to be handed over.
                Err(_) if !looked.entries.is_empty() => break,
                delivered => delivered?,
            };
            if let Some(damage) = delivered.damage {
                return Err(damage);
            }
            budget = delivered.budget;
            looked.take(position, *from, delivered);
        }
        looked.unsettled = unsettled;
        Ok(looked)
    }

    /// Reads one stream; if that is not the stream any more that has the name, the one that is.
    pub(super) fn deliver(
        &self,
        stream: &Stream,
        unsettled: &mut Unsettled,
        request: &Request<'_>,
        budget: Budget,
    ) -> Result<Delivered> {
        loop {
            if let Outcome::Done(Made { answer, progress }) = unsettled.inner.deliver(request, budget)? {
                unsettled.progress = progress;
                return answer.ok_or_else(|| self.not_found(stream));
            }
            unsettled.inner = stream.inner()?.ok_or_else(|| self.not_found(stream))?;
        }
    }
}

/// What a look at all streams came to.
#[derive(Debug, Default)]
pub(super) struct Looked {
    entries: Found,
    /// The positions of streams in which nothing is left that is new to the group.
    pub(super) exhausted: Vec<usize>,
    unsettled: Vec<Unsettled>,
}

/// A stream that is read, and how far it has to be durable before what was delivered is given out.
#[derive(Debug)]
pub(super) struct Unsettled {
    inner: Arc<Inner>,
    progress: Option<Progress>,
}

impl Unsettled {
    /// A stream of which nothing was delivered yet.
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, progress: None }
    }

    /// Returns when what was delivered is durable.
    pub(super) fn settle(&self) -> Result<()> {
        self.progress.map_or(Ok(()), |progress| self.inner.settle_aside(progress))
    }
}

impl Looked {
    fn take(&mut self, position: usize, from: GroupReadFrom, delivered: Delivered) {
        if !delivered.more {
            self.exhausted.push(position);
        }
        // An empty history says that there is none, so it is not what a limit has left of one.
        let is_history = matches!(from, GroupReadFrom::History(_)) && !delivered.more;
        if is_history || !delivered.entries.is_empty() {
            self.entries.push((position, delivered.entries));
        }
    }

    pub(super) fn is_answer(&self) -> bool {
        !self.entries.is_empty()
    }

    /// As [`hand_over`](Self::hand_over), without holding up a thread.
    #[cfg(feature = "async")]
    pub(super) async fn hand_over_async(self, lanes: &Arc<Lanes>) -> Result<Found> {
        let unsettled = self.unsettled.into_iter().filter(|one| one.inner.env.is_durable_first());
        let unsettled = unsettled.filter_map(|one| Some(PutOff::new(one.inner, one.progress?)));
        settle_all(unsettled.collect(), lanes).await?;
        Ok(self.entries)
    }

    /// Gives out what was delivered, when that is durable.
    pub(super) fn hand_over(self) -> Result<Found> {
        self.unsettled.iter().try_for_each(Unsettled::settle)?;
        Ok(self.entries)
    }
}
