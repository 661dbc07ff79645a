//! What can happen to the files of a store, as a list of edits that the fuzzer makes up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arbitrary::Arbitrary;

use super::checksums;

/// Files by their path below the store.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// No file of the damaged store gets larger than this, in bytes.
const FILE_LEN_MAX: usize = 1 << 20;

/// Edits of a store that was closed, or of one whose process was killed.
#[derive(Arbitrary, Debug)]
pub struct Damage {
    pub after_a_kill: bool,
    /// The files get the checksums that their bytes call for then.
    with_checksums: bool,
    edits: Vec<Edit>,
}

/// One edit. Files are chosen by their position in the list of paths, offsets wrap at the end of the file.
#[derive(Arbitrary, Debug)]
enum Edit {
    Flip { file: u8, offset: u16, bit: u8 },
    Overwrite { file: u8, offset: u16, bytes: Vec<u8> },
    Zero { file: u8, offset: u16, len: u16 },
    Truncate { file: u8, offset: u16 },
    Append { file: u8, bytes: Vec<u8> },
    Replace { file: u8, bytes: Vec<u8> },
    Remove { file: u8 },
    Copy { from: u8, to: u8 },
    Move { file: u8, offset: u16, to: u16, len: u16 },
    Invent { beside: u8, name: Name, bytes: Vec<u8> },
}

/// The name of a file that was not there.
#[derive(Arbitrary, Debug)]
enum Name {
    Numbered { number: u64, extension: Extension },
    Meta,
    Temporary { number: u8 },
    Any(String),
}

#[derive(Arbitrary, Debug)]
enum Extension {
    Log,
    Idx,
    Journal,
}

impl Damage {
    /// Does all edits, in order.
    pub fn apply(&self, files: &mut Files) {
        for edit in self.edits.iter().take(64) {
            edit.apply(files);
        }
        if self.with_checksums {
            files.iter_mut().for_each(|(path, bytes)| checksums::fix(path, bytes));
        }
    }
}

impl Edit {
    /// Does nothing if there is no file left to do it to.
    fn apply(&self, files: &mut Files) -> Option<()> {
        match self {
            Self::Flip { file, offset, bit } => {
                let bytes = nth(files, *file)?;
                let offset = wrap(*offset, bytes.len());
                *bytes.get_mut(offset)? ^= 1 << (bit % 8);
            }
            Self::Overwrite { file, offset, bytes: new } => overwrite(nth(files, *file)?, *offset, new),
            Self::Zero { file, offset, len } => overwrite(nth(files, *file)?, *offset, &vec![0; usize::from(*len)]),
            Self::Truncate { file, offset } => {
                let bytes = nth(files, *file)?;
                bytes.truncate(wrap(*offset, bytes.len()));
            }
            Self::Append { file, bytes } => {
                let file = nth(files, *file)?;
                file.extend_from_slice(bytes);
                file.truncate(FILE_LEN_MAX);
            }
            Self::Replace { file, bytes } => nth(files, *file)?.clone_from(bytes),
            Self::Remove { file } => drop(files.remove(&nth_path(files, *file)?)),
            Self::Copy { from, to } => {
                let bytes = nth(files, *from)?.clone();
                *nth(files, *to)? = bytes;
            }
            Self::Move { file, offset, to, len } => {
                let bytes = nth(files, *file)?;
                let start = wrap(*offset, bytes.len());
                let end = bytes.len().min(start + usize::from(*len));
                let part = bytes[start..end].to_vec();
                overwrite(bytes, *to, &part);
            }
            Self::Invent { beside, name, bytes } => {
                let path = nth_path(files, *beside)?.with_file_name(name.text());
                // A name that fits no file, or names a directory, is not what this target is about.
                if !files.keys().any(|other| other.starts_with(&path)) {
                    files.insert(path, bytes.clone());
                }
            }
        }
        Some(())
    }
}

impl Name {
    fn text(&self) -> String {
        match self {
            Self::Numbered { number, extension: Extension::Log } => format!("{number:020}.log"),
            Self::Numbered { number, extension: Extension::Idx } => format!("{number:020}.idx"),
            Self::Numbered { number, extension: Extension::Journal } => format!("{number:020}.journal"),
            Self::Meta => "meta".to_owned(),
            Self::Temporary { number } => format!("{number:020}.tmp"),
            Self::Any(text) => match text.replace(['/', '\0'], "_").as_str() {
                "" | "." | ".." => "_".to_owned(),
                name => name.chars().take(60).collect(),
            },
        }
    }
}

fn nth_path(files: &Files, position: u8) -> Option<PathBuf> {
    files.keys().nth(usize::from(position) % files.len().max(1)).cloned()
}

fn nth(files: &mut Files, position: u8) -> Option<&mut Vec<u8>> {
    let count = files.len().max(1);
    files.values_mut().nth(usize::from(position) % count)
}

fn wrap(offset: u16, len: usize) -> usize {
    usize::from(offset) % len.max(1)
}

/// Writes `new` at `offset`, as far as there is room.
fn overwrite(bytes: &mut [u8], offset: u16, new: &[u8]) {
    let start = wrap(offset, bytes.len());
    bytes[start..].iter_mut().zip(new).for_each(|(old, new)| *old = *new);
}
