//! How far an import is, as text: a line for each number, and a checksum.
//!
//! ```text
//! streamlog import 1
//! tree 7
//! input 0
//! offset 1234567
//! head 89abcdef01234567 4096
//! ...
//! skipped 0 12 HSET
//! crc 1c2d3e4f
//! ```

use std::fmt::Write as _;

use super::report::{Imported, Skipped};

const FIRST_LINE: &str = "streamlog import 1";

/// How far an import is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The directory with the streams as they were then.
    pub tree: u64,
    /// Which of the inputs, and how many bytes of it are done with.
    pub input: u64,
    pub offset: u64,
    /// A hash of the first bytes of that input, and how many.
    pub head: (u64, u64),
    /// The database that is taken in, and the one that commands are for.
    pub wanted: u64,
    pub database: u64,
    /// There was nothing in the store when the import began.
    pub may_flush: bool,
    /// What it came to, but for the commands that were refused.
    pub imported: Imported,
}

impl Position {
    pub fn encode(&self) -> Vec<u8> {
        let Self { tree, input, offset, head, wanted, database, may_flush, imported } = self;
        let Imported { bytes, commands, entries, annotations, expiries, refused_count, .. } = imported;
        let mut text = format!("{FIRST_LINE}\ntree {tree}\ninput {input}\noffset {offset}\n");
        let _ = writeln!(text, "head {:016x} {}", head.0, head.1);
        let _ = writeln!(text, "wanted {wanted}\ndatabase {database}\nflush {}", u8::from(*may_flush));
        let _ = writeln!(text, "bytes {bytes}\ncommands {commands}\nentries {entries}\nannotations {annotations}");
        let _ = writeln!(text, "expiries {expiries}\nrefused {refused_count}");
        for (Skipped { database, command }, count) in &imported.skipped {
            let _ = writeln!(text, "skipped {database} {count} {command}");
        }
        let _ = writeln!(text, "crc {:08x}", crc32fast::hash(text.as_bytes()));
        text.into_bytes()
    }

    /// `None` of what is none, or damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let (body, crc) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let covered = text.get(..body.len() + 1)?;
        let crc = u32::from_str_radix(crc.strip_prefix("crc ")?, 16).ok()?;
        let mut lines = body.lines();
        if crc != crc32fast::hash(covered.as_bytes()) || lines.next() != Some(FIRST_LINE) {
            return None;
        }
        let mut position = Self::default();
        for line in lines {
            position.take(line)?;
        }
        Some(position)
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let (name, value) = line.split_once(' ')?;
        let imported = &mut self.imported;
        let number = match name {
            "head" => {
                let (hash, len) = value.split_once(' ')?;
                self.head = (u64::from_str_radix(hash, 16).ok()?, len.parse().ok()?);
                return Some(());
            }
            "skipped" => {
                let mut words = value.splitn(3, ' ');
                let (database, count) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                let command = words.next()?.to_owned();
                imported.skipped.insert(Skipped { database, command }, count);
                return Some(());
            }
            "flush" => {
                self.may_flush = value == "1";
                return Some(());
            }
            "tree" => &mut self.tree,
            "input" => &mut self.input,
            "offset" => &mut self.offset,
            "wanted" => &mut self.wanted,
            "database" => &mut self.database,
            "bytes" => &mut imported.bytes,
            "commands" => &mut imported.commands,
            "entries" => &mut imported.entries,
            "annotations" => &mut imported.annotations,
            "expiries" => &mut imported.expiries,
            "refused" => &mut imported.refused_count,
            _ => return None,
        };
        *number = value.parse().ok()?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written_and_damage_is_noticed() {
        let mut position =
            Position { tree: 3, input: 1, offset: 77, head: (0xabc, 77), may_flush: true, ..Default::default() };
        (position.wanted, position.database) = (2, 5);
        position.imported = Imported { bytes: 99, commands: 8, entries: 7, refused_count: 1, ..Default::default() };
        position.imported.skip(b"hset", 5);
        position.imported.skip(b"odd name\n", 0);
        let bytes = position.encode();
        assert_eq!(Position::decode(&bytes), Some(position));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Position::decode(&damaged), None, "byte {at}");
            assert_eq!(Position::decode(&bytes[..at]), None, "the first {at} bytes");
        }
    }
}
