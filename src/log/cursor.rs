//! Reading entries in order, from either end.

use std::ops::Range;

use crate::damage::IdRange;
use crate::entry::EntryRef;
use crate::format::file_name::File as FileName;
use crate::log::loaded::{BLOCKS_MAX, Item, Loaded, Position, Wanted, load};
use crate::log::{Direction, Found, Opened, View};
use crate::{Corruption, Entry, Error, Result, StreamId};

/// The entries from `lower` to `upper` of a view, both included.
#[derive(Debug)]
pub struct Cursor {
    view: View,
    /// What was asked for, and what of it is left.
    asked: (StreamId, StreamId),
    lower: StreamId,
    upper: StreamId,
    /// How many more entries are wanted from the front, about.
    wanted: usize,
    front: Side,
    back: Side,
    done: bool,
}

/// At least so many entries are loaded at once, wherever there are.
const WANTED_MIN: usize = 16;

/// One end of a cursor.
#[derive(Debug, Default)]
struct Side {
    /// The segment that is being read, by its place in the view, and the first block not loaded (front) or the last one
    /// loaded (back).
    segment: usize,
    block: usize,
    opened: Option<Opened>,
    loaded: Option<Loaded>,
    /// How many items of `loaded` were taken.
    taken: usize,
    /// The places among the items of entries that are given out one after the other without a further look: alive, and
    /// within the range. Of one side only, as what one gives out is the other's bound.
    sound: Range<usize>,
    /// As `sound` was when `taken` and the bounds were last brought up to date.
    settled: Range<usize>,
    /// How many blocks to load the next time.
    span: usize,
    /// Where the next frame begins in the segment, if that is known, and the ordinal of its first entry.
    next: (u64, u64),
    started: bool,
}

impl Cursor {
    pub fn new(view: View, lower: StreamId, upper: StreamId) -> Self {
        let done = lower > upper;
        let (front, back) = (Side::default(), Side::default());
        Self { view, asked: (lower, upper), lower, upper, wanted: usize::MAX, front, back, done }
    }

    /// Not many more than so many entries are wanted from the front: no more than needed is read for them.
    pub fn want(&mut self, count: u64) {
        self.wanted = usize::try_from(count).unwrap_or(usize::MAX);
    }

    /// Goes on from the front in a later view, without reading again what it has read already. Gives the view back if it
    /// cannot: something has become of the segment it is in, or it is somewhere else.
    pub fn resume(&mut self, view: View, lower: StreamId) -> Result<(), View> {
        self.settle();
        let place = view.place_of(&self.view, self.front.segment);
        let here = self.lower == lower && !self.back.started;
        let (true, Some(place), Some(opened)) = (here, place, &mut self.front.opened) else { return Err(view) };
        let base = opened.segment.header.base;
        self.front.segment = place;
        opened.end = opened.segment.end(if base == view.tail.segment { view.tail.offset } else { u64::MAX });
        // Where the block it was in has grown, it goes on within it.
        self.front.block = self.front.block.min(opened.segment.block_at(self.front.next.0));
        if let Some(loaded) = &mut self.front.loaded {
            loaded.all_live &= view.are_live(loaded.ordinals.clone());
            if !loaded.all_live {
                self.front.hold();
            }
        }
        (self.view, self.done, self.front.span) = (view, false, 1);
        Ok(())
    }

    /// The bytes it holds.
    pub fn memory(&self) -> usize {
        let side = |side: &Side| side.loaded.as_ref().map_or(0, Loaded::memory);
        side(&self.front) + side(&self.back)
    }

    /// The next position from the front.
    pub fn next_position(&mut self) -> Option<Result<Position>> {
        self.settle();
        self.back.hold();
        while !self.done && self.lower <= self.upper {
            match self.front.take_first() {
                Some(Item::Entry(position)) if position.id > self.upper => {
                    let ordinal = position.ordinal;
                    let live = self.front.is_all_live() || self.view.is_live(ordinal);
                    match if live { Ok(false) } else { self.pass_dead_end() } {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(error) => return Some(Err(self.skip_segment(error, true))),
                    }
                }
                Some(Item::Entry(position)) if position.id < self.lower => {}
                Some(Item::Entry(position)) => {
                    if !self.front.is_all_live() && !self.view.is_live(position.ordinal) {
                        continue;
                    }
                    match position.id.next() {
                        Some(next) => self.lower = next,
                        None => self.done = true,
                    }
                    return Some(Ok(position));
                }
                Some(Item::Damage(damage)) => {
                    let (offset, what) = (damage.offset, damage.what.clone());
                    if !self.front_is_beyond() {
                        let ids = self.ids_around(&self.front, self.front.taken - 1);
                        return Some(Err(self.front.corrupt(offset, what).affecting(ids)));
                    }
                }
                Some(Item::Missing(base)) => {
                    let ids = self.ids_around(&self.front, self.front.taken - 1);
                    return Some(Err(self.missing(base).affecting(ids)));
                }
                None => match self.load_front() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => return Some(Err(self.skip_segment(error, true))),
                },
            }
        }
        self.done = true;
        None
    }

    /// The next position from the back.
    pub fn next_position_back(&mut self) -> Option<Result<Position>> {
        self.settle();
        self.front.hold();
        while !self.done && self.lower <= self.upper {
            match self.back.take_last() {
                Some(Item::Entry(position)) if position.id < self.lower => break,
                Some(Item::Entry(position)) if position.id > self.upper => {}
                Some(Item::Entry(position)) => {
                    if !self.back.is_all_live() && !self.view.is_live(position.ordinal) {
                        continue;
                    }
                    match position.id.previous() {
                        Some(previous) => self.upper = previous,
                        None => self.done = true,
                    }
                    return Some(Ok(position));
                }
                Some(Item::Damage(damage)) => {
                    let (offset, what) = (damage.offset, damage.what.clone());
                    if !self.back_is_beyond() {
                        let ids = self.ids_around(&self.back, self.back.last_taken());
                        return Some(Err(self.back.corrupt(offset, what).affecting(ids)));
                    }
                }
                Some(Item::Missing(base)) => {
                    if !self.back_is_beyond() {
                        let ids = self.ids_around(&self.back, self.back.last_taken());
                        return Some(Err(self.missing(base).affecting(ids)));
                    }
                }
                None => match self.load_back() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => return Some(Err(self.skip_segment(error, false))),
                },
            }
        }
        self.done = true;
        None
    }

    #[inline]
    pub fn next_entry(&mut self) -> Option<Result<Entry>> {
        self.next_ref().map(|entry| entry.map(EntryRef::to_entry))
    }

    /// As [`next_entry`](Self::next_entry), without a share in the memory of the entry.
    #[inline(always)]
    pub fn next_ref(&mut self) -> Option<Result<EntryRef<'_>>> {
        // Nearly all entries: loaded, alive and within the range.
        match self.front.sound.next() {
            Some(at) => Some(self.front.entry_at(at)),
            None => self.next_ref_slowly(),
        }
    }

    #[inline(never)]
    fn next_ref_slowly(&mut self) -> Option<Result<EntryRef<'_>>> {
        let position = self.next_position()?;
        Some(position.and_then(|position| self.front.entry(&position)))
    }

    #[inline]
    pub fn next_entry_back(&mut self) -> Option<Result<Entry>> {
        self.next_ref_back().map(|entry| entry.map(EntryRef::to_entry))
    }

    /// As [`next_entry_back`](Self::next_entry_back), without a share in the memory of the entry.
    #[inline(always)]
    pub fn next_ref_back(&mut self) -> Option<Result<EntryRef<'_>>> {
        match self.back.sound.next_back() {
            Some(at) => Some(self.back.entry_at(at)),
            None => self.next_ref_back_slowly(),
        }
    }

    #[inline(never)]
    fn next_ref_back_slowly(&mut self) -> Option<Result<EntryRef<'_>>> {
        let position = self.next_position_back()?;
        Some(position.and_then(|position| self.back.entry(&position)))
    }

    /// Takes in which entries were given out without a further look.
    fn settle(&mut self) {
        if let Some(id) = self.front.settle_front() {
            match id.next() {
                Some(next) => self.lower = next,
                None => self.done = true,
            }
        }
        if let Some(id) = self.back.settle_back() {
            match id.previous() {
                Some(previous) => self.upper = previous,
                None => self.done = true,
            }
        }
    }

    fn missing(&self, base: u64) -> Error {
        Error::corrupt(&self.view.log.place.full(FileName::Segment(base).name()), 0, Corruption::Missing)
    }

    /// The IDs that are not there between the neighbours of an item.
    fn ids_around(&self, side: &Side, item: usize) -> IdRange {
        let Some(loaded) = &side.loaded else { return IdRange { after: StreamId::MIN, through: None } };
        let items = &loaded.items;
        let before = (0..item).rev().find_map(|at| items.id(at));
        let behind = (item + 1..items.len()).find_map(|at| items.id(at));
        let whole = self.view.ids_of(side.segment);
        let next_block = || side.opened.as_ref()?.segment.first_id_behind(loaded.next.0);
        let after = before.unwrap_or(whole.after);
        let through = behind.or_else(next_block).and_then(StreamId::previous).or(whole.through);
        self.within(IdRange { after, through })
    }

    /// The part of a range that is not behind this cursor already.
    fn within(&self, ids: IdRange) -> IdRange {
        let after = ids.after.max(self.lower.previous().unwrap_or(StreamId::MIN));
        let through = ids.through.map_or(Some(self.upper), |through| Some(through.min(self.upper)));
        IdRange { after, through: through.filter(|&through| through < StreamId::MAX) }
    }

    /// Whether the entry behind the damage that was just taken shows that all it hit is below what was asked for.
    fn front_is_beyond(&self) -> bool {
        let next = self.front.loaded.as_ref().and_then(|loaded| loaded.items.get(self.front.taken));
        matches!(next, Some(Item::Entry(position)) if position.id <= self.asked.0)
    }

    /// As [`front_is_beyond`](Self::front_is_beyond), from the back.
    fn back_is_beyond(&self) -> bool {
        let items = self.back.loaded.as_ref().map(|loaded| &loaded.items);
        let next = items.and_then(|items| items.get(items.len().checked_sub(self.back.taken + 1)?));
        matches!(next, Some(Item::Entry(position)) if position.id >= self.asked.1)
    }

    /// After an error that concerns a whole segment: goes on behind it if it is damage, and ends otherwise.
    fn skip_segment(&mut self, error: Error, forward: bool) -> Error {
        let at = if forward { self.front.segment } else { self.back.segment };
        let error = error.affecting(self.within(self.view.ids_of(at)));
        let side = if forward { &mut self.front } else { &mut self.back };
        side.opened = None;
        side.next = (0, 0);
        match (&error, forward) {
            (Error::Corrupt { .. }, true) if side.started => side.segment += 1,
            (Error::Corrupt { .. }, false) if side.started && side.segment > 0 => side.segment -= 1,
            _ => self.done = true,
        }
        side.block = if forward { 0 } else { usize::MAX };
        error
    }

    /// Goes on in the next segment if IDs of the range may follow in it: those at the end of this one are deleted, and
    /// the last ID may have been set back to before them. Returns whether it did.
    fn pass_dead_end(&mut self) -> Result<bool> {
        let follows = self.view.begins_below(self.front.segment + 1, self.upper)?;
        if follows {
            self.front = Side { segment: self.front.segment + 1, span: 1, started: true, ..Side::default() };
        }
        Ok(follows)
    }

    fn load_front(&mut self) -> Result<bool> {
        self.front.hold();
        if !self.front.started {
            self.front.segment = self.view.segment_of(self.lower, Direction::Forward)?.max(self.view.first_segment());
            self.front.started = true;
            self.front.span = 1;
            if let Found::Segment(opened) = self.view.open(self.front.segment)? {
                self.front.block = opened.segment.block_of(self.lower);
                self.front.opened = Some(opened);
            }
        }
        loop {
            if self.front.opened.is_none() {
                match self.view.open(self.front.segment)? {
                    Found::Segment(opened) => self.front.opened = Some(opened),
                    Found::Removed => {
                        self.front.segment += 1;
                        continue;
                    }
                    Found::Nothing => return Ok(false),
                }
            }
            let Some(opened) = &self.front.opened else { return Ok(false) };
            let blocks = self.front.block..self.front.block.saturating_add(self.front.span);
            let count = self.wanted.max(WANTED_MIN);
            let wanted = Wanted { from: self.lower, at: self.front.next, count };
            match load(&self.view, self.front.segment, opened, blocks, wanted, &mut self.front.loaded)? {
                count if count > 0 => {
                    self.front.go_on(count, &mut self.wanted);
                    if !self.back.started {
                        self.front.find_sound(self.lower, self.upper);
                    }
                    return Ok(true);
                }
                // There it may go on some time.
                _ if self.front.segment + 1 >= self.view.segments() => return Ok(false),
                _ => {
                    self.front.opened = None;
                    self.front.segment += 1;
                    self.front.block = 0;
                    self.front.next = (0, 0);
                }
            }
        }
    }

    fn load_back(&mut self) -> Result<bool> {
        self.back.hold();
        if !self.back.started {
            self.back.segment = self.view.segment_of(self.upper, Direction::Backward)?;
            self.back.started = true;
            self.back.span = 1;
            self.back.block = usize::MAX;
            if let Found::Segment(opened) = self.view.open(self.back.segment)? {
                self.back.block = opened.segment.block_of(self.upper) + 1;
                self.back.opened = Some(opened);
            }
        }
        loop {
            if self.back.opened.is_none() {
                match self.view.open(self.back.segment)? {
                    Found::Segment(opened) => self.back.opened = Some(opened),
                    Found::Removed if self.back.segment > self.view.first_segment() => {
                        self.back.segment -= 1;
                        continue;
                    }
                    Found::Removed | Found::Nothing => return Ok(false),
                }
            }
            let Some(opened) = &self.back.opened else { return Ok(false) };
            let end = self.back.block.min(opened.segment.block_count(opened.end));
            let blocks = end.saturating_sub(self.back.span)..end;
            self.back.block = blocks.start;
            match load(&self.view, self.back.segment, opened, blocks, Wanted::ALL, &mut self.back.loaded)? {
                count if count > 0 => {
                    self.back.span = (self.back.span * 2).min(BLOCKS_MAX);
                    self.back.taken = 0;
                    if !self.front.started {
                        self.back.find_sound(self.lower, self.upper);
                    }
                    return Ok(true);
                }
                _ if self.back.segment == 0 || self.back.segment <= self.view.first_segment() => return Ok(false),
                _ => {
                    self.back.opened = None;
                    self.back.segment -= 1;
                    self.back.block = usize::MAX;
                }
            }
        }
    }
}

impl Side {
    /// After so many blocks were loaded: where to go on, and with how many of them.
    fn go_on(&mut self, blocks: usize, wanted: &mut usize) {
        let Some(loaded) = &self.loaded else { return };
        let found = loaded.items.len();
        *wanted = wanted.saturating_sub(found);
        // What is left of a block is taken from it when it is asked for.
        self.block += blocks - usize::from(loaded.is_partial);
        self.next = loaded.next;
        let needed = wanted.saturating_mul(blocks).div_ceil(found.max(1)).max(1);
        self.span = (self.span * 2).min(BLOCKS_MAX).min(needed);
        self.taken = 0;
    }

    /// Finds out which entries are given out without a further look.
    fn find_sound(&mut self, lower: StreamId, upper: StreamId) {
        self.sound = self.loaded.as_ref().map_or(0..0, |loaded| loaded.sound(lower, upper));
        self.settled = self.sound.clone();
    }

    /// Has each entry looked at that is still to be given out.
    fn hold(&mut self) {
        (self.sound, self.settled) = (0..0, 0..0);
    }

    /// Returns the last ID that was given out from the front since this was last called, if any was.
    fn settle_front(&mut self) -> Option<StreamId> {
        let at = self.sound.start;
        if at == self.settled.start {
            return None;
        }
        self.settled.start = at;
        self.taken = at;
        self.loaded.as_ref()?.items.id(at.checked_sub(1)?)
    }

    /// As [`settle_front`](Self::settle_front), from the back.
    fn settle_back(&mut self) -> Option<StreamId> {
        let at = self.sound.end;
        if at == self.settled.end {
            return None;
        }
        self.settled.end = at;
        let items = &self.loaded.as_ref()?.items;
        self.taken = items.len().saturating_sub(at);
        items.id(at)
    }

    #[inline]
    fn is_all_live(&self) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| loaded.all_live)
    }

    #[inline]
    fn take_first(&mut self) -> Option<Item<'_>> {
        let item = self.loaded.as_ref()?.items.get(self.taken)?;
        self.taken += 1;
        if self.taken > self.sound.start {
            self.sound.start = self.taken.min(self.sound.end);
            self.settled.start = self.sound.start;
        }
        Some(item)
    }

    #[inline]
    fn take_last(&mut self) -> Option<Item<'_>> {
        let items = &self.loaded.as_ref()?.items;
        let at = items.len().checked_sub(self.taken + 1)?;
        let item = items.get(at)?;
        self.taken += 1;
        if at < self.sound.end {
            self.sound.end = at.max(self.sound.start);
            self.settled.end = self.sound.end;
        }
        Some(item)
    }

    fn corrupt(&self, offset: u64, what: Corruption) -> Error {
        let path = self.opened.as_ref().map(|opened| opened.segment.path.clone()).unwrap_or_default();
        Error::Corrupt { path, offset, what, ids: None }
    }

    /// The place of the item that was taken last, from the back.
    fn last_taken(&self) -> usize {
        self.loaded.as_ref().map_or(0, |loaded| loaded.items.len().saturating_sub(self.taken))
    }

    fn entry(&self, position: &Position) -> Result<EntryRef<'_>> {
        match &self.loaded {
            Some(loaded) => Ok(loaded.entry(position)),
            None => Err(self.not_loaded()),
        }
    }

    #[inline(always)]
    fn entry_at(&self, at: usize) -> Result<EntryRef<'_>> {
        self.loaded.as_ref().and_then(|loaded| loaded.entry_at(at)).ok_or_else(|| self.not_loaded())
    }

    #[cold]
    fn not_loaded(&self) -> Error {
        self.corrupt(0, Corruption::Malformed("an entry of no block"))
    }
}

impl View {
    /// The ordinal of the live entry with this ID.
    pub fn find(&self, id: StreamId) -> Result<Option<u64>> {
        Cursor::new(self.clone(), id, id)
            .next_position()
            .transpose()
            .map(|found| found.map(|position| position.ordinal))
    }

    /// As [`find`](Self::find), of what can be read.
    pub fn find_behind_damage(&self, id: StreamId) -> Result<Option<u64>> {
        let mut cursor = Cursor::new(self.clone(), id, id);
        loop {
            match cursor.next_position() {
                Some(Err(Error::Corrupt { .. })) => {}
                found => return found.transpose().map(|found| found.map(|position| position.ordinal)),
            }
        }
    }

    /// The ordinal of the first live entry at or above `id`; that after the last entry if there is none.
    pub fn first_at_or_above(&self, id: StreamId) -> Result<u64> {
        let found = Cursor::new(self.clone(), id, StreamId::MAX).next_position().transpose()?;
        Ok(found.map_or(self.tail.next_ordinal, |position| position.ordinal))
    }

    /// As [`first_at_or_above`](Self::first_at_or_above), or the first of lost entries of which it is not known whether they are:
    /// whatever is before it is below `id`.
    pub fn first_not_known_below(&self, id: StreamId) -> Result<u64> {
        match self.first_at_or_above(id) {
            Err(Error::Corrupt { .. }) => {}
            found => return found,
        }
        let Some(below) = id.previous() else { return Ok(self.tail.floor) };
        let mut cursor = Cursor::new(self.clone(), StreamId::MIN, below);
        loop {
            match cursor.next_position_back() {
                Some(Err(Error::Corrupt { .. })) => {}
                Some(found) => return found.map(|position| position.ordinal + 1),
                None => return Ok(self.tail.floor),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddOptions, Options, Trim};

    /// What is wanted is a hint: with it, the same entries come, in the same order.
    #[test]
    fn a_cursor_that_wants_little_gives_all_the_same() {
        let store = Options::new().segment_bytes_max(16 << 10).in_memory();
        let stream = store.stream("s").unwrap();
        let id = |ms| StreamId::new(ms, 0);
        let end = if cfg!(miri) { 50 } else { 1000 };
        for ms in 1..=end {
            stream.add_with(AddOptions::new().id(id(ms)), [("v", "x".repeat((ms % 70) as usize))]).unwrap();
        }
        stream.add_batch((end + 1..=end + end / 5).map(|ms| (crate::NewId::Exact(id(ms)), [("v", "batch")]))).unwrap();
        // Runs of dead entries longer than what is wanted, at the beginning of blocks and within.
        stream.delete((1..=end + end / 5).filter(|ms| ms % 90 < 30).map(id)).unwrap();
        stream.trim(Trim::before(id(40))).unwrap();
        let view = stream.inner().unwrap().unwrap().view();
        let (froms, wants) = match cfg!(miri) {
            true => (&[1, 45][..], &[3][..]),
            false => (&[0, 1, 39, 40, 55, 500, 987, 1100, 1200, 1201][..], &[0, 1, 3, 10, 100, 5000][..]),
        };
        for &from in froms {
            let all =
                |cursor: &mut Cursor| std::iter::from_fn(|| cursor.next_entry()).collect::<Result<Vec<_>>>().unwrap();
            let expected = all(&mut Cursor::new(view.clone(), id(from), StreamId::MAX));
            for &wanted in wants {
                let mut cursor = Cursor::new(view.clone(), id(from), StreamId::MAX);
                cursor.want(wanted);
                let found = all(&mut cursor);
                assert_eq!(found, expected, "{wanted} from {from}");
            }
        }
    }
}
