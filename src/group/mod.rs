//! The changes of one stream that are not entries, and (to come) its consumer groups.
pub mod journal;
