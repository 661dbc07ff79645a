//! What all streams of a store share.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::format::Identity;
use crate::io::board::Board;
use crate::io::latch::Latch;
use crate::io::process::Process;
use crate::metrics::Operations;
use crate::options::{Clock, Identities};
use crate::retention::segment_bytes_for;
use crate::store::budget::Budget;
use crate::store::reserve::Reserve;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::waiters::Waiters;
use crate::{Durability, Error, OnDamage, Options, Result};

/// What all streams of a store share.
pub struct Env {
    pub durability: Durability,
    pub segment_bytes_first: u64,
    pub segment_bytes_max: u64,
    pub checkpoint_bytes_min: u64,
    pub open_streams_max: usize,
    pub on_damage: OnDamage,
    pub store: Identity,
    pub latch: Latch,
    pub waiters: Waiters,
    pub operations: Operations,
    pub reserve: Reserve,
    pub budget: Option<Budget>,
    pub retention_interval: Duration,
    /// What other processes are told of the streams that are open.
    pub board: Board,
    process: Process,
    closed: AtomicBool,
    clock: Option<Arc<dyn Clock>>,
    identities: Option<Arc<Identities>>,
}

impl Env {
    pub fn new(options: &Options, store: Identity, reserve: Reserve, budget: Option<Budget>, board: Board) -> Self {
        let segment_bytes_max = options.bytes_budget.map_or(u64::MAX, segment_bytes_for).min(options.segment_bytes_max);
        Self {
            durability: options.durability,
            segment_bytes_first: options.segment_bytes_first.min(segment_bytes_max),
            segment_bytes_max,
            checkpoint_bytes_min: options.checkpoint_bytes_min,
            open_streams_max: options.open_streams_max,
            on_damage: options.on_damage,
            store,
            latch: Latch::default(),
            waiters: Waiters::default(),
            operations: Operations::new(options.slow),
            reserve,
            budget,
            retention_interval: options.retention_interval,
            board,
            process: Process::current(),
            closed: AtomicBool::new(false),
            clock: options.clock.clone(),
            identities: options.identities.clone(),
        }
    }

    /// What the streams share of a store that another process writes.
    pub fn to_read(options: &Options, store: Identity, reserve: Reserve) -> Self {
        Self { latch: Latch::read_only(), ..Self::new(options, store, reserve, None, Board::none()) }
    }

    /// Milliseconds since the Unix epoch.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        match MOMENT.get() {
            Moment::Passes => self.clock_ms(),
            Moment::Held(ms) => ms,
            Moment::Next => {
                let ms = self.clock_ms();
                MOMENT.set(Moment::Held(ms));
                ms
            }
        }
    }

    #[inline]
    fn clock_ms(&self) -> u64 {
        let now = self.clock.as_ref().map_or_else(SystemTime::now, |clock| clock.now());
        // Not `as_millis`, which computes with 128 bits.
        let millis =
            |since: Duration| since.as_secs().saturating_mul(1000).saturating_add(since.subsec_millis().into());
        now.duration_since(UNIX_EPOCH).map_or(0, millis)
    }

    /// An identity that nothing else has.
    pub fn new_identity(&self) -> Identity {
        new_identity(self.identities.as_deref())
    }

    /// Whether operations return only when they are durable, and readers see only what is.
    #[inline]
    pub fn is_durable_first(&self) -> bool {
        self.durability == Durability::Always
    }

    /// The error of every call in a forked child. To be called before any lock is taken: a thread that had it when the
    /// child was forked does not exist there, and gives it to nobody.
    #[inline]
    pub fn check_process(&self) -> Result<()> {
        if self.process.is_current() { Ok(()) } else { Err(Error::Forked) }
    }

    /// The error of every call on a closed store, or in a forked child.
    #[inline]
    pub fn check_open(&self) -> Result<()> {
        self.check_process()?;
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// The error of every call that would have to wait for what others do, if that can never come: on a closed or poisoned
    /// store, or in a forked child.
    pub fn check_waiting(&self) -> Result<()> {
        self.check_open()?;
        self.latch.check_failure()
    }

    /// The error of every write on a closed or poisoned store, or in a forked child.
    #[inline]
    pub fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        self.latch.check()
    }

    /// Closes the store; returns whether it was open.
    pub fn close(&self) -> bool {
        let was_open = !self.closed.swap(true, Ordering::AcqRel);
        self.waiters.wake_all();
        was_open
    }

    /// Tries again on a full disk, with the room that is set aside for freeing it.
    pub fn with_reserve<T>(&self, action: impl Fn() -> Result<T>) -> Result<T> {
        match action() {
            Err(Error::NoSpace { .. }) if self.reserve.release() => action(),
            result => result,
        }
    }

    /// Poisons the store: nothing is written any more, and who waits for something is told that it does not come.
    pub fn poison(&self, cause: impl fmt::Display) {
        if self.latch.poison(cause) {
            self.waiters.wake_all();
        }
    }

    /// The result, having poisoned the store if it is a failure that leaves the disk in doubt.
    #[inline]
    pub fn poisoning<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && self.latch.poison_by(error)
        {
            self.waiters.wake_all();
        }
        result
    }

    /// To be held during a change of the state in memory: a panic in it poisons the store, as the lock does not.
    pub fn guard(&self) -> Guard<'_> {
        Guard { env: self }
    }
}

/// See [`Env::guard`].
#[must_use]
pub struct Guard<'a> {
    env: &'a Env,
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.env.poison("a panic interrupted a change");
        }
    }
}

/// What time it is for this thread.
#[derive(Clone, Copy)]
enum Moment {
    /// What the clock says.
    Passes,
    /// What the clock says when it is looked at next, and from then on.
    Next,
    Held(u64),
}

thread_local! {
    static MOMENT: Cell<Moment> = const { Cell::new(Moment::Passes) };
}

/// While it is there, no time passes for this thread: for a command, or for all those of a transaction (M-9).
#[must_use]
pub struct OneMoment {
    before: Moment,
}

impl OneMoment {
    /// Begins with the next look at the clock, unless the thread is in one already.
    pub fn begin() -> Self {
        let before = MOMENT.get();
        if matches!(before, Moment::Passes) {
            MOMENT.set(Moment::Next);
        }
        Self { before }
    }
}

impl Drop for OneMoment {
    fn drop(&mut self) {
        if matches!(self.before, Moment::Passes) {
            MOMENT.set(Moment::Passes);
        }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").field("durability", &self.durability).field("latch", &self.latch).finish_non_exhaustive()
    }
}

/// The next identity from there, or else 128 random bits from the operating system.
pub fn new_identity(source: Option<&Identities>) -> Identity {
    source.map_or_else(random_identity, |next| next())
}

fn random_identity() -> Identity {
    let mut identity = Identity::default();
    // It fails only where there is no source of randomness at all; time and address still tell files apart then.
    if getrandom::fill(&mut identity).is_err() {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        identity = (nanos ^ ((&raw const identity as usize as u128) << 64)).to_le_bytes();
    }
    identity
}
