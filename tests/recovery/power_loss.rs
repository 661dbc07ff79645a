//! Promise: power loss at any point leaves a state that was, with everything that had been acknowledged (P2, P3).
//!
//! Histories of up to three operations are cut off after every step they make on the disk: all histories of the fourteen
//! operations [`CHOSEN`], and others from more beginnings. What is found has to be the state after some prefix of the
//! history, nothing acknowledged missing, and the store has to be good for a second life. What may be on the disk then:
//!
//! | model     | of what had not been synced                                                     | found is |
//! |-----------|---------------------------------------------------------------------------------|----------|
//! | honest    | each sector is old, new or torn, each by itself; names changed up to some point | such a prefix |
//! | reordered | the same, but any of the changes of names happened                              | such a prefix |
//! | ruined    | a sector that was being written holds anything                                   | older, or refused as damaged |
//! | lying     | no sync ever did anything                                                        | consistent, or refused as damaged |
//! | failing   | a sync failed, and what it was to write may be lost for ever                     | such a prefix |
//!
//! One of sixteen is crashed again while it is recovered.
//!
//! `STREAMLOG_NIGHTLY=1` looks at many more images, and at a part of the histories of four operations that
//! `STREAMLOG_SEED` chooses; the seed also chooses among the images wherever there are too many.
//! `STREAMLOG_CASE="<level> <start> <op>+<op>"`, as a failure prints it, looks at one history only, and shows what it did to
//! the disk.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use streamlog::sim::{CrashLimits, Image, Op as IoOp, SimDisk};
use streamlog::{Durability, StreamId};

use crate::harness::{
    ALL, Allowed, CHOSEN, Contents, GROUP, Model, NEXT_MS, OF_GROUPS, Op, Run, Trust, ZOE, contents, dump, reopen,
    same, seed,
};

/// The images of all campaigns of this run.
static IMAGES: AtomicUsize = AtomicUsize::new(0);

fn nightly() -> bool {
    std::env::var_os("STREAMLOG_NIGHTLY").is_some()
}

/// Where a history begins.
#[derive(Clone)]
struct Start {
    name: &'static str,
    image: Option<Image>,
    model: Model,
}

impl Start {
    fn disk(&self) -> Arc<SimDisk> {
        self.image.as_ref().map_or_else(SimDisk::new, Image::mount)
    }

    /// Without anything, not even a store.
    fn nothing() -> Self {
        Self { name: "nothing", image: None, model: Model::new(Durability::Always) }
    }

    fn filled() -> Run {
        let mut run = Run::new(SimDisk::new(), Model::new(Durability::Always)).unwrap();
        use Op::*;
        for op in [AddHuge, AddHuge, AddHuge, AddSmall, AddOther, DeleteOldest, AddSmall, AddOther] {
            run.apply(op).unwrap();
        }
        run
    }

    /// Two streams, one of them with two segments and a journal, closed.
    fn closed() -> Self {
        let (image, model) = Self::filled().close().unwrap();
        Self { name: "closed", image: Some(image), model }
    }

    /// The same, but the process was killed.
    fn killed() -> Self {
        let run = Self::filled();
        Self { name: "killed", image: Some(run.disk.kill_image(run.disk.steps())), model: run.model.clone() }
    }

    fn grouped() -> Run {
        let mut run = Run::new(SimDisk::new(), Model::new(Durability::Always)).unwrap();
        use Op::*;
        let all = [
            CreateGroup,
            Produce,
            AddHuge,
            Deliver,
            AddHuge,
            AddHuge,
            DeliverAll,
            Acknowledge,
            AddSmall,
            Deliver,
            AddOther,
        ];
        for op in all {
            run.apply(op).unwrap();
        }
        run
    }

    /// A stream with a group, pending entries, and a production in a sealed segment; closed.
    fn grouped_closed() -> Self {
        let (image, model) = Self::grouped().close().unwrap();
        Self { name: "grouped", image: Some(image), model }
    }

    /// The same, but the process was killed.
    fn grouped_killed() -> Self {
        let run = Self::grouped();
        Self { name: "grouped-killed", image: Some(run.disk.kill_image(run.disk.steps())), model: run.model.clone() }
    }

    /// The same, with a journal just so long that the next change begins a new generation.
    fn grouped_compacting() -> Self {
        let mut run = Self::grouped();
        let journals = |run: &Run| -> Vec<_> {
            let image = run.disk.kill_image(run.disk.steps());
            image.files().filter(|path| path.to_string_lossy().ends_with(".journal")).map(ToOwned::to_owned).collect()
        };
        let before = journals(&run);
        loop {
            for op in [Op::AddSmall, Op::Deliver, Op::Acknowledge] {
                let (steps, model) = (run.disk.steps(), run.model.clone());
                run.apply(op).unwrap();
                run.model = run.model.settled(Durability::Always);
                if journals(&run) != before {
                    return Self { name: "grouped-compacting", image: Some(run.disk.kill_image(steps)), model };
                }
            }
        }
    }

    /// A stream whose journal is just so long that the next change begins a new generation.
    fn compacting() -> Self {
        let mut run = Run::new(SimDisk::new(), Model::new(Durability::Always)).unwrap();
        run.apply(Op::AddSmall).unwrap();
        run.apply(Op::AddSmall).unwrap();
        loop {
            run.apply(Op::AddSmall).unwrap();
            let (steps, model) = (run.disk.steps(), run.model.clone());
            run.apply(Op::DeleteOldest).unwrap();
            run.model = run.model.settled(Durability::Always);
            let image = run.disk.kill_image(run.disk.steps());
            if image.files().any(|path| path.ends_with("00000000000000000002.journal")) {
                return Self { name: "compacting", image: Some(run.disk.kill_image(steps)), model };
            }
        }
    }
}

/// All histories of this many operations.
fn histories(ops: &[Op], len: usize) -> Vec<Vec<Op>> {
    (0..len).fold(vec![Vec::new()], |histories, _| {
        let longer = |history: &Vec<Op>| -> Vec<Vec<Op>> {
            ops.iter().map(|op| history.iter().chain([op]).copied().collect()).collect()
        };
        histories.iter().flat_map(longer).collect()
    })
}

/// Of all histories in which there is something about groups, one of so many; every night all of them.
fn histories_of_groups(len: usize, one_of: u64) -> Vec<Vec<Op>> {
    let mut histories = histories(&[&ALL[..], &OF_GROUPS[..]].concat(), len);
    histories.retain(|history| history.iter().any(|op| OF_GROUPS.contains(op)));
    let mut number = seed();
    histories.retain(|_| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        nightly() || replaying() || (number >> 33).is_multiple_of(one_of)
    });
    histories
}

/// What was looked at.
#[derive(Default)]
struct Counts {
    histories: AtomicUsize,
    points: AtomicUsize,
    exhaustive: AtomicUsize,
    images: AtomicUsize,
    recoveries: AtomicUsize,
    refused: AtomicUsize,
    failed_syncs: AtomicUsize,
}

impl Counts {
    fn add(counter: &AtomicUsize) -> usize {
        counter.fetch_add(1, Ordering::Relaxed)
    }

    fn report(&self, what: &str, began: Instant) {
        let get = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let (points, exhaustive) = (get(&self.points), get(&self.exhaustive));
        let (images, seconds) = (get(&self.images), began.elapsed().as_secs_f64());
        let all = IMAGES.fetch_add(images, Ordering::Relaxed) + images;
        println!(
            "{what}: {} histories, {points} crash points ({}% exhaustive), {images} images in {seconds:.0} s, {:.0}/s, {} crashes while recovering, {} failed syncs, {} refused as damaged, {all} images so far, STREAMLOG_SEED={:#x}",
            get(&self.histories),
            100 * exhaustive / points.max(1),
            images as f64 / seconds,
            get(&self.recoveries),
            get(&self.failed_syncs),
            get(&self.refused),
            seed(),
        );
    }
}

/// How a campaign looks at crashes.
#[derive(Clone, Copy)]
struct Look {
    limits: CrashLimits,
    disk: Trust,
    /// Of so many images, one is crashed again while it is recovered.
    again: usize,
    /// How many images to look at of each other kind of disk, if any, and whether at each point of one kind in turn.
    others: Option<(CrashLimits, bool)>,
}

impl Look {
    fn honest(limits: CrashLimits, again: usize) -> Self {
        Self { limits, disk: Trust::Honest, again, others: None }
    }

    /// The other kinds of disk to look at.
    fn otherwise(&self, turn: usize) -> Vec<(Trust, CrashLimits)> {
        let Some((limits, in_turn)) = self.others else { return Vec::new() };
        let all = [
            (Trust::Honest, CrashLimits { reorder_dirs: true, ..limits }),
            (Trust::Ruined, CrashLimits { garbage: true, ..limits }),
            (Trust::Lying, CrashLimits { lying_syncs: true, ..limits }),
        ];
        if in_turn { vec![all[turn % all.len()]] } else { all.to_vec() }
    }
}

fn limits(exhaustive_max: usize, samples: usize) -> CrashLimits {
    CrashLimits { exhaustive_max, samples, ..CrashLimits::default() }
}

/// A history to be looked at.
struct Case<'a> {
    start: &'a Start,
    level: Durability,
    history: Vec<Op>,
    look: Look,
}

impl Case<'_> {
    fn name(&self) -> String {
        let ops: Vec<_> = self.history.iter().map(|op| format!("{op:?}")).collect();
        format!("{:?} {} {}", self.level, self.start.name, ops.join("+"))
    }

    /// Cuts the last operation off after each of its steps: the ones before are the last of other histories.
    fn power_loss(&self, counts: &Counts) -> Result<(), String> {
        let model = self.start.model.clone().settled(self.level);
        let mut run = Run::new(self.start.disk(), model).map_err(|error| error.to_string())?;
        let Some((last, first)) = self.history.split_last() else { return Ok(()) };
        for op in first {
            run.apply(*op).map_err(|error| format!("{op:?}: {error}"))?;
        }
        // The first one also opens the store.
        let steps = if first.is_empty() { 0 } else { run.disk.steps() };
        let before = run.apply(*last).map_err(|error| format!("{last:?}: {error}"))?;
        same(&run.model.contents(), &contents(run.store())?)?;
        Counts::add(&counts.histories);
        let end = run.disk.steps();
        for step in steps..=end {
            let allowed = Allowed { before: &before, after: &run.model, done: step == end, disk: self.look.disk };
            let crashed = self.crash(&run.disk, step, &allowed, self.look, counts);
            let crashed = crashed.and_then(|()| self.crash_otherwise(&run.disk, step, &allowed, counts));
            crashed.map_err(|why| {
                let transcript = if replaying() { run.disk.transcript() } else { String::new() };
                format!("after step {step} of {steps}..{end}, {why}\n{transcript}")
            })?;
        }
        Ok(())
    }

    /// Looks at what a disk of another kind may leave.
    fn crash_otherwise(
        &self,
        disk: &Arc<SimDisk>,
        step: usize,
        allowed: &Allowed<'_>,
        counts: &Counts,
    ) -> Result<(), String> {
        for (trust, limits) in self.look.otherwise(step + self.history.iter().map(|op| *op as usize).sum::<usize>()) {
            let look = Look { disk: trust, limits, ..self.look };
            let allowed = Allowed { disk: trust, ..*allowed };
            let what = |why| format!("{trust:?}, in any order {}, {why}", limits.reorder_dirs);
            self.crash(disk, step, &allowed, look, counts).map_err(what)?;
        }
        Ok(())
    }

    /// Fails each sync of the last operation, which goes on as it likes; then the power fails.
    fn failing_syncs(&self, counts: &Counts) -> Result<(), String> {
        let Some((last, first)) = self.history.split_last() else { return Ok(()) };
        Counts::add(&counts.histories);
        for number in 0.. {
            let model = self.start.model.clone().settled(self.level);
            let disk = self.start.disk();
            let hits = Arc::new(AtomicUsize::new(0));
            let fail = || {
                let hits = Arc::clone(&hits);
                disk.fail_when(move |call| {
                    let is_sync = matches!(call.op, IoOp::Sync | IoOp::SyncDir);
                    (is_sync && hits.fetch_add(1, Ordering::Relaxed) == number)
                        .then_some(std::io::ErrorKind::Other.into())
                });
            };
            if first.is_empty() {
                fail();
            }
            let (before, after, done, steps) = match Run::new(Arc::clone(&disk), model.clone()) {
                Ok(mut run) => {
                    for op in first {
                        run.apply(*op).map_err(|error| format!("{op:?}: {error}"))?;
                    }
                    if !first.is_empty() {
                        fail();
                    }
                    let before = run.model.clone();
                    let done = run.apply(*last).is_ok();
                    disk.note("power loss");
                    let steps = disk.steps();
                    let failed = hits.load(Ordering::Relaxed) > number;
                    if !failed {
                        return Ok(());
                    }
                    let (_, after) = run.kill();
                    (before, after, done, steps)
                }
                Err(_) => (model.clone(), model, false, disk.steps()),
            };
            Counts::add(&counts.failed_syncs);
            let allowed = Allowed { before: &before, after: &after, done, disk: Trust::Honest };
            self.crash(&disk, steps, &allowed, self.look, counts).map_err(|why| {
                let transcript = if replaying() { disk.transcript() } else { String::new() };
                format!("sync {number} failed, {why}\n{transcript}")
            })?;
        }
        Ok(())
    }

    fn crash(
        &self,
        disk: &Arc<SimDisk>,
        step: usize,
        allowed: &Allowed<'_>,
        look: Look,
        counts: &Counts,
    ) -> Result<(), String> {
        let images = disk.crash_images(step, look.limits, seed());
        Counts::add(&counts.points);
        counts.exhaustive.fetch_add(usize::from(images.is_exhaustive()), Ordering::Relaxed);
        for image in images {
            let number = Counts::add(&counts.images);
            self.image(&image, allowed, look, number, counts)
                .map_err(|why| format!("{}: {why}", image.description()))?;
        }
        Ok(())
    }

    fn image(
        &self,
        image: &Image,
        allowed: &Allowed<'_>,
        look: Look,
        number: usize,
        counts: &Counts,
    ) -> Result<(), String> {
        let disk = image.mount();
        let opened = reopen(&disk, self.level).map_err(|error| error.to_string());
        let found = opened.and_then(|store| contents(&store).map(|found| (store, found)));
        let (store, found) = match found {
            Ok(found) => found,
            Err(why) if look.disk != Trust::Honest && is_damage(&why) => {
                Counts::add(&counts.refused);
                return Ok(());
            }
            Err(why) => return Err(why),
        };
        allowed.check(&found)?;
        if number.is_multiple_of(look.again) && look.disk == Trust::Honest {
            Counts::add(&counts.recoveries);
            self.recover_again(&disk, &found).map_err(|why| format!("recovered twice: {why}"))?;
            self.crash_recovery(&disk, number, allowed)?;
        }
        allowed.live_on(&disk, store, &found)
    }

    /// What was recovered is what is recovered from then on, to whoever opens the store or only looks at it.
    fn recover_again(&self, disk: &Arc<SimDisk>, found: &Contents) -> Result<(), String> {
        let once = dump(disk)?;
        let disk = disk.kill_image(disk.steps()).mount();
        let store = reopen(&disk, self.level).map_err(|error| error.to_string())?;
        same(found, &contents(&store)?)?;
        let twice = dump(&disk)?;
        if once != twice { Err(format!("{once}\nand then\n{twice}")) } else { Ok(()) }
    }

    /// Crashes once more while the crash before is being recovered from.
    fn crash_recovery(&self, disk: &Arc<SimDisk>, number: usize, allowed: &Allowed<'_>) -> Result<(), String> {
        let step = number / self.look.again % (disk.steps() + 1);
        for image in disk.crash_images(step, limits(4, 4), seed() ^ number as u64) {
            let disk = image.mount();
            let what =
                |why: String| format!("crashed again at step {step} of recovery, {}: {why}", image.description());
            let store = reopen(&disk, self.level).map_err(|error| what(error.to_string()))?;
            let found = contents(&store).map_err(what)?;
            allowed.check(&found).map_err(what)?;
            allowed.live_on(&disk, store, &found).map_err(what)?;
        }
        Ok(())
    }

    /// Kills the process at each call of the last operation; the next process adds something, and then the power fails.
    ///
    /// What the first one had not synced is still only in the page cache, and a call that fails may be a sync.
    fn kill_then_power_loss(&self, counts: &Counts) -> Result<(), String> {
        Counts::add(&counts.histories);
        for call in 0.. {
            let model = self.start.model.clone().settled(self.level);
            let disk = self.start.disk();
            let Some((last, first)) = self.history.split_last() else { return Ok(()) };
            if first.is_empty() {
                disk.fail_at(call, std::io::ErrorKind::Other, true);
            }
            let run = Run::new(Arc::clone(&disk), model.clone());
            let Ok(mut run) = run else {
                self.next_process(&disk, &model, &model, call, counts)?;
                continue;
            };
            for op in first {
                run.apply(*op).map_err(|error| format!("{op:?}: {error}"))?;
            }
            let mut at = call;
            if !first.is_empty() {
                at += disk.calls();
                disk.fail_at(at, std::io::ErrorKind::Other, true);
            }
            let before = run.model.clone();
            let result = run.apply(*last);
            if disk.calls() <= at {
                return Ok(());
            }
            let (disk, after) = run.kill();
            // Not every call that fails is a failure: there is what can be done later as well.
            let before = if result.is_ok() { &after } else { &before };
            self.next_process(&disk, before, &after, call, counts)?;
        }
        Ok(())
    }

    fn next_process(
        &self,
        disk: &Arc<SimDisk>,
        before: &Model,
        after: &Model,
        call: u64,
        counts: &Counts,
    ) -> Result<(), String> {
        disk.heal();
        disk.note("next process");
        let explain = |why: String| {
            let transcript = if replaying() { disk.transcript() } else { String::new() };
            format!("killed at call {call}: {why}\n{transcript}")
        };
        let allowed = Allowed { before, after, done: false, disk: Trust::Honest };
        let store = reopen(disk, Durability::Always).map_err(|error| explain(error.to_string()))?;
        let found = contents(&store).map_err(explain)?;
        allowed.check(&found).map_err(explain)?;
        // All of this is acknowledged, and so is what was there to be read.
        let mut expected = found.clone();
        for (name, state) in &mut expected {
            let stream = store.stream(name).unwrap();
            for len in [600, 10] {
                let fields = vec![(b"next".to_vec(), vec![b'n'; len])];
                let id = stream.add(fields.clone()).map_err(|error| explain(error.to_string()))?;
                state.entries.push((id, Arc::new(fields)));
                state.entries_added += 1;
                state.last_id = id;
            }
            if state.group.is_some() {
                let read = stream.group(GROUP).consumer(ZOE).read().count(1).new_entries();
                let read = read.map_err(|error| explain(error.to_string()))?;
                let given: Vec<StreamId> = read.iter().map(streamlog::Entry::id).collect();
                let expected = state.deliver(ZOE, 1, NEXT_MS);
                if given != expected {
                    return Err(explain(format!("{given:?} is new to the group, not {expected:?}")));
                }
            }
            let oldest = state.entries[0].0;
            stream.delete([oldest]).map_err(|error| explain(error.to_string()))?;
            state.entries.remove(0);
            state.max_deleted = state.max_deleted.max(oldest);
        }
        let id = store.stream("new").unwrap().add([("field", "value")]).map_err(|error| explain(error.to_string()))?;
        let images = disk.crash_images(disk.steps(), self.look.limits, seed());
        Counts::add(&counts.points);
        counts.exhaustive.fetch_add(usize::from(images.is_exhaustive()), Ordering::Relaxed);
        for image in images {
            Counts::add(&counts.images);
            let what = |why: String| explain(format!("then power loss, {}: {why}", image.description()));
            let store = reopen(&image.mount(), Durability::Always).map_err(|error| what(error.to_string()))?;
            let mut again = contents(&store).map_err(what)?;
            let new = again.remove(&b"new"[..]).ok_or_else(|| what("a stream is gone".to_owned()))?;
            assert_eq!(new.entries[0].0, id);
            for (name, state) in &mut again {
                // It may be ahead, as after any crash.
                let last_id = expected.get(name).map_or(StreamId::MIN, |expected| expected.last_id);
                if state.last_id < last_id {
                    return Err(what(format!("the last ID is {}, not {last_id}", state.last_id)));
                }
                state.last_id = last_id;
            }
            same(&expected, &again).map_err(what)?;
        }
        Ok(())
    }
}

fn is_damage(why: &str) -> bool {
    why.contains(" at byte ")
}

fn replaying() -> bool {
    std::env::var_os("STREAMLOG_CASE").is_some()
}

/// Looks at all cases, on all processors; says what is wrong with which.
fn campaign<'a>(
    what: &str,
    cases: &[Case<'a>],
    look: impl Fn(&Case<'a>, &Counts) -> Result<(), String> + Sync,
) -> Counts {
    const FAILURES_MAX: usize = 8;
    let chosen = std::env::var("STREAMLOG_CASE").ok();
    let (counts, next, failures) = (Counts::default(), AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let (failed, began) = (AtomicUsize::new(0), Instant::now());
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if chosen.as_ref().is_some_and(|chosen| *chosen != case.name()) {
                continue;
            }
            let result = catch_unwind(AssertUnwindSafe(|| look(case, &counts)))
                .unwrap_or_else(|panic| Err(format!("panicked: {:?}", panic.downcast_ref::<String>())));
            if let Err(why) = result {
                failed.fetch_add(1, Ordering::Relaxed);
                let kind: String = why.chars().filter(|c| c.is_alphabetic() || *c == ' ').take(150).collect();
                let mut failures = failures.lock().unwrap();
                if failures.len() < FAILURES_MAX {
                    failures.entry(kind).or_insert_with(|| format!("STREAMLOG_CASE=\"{}\"\n{why}", case.name()));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, |count| count.get());
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    counts.report(what, began);
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{what}: {} of {} histories failed, among them\n{}",
        failed.into_inner(),
        cases.len(),
        failures.into_values().collect::<Vec<_>>().join("\n")
    );
    counts
}

/// All histories from a start at both levels.
fn cases<'a>(start: &'a Start, len: usize, look: Look) -> impl Iterator<Item = Case<'a>> {
    at_both_levels(start, histories(&ALL, len), look)
}

/// See [`histories_of_groups`].
fn cases_of_groups<'a>(start: &'a Start, len: usize, one_of: u64, look: Look) -> impl Iterator<Item = Case<'a>> {
    at_both_levels(start, histories_of_groups(len, one_of), look)
}

fn at_both_levels(start: &Start, histories: Vec<Vec<Op>>, look: Look) -> impl Iterator<Item = Case<'_>> {
    [Durability::Always, Durability::Os].into_iter().flat_map(move |level| {
        let case = move |history| Case { start, level, history, look };
        histories.clone().into_iter().map(case)
    })
}

fn starts() -> [Start; 4] {
    [Start::nothing(), Start::closed(), Start::killed(), Start::compacting()]
}

fn starts_with_groups() -> [Start; 3] {
    [Start::grouped_closed(), Start::grouped_killed(), Start::grouped_compacting()]
}

/// So much was looked at when this was written. A test that looks at less by and by is no test any more.
fn at_least(counts: &Counts, histories: usize, points: usize, images: usize) {
    if replaying() {
        return;
    }
    let get = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    assert!(get(&counts.histories) >= histories, "{} histories", get(&counts.histories));
    assert!(get(&counts.points) >= points, "{} crash points", get(&counts.points));
    assert!(get(&counts.images) >= images, "{} images", get(&counts.images));
}

#[test]
fn power_loss_anywhere_leaves_a_prefix_with_all_that_was_acknowledged() {
    let starts = starts();
    let look = |max, samples| Look::honest(limits(max, samples), 16);
    let (one, two) = if nightly() { (look(4096, 256), look(1024, 64)) } else { (look(512, 32), look(16, 4)) };
    let mut all: Vec<_> = starts.iter().flat_map(|start| cases(start, 1, one)).collect();
    all.extend(starts.iter().flat_map(|start| cases(start, 2, two)));
    let counts = campaign("power loss", &all, Case::power_loss);
    at_least(&counts, 2700, 22_000, 100_000);
}

#[test]
fn power_loss_anywhere_cuts_log_and_groups_at_one_point() {
    let (starts, grouped) = (starts(), starts_with_groups());
    let look = |max, samples| Look::honest(limits(max, samples), 16);
    let (one, two, three) = match nightly() {
        true => (look(4096, 256), look(1024, 64), look(16, 4)),
        false => (look(256, 16), look(16, 4), look(2, 1)),
    };
    let mut all: Vec<_> = starts.iter().flat_map(|start| cases_of_groups(start, 1, 1, one)).collect();
    all.extend(grouped.iter().flat_map(|start| cases(start, 1, one).chain(cases_of_groups(start, 1, 1, one))));
    all.extend(grouped.iter().flat_map(|start| cases_of_groups(start, 2, 2, two)));
    all.extend(starts[..1].iter().flat_map(|start| cases_of_groups(start, 3, 16, three)));
    all.extend(grouped.iter().flat_map(|start| cases_of_groups(start, 3, 32, three)));
    let counts = campaign("power loss with groups", &all, Case::power_loss);
    at_least(&counts, 3000, 21_000, 70_000);
}

#[test]
fn power_loss_after_a_kill_cuts_log_and_groups_at_one_point() {
    let (starts, grouped) = (starts(), starts_with_groups());
    let look = |max, samples| Look::honest(limits(max, samples), 16);
    let (one, two) = if nightly() { (look(1024, 64), look(256, 16)) } else { (look(32, 8), look(4, 2)) };
    let mut all: Vec<_> = starts.iter().flat_map(|start| cases_of_groups(start, 1, 1, one)).collect();
    all.extend(grouped.iter().flat_map(|start| cases(start, 1, one).chain(cases_of_groups(start, 1, 1, one))));
    all.extend(grouped.iter().flat_map(|start| cases_of_groups(start, 2, 8, two)));
    let counts = campaign("power loss after a kill, with groups", &all, Case::kill_then_power_loss);
    at_least(&counts, 380, 8_500, 14_000);
}

#[test]
fn power_loss_in_the_third_operation() {
    let starts = if nightly() { starts().to_vec() } else { vec![Start::closed()] };
    let limits = if nightly() { limits(64, 16) } else { limits(2, 1) };
    let look = Look::honest(limits, 64);
    let all: Vec<_> = starts.iter().flat_map(|start| cases(start, 3, look)).collect();
    let counts = campaign("power loss in the third operation", &all, Case::power_loss);
    at_least(&counts, 11_600, 80_000, 220_000);
}

/// All histories of up to three of [`CHOSEN`], each crash point of them.
#[test]
fn power_loss_at_every_point_of_all_short_histories() {
    let starts = [(Start::nothing(), Durability::Always), (Start::nothing(), Durability::Os)];
    let starts = [&starts[..], &[(Start::grouped_compacting(), Durability::Always)]].concat();
    let look = |max, samples, other, in_turn| Look {
        others: Some((limits(other, other), in_turn)),
        ..Look::honest(limits(max, samples), 16)
    };
    let looks = match nightly() {
        true => [look(4096, 256, 64, false), look(256, 32, 16, false), look(16, 8, 4, false)],
        false => [look(512, 32, 24, false), look(16, 4, 4, false), look(4, 2, 2, true)],
    };
    let mut all = Vec::new();
    for ((start, level), (len, look)) in starts.iter().flat_map(|start| (1..).zip(looks).map(move |look| (start, look)))
    {
        let case = |history| Case { start, level: *level, history, look };
        all.extend(histories(&CHOSEN, len).into_iter().map(case));
    }
    assert_eq!(all.len(), 3 * 2954);
    let counts = campaign("all short histories", &all, Case::power_loss);
    at_least(&counts, 3 * 2954, 60_000, 350_000);
}

/// One in so many of all histories of four, another one every night.
#[test]
fn power_loss_in_the_fourth_operation() {
    if !nightly() && !replaying() {
        println!("skipped: there are too many for a day");
        return;
    }
    let start = Start::grouped_compacting();
    let look = Look { others: Some((limits(2, 2), true)), ..Look::honest(limits(4, 2), 16) };
    let case = |history| Case { start: &start, level: Durability::Always, history, look };
    let all = histories(&CHOSEN, 4).into_iter().map(case);
    let shard: Vec<_> = all
        .skip(if replaying() { 0 } else { (seed() % 8) as usize })
        .step_by(if replaying() { 1 } else { 8 })
        .collect();
    let counts = campaign("histories of four", &shard, Case::power_loss);
    at_least(&counts, 4800, 30_000, 150_000);
}

#[test]
fn power_loss_after_a_sync_that_failed() {
    let starts = [Start::nothing(), Start::grouped_killed(), Start::grouped_compacting()];
    let (one, two) = if nightly() { (limits(1024, 64), limits(64, 16)) } else { (limits(64, 8), limits(8, 4)) };
    let mut all = Vec::new();
    for (len, limits) in [(1, one), (2, two)] {
        for (start, level) in starts.iter().flat_map(|start| [(start, Durability::Always), (start, Durability::Os)]) {
            let case = |history| Case { start, level, history, look: Look::honest(limits, 16) };
            all.extend(histories(&CHOSEN, len).into_iter().map(case));
        }
    }
    let counts = campaign("power loss after a failed sync", &all, Case::failing_syncs);
    at_least(&counts, 1260, 2_000, 10_000);
}

#[test]
fn power_loss_after_a_kill_or_a_failed_call() {
    let starts = starts();
    let look = |max, samples| Look::honest(limits(max, samples), 16);
    let (one, two) = if nightly() { (look(1024, 64), look(256, 16)) } else { (look(64, 8), look(4, 2)) };
    let mut all: Vec<_> = starts.iter().flat_map(|start| cases(start, 1, one)).collect();
    all.extend(starts[..3].iter().flat_map(|start| cases(start, 2, two)));
    let counts = campaign("power loss after a kill", &all, Case::kill_then_power_loss);
    at_least(&counts, 2000, 26_000, 74_000);
}

/// A disk that keeps names in any order, and leaves anything where it was writing.
#[test]
fn names_in_any_order_and_garbage_lose_nothing_silently() {
    let starts = starts();
    let reordered = CrashLimits { reorder_dirs: true, ..if nightly() { limits(1024, 64) } else { limits(24, 6) } };
    let garbage = CrashLimits { garbage: true, ..reordered };
    let look = |limits, disk| Look { disk, ..Look::honest(limits, 16) };
    let mut all: Vec<_> = starts.iter().flat_map(|start| cases(start, 1, look(reordered, Trust::Honest))).collect();
    all.extend(starts[1..3].iter().flat_map(|start| cases(start, 1, look(garbage, Trust::Ruined))));
    if nightly() {
        all.extend(starts.iter().flat_map(|start| cases(start, 2, look(reordered, Trust::Honest))));
        all.extend(starts[1..].iter().flat_map(|start| cases(start, 2, look(garbage, Trust::Ruined))));
    }
    let counts = campaign("names in any order, and garbage", &all, Case::power_loss);
    at_least(&counts, 210, 2600, 7500);
}

/// One history, looked at closely.
fn history<'a>(
    level: Durability,
    start: &'a Start,
    history: &[Op],
    look: impl Fn(&Case<'a>, &Counts) -> Result<(), String>,
) {
    let case = Case { start, level, history: history.to_vec(), look: Look::honest(limits(1024, 256), 1) };
    if let Err(why) = look(&case, &Counts::default()) {
        panic!("{}: {why}", case.name());
    }
}

/// The deletion of an entry that is lost tells of its ID, and is dropped.
#[test]
fn the_last_id_is_not_lower_when_a_store_is_recovered_twice() {
    history(Durability::Os, &Start::closed(), &[Op::AddExact, Op::DeleteAll], Case::power_loss);
}

#[test]
fn a_seal_that_outran_its_entries_is_torn() {
    history(Durability::Os, &Start::closed(), &[Op::AddLarge, Op::AddHuge], Case::power_loss);
}

#[test]
fn a_seal_that_was_not_synced_is_written_again() {
    history(Durability::Always, &Start::closed(), &[Op::AddLarge, Op::AddHuge], Case::kill_then_power_loss);
    history(Durability::Os, &Start::closed(), &[Op::AddLarge, Op::AddHuge], Case::kill_then_power_loss);
}

#[test]
fn what_a_killed_process_has_renamed_stays_renamed() {
    history(Durability::Always, &Start::nothing(), &[Op::AddSmall], Case::kill_then_power_loss);
    history(Durability::Always, &Start::nothing(), &[Op::AddSmall, Op::DeleteOldest], Case::kill_then_power_loss);
    history(Durability::Always, &Start::compacting(), &[Op::DeleteOldest], Case::kill_then_power_loss);
    history(Durability::Always, &Start::closed(), &[Op::Rename, Op::AddSmall], Case::kill_then_power_loss);
}
