//! Deleting, renaming and copying streams: changes of several directories, which are all made or not at all.
//!
//! What is to be done is written down first, in a file that a crash leaves behind and the next opening acts upon.

use std::path::Path;

use super::{Catalog, hex};
use crate::format::file_name::{self, INTENT, INTENT_NEW};
use crate::format::store::{INTENT_LEN_MAX, Intent, Rename};
use crate::metrics::Operation;
use crate::store::{NAME_LEN_MAX, check_name};
use crate::stream::superblock::Superblock;
use crate::{Corruption, Error, Result};

impl Catalog {
    /// Deletes streams; returns how many there were.
    pub fn delete(&self, names: &[Vec<u8>]) -> Result<u64> {
        self.env.check_process()?;
        let _catalog = self.catalog.lock();
        self.env.check_writable()?;
        let mut there = Vec::new();
        for name in names {
            if name.len() <= NAME_LEN_MAX && !there.contains(name) && self.is_there(name)? {
                there.push(name.clone());
            }
        }
        let Some(first) = there.first() else { return Ok(0) };
        let _watch = self.env.operations.watch(Operation::DeleteStreams, first);
        for name in &there {
            self.let_go(name)?;
        }
        let remove: Vec<_> = there.iter().map(|name| file_name::escape(name).into()).collect();
        self.env.poisoning(self.carry_out(&Intent { remove, rename: None }))?;
        there.iter().for_each(|name| self.env.waiters.gone(name));
        Ok(there.len() as u64)
    }

    /// Renames a stream; `false` if the new name is taken and is not to be replaced.
    pub fn rename(&self, from: &[u8], to: &[u8], replace: bool) -> Result<bool> {
        self.env.check_process()?;
        let _catalog = self.catalog.lock();
        self.env.check_writable()?;
        if check_name(from).is_err() || !self.is_there(from)? {
            return Err(Error::stream_not_found(from));
        }
        let taken = self.is_there(to)?;
        if taken && !replace {
            return Ok(false);
        }
        if from == to {
            return Ok(true);
        }
        let _watch = self.env.operations.watch(Operation::RenameStream, from);
        let (source, directory) = (file_name::escape(from), file_name::escape(to));
        self.let_go(from)?;
        // One that is damaged keeps its name. Nothing has been written yet that would have to be finished.
        Superblock::open(&self.streams.within(&source))?;
        self.let_go(to)?;
        let rename = Rename { is_new: false, from: source.into(), to: directory.into(), name: to.to_vec() };
        self.env.poisoning(self.carry_out(&replacing(taken, rename)))?;
        if let Some(budget) = &self.env.budget {
            budget.note(to, 0);
        }
        self.env.waiters.gone(from);
        self.env.waiters.appeared(to);
        Ok(true)
    }

    /// Copies a stream; `false` if there is none, or if the target exists and is not to be replaced.
    pub fn copy(&self, from: &[u8], to: &[u8], replace: bool) -> Result<bool> {
        self.env.check_process()?;
        let _catalog = self.catalog.lock();
        self.env.check_writable()?;
        if check_name(from).is_err() {
            return Ok(false);
        }
        let Some(source) = self.find_in_turn(from)? else { return Ok(false) };
        let taken = self.is_there(to)?;
        if taken && !replace {
            return Ok(false);
        }
        if from == to {
            return Ok(true);
        }
        let _watch = self.env.operations.watch(Operation::CopyStream, from);
        let inner = self.build(to, |copy| source.copy_into(copy), self.env.now_ms())?;
        self.put_in_place(inner, to, |built| {
            let directory = file_name::escape(to).into();
            let rename = Rename { is_new: true, from: built.to_owned(), to: directory, name: to.to_vec() };
            // The intent removes what the copy replaces: the copy has to be there by then.
            self.env.poisoning(self.tmp.sync())?;
            self.let_go(to)?;
            self.env.poisoning(self.carry_out(&replacing(taken, rename)))
        })?;
        self.env.waiters.appeared(to);
        Ok(true)
    }

    /// Makes a change of several directories, so that it is finished at the next opening if a crash comes.
    fn carry_out(&self, intent: &Intent) -> Result<()> {
        match (intent.remove.as_slice(), &intent.rename) {
            ([], None) => return Ok(()),
            // A single rename is atomic by itself.
            ([_], None) => return self.finish(intent),
            _ => {}
        }
        let bytes = intent.encode();
        // What deletes makes room.
        self.env.with_reserve(|| self.root.write_whole(Path::new(INTENT_NEW), Path::new(INTENT), &bytes))?;
        // From here on it is as good as done. What cannot be done now is done when the store is opened again, and until then
        // nothing may be built upon what there is: also for lack of room this is no change that was not made.
        let finished = self.finish(intent).and_then(|()| self.root.remove(INTENT)).and_then(|()| self.root.sync());
        finished.map_err(Error::unfinished)?;
        self.env.reserve.refill();
        Ok(())
    }

    /// Does what is left to do of an intent.
    fn finish(&self, intent: &Intent) -> Result<()> {
        let source = intent.rename.as_ref().map(|rename| if rename.is_new { &self.tmp } else { &self.streams });
        let rename = source.zip(intent.rename.as_ref());
        // Once the source of the rename is gone, the rename is done, and its target is not what was to be removed.
        let renamed = match &rename {
            Some((source, rename)) => source.kind(&rename.from)?.is_none(),
            None => false,
        };
        let mut gone = Vec::new();
        for directory in intent.remove.iter().filter(|_| !renamed) {
            if self.streams.kind(directory)?.is_some() {
                let aside = hex(&self.env.new_identity());
                self.streams.within(directory).move_to(self.tmp.at(&aside))?;
                gone.push(aside);
            }
        }
        if let Some((source, rename)) = rename.filter(|_| !renamed) {
            let place = source.within(&rename.from);
            // A copy has it from the start, and is open already: nobody else may write its superblock.
            if !rename.is_new {
                match Superblock::open(&place) {
                    Ok(superblock) => superblock.update_both(&place, |meta| meta.name.clone_from(&rename.name))?,
                    // Damaged since this was begun. Opening the stream will say so; the others are to open whatever it is.
                    Err(Error::Corrupt { .. } | Error::Unsupported { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            place.move_to(self.streams.at(&rename.to))?;
        }
        self.streams.sync()?;
        for aside in gone {
            // The streams are gone; their bytes go now, or when the store is opened.
            let _ = self.tmp.within(aside).remove_all();
        }
        Ok(())
    }

    /// Finishes a change that a crash interrupted.
    pub(super) fn finish_intent(&self) -> Result<()> {
        if let Some(bytes) = self.root.read(INTENT, INTENT_LEN_MAX)? {
            let damaged =
                || Error::corrupt(&self.root.full(INTENT), 0, Corruption::Malformed("an intent that is none"));
            self.finish(&Intent::decode(&bytes).ok_or_else(damaged)?)?;
            self.root.remove(INTENT)?;
            self.root.sync()?;
        }
        self.root.remove(INTENT_NEW)
    }
}

/// A rename, for which the directory that has the new name is removed if that is `taken`.
fn replacing(taken: bool, rename: Rename) -> Intent {
    let remove = if taken { vec![rename.to.clone()] } else { Vec::new() };
    Intent { remove, rename: Some(rename) }
}
