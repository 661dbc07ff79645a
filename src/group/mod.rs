//! The changes of one stream that are not entries, and (to come) its consumer groups.
pub mod journal;
#[cfg_attr(not(test), expect(dead_code, reason = "the groups that will keep such lists are to come"))]
pub mod pending;
