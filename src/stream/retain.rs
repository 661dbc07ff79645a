//! Keeping to the retention of a stream: what goes, and when it is looked for.
//!
//! Retention is a trim that nobody has to call, and nothing else: a floor that is raised. By length it rides on each add,
//! like one with a trim. By age, bytes and acknowledgements, and by length where these hold it back, it is a change of the
//! journal of its own, which is made before a segment is begun, by the background, when the stream is opened, and when the
//! rules are set.

use std::sync::atomic::Ordering;

use crate::format::journal::Change;
use crate::format::new_entries::NewEntries;
use crate::group::Groups;
use crate::log::View;
use crate::log::append::Appender;
use crate::retention::segment_bytes_for;
use crate::store::budget::Promise;
use crate::stream::change::Planned;
use crate::stream::inner::{Appending, Inner, Outcome};
use crate::stream::options::Trim;
use crate::stream::remove::Met;
use crate::stream::superblock::Superblock;
use crate::stream::trim::exact_by_len;
use crate::{Error, Result, Retention, Stream, StreamId};

/// So many entries are added between two looks at a length that groups hold back.
const ADDS: u64 = 100;
/// So many pending entries that are gone are passed over at a time.
const GONE_MAX: usize = 1000;

/// The retention of a stream, and what an add has to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Retaining {
    pub rules: Retention,
    /// What each add does beside what it is told.
    pub trim: Option<Trim>,
    /// From this ordinal on, an add looks at the retention first.
    pub check_at: u64,
}

/// With regard to what the rules are looked at.
#[derive(Clone, Copy)]
enum Occasion<'a> {
    /// A time, to the millisecond or about.
    Time { exactly: bool },
    /// These entries are about to be added, perhaps in a new segment.
    Segment(&'a NewEntries),
}

impl Retaining {
    pub fn of(rules: Retention) -> Self {
        let (trim, check_at) = match rules.len_max {
            Some(len) if !rules.acknowledged_only => (Some(Trim::to_len(len)), u64::MAX),
            Some(_) => (None, 0),
            None => (None, u64::MAX),
        };
        Self { rules, trim, check_at }
    }
}

impl Stream {
    /// Sets how much of the stream is kept, which is stored with it, and removes what is not; see [`Retention`]. A stream
    /// that does not exist is created.
    ///
    /// It is durable when this returns, at every level of durability. A renamed stream and a copy keep it; one that is
    /// deleted and created again has none. A version of this crate that does not know it refuses the stream.
    ///
    /// Costs two syncs, and what a trim does. From then on, adding costs nothing more, but for a limited length: the part
    /// that a trim of each add costs. A thread of the store, `streamlog-keep`, looks at open streams once a second: see
    /// [`Options::retention_interval`](crate::Options::retention_interval).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the thread cannot be started: nothing has changed then. [`Error::Io`] if it cannot be stored, and the
    /// store is poisoned. It may be stored, and what is not kept yet to be removed, after [`Error::Corrupt`], if it cannot be
    /// told for damage what groups need and the stream does not go on with it, and after [`Error::NoSpace`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Retention, Store};
    ///
    /// let store = Store::in_memory();
    /// let readings = store.stream("temperature")?;
    /// readings.set_retention(Retention::new().max_len(2))?;
    /// for celsius in ["20.5", "21.0", "21.5"] {
    ///     readings.add([("celsius", celsius)])?;
    /// }
    /// assert_eq!(readings.len()?, 2);
    /// readings.set_retention(Retention::new())?; // keeps everything from now on
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn set_retention(&self, retention: Retention) -> Result<()> {
        let shared = self.shared();
        if !retention.is_none() {
            shared.start_keeping()?;
        }
        loop {
            if self.on_current(|inner| inner.set_retention(retention))?.is_some() || retention.is_none() {
                return Ok(());
            }
            let now_ms = shared.env().now_ms();
            if shared.create_filled(self.name(), now_ms, |inner| inner.set_retention(retention))? {
                return Ok(());
            }
        }
    }

    /// How much of the stream is kept; everything if it does not exist.
    ///
    /// Costs no reading if the stream is open.
    ///
    /// # Errors
    ///
    /// Those of opening the stream, if it is not open: [`Error::Io`], [`Error::Corrupt`], [`Error::Unsupported`].
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Retention, Store};
    /// # let store = Store::in_memory();
    ///
    /// let readings = store.stream("temperature")?;
    /// assert!(readings.retention()?.is_none(), "there is no such stream");
    /// readings.set_retention(Retention::new().max_len(1_000))?;
    /// assert_eq!(readings.retention()?.len_max(), Some(1_000));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn retention(&self) -> Result<Retention> {
        match self.inner()? {
            // Whoever writes it may have set others since it was opened.
            Some(inner) if self.shared().watch().is_some() => Ok(Superblock::open(&inner.place)?.current().retention),
            inner => Ok(inner.map_or(Retention::new(), |inner| inner.retention())),
        }
    }
}

impl Inner {
    pub fn retention(&self) -> Retention {
        self.append.lock().retaining.rules
    }

    /// Stores the rules, and keeps to them.
    pub fn set_retention(&self, rules: Retention) -> Result<Outcome<()>> {
        let stored = self.store_retention(rules)?;
        if matches!(stored, Outcome::Done(())) {
            self.retain(true)?;
        }
        Ok(stored)
    }

    /// As [`set_retention`](Self::set_retention), but removes nothing yet.
    pub fn store_retention(&self, rules: Retention) -> Result<Outcome<()>> {
        let _turn = self.turn.lock();
        self.env.check_writable()?;
        if self.is_retired() {
            return Ok(Outcome::Gone);
        }
        self.touched.store(true, Ordering::Relaxed);
        // In both slots, so that damage to one of them does not bring back the rules before.
        self.env.poisoning(self.superblock.update_both(&self.place, |meta| meta.retention = rules))?;
        self.append.lock().retaining = Retaining::of(rules);
        Ok(Outcome::Done(()))
    }

    /// Removes what is not kept. What cannot be removed now is the next time; a failure that leaves the disk in doubt
    /// poisons the store, and is told to whoever writes next.
    pub fn retain_if_possible(&self, exactly: bool) {
        let _ = self.retain(exactly);
    }

    /// Removes what is not kept at this time: to the millisecond, or about.
    pub fn retain(&self, exactly: bool) -> Result<()> {
        self.keep_to_rules(Occasion::Time { exactly })?;
        if !self.retention().is_none() {
            self.reclaim_if_possible();
        }
        Ok(())
    }

    /// Removes what is not kept when so much has been added that it is to be looked at.
    #[cold]
    pub fn retain_at_add(&self) -> Result<()> {
        {
            let mut append = self.append.lock();
            append.retaining.check_at = append.appender.next_ordinal.saturating_add(ADDS);
        }
        match self.retain(false) {
            // It is not the add that cannot be done.
            Err(Error::Corrupt { .. } | Error::NoSpace { .. } | Error::ChangeTooLarge { .. }) => Ok(()),
            retained => retained,
        }
    }

    /// Sees to room for a new segment, if one is needed: within the limit of the stream, then that of the store. Returns
    /// what keeps others from taking the room.
    pub fn make_room(&self, entries: &NewEntries) -> Option<Promise<'_>> {
        let (rules, capacity) = {
            let append = self.append.lock();
            if self.is_retired() || append.appender.has_room(entries) {
                return None;
            }
            (append.retaining.rules, self.next_capacity(&append, entries))
        };
        if !rules.is_none()
            && let Ok(true) = self.keep_to_rules(Occasion::Segment(entries))
        {
            self.reclaim_if_possible();
        }
        // Whoever makes a stream has the catalog, which others are waited for with.
        let budget = self.env.budget.as_ref().filter(|_| self.is_listed.load(Ordering::Acquire));
        budget.map(|budget| budget.make_room(capacity))
    }

    /// The capacity of a segment that begins with these entries.
    pub fn next_capacity(&self, append: &Appending, entries: &NewEntries) -> u64 {
        let max = append.retaining.rules.bytes_max.map_or(u64::MAX, segment_bytes_for);
        append.appender.next_capacity(entries, self.env.segment_bytes_max.min(max))
    }

    /// Raises the floor as far as the rules say; returns whether that removed anything.
    fn keep_to_rules(&self, occasion: Occasion<'_>) -> Result<bool> {
        let rules = self.retention();
        if rules.is_none() {
            return Ok(false);
        }
        if rules.bytes_max.is_some() {
            self.log.measure();
        }
        let exactly = matches!(occasion, Occasion::Time { exactly: true });
        let oldest_ms = rules.oldest_ms(self.env.now_ms(), exactly);
        let trimmed = self.change(|append, journaling| {
            let floor = self.floor_by_rules(append, &journaling.groups, oldest_ms, occasion)?;
            Ok(match floor > append.appender.floor {
                true => Planned::change(Change::Trim { floor }, true),
                false => Planned::nothing(false),
            })
        })?;
        Ok(matches!(trimmed, Outcome::Done(true)))
    }

    /// The floor that the rules lead to.
    fn floor_by_rules(
        &self,
        append: &Appending,
        groups: &Groups,
        oldest_ms: Option<u64>,
        occasion: Occasion<'_>,
    ) -> Result<u64> {
        let (appender, rules) = (&append.appender, &append.retaining.rules);
        let mut floor = appender.floor;
        if let Some(ms) = oldest_ms.filter(|_| rules.age_ms_max.is_some()) {
            floor = floor.max(self.floor_by_age(&self.log.view_to(appender.tail()), ms)?);
        }
        if let Some(len) = rules.len_max {
            let live = |from, to| self.log.live(from, to);
            floor = floor.max(exact_by_len(appender.floor, appender.next_ordinal, len, live));
        }
        if let Some(bytes) = rules.bytes_max {
            floor = floor.max(self.floor_by_bytes(append, bytes, occasion));
        }
        if !rules.has_limit() && !groups.is_empty() {
            floor = appender.next_ordinal;
        }
        if rules.acknowledged_only && floor > appender.floor {
            floor = floor.min(self.held_from(append, groups)?);
        }
        Ok(floor)
    }

    fn floor_by_age(&self, view: &View, oldest_ms: u64) -> Result<u64> {
        match view.first_at_or_above(StreamId::new(oldest_ms, 0)) {
            // What is damaged is not kept for that; the segments around it tell how old it is.
            Err(Error::Corrupt { .. }) => Ok(view.first_segment_from(oldest_ms)),
            found => found,
        }
    }

    /// The first ordinal of the segments that fit into so many bytes. The last one stays, unless another is to come.
    fn floor_by_bytes(&self, append: &Appending, bytes_max: u64, occasion: Occasion<'_>) -> u64 {
        let appender = &append.appender;
        let coming = match occasion {
            Occasion::Segment(entries) if !appender.has_room(entries) => Some(self.next_capacity(append, entries)),
            _ => None,
        };
        let mut bytes = coming.map_or(appender.capacity, |coming| coming.saturating_add(appender.sealed_len()));
        if coming.is_some() && bytes > bytes_max {
            return appender.next_ordinal;
        }
        let active = appender.segment.header.base;
        let mut floor = active;
        for slot in self.log.slots().iter().rev().filter(|slot| slot.base < active) {
            bytes = bytes.saturating_add(slot.len());
            if bytes > bytes_max {
                break;
            }
            floor = slot.base;
        }
        floor
    }

    /// The ordinal of the first entry that some group has yet to read or acknowledge, or one before it.
    fn held_from(&self, append: &Appending, groups: &Groups) -> Result<u64> {
        let view = self.log.view_to(append.appender.tail());
        let mut held = view.tail.next_ordinal;
        let first = match self.walk(&append.appender).next().transpose()? {
            None => return Ok(held),
            Some(Met::Entry { id, .. }) => id,
            // A group that has yet to come to what is lost is told of it first.
            Some(Met::Lost { ids, .. }) => ids.after.next().unwrap_or(StreamId::MIN),
        };
        for group in groups.iter() {
            if let Some(unread) = group.position.next() {
                held = held.min(self.first_from(&view, unread.max(first))?);
            }
            // One that is pending may have been deleted, or be lost, and is not waited for.
            for (passed, pending) in group.pending.iter_from(first).enumerate() {
                let at = self.first_from(&view, pending.id)?;
                if at >= held {
                    break;
                }
                if passed == GONE_MAX || self.find(&view, pending.id)?.is_some() {
                    held = at;
                    break;
                }
            }
        }
        Ok(held)
    }

    /// How old the newest entry of the oldest segment with living entries is, by its ID in milliseconds; `None` if giving it
    /// up would give no room.
    pub fn oldest_segment_ms(&self) -> Option<u64> {
        let (tail, capacity) = {
            let append = self.append.lock();
            (append.appender.tail(), append.appender.capacity)
        };
        let floor = self.log.first_live(&tail);
        let slots = self.log.slots();
        let next = slots.get(slots.partition_point(|slot| slot.base <= floor));
        match next.filter(|next| next.base <= tail.segment) {
            // What cannot be read goes first.
            Some(next) => Some(next.previous_id(&self.place).map_or(0, |id| id.ms())),
            None if floor < tail.next_ordinal && capacity > self.env.segment_bytes_first => Some(tail.last_id.ms()),
            None => None,
        }
    }

    /// Gives up the oldest segment with living entries, unless a group needs one of them and the rules heed that; or the room
    /// that was allocated ahead, if it is in the last segment, and more than that segment holds. Returns whether it did.
    pub fn give_up_oldest_segment(&self) -> Result<bool> {
        let is_idle = |appender: &Appender| appender.capacity / 2 >= appender.sealed_len();
        if self.replace_active_if(|appender| is_idle(appender) && self.is_only_active_live(appender))? {
            return Ok(true);
        }
        let given_up = self.change(|append, journaling| {
            let appender = &append.appender;
            let slots = self.log.slots();
            let first = self.log.first_live(&appender.tail());
            let next = slots.get(slots.partition_point(|slot| slot.base <= first));
            let floor = next.map_or(appender.next_ordinal, |next| next.base.min(appender.next_ordinal));
            let is_held =
                append.retaining.rules.acknowledged_only && self.held_from(append, &journaling.groups)? < floor;
            Ok(match floor > appender.floor && !is_held {
                true => Planned::change(Change::Trim { floor }, true),
                false => Planned::nothing(false),
            })
        })?;
        let given_up = matches!(given_up, Outcome::Done(true));
        if given_up {
            self.reclaim()?;
            self.replace_active_if(|appender| appender.floor >= appender.next_ordinal)?;
        }
        Ok(given_up)
    }

    fn is_only_active_live(&self, appender: &Appender) -> bool {
        self.log.first_live(&appender.tail()) >= appender.segment.header.base
    }

    /// Goes on in a new and small segment, if the last one is larger than that and this is so.
    fn replace_active_if(&self, condition: impl FnOnce(&Appender) -> bool) -> Result<bool> {
        let _turn = self.turn.lock();
        let is_worth_it = {
            let append = self.append.lock();
            append.appender.capacity > self.env.segment_bytes_first && condition(&append.appender)
        };
        if !is_worth_it || self.is_retired() {
            return Ok(false);
        }
        self.rotate_in_turn(&NewEntries::default(), true).map(|()| true)
    }
}
