//! Models of what threads wait for each other in, run under schedules that shuttle chooses:
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test --features async --lib --target-dir target/shuttle models
//! ```
//!
//! A model that hangs is reported as a deadlock, so "nobody sleeps for ever" needs no assertion. What is modelled is the
//! real [`Waiters`], [`Committer`], both ways in which a [`Log`] publishes, [`Env::close`], and the queue of tasks that futures
//! run on; what stands in for the rest is below. Other locks of the crate are not scheduled: nothing here holds one at a point
//! where threads change.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread;

use crate::env::{Env, new_identity};
use crate::io::MemDisk;
use crate::io::board::Board;
use crate::io::place::Place;
use crate::log::{Log, Tail};
use crate::store::reserve::Reserve;
use crate::stream::commit::{Committer, Progress};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::waiters::{Interest, Registration, Waiters};
use crate::{Error, Options, Result, StreamId};

/// How long each model runs with each kind of schedule.
const TIME: Duration = Duration::from_secs(4);

/// A schedule that is longer than this goes round in circles.
const STEPS_MAX: usize = 20_000;

/// Runs a model under random schedules, and under those with few but ill-placed changes of thread.
fn check(model: fn()) {
    let seed = || u64::from_le_bytes(std::array::from_fn(|at| new_identity(None)[at]));
    let (random, few) = (seed(), seed());
    run("random", random, RandomScheduler::new_from_seed(random, usize::MAX), model);
    run("PCT", few, PctScheduler::new_from_seed(few, 4, usize::MAX), model);
}

fn run(kind: &str, seed: u64, scheduler: impl Scheduler + 'static, model: fn()) {
    eprintln!("{kind} schedules: SHUTTLE_RANDOM_SEED={seed} repeats them");
    let mut config = shuttle::Config::new();
    config.stack_size = 256 << 10;
    config.max_steps = shuttle::MaxSteps::FailAfter(STEPS_MAX);
    config.max_time = Some(TIME);
    config.silence_warnings = true;
    let count = shuttle::Runner::new(scheduler, config).run(model);
    eprintln!("{kind} schedules: {count} were run");
}

const S: &[u8] = b"s";
const T: &[u8] = b"t";
const G: Interest<'static> = Interest::Group { group: b"g", claims: false };
const CLAIM: Interest<'static> = Interest::Group { group: b"g", claims: true };

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn place() -> Place {
    Place::new(MemDisk::new(), Arc::from(Path::new("memory")), PathBuf::new())
}

/// Any: there is no time in a model.
fn deadline() -> Option<Instant> {
    Some(Instant::now())
}

/// Two writers publish, in whatever order they get to it; readers follow.
#[test]
fn a_blocked_reader_sees_every_tail_and_none_goes_back() {
    check(|| readers_follow(|log, tail| _ = log.publish(tail)));
}

/// As where each tail is published under the lock of the appender.
#[test]
fn a_blocked_reader_sees_every_tail_that_is_published_in_turn() {
    check(|| {
        let turn = Mutex::new(());
        readers_follow(|log, tail| {
            let _turn = turn.lock();
            log.publish_in_turn(tail);
        });
    });
}

fn readers_follow(publish: impl Fn(&Log, Tail) + Sync) {
    const LAST: u64 = 4;
    let log = Log::new(Arc::new(place()), [0; 16], Vec::new(), Tail::default());
    let waiters = Waiters::default();
    let publish = |version: u64| {
        publish(&log, Tail { version, last_id: id(version), ..Tail::default() });
        waiters.published(S, id(version));
    };
    let follow = |deadline: Option<Instant>| {
        let mut seen = 0;
        while seen < LAST {
            let reader = waiters.register([(S, Interest::Entries { after: id(seen) })]);
            loop {
                let tail = log.tail();
                assert!(tail.version >= seen && tail.last_id == id(tail.version));
                if tail.version > seen {
                    seen = tail.version;
                    break;
                }
                reader.wait(deadline);
            }
        }
    };
    thread::scope(|scope| {
        for versions in [[1, 3], [2, LAST]] {
            scope.spawn(move || versions.into_iter().for_each(publish));
        }
        for deadline in [None, None, deadline()] {
            scope.spawn(move || follow(deadline));
        }
    });
}

/// Somebody closes the store while readers come, look and sleep.
#[test]
fn close_ends_every_blocked_reader() {
    check(|| {
        let env = Env::new(&Options::new(), [0; 16], Reserve::new(place()), None, Board::none());
        let published = AtomicBool::new(false);
        let read = |interest: Interest<'static>, deadline: Option<Instant>| -> Result<bool> {
            let reader = env.waiters.register([(S, interest)]);
            loop {
                env.check_open()?;
                let wants = !matches!(interest, Interest::Entries { after } if after == StreamId::MAX);
                if wants && reader.try_turn(0) && published.load(Ordering::SeqCst) {
                    return Ok(true);
                }
                if !reader.wait(deadline) {
                    return Ok(false);
                }
            }
        };
        thread::scope(|scope| {
            let never = Interest::Entries { after: StreamId::MAX };
            let any = Interest::Entries { after: StreamId::MIN };
            for (interest, deadline) in [(never, None), (any, deadline()), (G, None), (CLAIM, None), (G, deadline())] {
                scope.spawn(move || match read(interest, deadline) {
                    Ok(found) => assert!(found || deadline.is_some()),
                    Err(error) => assert!(matches!(error, Error::Closed)),
                });
            }
            scope.spawn(|| {
                published.store(true, Ordering::SeqCst);
                env.waiters.published(S, id(1));
                env.waiters.gone(S);
            });
            scope.spawn(|| assert!(env.close()));
        });
        assert!(env.waiters.is_empty());
    });
}

/// The group of one stream: entries that are new and entries that were released, and how many are to come.
struct Group {
    name: &'static [u8],
    untaken: Mutex<(u64, u64)>,
}

impl Group {
    fn new(name: &'static [u8]) -> Self {
        Self { name, untaken: Mutex::new((0, 0)) }
    }

    fn publish(&self, waiters: &Waiters) {
        self.untaken.lock().0 += 1;
        waiters.published(self.name, id(1));
    }

    fn release(&self, waiters: &Waiters) {
        self.untaken.lock().1 += 1;
        waiters.released(self.name, b"g");
    }

    /// Takes one entry, and says whether that was everything the reader could take.
    fn take(&self, claims: bool) -> Option<bool> {
        let mut untaken = self.untaken.lock();
        let (new, released) = &mut *untaken;
        match (&mut *new, &mut *released) {
            (_, released @ 1..) if claims => *released -= 1,
            (new @ 1.., _) => *new -= 1,
            _ => return None,
        }
        Some(*new == 0 && (*released == 0 || !claims))
    }
}

/// What becomes of a read of one entry.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Entry,
    TimeOut,
    AllTaken,
}

/// Reads an entry from the first of these groups that has one.
fn read_one(waiters: &Waiters, groups: &[(&Group, bool)], deadline: Option<Instant>, left: &AtomicU64) -> Read {
    let interest = |&(group, claims): &(&Group, bool)| (group.name, if claims { CLAIM } else { G });
    let reader = waiters.register(groups.iter().map(interest).collect::<Vec<_>>());
    loop {
        if left.load(Ordering::SeqCst) == 0 {
            return Read::AllTaken;
        }
        if let Some(read) = look(waiters, &reader, groups, left) {
            return read;
        }
        if !reader.wait(deadline) {
            return Read::TimeOut;
        }
    }
}

/// Takes an entry where it may.
fn look(waiters: &Waiters, reader: &Registration<'_>, groups: &[(&Group, bool)], left: &AtomicU64) -> Option<Read> {
    for (position, (group, claims)) in groups.iter().enumerate() {
        if reader.try_turn(position)
            && let Some(was_last) = group.take(*claims)
        {
            if was_last {
                reader.exhausted(position);
            }
            if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                waiters.wake_all();
            }
            return Some(Read::Entry);
        }
    }
    None
}

/// Readers that never give up take everything, whatever becomes of those who do: of two streams, released or new, from
/// one or from both. Who takes the last entry tells the others; if one is left behind, they sleep for ever.
#[test]
fn no_reader_of_a_group_sleeps_while_there_is_something() {
    check(|| {
        let (waiters, s, t) = (Waiters::default(), Group::new(S), Group::new(T));
        let left = AtomicU64::new(6);
        let stay = |groups: &[(&Group, bool)]| while read_one(&waiters, groups, None, &left) != Read::AllTaken {};
        let leave = |groups: &[(&Group, bool)]| {
            read_one(&waiters, groups, deadline(), &left);
        };
        thread::scope(|scope| {
            scope.spawn(|| stay(&[(&s, false), (&t, false)]));
            scope.spawn(|| stay(&[(&t, false), (&s, true)]));
            scope.spawn(|| leave(&[(&s, true), (&t, true), (&s, false)]));
            scope.spawn(|| leave(&[(&t, false)]));
            scope.spawn(|| {
                s.publish(&waiters);
                t.publish(&waiters);
                s.release(&waiters);
            });
            scope.spawn(|| {
                t.publish(&waiters);
                s.publish(&waiters);
                s.publish(&waiters);
            });
        });
        assert!(waiters.is_empty());
    });
}

/// As [`read_one`], as a task that waits for ever.
#[cfg(feature = "async")]
async fn read_one_as_task(waiters: &Waiters, groups: &[(&Group, bool)], left: &AtomicU64) -> Read {
    let interest = |&(group, claims): &(&Group, bool)| (group.name, if claims { CLAIM } else { G });
    let reader = waiters.register(groups.iter().map(interest).collect::<Vec<_>>());
    loop {
        if left.load(Ordering::SeqCst) == 0 {
            return Read::AllTaken;
        }
        if let Some(read) = look(waiters, &reader, groups, left) {
            return read;
        }
        reader.wait_async(std::future::pending()).await;
    }
}

/// Tasks and threads that never give up take everything, whatever becomes of tasks that are dropped while they wait or when
/// they were woken.
#[cfg(feature = "async")]
#[test]
fn no_task_sleeps_while_there_is_something() {
    use std::pin::pin;
    use std::task::{Context, Waker};

    check(|| {
        let (waiters, s, t) = (Waiters::default(), Group::new(S), Group::new(T));
        let left = AtomicU64::new(5);
        let stay_as_task = |groups: &[(&Group, bool)]| {
            while shuttle::future::block_on(read_one_as_task(&waiters, groups, &left)) != Read::AllTaken {}
        };
        let be_dropped = |groups: &[(&Group, bool)]| {
            let mut read = pin!(read_one_as_task(&waiters, groups, &left));
            for _ in 0..thread_rng().gen_range(1..4) {
                if read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| stay_as_task(&[(&s, false), (&t, true)]));
            scope.spawn(|| while read_one(&waiters, &[(&t, true), (&s, true)], None, &left) != Read::AllTaken {});
            scope.spawn(|| be_dropped(&[(&s, true), (&t, false)]));
            scope.spawn(|| be_dropped(&[(&s, false)]));
            scope.spawn(|| {
                s.publish(&waiters);
                t.release(&waiters);
                s.publish(&waiters);
            });
            scope.spawn(|| {
                t.publish(&waiters);
                s.publish(&waiters);
            });
        });
        assert!(waiters.is_empty());
    });
}

/// Tasks are woken, dropped, and come to their end in any order; those that somebody waits for are run until they do, and the
/// queue stops when there are none.
#[cfg(feature = "async")]
#[test]
fn a_queue_runs_each_task_to_its_end_or_lets_go_of_it() {
    use crate::tasks::queue::Queue;
    use crate::tasks::task;

    check(|| {
        let (queue, waiters) = (Arc::new(Queue::default()), Arc::new(Waiters::default()));
        let published = Arc::new(AtomicBool::new(false));
        let begin = || {
            let (waiters, published) = (Arc::clone(&waiters), Arc::clone(&published));
            task::spawn(&queue, async move {
                let reader = waiters.register([(S, Interest::Entries { after: StreamId::MIN })]);
                while !published.load(Ordering::SeqCst) {
                    reader.wait_async(std::future::pending()).await;
                }
            })
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                while let Some(task) = queue.next() {
                    task.run();
                }
            });
            let waiting = scope.spawn(|| assert!(shuttle::future::block_on(begin()).is_ok()));
            let dropping = scope.spawn(|| {
                for _ in 0..2 {
                    let task = begin();
                    (0..thread_rng().gen_range(0..4)).for_each(|_| thread::yield_now());
                    drop(task);
                }
            });
            let publishing = scope.spawn(|| {
                published.store(true, Ordering::SeqCst);
                waiters.published(S, id(1));
            });
            [waiting, dropping, publishing].into_iter().for_each(|thread| thread.join().unwrap());
            queue.stop();
        });
        assert!(waiters.is_empty());
        assert!(shuttle::future::block_on(begin()).is_err(), "none is begun any more");
    });
}

/// There is an entry for each of two readers, and a third that panics when it is woken.
#[test]
fn a_turn_outlives_its_reader() {
    check(|| {
        let (waiters, s) = (Waiters::default(), Group::new(S));
        let left = AtomicU64::new(2);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert_eq!(read_one(&waiters, &[(&s, false)], None, &left), Read::Entry));
            }
            scope.spawn(|| {
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    let reader = waiters.register([(S, G)]);
                    if left.load(Ordering::SeqCst) != 0 {
                        reader.wait(deadline());
                    }
                    resume_unwind(Box::new("in the middle of a look"));
                }));
            });
            scope.spawn(|| s.publish(&waiters));
            scope.spawn(|| s.publish(&waiters));
        });
    });
}

/// Readers that sleep are served in the order in which they came.
#[test]
fn sleeping_readers_of_a_group_are_served_in_order() {
    check(|| {
        let (waiters, s, served) = (Waiters::default(), Group::new(S), Mutex::new(Vec::new()));
        let asleep = || {
            let reader = waiters.register([(S, G)]);
            // With somebody before it, it would take the turn that is over when it waits.
            assert!(reader.try_turn(0));
            reader.exhausted(0);
            reader
        };
        let serve = |number: u64, reader: Registration<'_>| {
            while !reader.wait(None) || !reader.try_turn(0) || s.take(false).is_none() {}
            served.lock().push(number);
        };
        let readers: [_; 3] = std::array::from_fn(|number| (number as u64, asleep()));
        thread::scope(|scope| {
            for (number, reader) in readers {
                scope.spawn(move || serve(number, reader));
            }
            scope.spawn(|| s.publish(&waiters));
            scope.spawn(|| {
                s.publish(&waiters);
                s.publish(&waiters);
            });
        });
        assert_eq!(*served.lock(), [0, 1, 2]);
    });
}

/// What a model of group commit appends to and syncs.
#[derive(Default)]
struct File {
    appended: AtomicU64,
    durable: AtomicU64,
    syncing: AtomicBool,
    poisoned: AtomicBool,
}

impl File {
    fn append(&self) -> Progress {
        entries(self.appended.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// A sync during which `interrupt` may make it fail.
    fn sync(&self, interrupt: impl Fn() -> Result<()>) -> Result<Progress> {
        assert!(!self.syncing.swap(true, Ordering::SeqCst), "one thread at a time");
        let appended = self.appended.load(Ordering::SeqCst);
        // It is over, whatever comes of it.
        self.syncing.store(false, Ordering::SeqCst);
        interrupt()?;
        self.durable.fetch_max(appended, Ordering::SeqCst);
        Ok(entries(appended))
    }

    fn check(&self) -> Result<()> {
        if self.poisoned.load(Ordering::SeqCst) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Appends and commits; returns whether it succeeded, after a look at whether that is true.
    fn commit(&self, committer: &Committer, interrupt: impl Fn() -> Result<()>) -> bool {
        let target = self.append();
        committer.come(target);
        let committed = committer.commit(target, || self.check(), || self.sync(&interrupt));
        let is_durable = self.durable.load(Ordering::SeqCst) >= target.next_ordinal;
        assert!(committed.is_err() || is_durable, "acknowledged before it was durable");
        committed.is_ok()
    }
}

fn entries(next_ordinal: u64) -> Progress {
    Progress { next_ordinal, changes: 0 }
}

/// Any sync may fail or panic. Nobody is told that something is durable that is not, and nobody waits for a leader that
/// is no more; who follows takes over.
#[test]
fn whoever_leads_a_commit_hands_over() {
    check(|| {
        let (file, committer) = (File::default(), Committer::new(entries(0)));
        let interrupt = || match thread_rng().gen_range(0..4) {
            0 => Err(Error::Closed),
            1 => resume_unwind(Box::new("in the middle of a sync")),
            _ => Ok(()),
        };
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..2 {
                        let _ = catch_unwind(AssertUnwindSafe(|| file.commit(&committer, interrupt)));
                    }
                });
            }
            scope.spawn(|| assert!(file.commit(&committer, || Ok(())), "its own syncs succeed"));
        });
    });
}

/// A failed sync poisons: nobody succeeds without having been synced before, and nobody is left waiting.
#[test]
fn a_failed_sync_ends_all_who_wait() {
    check(|| {
        let (file, committer) = (File::default(), Committer::new(entries(0)));
        let fails = AtomicBool::new(false);
        let interrupt = || {
            let poisoned = fails.load(Ordering::SeqCst);
            file.poisoned.fetch_or(poisoned, Ordering::SeqCst);
            if poisoned { Err(Error::Closed) } else { Ok(()) }
        };
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..2).for_each(|_| _ = file.commit(&committer, interrupt)));
            }
            scope.spawn(|| fails.store(true, Ordering::SeqCst));
        });
        assert!(!file.commit(&committer, interrupt), "poisoned by now");
    });
}

/// The store is poisoned by something else than a sync of these: nobody is left waiting for who was to lead and did not.
#[test]
fn a_failure_elsewhere_ends_all_who_wait() {
    check(|| {
        let (file, committer) = (File::default(), Committer::new(entries(0)));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..2).for_each(|_| _ = file.commit(&committer, || Ok(()))));
            }
            scope.spawn(|| file.poisoned.store(true, Ordering::SeqCst));
        });
        assert!(!file.commit(&committer, || Ok(())), "poisoned by now");
    });
}
