//! Commands about streams as a whole.

use super::{Entry, Family};

pub const FAMILY: Family = Family {
    title: "Streams",
    commands: &[
        Entry {
            name: "KEYS",
            arguments: "pattern",
            summary: "List the names of streams that match a pattern.",
            more: "`*` is any text, `?` any character, `[ab]` one of these; a backslash takes what follows as it is.",
            examples: &["KEYS *", "KEYS order?"],
        },
        Entry {
            name: "SCAN",
            arguments: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
            summary: "List names a page at a time.",
            more: "Begin with the cursor 0, and go on with the one in the answer until it is 0 again.",
            examples: &["SCAN 0 MATCH ord* COUNT 100"],
        },
        Entry {
            name: "DBSIZE",
            arguments: "",
            summary: "Tell how many streams there are.",
            more: "",
            examples: &["DBSIZE"],
        },
        Entry {
            name: "EXISTS",
            arguments: "stream [stream ...]",
            summary: "Count which of these streams exist.",
            more: "",
            examples: &["EXISTS orders payments"],
        },
        Entry {
            name: "TYPE",
            arguments: "stream",
            summary: "Tell whether a name is that of a stream, or of none.",
            more: "",
            examples: &["TYPE orders"],
        },
        Entry {
            name: "DEL",
            arguments: "stream [stream ...]",
            summary: "Delete streams with everything in them, all in one step.",
            more: "Answers how many there were.",
            examples: &["DEL payments"],
        },
        Entry {
            name: "UNLINK",
            arguments: "stream [stream ...]",
            summary: "The same as DEL.",
            more: "",
            examples: &["UNLINK payments"],
        },
        Entry {
            name: "RENAME",
            arguments: "stream name",
            summary: "Give a stream another name; a stream that had it is deleted.",
            more: "",
            examples: &["RENAME payments invoices"],
        },
        Entry {
            name: "RENAMENX",
            arguments: "stream name",
            summary: "Give a stream another name, unless that is taken.",
            more: "Answers 1, or 0 if it is.",
            examples: &["RENAMENX payments invoices"],
        },
        Entry {
            name: "COPY",
            arguments: "stream name [DB 0] [REPLACE]",
            summary: "Copy a stream with its groups.",
            more: "Answers 1, or 0 if there is a stream of that name and no REPLACE.",
            examples: &["COPY orders archive"],
        },
        Entry {
            name: "FLUSHALL",
            arguments: "[ASYNC|SYNC]",
            summary: "Delete all streams.",
            more: "Nothing asks whether you are sure.",
            examples: &["FLUSHALL"],
        },
        Entry {
            name: "FLUSHDB",
            arguments: "[ASYNC|SYNC]",
            summary: "The same as FLUSHALL.",
            more: "",
            examples: &["FLUSHDB"],
        },
    ],
};
