//! What the tests of `faults` do on a simulated disk, done to files by a child: between them these cases make every call that
//! there is in the source, also those that mend what a crash or damage has left.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use streamlog::sim::{Call, Failure, Image, Op};
use streamlog::{Durability, Error, Options, Result, Store};

use crate::damage::{self, WAYS, Way};
use crate::harness::{contents, options_after};
use crate::histories::{alike, scenarios};
use crate::operations::{Operation, operations};

/// What a child does.
pub enum Deed {
    /// It is done or not, by the time it ends.
    Operation(Operation),
    /// Going on with damage or repairing it: it comes to the same however often it is begun.
    Mend(Way),
    /// Reading everything, of a store that was left in the middle of something.
    Read,
}

/// A call that fails, the first that does this to a file whose path contains that: there are calls that are made only then.
struct Fault {
    /// The name of the case, which is that of the operation and something more.
    case: &'static str,
    op: Op,
    path: &'static str,
    errno: i32,
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

const FAULTS: [Fault; 4] = [
    Fault { case: "claim:unwritten", op: Op::Write, path: ".journal", errno: EIO },
    Fault { case: "names:unreadable", op: Op::Open, path: "meta", errno: EIO },
    Fault { case: "create:unwritten", op: Op::Write, path: "tmp", errno: EIO },
    Fault { case: "delete-several:full", op: Op::Create, path: "intent", errno: ENOSPC },
];

/// What comes of a call in the case of this name.
pub fn fault(case: &str) -> Option<impl Fn(&Call) -> Option<Failure> + Send + Sync + use<>> {
    let fault = FAULTS.iter().find(|fault| fault.case == case)?;
    let to_come = AtomicBool::new(true);
    Some(move |call: &Call| {
        let is_meant = call.op == fault.op && call.path.to_string_lossy().contains(fault.path);
        (is_meant && to_come.swap(false, Ordering::Relaxed)).then_some(Failure::Os(fault.errno))
    })
}

/// A deed, and the store to which it is done.
pub struct Case {
    pub name: String,
    pub deed: Deed,
    image: Image,
}

pub fn all() -> Vec<Case> {
    let operations = operations().into_iter().flat_map(|operation| {
        let faulty = FAULTS.iter().map(|fault| fault.case).filter(|case| Deed::name_of(case) == operation.name);
        let names: Vec<&str> = [operation.name].into_iter().chain(faulty).collect();
        names.into_iter().map(move |name| (name.to_owned(), operation.image.clone()))
    });
    let damaged = damage::damages()
        .into_iter()
        .flat_map(|(name, image)| WAYS.map(|(way, _)| (format!("{way}-{name}"), image.clone())));
    let left = scenarios().into_iter().filter(|scenario| scenario.opening);
    let left = left.filter_map(|scenario| Some((scenario.name.to_owned(), scenario.start.image?)));
    operations.chain(damaged).chain(left).map(|(name, image)| Case { deed: Deed::of(&name), name, image }).collect()
}

impl Deed {
    fn name_of(case: &str) -> &str {
        case.split(':').next().unwrap_or(case)
    }

    /// What is done in the case of this name. A child needs no more of it.
    pub fn of(case: &str) -> Self {
        let name = Self::name_of(case);
        if let Some(operation) = operations().into_iter().find(|operation| operation.name == name) {
            return Self::Operation(operation);
        }
        let way = WAYS.iter().find(|(way, _)| name.starts_with(way));
        way.map_or(Self::Read, |(_, way)| Self::Mend(*way))
    }

    pub fn options(&self, level: Durability) -> Options {
        match self {
            Self::Operation(operation) => operation.options(level),
            Self::Mend(_) => damage::options(level),
            Self::Read => options_after(level),
        }
    }

    pub fn run(&self, store: &Store) -> Result<()> {
        match self {
            Self::Operation(operation) => (operation.run)(store).map(drop),
            Self::Mend(way) => way(store).map(drop),
            Self::Read => read(store),
        }
    }
}

/// Every stream, which recovers it.
fn read(store: &Store) -> Result<()> {
    for name in store.names()? {
        let stream = store.stream(name)?;
        stream.range(..).try_for_each(|entry| entry.map(drop))?;
        stream.range(..).rev().try_for_each(|entry| entry.map(drop))?;
    }
    Ok(())
}

impl Case {
    /// Makes the store.
    pub fn put(&self, directory: &Path) {
        for part in ["streams", "tmp"] {
            if self.image.has_dir(part) {
                std::fs::create_dir_all(directory.join(part)).unwrap();
            }
        }
        for path in self.image.files() {
            let target = directory.join(path);
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::write(target, self.image.file(path).unwrap()).unwrap();
        }
    }

    /// Holds what a child has left against what it may have done.
    pub fn check(&self, directory: &Path, level: Durability) -> std::result::Result<(), String> {
        let open = || self.deed.options(level).open(directory);
        let sound = || Store::open_simulated(self.deed.options(level), &self.image.mount()).unwrap();
        let text = |error: Error| error.to_string();
        let lives = |check: &dyn Fn(&Store) -> std::result::Result<(), String>| {
            ["second", "third"].into_iter().try_for_each(|life| {
                let store = open().map_err(text)?;
                check(&store).map_err(|why| format!("in the {life} life {why}"))?;
                store.close().map_err(text)
            })
        };
        match &self.deed {
            Deed::Operation(operation) => operation.next_life(open, &operation.outcome(level), false),
            Deed::Mend(way) => {
                let expected = way(&sound()).unwrap();
                lives(&|store| match way(store).map_err(text)? {
                    found if found == expected => Ok(()),
                    found => Err(format!("it came to {found}, not {expected}")),
                })
            }
            Deed::Read => {
                let expected = contents(&sound()).unwrap();
                lives(&|store| alike(&expected, &contents(store)?))
            }
        }
    }
}
