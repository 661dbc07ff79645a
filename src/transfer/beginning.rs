//! What is no log shows in its first bytes.
//!
//! A server logs its commands as arrays (RESP), which cannot be mistaken. Plain lines can: to read commands, any line of words
//! is one, and a text would be taken in as commands that are not known, all of them passed over. So the first line that is
//! neither empty nor a comment has to begin as commands are called. Of commands that are known here, upper and lower case may
//! be mixed; others are those of modules and of servers to come: letters, all capital or all small, in parts joined by `.`, `-`
//! or `_` (`JSON.SET`, `RESTORE-ASKING`, `FT._LIST`). Later lines are not judged: there, what is not known is counted.

use super::apply;
use super::import::ImportError;
use crate::command;

/// No more than this is looked at: as long as the longest line may be.
const LEN_MAX: usize = 64 << 10;
/// So many bytes tell a snapshot and a manifest.
const LEN_MIN: usize = 5;
/// Of what is no command, so much is told.
const WORD_LEN_MAX: usize = 40;

/// Whether more bytes would not change what [`check`] says.
pub fn is_enough(beginning: &[u8]) -> bool {
    let is_whole = |line: Line<'_>| line.is_whole || line.text.first() == Some(&b'*');
    beginning.len() >= LEN_MIN && (beginning.len() > LEN_MAX || first_line(beginning).is_some_and(is_whole))
}

/// Refuses what is something else altogether, and would be taken for damage or for commands that are not known.
pub fn check(beginning: &[u8]) -> Result<(), ImportError> {
    match beginning {
        [b'R', b'E', b'D', b'I', b'S', ..] => return Err(ImportError::Snapshot),
        [0x1f, 0x8b, ..] => return Err(ImportError::Compressed),
        [b'f', b'i', b'l', b'e', b' ', ..] => return Err(ImportError::Manifest),
        _ => {}
    }
    let Some(line) = first_line(beginning).filter(|line| line.text.first() != Some(&b'*')) else { return Ok(()) };
    // Of a line that has not arrived in full, so much of the word as has.
    let words = line.is_whole.then(|| command::split_line(line.text)).flatten();
    let word = match words.as_deref() {
        Some([word, ..]) => word,
        _ => line.text.split(u8::is_ascii_whitespace).find(|word| !word.is_empty()).unwrap_or_default(),
    };
    // Within a quote that has not arrived in full, or is not closed, anything may be.
    if may_be_command(word) || word.is_empty() || (words.is_none() && matches!(word, [b'"' | b'\'', ..])) {
        return Ok(());
    }
    let shown = word.get(..WORD_LEN_MAX).map_or_else(
        || word.escape_ascii().to_string(),
        |start| format!("{}{}", start.escape_ascii(), if word.len() > WORD_LEN_MAX { "..." } else { "" }),
    );
    Err(ImportError::NotCommands { line: line.number, word: shown })
}

/// A line of text.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a [u8],
    /// From 1 on.
    number: u64,
    /// Its end is there.
    is_whole: bool,
}

/// The first line that is neither empty nor a comment.
fn first_line(beginning: &[u8]) -> Option<Line<'_>> {
    let lines = beginning.split_inclusive(|byte| *byte == b'\n');
    (1..).zip(lines).find_map(|(number, text)| {
        let is_passed_over = text.first() == Some(&b'#') || text.trim_ascii().is_empty();
        (!is_passed_over).then_some(Line { text, number, is_whole: text.ends_with(b"\n") })
    })
}

/// Whether there may be a command of this name.
fn may_be_command(name: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'.' | b'-' | b'_');
    let is_mixed = name.iter().any(u8::is_ascii_uppercase) && name.iter().any(u8::is_ascii_lowercase);
    name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(is_part)
        && (!is_mixed || apply::is_known(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &[u8]) -> Option<(u64, String)> {
        match check(text) {
            Ok(()) => None,
            Err(ImportError::NotCommands { line, word }) => Some((line, word)),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_commands_may_begin_with_is_let_through() {
        for log in [
            &b""[..],
            b"\r\n",
            b"XADD s 1-1 f v\r\n",
            b"  xadd s",
            b"Xadd s 1-1 f v\n",
            b"Flushall\n",
            b"\"XADD\" s 1-1 f v\n",
            b"\"XADD",
            b"SET k v\n",
            b"set k v\n",
            b"JSON.SET doc $ 1\n",
            b"FT._LIST\n",
            b"RESTORE-ASKING k 0 x\n",
            b"evalsha_ro x 0\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"*1",
            b"#TS:1700000000\r\n*1\r\n$4\r\nPING\r\n",
            b"# don't\n\n# \"\nXADD s 1-1 f v\nroot:x\n",
            b"#",
        ] {
            assert_eq!(refused(log), None, "{}", log.escape_ascii());
        }
    }

    #[test]
    fn what_no_command_begins_with_is_refused() {
        for (text, line, word) in [
            (&b"root:x:0:0:root:/root:/bin/bash\n"[..], 1, "root:x:0:0:root:/root:/bin/bash"),
            (b"root:x", 1, "root:x"),
            (b"#!/bin/sh\n\n[ -e x ]\n", 3, "["),
            (b"{\"a\": 1}", 1, "{\\\"a\\\":"),
            (b"The quick brown fox\n", 1, "The"),
            (b"1700000000000-0 f v\n", 1, "1700000000000-0"),
            (b"id,name\n", 1, "id,name"),
            (b"\x7fELF\x02\x01", 1, "\\x7fELF\\x02\\x01"),
            (b"-ERR unknown\r\n", 1, "-ERR"),
            (b"\xef\xbb\xbfXADD s 1-1 f v\n", 1, "\\xef\\xbb\\xbfXADD"),
        ] {
            assert_eq!(refused(text), Some((line, word.to_owned())), "{}", text.escape_ascii());
        }
        let long = refused(&[b'=', b'x'].repeat(300)).expect("a long word");
        assert_eq!(long, (1, format!("{}...", "=x".repeat(20))));
    }

    #[test]
    fn a_beginning_is_enough_once_more_would_change_nothing() {
        for (beginning, enough) in [
            (&b"XADD s"[..], false),
            (b"XADD s\n", true),
            (b"\n\n\n\n\n", false),
            (b"#TS:1\r\n", false),
            (b"#TS:1\r\n*1\r", true),
            (b"*1\r\n", false),
        ] {
            assert_eq!(is_enough(beginning), enough, "{}", beginning.escape_ascii());
        }
        assert!(is_enough(&[b'x'; LEN_MAX + 1]) && is_enough(&[b'\n'; LEN_MAX + 1]));
    }
}
