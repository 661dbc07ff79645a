//! Which calls in the source are made to the disk, and which of them were hit: failed, or died at.
//!
//! Looking at a store without opening it writes nothing, and is not counted. Nor is what carries streams in and out: it writes
//! copies beside what is there, and has tests of its own that kill it.
//!
//! The sources are scanned for calls of the methods of `Disk`, `File` and `Place`, with names that other types have too only on
//! receivers that are one of these, and of the functions of `io` that take a file or a disk. What the scan misses is noticed:
//! the innermost call of each backtrace that is above `io` has to be among those it found.

use std::backtrace::Backtrace;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A line of the source.
pub type Site = (String, u32);

/// Methods that only a disk, a file or a place has, but for the receivers named.
const OWN: [(&str, &[&str]); 11] = [
    ("write_at", &[]),
    ("read_at", &[]),
    ("grow", &["self"]),
    ("sync_dir", &[]),
    ("create_dir", &[]),
    ("remove_file", &[]),
    ("remove_dir", &[]),
    ("remove_all", &["pending", "self"]),
    ("write_whole", &[]),
    ("move_to", &[]),
    ("publish", &["log"]),
];

/// Methods that others have as well.
const SHARED: [&str; 13] = [
    "sync",
    "len",
    "truncate",
    "create",
    "open",
    "rename",
    "remove",
    "list",
    "kind",
    "is_empty",
    "read",
    "allocated",
    "size",
];

/// What disks, files and places are called; and what only those are that `store` has to do with.
const RECEIVERS: [&str; 8] = ["disk", "file", "place", "within", "frozen", "folder", "from", "to"];
const RECEIVERS_IN_STORE: [&str; 6] = ["root", "streams", "tmp", "source", "lock", "locked"];

/// Sites that cannot be reached, and why. Not every excuse holds for every campaign: see [`check`].
const UNREACHABLE: [(&str, &str, &str); 4] = [
    ("src/store/catalog/mount.rs", "Budgeted::new(", UNOPENED),
    ("src/group/journal/tailing.rs", "?.min(JOURNAL_LEN_MAX)", FOLLOWED),
    ("src/group/journal/tailing.rs", "read_at(reached.offset", FOLLOWED),
    ("src/log/scan.rs", "?.min(SEGMENT_LEN_MAX)", FOLLOWED),
];
/// Excuses faults and deaths.
pub const FOLLOWED: &str = "only a stream that another process writes is gone on with there";
/// Excuses faults: processes die there.
pub const UNOPENED: &str = "no fault is tried before a store is open";

/// The calls that were failed, or where a process died.
#[derive(Clone, Default)]
pub struct Hits {
    /// All lines on the way to such a call.
    lines: BTreeSet<Site>,
    /// The innermost of them.
    innermost: BTreeSet<Site>,
    pub backtraces: usize,
}

impl Hits {
    pub fn note(&mut self, backtrace: &Backtrace) {
        self.backtraces += 1;
        self.note_sites(sites_of(&backtrace.to_string()));
    }

    /// Takes in the lines on the way to a call, the innermost first.
    pub fn note_sites(&mut self, sites: Vec<Site>) {
        self.innermost.extend(sites.first().cloned());
        self.lines.extend(sites);
    }

    /// Whether all of these lines were on the way to a call before.
    #[allow(dead_code, reason = "the tests of kills use it")]
    pub fn covers(&self, sites: &[Site]) -> bool {
        sites.iter().all(|site| self.lines.contains(site))
    }
}

/// The lines of this crate above `io` in a backtrace, the innermost first.
pub fn sites_of(backtrace: &str) -> Vec<Site> {
    let root = env!("CARGO_MANIFEST_DIR");
    let site = |line: &str| {
        let at = line.trim().strip_prefix("at ")?;
        let at = at.strip_prefix("./").or_else(|| at.strip_prefix(root)?.strip_prefix('/'))?;
        let (file, rest) = at.strip_prefix("src/").map(|_| at)?.split_once(':')?;
        let line = rest.split(':').next()?.parse().ok()?;
        let is_elsewhere =
            ["src/io/", "src/inspect/", "src/follow/", "src/transfer/"].iter().any(|other| file.starts_with(other));
        (!is_elsewhere).then(|| (file.to_owned(), line))
    };
    backtrace.lines().filter_map(site).collect()
}

/// All sites in the source, with the text of each.
pub fn scan() -> BTreeMap<Site, String> {
    let mut sites = BTreeMap::new();
    scan_directory(Path::new(env!("CARGO_MANIFEST_DIR")), Path::new("src"), &mut sites);
    sites
}

fn scan_directory(root: &Path, directory: &Path, sites: &mut BTreeMap<Site, String>) {
    for item in std::fs::read_dir(root.join(directory)).unwrap() {
        let item = item.unwrap();
        let path = directory.join(item.file_name());
        let name = path.to_str().unwrap();
        if item.file_type().unwrap().is_dir() {
            if !matches!(name, "src/io" | "src/bin" | "src/inspect" | "src/follow" | "src/transfer") {
                scan_directory(root, &path, sites);
            }
        } else if !matches!(item.file_name().to_str(), Some("tests.rs" | "models.rs")) {
            scan_file(name, &std::fs::read_to_string(root.join(&path)).unwrap(), sites);
        }
    }
}

fn scan_file(name: &str, source: &str, sites: &mut BTreeMap<Site, String>) {
    let source = source.split("\n#[cfg(test)]").next().unwrap();
    let mut offset = 0;
    for (line, number) in source.split_inclusive('\n').zip(1..) {
        let code = line.split("//").next().unwrap();
        let calls = code.match_indices('.').filter(|(at, _)| {
            let rest = &code[at + 1..];
            let method: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            rest[method.len()..].starts_with('(') && is_to_disk(name, &method, receiver(&source[..offset + at]))
        });
        let others = [" extent(", "(extent(", "Budgeted::new("];
        if calls.count() > 0 || others.iter().any(|call| code.contains(call)) {
            sites.insert((name.to_owned(), number), line.trim().to_owned());
        }
        offset += line.len();
    }
}

fn is_to_disk(name: &str, method: &str, receiver: &str) -> bool {
    let in_store = name.starts_with("src/store/") && RECEIVERS_IN_STORE.contains(&receiver);
    match OWN.iter().find(|(own, _)| *own == method) {
        Some((_, others)) => !others.contains(&receiver),
        None if method == "lock" => receiver == "disk",
        None => SHARED.contains(&method) && (in_store || RECEIVERS.contains(&receiver)),
    }
}

/// The last name in an expression, that of a method if it ends in a call.
fn receiver(before: &str) -> &str {
    let mut text = before.trim_end();
    while text.ends_with(')') || text.ends_with('?') {
        if let Some(rest) = text.strip_suffix('?') {
            text = rest.trim_end();
            continue;
        }
        let mut depth = 0;
        let open = text.rfind(|c| {
            depth += match c {
                ')' => 1,
                '(' => -1,
                _ => 0,
            };
            depth == 0
        });
        text = &text[..open.unwrap_or(0)];
    }
    let start = text.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
    &text[start..]
}

/// Says which sites were never hit, what the scan has missed, and which of the `excuses` that are made here are out of date: the
/// site is not there any more, or was hit.
pub fn check(hits: &Hits, excuses: &[&str]) -> Result<String, String> {
    let sites = scan();
    let excuses: Vec<_> = UNREACHABLE.iter().filter(|(_, _, why)| excuses.contains(why)).collect();
    let meant_by = |(in_file, line, _): &(&str, &str, &str)| {
        let of_it = sites.iter().filter(|((file, _), text)| file == in_file && text.contains(line));
        of_it.map(|(site, _)| site).collect::<Vec<&Site>>()
    };
    let excused: BTreeSet<&Site> = excuses.iter().flat_map(|&excuse| meant_by(excuse)).collect();
    let never: Vec<String> = sites
        .iter()
        .filter(|(site, _)| !hits.lines.contains(*site) && !excused.contains(site))
        .map(|((file, line), text)| format!("never hit: {file}:{line}: {text}"))
        .collect();
    let missed: Vec<String> = hits
        .innermost
        .iter()
        .filter(|site| !sites.contains_key(*site))
        .map(|(file, line)| format!("not found by the scan: {file}:{line}"))
        .collect();
    let outdated: Vec<String> = excuses
        .iter()
        .filter(|&&excuse| {
            let found = meant_by(excuse);
            found.is_empty() || found.iter().any(|site| hits.lines.contains(*site))
        })
        .map(|(file, line, why)| format!("not there, or hit after all: {file}: {line}: {why}"))
        .collect();
    let hit = sites.keys().filter(|site| hits.lines.contains(*site)).count();
    let figures = format!("{} call sites, {hit} hit, {} unreachable", sites.len(), excused.len());
    let wrong = [never, missed, outdated].concat();
    if wrong.is_empty() { Ok(figures) } else { Err(format!("{figures}\n{}", wrong.join("\n"))) }
}

#[test]
fn receivers_are_found() {
    assert_eq!(receiver("let x = self.place.within(name(1))"), "within");
    assert_eq!(receiver("&segment\n    .file"), "file");
    assert_eq!(receiver("root.disk()"), "disk");
    assert!(scan().len() > 80);
}
