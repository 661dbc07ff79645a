//! Commands that remove entries.

use super::{Entry, Family};

pub const FAMILY: Family = Family {
    title: "Removing",
    commands: &[
        Entry {
            name: "XDEL",
            arguments: "stream id [id ...]",
            summary: "Delete entries by their IDs, and answer how many there were.",
            more: "Groups keep them in their lists of what is pending: see XDELEX for another way.",
            examples: &["XDEL orders 1-0"],
        },
        Entry {
            name: "XDELEX",
            arguments: "stream [KEEPREF|DELREF|ACKED] IDS count id [id ...]",
            summary: "Delete entries, and say what becomes of them where they are pending in groups.",
            more: "KEEPREF leaves them pending, as XDEL does. DELREF takes them out of all groups. ACKED deletes only what every \
                   group has been given and acknowledged. The answer for each ID: 1 deleted, -1 not there, 2 kept, \
                   because a group still needs it.",
            examples: &["XDELEX orders ACKED IDS 2 1-0 2-0"],
        },
        Entry {
            name: "XTRIM",
            arguments: "stream [KEEPREF|DELREF|ACKED] MAXLEN|MINID [=|~] threshold [LIMIT count]",
            summary: "Remove the oldest entries: all but so many (MAXLEN), or those below an ID (MINID).",
            more: "`~` may leave a few more, up to a block of 100, as in Redis; here it is no faster. LIMIT, only with `~`, \
                   bounds how many one call removes: 10000 if it is not given, all with 0. KEEPREF, DELREF and ACKED are as in XDELEX.",
            examples: &["XTRIM orders MAXLEN 1000", "XTRIM orders MINID ~ 1700000000000 LIMIT 10000"],
        },
    ],
};
