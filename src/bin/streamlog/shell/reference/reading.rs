//! Commands that read entries, and that tell of streams.

use super::{Entry, Family};

pub const FAMILY: Family = Family {
    title: "Reading",
    commands: &[
        Entry {
            name: "XLEN",
            arguments: "stream",
            summary: "Tell how many entries a stream has; 0 if there is none of that name.",
            more: "",
            examples: &["XLEN orders"],
        },
        Entry {
            name: "XRANGE",
            arguments: "stream -|start +|end [COUNT count]",
            summary: "Read entries from one ID to another, both included, the oldest first.",
            more: "`-` is the lowest ID, `+` the highest; a time in milliseconds stands for all IDs of that millisecond, \
                   and `(` before an ID leaves that one out.",
            examples: &["XRANGE orders - + COUNT 10", "XRANGE orders 1700000000000 +", "XRANGE orders (1-0 +"],
        },
        Entry {
            name: "XREVRANGE",
            arguments: "stream +|end -|start [COUNT count]",
            summary: "Read entries from one ID down to another, the newest first.",
            more: "As XRANGE, with the ends the other way round.",
            examples: &["XREVRANGE orders + - COUNT 1"],
        },
        Entry {
            name: "XREAD",
            arguments: "[COUNT count] [MAXCOUNT count] [MAXSIZE bytes] [BLOCK milliseconds] STREAMS stream [stream ...] \
                        $|+|id [$|+|id ...]",
            summary: "Read what comes after an ID in one or several streams, and wait for it if asked to.",
            more: "As many IDs as streams, in the same order. `$` is the last ID there is, so that only what is added from now \
                   on is read, which makes sense with BLOCK; `+` gives the last entry. BLOCK 0 waits without limit. COUNT is \
                   for each stream, MAXCOUNT and MAXSIZE for all together.",
            examples: &["XREAD COUNT 10 STREAMS orders 0", "XREAD BLOCK 100 STREAMS orders payments $ $"],
        },
        Entry {
            name: "XINFO STREAM",
            arguments: "stream [FULL [COUNT count]]",
            summary: "Tell the state of a stream; with FULL also its entries, groups and what is pending.",
            more: "FULL shows the first 10 entries of each list, or COUNT; all of them with COUNT 0.",
            examples: &["XINFO STREAM orders", "XINFO STREAM orders FULL COUNT 1"],
        },
        Entry {
            name: "XINFO HELP",
            arguments: "",
            summary: "Tell what Redis says about XINFO.",
            more: "",
            examples: &["XINFO HELP"],
        },
    ],
};
