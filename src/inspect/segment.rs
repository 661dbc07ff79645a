//! Checking a segment that has a successor.

use std::path::Path;
use std::sync::Arc;

use crate::damage::{Finding, Problem};
use crate::format::Identity;
use crate::format::file_name::File as FileName;
use crate::format::header::{Header, Kind};
use crate::format::index::Index;
use crate::io::place::Place;
use crate::io::{Access, File};
use crate::log::holes::{Hole, Walked, walk};
use crate::log::scan::{self, Ending, Scan};
use crate::log::segment::{OUT_OF_PLACE, read_header};
use crate::{Corruption, Error, Result, StreamId};

/// The most an index may take, in bytes.
const INDEX_LEN_MAX: u64 = 64 << 20;

/// What is known of a segment after it was checked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its identity and that of the segment before, if its header can be read.
    pub file: Option<Identity>,
    pub predecessor: Option<Identity>,
    /// The ordinal after its last entry, and its last ID.
    pub next_ordinal: u64,
    pub last_id: StreamId,
}

/// Checks a segment and its index. `after` is the last ID before it; `next` says with which ordinal, and after which ID, the
/// next one begins.
pub fn check(
    place: &Place,
    base: u64,
    incarnation: Option<&Identity>,
    after: StreamId,
    next: (u64, StreamId),
    findings: &mut Vec<(Finding, Option<Hole>)>,
) -> Result<Checked> {
    let path = place.full(FileName::Segment(base).name());
    let whole = |after: StreamId| Hole {
        offset: 0,
        what: Corruption::Missing,
        after,
        through: Some(next.1),
        from: base,
        to: next.0,
        is_followed: false,
    };
    let unreadable = Checked { file: None, predecessor: None, next_ordinal: next.0, last_id: next.1 };
    let (header, file) = match open_in_place(place, base, incarnation) {
        Ok(opened) => opened,
        Err(error) => {
            findings.push((Finding::of(error)?, Some(whole(after))));
            return Ok(unreadable);
        }
    };
    let found = match scan::scan(&header, &*file, &path, u64::MAX) {
        Err(error @ Error::Corrupt { .. }) => {
            findings.push((Finding::of(error)?, Some(whole(header.previous_id))));
            return Ok(unreadable);
        }
        found => found?,
    };
    let mut checked = Checked {
        file: Some(header.file),
        predecessor: Some(header.predecessor),
        next_ordinal: found.next_ordinal,
        last_id: found.last_id,
    };
    if matches!(found.ending, Ending::Sealed(_)) && found.next_ordinal <= next.0 {
        check_index(place, base, &header, &*file, found, findings)?;
        return Ok(checked);
    }
    let (holes, end) = holes_of(&header, &*file, &path, next, found)?;
    for hole in holes {
        let finding = Finding::new(path.clone(), hole.offset, Problem::Damage(hole.what.clone()));
        findings.push((finding, Some(hole)));
    }
    checked.next_ordinal = end.min(next.0);
    checked.last_id = next.1;
    Ok(checked)
}

/// A segment and its header, if that says that it belongs there.
fn open_in_place(place: &Place, base: u64, incarnation: Option<&Identity>) -> Result<(Header, Arc<dyn File>)> {
    let name = FileName::Segment(base).name();
    let file = place.open(&name, Access::Read)?;
    let path = place.full(&name);
    let header = read_header(&*file, &path, Kind::Segment)?;
    if header.base != base || incarnation.is_some_and(|incarnation| *incarnation != header.incarnation) {
        return Err(Error::corrupt(&path, 0, OUT_OF_PLACE));
    }
    Ok((header, file))
}

/// What is damaged in a segment in which a scan `found` no seal, or more than there is before the next one; and the ordinal
/// after its last entry.
fn holes_of(
    header: &Header,
    file: &dyn File,
    path: &Path,
    next: (u64, StreamId),
    found: Scan,
) -> Result<(Vec<Hole>, u64)> {
    let Walked { mut holes, end, .. } = walk(header, file, path, Some(next))?;
    if holes.is_empty() {
        // All records are whole, but contradict each other or the next segment.
        let what = match found.ending {
            Ending::Flawed(what) => what,
            _ => Corruption::Malformed("the segment and the next one overlap"),
        };
        holes.push(Hole {
            offset: found.tail,
            what,
            after: found.last_id,
            through: Some(next.1),
            from: header.base,
            to: next.0,
            is_followed: false,
        });
    }
    Ok((holes, end))
}

/// Compares the index of a sound segment with what it would be if it was made now.
fn check_index(
    place: &Place,
    base: u64,
    header: &Header,
    file: &dyn File,
    mut found: Scan,
    findings: &mut Vec<(Finding, Option<Hole>)>,
) -> Result<()> {
    let name = FileName::Index(base).name();
    let bytes = match place.read(&name, INDEX_LEN_MAX) {
        // It comes and goes with its segment.
        Ok(None) | Err(Error::Corrupt { what: Corruption::Missing, .. }) => return Ok(()),
        Err(error @ Error::Corrupt { .. }) => {
            findings.push((Finding { problem: Problem::Index, ..Finding::of(error)? }, None));
            return Ok(());
        }
        bytes => bytes?.unwrap_or_default(),
    };
    let path = place.full(&name);
    let finished = found.blocks.finish(file, found.tail, &mut Vec::new());
    finished.map_err(|error| Error::io("read", &place.full(FileName::Segment(base).name()), error))?;
    let entries = (found.next_ordinal - header.base) as u32;
    let expected = Index { end: found.tail, entries, blocks: found.blocks.list, shapes: found.shapes };
    let offset = match Index::decode(&bytes, &header.file) {
        Some(index) if index == expected => return Ok(()),
        Some(_) => {
            let expected = expected.encode(&header.file);
            let differs = |(at, (a, b)): (usize, (&u8, &u8))| (a != b && !(12..16).contains(&at)).then_some(at as u64);
            bytes.iter().zip(&expected).enumerate().find_map(differs).unwrap_or(0)
        }
        None => 0,
    };
    findings.push((Finding::new(path, offset, Problem::Index), None));
    Ok(())
}
