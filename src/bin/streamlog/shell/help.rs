//! The shell's `help`: of itself, and of commands.

use std::fmt::Write;

use super::reference::{self, Entry, FAMILIES};
use crate::style::{ASIDE, NAME, TITLE, paint};

const START: &str = "\
Type a command, for example:
  XADD orders * type order.created total 49.99
  XRANGE orders - + COUNT 10
  XGROUP CREATE orders workers 0
  XREADGROUP GROUP workers alice BLOCK 5000 STREAMS orders >

There are:
";

const MORE: &str =
    "`help XADD` tells more of a command, with examples; `help groups` what each of these does in a line.";

const QUOTES: &str = r#"Arguments are separated by blanks. "a b" and 'a b' are one argument; in double quotes, \n \r \t \b \a, \xHH (a byte in hexadecimal), \\ and \" are understood."#;

const KEYS: &str = "Tab completes commands, options, and the names of streams, groups and consumers. What is shown faintly is \
                    yet to come (nothing is where there are no colours: `help XADD` tells of it); the right arrow takes over \
                    the rest of a word. Up and down walk through the history, Ctrl-R searches it. Ctrl-C gives up a \
                    line, or the shell while a command waits. exit, quit or Ctrl-D leaves.";

/// How wide text may be.
pub fn width() -> usize {
    const READABLE: u16 = 100;
    crossterm::terminal::size().map_or(80, |(columns, _)| columns.clamp(40, READABLE).into())
}

/// The answer to `help` and what follows it; `Err` if that is no command.
pub fn text(words: &[Vec<u8>], width: usize) -> Result<String, String> {
    if words.is_empty() {
        return Ok(overview(width));
    }
    if let Some((entry, [])) = reference::find(words) {
        return Ok(of_command(entry, width));
    }
    let typed = words.iter().map(|word| String::from_utf8_lossy(word).to_uppercase()).collect::<Vec<_>>().join(" ");
    let below: Vec<_> = reference::all().filter(|entry| entry.name.starts_with(&format!("{typed} "))).collect();
    if !below.is_empty() {
        return Ok(below.into_iter().map(|entry| line(entry, width)).collect());
    }
    if let Some(family) = FAMILIES.iter().find(|family| family.title.eq_ignore_ascii_case(&typed)) {
        return Ok(family.commands.iter().map(|entry| line(entry, width)).collect());
    }
    let mut similar: Vec<_> = reference::all().map(|entry| entry.name).filter(|name| name.contains(&typed)).collect();
    similar.truncate(5);
    Err(match &*similar {
        [] => format!("There is no command {typed}. `help` lists all of them.\n"),
        similar => format!("There is no command {typed}. There is {}.\n", similar.join(", ")),
    })
}

fn overview(width: usize) -> String {
    let mut text = START.to_owned() + &commands(width);
    for paragraph in [MORE, QUOTES, KEYS] {
        text += "\n";
        text += &wrapped(paragraph, "", width);
    }
    text
}

/// The names of all commands, by family.
pub fn commands(width: usize) -> String {
    let mut text = String::new();
    for family in &FAMILIES {
        let names =
            family.commands.iter().map(|entry| entry.name.replace(' ', "\u{a0}")).collect::<Vec<_>>().join(", ");
        let names = wrapped(&names, &" ".repeat(12), width).replace('\u{a0}', " ");
        let title = paint(TITLE, format!("{:10}", family.title));
        write!(text, "  {title}{}", names.get(12..).unwrap_or_default()).expect("a String takes everything");
    }
    text
}

/// A command and what it does.
fn line(entry: &Entry, width: usize) -> String {
    const NAME_WIDTH: usize = 22;
    let summary = wrapped(entry.summary, &" ".repeat(NAME_WIDTH + 2), width);
    format!("  {}{}", paint(NAME, format!("{:NAME_WIDTH$}", entry.name)), summary.trim_start())
}

fn of_command(entry: &Entry, width: usize) -> String {
    // Options are not broken over lines.
    let syntax = wrapped(&entry.arguments.replace("] [", "]\u{1f}["), "    ", width);
    let syntax = syntax.trim_start().replace('\u{1f}', " ");
    let mut text = format!("{} {}", paint(TITLE, entry.name), if syntax.is_empty() { "\n" } else { &syntax });
    text += &wrapped(entry.summary, "  ", width);
    if !entry.more.is_empty() {
        text += "\n";
        text += &wrapped(entry.more, "  ", width);
    }
    match entry.examples {
        [] => {}
        [_] => text += &format!("\n  {}\n", paint(ASIDE, "Example:")),
        _ => text += &format!("\n  {}\n", paint(ASIDE, "Examples:")),
    }
    text.extend(entry.examples.iter().map(|example| format!("    {example}\n")));
    text
}

/// Breaks text at blanks, into lines of at most `width` characters, each behind `indent`.
fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut len = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word_len = word.chars().count();
        if len > 0 && len + 1 + word_len > width {
            lines.push('\n');
            len = 0;
        }
        lines.push_str(if len == 0 { indent } else { " " });
        len += word_len + if len == 0 { indent.len() } else { 1 };
        lines.push_str(word);
    }
    if len > 0 {
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(line: &str) -> Result<String, String> {
        let words: Vec<_> = line.split_ascii_whitespace().map(|word| word.as_bytes().to_vec()).collect();
        text(&words, 60).map(|text| anstream::adapter::strip_str(&text).to_string())
    }

    #[test]
    fn help_lists_all_commands_and_tells_of_each() {
        let overview = help("").unwrap();
        for entry in reference::all() {
            assert!(overview.split(['\n', ',']).any(|name| name.trim().ends_with(entry.name)), "{}", entry.name);
            let told = help(entry.name).unwrap();
            assert!(told.starts_with(entry.name), "{told}");
            assert!(entry.examples.iter().all(|example| told.contains(example)), "{told}");
        }
    }

    #[test]
    fn lines_are_broken_at_blanks() {
        let told = help("xtrim").unwrap();
        assert!(told.starts_with(
            "XTRIM stream [KEEPREF|DELREF|ACKED] MAXLEN|MINID [=|~]\n    threshold [LIMIT count]\n  Remove the oldest"
        ), "{told}");
        assert!(told.lines().filter(|line| !line.starts_with("    ")).all(|line| line.len() <= 60), "{told}");
    }

    #[test]
    fn a_container_lists_its_subcommands_and_what_is_unknown_is_said_to_be() {
        let below = help("xgroup").unwrap();
        assert_eq!(below.lines().filter(|line| line.starts_with("  XGROUP ")).count(), 6, "{below}");
        assert!(help("removing").unwrap().starts_with("  XDEL                  Delete entries"));
        assert_eq!(help("READ").unwrap_err(), "There is no command READ. There is XREAD, XREADGROUP.\n");
        assert!(help("XADD orders").unwrap_err().contains("`help`"));
    }
}
