//! Records that are well-formed and whose checksums fit, but which nobody wrote.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::format::header::{HEADER_LEN, Header, Kind};
use crate::format::record::{self, Salt};
use crate::inspect::{Inspection, StreamReport};
use crate::sim::{Image, SimDisk};
use crate::{AddOptions, Error, Options, Position, Production, Result, Store, StreamId, Trim};

fn filled() -> Image {
    let disk = SimDisk::new();
    let store = Store::open_simulated(Options::new().segment_bytes_max(4096), &disk).unwrap();
    let stream = store.stream("s").unwrap();
    let id = |ms| StreamId::new(ms, 0);
    for ms in (1..=120).step_by(if cfg!(miri) { 23 } else { 1 }) {
        stream.add_with(AddOptions::new().id(id(ms)), [("field", "x".repeat(60))]).unwrap();
    }
    stream
        .add_with(AddOptions::new().production(Production::Named { producer: b"p", id: b"k" }), [("a", "b")])
        .unwrap();
    let group = stream.group("g");
    group.create(Position::Start).unwrap();
    group.consumer("c").read().count(20).new_entries().unwrap();
    group.acknowledge([id(3)]).unwrap();
    stream.delete([id(5), id(70)]).unwrap();
    stream.trim(Trim::to_len(if cfg!(miri) { 4 } else { 110 })).unwrap();
    store.close().unwrap();
    disk.kill_image(disk.steps())
}

/// The frames of the segments and journals, by file.
fn frames(image: &Image) -> BTreeMap<PathBuf, (Header, Vec<Range<usize>>)> {
    let mut all = BTreeMap::new();
    for path in image.files() {
        let kind = match path.extension().and_then(|it| it.to_str()) {
            Some("log") => Kind::Segment,
            Some("journal") => Kind::Journal,
            _ => continue,
        };
        let bytes = image.file(path).unwrap();
        let header = Header::decode(bytes[..HEADER_LEN].try_into().unwrap(), kind).unwrap();
        let (mut at, mut found) = (HEADER_LEN, Vec::new());
        while let Ok(frame) = record::decode(&bytes[at..], Salt::of(&header.file), at as u64) {
            found.push(at..at + frame.len);
            at += frame.len;
        }
        all.insert(path.to_path_buf(), (header, found));
    }
    all
}

/// What verifications came to.
#[derive(Debug, Default)]
struct Verified {
    done: usize,
    with_findings: usize,
}

impl Verified {
    fn note(&mut self, verified: Result<Vec<StreamReport>>) {
        if let Ok(reports) = verified {
            self.done += 1;
            self.with_findings += usize::from(reports.iter().any(|report| !report.findings.is_empty()));
        }
    }

    /// Some came to an end, and some of these noticed something: otherwise nothing was tried.
    fn assert_some(&self) {
        assert!(self.done > 0 && self.with_findings > 0, "{self:?}");
    }
}

/// Looks at everything; what comes of it does not matter each time, as long as something does.
fn look(image: &Image, verified: &mut Verified) {
    let inspection = Inspection::open_simulated(&image.mount()).unwrap();
    verified.note(inspection.verify());
    let _ = inspection.stat_stream("s");
    let _ = inspection.dump_stream("s", |item| {
        let _ = item.to_string();
        Ok::<(), Error>(())
    });
}

/// Numbers that are at the edges of what is possible, and others.
fn numbers() -> impl FnMut() -> u64 {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[test]
#[cfg_attr(miri, ignore = "looking takes seconds each time")]
fn changed_records_with_fitting_checksums_do_not_panic() {
    let image = filled();
    let all = frames(&image);
    let (mut next, mut verified) = (numbers(), Verified::default());
    let rounds = if std::env::var_os("STREAMLOG_NIGHTLY").is_some() { 100_000 } else { 3_000 };
    for _ in 0..rounds {
        let mut image = image.clone();
        let (path, (header, frames)) = all.iter().nth(next() as usize % all.len()).unwrap();
        let range = frames[next() as usize % frames.len()].clone();
        let bytes = image.file_mut(path).unwrap();
        let frame = record::decode(&bytes[range.clone()], Salt::of(&header.file), range.start as u64).unwrap();
        let (mut head, mut payload) = (frame.head, frame.payload.to_vec());
        for _ in 0..=next() % 3 {
            match (next() % 8, payload.len()) {
                (0, _) => head.kind = 1 + (next() % 31) as u8,
                (1, _) => head.peer = Some(next() >> (next() % 64)),
                (2, _) => head.floor = Some(next() >> (next() % 64)),
                (3, _) => head.synced = Some(next() >> (next() % 64)),
                (_, 0) => head.position = next() as u16,
                (4, len) => payload[next() as usize % len] = 0xff,
                (_, len) => payload[next() as usize % len] = next() as u8,
            }
        }
        let mut encoded = Vec::new();
        record::encode(&mut encoded, Salt::of(&header.file), range.start as u64, &head, &[&payload]);
        let end = (range.start + encoded.len()).min(bytes.len());
        bytes[range.start..end].copy_from_slice(&encoded[..end - range.start]);
        look(&image, &mut verified);
    }
    verified.assert_some();
}

#[test]
#[cfg_attr(miri, ignore = "looking takes seconds each time")]
fn changed_headers_with_fitting_checksums_do_not_panic() {
    let image = filled();
    let all = frames(&image);
    let (mut next, mut verified) = (numbers(), Verified::default());
    for _ in 0..2_000 {
        let mut image = image.clone();
        let (path, _) = all.iter().nth(next() as usize % all.len()).unwrap();
        let bytes = image.file_mut(path).unwrap();
        let at = 24 + (next() as usize % 15) * 8;
        let number = next() >> (next() % 64);
        bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..HEADER_LEN - 4]);
        bytes[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
        look(&image, &mut verified);
    }
    verified.assert_some();
}

#[test]
fn garbage_under_any_name_does_not_panic() {
    let image = filled();
    let files: Vec<_> = image.files().map(Path::to_path_buf).collect();
    let (mut next, mut verified) = (numbers(), Verified::default());
    for round in 0..if cfg!(miri) { 1 } else { 500 } {
        let mut image = image.clone();
        for path in &files {
            let bytes = image.file_mut(path).unwrap();
            let len = bytes.len();
            match next() % 4 {
                0 if round % 2 == 0 => bytes.iter_mut().for_each(|byte| *byte = next() as u8),
                1 => bytes.truncate(next() as usize % (len + 1)),
                2 if !path.ends_with("LOCK") => bytes.rotate_left(next() as usize % 64 % len.max(1)),
                _ => {}
            }
        }
        if let Ok(inspection) = Inspection::open_simulated(&image.mount()) {
            verified.note(inspection.verify());
            let _ = inspection.stat_stream("s");
        }
    }
    if !cfg!(miri) {
        verified.assert_some();
    }
}
