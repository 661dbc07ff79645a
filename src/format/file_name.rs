//! The names of files and directories: the only place that writes or parses one.
//!
//! A stream's directory is its name, escaped: lower-case letters, digits, `-`, `_`, and `.` but at either end stand for
//! themselves, every other byte is `%` and two lower-case hexadecimal digits. So the name cannot leave the store, does not
//! collide with another after case folding, and never begins with `.`. The empty name is `%`. An escaped name of more than
//! [`ESCAPED_LEN_MAX`] bytes is cut, and `%~` and the 128-bit XXH3 hash of the whole name follow; such a name is read from
//! the stream's `meta`.

use std::path::PathBuf;

use xxhash_rust::xxh3::xxh3_128;

use crate::format::NUMBER_MAX;

pub const LOCK: &str = "LOCK";
pub const INTENT: &str = "intent";
pub const INTENT_NEW: &str = "intent.new";
pub const RESERVE: &str = "reserve";
/// What the process that writes tells those that read.
pub const BOARD: &str = "published";
pub const STREAMS: &str = "streams";
pub const META: &str = "meta";
pub const META_NEW: &str = "meta.new";

/// Streams that are being created or removed, in directories with random names.
pub const TMP: &str = "tmp";

/// Copies of damaged files that were replaced, in a directory for each stream.
pub const QUARANTINE: &str = "quarantine";
/// What is needed to go on with an import; while it is there, only the import opens the store.
pub const IMPORT: &str = "import";
/// Says that the store is a backup.
pub const BACKUP: &str = "BACKUP";
/// Its name as long as the backup is not complete.
pub const BACKUP_NEW: &str = "BACKUP.new";

/// What a file that has not got its final name ends in.
const NEW_SUFFIX: &str = ".new";

/// The longest escaped name that is not cut. File systems allow 255 bytes.
pub const ESCAPED_LEN_MAX: usize = 200;

const CUT_LEN: usize = 140;

/// The directory of the stream `name`, within `streams`.
pub fn escape(name: &[u8]) -> String {
    if name.is_empty() {
        return "%".to_owned();
    }
    let mut escaped = String::with_capacity(name.len());
    let last = name.len() - 1;
    for (at, &byte) in name.iter().enumerate() {
        let plain = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => true,
            b'.' => at != 0 && at != last,
            _ => false,
        };
        let before = escaped.len();
        match plain {
            true => escaped.push(char::from(byte)),
            false => escaped.push_str(&format!("%{byte:02x}")),
        }
        if escaped.len() > ESCAPED_LEN_MAX {
            escaped.truncate(before);
            return cut(escaped, name);
        }
    }
    escaped
}

fn cut(mut escaped: String, name: &[u8]) -> String {
    let mut len = CUT_LEN;
    // Not in the middle of an escape.
    while escaped.get(len - 2..len).is_some_and(|end| end.contains('%')) {
        len -= 1;
    }
    escaped.truncate(len);
    format!("{escaped}%~{:032x}", xxh3_128(name))
}

/// What the name of a directory in `streams` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directory {
    /// The stream of this name.
    Stream(Vec<u8>),
    /// A stream whose name is too long for a directory name: see its `meta`.
    LongName,
    /// Nothing of ours.
    Foreign,
}

/// What a directory in `streams` is.
pub fn parse_directory(directory: &str) -> Directory {
    if let Some((_, hash)) = directory.split_once("%~") {
        let is_hash = hash.len() == 32 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        return if is_hash { Directory::LongName } else { Directory::Foreign };
    }
    match unescape(directory) {
        // Only what `escape` would have written: two directories never stand for one stream.
        Some(name) if escape(&name) == directory => Directory::Stream(name),
        _ => Directory::Foreign,
    }
}

fn unescape(directory: &str) -> Option<Vec<u8>> {
    if directory == "%" {
        return Some(Vec::new());
    }
    let mut name = Vec::with_capacity(directory.len());
    let mut bytes = directory.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                name.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            _ => name.push(byte),
        }
    }
    Some(name)
}

/// A file in the directory of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    /// The segment whose first entry has this ordinal.
    Segment(u64),
    /// Its index.
    Index(u64),
    /// The journal of this generation.
    Journal(u64),
}

impl File {
    /// Its name.
    pub fn name(self) -> PathBuf {
        PathBuf::from(match self {
            Self::Segment(base) => format!("{base:020}.log"),
            Self::Index(base) => format!("{base:020}.idx"),
            Self::Journal(generation) => format!("{generation:020}.journal"),
        })
    }

    /// Its name until it is complete.
    pub fn new_name(self) -> PathBuf {
        let mut name = self.name().into_os_string();
        name.push(NEW_SUFFIX);
        name.into()
    }

    /// The file of this name; `None` if it is no final name of ours, as one with a number that no stream gets to.
    pub fn parse(name: &str) -> Option<Self> {
        let (number, suffix) = name.split_once('.')?;
        if number.len() != 20 || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number = number.parse().ok().filter(|&number| number < NUMBER_MAX)?;
        match suffix {
            "log" => Some(Self::Segment(number)),
            "idx" => Some(Self::Index(number)),
            "journal" => Some(Self::Journal(number)),
            _ => None,
        }
    }
}

/// Whether a file of this name had not got its final one.
pub fn is_new(name: &str) -> bool {
    name.strip_suffix(NEW_SUFFIX).is_some_and(|name| File::parse(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_escape_to_readable_directories_and_back() {
        for (name, directory) in [
            (&b"orders.eu-1_x"[..], "orders.eu-1_x"),
            (b"", "%"),
            (b"A b", "%41%20b"),
            (b"..", "%2e%2e"),
            (b"../x", "%2e.%2fx"),
            (b"\0\xff%", "%00%ff%25"),
        ] {
            assert_eq!(escape(name), directory);
            assert_eq!(parse_directory(directory), Directory::Stream(name.to_vec()));
        }
    }

    #[test]
    fn long_names_are_cut_and_told_apart_by_their_hash() {
        for &filler in if cfg!(miri) { &b"a"[..] } else { b"aA\xff" } {
            let (a, b) = ([filler; 3000], [filler; 3001]);
            for name in [&a[..], &b[..]] {
                assert!(escape(name).len() <= ESCAPED_LEN_MAX);
                assert_eq!(parse_directory(&escape(name)), Directory::LongName);
            }
            assert_ne!(escape(&a), escape(&b));
        }
        assert_eq!(escape(&[b'a'; ESCAPED_LEN_MAX]).len(), ESCAPED_LEN_MAX);
        assert!(matches!(parse_directory(&escape(&[b'a'; ESCAPED_LEN_MAX])), Directory::Stream(_)));
    }

    #[test]
    fn every_single_byte_name_is_distinct_after_case_folding() {
        let step = if cfg!(miri) { 7 } else { 1 };
        let folded: std::collections::HashSet<_> =
            (0..=255u8).step_by(step).map(|byte| escape(&[byte]).to_ascii_lowercase()).collect();
        assert_eq!(folded.len(), 256_usize.div_ceil(step));
    }

    #[test]
    fn what_we_never_write_is_foreign() {
        for directory in ["%", "a"] {
            assert!(matches!(parse_directory(directory), Directory::Stream(_)));
        }
        for directory in ["", "A", "%4", "%zz", "%41%", "%2E", "a/b", "x%~1", "%61"] {
            assert_eq!(parse_directory(directory), Directory::Foreign, "{directory:?}");
        }
    }

    #[test]
    fn file_names_read_back() {
        for file in [File::Segment(1), File::Index(NUMBER_MAX - 1), File::Journal(42)] {
            assert_eq!(File::parse(file.name().to_str().unwrap()), Some(file));
            assert!(is_new(file.new_name().to_str().unwrap()));
        }
        assert_eq!(File::Segment(1).name().to_str(), Some("00000000000000000001.log"));
        for name in ["1.log", "00000000000000000001.log.new", "00000000000000000001", "meta"] {
            assert_eq!(File::parse(name), None, "{name:?}");
        }
        for file in [File::Segment(NUMBER_MAX), File::Index(u64::MAX), File::Journal(u64::MAX)] {
            assert_eq!(File::parse(file.name().to_str().unwrap()), None, "{file:?}");
            assert!(!is_new(file.new_name().to_str().unwrap()));
        }
    }
}
