//! What may follow what in a command: its arguments as one writes them down, read to tell what is yet to come.
//!
//! `MAXLEN|MINID [=|~] threshold [LIMIT count]`: a word in lower case stands for an argument, anything else is typed as it
//! is. What is in brackets may be left out; options next to each other come in any order. `a|b` is one or the other, of words;
//! with blanks around the bar, of more than words. `...` at the end of brackets: any number of times.

use std::fmt;

/// A part of a syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// One of these, as one argument.
    Word(Vec<Term>),
    /// One of these sequences, or nothing.
    Optional { choices: Vec<Vec<Node>>, repeats: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// Typed as it is, in any case.
    Keyword(&'static str),
    /// Stands for an argument.
    Argument(&'static str),
}

/// What is yet to come of a command, and what its arguments stood for.
#[derive(Clone, Debug)]
pub struct Rest {
    nodes: Vec<Node>,
    taken: Vec<(&'static str, Vec<u8>)>,
}

/// Keywords are looked for first: an option is more likely meant than an argument that happens to have its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Keywords,
    Arguments,
}

impl Rest {
    /// All of a syntax.
    pub fn of(syntax: &'static str) -> Self {
        Self { nodes: parse(&mut tokens(syntax).into_iter().peekable()), taken: Vec::new() }
    }

    /// What is to come after an argument; `None` if it cannot be there.
    pub fn after(&self, argument: &[u8]) -> Option<Self> {
        let (term, nodes) =
            [Pass::Keywords, Pass::Arguments].into_iter().find_map(|pass| step(&self.nodes, argument, pass))?;
        let mut taken = self.taken.clone();
        if let Term::Argument(name) = term {
            taken.push((name, argument.to_vec()));
        }
        Some(Self { nodes, taken })
    }

    /// What the next argument may be.
    pub fn next(&self) -> Vec<Term> {
        let mut terms = Vec::new();
        collect(&self.nodes, &mut terms);
        terms
    }

    /// The argument that was last given for `name`.
    pub fn given(&self, name: &str) -> Option<&[u8]> {
        self.taken.iter().rev().find(|(taken, _)| *taken == name).map(|(_, argument)| &**argument)
    }
}

/// As it is written down.
impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_sequence(f, &self.nodes)
    }
}

impl Term {
    fn new(word: &'static str) -> Self {
        if word.starts_with(|first: char| first.is_ascii_lowercase()) {
            Self::Argument(word)
        } else {
            Self::Keyword(word)
        }
    }

    fn text(self) -> &'static str {
        let (Self::Keyword(text) | Self::Argument(text)) = self;
        text
    }

    fn is(self, argument: &[u8], pass: Pass) -> bool {
        match self {
            Self::Keyword(keyword) => pass == Pass::Keywords && argument.eq_ignore_ascii_case(keyword.as_bytes()),
            Self::Argument(_) => pass == Pass::Arguments,
        }
    }
}

/// Splits a syntax into words, brackets, bars that stand alone, and dots.
fn tokens(syntax: &'static str) -> Vec<&'static str> {
    let mut tokens = Vec::new();
    for mut word in syntax.split_ascii_whitespace() {
        while let Some(inner) = word.strip_prefix('[') {
            tokens.push("[");
            word = inner;
        }
        let inner = word.trim_end_matches(']');
        if !inner.is_empty() {
            tokens.push(inner);
        }
        tokens.extend(std::iter::repeat_n("]", word.len() - inner.len()));
    }
    tokens
}

/// Reads until the end, or what belongs to the brackets around.
fn parse(tokens: &mut std::iter::Peekable<std::vec::IntoIter<&'static str>>) -> Vec<Node> {
    let mut nodes = Vec::new();
    while let Some(token) = tokens.next_if(|token| !matches!(*token, "]" | "|" | "...")) {
        if token != "[" {
            nodes.push(Node::Word(token.split('|').map(Term::new).collect()));
            continue;
        }
        let mut choices = vec![parse(tokens)];
        while tokens.next_if_eq(&"|").is_some() {
            choices.push(parse(tokens));
        }
        let repeats = tokens.next_if_eq(&"...").is_some();
        tokens.next_if_eq(&"]");
        nodes.push(Node::Optional { choices, repeats });
    }
    nodes
}

/// Takes an argument: as what, and what is left then. Options that were passed over may still come, unless something that
/// has to be there was taken.
fn step(nodes: &[Node], argument: &[u8], pass: Pass) -> Option<(Term, Vec<Node>)> {
    for (at, node) in nodes.iter().enumerate() {
        let (before, behind) = (nodes.get(..at)?, nodes.get(at + 1..)?);
        match node {
            Node::Word(terms) => {
                let term = terms.iter().find(|term| term.is(argument, pass))?;
                return Some((*term, behind.to_vec()));
            }
            Node::Optional { choices, repeats } => {
                let entered = choices.iter().find_map(|choice| step(choice, argument, pass));
                let Some((term, mut left)) = entered else { continue };
                left.extend(repeats.then(|| node.clone()));
                left.extend_from_slice(before);
                left.extend_from_slice(behind);
                return Some((term, left));
            }
        }
    }
    None
}

/// Gathers what may come first; whether that may also be something behind the nodes.
fn collect(nodes: &[Node], terms: &mut Vec<Term>) -> bool {
    nodes.iter().all(|node| match node {
        Node::Word(words) => {
            terms.extend(words);
            false
        }
        Node::Optional { choices, .. } => {
            choices.iter().for_each(|choice| {
                collect(choice, terms);
            });
            true
        }
    })
}

fn write_sequence(f: &mut fmt::Formatter<'_>, nodes: &[Node]) -> fmt::Result {
    for (at, node) in nodes.iter().enumerate() {
        f.write_str(if at > 0 { " " } else { "" })?;
        match node {
            Node::Word(terms) => f.write_str(&terms.iter().map(|term| term.text()).collect::<Vec<_>>().join("|"))?,
            Node::Optional { choices, repeats } => {
                f.write_str("[")?;
                for (at, choice) in choices.iter().enumerate() {
                    f.write_str(if at > 0 { " | " } else { "" })?;
                    write_sequence(f, choice)?;
                }
                f.write_str(if *repeats { " ...]" } else { "]" })?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADD: &str = "stream [NOMKSTREAM] [KEEPREF|DELREF] [IDMPAUTO producer | IDMP producer production] \
                       [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id field value [field value ...]";

    fn after(syntax: &'static str, line: &str) -> Option<Rest> {
        line.split_ascii_whitespace().try_fold(Rest::of(syntax), |rest, word| rest.after(word.as_bytes()))
    }

    fn left(syntax: &'static str, line: &str) -> String {
        after(syntax, line).map_or("nothing fits".to_owned(), |rest| rest.to_string())
    }

    #[test]
    fn a_syntax_is_written_as_it_was_read() {
        for syntax in [ADD, "", "a|-|B [[C d] e ...]"] {
            assert_eq!(Rest::of(syntax).to_string(), syntax);
        }
    }

    #[test]
    fn what_was_typed_is_gone_and_options_come_in_any_order() {
        let trim = "[MAXLEN|MINID [=|~] threshold [LIMIT count]]";
        let produce = "[IDMPAUTO producer | IDMP producer production]";
        let entry = "*|id field value [field value ...]";
        for (typed, expected) in [
            ("s", format!("[NOMKSTREAM] [KEEPREF|DELREF] {produce} {trim} {entry}")),
            ("s delref", format!("[NOMKSTREAM] {produce} {trim} {entry}")),
            ("s MAXLEN", format!("[=|~] threshold [LIMIT count] [NOMKSTREAM] [KEEPREF|DELREF] {produce} {entry}")),
            ("s MAXLEN ~ 10", format!("[LIMIT count] [NOMKSTREAM] [KEEPREF|DELREF] {produce} {entry}")),
            ("s maxlen 10 nomkstream", format!("[LIMIT count] [KEEPREF|DELREF] {produce} {entry}")),
            ("s IDMP p i *", "field value [field value ...]".to_owned()),
            ("s 1-0 f", "value [field value ...]".to_owned()),
            ("s 1-0 f v g", "value [field value ...]".to_owned()),
            ("s 1-0 MAXLEN v", "[field value ...]".to_owned()),
        ] {
            assert_eq!(left(ADD, typed), expected, "{typed}");
        }
    }

    #[test]
    fn an_option_goes_before_an_argument_that_could_be_anything() {
        let claim = "id [id ...] [IDLE ms] [FORCE]";
        assert_eq!(left(claim, "1 2 force"), "[id ...] [IDLE ms]");
        assert_eq!(left("group [[IDLE ms] -|start +|end [consumer]]", "g -"), "+|end [consumer]");
        assert_eq!(left("group [[IDLE ms] -|start +|end [consumer]]", "g IDLE 5"), "-|start +|end [consumer]");
        assert_eq!(left("stream [FULL]", "s part"), "nothing fits");
        assert_eq!(left("", "more"), "nothing fits");
    }

    #[test]
    fn what_may_be_next_and_what_was_given() {
        let rest = after(ADD, "orders IDMPAUTO p").unwrap();
        assert_eq!(rest.given("stream"), Some(&b"orders"[..]));
        assert_eq!(rest.given("id"), None);
        let keyword = |word| Term::Keyword(word);
        let trim = [keyword("MAXLEN"), keyword("MINID"), keyword("*"), Term::Argument("id")];
        assert_eq!(rest.next(), [&[keyword("NOMKSTREAM"), keyword("KEEPREF"), keyword("DELREF")], &trim[..]].concat());
    }
}
