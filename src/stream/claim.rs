//! Taking pending entries over from other consumers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::format::groups::{Counting, GroupChange};
use crate::format::journal::Change;
use crate::group::Group;
use crate::hash::HashMap;
use crate::stream::consumer::Consumer;
use crate::stream::deliver::{is_idle, millis};
use crate::stream::group_options::AutoClaimed;
use crate::stream::groups::{Entering, InGroup};
use crate::stream::inner::{Inner, Outcome};
use crate::{Entry, Result, StreamId};

/// An automatic claim looks at so many pending entries for each one it may take.
const ATTEMPTS: u64 = 10;
/// How many entries an automatic claim takes unless told otherwise.
const COUNT: u64 = 100;

/// How a claim sets delivery times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeliveredAt {
    Now,
    /// Before the claim, in milliseconds.
    Ago(u64),
    /// Unix milliseconds.
    Time(u64),
}

/// What to claim, and how.
#[derive(Clone, Debug)]
pub struct Claiming {
    pub min_idle: u64,
    ids: Vec<StreamId>,
    delivered: DeliveredAt,
    delivery_count: Option<u64>,
    force: bool,
    keep_count: bool,
    last_id: Option<StreamId>,
}

impl Claiming {
    fn counting(&self) -> Counting {
        match self.delivery_count {
            Some(count) => Counting::Set(count.min(i64::MAX as u64)),
            None if self.keep_count => Counting::Keep,
            None => Counting::Increment,
        }
    }

    fn delivery_time(&self, now: u64) -> u64 {
        let time = match self.delivered {
            DeliveredAt::Now => Some(now),
            DeliveredAt::Ago(idle) => now.checked_sub(idle),
            DeliveredAt::Time(time) => Some(time),
        };
        // XCL-3: neither before 1970 nor in the future.
        time.filter(|&time| time <= now).unwrap_or(now)
    }
}

/// Takes pending entries over by their IDs (`XCLAIM`); see [`Consumer::claim`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{Position, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let id = orders.add([("order", "o1")])?;
/// # let workers = orders.group("workers");
/// # workers.create(Position::Start)?;
/// # let alice = workers.consumer("alice");
/// # alice.read().new_entries()?;
///
/// let bob = workers.consumer("bob");
/// assert!(bob.claim(Duration::from_secs(60), [id]).run()?.is_empty(), "alice got it just now");
/// assert_eq!(bob.claim(Duration::ZERO, [id]).run()?[0].id(), id);
/// assert_eq!(workers.pending()?.consumers, [(b"bob".to_vec(), 1)]);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is claimed before it is run"]
pub struct Claim {
    consumer: Consumer,
    claiming: Claiming,
}

impl Claim {
    pub(crate) fn new(consumer: Consumer, min_idle: Duration, ids: Vec<StreamId>) -> Self {
        let claiming = Claiming {
            min_idle: millis(min_idle),
            ids,
            delivered: DeliveredAt::Now,
            delivery_count: None,
            force: false,
            keep_count: false,
            last_id: None,
        };
        Self { consumer, claiming }
    }

    /// Count as delivered so long ago, instead of now.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// let minute = Duration::from_secs(60);
    /// workers.consumer("bob").claim(Duration::ZERO, [id]).idle(minute).run()?;
    /// assert!(workers.pending_entries().run()?[0].idle >= minute);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn idle(mut self, idle: Duration) -> Self {
        self.claiming.delivered = DeliveredAt::Ago(millis(idle));
        self
    }

    /// Count as delivered at this time, instead of now. A time in the future or before 1970 counts as now.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// let then = SystemTime::now() - Duration::from_secs(60);
    /// workers.consumer("bob").claim(Duration::ZERO, [id]).delivered_at(then).run()?;
    /// assert!(workers.pending_entries().run()?[0].idle >= Duration::from_secs(60));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn delivered_at(mut self, time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH);
        self.claiming.delivered = since.map_or(DeliveredAt::Now, |since| DeliveredAt::Time(millis(since)));
        self
    }

    /// Set the delivery count to this, instead of adding one; at most `i64::MAX`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// workers.consumer("bob").claim(Duration::ZERO, [id]).delivery_count(5).run()?;
    /// assert_eq!(workers.pending_entries().run()?[0].delivery_count, 5);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn delivery_count(mut self, count: u64) -> Self {
        self.claiming.delivery_count = Some(count);
        self
    }

    /// Leave the delivery count as it is (what `JUSTID` does besides).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// workers.consumer("bob").claim(Duration::ZERO, [id]).keep_count().run()?;
    /// assert_eq!(workers.pending_entries().run()?[0].delivery_count, 1);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn keep_count(mut self) -> Self {
        self.claiming.keep_count = true;
        self
    }

    /// Make entries pending that are not, if they exist.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    ///
    /// // It has never been delivered.
    /// let taken = workers.consumer("bob").claim(Duration::ZERO, [id]).force().run()?;
    /// assert_eq!(taken[0].id(), id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn force(mut self) -> Self {
        self.claiming.force = true;
        self
    }

    /// Also move the group's last delivered ID on to this one, if it is higher, whether or not anything is claimed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    ///
    /// workers.consumer("bob").claim(Duration::ZERO, [id]).last_id(id).run()?;
    /// assert_eq!(workers.info()?.last_delivered_id, id);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn last_id(mut self, id: StreamId) -> Self {
        self.claiming.last_id = Some(id);
        self
    }

    /// Claims; returns the entries that were, in the order of the IDs. Pending entries whose message was deleted are not
    /// pending any more.
    ///
    /// Costs a look-up of each ID and one record in the journal.
    ///
    /// # Errors
    ///
    /// [`Error::GroupNotFound`](crate::Error::GroupNotFound), and as [`Group::acknowledge`](crate::Group::acknowledge).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Position, Store};
    ///
    /// let store = Store::in_memory();
    /// let orders = store.stream("orders")?;
    /// let id = orders.add([("order", "o1")])?;
    /// let workers = orders.group("workers");
    /// workers.create(Position::Start)?;
    /// workers.consumer("alice").read().new_entries()?;
    /// let taken = workers.consumer("bob").claim(Duration::ZERO, [id]).run()?;
    /// assert_eq!(taken[0].get("order"), Some(&b"o1"[..]));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn run(self) -> Result<Vec<Entry>> {
        let Self { consumer, claiming } = self;
        consumer.in_group(|inner, group, consumer| inner.claim(group, consumer, &claiming))
    }
}

/// Takes over pending entries that have been idle for long (`XAUTOCLAIM`); see [`Consumer::auto_claim`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use streamlog::{GroupOptions, Position, Store};
/// # let store = Store::in_memory();
/// # let orders = store.stream("orders")?;
/// # let workers = orders.group("workers");
/// # workers.create_with(GroupOptions::new(Position::Start).create_stream())?;
/// # for order in ["o1", "o2", "o3"] {
/// #     orders.add([("order", order)])?;
/// # }
/// # workers.consumer("alice").read().new_entries()?;
///
/// // Alice has three, and is not heard of any more.
/// let bob = workers.consumer("bob");
/// let first = bob.auto_claim(Duration::ZERO).count(2).run()?;
/// let start = first.next.expect("one is left");
/// let rest = bob.auto_claim(Duration::ZERO).start(start).count(2).run()?;
/// assert_eq!((first.entries.len(), rest.entries.len(), rest.next), (2, 1, None));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is claimed before it is run"]
pub struct AutoClaim {
    consumer: Consumer,
    min_idle: u64,
    start: StreamId,
    count: u64,
    ids_only: bool,
}

impl AutoClaim {
    pub(crate) fn new(consumer: Consumer, min_idle: Duration) -> Self {
        Self { consumer, min_idle: millis(min_idle), start: StreamId::MIN, count: COUNT, ids_only: false }
    }

    /// Begin with this ID: [`AutoClaimed::next`] of the call before.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// let bob = workers.consumer("bob");
    /// let mut next = Some(streamlog::StreamId::MIN);
    /// while let Some(start) = next {
    ///     next = bob.auto_claim(Duration::from_secs(60)).start(start).count(100).run()?.next;
    /// }
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn start(mut self, id: StreamId) -> Self {
        self.start = id;
        self
    }

    /// Take at most this many entries, 100 if it is not set, and look at ten times as many pending ones; at least 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// let taken = workers.consumer("bob").auto_claim(Duration::ZERO).count(10).run()?;
    /// assert_eq!(taken.ids, [id]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn count(mut self, count: u64) -> Self {
        self.count = count.max(1);
        self
    }

    /// Return only the IDs, and leave the delivery counts as they are (`JUSTID`).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Position, Store};
    /// # let store = Store::in_memory();
    /// # let orders = store.stream("orders")?;
    /// # let id = orders.add([("order", "o1")])?;
    /// # let workers = orders.group("workers");
    /// # workers.create(Position::Start)?;
    /// # let alice = workers.consumer("alice");
    /// # alice.read().new_entries()?;
    ///
    /// let taken = workers.consumer("bob").auto_claim(Duration::ZERO).ids_only().run()?;
    /// assert_eq!((taken.ids.as_slice(), taken.entries.len()), (&[id][..], 0));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn ids_only(mut self) -> Self {
        self.ids_only = true;
        self
    }

    /// Claims.
    ///
    /// Costs a step for each pending entry that is looked at, a look-up of each that is claimed, and one record in the
    /// journal.
    ///
    /// # Errors
    ///
    /// As [`Claim::run`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{GroupOptions, Position, Store};
    ///
    /// let store = Store::in_memory();
    /// let orders = store.stream("orders")?;
    /// let workers = orders.group("workers");
    /// workers.create_with(GroupOptions::new(Position::Start).create_stream())?;
    /// for n in 0..3 {
    ///     orders.add([("order", n.to_string())])?;
    /// }
    /// workers.consumer("alice").read().new_entries()?;
    /// let taken = workers.consumer("bob").auto_claim(Duration::ZERO).count(2).run()?;
    /// assert_eq!(taken.entries.len(), 2);
    /// let rest = workers.consumer("bob").auto_claim(Duration::ZERO).start(taken.next.expect("one is left")).run()?;
    /// assert_eq!((rest.entries.len(), rest.next), (1, None));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn run(self) -> Result<AutoClaimed> {
        let consumer = self.consumer.clone();
        consumer.in_group(|inner, group, consumer| inner.auto_claim(group, consumer, &self))
    }
}

/// What a claim changes.
struct Taking {
    now: u64,
    delivery_time: u64,
    counting: Counting,
    claimed: Vec<StreamId>,
    gone: Vec<StreamId>,
}

impl Taking {
    fn into_changes(self, group: &Group, consumer: u32) -> Vec<Change> {
        let mut changes = Vec::new();
        if !self.gone.is_empty() {
            changes.push(GroupChange::Acknowledge { group: group.number, ids: self.gone });
        }
        if !self.claimed.is_empty() {
            changes.push(GroupChange::Claim {
                group: group.number,
                consumer,
                time: self.now,
                delivery_time: self.delivery_time,
                active: true,
                counting: self.counting,
                ids: self.claimed,
            });
        }
        changes.into_iter().map(Change::Group).collect()
    }
}

impl Inner {
    fn claim(&self, group: &[u8], consumer: &[u8], claiming: &Claiming) -> Result<Outcome<InGroup<Vec<Entry>>>> {
        let done = self.change_group(group, |group| {
            let now = self.env.now_ms();
            let consumer = Entering::new(group, consumer, now);
            let delivery_time = claiming.delivery_time(now);
            let mut taking =
                Taking { now, delivery_time, counting: claiming.counting(), claimed: Vec::new(), gone: Vec::new() };
            let mut fetcher = self.fetcher();
            let mut entries = Vec::new();
            // What this very claim did to an ID that is named again; `None` if it is not pending any more.
            let mut done: HashMap<StreamId, bool> = HashMap::default();
            for &id in &claiming.ids {
                let idle_enough = match (done.get(&id), group.pending.get(id)) {
                    (Some(true), _) => now.saturating_sub(delivery_time) >= claiming.min_idle,
                    (None, Some(pending)) => is_idle(&pending, now, claiming.min_idle),
                    (Some(false) | None, _) if claiming.force => true,
                    _ => continue,
                };
                match fetcher.get(id)? {
                    Some(entry) if idle_enough => {
                        entries.push(entry);
                        taking.claimed.push(id);
                        done.insert(id, true);
                    }
                    Some(_) => {}
                    None => {
                        // Also if it has not been idle for long.
                        if done.get(&id) != Some(&false) && group.pending.get(id).is_some() {
                            taking.gone.push(id);
                            done.insert(id, false);
                        }
                    }
                }
            }
            let mut changes = taking.into_changes(group, consumer.number);
            if let Some(position) = claiming.last_id.filter(|&id| id > group.position) {
                let entries_read = group.entries_read;
                let change = GroupChange::SetPosition { group: group.number, position, entries_read };
                changes.insert(0, Change::Group(change));
            }
            Ok(consumer.plan(group.number, now, changes, entries))
        })?;
        if !matches!(claiming.delivered, DeliveredAt::Now) {
            self.env.waiters.keep_quiet();
        }
        Ok(done)
    }

    fn auto_claim(&self, group: &[u8], consumer: &[u8], claim: &AutoClaim) -> Result<Outcome<InGroup<AutoClaimed>>> {
        self.change_group(group, |group| {
            let now = self.env.now_ms();
            let consumer = Entering::new(group, consumer, now);
            let counting = if claim.ids_only { Counting::Keep } else { Counting::Increment };
            let mut taking = Taking { now, delivery_time: now, counting, claimed: Vec::new(), gone: Vec::new() };
            let mut done = AutoClaimed::default();
            let mut fetcher = self.fetcher();
            let (mut attempts, mut left) = (claim.count.saturating_mul(ATTEMPTS), claim.count);
            for pending in group.pending.iter_from(claim.start) {
                if attempts == 0 || left == 0 {
                    done.next = Some(pending.id);
                    break;
                }
                attempts -= 1;
                let entry = fetcher.get(pending.id)?;
                match entry {
                    None => {
                        taking.gone.push(pending.id);
                        left -= 1;
                    }
                    Some(_) if !is_idle(&pending, now, claim.min_idle) => {}
                    Some(entry) => {
                        taking.claimed.push(pending.id);
                        if !claim.ids_only {
                            done.entries.push(entry);
                        }
                        left -= 1;
                    }
                }
            }
            done.ids.clone_from(&taking.claimed);
            done.deleted.clone_from(&taking.gone);
            let changes = taking.into_changes(group, consumer.number);
            Ok(consumer.plan(group.number, now, changes, done))
        })
    }
}
