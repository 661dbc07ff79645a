//! Promise: the cases that implementations of streams get wrong are right here.
//!
//! Numbers and notation are those of section 19 of the behavioural reference. What needs a key of another type is left out:
//! there is none. Case 32 is in [`transactions`](crate::transactions), cases 108 to 126 in [`blocking`](crate::blocking).

use streamlog::Store;

use crate::blocking::answer;
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
        18. XADD s MAXLEN 5 LIMIT 3 → E-LIMIT-TILDE; XADD s LIMIT 3 NOMKSTREAM → E-LIMIT-ALONE; XADD s LIMIT 0 NOMKSTREAM → E-LIMIT-TILDE; XADD s NOMKSTREAM MAXLEN 5 → E-ARITY(xadd)
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
fn reading_as_a_consumer() {
    run(r#"
        33. S2; G0 · XREADGROUP GROUP g a STREAMS s 0 → [["s", []]]; XREADGROUP GROUP g a BLOCK 0 STREAMS s 99 → [["s", []]]
        34. S2; G0; R(a,2) · XREADGROUP GROUP g a STREAMS s > → *nil; XREADGROUP GROUP g zed STREAMS s > → *nil; XGROUP CREATECONSUMER s g zed → 0
        35. S2; G0; R(a,2); XDEL s 1-0 · XREADGROUP GROUP g a STREAMS s 0 → [["s", [["1-0", *nil], ["2-0", ["f", "2"]]]]]; pending of g → [1-0 a×1, 2-0 a×2]
        36. S3; G0; R(a,3) · XREADGROUP GROUP g a NOACK COUNT 1 STREAMS s 1 → [["s", [["2-0", ["f", "2"]]]]]; pending of g → [1-0 a×1, 2-0 a×2, 3-0 a×1]
        37. S2; G0 · XREADGROUP GROUP g a NOACK STREAMS s > → [["s", [["1-0", ["f", "1"]], ["2-0", ["f", "2"]]]]]; pending of g → []; counters of g → entries-read 2, lag 0; XREADGROUP GROUP g a STREAMS s > → *nil
        38. S1; G0 · XREADGROUP GROUP g a STREAMS s MAX-MAX → [["s", [["1-0", ["f", "1"]]]]]
        39. S2; G0; R(a,2); XREADGROUP GROUP g a STREAMS s 0; XGROUP SETID s g 0 · XREADGROUP GROUP g b COUNT 1 STREAMS s > → [["s", [["1-0", ["f", "1"]]]]]; pending of g → [1-0 b×1, 2-0 a×2]
        40. S2; G0; R(a,2); XGROUP SETID s g 0 · XREADGROUP GROUP g b NOACK COUNT 1 STREAMS s > → [["s", [["1-0", ["f", "1"]]]]]; pending of g → [1-0 a×1, 2-0 a×1]
        41. S2; G0 · XREADGROUP GROUP g a STREAMS s nokey > > → E-NOGROUP-READ(nokey,g); XREADGROUP GROUP g a STREAMS s s > x → E-ID; pending of g → []; XINFO CONSUMERS s g → []
        42. S3; G0; R(a,1) · XREADGROUP GROUP g b CLAIM 0 COUNT 2 STREAMS s > → [["s", [["1-0", ["f", "1"], <ms>, 1], ["2-0", ["f", "2"], 0, 0]]]]; pending of g → [1-0 b×2, 2-0 b×1]
        43. S2; G0; R(a,1) · XREADGROUP GROUP g b NOACK CLAIM 0 STREAMS s > → [["s", [["1-0", ["f", "1"], <ms>, 1], ["2-0", ["f", "2"], 0, 0]]]]; pending of g → [1-0 b×2]
        44. S2; G0; R(a,2); XDEL s 1-0 · XREADGROUP GROUP g b CLAIM 0 STREAMS s > → [["s", [["2-0", ["f", "2"], <ms>, 1]]]]; pending of g → [1-0 a×1, 2-0 b×2]
        45. S2; G0; R(a,1) · XREADGROUP GROUP g b CLAIM 0 STREAMS s s 0 > → [["s", []], ["s", [["2-0", ["f", "2"]]]]]
        46. S1; G0 · XREADGROUP GROUP g a CLAIM -1 STREAMS s > → E-IDLE-NEG; XREADGROUP GROUP g a CLAIM x STREAMS s > → E-IDLE-INT; XREADGROUP GROUP g a BLOCK -1 STREAMS s > → E-TIMEOUT-NEG
        47. S3; G0; XGROUP SETID s g 99 · XREADGROUP GROUP g a STREAMS s > → *nil; XADD s 50-0 f v → "50-0"; XREADGROUP GROUP g a STREAMS s > → *nil; XADD s 100-0 f v → "100-0"; XREADGROUP GROUP g a STREAMS s > → [["s", [["100-0", ["f", "v"]]]]]
    "#);
}

#[test]
fn acknowledging_and_deleting() {
    run(r#"
        48. S2; G0; R(a,2) · XACK nokey g x → 0; XACK s nog x → 0; XACK s g 1-0 x → E-ID; XACK s g 1-0 1-0 9-0 → 1
        49. S1; G0; R(a,1); XDEL s 1-0 · XACK s g 1-0 → 1
        50. S2; G0; R(a,1) · XACKDEL s g IDS 2 1-0 2-0 → [1, -1]; XLEN s → 1
        51. S2; G0; H0; R(a,2) · XACKDEL s g ACKED IDS 1 1-0 → [2]; pending of g → [2-0 a×1]; XLEN s → 2
        52. S1; G0; H0; R(a,1); RH(b,1) · XACKDEL s g IDS 1 1-0 → [1]; pending of h → [1-0 b×1]; XLEN s → 0
        53. S1; G0; H0; R(a,1); RH(b,1) · XACKDEL s g DELREF IDS 1 1-0 → [1]; pending of h → []
        54. S1; G0; R(a,1); XDEL s 1-0 · XACKDEL s g IDS 1 1-0 → [1]; XACKDEL s g IDS 1 1-0 → [-1]
        55. S3; G0; R(a,2) · XDELEX s ACKED IDS 1 99-0 → [2]; XDELEX s ACKED IDS 1 0-1 → [-1]
        56. S1 · XDELEX s ACKED IDS 1 1-0 → [1]
        57. S1; G0; R(a,1); XDEL s 1-0 · XDELEX s DELREF IDS 1 1-0 → [-1]; pending of g → []
        58. S1; G0; R(a,1); XDEL s 1-0 · XDELEX s ACKED IDS 1 1-0 → [2]
        59. S3 · XDELEX s IDS 1 1-0 IDS 1 2-0 → [1]; XLEN s → 2
        60. S2 · XDELEX s IDS 2 1-0 → E-NUMIDS-MATCH; XDELEX s IDS 1 1-0 2-0 → E-SYNTAX; XDELEX s IDS 0 1-0 → E-NUMIDS; XDELEX nokey IDS 1 x → [-1]
        61. S2 · XDEL nokey x → 0; XDEL s 1-0 x → E-ID; XLEN s → 2; XDEL s 1-0 1-0 → 1
        62. S3 · XDEL s 1-0 2-0 3-0 → 3; EXISTS s → 1; XINFO STREAM s: recorded-first-entry-id → "0-0"; XINFO STREAM s: max-deleted-entry-id → "3-0"
    "#);
}

#[test]
fn pending_and_claiming() {
    run(r#"
        63. S2; G0 · XPENDING s g → [0, nil, nil, *nil]; XPENDING s g - + 10 → []
        64. S3; G0; R(b,1); R(a,2) · XPENDING s g → [3, "1-0", "3-0", [["a", "2"], ["b", "1"]]]
        65. S2; G0; R(a,2) · XPENDING s g - + 0 → []; XPENDING s g - + -1 → []; XPENDING s g - + 10 nobody → []; XPENDING s g - + → E-SYNTAX; XPENDING s g IDLE 0 - + → E-SYNTAX
        66. S2; G0 · XCLAIM s g b 0 1-0 FORCE → [["1-0", ["f", "1"]]]; XCLAIM s g b 0 2-0 FORCE JUSTID → ["2-0"]; pending of g → [1-0 b×2, 2-0 b×1]
        67. S1; G0 · XCLAIM s g b 99999 1-0 FORCE RETRYCOUNT 0 → [["1-0", ["f", "1"]]]; pending of g → [1-0 b×0]; counters of g → entries-read nil, lag 1
        68. S1; G0; R(a,1) · XCLAIM s g b 99999 1-0 FORCE → []; pending of g → [1-0 a×1]
        69. S1; G0 · XCLAIM s g b 0 9-0 FORCE → []; pending of g → []
        70. S2; G0; R(a,2); XDEL s 1-0 · XCLAIM s g b 99999 1-0 2-0 → []; pending of g → [2-0 a×1]
        71. S1; G0; R(a,1) · XCLAIM s g b 0 1-0 1-0 JUSTID → ["1-0", "1-0"]; XCLAIM s g b 0 1-0 1-0 → [["1-0", ["f", "1"]], ["1-0", ["f", "1"]]]; pending of g → [1-0 b×3]
        72. S2; G0; R(a,2) · XCLAIM s g b 0 1-0 FORCE 2-0 → E-CLAIM-OPT(2-0); XCLAIM s g b 0 - → E-CLAIM-OPT(-); XCLAIM s g b 0 1-0 IDLE → E-CLAIM-OPT(IDLE)
        73. S3; G0; R(a,1) · XCLAIM s g b 0 9-0 LASTID 2-0 → []; XCLAIM s g b 0 9-0 LASTID 1-0 → []; XINFO GROUPS s → [["name", "g", "consumers", 2, "pending", 1, "last-delivered-id", "2-0", "entries-read", 1, "lag", 2]]
        74. S1; G0 · XCLAIM s g b 0 JUSTID → []; XINFO CONSUMERS s g → [["name", "b", "pending", 0, "idle", <ms>, "inactive", -1]]
        75. S3; G0; R(a,3); XDEL s 1-0 · XAUTOCLAIM s g b 0 - COUNT 2 → ["3-0", [["2-0", ["f", "2"]]], ["1-0"]]; XAUTOCLAIM s g b 0 3-0 COUNT 2 → ["0-0", [["3-0", ["f", "3"]]], []]; pending of g → [2-0 b×2, 3-0 b×2]
        76. S40; G0; R(a,40) · XAUTOCLAIM s g b 99999 0 COUNT 1 → ["11-0", [], []]; XAUTOCLAIM s g b 99999 11-0 COUNT 2 → ["31-0", [], []]
        77. S1; G0 · XAUTOCLAIM s g b 0 0 COUNT 0 → E-COUNT; XAUTOCLAIM s g b 0 0 COUNT x → E-COUNT; XAUTOCLAIM s g b 0 + → ["0-0", [], []]
    "#);
}

#[test]
fn groups_counters_and_lag() {
    run(r#"
        78. S2; XDEL s 2-0 · XGROUP CREATE s g $ → OK; XINFO GROUPS s → [["name", "g", "consumers", 0, "pending", 0, "last-delivered-id", "2-0", "entries-read", nil, "lag", 0]]
        79. S1 · XGROUP CREATE s g - → E-ID; XGROUP CREATE s g 0 → OK; XGROUP SETID s g - → OK; XGROUP SETID s g + → OK
        80. XGROUP CREATE nokey g x → E-XGROUP-KEY; XGROUP DESTROY nokey g → E-XGROUP-KEY; XGROUP CREATE nokey g x MKSTREAM → E-ID; EXISTS nokey → 0
        81. S3; G0; R(a,2) · XGROUP DELCONSUMER s g a → 2; XREADGROUP GROUP g b STREAMS s > → [["s", [["3-0", ["f", "3"]]]]]
        82. S3; XGROUP CREATE s g 2 ENTRIESREAD 50 · counters of g → entries-read 3, lag 0
        83. S3; G0; R(a,2); XGROUP SETID s g 2 · counters of g → entries-read nil, lag nil
        84. S5; G0; R(a,2); XDEL s 4-0 · counters of g → entries-read 2, lag nil; XREADGROUP GROUP g a COUNT 1 STREAMS s > → [["s", [["3-0", ["f", "3"]]]]]; counters of g → entries-read nil, lag nil; XREADGROUP GROUP g a COUNT 1 STREAMS s > → [["s", [["5-0", ["f", "5"]]]]]; counters of g → entries-read 5, lag 0
        85. S5; G0; R(a,3); XDEL s 2-0 · counters of g → entries-read 3, lag 2
        86. S5; G0; R(a,3); XDEL s 3-0 · counters of g → entries-read 3, lag nil
        87. S5; G0; R(a,1); XTRIM s MAXLEN 2 · counters of g → entries-read 1, lag 2; XREADGROUP GROUP g a COUNT 1 STREAMS s > → [["s", [["4-0", ["f", "4"]]]]]; counters of g → entries-read 4, lag 1
        88. S5; G0; R(a,2); XTRIM s MAXLEN 0 · counters of g → entries-read 2, lag 0; XINFO STREAM s: max-deleted-entry-id → "0-0"
        89. S5; XGROUP CREATE s g 1 · counters of g → entries-read nil, lag 4; XREADGROUP GROUP g a COUNT 1 STREAMS s > → [["s", [["2-0", ["f", "2"]]]]]; counters of g → entries-read nil, lag nil
        90. S5; XGROUP CREATE s g $ · counters of g → entries-read nil, lag 0; XADD s 6-0 f v → "6-0"; counters of g → entries-read nil, lag nil
        91. S3; G0; R(a,3); XTRIM s MAXLEN 1; XSETID s 3-0 ENTRIESADDED 1 · counters of g → entries-read 3, lag -2
    "#);
}

/// They are told as signed numbers, which go round; also where they are computed again from the log.
#[test]
fn entries_that_were_added_are_counted_as_redis_counts() {
    let directory = tempfile::tempdir().unwrap();
    let run = |commands: &[&str]| {
        let store = Store::open(directory.path()).unwrap();
        commands.iter().for_each(|command| _ = answer(&store, command));
        let reply = answer(&store, "XINFO GROUPS s");
        store.close().unwrap();
        reply
    };
    let counts = |group: &str, read: &str| format!(r#""{group}", "consumers", {read}, "lag", 1]"#);
    let created = run(&[
        "XADD s 1-0 f v",
        "XSETID s 1-0 ENTRIESADDED 9223372036854775807",
        "XADD s 2-0 f v",
        "XGROUP CREATE s g 1",
    ]);
    let g = counts("g", r#"0, "pending", 0, "last-delivered-id", "1-0", "entries-read", nil"#);
    assert!(created.contains(&g), "{created}");
    let read = run(&["XGROUP CREATE s h 0", "XREADGROUP GROUP h c COUNT 1 STREAMS s >"]);
    let h = counts("h", r#"1, "pending", 1, "last-delivered-id", "1-0", "entries-read", 9223372036854775807"#);
    assert!(read.contains(&g) && read.contains(&h), "{read}");
    assert_eq!(run(&[]), read);
}

#[test]
fn xsetid_trimming_and_xinfo() {
    run(r#"
        92. S3 · XSETID s 2-0 → E-SETID-TOP; XSETID s 9-0 → OK; XSETID s 3-0 → OK; XSETID s 3-0 ENTRIESADDED 2 → E-SETID-ADDED; XSETID nokey 1 → E-NOKEY
        93. S3; XDEL s 3-0 · XSETID s 2-0 → E-SETID-CURDEL; XSETID s 9-0 MAXDELETEDID 10-0 → E-SETID-NEWDEL; XSETID s 9-0 MAXDELETEDID 0-0 → OK; XINFO STREAM s: max-deleted-entry-id → "3-0"; XSETID s 9-0 MAXDELETEDID 1-0 → OK; XINFO STREAM s: max-deleted-entry-id → "1-0"
        94. S250 · XTRIM s MAXLEN ~ 201 → 0; XTRIM s MAXLEN ~ 150 → 100; XTRIM s MAXLEN ~ 1 LIMIT 50 → 0; XTRIM s MAXLEN 149 → 1
        95. S250 · XTRIM s MAXLEN ~ 145 DELREF → 105
        95. S250 · XTRIM s MAXLEN ~ 200 DELREF LIMIT 99 → 0; XTRIM s MAXLEN ~ 200 DELREF LIMIT 100 → 50
        95. S6; G0; R(a,6); XACK s g 1-0 2-0 3-0 4-0 5-0 6-0 · XTRIM s MAXLEN ~ 0 ACKED LIMIT 5 → 0; XTRIM s MAXLEN ~ 0 ACKED LIMIT 50 → 6
        96. S6 · XTRIM s MAXLEN 1 ACKED → 5; XRANGE s - + → [["6-0", ["f", "6"]]]
        96. S6; G0; R(a,4); XACK s g 1-0 3-0 · XTRIM s MAXLEN 1 ACKED → 2; XRANGE s - + → [["2-0", ["f", "2"]], ["4-0", ["f", "4"]], ["5-0", ["f", "5"]], ["6-0", ["f", "6"]]]
        97. S3 · XTRIM s LIMIT 0 → E-NO-STRATEGY; XTRIM s MAXLEN 1 NOMKSTREAM → E-SYNTAX; XTRIM nokey MAXLEN 1 → 0; XTRIM s MAXLEN = ~ 1 → E-INT
        98. XINFO STREAM nokey → E-NOKEY; XINFO GROUPS nokey → E-NOKEY; XLEN nokey → 0; XPENDING nokey g → E-NOGROUP-KEY(nokey,g)
    "#);
}

/// Case 105 has other IDs in the reference, which are so old that what is recorded of them is forgotten within a second.
#[test]
fn idempotent_production() {
    run(r#"
        99. S1 · XADD s IDMP p i 5-5 f v → E-IDMP-STAR; XADD s IDMP p i 5-* f v → E-IDMP-STAR; XADD s IDMP p "" * f v → E-IDMP-IID
        100. XADD s 99999999999999-0 f v; XADD s IDMP p i * f v · XADD s MAXLEN 1 IDMP p i * g w → "99999999999999-1"; XLEN s → 2; XINFO STREAM s: iids-duplicates → 1
        101. XADD s 99999999999999-0 f v; XADD s IDMP p i * f v; XDEL s 99999999999999-1 · XADD s IDMP p i * f v → "99999999999999-1"; XADD s IDMP q i * f v → "99999999999999-2"
        102. XADD s 99999999999999-0 f v; XADD s IDMPAUTO p * a 1 b 2 · XADD s IDMPAUTO p * b 2 a 1 → "99999999999999-1"; XADD s IDMPAUTO p * a 1 b 2 b 2 → "99999999999999-2"
        103. XADD s 99999999999999-0 f v; XADD s IDMP p i * f v · XCFGSET s IDMP-MAXSIZE 100 → OK; XINFO STREAM s: iids-tracked → 1; XCFGSET s IDMP-MAXSIZE 99 → OK; XINFO STREAM s: iids-tracked → 0; XINFO STREAM s: iids-added → 1
        104. XADD s 99999999999999-0 f v; XCFGSET s IDMP-MAXSIZE 2; XADD s IDMP p a * f v; XADD s IDMP p b * f v; XADD s IDMP p a * f v; XADD s IDMP p c * f v · XADD s IDMP p a * f v → "99999999999999-4"
        105. XADD s 99999999999999-1 f v · XIDMPRECORD s p i 99999999999999-1 → OK; XIDMPRECORD s p i 99999999999999-1 → OK; XIDMPRECORD s p i 99999999999999-2 → E-REC-MSG; XADD s 99999999999999-2 f v → "99999999999999-2"; XIDMPRECORD s p i 99999999999999-2 → E-REC-CONFLICT
    "#);
}

#[test]
fn other_key_commands() {
    run(r#"
        106. S2 · COPY s t → 1; XDEL t 1-0 → 1; XLEN s → 2; XLEN t → 1; TYPE t → stream
        106. S2; G0; R(a,2) · COPY s t → 1; XACK t g 1-0 → 1; pending of g → [1-0 a×1, 2-0 a×1]; TYPE t → stream
        107. S2; G0 · DEL s → 1; XADD s 1-0 f v → "1-0"; XINFO GROUPS s → []
    "#);
}

/// U1 to U14. These commands are newer than the server on which the cases above were run, so what is expected here is what
/// the reference took from documentation, and not what a server was seen to answer.
#[test]
fn releasing_as_documented_but_never_executed_on_a_server() {
    run(r#"
        U1. S1; G0; R(a,1) · XNACK s g SILENT IDS 1 1-0 → 1; XPENDING s g - + 9 → [["1-0", "", -1, 0]]
        U2. S1; G0; R(a,1) · XNACK s g FAIL IDS 1 1-0 → 1; pending of g → [1-0 ×1]
        U2. S1; G0; R(a,1) · XNACK s g FATAL IDS 1 1-0 → 1; pending of g → [1-0 ×9223372036854775807]
        U3. S1; G0; R(a,1); XCLAIM s g a 0 1-0 RETRYCOUNT 0 · XNACK s g SILENT IDS 1 1-0 → 1; pending of g → [1-0 ×0]
        U4. S2; G0; R(a,2) · XNACK s g FAIL IDS 2 1-0 1-0 → 2; pending of g → [1-0 ×1, 2-0 a×1]
        U4. S2; G0; R(a,2) · XNACK s g FAIL IDS 3 1-0 2-0 1-0 → 3; XREADGROUP GROUP g b COUNT 1 CLAIM 5 STREAMS s > → [["s", [["2-0", ["f", "2"], <ms>, 1]]]]
        U5. S1; G0 · XNACK s g FAIL IDS 1 9-9 → 0; XNACK s g FAIL IDS 1 9-9 FORCE → 0; pending of g → []
        U6. S1; G0 · XNACK s g FAIL IDS 1 1-0 FORCE → 1; pending of g → [1-0 ×0]; counters of g → entries-read nil, lag 1
        U6. S1; G0 · XNACK s g FATAL IDS 1 1-0 FORCE → 1; pending of g → [1-0 ×9223372036854775807]
        U6. S1; G0 · XNACK s g FAIL IDS 1 1-0 FORCE RETRYCOUNT 7 → 1; pending of g → [1-0 ×7]
        U7. S3; G0; R(a,3); XNACK s g FAIL IDS 3 1-0 2-0 3-0; XNACK s g FAIL IDS 1 1-0 · XREADGROUP GROUP g b COUNT 1 CLAIM 5 STREAMS s > → [["s", [["2-0", ["f", "2"], <ms>, 1]]]]; XREADGROUP GROUP g b COUNT 1 CLAIM 5 STREAMS s > → [["s", [["3-0", ["f", "3"], <ms>, 1]]]]; XREADGROUP GROUP g b COUNT 1 CLAIM 5 STREAMS s > → [["s", [["1-0", ["f", "1"], <ms>, 1]]]]
        U8. S1; G0; R(a,1); XNACK s g FAIL IDS 1 1-0 · XCLAIM s g b 99999 1-0 → [["1-0", ["f", "1"]]]; pending of g → [1-0 b×2]
        U8. S1; G0; R(a,1); XNACK s g FAIL IDS 1 1-0 · XAUTOCLAIM s g b 99999 0 → ["0-0", [["1-0", ["f", "1"]]], []]; pending of g → [1-0 b×2]
        U9. S2; G0; R(a,2); XNACK s g FAIL IDS 1 1-0 · XREADGROUP GROUP g a STREAMS s 0 → [["s", [["2-0", ["f", "2"]]]]]; pending of g → [1-0 ×1, 2-0 a×2]
        U10. S2; G0; R(a,2); XNACK s g FAIL IDS 1 1-0 · XGROUP DELCONSUMER s g a → 1; pending of g → [1-0 ×1]; XCLAIM s g b 99999 1-0 → [["1-0", ["f", "1"]]]
        U12. S1; G0; R(a,1); XNACK s g FAIL IDS 1 1-0; XDEL s 1-0 · pending of g → [1-0 ×1]; XCLAIM s g b 0 1-0 → []; pending of g → []
        U12. S1; G0; R(a,1); XNACK s g FAIL IDS 1 1-0; XDEL s 1-0 · XAUTOCLAIM s g b 0 0 → ["0-0", [], ["1-0"]]; pending of g → []
        U13. S1; G0 · XNACK s g FAIL IDS 1 1-0 2-0 → E-NACK-OPT(2-0); XNACK s g FAIL FORCE RETRYCOUNT 5 → E-NACK-IDS; XNACK s g NOPE IDS 1 1-0 → E-NACK-MODE
        U14. S1; G0; R(a,1); XNACK s g FATAL IDS 1 1-0 · XCLAIM s g b 0 1-0 → [["1-0", ["f", "1"]]]; pending of g → [1-0 b×9223372036854775807]
        U14. S1; G0; R(a,1); XNACK s g FATAL IDS 1 1-0 · XREADGROUP GROUP g b CLAIM 0 STREAMS s > → [["s", [["1-0", ["f", "1"], <ms>, 9223372036854775807]]]]; XREADGROUP GROUP g b STREAMS s 0 → [["s", [["1-0", ["f", "1"]]]]]; pending of g → [1-0 b×9223372036854775807]
    "#);
}

/// Section 13, where it says more than the numbered cases. Not executed on a server either.
#[test]
fn what_released_entries_are_to_other_commands() {
    run(r#"
        NCK-5. S2; G0; R(a,2); XNACK s g FAIL IDS 1 1-0 · XPENDING s g → [2, "1-0", "2-0", [["a", "1"]]]; XPENDING s g IDLE 99999 - + 9 → [["1-0", "", -1, 1]]; XPENDING s g - + 9 a → [["2-0", "a", <ms>, 1]]
        NCK-5. S1; G0; R(a,1); XNACK s g FAIL IDS 1 1-0 · XPENDING s g → [1, "1-0", "1-0", []]; XINFO CONSUMERS s g → [["name", "a", "pending", 0, "idle", <ms>, "inactive", <ms>]]
        NCK-6. S2; G0; R(a,2); XNACK s g FAIL IDS 2 1-0 2-0 · XDELEX s ACKED IDS 1 1-0 → [2]; XACKDEL s g IDS 1 1-0 → [1]; XACK s g 2-0 → 1; pending of g → []; XLEN s → 1
        NCK-6. S2; G0; R(a,2); XNACK s g FAIL IDS 2 1-0 2-0 · XDELEX s DELREF IDS 1 1-0 → [1]; pending of g → [2-0 ×1]; XGROUP DESTROY s g → 1
        NCK-7. S1; G0; R(a,1) · XNACK s g FAIL IDS 1 1-0 → 1; XGROUP CREATECONSUMER s g a → 0; XGROUP CREATECONSUMER s g "" → 1; XPENDING s g - + 9 "" → []
        NCK-4. S2; G0 · XNACK s g SILENT IDS 1 2-0 FORCE → 1; XREADGROUP GROUP g a STREAMS s > → [["s", [["1-0", ["f", "1"]], ["2-0", ["f", "2"]]]]]; pending of g → [1-0 a×1, 2-0 a×1]
        NCK-1. S1; G0 · xnack s g fail ids 1 1-0 retrycount 3 force → 1; pending of g → [1-0 ×3]; XNACK s g FAIL FORCE RETRYCOUNT 4 IDS 1 1-0 → 1; pending of g → [1-0 ×4]
        CLM-1. S4; G0; R(a,3); XNACK s g FAIL IDS 1 3-0 · XREADGROUP GROUP g b CLAIM 0 STREAMS s > → [["s", [["3-0", ["f", "3"], <ms>, 1], ["1-0", ["f", "1"], <ms>, 1], ["2-0", ["f", "2"], <ms>, 1], ["4-0", ["f", "4"], 0, 0]]]]
    "#);
}

/// READ-3: under a name that no stream can have there is nothing.
#[test]
fn reading_under_a_name_that_is_too_long_finds_nothing() {
    let store = Store::in_memory();
    let long = "n".repeat(streamlog::NAME_LEN_MAX + 1);
    answer(&store, "XADD s 1-0 f v");
    assert_eq!(answer(&store, &format!("XREAD STREAMS {long} 0")), "*nil");
    assert_eq!(answer(&store, &format!("XREAD BLOCK 1 STREAMS {long} $")), "*nil");
    assert_eq!(answer(&store, &format!("XREAD STREAMS {long} s 0 0")), r#"[["s", [["1-0", ["f", "v"]]]]]"#);
    assert!(answer(&store, &format!("XREAD STREAMS {long} x")).contains("Invalid stream ID"));
}
