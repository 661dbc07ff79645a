//! Blocked reads: who waits for which stream, and who is to be woken.
//!
//! A reader registers, looks, and only then sleeps; a writer publishes, and only then looks for readers. Both steps are
//! sequentially consistent, so either the reader sees the entry or the writer sees the reader.
//!
//! # Turns
//!
//! A new entry is for all plain readers, so all of them are woken. Of the readers of a group only one can have it: they
//! queue, first come first served, and *turns* go round. Who has the turn was woken, or looks because it has just come;
//! who comes while somebody has it is *due*, and does not look before its turn. A turn ends when its reader
//!
//! - leaves. There may be more than it took, so the turn goes to the first in the queue;
//! - finds nothing and sleeps again, or says that it took everything ([`Registration::exhausted`]). What comes later gives
//!   the first in the queue a turn, so this one goes only to who is due.
//!
//! Somebody may be given a turn while another has one: that costs a look. These hold at every moment:
//!
//! - **W1** If there is something for a group, and somebody waits for it, then somebody has the turn, or who brought it has
//!   not told yet, or keeps quiet ([`Waiters::keep_quiet`]). Nobody sleeps while there is something, and nobody else need be
//!   woken.
//! - **W2** If somebody is due, then somebody has the turn. So everybody looks, or is told to leave, some time after it
//!   came: it may see what those before it cannot take, such as an entry that has been pending for long enough.
//!
//! A reader has a place in the queue of each group it reads. Turns in different queues know nothing of each other: what it
//! does not use it passes on when it leaves, whichever woke it.

use std::collections::BTreeMap;
use std::sync::Arc;
#[cfg(feature = "async")]
use std::task::Poll;
use std::time::Instant;

use crate::StreamId;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use crate::sync::{Condvar, Mutex};

/// What a blocked read waits for in one stream.
#[derive(Clone, Copy, Debug)]
pub enum Interest<'a> {
    /// Entries above this ID.
    Entries { after: StreamId },
    /// Entries that are new to a group; with `claims` also pending ones that were released.
    Group { group: &'a [u8], claims: bool },
}

impl Interest<'_> {
    fn claims(&self) -> bool {
        matches!(self, Interest::Group { claims: true, .. })
    }
}

/// All blocked reads of a store.
#[derive(Debug, Default)]
pub struct Waiters {
    /// The number of registered readers: writers look no further while it is zero.
    count: AtomicUsize,
    queues: Mutex<Queues>,
}

/// When a reader came, in relation to others.
type Ticket = u64;

#[derive(Debug, Default)]
struct Queues {
    next_ticket: Ticket,
    by_name: BTreeMap<Box<[u8]>, Readers>,
}

/// Who waits for one stream.
#[derive(Debug, Default)]
struct Readers {
    plain: BTreeMap<Ticket, Plain>,
    groups: BTreeMap<Box<[u8]>, Queue>,
}

#[derive(Debug)]
struct Plain {
    waiter: Arc<Waiter>,
    after: StreamId,
}

/// The readers of one group.
#[derive(Debug, Default)]
struct Queue {
    places: BTreeMap<Ticket, Place>,
    /// There may be something for anybody here of which nobody was told: see [`Waiters::keep_quiet`].
    untold: bool,
}

#[derive(Debug)]
struct Place {
    waiter: Arc<Waiter>,
    claims: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It looked, and found nothing.
    Waiting,
    /// It is to look, but somebody has the turn.
    Due,
    /// It has the turn, and is yet to look, or to look again.
    Called,
    /// It has the turn, and is looking.
    Looking,
}

/// A reader that may sleep.
#[derive(Debug, Default)]
struct Waiter {
    /// Changes only with the queues locked.
    woken: AtomicBool,
    bell: Condvar,
    /// The task that it is, if it is one and sleeps.
    #[cfg(feature = "async")]
    task: Mutex<Option<std::task::Waker>>,
}

impl Waiters {
    /// Adds a reader of these streams, at the end of their queues. What is named is known by its position from now on.
    pub fn register<'a>(&'a self, interests: impl IntoIterator<Item = (&'a [u8], Interest<'a>)>) -> Registration<'a> {
        let interests: Vec<_> = interests.into_iter().collect();
        let waiter = Arc::new(Waiter::default());
        let mut queues = self.queues.lock();
        let ticket = queues.next_ticket;
        queues.next_ticket += 1;
        for &(name, interest) in &interests {
            queues.by_name.entry(name.into()).or_default().add(ticket, &waiter, interest);
        }
        self.count.fetch_add(1, Ordering::SeqCst);
        drop(queues);
        // Pairs with the one in `is_empty`: what is looked at from now on was published before that, or it counts this one.
        fence(Ordering::SeqCst);
        Registration { waiters: self, waiter, ticket, interests }
    }

    /// Whether nobody waits for anything: who comes now may look before it registers without overtaking anybody.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Pairs with the one in `register`: see the module.
        fence(Ordering::SeqCst);
        self.count.load(Ordering::SeqCst) == 0
    }

    /// How many wait, at about this moment.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// To be called after something was made available of which nobody is told: a position was set back, or a pending entry
    /// made older. As in Redis, whatever happens next to a stream makes all readers of its groups look, and find it if it is
    /// for them; it may be in another stream that they read.
    pub fn keep_quiet(&self) {
        if !self.is_empty() {
            let mut queues = self.queues.lock();
            let groups = queues.by_name.values_mut().flat_map(|readers| readers.groups.values_mut());
            groups.for_each(|queue| queue.untold = true);
        }
    }

    /// To be called after entries up to `last_id` of the stream `name` were published.
    #[inline]
    pub fn published(&self, name: &[u8], last_id: StreamId) {
        self.tell(name, |readers| {
            readers.plain.values().filter(|plain| plain.after < last_id).for_each(|plain| plain.waiter.wake());
            readers.groups.values_mut().for_each(Queue::call_for_new);
        });
    }

    /// To be called after pending entries of a group became nobody's.
    pub fn released(&self, name: &[u8], group: &[u8]) {
        self.tell_group(name, group, Queue::call_first_that_claims);
    }

    /// To be called after a group was destroyed: its readers are to find out.
    pub fn group_gone(&self, name: &[u8], group: &[u8]) {
        self.tell_group(name, group, Queue::call_all);
    }

    /// To be called after a stream was deleted or renamed: readers of its groups are to find out. Plain readers wait on.
    pub fn gone(&self, name: &[u8]) {
        self.tell(name, |readers| readers.groups.values_mut().for_each(Queue::call_all));
    }

    /// To be called after a stream came to be at `name` other than by adding, perhaps in place of another.
    pub fn appeared(&self, name: &[u8]) {
        self.tell(name, |readers| {
            readers.plain.values().for_each(|plain| plain.waiter.wake());
            readers.groups.values_mut().for_each(Queue::call_in_turn);
        });
    }

    /// Wakes every reader.
    pub fn wake_all(&self) {
        for readers in self.queues.lock().by_name.values_mut() {
            readers.plain.values().for_each(|plain| plain.waiter.wake());
            readers.groups.values_mut().for_each(Queue::call_all);
        }
    }

    #[inline]
    fn tell(&self, name: &[u8], what: impl FnOnce(&mut Readers)) {
        if !self.is_empty() {
            self.tell_registered(name, what);
        }
    }

    /// Tells one group, and the others what they were not told.
    fn tell_group(&self, name: &[u8], group: &[u8], what: impl FnOnce(&mut Queue)) {
        self.tell(name, |readers| {
            if let Some(queue) = readers.groups.get_mut(group) {
                what(queue);
            }
            readers.groups.values_mut().for_each(Queue::call_for_untold);
        });
    }

    #[inline(never)]
    fn tell_registered(&self, name: &[u8], what: impl FnOnce(&mut Readers)) {
        if let Some(readers) = self.queues.lock().by_name.get_mut(name) {
            what(readers);
        }
    }
}

impl Queues {
    fn queue(&mut self, name: &[u8], interest: Interest<'_>) -> Option<&mut Queue> {
        match interest {
            Interest::Entries { .. } => None,
            Interest::Group { group, .. } => self.by_name.get_mut(name)?.groups.get_mut(group),
        }
    }

    fn remove(&mut self, name: &[u8], interest: Interest<'_>, ticket: Ticket) {
        let Some(readers) = self.by_name.get_mut(name) else { return };
        match interest {
            Interest::Entries { .. } => _ = readers.plain.remove(&ticket),
            Interest::Group { group, .. } => {
                if let Some(queue) = readers.groups.get_mut(group) {
                    queue.remove(ticket);
                    if queue.places.is_empty() {
                        readers.groups.remove(group);
                    }
                }
            }
        }
        if readers.plain.is_empty() && readers.groups.is_empty() {
            self.by_name.remove(name);
        }
    }
}

impl Readers {
    /// Adds a reader. If it is there already, it gets what either of its interests asks for.
    fn add(&mut self, ticket: Ticket, waiter: &Arc<Waiter>, interest: Interest<'_>) {
        match interest {
            Interest::Entries { after } => {
                let plain = Plain { waiter: Arc::clone(waiter), after };
                let plain = self.plain.entry(ticket).or_insert(plain);
                plain.after = plain.after.min(after);
            }
            Interest::Group { group, claims } => {
                self.groups.entry(group.into()).or_default().add(ticket, waiter, claims);
            }
        }
    }
}

impl Queue {
    fn add(&mut self, ticket: Ticket, waiter: &Arc<Waiter>, claims: bool) {
        let state = if self.is_being_served() { State::Due } else { State::Looking };
        let place = Place { waiter: Arc::clone(waiter), claims, state };
        self.places.entry(ticket).or_insert(place).claims |= claims;
    }

    fn is_being_served(&self) -> bool {
        self.places.values().any(Place::has_turn)
    }

    fn call_for_new(&mut self) {
        self.call_first();
        self.call_for_untold();
    }

    fn call_for_untold(&mut self) {
        if std::mem::take(&mut self.untold) {
            self.call_in_turn();
        }
    }

    /// New entries are for the first.
    fn call_first(&mut self) {
        self.call_first_of(|_| true);
    }

    /// Released entries are for the first that takes them.
    fn call_first_that_claims(&mut self) {
        self.call_first_of(|place| place.claims);
    }

    fn call_first_of(&mut self, which: impl Fn(&Place) -> bool) {
        if let Some(place) = self.places.values_mut().find(|place| which(place)) {
            place.call();
        }
    }

    fn call_all(&mut self) {
        self.places.values_mut().for_each(Place::call);
    }

    /// Makes everybody look, one after the other.
    fn call_in_turn(&mut self) {
        for place in self.places.values_mut() {
            match place.has_turn() {
                true => place.call(),
                false => place.state = State::Due,
            }
        }
        self.call_due();
    }

    /// Makes those who came before a reader, and also claim, look before it does.
    fn stand_back(&mut self, ticket: Ticket) {
        for (_, earlier) in self.places.range_mut(..ticket) {
            if earlier.claims && earlier.state == State::Waiting {
                earlier.state = State::Due;
            }
        }
        self.call_due();
    }

    /// Keeps W2.
    fn call_due(&mut self) {
        if !self.is_being_served() {
            self.call_first_of(|place| place.state == State::Due);
        }
    }

    /// Gives the turn to a reader that is about to look, unless somebody who came earlier has it.
    fn try_turn(&mut self, ticket: Ticket, claims: bool) -> bool {
        let is_behind = self.places.range(..ticket).any(|(_, earlier)| earlier.has_turn());
        let Some(place) = self.places.get_mut(&ticket) else { return true };
        match (place.state, is_behind) {
            // It may have been called for what this look does not take.
            (State::Called, _) if place.claims && !claims => {}
            (State::Called | State::Looking, _) | (_, false) => place.state = State::Looking,
            (_, true) => place.state = State::Due,
        }
        place.has_turn()
    }

    /// Ends the turn of a reader that took everything, unless it claims and this look did not.
    fn exhausted(&mut self, ticket: Ticket, claims: bool) {
        if self.places.get(&ticket).is_some_and(|place| claims || !place.claims) {
            self.end_turn(ticket);
        }
    }

    /// Notes that a reader that was called is going to look.
    fn begin_look(&mut self, ticket: Ticket) {
        match self.places.get_mut(&ticket) {
            Some(place) if place.state == State::Called => place.state = State::Looking,
            _ => {}
        }
    }

    /// Ends the turn of a reader that left nothing.
    fn end_turn(&mut self, ticket: Ticket) {
        match self.places.get_mut(&ticket) {
            Some(place) if place.state == State::Looking => place.state = State::Waiting,
            // Also when it was called: something has come since it looked.
            _ => return,
        }
        self.call_due();
    }

    /// Ends the turn of a reader that goes away, and may leave something. Keeps W1.
    fn remove(&mut self, ticket: Ticket) {
        if let Some(place) = self.places.remove(&ticket)
            && place.has_turn()
        {
            self.call_first();
            if place.claims {
                self.call_first_that_claims();
            }
        }
    }
}

impl Place {
    fn has_turn(&self) -> bool {
        matches!(self.state, State::Called | State::Looking)
    }

    fn call(&mut self) {
        self.state = State::Called;
        self.waiter.wake();
    }
}

impl Waiter {
    fn wake(&self) {
        self.woken.store(true, Ordering::Relaxed);
        self.bell.notify_one();
        #[cfg(feature = "async")]
        if let Some(task) = self.task.lock().take() {
            task.wake();
        }
    }
}

/// A reader's places in the queues.
///
/// To be dropped as soon as the reader has what it wants, before it waits for anything else: others may be due. Passes its
/// turns on then, also after an error or a panic.
#[derive(Debug)]
pub struct Registration<'a> {
    waiters: &'a Waiters,
    waiter: Arc<Waiter>,
    ticket: Ticket,
    interests: Vec<(&'a [u8], Interest<'a>)>,
}

impl Registration<'_> {
    /// Whether it may look now for what is at this position; to be asked before each look.
    ///
    /// If not, somebody who came earlier is being served, and this reader is woken when it may: it needs no timer of its
    /// own. The last look, when time is up, needs no permission, and is owed to who has not looked before.
    pub fn try_turn(&self, position: usize) -> bool {
        let (name, interest) = self.interests[position];
        let mut queues = self.waiters.queues.lock();
        queues.queue(name, interest).is_none_or(|queue| queue.try_turn(self.ticket, interest.claims()))
    }

    /// The last look took everything there was at this position: nobody else need be woken for it.
    pub fn exhausted(&self, position: usize) {
        let (name, interest) = self.interests[position];
        if let Some(queue) = self.waiters.queues.lock().queue(name, interest) {
            queue.exhausted(self.ticket, interest.claims());
        }
    }

    /// There is something to claim at this position, as this reader's own timer told: it is for whoever came first, in
    /// whichever order timers go off.
    pub fn stand_back(&self, position: usize) {
        let (name, interest) = self.interests[position];
        if let Some(queue) = self.waiters.queues.lock().queue(name, interest) {
            queue.stand_back(self.ticket);
        }
    }

    /// Sleeps until woken, which may have happened before, or until the deadline; returns whether it was woken.
    ///
    /// To be called when the last look found nothing at all: its turns are over.
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut queues = self.waiters.queues.lock();
        self.each_queue(&mut queues, Queue::end_turn);
        while !self.waiter.woken.load(Ordering::Relaxed) {
            match deadline {
                None => self.waiter.bell.wait(&mut queues),
                Some(deadline) => {
                    if self.waiter.bell.wait_until(&mut queues, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        self.each_queue(&mut queues, Queue::begin_look);
        self.waiter.woken.swap(false, Ordering::Relaxed)
    }

    /// As [`wait`](Self::wait), for a task of the store's; the time is up when `alarm` goes off.
    #[cfg(feature = "async")]
    pub async fn wait_async(&self, alarm: impl Future<Output = ()>) -> bool {
        let mut alarm = std::pin::pin!(alarm);
        std::future::poll_fn(|cx| {
            let is_late = alarm.as_mut().poll(cx).is_ready();
            self.poll_wait(cx, is_late)
        })
        .await
    }

    #[cfg(feature = "async")]
    fn poll_wait(&self, cx: &std::task::Context<'_>, is_late: bool) -> Poll<bool> {
        let mut queues = self.waiters.queues.lock();
        // Does nothing more when it is polled again.
        self.each_queue(&mut queues, Queue::end_turn);
        let sleeps = !is_late && !self.waiter.woken.load(Ordering::Relaxed);
        // Who wakes it has the queues locked.
        *self.waiter.task.lock() = sleeps.then(|| cx.waker().clone());
        if sleeps {
            return Poll::Pending;
        }
        self.each_queue(&mut queues, Queue::begin_look);
        Poll::Ready(self.waiter.woken.swap(false, Ordering::Relaxed))
    }

    fn each_queue(&self, queues: &mut Queues, what: impl Fn(&mut Queue, Ticket)) {
        for &(name, interest) in &self.interests {
            if let Some(queue) = queues.queue(name, interest) {
                what(queue, self.ticket);
            }
        }
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut queues = self.waiters.queues.lock();
        for &(name, interest) in &self.interests {
            queues.remove(name, interest, self.ticket);
        }
        self.waiters.count.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
