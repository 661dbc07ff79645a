//! Runs every scenario with every fault at every call, on all processors.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use streamlog::{Durability, Error};

use crate::inject::{self, Fault};
use crate::sites::{self, Hits};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// There were not so many calls.
    NotReached,
    /// A call failed, and no operation did.
    Unharmed,
    /// An operation failed without an effect, and succeeded when it was repeated.
    Repeated,
    /// The store was poisoned, or did not open, until it was opened again.
    Reopened,
}

/// A scenario at a level: what happens if a fault comes at a call.
type Attempt = Box<dyn Fn(u64, Fault, &Arc<Mutex<Hits>>) -> Result<End, String> + Send + Sync>;

pub struct Campaign {
    scenarios: Vec<(String, Attempt)>,
}

/// What was done.
#[derive(Default)]
struct Counts {
    calls: AtomicUsize,
    runs: AtomicUsize,
    unharmed: AtomicUsize,
    repeated: AtomicUsize,
    reopened: AtomicUsize,
}

pub fn nightly() -> bool {
    std::env::var_os("STREAMLOG_NIGHTLY").is_some()
}

pub const LEVELS: [Durability; 2] = [Durability::Always, Durability::Os];

impl Campaign {
    pub fn new() -> Self {
        Self { scenarios: Vec::new() }
    }

    pub fn add(
        &mut self,
        name: String,
        attempt: impl Fn(u64, Fault, &Arc<Mutex<Hits>>) -> Result<End, String> + Send + Sync + 'static,
    ) {
        self.scenarios.push((name, Box::new(attempt)));
    }

    /// Runs everything, and looks at which calls were failed.
    pub fn finish(self, began: Instant) {
        const FAILURES_MAX: usize = 20;
        let chosen = std::env::var("STREAMLOG_CASE").ok();
        let (counts, hits) = (Counts::default(), Arc::new(Mutex::new(Hits::default())));
        let (next, failures) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<String, (usize, String)>::new()));
        let work = || {
            while let Some((name, attempt)) = self.scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                if chosen.as_ref().is_some_and(|chosen| chosen != name) {
                    continue;
                }
                let fail = |how: String, why: String| {
                    let words =
                        why.split_whitespace().filter(|word| !word.contains(|c: char| c.is_numeric() || c == '/'));
                    let kind = words.take(30).collect::<Vec<_>>().join(" ");
                    let mut failures = failures.lock().unwrap();
                    failures.entry(kind).or_insert((0, format!("{how}: {why}"))).0 += 1;
                };
                run_scenario(name, attempt, &hits, &counts, fail);
            }
        };
        std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(2, |count| count.get());
            (0..threads).for_each(|_| drop(scope.spawn(work)));
        });
        let get = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let hits = hits.lock().unwrap();
        let sites = match chosen {
            Some(_) => Ok("of one scenario".to_owned()),
            None => sites::check(&hits, &[sites::FOLLOWED, sites::UNOPENED]),
        };
        println!(
            "faults: {} scenarios of {} calls, {} runs ({} unharmed, {} repeated, {} reopened), {}, {} backtraces, {:.1} s",
            self.scenarios.len(),
            get(&counts.calls),
            get(&counts.runs),
            get(&counts.unharmed),
            get(&counts.repeated),
            get(&counts.reopened),
            sites.as_ref().unwrap_or_else(|why| why),
            hits.backtraces,
            began.elapsed().as_secs_f64(),
        );
        let failures = failures.into_inner().unwrap();
        let lines: Vec<_> = failures.values().map(|(count, why)| format!("{count} like: {why}")).collect();
        let first = lines.iter().take(FAILURES_MAX).cloned().collect::<Vec<_>>().join("\n\n");
        assert!(lines.is_empty(), "{} kinds of violations, among them\n{first}", lines.len());
        assert!(sites.is_ok(), "there are calls that were never failed, or excuses that are none");
        assert!(chosen.is_some() || get(&counts.runs) > 20_000, "{} runs", get(&counts.runs));
    }
}

fn run_scenario(
    name: &str,
    attempt: &Attempt,
    hits: &Arc<Mutex<Hits>>,
    counts: &Counts,
    fail: impl Fn(String, String),
) {
    // The other level makes no call that this one does not make.
    let attributed = name.ends_with("Always");
    for (number, mut fault) in inject::all().enumerate() {
        fault.attributed &= attributed;
        for call in 0.. {
            let ended = catch_unwind(AssertUnwindSafe(|| attempt(call, fault, hits)))
                .unwrap_or_else(|panic| Err(format!("panicked: {}", message(&*panic))));
            let counter = match ended {
                Ok(End::NotReached) => {
                    counts.calls.fetch_add(if number == 0 { call as usize } else { 0 }, Ordering::Relaxed);
                    break;
                }
                Ok(End::Unharmed) => &counts.unharmed,
                Ok(End::Repeated) => &counts.repeated,
                Ok(End::Reopened) => &counts.reopened,
                Err(why) => {
                    let lasts = if fault.sticky { "from then on" } else { "once" };
                    fail(format!("STREAMLOG_CASE=\"{name}\", {} at call {call}, {lasts}", fault.name), why);
                    &counts.reopened
                }
            };
            counter.fetch_add(1, Ordering::Relaxed);
            counts.runs.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Says if an error is not one that this fault may lead to.
pub fn expected(error: &Error, fault: &Fault) -> Result<(), String> {
    match error {
        Error::NoSpace { .. } if inject::is_full(fault) => Ok(()),
        Error::NoDescriptors { .. } if fault.name == "EMFILE" => Ok(()),
        Error::Io { .. } | Error::Poisoned { .. } => Ok(()),
        other => Err(format!("it failed with {other:?}")),
    }
}
