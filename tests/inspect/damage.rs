//! Damaged copies of a store: all of it is found and located, and what is not called damage costs nothing.
//!
//! `STREAMLOG_NIGHTLY=1` damages every byte instead of some.

use std::path::Path;

use streamlog::inspect::{Inspection, StreamReport};
use streamlog::sim::{Image, SimDisk};
use streamlog::{Corruption, Durability, Error, Finding, IdRange, Problem, Store};

use crate::harness::{dump, fill, findings, id, options};

/// A store that was closed, on a disk that can be changed.
fn closed() -> Image {
    let disk = SimDisk::new();
    let store = Store::open_simulated(options().durability(Durability::Os), &disk).unwrap();
    fill(&store);
    store.close().unwrap();
    disk.kill_image(disk.steps())
}

fn inspect(image: &Image) -> Inspection {
    Inspection::open_simulated(&image.mount()).unwrap()
}

fn verify(image: &Image) -> Vec<StreamReport> {
    inspect(image).verify().unwrap()
}

/// Each n-th one only, unless there is a night's time.
fn stride(n: usize) -> usize {
    if std::env::var_os("STREAMLOG_NIGHTLY").is_some() { 1 } else { n }
}

/// How many living entries of the stream `log` can be read.
fn readable(image: &Image) -> u64 {
    let mut count = 0;
    let dumped = inspect(image).dump_stream("log", |item| {
        count += u64::from(matches!(item, streamlog::inspect::Item::Entry(_)));
        Ok::<(), Error>(())
    });
    assert!(dumped.is_ok(), "{dumped:?}");
    count
}

/// Whether the file is one of a segment that is sealed, or belongs to one.
fn is_sealed(image: &Image, path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "log") && image.file(path.with_extension("idx")).is_some()
}

#[test]
fn every_flipped_bit_is_found_and_located() {
    let image = closed();
    let whole = dump(&inspect(&image));
    let files: Vec<_> = image.files().filter(|path| !path.ends_with("reserve")).map(Path::to_path_buf).collect();
    let mut damaged = 0;
    for path in &files {
        let len = image.file(path).unwrap().len();
        let blank = |at: usize| image.file(path).unwrap()[at..].iter().take(64).all(|&byte| byte == 0);
        for at in (0..len).step_by(stride(29)).filter(|&at| at % (29 * 16) == 0 || !blank(at)) {
            let mut image = image.clone();
            image.file_mut(path).unwrap()[at] ^= 1 << (at % 8);
            let what = format!("byte {at} of {}", path.display());
            let reports = verify(&image);
            let found = findings(&reports);
            let here: Vec<&&Finding> = found.iter().filter(|finding| finding.path.ends_with(path)).collect();
            assert!(here.iter().any(|finding| finding.offset <= at as u64), "{what}: {found:?}");
            if !found.iter().any(|finding| finding.is_damage()) {
                assert_eq!(dump(&inspect(&image)), whole, "{what}");
                continue;
            }
            damaged += 1;
            if is_sealed(&image, path) {
                let lost: u64 = found.iter().filter_map(|finding| finding.entries_lost).sum();
                assert_eq!(lost, 200 - readable(&image), "{what}: {found:?}");
                // Of one frame, the IDs between which it stood.
                let ids: Vec<IdRange> = found.iter().filter_map(|finding| finding.ids).collect();
                assert!(ids.len() <= 1 && (lost == 0 || ids[0].through.is_some()), "{what}: {found:?}");
            }
        }
    }
    assert!(damaged > 500, "{damaged}");
}

#[test]
fn one_flipped_bit_in_each_kind_of_file_is_called_by_its_name() {
    let found = |path: &str, at: usize| {
        let mut image = closed();
        image.file_mut(path).unwrap()[at] ^= 1;
        let reports = verify(&image);
        let found = findings(&reports);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].path.ends_with(path), "{found:?}");
        found[0].clone()
    };
    let first = "streams/log/00000000000000000001.log";
    let entry = found(first, 1000);
    assert!(matches!(entry.problem, Problem::Damage(Corruption::Checksum { .. })), "{entry:?}");
    let ids = entry.ids.unwrap();
    assert_eq!(ids.through, ids.after.ms().checked_add(20).map(|ms| id(ms).previous().unwrap()));
    assert!((900..=1000).contains(&entry.offset), "{entry:?}");
    let len = closed().file(first).unwrap().len();
    let seal = found(first, len - 5);
    assert!(seal.is_damage() && seal.entries_lost == Some(0) && seal.ids.is_none(), "{seal:?}");
    assert_eq!(found("streams/log/00000000000000000001.idx", 60).problem, Problem::Index);
    let journal = found("streams/groups/00000000000000000001.journal", 260);
    assert!(journal.is_damage() && (192..=260).contains(&journal.offset), "{journal:?}");
    let slot = found("streams/groups/meta", 4096 + 30);
    assert!(matches!(slot.problem, Problem::Slot(_)) && slot.offset == 4096, "{slot:?}");
    let header = found(first, 80);
    assert!(header.is_damage() && header.offset == 0 && header.ids.is_some(), "{header:?}");
    assert!(found("LOCK", 30).is_damage());
}

#[test]
fn both_slots_of_a_superblock_are_needed_by_nobody_but_one() {
    let mut image = closed();
    for at in [100, 4096 + 100] {
        image.file_mut("streams/log/meta").unwrap()[at] ^= 1;
    }
    let reports = verify(&image);
    let found = findings(&reports);
    assert!(found.len() == 1 && found[0].is_damage() && found[0].path.ends_with("log/meta"), "{found:?}");
}

#[test]
fn a_missing_segment_is_told_with_its_ids() {
    let image = closed();
    let logs = image.files().filter(|path| is_sealed(&image, path) && path.starts_with("streams/log"));
    let logs: Vec<_> = logs.map(Path::to_path_buf).collect();
    for missing in &logs {
        let mut image = image.clone();
        image.remove(missing);
        let reports = verify(&image);
        let found = findings(&reports);
        let [finding] = found[..] else { panic!("{}: {found:?}", missing.display()) };
        assert_eq!(finding.problem, Problem::Damage(Corruption::Missing));
        let lost = finding.entries_lost.unwrap();
        assert!(lost > 5 && finding.ids.unwrap().through.is_some(), "{finding:?}");
        assert_eq!(reports.iter().map(|report| report.entries).max(), Some(200), "what should be there");
    }
}

#[test]
fn swapped_and_exchanged_files_are_told() {
    let image = closed();
    let logs: Vec<_> =
        image.files().filter(|path| path.extension().is_some_and(|it| it == "log")).map(Path::to_path_buf).collect();
    for (a, b) in logs.iter().zip(logs.iter().skip(1)) {
        let mut image = image.clone();
        let bytes = [a, b].map(|path| image.file(path).unwrap().to_vec());
        image.file_mut(a).unwrap().clone_from(&bytes[1]);
        image.file_mut(b).unwrap().clone_from(&bytes[0]);
        let reports = verify(&image);
        for path in [a, b] {
            let found = findings(&reports);
            assert!(found.iter().any(|finding| finding.path.ends_with(path) && finding.is_damage()), "{found:?}");
        }
    }
    // A whole stream under the name of another.
    let mut image = image.clone();
    for file in ["meta", "00000000000000000001.log"] {
        let bytes = image.file(Path::new("streams/groups").join(file)).unwrap().to_vec();
        image.file_mut(Path::new("streams/empty").join(file)).unwrap().clone_from(&bytes);
    }
    let reports = verify(&image);
    assert!(findings(&reports).iter().any(|finding| finding.path.ends_with("empty/meta") && finding.is_damage()));
}

#[test]
fn every_truncation_is_found() {
    let image = closed();
    let whole = dump(&inspect(&image));
    let files: Vec<_> = image.files().filter(|path| !path.ends_with("reserve")).map(Path::to_path_buf).collect();
    for path in &files {
        let bytes = image.file(path).unwrap().to_vec();
        let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        for len in (0..end).rev().step_by(stride(61)) {
            let mut image = image.clone();
            image.file_mut(path).unwrap().truncate(len);
            let reports = verify(&image);
            let found = findings(&reports);
            assert!(found.iter().any(|finding| finding.path.ends_with(path)), "{} at {len}: {found:?}", path.display());
            if !found.iter().any(|finding| finding.is_damage()) {
                assert_eq!(dump(&inspect(&image)), whole, "{} at {len}", path.display());
            }
        }
    }
}

#[test]
fn cleared_and_overwritten_sectors_are_found() {
    let image = closed();
    let whole = dump(&inspect(&image));
    let files: Vec<_> = image.files().filter(|path| !path.ends_with("reserve")).map(Path::to_path_buf).collect();
    for path in &files {
        let bytes = image.file(path).unwrap().to_vec();
        for fill in [0, 0xff, 0x01] {
            for (sector, content) in bytes.chunks(512).enumerate() {
                if content.iter().all(|&byte| byte == fill) {
                    continue;
                }
                let mut image = image.clone();
                image.file_mut(path).unwrap()[sector * 512..][..content.len()].fill(fill);
                let reports = match inspect(&image).verify() {
                    Err(error) => panic!("{error}"),
                    Ok(reports) => reports,
                };
                let found = findings(&reports);
                assert!(found.iter().any(|finding| finding.path.ends_with(path)), "{} {sector}", path.display());
                if !found.iter().any(|finding| finding.is_damage()) {
                    assert_eq!(dump(&inspect(&image)), whole, "{} {sector}", path.display());
                }
            }
        }
    }
}
