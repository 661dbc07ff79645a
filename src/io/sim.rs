//! A disk in memory that remembers: for tests of power loss, of failing calls, and of the order of writes and syncs.
//!
//! Every call that changes something is a *step* of one history. [`SimDisk::crash_images`] says what the disk might hold
//! had the power failed right after a step, and each [`Image`] can be mounted as a disk of its own. Every call at all,
//! reads included, has a *number*, at which [`SimDisk::fail_at`] makes it fail. What is promised and what is not is at
//! the top of `model`. A step that is out of order, as a store goes, panics: see `order`.

mod image;
mod model;
mod order;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use image::{CrashImages, CrashLimits, Image};
use model::{Change, Model};
use order::{Moment, Order};

use super::mem::{self, Lock};
use super::tree::{Ino, Tree};
use super::{Access, Disk, File, FileKind};

/// A disk in memory with a history.
#[derive(Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "they are the methods of `Disk` and `File`")]
pub enum Op {
    CreateDir,
    List,
    Kind,
    Create,
    Open,
    Rename,
    RemoveFile,
    RemoveDir,
    SyncDir,
    Lock,
    Len,
    Read,
    Write,
    Sync,
    Truncate,
    Grow,
}

/// A call that is about to be made.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which call it is, from 0.
    pub number: u64,
    /// What it does.
    pub op: Op,
    /// To what, as it is called now.
    pub path: PathBuf,
}

/// A call that changed something, as [`SimDisk::history`] tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub op: Op,
    /// To what, as it was called then.
    pub path: PathBuf,
    /// What it was renamed to.
    pub to: Option<PathBuf>,
    /// Which file or directory it was, whatever it was called.
    pub ino: u64,
    /// Where a write began.
    pub offset: u64,
    /// The bytes written, or the size that the file was given.
    pub len: u64,
    /// A sync that failed.
    pub failed: bool,
}

/// The error that a call fails with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An error of this kind.
    Kind(ErrorKind),
    /// The error of the operating system with this number.
    Os(i32),
}

impl From<ErrorKind> for Failure {
    fn from(kind: ErrorKind) -> Self {
        Self::Kind(kind)
    }
}

impl From<i32> for Failure {
    fn from(errno: i32) -> Self {
        Self::Os(errno)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Kind(kind) => kind.into(),
            Failure::Os(errno) => Error::from_raw_os_error(errno),
        }
    }
}

type Fault = Box<dyn FnMut(&Call) -> Option<Failure> + Send>;

struct State {
    /// What was on the disk before the first step.
    base: Model,
    /// What would be on it after some step that was asked about; it saves replaying the history from the start.
    replayed: (usize, Model),
    tree: Tree<()>,
    files: BTreeMap<Ino, Live>,
    locked: Arc<Mutex<BTreeSet<Ino>>>,
    history: Vec<(Step, Change)>,
    order: Order,
    notes: Vec<(usize, String)>,
    calls: u64,
    faults: Vec<Fault>,
    tear_failed_writes: bool,
    space: Option<u64>,
}

/// A file as the process sees it.
#[derive(Debug)]
struct Live {
    content: Arc<Vec<u8>>,
    linked: bool,
    handles: usize,
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Arc<Self> {
        Self::with(Model::new(), Tree::new(), BTreeMap::new())
    }

    fn with(base: Model, tree: Tree<()>, contents: BTreeMap<Ino, Arc<Vec<u8>>>) -> Arc<Self> {
        let live = |content| Live { content, linked: true, handles: 0 };
        let state = State {
            replayed: (0, base.clone()),
            base,
            tree,
            files: contents.into_iter().map(|(ino, content)| (ino, live(content))).collect(),
            locked: Arc::default(),
            history: Vec::new(),
            order: Order::default(),
            notes: Vec::new(),
            calls: 0,
            faults: Vec::new(),
            tear_failed_writes: false,
            space: None,
        };
        Arc::new(Self { state: Arc::new(Mutex::new(state)) })
    }

    /// How many steps there were. What is on the disk now is what is there after this many.
    pub fn steps(&self) -> usize {
        self.state.lock().history.len()
    }

    /// How many calls there were: the number of the next one.
    pub fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// The steps so far.
    pub fn history(&self) -> Vec<Step> {
        self.state.lock().history.iter().map(|(step, _)| step.clone()).collect()
    }

    /// Adds a line to the transcript, after the latest step.
    pub fn note(&self, text: impl Into<String>) {
        let mut state = self.state.lock();
        let step = state.history.len();
        state.notes.push((step, text.into()));
    }

    /// The steps and notes so far, a line each, for the message of a test that failed.
    pub fn transcript(&self) -> String {
        let state = self.state.lock();
        let mut lines = String::new();
        for number in 0..=state.history.len() {
            for (_, note) in state.notes.iter().filter(|(step, _)| *step == number) {
                lines += &format!("      -- {note}\n");
            }
            if let Some((step, _)) = state.history.get(number) {
                lines += &format!("{:>5} {step}\n", number + 1);
            }
        }
        lines
    }

    /// Makes the call with this number fail, and with `sticky` all after it as well. It has no effect, but that a sync
    /// that failed may have lost what it was to write.
    pub fn fail_at(&self, call: u64, failure: impl Into<Failure>, sticky: bool) {
        let failure = failure.into();
        let hit = move |number: u64| if sticky { number >= call } else { number == call };
        self.fail_when(move |call| hit(call.number).then_some(failure));
    }

    /// Makes every call fail for which `fault` has an error.
    pub fn fail_when(&self, fault: impl FnMut(&Call) -> Option<Failure> + Send + 'static) {
        self.state.lock().faults.push(Box::new(fault));
    }

    /// Lets the writes that fail from now on write the first half of their bytes.
    pub fn tear_failed_writes(&self) {
        self.state.lock().tear_failed_writes = true;
    }

    /// Ends all failing.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.faults.clear();
        state.tear_failed_writes = false;
    }

    /// Limits how many bytes the files may have together; what does not fit fails with `StorageFull`. Files that are
    /// removed give back their room when nobody has them open any more.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.state.lock().space = bytes;
    }

    /// How many bytes the files have together.
    pub fn used(&self) -> u64 {
        self.state.lock().used()
    }

    /// What the disk may hold if the power fails right after step `at_step`; 0 is before the first. The same seed gives
    /// the same images, and no image comes twice.
    pub fn crash_images(&self, at_step: usize, limits: CrashLimits, seed: u64) -> CrashImages {
        CrashImages::new(self.model_at(at_step, limits.lying_syncs), limits, seed)
    }

    /// What the disk holds if the process is killed right after step `at_step`.
    pub fn kill_image(&self, at_step: usize) -> Image {
        Image::of_live(&self.model_at(at_step, false))
    }

    fn model_at(&self, step: usize, lying_syncs: bool) -> Model {
        let mut state = self.state.lock();
        let state = &mut *state;
        let step = step.min(state.history.len());
        if lying_syncs {
            let mut model = state.base.clone();
            let changes = state.history[..step].iter().map(|(_, change)| change);
            changes.filter(|change| !change.is_sync()).for_each(|change| model.apply(change));
            return model;
        }
        if step < state.replayed.0 {
            state.replayed = (0, state.base.clone());
        }
        let (done, model) = &mut state.replayed;
        state.history[*done..step].iter().for_each(|(_, change)| model.apply(change));
        *done = step;
        model.clone()
    }

    /// Counts a call, then makes it, unless it is to fail.
    fn call<T>(&self, op: Op, path: &Path, make: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.state.lock();
        state.admit(op, path)?;
        make(&mut state)
    }

    fn handle(&self, state: &mut State, ino: Ino, path: &Path, writable: bool, lock: Option<Lock>) -> Arc<dyn File> {
        state.hold(ino);
        Arc::new(SimFile { state: self.state.clone(), ino, opened_as: path.to_owned(), writable, _lock: lock })
    }
}

impl Drop for SimDisk {
    /// What a background thread did out of order has not ended the test yet.
    fn drop(&mut self) {
        if let Some(violation) = self.state.lock().order.violation()
            && !std::thread::panicking()
        {
            panic!("{violation}");
        }
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> Result<()> {
        self.call(Op::CreateDir, path, |state| {
            let (place, ino) = state.tree.create_dir(path)?;
            state.record(Step::new(Op::CreateDir, path, ino), Change::CreateDir { place, ino });
            Ok(())
        })
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, FileKind)>> {
        self.call(Op::List, path, |state| state.tree.list(path))
    }

    fn kind(&self, path: &Path) -> Result<Option<FileKind>> {
        self.call(Op::Kind, path, |state| state.tree.kind(path))
    }

    fn create(&self, path: &Path, capacity: u64) -> Result<Arc<dyn File>> {
        self.call(Op::Create, path, |state| {
            let ino = state.create(Op::Create, path, capacity)?;
            Ok(self.handle(state, ino, path, true, None))
        })
    }

    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn File>> {
        self.call(Op::Open, path, |state| {
            let (ino, ()) = state.tree.file(path)?;
            Ok(self.handle(state, ino, path, access == Access::Write, None))
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.call(Op::Rename, from, |state| {
            let Some(renamed) = state.tree.rename(from, to)? else { return Ok(()) };
            if let Some(replaced) = renamed.replaced {
                state.unlink(replaced);
            }
            let step = Step { to: Some(to.to_owned()), ..Step::new(Op::Rename, from, renamed.ino) };
            state.record(step, Change::Rename { from: renamed.from, to: renamed.to, ino: renamed.ino });
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.call(Op::RemoveFile, path, |state| {
            let (place, ino) = state.tree.remove_file(path)?;
            state.unlink(ino);
            state.record(Step::new(Op::RemoveFile, path, ino), Change::Remove { place });
            Ok(())
        })
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.call(Op::RemoveDir, path, |state| {
            let (place, ino) = state.tree.remove_dir(path)?;
            state.record(Step::new(Op::RemoveDir, path, ino), Change::Remove { place });
            Ok(())
        })
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.call(Op::SyncDir, path, |state| {
            let ino = state.tree.directory(path)?;
            state.record(Step::new(Op::SyncDir, path, ino), Change::SyncDir { ino });
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.call(Op::Lock, path, |state| {
            if state.tree.find(path)?.is_none() {
                state.create(Op::Lock, path, 0)?;
            }
            let (ino, ()) = state.tree.file(path)?;
            let lock = Lock::take(&state.locked, ino)?;
            state.order.next_life();
            Ok(self.handle(state, ino, path, true, Some(lock)))
        })
    }
}

impl State {
    /// Counts a call; fails if it is to fail.
    fn admit(&mut self, op: Op, path: &Path) -> Result<()> {
        let call = Call { number: self.calls, op, path: path.to_owned() };
        self.calls += 1;
        match self.faults.iter_mut().find_map(|fault| fault(&call)) {
            Some(failure) => Err(failure.into()),
            None => Ok(()),
        }
    }

    fn record(&mut self, step: Step, change: Change) {
        self.history.push((step, change));
        let Some((step, change)) = self.history.last() else { return };
        let content = |ino| self.files.get(&ino).map_or(&[][..], |live| &live.content);
        self.order.take_in(&Moment { step, change, tree: &self.tree, content: &content });
    }

    fn create(&mut self, op: Op, path: &Path, len: u64) -> Result<Ino> {
        self.tree.check_free(path)?;
        self.check_space(len)?;
        let mut content = Vec::new();
        mem::extend(&mut content, len)?;
        let (place, ino) = self.tree.create_file(path, ())?;
        self.files.insert(ino, Live { content: Arc::new(content), linked: true, handles: 0 });
        self.record(Step { len, ..Step::new(op, path, ino) }, Change::Create { place, ino, len });
        Ok(ino)
    }

    fn content(&self, ino: Ino) -> &[u8] {
        self.files.get(&ino).map_or(&[], |live| &live.content)
    }

    /// Changes the content of a file that somebody has open.
    fn change(&mut self, ino: Ino, change: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        match self.files.get_mut(&ino) {
            Some(live) => change(Arc::make_mut(&mut live.content)),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn write(&mut self, path: &Path, ino: Ino, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        self.check_space(end.saturating_sub(self.content(ino).len() as u64))?;
        self.change(ino, |content| mem::write(content, offset, bytes))?;
        let step = Step { offset, len: bytes.len() as u64, ..Step::new(Op::Write, path, ino) };
        self.record(step, Change::Write { ino, offset: offset as usize, bytes: bytes.into() });
        Ok(())
    }

    fn used(&self) -> u64 {
        self.files.values().map(|live| live.content.len() as u64).sum()
    }

    fn check_space(&self, more: u64) -> Result<()> {
        match self.space {
            Some(space) if more > 0 && self.used().saturating_add(more) > space => Err(ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn hold(&mut self, ino: Ino) {
        if let Some(live) = self.files.get_mut(&ino) {
            live.handles += 1;
        }
    }

    fn release(&mut self, ino: Ino) {
        if let Some(live) = self.files.get_mut(&ino) {
            live.handles -= 1;
        }
        self.drop_unused(ino);
    }

    fn unlink(&mut self, ino: Ino) {
        if let Some(live) = self.files.get_mut(&ino) {
            live.linked = false;
        }
        self.drop_unused(ino);
    }

    fn drop_unused(&mut self, ino: Ino) {
        if self.files.get(&ino).is_some_and(|live| !live.linked && live.handles == 0) {
            self.files.remove(&ino);
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("steps", &self.history.len()).field("calls", &self.calls).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct SimFile {
    state: Arc<Mutex<State>>,
    ino: Ino,
    opened_as: PathBuf,
    writable: bool,
    _lock: Option<Lock>,
}

impl SimFile {
    /// Counts a call, then makes it, unless it is to fail. A file that was removed goes by the name it was opened with.
    fn call<T>(&self, op: Op, make: impl FnOnce(&mut State, &Path, Result<()>) -> Result<T>) -> Result<T> {
        let mut state = self.state.lock();
        let path = state.tree.path_of(self.ino).unwrap_or_else(|| self.opened_as.clone());
        let admitted = state.admit(op, &path);
        make(&mut state, &path, admitted)
    }

    fn check_writable(&self) -> Result<()> {
        if self.writable { Ok(()) } else { Err(super::read_only()) }
    }
}

impl File for SimFile {
    fn len(&self) -> Result<u64> {
        self.call(Op::Len, |state, _, admitted| admitted.map(|()| state.content(self.ino).len() as u64))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.call(Op::Read, |state, _, admitted| {
            admitted?;
            mem::read(state.content(self.ino), offset, buf)
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.check_writable()?;
        self.call(Op::Write, |state, path, admitted| match admitted {
            Ok(()) => state.write(path, self.ino, offset, bytes),
            Err(error) => {
                if state.tear_failed_writes {
                    state.write(path, self.ino, offset, &bytes[..bytes.len() / 2])?;
                }
                Err(error)
            }
        })
    }

    fn sync(&self) -> Result<()> {
        self.call(Op::Sync, |state, path, admitted| {
            let failed = admitted.is_err();
            let step = Step { failed, ..Step::new(Op::Sync, path, self.ino) };
            state.record(step, Change::Sync { ino: self.ino, failed });
            admitted
        })
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.check_writable()?;
        self.call(Op::Truncate, |state, path, admitted| {
            admitted?;
            state.change(self.ino, |content| mem::truncate(content, len))?;
            let change = Change::Truncate { ino: self.ino, len: len as usize };
            state.record(Step { len, ..Step::new(Op::Truncate, path, self.ino) }, change);
            Ok(())
        })
    }

    fn grow(&self, capacity: u64) -> Result<Arc<dyn File>> {
        self.check_writable()?;
        self.call(Op::Grow, |state, path, admitted| {
            admitted?;
            let len = capacity.max(state.content(self.ino).len() as u64);
            state.check_space(len - state.content(self.ino).len() as u64)?;
            state.change(self.ino, |content| mem::extend(content, len))?;
            let change = Change::Grow { ino: self.ino, len: len as usize };
            state.record(Step { len, ..Step::new(Op::Grow, path, self.ino) }, change);
            state.hold(self.ino);
            let (state, opened_as) = (self.state.clone(), path.to_owned());
            let grown: Arc<dyn File> = Arc::new(Self { state, ino: self.ino, opened_as, writable: true, _lock: None });
            Ok(grown)
        })
    }

    fn holds_descriptor(&self) -> bool {
        false
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.state.lock().release(self.ino);
    }
}

impl Step {
    fn new(op: Op, path: &Path, ino: Ino) -> Self {
        Self { op, path: path.to_owned(), to: None, ino, offset: 0, len: 0, failed: false }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.op, self.path.display())?;
        match self.op {
            Op::Write => write!(f, " at {} len {}", self.offset, self.len)?,
            Op::Create | Op::Truncate | Op::Grow => write!(f, " to len {}", self.len)?,
            _ => {}
        }
        if let Some(to) = &self.to {
            write!(f, " to {}", to.display())?;
        }
        if self.failed { f.write_str(" failed") } else { Ok(()) }
    }
}
