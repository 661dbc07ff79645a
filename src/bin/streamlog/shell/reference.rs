//! What people are told of each command: its arguments, what it does, an example. Hints, completion and `help` come from here.

mod adding;
mod connection;
mod groups;
mod keys;
mod reading;
mod removing;

use super::syntax::Rest;

/// A family of commands.
pub struct Family {
    pub title: &'static str,
    pub commands: &'static [Entry],
}

/// What there is to know of a command, or of a subcommand with its container's name in front.
#[derive(Debug)]
pub struct Entry {
    /// In capitals.
    pub name: &'static str,
    /// See [`syntax`](super::syntax).
    pub arguments: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What else one has to know.
    pub more: &'static str,
    /// Lines that could be typed.
    pub examples: &'static [&'static str],
}

/// In the order in which one meets them.
pub static FAMILIES: [Family; 6] =
    [adding::FAMILY, reading::FAMILY, removing::FAMILY, groups::FAMILY, keys::FAMILY, connection::FAMILY];

/// All commands.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.iter().flat_map(|family| family.commands)
}

/// The command that a line calls, and what follows its name; the name may be two words.
pub fn find(words: &[Vec<u8>]) -> Option<(&'static Entry, &[Vec<u8>])> {
    all().find_map(|entry| {
        let count = entry.words().count();
        let (name, rest) = words.split_at_checked(count)?;
        let fits = |(word, typed): (&str, &Vec<u8>)| typed.eq_ignore_ascii_case(word.as_bytes());
        entry.words().zip(name).all(fits).then_some((entry, rest))
    })
}

impl Entry {
    /// The words of its name.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.name.split(' ')
    }

    /// Its syntax, of which nothing has been typed.
    pub fn syntax(&self) -> Rest {
        Rest::of(self.arguments)
    }
}

#[cfg(test)]
mod tests;
