//! Everything of a stream that is not in its log, put together from the changes of its journal.

use crate::format::entries::Production;
use crate::format::journal::{Change, State};
use crate::group::Groups;
use crate::group::producers::Producers;
use crate::log::tombstones::Tombstones;

/// Everything of a stream that is not in its log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aside {
    pub state: State,
    pub tombstones: Tombstones,
    pub groups: Groups,
    pub producers: Producers,
}

impl Aside {
    /// Takes in a change that was made when the next entry had the ordinal `next_ordinal`.
    pub fn apply(&mut self, change: &Change, next_ordinal: u64) {
        for part in change.parts() {
            self.state.apply(part, next_ordinal);
            match part {
                Change::Delete { ordinals, .. } | Change::Dead { ordinals } => self.tombstones.insert_runs(ordinals),
                Change::Group(change) => {
                    self.groups.apply(change);
                    self.producers.apply(change);
                }
                _ => {}
            }
        }
    }

    /// Takes in a production that was found in the log, unless the journal has it.
    #[inline]
    pub fn take_in(&mut self, production: Production) {
        self.producers.take_in(production);
    }
}
