//! Commands of consumer groups.

use super::{Entry, Family};

pub const FAMILY: Family = Family {
    title: "Groups",
    commands: &[
        Entry {
            name: "XGROUP CREATE",
            arguments: "stream group $|id [MKSTREAM] [ENTRIESREAD count]",
            summary: "Create a group, which will be given what comes after an ID.",
            more: "`0` for everything there is, `$` for what is added from now on. MKSTREAM creates the stream if it is missing.",
            examples: &["XGROUP CREATE orders billing 0", "XGROUP CREATE parcels packers $ MKSTREAM"],
        },
        Entry {
            name: "XGROUP SETID",
            arguments: "stream group $|id [ENTRIESREAD count]",
            summary: "Set the ID after which a group is given entries.",
            more: "To read everything again: `0`. What is pending stays so.",
            examples: &["XGROUP SETID orders workers 0"],
        },
        Entry {
            name: "XGROUP DESTROY",
            arguments: "stream group",
            summary: "Delete a group with its consumers and what is pending for them.",
            more: "Whoever waits for entries of it gets an error. Answers 1, or 0 if there was none.",
            examples: &["XGROUP DESTROY orders workers"],
        },
        Entry {
            name: "XGROUP CREATECONSUMER",
            arguments: "stream group consumer",
            summary: "Create a consumer, which reading in its name would do as well.",
            more: "Answers 1, or 0 if there was one.",
            examples: &["XGROUP CREATECONSUMER orders workers carol"],
        },
        Entry {
            name: "XGROUP DELCONSUMER",
            arguments: "stream group consumer",
            summary: "Delete a consumer, and answer how many entries were pending for it.",
            more: "These are pending no longer, and nobody will get them again: claim them first if they are to be finished.",
            examples: &["XGROUP DELCONSUMER orders workers bob"],
        },
        Entry {
            name: "XGROUP HELP",
            arguments: "",
            summary: "Tell what Redis says about XGROUP.",
            more: "",
            examples: &["XGROUP HELP"],
        },
        Entry {
            name: "XREADGROUP",
            arguments: "GROUP group consumer [COUNT count] [MAXCOUNT count] [MAXSIZE bytes] [BLOCK milliseconds] \
                        [CLAIM milliseconds] [NOACK] STREAMS stream [stream ...] >|id [>|id ...]",
            summary: "Read as a consumer of a group: each entry is given to one of them, and is pending until acknowledged.",
            more: "`>` asks for what was given to nobody yet; an ID for one's own pending entries above it, so `0` for all of \
                   them. CLAIM also takes over what has been pending with anybody for so long. NOACK counts what is given \
                   as acknowledged at once. BLOCK 0 waits without limit.",
            examples: &[
                "XREADGROUP GROUP workers alice COUNT 10 STREAMS orders >",
                "XREADGROUP GROUP workers alice BLOCK 100 STREAMS orders >",
                "XREADGROUP GROUP workers alice STREAMS orders 0",
            ],
        },
        Entry {
            name: "XACK",
            arguments: "stream group id [id ...]",
            summary: "Acknowledge entries: they are done, and pending no longer.",
            more: "Answers how many were pending.",
            examples: &["XACK orders workers 1-0 2-0"],
        },
        Entry {
            name: "XACKDEL",
            arguments: "stream group [KEEPREF|DELREF|ACKED] IDS count id [id ...]",
            summary: "Acknowledge entries and delete them.",
            more: "KEEPREF, DELREF and ACKED, and the answers, are as in XDELEX: with ACKED an entry goes when the last group has \
                   acknowledged it.",
            examples: &["XACKDEL orders workers ACKED IDS 1 1-0"],
        },
        Entry {
            name: "XNACK",
            arguments: "stream group SILENT|FAIL|FATAL IDS count id [id ...] [RETRYCOUNT count] [FORCE]",
            summary: "Give pending entries back, so that another consumer may have them at once.",
            more: "SILENT: it was not looked at, and the delivery does not count. FAIL: processing failed. FATAL: it cannot be \
                   processed, and its delivery count goes to the maximum. RETRYCOUNT sets the count; FORCE takes entries \
                   that are not pending, too.",
            examples: &["XNACK orders workers FAIL IDS 1 1-0"],
        },
        Entry {
            name: "XPENDING",
            arguments: "stream group [[IDLE milliseconds] -|start +|end count [consumer]]",
            summary: "Tell what is pending in a group: how much, or entry by entry.",
            more: "With a range, for each entry: its ID, its consumer, the milliseconds since it was delivered, and how often \
                   it was. IDLE leaves out those that were delivered later.",
            examples: &["XPENDING orders workers", "XPENDING orders workers IDLE 60000 - + 10 alice"],
        },
        Entry {
            name: "XCLAIM",
            arguments: "stream group consumer milliseconds id [id ...] [IDLE milliseconds] [TIME unix-time] \
                        [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]",
            summary: "Take over pending entries that another consumer has had for longer than some milliseconds.",
            more: "Answers with the entries, or with JUSTID their IDs, and then without counting a delivery. IDLE or TIME set when \
                   they were delivered, RETRYCOUNT how often. FORCE takes entries that are not pending, too.",
            examples: &["XCLAIM orders workers bob 60000 1-0 2-0", "XCLAIM orders workers bob 0 1-0 JUSTID"],
        },
        Entry {
            name: "XAUTOCLAIM",
            arguments: "stream group consumer milliseconds start [COUNT count] [JUSTID]",
            summary: "Take over whatever has been pending for longer than some milliseconds, from an ID on.",
            more: "The answer begins with the ID to go on from; 0-0 if all was seen. COUNT bounds how many are taken, 100 if \
                   it is not given.",
            examples: &["XAUTOCLAIM orders workers bob 60000 0 COUNT 25"],
        },
        Entry {
            name: "XINFO GROUPS",
            arguments: "stream",
            summary: "Tell the groups of a stream: consumers, pending entries, position, lag.",
            more: "",
            examples: &["XINFO GROUPS orders"],
        },
        Entry {
            name: "XINFO CONSUMERS",
            arguments: "stream group",
            summary: "Tell the consumers of a group: pending entries, and how long they have been idle.",
            more: "",
            examples: &["XINFO CONSUMERS orders workers"],
        },
    ],
};
