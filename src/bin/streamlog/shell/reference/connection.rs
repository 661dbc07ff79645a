//! Commands of a session: transactions, and what clients send first.

use super::{Entry, Family};

pub const FAMILY: Family = Family {
    title: "Session",
    commands: &[
        Entry {
            name: "MULTI",
            arguments: "",
            summary: "Keep the commands that follow, until EXEC runs them in a row.",
            more: "Each of them is atomic, but not all together: other threads may come between.",
            examples: &["MULTI"],
        },
        Entry {
            name: "EXEC",
            arguments: "",
            summary: "Run what was kept since MULTI.",
            more: "Refused if one of the commands cannot be run. In it nothing waits.",
            examples: &["EXEC"],
        },
        Entry {
            name: "DISCARD",
            arguments: "",
            summary: "Forget what was kept since MULTI.",
            more: "",
            examples: &["DISCARD"],
        },
        Entry {
            name: "WATCH",
            arguments: "stream [stream ...]",
            summary: "Always refused: transactions are not isolated here.",
            more: "",
            examples: &[],
        },
        Entry {
            name: "UNWATCH",
            arguments: "",
            summary: "Do nothing: there is nothing to watch.",
            more: "",
            examples: &["UNWATCH"],
        },
        Entry {
            name: "PING",
            arguments: "[message]",
            summary: "Answer PONG, or the message.",
            more: "",
            examples: &["PING", "PING hello"],
        },
        Entry {
            name: "ECHO",
            arguments: "message",
            summary: "Answer with the message.",
            more: "",
            examples: &["ECHO \"a\\nb\""],
        },
        Entry {
            name: "TIME",
            arguments: "",
            summary: "Tell the time of the store: seconds since 1970, and microseconds.",
            more: "",
            examples: &["TIME"],
        },
        Entry {
            name: "HELLO",
            arguments: "[2|3 [AUTH user password] [SETNAME name]]",
            summary: "Choose the version of the protocol, and tell what this is.",
            more: "With 3, maps are shown as such.",
            examples: &["HELLO", "HELLO 3"],
        },
        Entry {
            name: "SELECT",
            arguments: "0",
            summary: "Choose the database, of which there is one.",
            more: "",
            examples: &["SELECT 0"],
        },
    ],
};
