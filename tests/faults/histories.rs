//! Operations of which the model of `recovery` knows what they should lead to.

use std::sync::{Arc, Mutex};

use streamlog::sim::{CrashLimits, Image, SimDisk};
use streamlog::{Durability, Error, StreamId};

use crate::engine::{Campaign, End, LEVELS, expected, nightly};
use crate::harness::Op::{self, *};
use crate::harness::{Allowed, B, Contents, LEAD_MS, Model, Run, Trust, Tune, contents, reopen, same};
use crate::inject::{Fault, inject, is_full};
use crate::sites::Hits;

/// Where a scenario begins.
#[derive(Clone)]
pub struct Start {
    pub image: Option<Image>,
    model: Model,
}

impl Start {
    fn nothing() -> Self {
        Self { image: None, model: Model::new(Durability::Always) }
    }

    fn closed(ops: &[Op]) -> Self {
        let (image, model) = after(ops).close().unwrap();
        Self { image: Some(image), model }
    }

    fn killed(ops: &[Op]) -> Self {
        let run = after(ops);
        Self { image: Some(run.disk.kill_image(run.disk.steps())), model: run.model }
    }

    /// In the middle of the last operation: after the step before the last that is `like` this.
    fn killed_within(ops: &[Op], like: impl Fn(&str) -> bool, done: bool) -> Self {
        let (last, first) = ops.split_last().unwrap();
        let mut run = after(first);
        let from = run.disk.steps();
        let before = run.apply(*last).unwrap();
        let steps: Vec<String> = run.disk.history()[from..].iter().map(ToString::to_string).collect();
        let at = steps.iter().rposition(|step| like(step)).unwrap_or_else(|| panic!("no such step in {steps:#?}"));
        let image = run.disk.kill_image(from + at);
        Self { image: Some(image), model: if done { run.model } else { before } }
    }

    /// With the last thing that was written to the log cut short.
    fn torn(ops: &[Op]) -> Self {
        let (last, first) = ops.split_last().unwrap();
        let mut run = after(first);
        let before = run.apply(*last).unwrap();
        let mut image = run.disk.kill_image(run.disk.steps());
        let writes = run.disk.history();
        let write = writes.iter().rfind(|step| step.op == streamlog::sim::Op::Write).unwrap();
        let end = (write.offset + write.len) as usize;
        image.file_mut(&write.path).unwrap()[end - 5..end].fill(0xff);
        Self { image: Some(image), model: before }
    }

    /// Changed so that the next change of the journal begins a new generation.
    fn compacting(op: Op, ops: &[Op]) -> Self {
        let mut run = after(ops);
        let journals = |run: &Run| -> Vec<_> {
            let image = run.disk.kill_image(run.disk.steps());
            image.files().filter(|path| path.to_string_lossy().ends_with(".journal")).map(ToOwned::to_owned).collect()
        };
        loop {
            run.apply(AddSmall).unwrap();
            let (there, steps, model) = (journals(&run), run.disk.steps(), run.model.clone());
            run.apply(op).unwrap();
            run.model = run.model.settled(Durability::Always);
            if !there.is_empty() && journals(&run) != there {
                return Self { image: Some(run.disk.kill_image(steps)), model };
            }
        }
    }
}

fn after(ops: &[Op]) -> Run {
    let mut run = Run::new(SimDisk::new(), Model::new(Durability::Always)).unwrap();
    for op in ops {
        run.apply(*op).unwrap();
    }
    run
}

pub struct Scenario {
    pub name: &'static str,
    pub start: Start,
    /// Whether the calls of opening the store fail, too.
    pub opening: bool,
    /// Whether streams are recovered on the way, which a poisoned store cannot do.
    recovers: bool,
    tune: Tune,
    ops: &'static [Op],
}

const FILLED: [Op; 8] = [AddHuge, AddHuge, AddHuge, AddSmall, AddOther, DeleteOldest, AddSmall, AddOther];
const GROUPED: [Op; 11] =
    [CreateGroup, Produce, AddHuge, Deliver, AddHuge, AddHuge, DeliverAll, Acknowledge, AddSmall, Deliver, AddOther];

pub fn scenarios() -> Vec<Scenario> {
    let plain: Tune = |options| options;
    let scenario = |name, start, ops| Scenario { name, start, opening: false, recovers: false, tune: plain, ops };
    let opening = |name, start, ops| Scenario { opening: true, ..scenario(name, start, ops) };
    let recovering = |name, start, ops| Scenario { recovers: true, ..opening(name, start, ops) };
    let revealing = |name, start, ops| Scenario { recovers: true, ..scenario(name, start, ops) };
    let (filled, grouped) = (Start::closed(&FILLED), Start::closed(&GROUPED));
    let renaming = [AddSmall, AddOther, AddSmall, CreateGroup, Rename];
    vec![
        recovering("create", Start::nothing(), &[AddSmall, AddOther]),
        opening("open", filled.clone(), &[AddSmall, DeleteOldest]),
        opening("open-groups", grouped.clone(), &[Deliver, Acknowledge]),
        recovering("open-killed", Start::killed(&FILLED), &[AddSmall, DeleteOldest]),
        recovering("open-killed-groups", Start::killed(&GROUPED), &[AddSmall, Deliver]),
        recovering("open-torn", Start::torn(&[AddSmall, AddLarge, AddSmall]), &[AddSmall]),
        recovering("open-torn-journal", Start::torn(&[CreateGroup, AddSmall, AddSmall, Deliver]), &[AddSmall, Deliver]),
        recovering(
            "open-renaming",
            Start::killed_within(&renaming, |step| step.contains("RemoveFile") && step.contains("intent"), true),
            &[AddSmall],
        ),
        recovering(
            "open-to-rename",
            Start::killed_within(&renaming, |step| step.starts_with("Rename") && step.contains("streams/a"), true),
            &[AddSmall],
        ),
        recovering(
            "open-creating",
            Start::killed_within(
                &[AddOther, AddSmall],
                |step| step.starts_with("Rename") && step.contains("tmp/"),
                false,
            ),
            &[AddSmall],
        ),
        recovering(
            "open-rotating",
            Start::killed_within(
                &[AddHuge, AddHuge, AddHuge],
                |step| step.starts_with("Rename") && step.contains(".log"),
                false,
            ),
            &[AddSmall],
        ),
        recovering(
            "open-compacting",
            {
                let start = Start::compacting(Deliver, &[CreateGroup, AddSmall]);
                let mut run = Run::new(start.image.as_ref().unwrap().mount(), start.model.clone()).unwrap();
                let from = run.disk.steps();
                run.apply(Deliver).unwrap();
                let removed = run.disk.history()[from..].iter().position(|step| {
                    step.op == streamlog::sim::Op::RemoveFile && step.path.ends_with("00000000000000000001.journal")
                });
                Start { image: Some(run.disk.kill_image(from + removed.unwrap())), model: start.model }
            },
            &[AddSmall, Deliver],
        ),
        scenario("add", filled.clone(), &[AddSmall, AddExact, AddLarge, AddSmall]),
        scenario("add-batch", filled.clone(), &[AddBatch, AddBatch]),
        scenario("add-trim", filled.clone(), &[AddTrim, AddTrim]),
        revealing("first-add", Start::closed(&[AddOther]), &[AddSmall, AddBatch]),
        scenario("rotate", filled.clone(), &[AddHuge, AddHuge, AddHuge]),
        scenario("rotate-groups", grouped.clone(), &[Produce, AddHuge, AddHuge, AddHuge, Deliver]),
        scenario("first-delete", Start::closed(&[AddSmall, AddSmall, AddSmall]), &[DeleteOldest, DeleteNewest]),
        scenario("delete", filled.clone(), &[DeleteNewest, DeleteAll, AddSmall]),
        scenario("trim", filled.clone(), &[Trim, AddSmall, Trim]),
        scenario("set-id", filled.clone(), &[SetIdUp, AddSmall, SetIdBack, AddSmall]),
        revealing("create-group", Start::closed(&[AddOther]), &[CreateGroup, AddSmall, Deliver]),
        scenario("deliver", grouped.clone(), &[AddSmall, Deliver, DeliverAll]),
        scenario("acknowledge", grouped.clone(), &[Acknowledge, Acknowledge]),
        scenario("claim", grouped.clone(), &[ClaimAll, DeleteOldest, ClaimAll]),
        scenario("produce", grouped.clone(), &[Produce, AddHuge, Produce]),
        scenario("first-produce", Start::closed(&[AddHuge]), &[Produce, AddHuge, AddHuge]),
        revealing("checkpoint", Start::compacting(DeleteOldest, &[AddSmall, AddSmall]), &[DeleteOldest, AddSmall]),
        revealing("checkpoint-groups", Start::compacting(Deliver, &[CreateGroup, Produce]), &[Deliver, Acknowledge]),
        revealing("delete-stream", filled.clone(), &[AddSmall, DeleteStream, AddSmall]),
        revealing("rename", filled.clone(), &[AddSmall, Rename, AddSmall]),
        revealing("rename-free", Start::closed(&[AddSmall, CreateGroup]), &[Rename, AddOther]),
        revealing("copy", grouped.clone(), &[Copy, AddOther]),
        revealing("copy-free", Start::closed(&[AddHuge, AddHuge, DeleteOldest]), &[Copy, AddOther]),
        scenario("sync", grouped.clone(), &[AddSmall, Deliver, Sync, Acknowledge, Sync]),
        scenario("close", grouped.clone(), &[AddSmall, Acknowledge, Reopen, AddSmall]),
        Scenario {
            recovers: true,
            tune: |options| options.open_streams_max(1),
            ..scenario("evict", filled, &[AddSmall, AddOther, DeleteOldest, AddOther, AddSmall])
        },
    ]
}

pub fn run(campaign: &mut Campaign) {
    for scenario in scenarios() {
        let scenario = Arc::new(scenario);
        for level in LEVELS {
            let scenario = Arc::clone(&scenario);
            let name = format!("{} {level:?}", scenario.name);
            campaign.add(name, move |call, fault, hits| scenario.attempt(level, call, fault, hits));
        }
    }
}

/// What an operation that failed was to do.
struct Failed {
    before: Model,
    after: Model,
}

impl Scenario {
    fn attempt(&self, level: Durability, call: u64, fault: Fault, hits: &Arc<Mutex<Hits>>) -> Result<End, String> {
        if self.name == "evict" && level == Durability::Os && (is_full(&fault) || fault.name == "EMFILE") {
            // A stream that could not be closed begins its next life with its ceiling, as after a crash. The model does
            // not know; `operations` looks at it.
            return Ok(End::NotReached);
        }
        let disk = self.start.image.as_ref().map_or_else(SimDisk::new, Image::mount);
        let model = self.start.model.clone().settled(level);
        let early = self.opening.then(|| inject(&disk, call, fault, hits));
        let mut run = match Run::tuned(Arc::clone(&disk), model.clone(), self.tune) {
            Ok(run) => run,
            Err(error) => {
                expected(&error, &fault)?;
                disk.heal();
                self.next_life(&disk, level, &[&model], call)?;
                return Ok(End::Reopened);
            }
        };
        let injected = early.unwrap_or_else(|| inject(&disk, call, fault, hits));
        let (mut end, mut failed) = (End::Unharmed, None);
        for op in self.ops {
            let before = run.model.clone();
            let Err(error) = run.apply(*op) else { continue };
            let what = |why: String| format!("{op:?} gave {error}; {why}");
            expected(&error, &fault)?;
            disk.heal();
            let after = run.model.clone();
            if !run.is_open() {
                (end, failed) = (End::Reopened, Some(Failed { before, after }));
                break;
            }
            // It is to be as before it, but if the store is poisoned.
            let poisoned = matches!(run.store().delete(["none"]), Err(Error::Poisoned { .. }));
            match contents(run.store()) {
                // A stream that was to be replaced, and is not yet, may be missing.
                Ok(found) if poisoned => alike(&before.contents(), &found)
                    .or_else(|why| alike(&after.contents(), &found).map_err(|_| why))
                    .or_else(|why| alike(&with_production(&before), &found).map_err(|_| why))
                    .or_else(|why| match op {
                        Rename | Copy => alike(&without_target(&before), &found).map_err(|_| why),
                        _ => Err(why),
                    })
                    .map_err(what)?,
                Ok(found) if self.recovers => alike(&before.contents(), &found).map_err(what)?,
                Ok(found) => same(&without_notes(&before.contents()), &without_notes(&found)).map_err(what)?,
                // What is yet to be recovered cannot be read.
                Err(why) if poisoned && self.recovers && why.contains("refuses") => {}
                Err(why) => return Err(what(format!("reading does not go on: {why}"))),
            }
            if fault.tear && !poisoned {
                self.nothing_is_left(&disk, level, &before).map_err(what)?;
            }
            run.model = before.clone();
            match run.apply(*op) {
                Ok(_) => end = End::Repeated,
                // A full disk does not poison; but closing another stream may have before.
                Err(Error::Poisoned { .. })
                    if poisoned && (self.recovers || !matches!(error, Error::NoSpace { .. })) =>
                {
                    (end, failed) = (End::Reopened, Some(Failed { before, after }));
                    break;
                }
                Err(again) => return Err(what(format!("again, it gave {again:?}"))),
            }
        }
        if injected.count() == 0 {
            return Ok(End::NotReached);
        }
        let allowed = match failed {
            Some(Failed { before, after }) => vec![after, before],
            None => {
                disk.heal();
                let poisoned = matches!(run.store().delete(["none"]), Err(Error::Poisoned { .. }));
                match contents(run.store()) {
                    Ok(found) => alike(&run.model.contents(), &found)?,
                    Err(why) if poisoned && self.recovers && why.contains("refuses") => {}
                    Err(why) => return Err(format!("reading does not go on: {why}")),
                }
                vec![run.model.clone()]
            }
        };
        // One process is killed, the next one comes to its end.
        let disk = if call.is_multiple_of(2) { run.kill().0 } else { drop_all(run) };
        self.next_life(&disk, level, &allowed.iter().collect::<Vec<_>>(), call)?;
        Ok(end)
    }

    /// Looks at what the disk holds after an operation that has done nothing: not a part of it, either.
    fn nothing_is_left(&self, disk: &SimDisk, level: Durability, before: &Model) -> Result<(), String> {
        let store = reopen(&disk.kill_image(disk.steps()).mount(), level).map_err(|error| error.to_string())?;
        alike(&before.contents(), &contents(&store)?)?;
        for name in store.names().map_err(|error| error.to_string())? {
            let recovery =
                store.stream(&name).and_then(|stream| stream.recovery()).map_err(|error| error.to_string())?;
            if recovery.has_dropped() && !self.recovers {
                return Err(format!("but it left something behind: {recovery:?}"));
            }
        }
        Ok(())
    }

    /// Opens the store twice, finds what is allowed, and goes on working with it.
    fn next_life(&self, disk: &Arc<SimDisk>, level: Durability, allowed: &[&Model], call: u64) -> Result<(), String> {
        let text = |error: Error| format!("after reopening: {error}");
        if nightly() {
            self.power_fails(disk, level, allowed, call)?;
        }
        let (after, before) = (allowed[0], allowed[allowed.len() - 1]);
        let store = reopen(disk, level).map_err(text)?;
        let found = contents(&store)?;
        let check = |found: &Contents| -> Result<(), String> {
            let each = allowed.iter().map(|model| {
                let model = (*model).clone().settled(level);
                let allowed = Allowed { before: &model, after: &model, done: true, disk: Trust::Honest };
                allowed.check_but_for_notes(&clipped(found, &model, after))
            });
            let wrong: Vec<String> = each.filter_map(Result::err).collect();
            if wrong.len() < allowed.len() { Ok(()) } else { Err(format!("after reopening: {}", wrong.join("\nor "))) }
        };
        check(&found)?;
        store.close().map_err(text)?;
        let store = reopen(disk, level).map_err(text)?;
        same(&found, &contents(&store)?).map_err(|why| format!("opened twice: {why}"))?;
        Allowed { before, after, done: false, disk: Trust::Honest }.live_on(disk, store, &found)
    }

    /// What is durable then is there, and it is a state that was.
    fn power_fails(&self, disk: &Arc<SimDisk>, level: Durability, allowed: &[&Model], call: u64) -> Result<(), String> {
        let limits = CrashLimits { exhaustive_max: 2, samples: 2, ..CrashLimits::default() };
        let (after, before) = (allowed[0], allowed[allowed.len() - 1]);
        let allowed = Allowed { before, after, done: allowed.len() == 1, disk: Trust::Honest };
        for image in disk.crash_images(disk.steps(), limits, call) {
            let disk = image.mount();
            let what = |why: String| format!("then power loss, {}: {why}", image.description());
            // Also a recovery in which a call fails.
            disk.fail_at(call % 50, 5, false);
            drop(reopen(&disk, level).and_then(|store| store.names().map(|_| contents(&store))));
            disk.heal();
            let store = reopen(&disk, level).map_err(|error| what(error.to_string()))?;
            let found = contents(&store).map_err(what)?;
            // On a full disk notes are left out.
            allowed.check_but_for_notes(&found).map_err(what)?;
            allowed.live_on(&disk, store, &found).map_err(what)?;
        }
        Ok(())
    }
}

fn drop_all(run: Run) -> Arc<SimDisk> {
    let disk = Arc::clone(&run.disk);
    drop(run);
    disk
}

/// Productions are counted when they are made, and not only when they are durable.
fn with_production(before: &Model) -> Contents {
    let mut contents = before.contents();
    for state in contents.values_mut() {
        state.made.count += u64::from(state.made.id.replace(StreamId::MIN).is_none());
    }
    contents
}

/// With the last IDs no further ahead than what was reserved for the operation that failed.
fn clipped(found: &Contents, model: &Model, after: &Model) -> Contents {
    let (mut found, model, after) = (found.clone(), model.contents(), after.contents());
    for (name, state) in &mut found {
        if let (Some(model), Some(after)) = (model.get(name), after.get(name))
            && state.last_id.ms() <= after.last_id.ms() + LEAD_MS
        {
            state.last_id = state.last_id.min(StreamId::new(model.last_id.ms() + LEAD_MS, 0));
        }
    }
    found
}

fn without_target(before: &Model) -> Contents {
    let mut contents = before.contents();
    contents.remove(B);
    contents
}

/// As [`same`], but for what nobody waits for, and for how far the last ID is ahead after a recovery.
pub fn alike(expected: &Contents, found: &Contents) -> Result<(), String> {
    let (expected, mut found) = (without_notes(expected), without_notes(found));
    for (name, state) in &mut found {
        if let Some(expected) = expected.get(name).filter(|expected| expected.last_id <= state.last_id) {
            state.last_id = expected.last_id;
        }
    }
    same(&expected, &found)
}

/// But for what nobody waits for.
fn without_notes(contents: &Contents) -> Contents {
    contents.iter().map(|(name, state)| (name.clone(), state.without_notes())).collect()
}
