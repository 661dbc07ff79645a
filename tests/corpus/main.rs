//! Promise: what fuzzing has found so far is found no more (P9).
//!
//! Each target of `fuzz` is given its corpus, and the inputs that once made it fail, without the fuzzer: see the table in
//! `fuzz/src/lib.rs`. `tests/corpus/regressions/<target>-<what it is>` are the latter.

#[path = "../../fuzz/src/lib.rs"]
#[allow(dead_code, reason = "it is shared with the fuzz targets, which use more of it")]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The files in a directory, in order; none if there is no such directory.
fn files(directory: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let Ok(items) = fs::read_dir(path) else { return Vec::new() };
    let mut files: Vec<PathBuf> = items.map(|item| item.expect("a readable directory").path()).collect();
    files.sort();
    files
}

/// Runs the target with each of its inputs, and names those with which it panics.
fn replay(target: &str, run: fn(&[u8])) {
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(target).is_some_and(|rest| rest.starts_with('-'))
    };
    let regressions = files("tests/corpus/regressions").into_iter().filter(is_ours);
    let inputs: Vec<PathBuf> = files(&format!("fuzz/corpus/{target}")).into_iter().chain(regressions).collect();
    assert!(inputs.len() >= 10, "{} inputs for {target}", inputs.len());
    let fails = |path: &PathBuf| {
        let bytes = fs::read(path).expect("a readable input");
        catch_unwind(AssertUnwindSafe(|| run(&bytes))).is_err()
    };
    let failed: Vec<_> = inputs.iter().filter(|path| fails(path)).collect();
    assert!(failed.is_empty(), "{target} panics with {failed:#?}");
}

#[test]
fn records_of_any_bytes() {
    replay("frame", targets::frame::run);
}

#[test]
fn segments_of_any_records() {
    replay("segment", targets::segment::run);
}

#[test]
fn journals_of_any_changes() {
    replay("journal", targets::journal::run);
}

#[test]
fn indexes_of_any_numbers() {
    replay("index", targets::index::run);
}

#[test]
fn superblocks_of_any_numbers() {
    replay("meta", targets::meta::run);
}

#[test]
fn directories_of_any_files() {
    replay("directory", targets::directory::run);
}

#[test]
fn commands_of_any_arguments() {
    replay("command", targets::command::run);
}

#[test]
fn requests_of_any_bytes() {
    replay("resp", targets::resp::run);
}

#[test]
fn operations_in_any_order() {
    replay("operations", targets::operations::run);
}
