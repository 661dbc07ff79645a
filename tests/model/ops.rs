//! Random operations. They name IDs relative to what is there, so that a shorter sequence still makes sense.

use proptest::prelude::*;
use streamlog::{References, Release};

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
    /// The n-th of those that are pending in any group.
    Pending(u16),
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
    pub references: References,
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
    Group(Name, GroupOp),
    ReadGroup {
        from: Vec<(Name, GroupFrom)>,
        by: (Member, Member),
        count: u8,
        max_count: u8,
        max_size: u16,
        no_ack: bool,
    },
    DeleteWith {
        of: Name,
        ids: Vec<Pick>,
        references: References,
    },
    Produce {
        to: Name,
        producer: Member,
        /// By its content if there is none.
        key: Option<u8>,
        size: Size,
        trim: Option<TrimBy>,
    },
    Configure {
        of: Name,
        duration_s: Option<u8>,
        max_len: Option<u8>,
    },
    Remember {
        of: Name,
        producer: Member,
        key: u8,
        id: Pick,
    },
    Sync,
    Reopen,
    /// The process is killed.
    Kill,
    /// The power fails; which image of how many.
    PowerLoss(u64),
}

/// Which group, consumer or producer.
pub type Member = u8;

#[derive(Clone, Copy, Debug)]
pub enum At {
    Start,
    End,
    After(Pick),
}

#[derive(Clone, Copy, Debug)]
pub enum GroupFrom {
    New,
    NewOrIdle(u16),
    History(Pick),
}

#[derive(Clone, Copy, Debug)]
pub enum DeliveredAt {
    Now,
    Ago(u16),
    Time(u16),
}

/// What is done to one group of a stream.
#[derive(Clone, Debug)]
pub enum GroupOp {
    Create {
        group: Member,
        at: At,
        read: Option<u16>,
        create_stream: bool,
    },
    SetPosition {
        group: Member,
        at: At,
        read: Option<u16>,
    },
    Destroy {
        group: Member,
    },
    CreateConsumer {
        by: (Member, Member),
    },
    DeleteConsumer {
        by: (Member, Member),
    },
    Acknowledge {
        group: Member,
        ids: Vec<Pick>,
    },
    AcknowledgeAndDelete {
        group: Member,
        ids: Vec<Pick>,
        references: References,
    },
    Release {
        group: Member,
        ids: Vec<Pick>,
        how: Release,
        count: Option<u16>,
        force: bool,
    },
    Claim {
        by: (Member, Member),
        min_idle: u16,
        ids: Vec<Pick>,
        delivered: DeliveredAt,
        count: Option<u16>,
        flags: (bool, bool),
        last_id: Option<Pick>,
    },
    AutoClaim {
        by: (Member, Member),
        min_idle: u16,
        start: Pick,
        count: u8,
        ids_only: bool,
    },
    Pending {
        by: (Member, Member),
        ids: Option<(Pick, Pick)>,
        count: u8,
        own: bool,
        min_idle: u16,
    },
}

fn member() -> impl Strategy<Value = Member> {
    prop_oneof![6 => Just(0u8), 3 => Just(1u8), 1 => Just(2u8)]
}

fn at() -> impl Strategy<Value = At> {
    prop_oneof![4 => Just(At::Start), 1 => Just(At::End), 2 => pick().prop_map(At::After)]
}

/// Mostly of what is pending.
fn pending() -> impl Strategy<Value = Pick> {
    prop_oneof![4 => any::<u16>().prop_map(Pick::Pending), 1 => pick()]
}

fn some_pending() -> impl Strategy<Value = Vec<Pick>> {
    prop::collection::vec(pending(), 0..8)
}

fn references() -> impl Strategy<Value = References> {
    prop_oneof![Just(References::Keep), Just(References::Delete), Just(References::Acknowledged)]
}

fn idle() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0u16), 0u16..3000]
}

fn few() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![3 => Just(None), 1 => (0u16..60).prop_map(Some)]
}

fn group_op() -> impl Strategy<Value = GroupOp> {
    let how = prop_oneof![Just(Release::Silent), Just(Release::Failed), Just(Release::Fatal)];
    let delivered = prop_oneof![
        2 => Just(DeliveredAt::Now),
        1 => any::<u16>().prop_map(DeliveredAt::Ago),
        1 => any::<u16>().prop_map(DeliveredAt::Time),
    ];
    let last_id = prop_oneof![4 => Just(None), 1 => pick().prop_map(Some)];
    let range = prop_oneof![1 => Just(None), 4 => (pick(), pick()).prop_map(Some)];
    let by = || (member(), member());
    prop_oneof![
        6 => (member(), at(), few(), any::<bool>())
            .prop_map(|(group, at, read, create_stream)| GroupOp::Create { group, at, read, create_stream }),
        2 => (member(), at(), few()).prop_map(|(group, at, read)| GroupOp::SetPosition { group, at, read }),
        1 => member().prop_map(|group| GroupOp::Destroy { group }),
        1 => by().prop_map(|by| GroupOp::CreateConsumer { by }),
        1 => by().prop_map(|by| GroupOp::DeleteConsumer { by }),
        6 => (member(), some_pending()).prop_map(|(group, ids)| GroupOp::Acknowledge { group, ids }),
        3 => (member(), some_pending(), references())
            .prop_map(|(group, ids, references)| GroupOp::AcknowledgeAndDelete { group, ids, references }),
        4 => (member(), some_pending(), how, few(), any::<bool>())
            .prop_map(|(group, ids, how, count, force)| GroupOp::Release { group, ids, how, count, force }),
        6 => (by(), idle(), some_pending(), delivered, few(), any::<(bool, bool)>(), last_id).prop_map(
            |(by, min_idle, ids, delivered, count, flags, last_id)| {
                GroupOp::Claim { by, min_idle, ids, delivered, count, flags, last_id }
            }
        ),
        4 => (by(), idle(), pending(), 1u8..6, any::<bool>()).prop_map(|(by, min_idle, start, count, ids_only)| {
            GroupOp::AutoClaim { by, min_idle, start, count, ids_only }
        }),
        2 => (by(), range, 0u8..6, any::<bool>(), idle())
            .prop_map(|(by, ids, count, own, min_idle)| GroupOp::Pending { by, ids, count, own, min_idle }),
    ]
}

fn group_from() -> impl Strategy<Value = GroupFrom> {
    prop_oneof![
        4 => Just(GroupFrom::New),
        3 => idle().prop_map(GroupFrom::NewOrIdle),
        2 => pending().prop_map(GroupFrom::History),
        1 => Just(GroupFrom::History(Pick::Zero)),
    ]
}

fn read_group() -> impl Strategy<Value = Op> {
    let from = prop_oneof![
        3 => (name(), group_from()).prop_map(|from| vec![from]),
        1 => prop::collection::vec((name(), group_from()), 1..4),
    ];
    let limits = (prop_oneof![Just(0u8), 1u8..12], prop_oneof![3 => Just(0u8), 1 => 1u8..8]);
    (from, (member(), member()), limits, prop_oneof![3 => Just(0u16), 1 => 1u16..400], prop::bool::weighted(0.2))
        .prop_map(|(from, by, (count, max_count), max_size, no_ack)| Op::ReadGroup {
            from,
            by,
            count,
            max_count,
            max_size,
            no_ack,
        })
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
    let kept = prop_oneof![3 => Just(References::Keep), 2 => references()];
    (to, any::<bool>(), prop_oneof![3 => Just(None), 1 => (0u16..250).prop_map(Some)], kept)
        .prop_map(|(to, approximate, limit, references)| TrimBy { to, approximate, limit, references })
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
    let produced_trim = prop_oneof![6 => Just(None), 1 => trim_by().prop_map(Some)];
    let groups = prop_oneof![
        20 => (name(), group_op()).prop_map(|(of, op)| Op::Group(of, op)),
        16 => read_group(),
        3 => (name(), some_pending(), references())
            .prop_map(|(of, ids, references)| Op::DeleteWith { of, ids, references }),
        8 => (name(), member(), prop_oneof![1 => Just(None), 3 => (0u8..8).prop_map(Some)], size(), produced_trim)
            .prop_map(|(to, producer, key, size, trim)| Op::Produce { to, producer, key, size, trim }),
        1 => (name(), prop::option::of(1u8..20), prop::option::of(1u8..6))
            .prop_map(|(of, duration_s, max_len)| Op::Configure { of, duration_s, max_len }),
        2 => (name(), member(), 0u8..8, pick())
            .prop_map(|(of, producer, key, id)| Op::Remember { of, producer, key, id }),
    ];
    let streams = prop_oneof![
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
    ];
    prop_oneof![5 => streams, 3 => groups]
}
