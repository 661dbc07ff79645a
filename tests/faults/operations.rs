//! Single operations on what the model of the histories does not know. What they lead to is what they lead to on a disk that
//! does not fail.

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use streamlog::sim::{Image, SimDisk};
use streamlog::{
    AddOptions, Durability, Error, NewId, Options, Position, Production, References, Release, Result, Retention, SetId,
    Store, StreamId, Trim,
};

use crate::engine::{Campaign, End, LEVELS, expected, nightly};
use crate::harness::{Contents, Tune, contents, same};
use crate::histories::alike;
use crate::inject::{Fault, inject};
use crate::sites::Hits;

pub struct Operation {
    pub name: &'static str,
    tune: Tune,
    pub image: Lazy,
    /// What it returns is to be the same whatever fails on the way.
    pub run: fn(&Store) -> Result<String>,
}

/// A store that is made when it is asked for.
pub type Lazy = LazyLock<Image, Box<dyn FnOnce() -> Image + Send>>;

fn lazily(image: impl FnOnce() -> Image + Send + 'static) -> Lazy {
    LazyLock::new(Box::new(image))
}

/// What an operation leads to.
pub struct Outcome {
    before: Contents,
    after: Contents,
    answer: String,
}

const NOON_MS: u64 = 1_000_000;

fn options(level: Durability, tune: Tune) -> Options {
    let noon = || UNIX_EPOCH + Duration::from_millis(NOON_MS);
    tune(Options::new().durability(level).segment_bytes_max(4096).clock(noon))
}

fn open(disk: &Arc<SimDisk>, level: Durability, tune: Tune) -> Result<Store> {
    Store::open_simulated(options(level, tune), disk)
}

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn add(store: &Store, name: &str, ms: u64, len: usize) -> Result<StreamId> {
    let value = format!("{name}-{ms}-").into_bytes().into_iter().cycle().take(len).collect::<Vec<u8>>();
    let added = store.stream(name)?.add_with(AddOptions::new().id(id(ms)), [("field", value)])?;
    Ok(added.unwrap())
}

fn long() -> String {
    "LONG ".repeat(60)
}

/// A store of three streams: `a` with sealed segments and a group in which entries are pending, one with a long name, and
/// `other`.
fn fill(store: &Store) {
    for ms in 1..=12 {
        add(store, "a", ms, 900).unwrap();
    }
    let group = store.stream("a").unwrap().group("g");
    group.create(Position::Start).unwrap();
    group.consumer("alice").read().count(5).new_entries().unwrap();
    group.acknowledge([id(1), id(2)]).unwrap();
    add(store, &long(), 1, 20).unwrap();
    add(store, "other", 1, 20).unwrap();
}

fn prepared(tune: Tune, fill: impl FnOnce(&Store)) -> Image {
    let disk = SimDisk::new();
    let store = open(&disk, Durability::Always, tune).unwrap();
    fill(&store);
    store.close().unwrap();
    disk.kill_image(disk.steps())
}

fn without_indexes(mut image: Image) -> Image {
    let indexes: Vec<_> = image.files().filter(|path| has_extension(path, "idx")).map(Path::to_owned).collect();
    assert!(!indexes.is_empty());
    indexes.iter().for_each(|path| image.remove(path));
    image
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|is| is == extension)
}

/// The first segment ends in the middle of an entry.
fn cut_short(image: Image) -> Image {
    without_indexes(cut_short_but_indexed(image))
}

/// As [`cut_short`], with the indexes.
fn cut_short_but_indexed(mut image: Image) -> Image {
    let first = image.files().find(|path| path.starts_with("streams/a") && has_extension(path, "log"));
    let first = first.unwrap().to_owned();
    let file = image.file_mut(&first).unwrap();
    file.truncate(file.len() - 1000);
    image
}

/// Everything in `a`, from both ends; what is damaged is left out, what cannot be read is not.
fn read_all(store: &Store) -> Result<String> {
    fn ids(range: impl Iterator<Item = Result<streamlog::Entry>>) -> Result<Vec<StreamId>> {
        range
            .filter_map(|entry| match entry {
                Err(Error::Corrupt { .. }) => None,
                entry => Some(entry.map(|entry| entry.id())),
            })
            .collect()
    }
    let stream = store.stream("a")?;
    let one = || {
        let one = stream.get(id(2)).or_else(|error| match error {
            Error::Corrupt { .. } => Ok(None),
            error => Err(error),
        });
        one.map(|one| one.map(|entry| entry.id()))
    };
    let (first, forward, back) = (one()?, ids(stream.range(..))?, ids(stream.range(..).rev())?);
    // Once more, when its segment is open.
    Ok(format!("{forward:?} {back:?} {first:?} {:?}", one()?))
}

pub fn operations() -> Vec<Operation> {
    let plain: Tune = |options| options;
    let operation = |name, run| Operation { name, tune: plain, image: lazily(move || prepared(plain, fill)), run };
    vec![
        operation("names", |store| Ok(format!("{:?} {}", store.names()?, store.exists(long())?))),
        operation("read-all", read_all),
        Operation {
            image: lazily(move || without_indexes(prepared(plain, fill))),
            ..operation("read-without-index", read_all)
        },
        Operation { image: lazily(move || cut_short(prepared(plain, fill))), ..operation("salvage", read_all) },
        Operation {
            image: lazily(move || cut_short_but_indexed(prepared(plain, fill))),
            ..operation("read-cut-short", read_all)
        },
        operation("delete-several", |store| Ok(store.delete(["a".to_owned(), long(), "none".to_owned()])?.to_string())),
        operation("delete-all", |store| store.delete_all().map(|()| String::new())),
        operation("rename-long", |store| store.rename(long(), "a").map(|()| String::new())),
        operation("copy-large", |store| Ok(store.copy_over("a", long())?.to_string())),
        operation("copy-refused", |store| Ok(format!("{} {}", store.copy("a", "other")?, store.copy("none", "b")?))),
        Operation {
            image: lazily(|| {
                prepared(
                    |options| options.segment_bytes_max(1 << 20),
                    |store| {
                        for ms in 1..=20 {
                            add(store, "a", ms, 9000).unwrap();
                        }
                    },
                )
            }),
            tune: |options| options.segment_bytes_max(1 << 20),
            ..operation("copy-in-batches", |store| Ok(store.copy("a", "b")?.to_string()))
        },
        // More segments than tables are kept for.
        Operation {
            image: lazily(|| {
                let fill = |store: &Store| (1..=136).for_each(|ms| _ = add(store, "a", ms, 900).unwrap());
                prepared(|options| options, fill)
            }),
            ..operation("look-up-in-many", |store| {
                let stream = store.stream("a")?;
                let found = [1, 2].map(|_| {
                    let found = (1..=136).step_by(4).map(|ms| Ok(stream.get(id(ms))?.map(|entry| entry.id())));
                    found.collect::<Result<Vec<_>>>()
                });
                let [first, second] = found;
                Ok(format!("{:?} {:?}", first?, second?))
            })
        },
        Operation {
            tune: |options| options.open_streams_max(2),
            ..operation("create-many", |store| {
                for number in 0..6 {
                    // It may have been done when this is done again.
                    match add(store, &format!("new-{number}"), 1, 20) {
                        Err(Error::IdTooSmall { .. }) => {}
                        added => drop(added?),
                    }
                }
                Ok(String::new())
            })
        },
        Operation {
            tune: |options| options.open_streams_max(1),
            ..operation("open-many", |store| {
                let lens = ["a", "other", &long(), "a"].map(|name| store.stream(name).and_then(|stream| stream.len()));
                Ok(format!("{:?}", lens.into_iter().collect::<Result<Vec<_>>>()?))
            })
        },
        Operation {
            image: lazily(|| {
                prepared(
                    |options| options.segment_bytes_max(1 << 20),
                    |store| {
                        for ms in 1..=9 {
                            add(store, "a", ms, 9000).unwrap();
                        }
                    },
                )
            }),
            tune: |options| options.segment_bytes_max(1 << 20),
            ..operation("replace-dead", |store| Ok(store.stream("a")?.trim(Trim::to_len(0))?.to_string()))
        },
        Operation {
            image: lazily(move || prepared(plain, |store| drop(add(store, "a", 1, 2000)))),
            tune: |options| options.segment_bytes_max(1 << 20),
            ..operation("grow-segments", |store| Ok(format!("{:?}", add(store, "a", 2, 3000)?)))
        },
        operation("grow-journal", |store| {
            let group = store.stream("a")?.group("g");
            let names = group.consumers()?.len();
            // One change, which is long.
            group.consumer("c".repeat(6000)).create()?;
            Ok(format!("{names} {}", group.consumers()?.len()))
        }),
        operation("acknowledge-and-delete", |store| {
            let group = store.stream("a")?.group("g");
            Ok(format!("{:?}", group.acknowledge_and_delete([id(3), id(4)], References::Delete)?))
        }),
        operation("delete-references", |store| {
            Ok(format!("{:?}", store.stream("a")?.delete_with((1..=9).map(id), References::Delete)?))
        }),
        operation("trim-references", |store| {
            Ok(store.stream("a")?.trim(Trim::to_len(3).references(References::Delete))?.to_string())
        }),
        operation("trim-acknowledged", |store| {
            Ok(store.stream("a")?.trim(Trim::to_len(3).references(References::Acknowledged))?.to_string())
        }),
        operation("add-trim-references", |store| {
            let trim = Trim::to_len(3).references(References::Delete);
            let options = AddOptions::new().id(id(50)).trim(trim);
            Ok(format!("{:?}", store.stream("a")?.add_with(options, [("field", "new")])?))
        }),
        operation("release", |store| {
            Ok(store.stream("a")?.group("g").release([id(3), id(4)], Release::Failed)?.to_string())
        }),
        operation("claim", |store| {
            let bob = store.stream("a")?.group("g").consumer("bob");
            Ok(format!("{:?}", bob.claim(Duration::ZERO, [id(3), id(5)]).run()?.len()))
        }),
        operation("set-position", |store| {
            store.stream("a")?.group("g").set_position(Position::End, None).map(|()| String::new())
        }),
        operation("destroy-group", |store| Ok(store.stream("a")?.group("g").destroy()?.to_string())),
        operation("delete-consumer", |store| Ok(store.stream("a")?.group("g").consumer("alice").delete()?.to_string())),
        operation("set-id", |store| {
            let set = SetId::new(id(77)).entries_added(99).max_deleted_id(id(5));
            store.stream("a")?.set_id(set).map(|()| String::new())
        }),
        operation("produce-and-rotate", |store| {
            let made = |key: &[u8], len: usize| {
                let production = Production::Named { producer: b"p", id: key };
                let options = AddOptions::new().production(production);
                store.stream("a")?.add_with(options, [("field", "x".repeat(len))])
            };
            let ids = [made(b"1", 900)?, made(b"2", 1900)?, made(b"3", 1900)?, made(b"1", 10)?];
            Ok(format!("{ids:?}"))
        }),
        operation("batch-and-rotate", |store| {
            let entry = |ms| (NewId::Exact(id(ms)), [("field", "y".repeat(700))]);
            Ok(format!("{:?}", store.stream("a")?.add_batch((60..66).map(entry))?))
        }),
        Operation {
            tune: |options| options.retention_interval(Duration::ZERO),
            ..operation("set-retention", |store| {
                // The first six are too old.
                let rules = Retention::new().max_age(Duration::from_millis(NOON_MS - 7)).max_bytes(1 << 20);
                store.stream("a")?.set_retention(rules.acknowledged_only())?;
                store.stream("a")?.group("g").acknowledge((3..=6).map(id))?;
                store.stream("a")?.group("g").set_position(Position::After(id(8)), None)?;
                store.stream("a")?.set_retention(rules.acknowledged_only())?;
                Ok(String::new())
            })
        },
        Operation {
            image: lazily(move || {
                prepared(
                    |options| options.retention_interval(Duration::ZERO),
                    |store| {
                        fill(store);
                        let rules = Retention::new().max_age(Duration::from_millis(NOON_MS - 1));
                        store.stream("a").unwrap().set_retention(rules).unwrap();
                    },
                )
            }),
            // The first six are too old now.
            tune: |options| {
                let later = || UNIX_EPOCH + Duration::from_millis(NOON_MS + 6);
                options.retention_interval(Duration::ZERO).clock(later)
            },
            ..operation("enforce-retention", |store| store.enforce_retention().map(|()| String::new()))
        },
        Operation {
            tune: |options| options.retention_interval(Duration::ZERO).bytes_budget(110 << 10),
            ..operation("keep-within-budget", |store| {
                // It may have been done when this is done again.
                match add(store, "other", 2, 4000) {
                    Err(Error::IdTooSmall { .. }) => {}
                    added => drop(added?),
                }
                store.enforce_retention().map(|()| String::new())
            })
        },
        // What cannot be told of a stream is left out.
        operation("metrics", |store| {
            store.stream("a")?.len()?;
            store.metrics().map(|_| String::new())
        }),
        operation("create", |store| match store.create("fresh") {
            Err(Error::StreamExists { .. }) => Ok(String::new()),
            created => created.map(|_| String::new()),
        }),
    ]
}

pub fn run(campaign: &mut Campaign) {
    for operation in operations() {
        let operation = Arc::new(operation);
        for level in LEVELS {
            let operation = Arc::clone(&operation);
            let outcome = operation.outcome(level);
            let name = format!("{} {level:?}", operation.name);
            campaign.add(name, move |call, fault, hits| match nightly() || ["EIO", "ENOSPC"].contains(&fault.name) {
                true => operation.attempt(level, &outcome, call, fault, hits),
                false => Ok(End::NotReached),
            });
        }
    }
}

/// But for streams that cannot be read to their end, of which there is only a name.
fn all_of(store: &Store) -> std::result::Result<Contents, String> {
    match contents(store) {
        Err(why) if why.contains(" at byte ") => Ok(Contents::new()),
        found => found,
    }
}

impl Operation {
    #[allow(dead_code, reason = "the tests of kills use it")]
    pub fn options(&self, level: Durability) -> Options {
        options(level, self.tune)
    }

    pub fn outcome(&self, level: Durability) -> Outcome {
        let disk = self.image.mount();
        let store = open(&disk, level, self.tune).unwrap();
        let before = all_of(&store).unwrap();
        drop(store);
        let disk = self.image.mount();
        let store = open(&disk, level, self.tune).unwrap();
        let answer = (self.run)(&store).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        Outcome { before, after: all_of(&store).unwrap(), answer }
    }

    fn attempt(
        &self,
        level: Durability,
        outcome: &Outcome,
        call: u64,
        fault: Fault,
        hits: &Arc<Mutex<Hits>>,
    ) -> std::result::Result<End, String> {
        let disk = self.image.mount();
        let store = open(&disk, level, self.tune).unwrap();
        let injected = inject(&disk, call, fault, hits);
        let result = (self.run)(&store);
        if injected.count() == 0 {
            return Ok(End::NotReached);
        }
        disk.heal();
        let poisoned = matches!(store.delete(["none"]), Err(Error::Poisoned { .. }));
        let (end, done) = match result {
            Ok(answer) => (End::Unharmed, self.is_done(outcome, &answer, &store, poisoned).map(|()| true)?),
            Err(error) => {
                let what = |why: String| format!("{} gave {error}; {why}", self.name);
                expected(&error, &fault)?;
                match all_of(&store) {
                    Ok(found) => self.is_either(outcome, &found, poisoned).map_err(what)?,
                    // What is yet to be recovered cannot be read.
                    Err(why) if poisoned && (why.contains("refuses") || self.shows_in_parts()) => {}
                    Err(why) => return Err(what(format!("reading does not go on: {why}"))),
                }
                if poisoned {
                    (End::Reopened, false)
                } else {
                    let answer = (self.run)(&store).map_err(|again| what(format!("again, it gave {again}")))?;
                    self.is_done(outcome, &answer, &store, false).map_err(what)?;
                    (End::Repeated, true)
                }
            }
        };
        if call.is_multiple_of(2) {
            disk.fail_at(0, std::io::ErrorKind::Other, true);
        }
        drop(store);
        disk.heal();
        let open = || open(&disk, level, self.tune);
        self.next_life(open, outcome, done).map_err(|why| format!("{} reopened: {why}", self.name))?;
        Ok(end)
    }

    fn is_done(
        &self,
        outcome: &Outcome,
        answer: &str,
        store: &Store,
        poisoned: bool,
    ) -> std::result::Result<(), String> {
        if answer != outcome.answer {
            return Err(format!("{} answered {answer}, not {}", self.name, outcome.answer));
        }
        if !self.is_foreseen() {
            return Ok(());
        }
        match all_of(store) {
            Ok(found) => alike(&outcome.after, &found),
            Err(why) if poisoned && why.contains("refuses") => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// Whether nothing was done or, if it is not known, nothing or all or a part of several things.
    fn is_either(&self, outcome: &Outcome, found: &Contents, poisoned: bool) -> std::result::Result<(), String> {
        let unchanged = alike(&outcome.before, found);
        if unchanged.is_ok() || !self.is_one() {
            return Ok(());
        }
        let done = alike(&outcome.after, found);
        // Of streams that are to be removed or replaced some may be missing until the store is opened again.
        let names = [&outcome.before, &outcome.after];
        let partly = found.iter().all(|(name, state)| {
            names.iter().filter_map(|contents| contents.get(name)).any(|known| known.entries == state.entries)
        });
        let has_parts =
            ["delete-several", "delete-all", "rename-long", "copy-large", "copy-in-batches"].contains(&self.name);
        let partly = partly && (has_parts || self.shows_in_parts());
        match poisoned && (done.is_ok() || partly) {
            true => Ok(()),
            false => unchanged,
        }
    }

    /// Whether entries, the trim floor or the last ID are published when they are durable, and groups at once: if it fails in
    /// between, the poisoned store shows a part of it.
    fn shows_in_parts(&self) -> bool {
        ["add-trim-references", "trim-references", "set-id"].contains(&self.name)
    }

    /// Whether what is left when it is done does not depend on what failed: another segment is given up in the place of one
    /// that cannot be.
    fn is_foreseen(&self) -> bool {
        self.name != "keep-within-budget"
    }

    /// Whether it is one change, and not several one after the other.
    fn is_one(&self) -> bool {
        let several = ["create-many", "produce-and-rotate", "set-retention", "enforce-retention", "keep-within-budget"];
        !several.contains(&self.name)
    }

    /// Opens what an operation has left, done or not, and goes on working with it.
    pub fn next_life(
        &self,
        open: impl Fn() -> Result<Store>,
        outcome: &Outcome,
        done: bool,
    ) -> std::result::Result<(), String> {
        let text = |error: Error| error.to_string();
        let store = open().map_err(text)?;
        let found = all_of(&store)?;
        let after = alike(&outcome.after, &found);
        if self.is_foreseen() && (done || self.is_one()) {
            after.or_else(|why| if done { Err(why) } else { alike(&outcome.before, &found).map_err(|_| why) })?;
        }
        store.close().map_err(text)?;
        let store = open().map_err(text)?;
        same(&found, &all_of(&store)?).map_err(|why| format!("opened twice: {why}"))?;
        let mut expected = Vec::new();
        for (name, state) in &found {
            let stream = store.stream(name).map_err(text)?;
            let id = stream.add([("second", "life")]).map_err(text)?;
            if id <= state.last_id {
                return Err(format!("the ID {id} was handed out before"));
            }
            expected.push((name, state.entries.len() as u64 + 1, id));
        }
        store.close().map_err(text)?;
        let store = open().map_err(text)?;
        for (name, len, id) in expected {
            let info = store.stream(name).and_then(|stream| stream.info()).map_err(text)?;
            if (info.len, info.last_generated_id) != (len, id) {
                return Err(format!("second life: {} entries up to {}", info.len, info.last_generated_id));
            }
        }
        Ok(())
    }
}
