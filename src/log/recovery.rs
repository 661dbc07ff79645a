//! Torn or damaged: what the end of a file means.
//!
//! A scan ends where no valid frame follows. If the file was known to be synced beyond that point, bytes have changed
//! or gone that must not, and that is damage. Without such a witness it is an append that a crash cut short, of which
//! nobody was told that it is done. A seal is no witness: it is synced together with the frames before it, and may be
//! there without them. What proves a segment complete is its successor.
//!
//! There is one blind spot: nothing after the last synced frame of a file that was not closed tells of it. Damage to
//! that one frame looks as if it had been torn.

/// What is known about the end of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Where the valid frames end.
    pub end: u64,
    /// Something that is not zero follows.
    pub remains: bool,
    /// The valid frames end with a seal.
    pub sealed: bool,
    /// The highest watermark of any valid frame, before or behind the end.
    pub watermark: u64,
    /// What the superblock says of this file.
    pub mark: u64,
    /// A synced change in the journal, or entry in the log, builds on something behind the end.
    pub built_upon: bool,
}

/// What the end of a file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is complete: appending can go on there, or it is sealed.
    Whole,
    /// Something was being appended when a crash came: it is dropped.
    Torn,
    /// Something that was synced is missing or changed, up to this offset at least.
    Damaged { synced: u64 },
}

/// Judges the end of a file.
pub fn judge(evidence: &Evidence) -> Verdict {
    let synced = evidence.watermark.max(evidence.mark);
    if synced > evidence.end || evidence.built_upon {
        return Verdict::Damaged { synced: synced.max(evidence.end) };
    }
    match evidence.remains && !evidence.sealed {
        true => Verdict::Torn,
        false => Verdict::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_of_evidence() {
        let end = 100;
        for bits in 0..8u32 {
            let flag = |bit: u32| bits & (1 << bit) != 0;
            let (remains, sealed, built_upon) = (flag(0), flag(1), flag(2));
            for watermark in [0, 99, 100, 101] {
                for mark in [0, 99, 100, 101] {
                    let evidence = Evidence { end, remains, sealed, watermark, mark, built_upon };
                    let witness = watermark > end || mark > end || built_upon;
                    let verdict = judge(&evidence);
                    match verdict {
                        Verdict::Damaged { synced } => assert!(witness && synced >= end, "{evidence:?}"),
                        Verdict::Torn => assert!(!witness && remains && !sealed, "{evidence:?}"),
                        Verdict::Whole => assert!(!witness && (!remains || sealed), "{evidence:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn a_watermark_at_the_end_is_no_witness_against_it() {
        let evidence = Evidence { end: 100, watermark: 100, mark: 100, remains: true, ..Evidence::default() };
        assert_eq!(judge(&evidence), Verdict::Torn);
    }
}
