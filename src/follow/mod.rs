//! Streams that another process writes: found once as opening would find them, and then followed.
//!
//! Nothing is written or locked, so the writer does not notice. A stream that is followed is an [`Inner`] like any other, with
//! the same ways to read it; only that what becomes of it is taken from its files instead of being asked for.
//!
//! | | |
//! |---|---|
//! | [`moment`] | the files of a stream as they were at one moment |
//! | [`picture`] | what they hold then |
//! | [`attach`] | from there to a stream that can be followed |
//! | [`follower`] | what has become of it since: what may be seen, and in which order it is looked at |
//! | [`log_end`], [`journal_end`] | the ends of its two growing files |
//!
//! [`Inner`]: crate::stream::inner::Inner

pub mod attach;
pub mod follower;
mod journal_end;
mod log_end;
pub mod moment;
pub mod pace;
pub mod picture;
pub mod root;

use std::path::Path;

use crate::Result;
use crate::format::Identity;
use crate::io::board::Reader;
use crate::io::place::Place;

/// A store that another process writes.
#[derive(Debug)]
pub struct Watch {
    pub root: Place,
    /// `None` if `LOCK` is damaged.
    pub store: Option<Identity>,
    pub board: Reader,
}

impl Watch {
    pub fn open(path: &Path) -> Result<Self> {
        let (root, store) = root::open(path)?;
        let board = Reader::new(root.disk().clone(), store);
        Ok(Self { root, store, board })
    }
}
