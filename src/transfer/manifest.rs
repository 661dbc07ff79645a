//! The files of which a server's append-only file consists.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::{Component, Path, PathBuf};

use crate::command::split_line;

/// The files to read, in order: of a directory `appendonlydir` or the manifest in it, those that the manifest lists; any other
/// path is a file by itself.
///
/// Costs reading the directory and the manifest; the files are not looked at.
///
/// # Errors
///
/// That the directory or manifest cannot be read, or is none.
///
/// # Examples
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// let manifest = "file a.1.base.aof seq 1 type b\nfile a.1.incr.aof seq 1 type i\n";
/// std::fs::write(path.join("a.manifest"), manifest)?;
/// assert_eq!(streamlog::transfer::files_of(path)?, [path.join("a.1.base.aof"), path.join("a.1.incr.aof")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn files_of(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let path = path.as_ref();
    if path.is_dir() {
        return listed(&manifest_in(path)?);
    }
    match path.extension() {
        Some(extension) if extension == "manifest" => listed(path),
        _ => Ok(vec![path.to_owned()]),
    }
}

/// The one manifest there is in a directory.
fn manifest_in(directory: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "manifest") {
            found.push(path);
        }
    }
    match (found.pop(), found.pop()) {
        (Some(path), None) => Ok(path),
        (None, _) => Err(Error::new(ErrorKind::NotFound, "there is no manifest in the directory")),
        (Some(_), Some(_)) => Err(invalid("there are several manifests in the directory")),
    }
}

/// The base, and then the increments; what is history was replaced.
fn listed(manifest: &Path) -> Result<Vec<PathBuf>> {
    let text = fs::read(manifest)?;
    let directory = manifest.parent().unwrap_or(Path::new(""));
    let mut files = Vec::new();
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && line.first() != Some(&b'#')) {
        let words = split_line(line).ok_or_else(|| invalid("a line of the manifest has a quote that is not closed"))?;
        let value = |name: &[u8]| words.chunks(2).find(|pair| pair.first().is_some_and(|word| word == name))?.get(1);
        let (Some(file), Some(kind)) = (value(b"file"), value(b"type")) else {
            return Err(invalid("a line of the manifest names no file and type"));
        };
        let name = str::from_utf8(file).map_err(|_| invalid("a name in the manifest is not UTF-8"))?;
        let mut steps = Path::new(name).components();
        let (Some(Component::Normal(_)), None) = (steps.next(), steps.next()) else {
            return Err(invalid("a name in the manifest leads to another directory"));
        };
        match kind.as_slice() {
            b"b" | b"i" => files.push(directory.join(name)),
            _ => {}
        }
    }
    Ok(files)
}

fn invalid(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
