//! What a generation of the journal begins with.

use super::{JOURNAL_LEN_MAX, check_journal_len, check_len};
use crate::format::groups::GroupChange;
use crate::format::header::{Header, Kind};
use crate::format::journal::{Change, DEAD_RUNS_MAX, State, runs_in_parts};
use crate::format::record::{self, Head, Salt};
use crate::group::Groups;
use crate::group::producers::Producers;
use crate::log::tombstones::Tombstones;
use crate::{Result, StreamId};

/// What a checkpoint is made of.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    pub state: &'a State,
    pub tombstones: &'a Tombstones,
    pub groups: &'a Groups,
    pub producers: &'a Producers,
}

/// A new generation, ready to be written.
#[derive(Debug)]
pub struct Checkpoint {
    pub(super) header: Header,
    pub(super) bytes: Vec<u8>,
    pub(super) dead: u64,
}

/// What identifies a new generation.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    pub store: [u8; 16],
    pub incarnation: [u8; 16],
    pub file: [u8; 16],
    pub generation: u64,
    pub predecessor: [u8; 16],
    pub changes: u64,
    pub next_ordinal: u64,
}

impl Checkpoint {
    /// Encodes what a generation begins with. Fails if that is more than can be read again.
    pub fn encode(birth: Birth, content: Content<'_>) -> Result<Self> {
        let header = Header {
            kind: Kind::Journal,
            store: birth.store,
            incarnation: birth.incarnation,
            file: birth.file,
            base: birth.changes,
            peer: birth.next_ordinal,
            entries_added: 0,
            previous_id: StreamId::MIN,
            floor: 0,
            base_ms: birth.generation,
            predecessor: birth.predecessor,
        };
        let mut bytes = Vec::from(header.encode());
        let mut payload = Vec::new();
        let mut longest = 0;
        let mut put = |change: Change| {
            payload.clear();
            change.put(&mut payload);
            longest = payload.len().max(longest);
            let head = Head { kind: change.kind(), position: header.base as u16, ..Head::default() };
            let offset = bytes.len() as u64;
            // What is too long already is not made longer.
            if offset <= JOURNAL_LEN_MAX {
                record::encode(&mut bytes, Salt::of(&header.file), offset, &head, &[&payload]);
            }
        };
        put(Change::State(content.state.clone()));
        runs_in_parts(content.tombstones.set(), DEAD_RUNS_MAX, |ordinals| put(Change::Dead { ordinals }));
        content.groups.checkpoint(|change| put(Change::Group(change)));
        if !content.producers.is_default() {
            put(Change::Group(GroupChange::Memory(content.producers.memory(birth.next_ordinal))));
        }
        put(Change::Checkpoint);
        check_len(longest)?;
        check_journal_len(bytes.len() as u64)?;
        Ok(Self { header, bytes, dead: content.tombstones.set().len() })
    }
}
