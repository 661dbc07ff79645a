//! Promise: the cases that implementations of streams get wrong are right here.
//!
//! Numbers and notation are those of section 19 of the behavioural reference. Left out is what needs groups, a key of
//! another type (there is none), or a transaction (case 32).

use crate::notation::run;

#[test]
fn ids_and_xadd() {
    run(r#"
        1. XADD s 0-0 f v → E-ZERO; EXISTS s → 0
        2. XADD s 0-* f v → "0-1"
        3. XADD s 7-* f v → "7-0"; XADD s 7-* f v → "7-1"; XADD s 6-* f v → E-SMALL
        4. XADD s 5-0 f v · XADD s 5 f v → E-SMALL
        5. XADD s 10-MAX f v · XADD s 10-* f v → E-SMALL; XADD s 11-* f v → "11-0"
        6. XADD s MAX1-MAX f v · XADD s * f v → "MAX-0"
        7. XADD s MAX-MAX f v · XADD s * f v → E-FULL; XADD s 1-1 f v → E-FULL
        8. XADD s 99999999999999-4 f v · XADD s * f v → "99999999999999-5"
        9. XADD s 1-2 f v; XDEL s 1-2 · XADD s 1-2 f v → E-SMALL; XADD s 1-3 f v → "1-3"
        10. S3; XTRIM s MAXLEN 0 · XADD s 3-0 f v → E-SMALL; DEL s → 1; XADD s 3-0 f v → "3-0"
        11. XADD s 1-1 f v 1 2 f w → "1-1"; XRANGE s - + → [["1-1", ["f", "v", "1", "2", "f", "w"]]]
        12. XADD s 1-1 "" "" → "1-1"; XRANGE s - + → [["1-1", ["", ""]]]
        13. XADD s * a → E-ARITY(xadd); XADD s 1-1 a 1 b → E-ARITY(xadd)
        14. XADD s 0-0 a 1 → E-ZERO; XADD s x a 1 → E-ID
        15. XADD s NOMKSTREAM * f v → nil; XADD s NOMKSTREAM 0-0 f v → E-ZERO; EXISTS s → 0
        16. XADD s MAXLEN 0 1-1 f v → "1-1"; XLEN s → 0; EXISTS s → 1; XINFO STREAM s: last-generated-id → "1-1"
        17. XADD s MINID 10 5-0 f v → "5-0"; XLEN s → 0
        18. XADD s MAXLEN 5 LIMIT 3 * f v → E-LIMIT-TILDE; XADD s LIMIT 3 * f v → E-LIMIT-ALONE
        18. XADD s LIMIT 0 * f v → E-LIMIT-TILDE
        19. XADD s MAXLEN 5 MAXLEN 5 * f v → E-TWO-STRATEGIES
        20. XADD s KEEPREF DELREF * f v → E-ID; XTRIM s MAXLEN 1 KEEPREF DELREF → E-SYNTAX
    "#);
}

#[test]
fn ranges_and_xread() {
    run(r#"
        21. S3 · XRANGE s - + COUNT 0 → *nil; XRANGE s - + COUNT -7 → *nil; XRANGE nokey - + COUNT 0 → []
        22. S2 · XREAD COUNT 0 STREAMS s 0 → [["s", [["1-0", ["f", "1"]], ["2-0", ["f", "2"]]]]]
        22. S2 · XREAD COUNT -7 STREAMS s 1 → [["s", [["2-0", ["f", "2"]]]]]
        23. XADD s 5-0 f a; XADD s 5-1 f b · XRANGE s (5 + → [["5-1", ["f", "b"]]]
        23. XADD s 5-0 f a; XADD s 5-1 f b · XRANGE s - (5 → [["5-0", ["f", "a"]], ["5-1", ["f", "b"]]]
        24. XRANGE nokey (MAX-MAX + → E-START; XRANGE nokey - (0-0 → E-END; XRANGE nokey (- + → E-ID
        24. XRANGE nokey ( + → E-ID
        25. S3 · XREVRANGE s - + → []; XRANGE s 3 2 → []
        26. S3 · XREAD STREAMS s 3 → *nil; XREAD STREAMS s $ → *nil; XREAD STREAMS nokey 0 → *nil
        27. S3; XDEL s 3-0 · XREAD COUNT 9 STREAMS s + → [["s", [["2-0", ["f", "2"]]]]]; XREAD STREAMS s 2 → *nil
        28. S1; XDEL s 1-0 · XREAD STREAMS s + → *nil; XREAD STREAMS s 0 → *nil
        29. S2 · XREAD STREAMS nokey s s 0 1 0 → [["s", [["2-0", ["f", "2"]]]], ["s", [["1-0", ["f", "1"]], ["2-0", ["f", "2"]]]]]
        30. S1 · XREAD STREAMS s t 0 x → E-ID; XREAD STREAMS s t x 0 → E-ID
        31. S1 · XREAD STREAMS s - → E-ID; XREAD STREAMS s > → E-GT; XREAD STREAMS s (1 → E-ID
    "#);
}

#[test]
fn xsetid_trimming_and_xinfo() {
    run(r#"
        92. S3 · XSETID s 2-0 → E-SETID-TOP; XSETID s 9-0 → OK; XSETID s 3-0 → OK; XSETID s 3-0 ENTRIESADDED 2 → E-SETID-ADDED; XSETID nokey 1 → E-NOKEY
        93. S3; XDEL s 3-0 · XSETID s 2-0 → E-SETID-CURDEL; XSETID s 9-0 MAXDELETEDID 10-0 → E-SETID-NEWDEL; XSETID s 9-0 MAXDELETEDID 0-0 → OK; XINFO STREAM s: max-deleted-entry-id → "3-0"; XSETID s 9-0 MAXDELETEDID 1-0 → OK; XINFO STREAM s: max-deleted-entry-id → "1-0"
        94. S250 · XTRIM s MAXLEN ~ 201 → 0; XTRIM s MAXLEN ~ 150 → 100; XTRIM s MAXLEN ~ 1 LIMIT 50 → 0; XTRIM s MAXLEN 149 → 1
        95. S250 · XTRIM s MAXLEN ~ 145 DELREF → 105
        96. S6 · XTRIM s MAXLEN 1 ACKED → 5; XRANGE s - + → [["6-0", ["f", "6"]]]
        97. S3 · XTRIM s LIMIT 0 → E-NO-STRATEGY; XTRIM s MAXLEN 1 NOMKSTREAM → E-SYNTAX; XTRIM nokey MAXLEN 1 → 0; XTRIM s MAXLEN = ~ 1 → E-INT
        98. XINFO STREAM nokey → E-NOKEY; XINFO GROUPS nokey → E-NOKEY; XLEN nokey → 0
    "#);
}

#[test]
fn other_key_commands() {
    run(r#"
        106. S2 · COPY s t → 1; XDEL t 1-0 → 1; XLEN s → 2; XLEN t → 1; TYPE t → stream
        107. S2 · DEL s → 1; XADD s 1-0 f v → "1-0"; XINFO GROUPS s → []
    "#);
}
