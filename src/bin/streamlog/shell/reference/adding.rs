//! Commands that add entries, and those about adding them once.

use super::{Entry, Family};

pub const FAMILY: Family = Family {
    title: "Adding",
    commands: &[
        Entry {
            name: "XADD",
            arguments: "stream [NOMKSTREAM] [KEEPREF|DELREF|ACKED] [IDMPAUTO producer | IDMP producer production] \
                        [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id field value [field value ...]",
            summary: "Add an entry at the end of a stream, and answer with its ID.",
            more: "The stream is created if it is missing, unless NOMKSTREAM is given. `*` takes the time for the ID; \
                   `1700000000000-*` only chooses the sequence number. IDs have to grow. MAXLEN and MINID trim the stream \
                   in the same step: see XTRIM. IDMP makes repeating an add harmless: a production that the stream \
                   remembers is not added again, and its ID is the answer; IDMPAUTO recognises it by its fields and values.",
            examples: &[
                "XADD orders * type order.created total 49.99",
                "XADD orders MAXLEN ~ 1000000 * type order.paid order o1",
                "XADD orders IDMP shop-7 request-1 * type order.created",
            ],
        },
        Entry {
            name: "XCFGSET",
            arguments: "stream [IDMP-DURATION seconds] [IDMP-MAXSIZE count]",
            summary: "Set how long, and how many, productions a stream remembers of each producer.",
            more: "At least one of the two. Up to 86400 seconds and 10000 productions. A change forgets all that are \
                   remembered.",
            examples: &["XCFGSET orders IDMP-DURATION 3600 IDMP-MAXSIZE 1000"],
        },
        Entry {
            name: "XIDMPRECORD",
            arguments: "stream producer production id",
            summary: "Have a stream remember that an entry came of a production.",
            more: "For moving streams: what was added with IDMP elsewhere is recognised here, too.",
            examples: &["XIDMPRECORD orders shop-7 request-9 1-0"],
        },
        Entry {
            name: "XSETID",
            arguments: "stream id [ENTRIESADDED count] [MAXDELETEDID id]",
            summary: "Set the last ID of a stream, and its counters.",
            more: "For moving streams. The ID may not be below that of the last entry.",
            examples: &["XSETID orders 99999999999999-0"],
        },
    ],
};
