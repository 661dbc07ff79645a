//! Verbs for the tests of recovery: operations, what they should lead to, and what a store holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use streamlog::inspect::Inspection;
use streamlog::sim::{Image, SimDisk};
use streamlog::{
    AddOptions, Durability, GroupOptions, NewId, Options, Position, Production, Result, SetId, Store, StreamId, Trim,
};

/// The fields of an entry.
pub type Fields = Arc<Vec<(Vec<u8>, Vec<u8>)>>;

/// What users can see of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub entries: Vec<(StreamId, Fields)>,
    pub entries_added: u64,
    pub max_deleted: StreamId,
    pub last_id: StreamId,
    /// The group [`GROUP`].
    pub group: Option<Group>,
    pub made: Made,
}

/// What users can see of a group, but for its lag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub position: StreamId,
    /// Owner, delivery time and count.
    pub pending: BTreeMap<StreamId, (Vec<u8>, u64, u64)>,
    /// When they were seen and active.
    pub consumers: BTreeMap<Vec<u8>, (u64, Option<u64>)>,
}

/// What users can see of the only production there is.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// Whether it is remembered; of which entry, only the model knows.
    pub id: Option<StreamId>,
    pub count: u64,
    pub duplicates: u64,
}

impl PartialEq for Made {
    fn eq(&self, other: &Self) -> bool {
        self.seen() == other.seen()
    }
}

impl Eq for Made {}

impl Made {
    fn seen(&self) -> (bool, u64, u64) {
        (self.id.is_some(), self.count, self.duplicates)
    }
}

impl Group {
    fn enter(&mut self, consumer: &[u8], now: u64) {
        self.consumers.entry(consumer.to_vec()).or_default().0 = now;
    }

    fn give(&mut self, id: StreamId, consumer: &[u8], now: u64, count: u64) {
        self.pending.insert(id, (consumer.to_vec(), now, count));
        self.consumers.entry(consumer.to_vec()).or_default().1 = Some(now);
    }
}

impl State {
    const EMPTY: Self = Self {
        entries: Vec::new(),
        entries_added: 0,
        max_deleted: StreamId::MIN,
        last_id: StreamId::MIN,
        group: None,
        made: Made { id: None, count: 0, duplicates: 0 },
    };

    /// Gives new entries to a consumer of the group; returns which.
    pub fn deliver(&mut self, consumer: &[u8], count: usize, now: u64) -> Vec<StreamId> {
        let Some(group) = &mut self.group else { return Vec::new() };
        group.enter(consumer, now);
        let position = group.position;
        let new = self.entries.iter().map(|(id, _)| *id).filter(|id| *id > position);
        let ids: Vec<StreamId> = new.take(count).collect();
        for id in &ids {
            group.give(*id, consumer, now, 1);
            group.position = *id;
        }
        ids
    }

    /// Lets a consumer take over all that is pending; returns which entries, and which were gone.
    pub fn claim_all(&mut self, consumer: &[u8], now: u64) -> (Vec<StreamId>, Vec<StreamId>) {
        let Some(group) = &mut self.group else { return Default::default() };
        group.enter(consumer, now);
        let exists = |id: &StreamId| self.entries.iter().any(|(entry, _)| entry == id);
        let (ids, gone): (Vec<StreamId>, Vec<StreamId>) = group.pending.keys().copied().partition(exists);
        for id in &gone {
            group.pending.remove(id);
        }
        for id in &ids {
            let count = group.pending[id].2;
            group.give(*id, consumer, now, count + 1);
        }
        (ids, gone)
    }

    /// But for when consumers were seen, and the number of duplicates: nobody waits until these are durable.
    pub fn without_notes(&self) -> Self {
        let mut without = self.clone();
        without.group.iter_mut().flat_map(|group| group.consumers.values_mut()).for_each(|it| it.0 = 0);
        without.made.duplicates = 0;
        without
    }

    fn newest(&self) -> StreamId {
        self.entries.last().map_or(StreamId::MIN, |(id, _)| *id)
    }

    fn trim(&mut self, len: usize) -> u64 {
        let surplus = self.entries.len().saturating_sub(len);
        self.entries.drain(..surplus);
        surplus as u64
    }

    fn delete(&mut self, ids: &[StreamId]) {
        self.entries.retain(|(id, _)| !ids.contains(id));
        self.max_deleted = ids.iter().copied().max().unwrap_or(StreamId::MIN).max(self.max_deleted);
    }

    /// Whether the two are the same but for the last ID, which may be above that of the other.
    fn is_like(&self, other: &Self) -> bool {
        self.entries == other.entries
            && self.entries_added == other.entries_added
            && self.max_deleted == other.max_deleted
            && self.group == other.group
            && self.made == other.made
    }

    /// In a line.
    pub fn summary(&self) -> String {
        let ids: Vec<_> = self.entries.iter().map(|(id, _)| id.to_string()).collect();
        let Self { entries_added, max_deleted, last_id, group, made, .. } = self;
        format!(
            "[{}] added {entries_added}, max deleted {max_deleted}, last {last_id}, {group:?}, {made:?}",
            ids.join(" ")
        )
    }
}

/// What chooses where there is too much to choose from.
pub fn seed() -> u64 {
    let number = |text: String| match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    std::env::var("STREAMLOG_SEED").ok().and_then(number).unwrap_or(0x5eed)
}

/// The canonical text of all that is on a disk, by somebody who only looks at it.
pub fn dump(disk: &Arc<SimDisk>) -> std::result::Result<String, String> {
    let inspection = Inspection::open_simulated(disk).map_err(|error| error.to_string())?;
    let mut text = String::new();
    for name in inspection.names().map_err(|error| error.to_string())? {
        let each = |item| {
            text += &format!("{item}\n");
            Ok::<(), streamlog::Error>(())
        };
        inspection.dump_stream(&name, each).map_err(|error| error.to_string())?;
    }
    Ok(text)
}

/// What a store holds, by name.
pub type Contents = BTreeMap<Vec<u8>, State>;

/// Reads everything there is, from both ends.
pub fn contents(store: &Store) -> std::result::Result<Contents, String> {
    let names = store.names().map_err(|error| format!("names: {error}"))?;
    names.into_iter().map(|name| state(store, &name).map(|state| (name, state))).collect()
}

/// Reads everything there is in a stream, from both ends.
pub fn state(store: &Store, name: &[u8]) -> std::result::Result<State, String> {
    let wrap = |error: streamlog::Error| format!("{}: {error}", String::from_utf8_lossy(name));
    let stream = store.stream(name).map_err(wrap)?;
    let info = stream.info().map_err(wrap)?;
    let read = |entry: streamlog::Entry| {
        let fields = entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        (entry.id(), Arc::new(fields))
    };
    let entries: Vec<(StreamId, Fields)> =
        stream.range(..).map(|entry| entry.map(read)).collect::<Result<_>>().map_err(wrap)?;
    let mut back: Vec<(StreamId, Fields)> =
        stream.range(..).rev().map(|entry| entry.map(read)).collect::<Result<_>>().map_err(wrap)?;
    back.reverse();
    if back != entries {
        return Err(format!("reading backwards gives {} entries, forwards {}", back.len(), entries.len()));
    }
    let first = entries.first().map_or(StreamId::MIN, |(id, _)| *id);
    let last = entries.last().map(|(id, _)| *id);
    if info.len != entries.len() as u64
        || info.recorded_first_entry_id != first
        || info.last_entry.map(|entry| entry.id()) != last
    {
        return Err(format!("the info says {} entries from {}", info.len, info.recorded_first_entry_id));
    }
    let producers = info.producers;
    let made = Made {
        id: (producers.productions > 0).then_some(StreamId::MIN),
        count: producers.added,
        duplicates: producers.duplicates,
    };
    let mut groups = stream.group_details(usize::MAX).map_err(wrap)?.into_iter();
    let group = groups.find(|detail| detail.info.name == GROUP).map(|detail| Group {
        position: detail.info.last_delivered_id,
        pending: detail
            .pending
            .into_iter()
            .map(|entry| (entry.id, (entry.consumer.unwrap_or_default(), entry.delivery_time_ms, entry.delivery_count)))
            .collect(),
        consumers: detail
            .consumers
            .into_iter()
            .map(|(consumer, _)| (consumer.name, (consumer.seen_time_ms, consumer.active_time_ms)))
            .collect(),
    });
    Ok(State {
        entries,
        entries_added: info.entries_added,
        max_deleted: info.max_deleted_entry_id,
        last_id: info.last_generated_id,
        group,
        made,
    })
}

/// One operation of a history. All are about the stream [`A`] unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    AddSmall,
    /// With an explicit ID.
    AddExact,
    /// More than a sector.
    AddLarge,
    AddBatch,
    /// So much that only two go into a segment.
    AddHuge,
    /// With MAXLEN 2.
    AddTrim,
    /// To [`B`].
    AddOther,
    DeleteOldest,
    DeleteNewest,
    DeleteAll,
    /// To one entry.
    Trim,
    SetIdUp,
    /// As far as it goes.
    SetIdBack,
    DeleteStream,
    /// To [`B`].
    Rename,
    /// To [`B`].
    Copy,
    Sync,
    Reopen,
    /// [`GROUP`], from the start; creates the stream.
    CreateGroup,
    /// One entry to alice.
    Deliver,
    /// All that is new to bob.
    DeliverAll,
    /// The oldest that is pending.
    Acknowledge,
    /// All that is pending, by bob.
    ClaimAll,
    /// Always the same production.
    Produce,
    /// Makes the journal so long that it begins anew, as it does if that was done for the first time in it.
    Checkpoint,
}

/// Those of which all histories of up to three are tried: there is something of log, journal, groups and catalog in them.
pub const CHOSEN: [Op; 14] = [
    Op::AddSmall,
    Op::AddLarge,
    Op::AddHuge,
    Op::AddBatch,
    Op::CreateGroup,
    Op::Deliver,
    Op::Acknowledge,
    Op::ClaimAll,
    Op::DeleteOldest,
    Op::Trim,
    Op::DeleteStream,
    Op::Sync,
    Op::Checkpoint,
    Op::Reopen,
];

/// Those that concern groups and producers.
pub const OF_GROUPS: [Op; 6] =
    [Op::CreateGroup, Op::Deliver, Op::DeliverAll, Op::Acknowledge, Op::ClaimAll, Op::Produce];

/// All others.
pub const ALL: [Op; 18] = [
    Op::AddSmall,
    Op::AddExact,
    Op::AddLarge,
    Op::AddBatch,
    Op::AddHuge,
    Op::AddTrim,
    Op::AddOther,
    Op::DeleteOldest,
    Op::DeleteNewest,
    Op::DeleteAll,
    Op::Trim,
    Op::SetIdUp,
    Op::SetIdBack,
    Op::DeleteStream,
    Op::Rename,
    Op::Copy,
    Op::Sync,
    Op::Reopen,
];

pub const A: &[u8] = b"a";
pub const B: &[u8] = b"B%";
pub const GROUP: &[u8] = b"g";
const ALICE: &[u8] = b"alice";
const BOB: &[u8] = b"bob";
/// Who comes after a crash.
pub const ZOE: &[u8] = b"zoe";

/// A call, and what it should return.
#[derive(Clone, Debug)]
enum Call {
    Add {
        name: &'static [u8],
        wanted: Vec<(NewId, Fields)>,
        trim: Option<u64>,
        ids: Vec<StreamId>,
    },
    Delete {
        ids: Vec<StreamId>,
    },
    Trim {
        removed: u64,
    },
    SetId {
        set: SetId,
        there: bool,
    },
    DeleteStream {
        count: u64,
    },
    Rename {
        there: bool,
    },
    Copy {
        there: bool,
    },
    Sync,
    Reopen,
    CreateGroup {
        exists: bool,
    },
    /// `None` if there is no group.
    Deliver {
        consumer: &'static [u8],
        count: u64,
        ids: Option<Vec<StreamId>>,
    },
    Acknowledge {
        id: Option<StreamId>,
    },
    ClaimAll {
        ids: Option<(Vec<StreamId>, Vec<StreamId>)>,
    },
    Produce {
        fields: Fields,
        id: StreamId,
    },
    Checkpoint {
        there: bool,
    },
}

/// The life of a stream, from its creation, under whatever name.
#[derive(Clone, Debug)]
struct Life {
    /// The states it went through, in order, and for each how often the ID had been set back before.
    states: Vec<(State, usize)>,
    /// The first of them that may be found after a crash.
    durable: usize,
    /// How many of the last ones nobody waited for.
    notes: usize,
    /// The highest automatic ID that was returned before the ID was set back for the first time, the second…
    returned: Vec<StreamId>,
}

impl Life {
    fn begin(state: State) -> Self {
        Self { states: vec![(state, 0)], durable: 0, notes: 0, returned: vec![StreamId::MIN] }
    }

    fn now(&self) -> &State {
        &self.states[self.states.len() - 1].0
    }

    fn push(&mut self, state: State) {
        if state != *self.now() {
            let is_note = state.without_notes() == self.now().without_notes();
            self.notes = if is_note { self.notes + 1 } else { 0 };
        } else if self.notes > 0 {
            self.notes += 1;
        }
        self.states.push((state, self.returned.len() - 1));
    }
}

/// What a store should hold, and what it may hold after a crash.
#[derive(Clone, Debug)]
pub struct Model {
    level: Durability,
    lives: Vec<Life>,
    names: BTreeMap<&'static [u8], usize>,
    /// Operations so far.
    count: u64,
}

/// The clock at the first operation, in milliseconds.
const EPOCH_MS: u64 = 1_000_000;
/// The clock after a crash: it went back.
pub const NEXT_MS: u64 = EPOCH_MS / 2;
/// How much time goes by before each operation, in milliseconds.
const TICK_MS: u64 = 10;
/// How far the IDs after a crash may be ahead, in milliseconds.
pub const LEAD_MS: u64 = 5_000;

impl Model {
    pub fn new(level: Durability) -> Self {
        Self { level, lives: Vec::new(), names: BTreeMap::new(), count: 0 }
    }

    /// The same, with nothing known of how it came about.
    pub fn settled(mut self, level: Durability) -> Self {
        self.level = level;
        for life in &mut self.lives {
            let returned = life.returned.iter().copied().max().unwrap_or(StreamId::MIN);
            *life = Life::begin(life.now().clone());
            life.returned = vec![returned];
        }
        self
    }

    fn life(&self, name: &[u8]) -> Option<&Life> {
        self.names.get(name).map(|&at| &self.lives[at])
    }

    fn now(&self, name: &[u8]) -> Option<&State> {
        self.life(name).map(Life::now)
    }

    /// What it all comes to if there is no crash.
    pub fn contents(&self) -> Contents {
        self.names.iter().map(|(name, &at)| (name.to_vec(), self.lives[at].now().clone())).collect()
    }

    fn begin(&mut self, name: &'static [u8], state: State) {
        self.names.insert(name, self.lives.len());
        self.lives.push(Life::begin(state));
    }

    /// Lets a stream have a new state.
    fn put(&mut self, name: &'static [u8], state: State) {
        match self.names.get(name) {
            Some(&at) => self.lives[at].push(state),
            None => self.begin(name, state),
        }
    }

    fn add(&mut self, name: &'static [u8], wanted: Vec<(NewId, Fields)>, trim: Option<u64>) -> Call {
        let now_ms = EPOCH_MS + TICK_MS * self.count;
        let mut state = self.now(name).cloned().unwrap_or(State::EMPTY);
        let mut ids = Vec::new();
        for (id, fields) in &wanted {
            let id = match id {
                NewId::Exact(id) => *id,
                _ if now_ms > state.last_id.ms() => StreamId::new(now_ms, 0),
                _ => state.last_id.next().expect("the IDs of a test do not run out"),
            };
            ids.push(id);
            state.last_id = id;
            state.entries_added += 1;
            state.entries.push((id, fields.clone()));
        }
        trim.map(|len| state.trim(len as usize));
        self.put(name, state);
        if let (NewId::Auto, Some(&last)) = (wanted[0].0, ids.last()) {
            let at = self.names[name];
            let returned = self.lives[at].returned.last_mut().expect("never empty");
            *returned = last.max(*returned);
        }
        Call::Add { name, wanted, trim, ids }
    }

    fn deliver(&mut self, consumer: &'static [u8], count: usize, now_ms: u64) -> Call {
        let ids = self.now(A).filter(|state| state.group.is_some()).cloned().map(|mut state| {
            let ids = state.deliver(consumer, count, now_ms);
            self.put(A, state);
            ids
        });
        Call::Deliver { consumer, count: if count == 1 { 1 } else { 0 }, ids }
    }

    /// Takes an operation in, and says what is to be called.
    fn apply(&mut self, op: Op) -> Call {
        self.count += 1;
        let now_ms = EPOCH_MS + TICK_MS * self.count;
        let (count, auto) = (self.count, NewId::Auto);
        let fields = |len: usize, field: &str| -> Fields {
            let value = format!("{count}-{field}-").into_bytes().into_iter().cycle().take(len).collect();
            Arc::new(vec![(field.as_bytes().to_vec(), value)])
        };
        let call = match op {
            Op::AddSmall => self.add(A, vec![(auto, fields(20, "field"))], None),
            Op::AddExact => {
                let last = self.now(A).map_or(StreamId::MIN, |state| state.last_id);
                let id = StreamId::new(now_ms.max(last.ms()) + 1, 7);
                self.add(A, vec![(NewId::Exact(id), fields(9, "exact"))], None)
            }
            Op::AddLarge => self.add(A, vec![(auto, fields(700, "field"))], None),
            Op::AddBatch => {
                let batch = (0..3).map(|at| (auto, fields(40 + at, ["x", "field", "x"][at]))).collect();
                self.add(A, batch, None)
            }
            Op::AddHuge => self.add(A, vec![(auto, fields(1500, "huge"))], None),
            Op::AddTrim => self.add(A, vec![(auto, fields(20, "field"))], Some(2)),
            Op::AddOther => self.add(B, vec![(auto, fields(30, "other"))], None),
            Op::DeleteOldest | Op::DeleteNewest | Op::DeleteAll => {
                let mut ids: Vec<StreamId> =
                    self.now(A).map_or_else(Vec::new, |state| state.entries.iter().map(|(id, _)| *id).collect());
                match op {
                    Op::DeleteOldest => ids.truncate(1),
                    Op::DeleteNewest => ids = ids.split_off(ids.len().saturating_sub(1)),
                    _ => {}
                }
                if !ids.is_empty() {
                    let mut state = self.now(A).expect("it has entries").clone();
                    state.delete(&ids);
                    self.put(A, state);
                }
                Call::Delete { ids }
            }
            Op::Trim => {
                let mut removed = 0;
                if let Some(mut state) = self.now(A).cloned() {
                    removed = state.trim(1);
                    self.put(A, state);
                }
                Call::Trim { removed }
            }
            Op::SetIdUp => {
                let state = self.now(A).cloned();
                let last_id = StreamId::new(state.as_ref().map_or(0, |state| state.last_id.ms()) + 50, 1);
                let added = state.as_ref().map_or(0, |state| state.entries_added + 5);
                let there = state.is_some();
                if let Some(state) = state {
                    self.put(A, State { last_id, entries_added: added, ..state });
                }
                Call::SetId { set: SetId::new(last_id).entries_added(added), there }
            }
            Op::SetIdBack => {
                let state = self.now(A).cloned();
                let lowest = |state: &State| state.newest().max(state.max_deleted).max(StreamId::new(1, 0));
                let last_id = state.as_ref().map_or(StreamId::new(1, 0), lowest);
                let there = state.is_some();
                if let Some(state) = state {
                    let at = self.names[A];
                    self.lives[at].returned.push(StreamId::MIN);
                    self.put(A, State { last_id, ..state });
                }
                Call::SetId { set: SetId::new(last_id), there }
            }
            Op::DeleteStream => Call::DeleteStream { count: u64::from(self.names.remove(A).is_some()) },
            Op::Rename => {
                let life = self.names.remove(A);
                life.map(|at| self.names.insert(B, at));
                Call::Rename { there: life.is_some() }
            }
            Op::Copy => {
                let state = self.now(A).cloned();
                let there = state.is_some();
                if let Some(state) = state {
                    self.begin(B, state);
                }
                Call::Copy { there }
            }
            Op::Sync => Call::Sync,
            Op::Reopen => Call::Reopen,
            Op::CreateGroup => {
                let mut state = self.now(A).cloned().unwrap_or(State::EMPTY);
                let exists = state.group.is_some();
                if !exists {
                    state.group = Some(Group::default());
                    self.put(A, state);
                }
                Call::CreateGroup { exists }
            }
            Op::Deliver => self.deliver(ALICE, 1, now_ms),
            Op::DeliverAll => self.deliver(BOB, usize::MAX, now_ms),
            Op::Acknowledge => {
                let state = self.now(A).filter(|state| state.group.is_some()).cloned();
                let id = state.as_ref().and_then(|state| state.group.as_ref()?.pending.keys().next().copied());
                if let (Some(mut state), Some(id)) = (state, id) {
                    state.group.as_mut().expect("it is there").pending.remove(&id);
                    self.put(A, state);
                }
                Call::Acknowledge { id }
            }
            Op::ClaimAll => {
                let ids = self.now(A).filter(|state| state.group.is_some()).cloned().map(|mut state| {
                    let ids = state.claim_all(BOB, now_ms);
                    self.put(A, state);
                    ids
                });
                Call::ClaimAll { ids }
            }
            Op::Produce => {
                let (made, fields) =
                    (self.now(A).map_or_else(Made::default, |state| state.made.clone()), fields(25, "made"));
                let id = made.id.unwrap_or_else(|| match self.add(A, vec![(auto, fields.clone())], None) {
                    Call::Add { ids, .. } => ids[0],
                    _ => unreachable!("it is an add"),
                });
                // One change with the add, if there was one.
                let at = self.names[A];
                let mut state = self.lives[at].now().clone();
                match made.id {
                    Some(_) => {
                        state.made.duplicates += 1;
                        self.lives[at].push(state);
                    }
                    None => {
                        state.made = Made { id: Some(id), count: made.count + 1, ..made };
                        self.lives[at].states.last_mut().expect("never empty").0 = state;
                    }
                }
                Call::Produce { fields, id }
            }
            Op::Checkpoint => Call::Checkpoint { there: self.now(A).is_some() },
        };
        for life in &mut self.lives {
            if matches!(op, Op::Sync | Op::Reopen) {
                life.notes = 0;
            }
            if self.level == Durability::Always || matches!(op, Op::Sync | Op::Reopen) {
                life.durable = life.states.len() - 1 - life.notes;
            }
        }
        call
    }
}

/// A store on a simulated disk, and what it should hold.
pub struct Run {
    pub disk: Arc<SimDisk>,
    pub model: Model,
    store: Option<Store>,
    clock: Arc<AtomicU64>,
    tune: Tune,
}

/// How the options of a store differ from those that the tests have in common.
pub type Tune = fn(Options) -> Options;

impl Run {
    pub fn new(disk: Arc<SimDisk>, model: Model) -> Result<Self> {
        Self::tuned(disk, model, |options| options)
    }

    pub fn tuned(disk: Arc<SimDisk>, model: Model, tune: Tune) -> Result<Self> {
        let clock = Arc::new(AtomicU64::new(EPOCH_MS + TICK_MS * model.count));
        let store = open(&disk, model.level, &clock, tune)?;
        Ok(Self { disk, model, store: Some(store), clock, tune })
    }

    /// Whether the store is open; it is not after a reopening that failed.
    pub fn is_open(&self) -> bool {
        self.store.is_some()
    }

    pub fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open")
    }

    /// Does an operation, and checks what it returns; returns what was expected before.
    pub fn apply(&mut self, op: Op) -> Result<Model> {
        let before = self.model.clone();
        let call = self.model.apply(op);
        self.disk.note(format!("{op:?}"));
        self.clock.store(EPOCH_MS + TICK_MS * self.model.count, Ordering::SeqCst);
        self.call(call)?;
        Ok(before)
    }

    fn call(&mut self, call: Call) -> Result<()> {
        if let Call::Reopen = call {
            self.store.take().expect("it is open").close()?;
            self.store = Some(open(&self.disk, self.model.level, &self.clock, self.tune)?);
            return Ok(());
        }
        let store = self.store();
        match call {
            Call::Add { name, wanted, trim, ids } => {
                let stream = store.stream(name)?;
                let pairs = |fields: &Fields| fields.as_ref().clone();
                let added = match (wanted.as_slice(), trim) {
                    ([(id, fields)], trim) => {
                        let options = AddOptions::new().id(*id);
                        let options = trim.map_or(options, |len| options.trim(Trim::to_len(len)));
                        stream.add_with(options, pairs(fields))?.into_iter().collect()
                    }
                    _ => stream.add_batch(wanted.iter().map(|(id, fields)| (*id, pairs(fields))))?,
                };
                assert_eq!(added, ids, "IDs added to {stream:?}");
            }
            Call::Delete { ids } => {
                assert_eq!(store.stream(A)?.delete(ids.iter().copied())?, ids.len() as u64, "entries deleted");
            }
            Call::Trim { removed } => assert_eq!(store.stream(A)?.trim(Trim::to_len(1))?, removed, "entries trimmed"),
            Call::SetId { set, there } => match store.stream(A)?.set_id(set) {
                Err(streamlog::Error::StreamNotFound { .. }) => assert!(!there, "the stream is there"),
                result => result?,
            },
            Call::DeleteStream { count } => assert_eq!(store.delete([A])?, count, "streams deleted"),
            Call::Rename { there } => match store.rename(A, B) {
                Err(streamlog::Error::StreamNotFound { .. }) => assert!(!there, "the stream is there"),
                result => result?,
            },
            Call::Copy { there } => assert_eq!(store.copy_over(A, B)?, there, "streams copied"),
            Call::Sync => store.sync()?,
            Call::CreateGroup { exists } => {
                match store.stream(A)?.group(GROUP).create_with(GroupOptions::new(Position::Start).create_stream()) {
                    Err(streamlog::Error::GroupExists { .. }) => assert!(exists, "there is no such group"),
                    result => result?,
                }
            }
            Call::Deliver { consumer, count, ids } => {
                let read = store.stream(A)?.group(GROUP).consumer(consumer).read().count(count).new_entries();
                let read = read.map(|entries| entries.iter().map(streamlog::Entry::id).collect());
                assert_eq!(unless_missing(read)?, ids, "entries delivered");
            }
            Call::Acknowledge { id } => {
                let acknowledged = unless_missing(store.stream(A)?.group(GROUP).acknowledge(id))?;
                assert_eq!(acknowledged.unwrap_or(0), u64::from(id.is_some()), "entries acknowledged");
            }
            Call::ClaimAll { ids } => {
                let claimed = store.stream(A)?.group(GROUP).consumer(BOB).auto_claim(Duration::ZERO).run();
                let claimed = claimed.map(|claimed| (claimed.ids, claimed.deleted));
                assert_eq!(unless_missing(claimed)?, ids, "entries claimed");
            }
            Call::Produce { fields, id } => {
                let options = AddOptions::new().production(PRODUCTION);
                let added = store.stream(A)?.add_with(options, fields.as_ref().clone())?;
                assert_eq!(added, Some(id), "what was produced");
            }
            Call::Checkpoint { there } => {
                // A group with a long name, which is gone again.
                let group = store.stream(A)?.group("z".repeat(1000));
                match group.create(Position::Start) {
                    Err(streamlog::Error::StreamNotFound { .. }) => assert!(!there, "the stream is there"),
                    result => {
                        result?;
                        assert!(group.destroy()?, "the group is there");
                    }
                }
            }
            Call::Reopen => unreachable!("done above"),
        }
        Ok(())
    }

    /// Ends the life of the process: nothing more reaches the disk, which goes on.
    pub fn kill(mut self) -> (Arc<SimDisk>, Model) {
        self.disk.heal();
        self.disk.fail_at(0, std::io::ErrorKind::Other, true);
        drop(self.store.take());
        self.disk.heal();
        (self.disk, self.model)
    }

    /// Closes the store; gives what is on the disk.
    pub fn close(mut self) -> Result<(Image, Model)> {
        self.store.take().expect("it is open").close()?;
        Ok((self.disk.kill_image(self.disk.steps()), self.model))
    }
}

pub const PRODUCTION: Production<'_> = Production::Named { producer: b"p", id: b"i" };

/// `None` if there is no such group.
fn unless_missing<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(streamlog::Error::GroupNotFound { .. }) => Ok(None),
        result => result.map(Some),
    }
}

fn options(level: Durability, clock: &Arc<AtomicU64>) -> Options {
    let clock = Arc::clone(clock);
    let now = move || UNIX_EPOCH + Duration::from_millis(clock.load(Ordering::SeqCst));
    Options::new().durability(level).segment_bytes_max(4096).checkpoint_bytes_min(600).clock(now)
}

fn open(disk: &Arc<SimDisk>, level: Durability, clock: &Arc<AtomicU64>, tune: Tune) -> Result<Store> {
    Store::open_simulated(tune(options(level, clock)), disk)
}

/// How to open what a crash has left, by a clock that went back.
pub fn options_after(level: Durability) -> Options {
    options(level, &Arc::new(AtomicU64::new(NEXT_MS)))
}

/// Opens what a crash has left.
pub fn reopen(disk: &Arc<SimDisk>, level: Durability) -> Result<Store> {
    Store::open_simulated(options_after(level), disk)
}

/// What may be found after a crash.
#[derive(Debug)]
pub struct Allowed<'a> {
    pub before: &'a Model,
    pub after: &'a Model,
    /// The operation between the two had returned.
    pub done: bool,
    pub disk: Trust,
}

/// What the disk has kept of what it had promised to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    Honest,
    /// Sectors that were being written hold anything, durable bytes in them included: streams may be older, or refused as
    /// damaged.
    Ruined,
    /// No sync did anything: whatever is found was so once, by itself.
    Lying,
}

impl Allowed<'_> {
    /// Says what is wrong with what was found.
    pub fn check(&self, found: &Contents) -> std::result::Result<(), String> {
        if self.disk == Trust::Lying {
            return found.iter().try_for_each(|(name, state)| self.once(name, state));
        }
        let after = self.candidate(&self.after.names, found);
        if self.done || after.is_ok() {
            return after;
        }
        self.candidate(&self.before.names, found).map_err(|why| {
            format!("{}\nand as if the last operation had not been: {why}", after.expect_err("it is not allowed"))
        })
    }

    /// Whether any stream was ever like this, or has lost all it was created with.
    fn once(&self, name: &[u8], found: &State) -> std::result::Result<(), String> {
        let lives = [self.before, self.after].into_iter().flat_map(|model| &model.lives);
        let mut states = lives.flat_map(|life| &life.states).map(|(state, _)| state);
        match found.is_like(&State::EMPTY) || states.any(|state| found.is_like(state)) {
            true => Ok(()),
            false => Err(format!("{}: no stream was ever {}", String::from_utf8_lossy(name), found.summary())),
        }
    }

    /// As [`check`](Self::check); that notes are missing is not wrong.
    pub fn check_but_for_notes(&self, found: &Contents) -> std::result::Result<(), String> {
        let without = |model: &Model| {
            let mut without = model.clone();
            let states = without.lives.iter_mut().flat_map(|life| &mut life.states);
            states.for_each(|(state, _)| *state = state.without_notes());
            without
        };
        let found = found.iter().map(|(name, state)| (name.clone(), state.without_notes())).collect();
        Allowed { before: &without(self.before), after: &without(self.after), ..*self }.check(&found)
    }

    fn candidate(&self, names: &BTreeMap<&'static [u8], usize>, found: &Contents) -> std::result::Result<(), String> {
        if !names.keys().map(|name| name.to_vec()).eq(found.keys().cloned()) {
            return Err(format!("there are streams {:?}, not {:?}", found.keys(), names.keys()));
        }
        names.iter().try_for_each(|(name, &at)| {
            self.stream(at, &found[*name]).map_err(|why| format!("{}: {why}", String::from_utf8_lossy(name)))
        })
    }

    fn stream(&self, at: usize, found: &State) -> std::result::Result<(), String> {
        let life = &self.after.lives[at];
        let acknowledged = if self.done { life } else { self.before.lives.get(at).unwrap_or(life) };
        let older = self.disk == Trust::Ruined;
        let from = if older { 0 } else { acknowledged.durable };
        let highest = life.states.iter().map(|(state, _)| state.last_id.ms()).max().unwrap_or(0);
        let fits = |(state, epoch): &(State, usize)| {
            let returned = acknowledged.returned.iter().skip(*epoch).copied().max().unwrap_or(StreamId::MIN);
            let lowest = if older { StreamId::MIN } else { state.last_id.max(returned) };
            found.is_like(state) && found.last_id >= lowest && found.last_id.ms() <= highest + LEAD_MS
        };
        if life.states[from..].iter().any(fits) || (older && found.is_like(&State::EMPTY)) {
            return Ok(());
        }
        let states: Vec<_> = life.states[from..].iter().map(|(state, _)| state.summary()).collect();
        let returned = &acknowledged.returned;
        Err(format!(
            "found    {}\n  allowed {}\n  IDs returned {returned:?}",
            found.summary(),
            states.join("\n  or      ")
        ))
    }

    /// Takes over all that is pending, and reads what is new: both together, and what was acknowledged, are all there is.
    fn groups_live_on(&self, group: &streamlog::Group, state: &mut State) -> std::result::Result<(), String> {
        let wrap = |error: streamlog::Error| format!("second life: {error}");
        let now = NEXT_MS;
        let position = state.group.as_ref().map_or(StreamId::MIN, |group| group.position);
        let claimed = group.consumer(ZOE).auto_claim(Duration::ZERO).run().map_err(wrap)?;
        let expected = state.claim_all(ZOE, now);
        if (&claimed.ids, &claimed.deleted) != (&expected.0, &expected.1) {
            return Err(format!("second life: {claimed:?} can be claimed, not {expected:?}"));
        }
        let new = group.consumer(ZOE).read().new_entries().map_err(wrap)?;
        let new: Vec<StreamId> = new.iter().map(streamlog::Entry::id).collect();
        let expected = state.deliver(ZOE, usize::MAX, now);
        let above: Vec<StreamId> = state.entries.iter().map(|(id, _)| *id).filter(|id| *id > position).collect();
        if new != expected || new != above {
            return Err(format!("second life: {new:?} are new, not {expected:?}"));
        }
        Ok(())
    }

    /// Goes on working with what was found: adds, deletes, reopens, and compares again.
    pub fn live_on(&self, disk: &Arc<SimDisk>, store: Store, found: &Contents) -> std::result::Result<(), String> {
        let mut expected = found.clone();
        let level = self.after.level;
        let wrap = |error: streamlog::Error| format!("second life: {error}");
        for (name, state) in &mut expected {
            let stream = store.stream(name).map_err(wrap)?;
            if state.group.is_some() {
                self.groups_live_on(&stream.group(GROUP), state)?;
            }
            if state.made.id.is_some() {
                // What was remembered is among the states that were.
                let id = stream.add_with(AddOptions::new().production(PRODUCTION), [("not", "added")]).map_err(wrap)?;
                let lives = [self.before, self.after].into_iter().flat_map(|model| &model.lives);
                let mut made = lives.flat_map(|life| life.states.iter().map(|(state, _)| state.made.id));
                if id.is_none() || made.all(|made| made != id) {
                    return Err(format!("second life: {id:?} is given for what was produced before"));
                }
                state.made.duplicates += 1;
            }
            let fields: Fields = Arc::new(vec![(b"field".to_vec(), b"second life".to_vec())]);
            let id = stream.add(fields.as_ref().clone()).map_err(wrap)?;
            // Which is above all that were returned: see `stream`.
            if id <= state.last_id {
                return Err(format!("second life: the ID {id} was handed out before"));
            }
            state.entries.push((id, fields));
            state.entries_added += 1;
            state.last_id = id;
            let oldest = state.entries[0].0;
            if stream.delete([oldest]).map_err(wrap)? != 1 {
                return Err(format!("second life: {oldest} cannot be deleted"));
            }
            state.delete(&[oldest]);
        }
        store.close().map_err(wrap)?;
        let again = contents(&reopen(disk, level).map_err(wrap)?)?;
        same(&expected, &again).map_err(|why| format!("second life: {why}"))
    }
}

/// Says how two contents differ.
pub fn same(expected: &Contents, found: &Contents) -> std::result::Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let lines = |contents: &Contents| {
        let line =
            |(name, state): (&Vec<u8>, &State)| format!("{}: {}", String::from_utf8_lossy(name), state.summary());
        contents.iter().map(line).collect::<Vec<_>>().join("\n  ")
    };
    Err(format!("expected\n  {}\nfound\n  {}", lines(expected), lines(found)))
}
