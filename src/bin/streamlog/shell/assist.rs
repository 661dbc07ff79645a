//! What the shell says before a line is complete: how a word may go on, and which arguments are yet to come.

use streamlog::command::split_line;

use super::reference::{self, Entry};
use super::syntax::{Rest, Term};
use crate::opened::Opened;
use crate::print::quoted;

/// What the shell knows besides commands.
const WORDS: [&str; 3] = ["help", "exit", "quit"];

/// A line up to the cursor.
struct Typed<'a> {
    /// The words that are complete.
    words: Vec<Vec<u8>>,
    /// Where the last one begins.
    start: usize,
    /// The last one, as far as it goes; empty after a blank.
    partial: &'a str,
}

/// What is shown behind the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    pub text: String,
    /// How much of it belongs to the word at the cursor, and could be taken over.
    pub of_word: usize,
}

/// The ways the word at the end of a line may go on: where it begins, and what it may be.
pub fn completions(opened: &Opened, line: &str) -> (usize, Vec<String>) {
    let Some(Typed { words, start, partial }) = Typed::of(line) else { return (line.len(), Vec::new()) };
    let is_help = words.first().is_some_and(|word| word.eq_ignore_ascii_case(b"help"));
    let named = if is_help { words.get(1..).unwrap_or_default() } else { &words };
    let mut found: Vec<String> = rests_of_names(named, partial);
    if words.is_empty() {
        found.extend(WORDS.iter().filter(|word| begins(word, partial)).map(|word| (*word).to_owned()));
    }
    if let (false, Some(rest)) = (is_help, rest_after(&words)) {
        found.extend(keywords(&rest, partial).map(str::to_owned));
        found.extend(names(opened, &rest, partial));
    }
    (start, found.into_iter().map(|word| word + " ").collect())
}

/// What is yet to come of a line.
pub fn hint(line: &str) -> Option<Hint> {
    let Typed { words, partial, .. } = Typed::of(line)?;
    if partial.is_empty() {
        let text = match rest_after(&words) {
            Some(rest) => rest.to_string(),
            None if words.is_empty() => return None,
            None => rests_of_names(&words, "").join("|"),
        };
        return Hint::behind(text);
    }
    let with_partial = || [&*words, &[partial.as_bytes().to_vec()]].concat();
    let Some(rest) = rest_after(&words) else {
        if let Some((entry, _)) = reference::find(&with_partial()) {
            return Hint::behind(spaced(entry.arguments));
        }
        let names = rests_of_names(&words, partial);
        let [name] = &*names else { return None };
        let entry = entries_below(&words).find(|entry| entry.name.ends_with(&**name))?;
        return Some(Hint::of_word(name, partial, entry.arguments));
    };
    let may_be_anything = rest.next().iter().any(|term| matches!(term, Term::Argument(_)));
    let mut fitting = keywords(&rest, partial).filter(|keyword| keyword.len() > partial.len());
    if let (Some(keyword), None) = (fitting.next(), fitting.next())
        && (partial.len() > 1 || !may_be_anything)
    {
        let behind = rest.after(keyword.as_bytes())?;
        return Some(Hint::of_word(keyword, partial, &behind.to_string()));
    }
    Hint::behind(spaced(&rest.after(partial.as_bytes())?.to_string()))
}

impl<'a> Typed<'a> {
    /// `None` inside quotes: what is in them is nobody's business.
    fn of(line: &'a str) -> Option<Self> {
        let start =
            line.rfind(char::is_whitespace).map_or(0, |at| at + line[at..].chars().next().map_or(1, char::len_utf8));
        let (before, partial) = line.split_at_checked(start)?;
        let words = split_line(before.as_bytes())?;
        (!partial.contains(['"', '\''])).then_some(Self { words, start, partial })
    }
}

impl Hint {
    /// As much of it as there is room for.
    pub fn within(mut self, len_max: usize) -> Self {
        if let Some((cut, _)) = self.text.char_indices().nth(len_max) {
            let cut = self.text[..cut].char_indices().next_back().map_or(0, |(at, _)| at);
            self.text.truncate(cut);
            self.text.push_str(if len_max > 0 { "…" } else { "" });
            self.of_word = self.of_word.min(cut);
        }
        self
    }

    /// A hint that is nothing to take over.
    fn behind(text: String) -> Option<Self> {
        (!text.is_empty()).then_some(Self { text, of_word: 0 })
    }

    /// How `partial` becomes `word`, and what follows.
    fn of_word(word: &str, partial: &str, behind: &str) -> Self {
        let rest = in_case_of(partial, word.get(partial.len()..).unwrap_or_default());
        Self { of_word: rest.len(), text: rest + &spaced(behind) }
    }
}

fn spaced(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" {text}") }
}

fn begins(word: &str, typed: &str) -> bool {
    word.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed))
}

/// In small letters if that is how somebody types.
fn in_case_of(typed: &str, word: &str) -> String {
    if typed.ends_with(|last: char| last.is_ascii_lowercase()) { word.to_lowercase() } else { word.to_owned() }
}

/// The commands whose names begin with these words and go on.
fn entries_below(words: &[Vec<u8>]) -> impl Iterator<Item = &'static Entry> {
    reference::all().filter(|entry| {
        let mut name = entry.words();
        words.iter().all(|typed| name.next().is_some_and(|word| typed.eq_ignore_ascii_case(word.as_bytes())))
            && name.next().is_some()
    })
}

/// How the names of commands go on that begin with `words` and `partial`.
fn rests_of_names(words: &[Vec<u8>], partial: &str) -> Vec<String> {
    let rest = |entry: &Entry| entry.words().skip(words.len()).collect::<Vec<_>>().join(" ");
    entries_below(words).map(rest).filter(|name| begins(name, partial)).collect()
}

/// What may follow complete words; `None` if they are no command, or there are too many of them.
fn rest_after(words: &[Vec<u8>]) -> Option<Rest> {
    let (entry, arguments) = reference::find(words)?;
    arguments.iter().try_fold(entry.syntax(), |rest, argument| rest.after(argument))
}

fn keywords(rest: &Rest, partial: &str) -> impl Iterator<Item = &'static str> {
    rest.next().into_iter().filter_map(move |term| match term {
        Term::Keyword(keyword) if begins(keyword, partial) => Some(keyword),
        _ => None,
    })
}

/// Names of what is in the store. What cannot be looked up is not offered, and no reason to complain while somebody types.
fn names(opened: &Opened, rest: &Rest, partial: &str) -> Vec<String> {
    let mut names = Vec::new();
    for term in rest.next() {
        let Term::Argument(argument) = term else { continue };
        let found = match (argument, rest.given("stream"), rest.given("group")) {
            ("stream", ..) => opened.names().ok(),
            ("group", Some(stream), _) => groups(opened, stream),
            ("consumer", Some(stream), Some(group)) => consumers(opened, stream, group),
            _ => None,
        };
        names.extend(found.unwrap_or_default());
    }
    names.retain(|name| name.starts_with(partial.as_bytes()));
    names.sort_unstable();
    names.into_iter().map(as_argument).collect()
}

fn groups(opened: &Opened, stream: &[u8]) -> Option<Vec<Vec<u8>>> {
    Some(opened.groups(stream).ok()?.into_iter().map(|group| group.name).collect())
}

fn consumers(opened: &Opened, stream: &[u8], group: &[u8]) -> Option<Vec<Vec<u8>>> {
    Some(opened.consumers(stream, group).ok()?.into_iter().map(|consumer| consumer.name).collect())
}

/// A name as it has to be typed.
fn as_argument(name: Vec<u8>) -> String {
    match String::from_utf8(name) {
        Ok(text)
            if !text.is_empty()
                && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'\\".contains(c)) =>
        {
            text
        }
        Ok(text) => String::from_utf8_lossy(&quoted(text.as_bytes())).into_owned(),
        Err(error) => String::from_utf8_lossy(&quoted(error.as_bytes())).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use streamlog::Store;
    use streamlog::command::Session;

    use super::*;

    fn store() -> Store {
        let store = Store::in_memory();
        let mut session = Session::new(&store);
        for line in [
            "XADD orders 1-0 a b",
            "XADD 'old orders' 1-0 a b",
            "XGROUP CREATE orders workers 0",
            "XGROUP CREATECONSUMER orders workers alice",
        ] {
            assert!(!session.execute(&split_line(line.as_bytes()).unwrap()).is_error());
        }
        store
    }

    fn completed(line: &str) -> Vec<String> {
        let (start, words) = completions(&Opened::Writable(store()), line);
        words.iter().map(|word| format!("{}{word}", &line[..start])).collect()
    }

    #[test]
    fn names_of_commands_are_completed_in_any_case() {
        assert_eq!(completed("xgroup cr"), ["xgroup CREATE ", "xgroup CREATECONSUMER "]);
        assert_eq!(completed("xad"), ["XADD "]);
        assert_eq!(completed("XG").len(), 6);
        assert_eq!(completed("he"), ["HELLO ", "help "]);
        assert_eq!(completed("help xreadg"), ["help XREADGROUP "]);
        assert_eq!(completed("nonsense "), [""; 0]);
    }

    #[test]
    fn options_and_names_in_the_store_are_completed() {
        assert_eq!(completed("XADD o"), ["XADD \"old orders\" ", "XADD orders "]);
        assert_eq!(completed("XADD orders KE"), ["XADD orders KEEPREF "]);
        assert_eq!(completed("XACK orders "), ["XACK orders workers "]);
        assert_eq!(completed("XGROUP DELCONSUMER orders workers "), ["XGROUP DELCONSUMER orders workers alice "]);
        assert_eq!(completed("XREAD COUNT 10 BL"), ["XREAD COUNT 10 BLOCK "]);
        assert_eq!(completed("XADD orders \"KE"), [""; 0]);
    }

    #[test]
    fn a_hint_is_cut_where_there_is_no_room() {
        let hint = Hint { text: "UNT count".to_owned(), of_word: 3 };
        assert_eq!(hint.clone().within(9), hint);
        assert_eq!(hint.clone().within(4), Hint { text: "UNT…".to_owned(), of_word: 3 });
        assert_eq!(hint.clone().within(2), Hint { text: "U…".to_owned(), of_word: 1 });
        assert_eq!(hint.within(0), Hint { text: String::new(), of_word: 0 });
    }

    #[test]
    fn hints_tell_what_is_yet_to_come() {
        for (typed, expected) in [
            ("", None),
            ("x", None),
            ("xad", Some(("d stream", 1))),
            ("XLEN", Some((" stream", 0))),
            ("XLEN ", Some(("stream", 0))),
            ("XLEN ord", None),
            ("XRANGE orders ", Some(("-|start +|end [COUNT count]", 0))),
            ("XRANGE orders - + C", Some(("OUNT count", 4))),
            ("xrange orders - + co", Some(("unt count", 3))),
            ("XREVRANGE orders + - COUNT", Some((" count", 0))),
            ("XINFO ", Some(("STREAM|HELP|GROUPS|CONSUMERS", 0))),
            ("xgroup createc", Some(("onsumer stream group consumer", 7))),
            ("XADD orders MAXLEN ~ 10", Some((" [LIMIT count]", 0))),
            ("XLEN 'quoted", None),
            ("XLEN a b", None),
        ] {
            let hint = hint(typed);
            let hint = hint.as_ref().map(|hint| (hint.text.as_str(), hint.of_word));
            match (hint, expected) {
                (Some((text, taken)), Some((start, of_word))) => {
                    assert!(text.starts_with(start) && taken == of_word, "{typed}: {text:?}, {taken}");
                }
                (hint, expected) => assert_eq!(hint, expected, "{typed}"),
            }
        }
    }
}
