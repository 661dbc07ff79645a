//! The order of writes, syncs and names that the format relies on: it is asserted of every step of every test.
//!
//! What comes out of a crash can only be told for the crashes that were tried. That the order is kept can be told of each
//! step, and a step out of order is named where it is made, not where its loss is found.
//!
//! | | before | has to be durable |
//! |---|---|---|
//! | **O1** | a journal is synced | what was written to the log before what was written to the journal |
//! | **O2** | a segment, journal or `meta` of a stream is written to | its name, and that of its directory |
//! | **O3** | the directory of a stream gets a name in `streams` | what is in it, and the names in it |
//! | **O4** | a segment, journal or intent gets its final name | its content and its size |
//! | **O5** | a segment gets its final name | the segments before it; the last one ends with a seal, unless a test has damaged the disk |
//! | **O6** | a segment is removed | what was written to log and journal; segments go oldest first |
//! | **O7** | a journal is removed | the name of a later generation |
//! | **O8** | a slot of `meta` is written | the other slot |
//! | **O9** | the files of a deleted stream are removed | the new name of its directory |
//! | **O10** | a stream is renamed as an intent says, and the intent is removed | the intent; the rename |
//! | **O11** | the identity of a store is written | the directories `streams` and `tmp` |
//!
//! Indexes are not in it: they are a cache. What another thread does at the same time is not always either: it is not known
//! what the thread that syncs has seen of it. Neither is what an earlier process wrote, of which the next one may not know.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::Range;
use std::path::{Component, Path};
use std::thread::{self, ThreadId};

use super::super::tree::{Ino, ROOT, Tree};
use super::model::{Change, Naming, split_synced};
use super::{Op, Step};
use crate::format::entries::SEAL;
use crate::format::file_name::{File, INTENT, LOCK, META, STREAMS, TMP};
use crate::format::header::{HEADER_LEN, Header, Kind};
use crate::format::meta::SLOT_LEN;
use crate::format::record::{self, Salt};
use crate::format::store::LOCK_LEN;

/// What is not durable yet, as far as the order is concerned.
#[derive(Debug, Default)]
pub(super) struct Order {
    files: BTreeMap<Ino, Unsynced>,
    names: Vec<(Naming, u64)>,
    /// The segment that was removed last, if nothing else was done since.
    removed: Option<(Ino, u64)>,
    /// Which process it is.
    life: u64,
    steps: usize,
    /// What was on the disk before the first step may be damaged, and go on like that.
    damaged: bool,
    /// What was wrong first; nothing is looked at after that.
    violation: Option<String>,
}

/// What was written to a file since it was synced.
#[derive(Debug, Default)]
struct Unsynced {
    pieces: Vec<Piece>,
    /// In which life the size was changed.
    size: Option<u64>,
}

#[derive(Clone, Debug)]
struct Piece {
    bytes: Range<u64>,
    step: usize,
    by: ThreadId,
    life: u64,
    /// A sync of it failed: another one does not write it.
    lost: bool,
}

/// What a path is, in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// In the directory of a stream, which may be in `tmp`.
    Segment(u64),
    Journal(u64),
    /// A journal that has not got its name.
    NewJournal,
    Meta,
    Intent,
    Lock,
    Other,
}

fn role(path: &Path) -> Role {
    let Some(name) = path.file_name().and_then(OsStr::to_str) else { return Role::Other };
    match path.components().count() {
        1 if name == INTENT => Role::Intent,
        1 if name == LOCK => Role::Lock,
        3 if name == META => Role::Meta,
        3 => match (File::parse(name), name.strip_suffix(".new").and_then(File::parse)) {
            (Some(File::Segment(base)), _) => Role::Segment(base),
            (Some(File::Journal(generation)), _) => Role::Journal(generation),
            (_, Some(File::Journal(_))) => Role::NewJournal,
            _ => Role::Other,
        },
        _ => Role::Other,
    }
}

fn is_in(path: &Path, root: &str) -> bool {
    path.components().next() == Some(Component::Normal(OsStr::new(root)))
}

/// What has just been done, and what it leads to.
pub(super) struct Moment<'a> {
    pub(super) step: &'a Step,
    pub(super) change: &'a Change,
    pub(super) tree: &'a Tree<()>,
    pub(super) content: &'a dyn Fn(Ino) -> &'a [u8],
}

impl Moment<'_> {
    /// The files beside this one, or in this directory.
    fn files_in(&self, directory: &Path) -> Vec<(Role, Ino)> {
        let names = self.tree.list(directory).unwrap_or_default();
        let paths = names.into_iter().map(|(name, _)| directory.join(name));
        paths.filter_map(|path| Some((role(&path), self.tree.get(&path).ok()?))).collect()
    }

    fn directory(&self) -> &Path {
        self.step.path.parent().unwrap_or(Path::new(""))
    }
}

impl Order {
    /// Another process has the store.
    pub(super) fn next_life(&mut self) {
        self.life += 1;
        self.removed = None;
    }

    /// A segment that is damaged has a successor without a seal of its own.
    pub(super) fn expect_damage(&mut self) {
        self.damaged = true;
    }

    pub(super) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// Takes in a step that was made; panics if it was out of order.
    pub(super) fn take_in(&mut self, moment: &Moment<'_>) {
        if self.violation.is_some() {
            return;
        }
        self.steps += 1;
        let checked = self.check(moment);
        self.note(moment);
        if let Err(why) = checked {
            let message = format!("out of order: {}: {why}", moment.step);
            self.violation = Some(message.clone());
            panic!("{message}");
        }
    }

    fn note(&mut self, moment: &Moment<'_>) {
        let (step, life) = (self.steps, self.life);
        self.removed = match (moment.step.op, role(&moment.step.path)) {
            (Op::RemoveFile, Role::Segment(base)) => Some((parent_of(moment), base)),
            (Op::RemoveFile, _) => self.removed,
            _ => None,
        };
        match moment.change {
            Change::Write { ino, offset, bytes } => {
                let file = self.files.entry(*ino).or_default();
                let start = *offset as u64;
                let bytes_written = start..start + bytes.len() as u64;
                file.forget(&bytes_written);
                // Zeros take something back: nothing refers to them.
                if bytes.iter().any(|&byte| byte != 0) {
                    let by = thread::current().id();
                    file.pieces.push(Piece { bytes: bytes_written, step, by, life, lost: false });
                }
            }
            Change::Create { ino, .. } | Change::Grow { ino, .. } | Change::Truncate { ino, .. } => {
                self.files.entry(*ino).or_default().size = Some(life);
            }
            Change::Sync { ino, failed } => {
                if let Some(file) = self.files.get_mut(ino) {
                    match failed {
                        true => file.pieces.iter_mut().for_each(|piece| piece.lost = true),
                        false => {
                            file.pieces.retain(|piece| piece.lost);
                            file.size = None;
                        }
                    }
                }
            }
            Change::SyncDir { ino } => {
                let names = std::mem::take(&mut self.names);
                self.names = split_synced(names, *ino, |(naming, _)| naming).1;
            }
            Change::CreateDir { .. } | Change::Rename { .. } | Change::Remove { .. } => {}
        }
        self.names.extend(Naming::of(moment.change).map(|naming| (naming, life)));
    }

    fn check(&self, moment: &Moment<'_>) -> Result<(), String> {
        let step = moment.step;
        match (step.op, role(&step.path)) {
            (Op::Sync, Role::Journal(_) | Role::NewJournal) if !step.failed => self.check_log_before_journal(moment),
            (Op::Write | Op::Grow, Role::Segment(_) | Role::Journal(_) | Role::Meta) => {
                self.check_named(moment)?;
                if role(&step.path) == Role::Meta { self.check_slots(moment) } else { Ok(()) }
            }
            (Op::Write, Role::Lock) if step.len == LOCK_LEN as u64 => self.check_complete(moment),
            (Op::Rename, _) => self.check_rename(moment),
            (Op::RemoveFile, what) => self.check_removal(moment, what),
            _ => Ok(()),
        }
    }

    /// What of a file was written by this process and is not durable.
    fn unsynced(&self, ino: Ino) -> impl Iterator<Item = &Piece> {
        let pieces = self.files.get(&ino).map_or(&[][..], |file| &file.pieces);
        pieces.iter().filter(|piece| piece.life == self.life)
    }

    fn unsynced_by_this_thread(&self, ino: Ino) -> impl Iterator<Item = &Piece> {
        let this = thread::current().id();
        self.unsynced(ino).filter(move |piece| piece.by == this)
    }

    fn is_named(&self, ino: Ino) -> bool {
        !self.names.iter().any(|(naming, _)| naming.ino() == Some(ino))
    }

    fn check_log_before_journal(&self, moment: &Moment<'_>) -> Result<(), String> {
        let Some(latest) = self.unsynced_by_this_thread(moment.step.ino).map(|piece| piece.step).max() else {
            return Ok(());
        };
        for (what, ino) in moment.files_in(moment.directory()) {
            let Role::Segment(base) = what else { continue };
            let content = (moment.content)(ino);
            // No change refers to a seal, which a rotation that failed may have left.
            let mut pieces = self.unsynced_by_this_thread(ino).filter(|piece| !is_seal(content, piece.bytes.start));
            if let Some(piece) = pieces.find(|piece| piece.step < latest) {
                return Err(format!(
                    "O1: bytes {:?} of segment {base} are not synced, and the journal may refer to them",
                    piece.bytes
                ));
            }
        }
        Ok(())
    }

    fn check_named(&self, moment: &Moment<'_>) -> Result<(), String> {
        if !is_in(&moment.step.path, STREAMS) {
            return Ok(());
        }
        if !self.is_named(moment.step.ino) {
            return Err("O2: its name is not durable".to_owned());
        }
        match moment.tree.get(moment.directory()) {
            Ok(directory) if !self.is_named(directory) => {
                Err("O2: the name of its directory is not durable".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn check_slots(&self, moment: &Moment<'_>) -> Result<(), String> {
        let slot = |offset: u64| offset / SLOT_LEN as u64;
        let is_torn = |piece: &Piece| {
            // Half of a slot, which a write that failed has left: nobody relies on it.
            piece.bytes.end - piece.bytes.start == SLOT_LEN as u64 / 2
        };
        let mut pieces = self.unsynced(moment.step.ino).filter(|piece| !is_torn(piece));
        match pieces.find(|piece| slot(piece.bytes.start) != slot(moment.step.offset)) {
            Some(_) => Err("O8: the other slot is not synced".to_owned()),
            None => Ok(()),
        }
    }

    fn check_complete(&self, moment: &Moment<'_>) -> Result<(), String> {
        for name in [STREAMS, TMP] {
            if !moment.tree.get(Path::new(name)).is_ok_and(|ino| self.is_named(ino)) {
                return Err(format!("O11: the directory {name} is not durable"));
            }
        }
        Ok(())
    }

    fn check_rename(&self, moment: &Moment<'_>) -> Result<(), String> {
        let step = moment.step;
        let Some(to) = &step.to else { return Ok(()) };
        let what = role(to);
        if matches!(what, Role::Segment(_) | Role::Journal(_) | Role::Intent) {
            self.check_content(step.ino).map_err(|why| format!("O4: {why}"))?;
        }
        if let Role::Segment(base) = what {
            self.check_predecessors(moment, to.parent().unwrap_or(Path::new("")), base)?;
        }
        let is_stream = |path: &Path| is_in(path, STREAMS) && path.components().count() == 2;
        if !is_stream(to) && !is_stream(&step.path) {
            return Ok(());
        }
        if is_stream(to) {
            self.check_directory(moment, to)?;
        }
        match moment.tree.get(Path::new(INTENT)) {
            Ok(intent) if !self.is_named(intent) => Err("O10: the intent is not durable".to_owned()),
            _ => Ok(()),
        }
    }

    fn check_content(&self, ino: Ino) -> Result<(), String> {
        if let Some(piece) = self.unsynced(ino).next() {
            return Err(format!("its bytes {:?} are not synced", piece.bytes));
        }
        match self.files.get(&ino).and_then(|file| file.size) {
            Some(life) if life == self.life => Err("its size is not synced".to_owned()),
            _ => Ok(()),
        }
    }

    fn check_predecessors(&self, moment: &Moment<'_>, directory: &Path, base: u64) -> Result<(), String> {
        let mut last = None;
        for (what, ino) in moment.files_in(directory) {
            let Role::Segment(before) = what else { continue };
            if before >= base {
                continue;
            }
            if let Some(piece) = self.unsynced(ino).next() {
                return Err(format!("O5: bytes {:?} of segment {before} are not synced", piece.bytes));
            }
            last = last.max(Some((before, ino)));
        }
        match last {
            // One that was not touched was looked at by whoever sealed it.
            Some((before, ino))
                if !self.damaged && self.files.contains_key(&ino) && !ends_with_seal((moment.content)(ino)) =>
            {
                Err(format!("O5: segment {before} does not end with a seal"))
            }
            _ => Ok(()),
        }
    }

    fn check_directory(&self, moment: &Moment<'_>, directory: &Path) -> Result<(), String> {
        for (what, ino) in moment.files_in(directory) {
            if !matches!(what, Role::Segment(_) | Role::Journal(_) | Role::Meta) {
                continue;
            }
            self.check_content(ino).map_err(|why| format!("O3: of {what:?}, {why}"))?;
            if self.names.iter().any(|(naming, life)| naming.ino() == Some(ino) && *life == self.life) {
                return Err(format!("O3: the name of {what:?} is not durable"));
            }
        }
        Ok(())
    }

    fn check_removal(&self, moment: &Moment<'_>, what: Role) -> Result<(), String> {
        let (path, directory) = (&moment.step.path, moment.directory());
        if is_in(path, TMP) {
            let directory = moment.tree.get(directory).unwrap_or(ROOT);
            let is_new = |naming: &Naming| matches!(naming, Naming::Rename { ino, .. } if *ino == directory);
            return match self.names.iter().any(|(naming, _)| is_new(naming)) {
                true => Err("O9: that its stream is gone is not durable".to_owned()),
                false => Ok(()),
            };
        }
        match what {
            Role::Segment(base) => self.check_segment_removal(moment, base),
            Role::Journal(generation) => {
                let later = |(what, ino): (Role, Ino)| {
                    matches!(what, Role::Journal(later) if later > generation) && self.is_named(ino)
                };
                match moment.files_in(directory).into_iter().any(later) {
                    true => Ok(()),
                    false => Err("O7: there is no later generation whose name is durable".to_owned()),
                }
            }
            Role::Intent => {
                let streams = moment.tree.get(Path::new(STREAMS)).unwrap_or(ROOT);
                match self.names.iter().any(|(naming, _)| naming.dirs().any(|dir| dir == streams)) {
                    true => Err("O10: what it says is not durable".to_owned()),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn check_segment_removal(&self, moment: &Moment<'_>, base: u64) -> Result<(), String> {
        for (what, ino) in moment.files_in(moment.directory()) {
            if !matches!(what, Role::Segment(_) | Role::Journal(_)) {
                continue;
            }
            if let Some(piece) = self.unsynced_by_this_thread(ino).next() {
                return Err(format!("O6: bytes {:?} of {what:?} are not synced", piece.bytes));
            }
        }
        match self.removed {
            Some((directory, before)) if directory == parent_of(moment) && before > base => {
                Err(format!("O6: segment {before} was removed before"))
            }
            _ => Ok(()),
        }
    }
}

impl Unsynced {
    /// What was written to these bytes does not count any more.
    fn forget(&mut self, bytes: &Range<u64>) {
        let cut = |piece: Piece| {
            let before = piece.bytes.start..piece.bytes.end.min(bytes.start);
            let after = piece.bytes.start.max(bytes.end)..piece.bytes.end;
            let rest = [before, after].into_iter().filter(|rest| !rest.is_empty());
            rest.map(|bytes| Piece { bytes, ..piece.clone() }).collect::<Vec<_>>()
        };
        self.pieces = std::mem::take(&mut self.pieces).into_iter().flat_map(cut).collect();
    }
}

fn parent_of(moment: &Moment<'_>) -> Ino {
    moment.tree.get(moment.directory()).unwrap_or(ROOT)
}

fn salt_of(content: &[u8]) -> Option<Salt> {
    let header = content.first_chunk::<HEADER_LEN>().map(|bytes| Header::decode(bytes, Kind::Segment))?;
    Some(Salt::of(&header.ok()?.file))
}

fn is_seal(content: &[u8], at: u64) -> bool {
    let rest = content.get(at as usize..).unwrap_or_default();
    let frame = salt_of(content).and_then(|salt| record::decode(rest, salt, at).ok());
    frame.is_some_and(|frame| frame.head.kind == SEAL)
}

/// Whether the last frame of a segment is a seal.
fn ends_with_seal(content: &[u8]) -> bool {
    let Some(salt) = salt_of(content) else { return false };
    let (mut at, mut kind) = (HEADER_LEN, 0);
    while let Ok(frame) = record::decode(&content[at..], salt, at as u64) {
        kind = frame.head.kind;
        at += frame.len;
    }
    kind == SEAL
}
