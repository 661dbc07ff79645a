//! Kills children at the calls they make to the disk, until one has died at every call that there is in the source.
//!
//! A child dies by its own hand, in the thread that is about to make the call and after it has said from which lines of the
//! source it would: so where it died is known, and not guessed from when it was killed. The calls that a child makes are
//! surveyed before, by one that makes all of them; the sources are scanned for those that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use streamlog::Durability;

use crate::cases::{self, Case};
use crate::child::{Call, Order, Random, Work};
use crate::ledger::Ledger;
use crate::parent::{LEVELS, Life, Moment, STORES, copy, cycle, live, seed};
use crate::sites::{self, Hits, Site};

/// A call that a child made, or was about to make.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    number: u64,
    /// What it does.
    op: String,
    /// The lines on the way to it, the innermost first.
    sites: Vec<Site>,
}

impl Made {
    fn of_text(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (number, op) = (words.next()?.parse().ok()?, words.next()?.to_owned());
        let site = |word: &str| {
            let (file, line) = word.rsplit_once(':')?;
            Some((file.to_owned(), line.parse().ok()?))
        };
        Some(Self { number, op, sites: words.map(site).collect::<Option<_>>()? })
    }

    /// Calls of one kind from one line are alike.
    fn kind(&self) -> (String, Option<Site>) {
        (self.op.clone(), self.sites.first().cloned())
    }
}

/// The calls that a child made.
fn survey(order: &Order) -> Result<Vec<Made>, String> {
    let life = live(order, Moment::Itself)?;
    let calls = life.lines.iter().filter_map(|line| line.trim_end().strip_prefix("~call "));
    Ok(calls.filter_map(Made::of_text).collect())
}

/// Where a child died, if it did.
fn death(life: &Life) -> Result<Option<Made>, String> {
    let said = life.lines.last().and_then(|line| line.trim_end().strip_prefix("~dies "));
    match (life.killed, said.map(Made::of_text)) {
        (true, Some(Some(made))) if !made.sites.is_empty() => Ok(Some(made)),
        (false, None) => Ok(None),
        (killed, said) => Err(format!("killed: {killed}, and it said that it dies at {said:?}")),
    }
}

/// What all threads find out.
#[derive(Default)]
struct Deaths {
    hits: Mutex<Hits>,
    count: AtomicUsize,
    checked: AtomicUsize,
    violations: Mutex<Vec<String>>,
}

impl Deaths {
    fn note(&self, made: Made) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.hits.lock().unwrap().note_sites(made.sites);
    }

    /// Does this with each of the items, several at a time.
    fn each<T: Sync>(&self, items: &[T], work: impl Fn(&T) -> Result<(), String> + Sync) {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(why) = work(item) {
                    self.violations.lock().unwrap().push(why);
                }
            }
        };
        std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(2, |count| count.get());
            (0..threads).for_each(|_| drop(scope.spawn(work)));
        });
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_at_any_call_site() {
    let (began, seed) = (Instant::now(), seed());
    println!("STREAMLOG_SEED={seed}");
    let (mut random, deaths) = (Random::new(seed), Deaths::default());
    let chosen = std::env::var("STREAMLOG_CASE").ok();
    if chosen.is_none() {
        by_script(&mut random, &deaths);
    }
    in_cases(chosen.as_deref(), &mut random, &deaths);
    let sites = sites::check(&deaths.hits.lock().unwrap(), &[sites::FOLLOWED]);
    let violations = deaths.violations.into_inner().unwrap();
    println!(
        "kills at calls: {} children died at a call, {}; {} acknowledgements checked, {} violations, {:.1} s, seed {seed}",
        deaths.count.into_inner(),
        sites.as_ref().unwrap_or_else(|why| why),
        deaths.checked.into_inner(),
        violations.len(),
        began.elapsed().as_secs_f64(),
    );
    assert!(violations.is_empty(), "STREAMLOG_SEED={seed}\n{}", violations.join("\n"));
    assert!(chosen.is_some() || sites.is_ok(), "there are calls that nobody died at, or excuses that are none");
}

/// Where a script begins.
struct Start {
    directory: tempfile::TempDir,
    ledger: Ledger,
    cycle: u64,
}

impl Start {
    fn order(&self, directory: &Path, level: Durability, call: Call) -> Order {
        let seed = self.ledger.seed;
        Order { directory: directory.to_owned(), level, seed, cycle: self.cycle, work: Work::Script(call) }
    }

    /// Which calls the script makes.
    fn survey(&self, level: Durability) -> Result<Vec<Made>, String> {
        let directory = tempfile::tempdir().unwrap();
        copy(self.directory.path(), directory.path());
        survey(&self.order(directory.path(), level, Call::All))
    }

    /// Runs the script up to a call, and another child's up to another.
    fn kill_at(&self, level: Durability, calls: [u64; 2], deaths: &Deaths) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        copy(self.directory.path(), directory.path());
        let mut ledger = self.ledger.clone();
        let order = self.order(directory.path(), level, Call::Die(calls[0]));
        let died = death(&cycle(&order, Moment::Itself, &mut ledger, false)?)?.ok_or("it did not die")?;
        deaths.note(died);
        let next = Order { cycle: self.cycle + 1, work: Work::Script(Call::Die(calls[1])), ..order };
        // It may come to its end: that is a check, too.
        if let Some(died) = death(&cycle(&next, Moment::Itself, &mut ledger, true)?)? {
            deaths.note(died);
        }
        deaths.checked.fetch_add((ledger.checked - self.ledger.checked) as usize, Ordering::Relaxed);
        Ok(())
    }
}

/// In a new store, in one that was closed, and in ones that another child was killed in.
fn by_script(random: &mut Random, deaths: &Deaths) {
    let (mut kinds, mut plans) = (BTreeSet::new(), Vec::new());
    let level_of = |number: usize| LEVELS[number % 2];
    let ledger = Ledger::new(random.next() >> 8);
    let mut starts = vec![Start { directory: tempfile::tempdir().unwrap(), ledger, cycle: 0 }];
    for number in 0..5 {
        let level = level_of(number);
        let calls = starts[number].survey(level).unwrap();
        let mut numbers: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for call in &calls {
            numbers.entry(call.kind()).or_default().push(call.number);
        }
        // Those that are new by their first call, and one other.
        for (kind, numbers) in numbers {
            if kinds.insert(kind) {
                let other = numbers[random.below(numbers.len() as u64) as usize];
                for call in BTreeSet::from([numbers[0], other]) {
                    plans.push((number, [call, random.below(calls.len() as u64)]));
                }
            }
        }
        // The next one begins where one was killed: while renaming, say, or anywhere.
        let renames: Vec<u64> = calls.iter().filter(|call| call.op == "Rename").map(|call| call.number).collect();
        let call = match number {
            0 => Call::All,
            1 | 2 => Call::Die(renames[renames.len() - number]),
            _ => Call::Die(random.below(calls.len() as u64)),
        };
        let directory = tempfile::tempdir().unwrap();
        copy(starts[number].directory.path(), directory.path());
        let mut ledger = starts[number].ledger.clone();
        cycle(&starts[number].order(directory.path(), level, call), Moment::Itself, &mut ledger, false).unwrap();
        let cycle = starts[number].cycle + 1;
        starts.push(Start { directory, ledger, cycle });
    }
    deaths.each(&plans, |(start, calls)| {
        let killed = starts[*start].kill_at(level_of(*start), *calls, deaths);
        killed.map_err(|why| format!("start {start}, killed at calls {calls:?}: {why}"))
    });
}

/// A child that is to die in a case.
struct Plan {
    case: usize,
    call: u64,
}

fn in_cases(chosen: Option<&str>, random: &mut Random, deaths: &Deaths) {
    let mut cases = cases::all();
    cases.retain(|case| chosen.is_none_or(|chosen| chosen == case.name));
    let surveys = Mutex::new(BTreeMap::new());
    deaths.each(&(0..cases.len()).collect::<Vec<_>>(), |number| {
        let case = &cases[*number];
        let directory = tempfile::tempdir().unwrap();
        case.put(directory.path());
        let calls = survey(&order(directory.path(), case, *number, Call::All));
        surveys.lock().unwrap().insert(*number, calls.map_err(|why| format!("{}: {why}", case.name))?);
        Ok(())
    });
    let surveys = surveys.into_inner().unwrap();
    let scanned = sites::scan();
    for attempt in 0..5 {
        let (mut planned, mut plans) = (deaths.hits.lock().unwrap().clone(), Vec::new());
        for (case, calls) in &surveys {
            // From another one on each time: a call from a line may be made only now and then.
            let from = if attempt == 0 { 0 } else { random.below(calls.len() as u64) as usize };
            for call in calls[from..].iter().chain(&calls[..from]) {
                let sites: Vec<Site> = call.sites.iter().filter(|site| scanned.contains_key(*site)).cloned().collect();
                if !planned.covers(&sites) {
                    planned.note_sites(sites);
                    plans.push(Plan { case: *case, call: call.number });
                }
            }
            if attempt == 0 {
                plans.extend((0..3).map(|_| Plan { case: *case, call: random.below(calls.len() as u64) }));
            }
        }
        deaths.each(&plans, |plan| {
            let case = &cases[plan.case];
            let killed = kill_in(plan, case, deaths);
            killed.map_err(|why| format!("{}, killed at call {}: {why}", case.name, plan.call))
        });
        if plans.is_empty() {
            break;
        }
    }
}

/// Half of the cases at each level that has no thread of its own.
fn level_of(case: usize) -> Durability {
    LEVELS[case % 2]
}

fn order(directory: &Path, case: &Case, number: usize, call: Call) -> Order {
    let work = Work::Case(case.name.clone(), call);
    Order { directory: directory.to_owned(), level: level_of(number), seed: 0, cycle: 0, work }
}

fn kill_in(plan: &Plan, case: &Case, deaths: &Deaths) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    case.put(directory.path());
    let life = live(&order(directory.path(), case, plan.case, Call::Die(plan.call)), Moment::Itself)?;
    // If it made fewer calls this time it has come to its end; what nobody died at is found in the end.
    if let Some(died) = death(&life)? {
        deaths.note(died);
    }
    let _open = STORES.read().unwrap_or_else(PoisonError::into_inner);
    case.check(directory.path(), level_of(plan.case))
}
