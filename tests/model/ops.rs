//! Random operations. They name IDs relative to what is there, so that a shorter sequence still makes sense.

use proptest::prelude::*;

/// An ID, chosen when its turn comes.
#[derive(Clone, Copy, Debug)]
pub enum Pick {
    Zero,
    Max,
    /// That of the n-th entry, modulo their number, and so far from it.
    Near(u16, i8),
    /// So far from the last ID.
    Last(i8),
    /// That of the n-th entry there ever was.
    Past(u16),
    Exactly(u64, u64),
}

#[derive(Clone, Copy, Debug)]
pub enum Id {
    Auto,
    Sequence(u64),
    /// In the millisecond of the last ID, or so far from it.
    SequenceNear(i8),
    Exact(Pick),
}

#[derive(Clone, Copy, Debug)]
pub enum Size {
    Small(u8),
    Odd(u8),
    Large(u16),
}

#[derive(Clone, Copy, Debug)]
pub enum To {
    Len(u16),
    Before(Pick),
}

#[derive(Clone, Copy, Debug)]
pub struct TrimBy {
    pub to: To,
    pub approximate: bool,
    pub limit: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
pub enum Limit {
    None,
    Included(Pick),
    Excluded(Pick),
}

#[derive(Clone, Copy, Debug)]
pub enum From {
    After(Pick),
    End,
    Last,
}

pub type Name = u8;

#[derive(Clone, Debug)]
pub enum Op {
    Clock(u64),
    Add {
        to: Name,
        id: Id,
        size: Size,
        trim: Option<TrimBy>,
        no_create: bool,
    },
    AddMany {
        to: Name,
        count: u8,
        size: Size,
    },
    AddBatch {
        to: Name,
        ids: Vec<Id>,
        size: Size,
    },
    Range {
        of: Name,
        lower: Limit,
        upper: Limit,
        fronts: Vec<bool>,
    },
    Get {
        of: Name,
        id: Pick,
    },
    Ends {
        of: Name,
    },
    Read {
        from: Vec<(Name, From)>,
        count: u8,
        max_count: u8,
        max_size: u16,
    },
    Trim {
        of: Name,
        by: TrimBy,
    },
    Delete {
        of: Name,
        ids: Vec<Pick>,
    },
    DeleteRun {
        of: Name,
        from: u16,
        count: u8,
    },
    SetId {
        of: Name,
        id: Pick,
        added: Option<u16>,
        max_deleted: Option<Pick>,
    },
    /// Deletes the newest entries, forgets that they were, and sets the last ID back to before them.
    SetBack {
        of: Name,
        count: u8,
    },
    Info {
        of: Name,
    },
    Names,
    Create {
        name: Name,
    },
    DeleteStreams {
        names: Vec<Name>,
    },
    Rename {
        from: Name,
        to: Name,
    },
    RenameNew {
        from: Name,
        to: Name,
    },
    Copy {
        from: Name,
        to: Name,
        replace: bool,
    },
    Sync,
    Reopen,
    /// The process is killed.
    Kill,
    /// The power fails; which image of how many.
    PowerLoss(u64),
}

fn name() -> impl Strategy<Value = Name> {
    prop_oneof![6 => Just(0u8), 2 => Just(1u8), 1 => Just(2u8)]
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        1 => Just(Pick::Zero),
        1 => Just(Pick::Max),
        8 => (any::<u16>(), -1i8..=1).prop_map(|(at, by)| Pick::Near(at, by)),
        4 => (-3i8..=3).prop_map(Pick::Last),
        4 => any::<u16>().prop_map(Pick::Past),
        2 => (0u64..3000, 0u64..3).prop_map(|(ms, seq)| Pick::Exactly(ms, seq)),
    ]
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![
        8 => Just(Id::Auto),
        2 => (0u64..3000).prop_map(Id::Sequence),
        3 => (-1i8..=5).prop_map(Id::SequenceNear),
        3 => (1i8..=30).prop_map(|by| Id::Exact(Pick::Last(by))),
        1 => exact().prop_map(Id::Exact),
    ]
}

/// Not the maximum ID, or only rarely: nothing can be added after it.
fn exact() -> impl Strategy<Value = Pick> {
    pick().prop_filter("the maximum ID ends it all", |pick| !matches!(pick, Pick::Max))
}

fn size() -> impl Strategy<Value = Size> {
    prop_oneof![
        12 => (0u8..60).prop_map(Size::Small),
        4 => any::<u8>().prop_map(Size::Odd),
        1 => (300u16..12_000).prop_map(Size::Large),
    ]
}

fn trim_by() -> impl Strategy<Value = TrimBy> {
    let to = prop_oneof![(0u16..200).prop_map(To::Len), (0u16..5).prop_map(To::Len), pick().prop_map(To::Before),];
    (to, any::<bool>(), prop_oneof![3 => Just(None), 1 => (0u16..250).prop_map(Some)])
        .prop_map(|(to, approximate, limit)| TrimBy { to, approximate, limit })
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        1 => Just(Limit::None),
        2 => pick().prop_map(Limit::Included),
        2 => pick().prop_map(Limit::Excluded),
    ]
}

fn from() -> impl Strategy<Value = From> {
    prop_oneof![4 => pick().prop_map(From::After), 1 => Just(From::End), 1 => Just(From::Last)]
}

pub fn any_op() -> impl Strategy<Value = Op> {
    let trimming = prop_oneof![4 => Just(None), 1 => trim_by().prop_map(Some)];
    let added = prop_oneof![2 => Just(None), 1 => (0u16..400).prop_map(Some)];
    let max_deleted = prop_oneof![2 => Just(None), 1 => pick().prop_map(Some)];
    prop_oneof![
        3 => (0u64..20_000).prop_map(Op::Clock),
        16 => (name(), id(), size(), trimming, prop::bool::weighted(0.1))
            .prop_map(|(to, id, size, trim, no_create)| Op::Add { to, id, size, trim, no_create }),
        5 => (name(), 1u8..120, size()).prop_map(|(to, count, size)| Op::AddMany { to, count, size }),
        4 => (name(), prop::collection::vec(id(), 0..40), size())
            .prop_map(|(to, ids, size)| Op::AddBatch { to, ids, size }),
        8 => (name(), limit(), limit(), prop::collection::vec(any::<bool>(), 1..8))
            .prop_map(|(of, lower, upper, fronts)| Op::Range { of, lower, upper, fronts }),
        2 => (name(), pick()).prop_map(|(of, id)| Op::Get { of, id }),
        1 => name().prop_map(|of| Op::Ends { of }),
        3 => (prop::collection::vec((name(), from()), 1..4), 0u8..5, 0u8..8, prop_oneof![Just(0), 0u16..400])
            .prop_map(|(from, count, max_count, max_size)| Op::Read { from, count, max_count, max_size }),
        4 => (name(), trim_by()).prop_map(|(of, by)| Op::Trim { of, by }),
        6 => (name(), prop::collection::vec(pick(), 0..6)).prop_map(|(of, ids)| Op::Delete { of, ids }),
        3 => (name(), any::<u16>(), any::<u8>()).prop_map(|(of, from, count)| Op::DeleteRun { of, from, count }),
        4 => (name(), pick(), added, max_deleted)
            .prop_map(|(of, id, added, max_deleted)| Op::SetId { of, id, added, max_deleted }),
        2 => (name(), 1u8..60).prop_map(|(of, count)| Op::SetBack { of, count }),
        1 => name().prop_map(|of| Op::Info { of }),
        1 => Just(Op::Names),
        1 => name().prop_map(|name| Op::Create { name }),
        1 => prop::collection::vec(name(), 1..3).prop_map(|names| Op::DeleteStreams { names }),
        1 => (name(), name()).prop_map(|(from, to)| Op::Rename { from, to }),
        1 => (name(), name()).prop_map(|(from, to)| Op::RenameNew { from, to }),
        2 => (name(), name(), any::<bool>()).prop_map(|(from, to, replace)| Op::Copy { from, to, replace }),
        1 => Just(Op::Sync),
        3 => Just(Op::Reopen),
        2 => Just(Op::Kill),
        2 => any::<u64>().prop_map(Op::PowerLoss),
    ]
}
