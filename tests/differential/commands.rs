//! Random commands, right and wrong.
//!
//! Some words stand for what is known only when their turn comes, so that a shorter sequence still makes sense:
//!
//! | word | stands for |
//! |---|---|
//! | `@+` | an ID above all that were added |
//! | `@7` | the 7th ID that was added, modulo their number |
//!
//! And `@fill key count` stands for as many commands XADD.

use proptest::prelude::*;
use proptest::sample::select;

/// A command: its name and its arguments.
pub type Words = Vec<String>;

type Piece = BoxedStrategy<Words>;

/// The streams that anything may be done to.
pub const KEYS: [&str; 3] = ["s", "t", "u"];

/// A stream whose last ID is far in the future and never set back, so that `*` gives the same ID everywhere.
pub const FAR: &str = "far";

/// The groups, of which not all will exist.
pub const GROUPS: [&str; 3] = ["g", "h", "nogroup"];

/// Numbers of milliseconds that no test takes, in the middle of what [`mask`](crate::mask) tells apart.
const LONG: [&str; 2] = ["5500000", "2000500000"];

/// What a sequence is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything but groups.
    Streams,
    /// Groups and everything else.
    Groups,
    /// Groups over streams that only grow.
    GroupsThatGrow,
}

impl Kind {
    /// What random commands alone would rarely come to: groups with something to read.
    pub fn beginning(self) -> &'static str {
        match self {
            Self::Streams => "XADD far 32503680000000-0 f v",
            Self::Groups | Self::GroupsThatGrow => {
                "\
XADD far 32503680000000-0 f v
@fill s 12
@fill t 4
XGROUP CREATE s g 0
XGROUP CREATE t g 0
XGROUP CREATE s h $
XREADGROUP GROUP g alice COUNT 6 STREAMS s >"
            }
        }
    }
}

pub fn any_command(kind: Kind) -> impl Strategy<Value = Words> {
    let command = match kind {
        Kind::Streams => prop_oneof![8 => growing(), 8 => shrinking(), 3 => keys()].boxed(),
        Kind::Groups => prop_oneof![6 => growing(), 4 => shrinking(), 1 => keys(), 20 => groups()].boxed(),
        Kind::GroupsThatGrow => prop_oneof![1 => growing(), 2 => groups()].boxed(),
    };
    let mangled = (command.clone(), any::<prop::sample::Index>(), mangling());
    prop_oneof![12 => command, 1 => mangled.prop_map(|(words, at, mangling)| mangling.apply(words, at))]
}

/// Commands that add and look.
fn growing() -> Piece {
    prop_oneof![
        8 => chain([text("XADD"), key(), maybe(text("NOMKSTREAM")), new_id(), fields()]),
        1 => chain([text("XADD far"), maybe(text("NOMKSTREAM")), text("*"), fields()]),
        1 => chain([text("@fill"), key(), one_of(&["3", "30"])]),
        2 => chain([one_of(&["XRANGE", "XREVRANGE"]), key(), bound(), bound(), maybe(count())]),
        2 => chain([text("XREAD"), maybe(count()), sources(prop_oneof![4 => id(), 1 => text("$")].boxed())]),
        1 => chain([text("XREAD BLOCK"), one_of(&["1", "-1", "x"]), text("STREAMS"), key(), text("$")]),
        1 => chain([text("XLEN"), key()]),
        1 => chain([text("XINFO STREAM"), key(), maybe(chain([text("FULL"), maybe(count())]))]),
        1 => chain([one_of(&["EXISTS", "TYPE"]), key()]),
    ]
    .boxed()
}

/// Commands that remove entries, or pretend that some were.
fn shrinking() -> Piece {
    prop_oneof![
        2 => chain([text("XADD"), key(), maybe(text("NOMKSTREAM")), trim(), new_id(), fields()]),
        1 => chain([text("XADD far"), trim(), text("*"), fields()]),
        1 => chain([text("@fill"), key(), one_of(&["90", "250"])]),
        3 => chain([text("XDEL"), key(), many(id())]),
        3 => chain([text("XTRIM"), key(), trim()]),
        1 => chain([text("XTRIM far"), trim()]),
        2 => chain([
            text("XSETID"),
            key(),
            id(),
            maybe(chain([text("ENTRIESADDED"), one_of(&["0", "3", "100", "-1"])])),
            maybe(chain([text("MAXDELETEDID"), id()])),
        ]),
    ]
    .boxed()
}

/// Commands about keys as a whole.
fn keys() -> Piece {
    prop_oneof![
        1 => chain([one_of(&["DEL", "UNLINK"]), many(key())]),
        2 => chain([one_of(&["RENAME", "RENAMENX"]), key(), key()]),
        2 => chain([text("COPY"), key(), key(), maybe(text("REPLACE"))]),
        1 => chain([text("EXISTS"), many(key())]),
    ]
    .boxed()
}

fn groups() -> Piece {
    prop_oneof![
        3 => chain([text("XGROUP CREATE"), key(), group(), start(), maybe(text("MKSTREAM"))]),
        1 => chain([text("XGROUP SETID"), key(), group(), start()]),
        1 => chain([text("XGROUP"), one_of(&["CREATE", "SETID"]), key(), group(), one_of(&["$", "0"]), entries_read()]),
        1 => chain([text("XGROUP"), one_of(&["CREATECONSUMER", "DELCONSUMER"]), key(), group(), consumer()]),
        1 => chain([text("XGROUP DESTROY"), key(), group()]),
        8 => chain([text("XREADGROUP GROUP"), group(), consumer(), maybe(count()), maybe(text("NOACK")), sources(new_or_old())]),
        1 => chain([text("XREADGROUP GROUP"), group(), consumer(), text("BLOCK 1 STREAMS"), key(), new_or_old()]),
        2 => chain([text("XACK"), key(), group(), many(id())]),
        1 => chain([text("XPENDING"), key(), group()]),
        2 => chain([text("XPENDING"), key(), group(), maybe(chain([text("IDLE"), idle()])), bound(), bound(), number(), maybe(consumer())]),
        4 => chain([text("XCLAIM"), key(), group(), consumer(), idle(), many(id()), claim_options()]),
        3 => chain([text("XAUTOCLAIM"), key(), group(), consumer(), idle(), bound(), maybe(count()), maybe(text("JUSTID"))]),
        1 => chain([text("XINFO GROUPS"), key()]),
        1 => chain([text("XINFO CONSUMERS"), key(), group()]),
    ]
    .boxed()
}

/// Words that are always the same.
fn text(words: &'static str) -> Piece {
    Just(words.split(' ').map(str::to_owned).collect()).boxed()
}

fn one_of(words: &'static [&'static str]) -> Piece {
    select(words).prop_map(|word| vec![word.to_owned()]).boxed()
}

/// Pieces one after the other.
fn chain<const N: usize>(pieces: [Piece; N]) -> Piece {
    Vec::from(pieces).prop_map(|pieces| pieces.concat()).boxed()
}

fn maybe(piece: Piece) -> Piece {
    prop_oneof![2 => Just(Words::new()), 1 => piece].boxed()
}

fn many(piece: Piece) -> Piece {
    prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat()).boxed()
}

fn key() -> Piece {
    prop_oneof![6 => text("s"), 2 => text("t"), 1 => text("u")].boxed()
}

fn fields() -> Piece {
    prop_oneof![
        20 => one_of(&["1", "22", "-7", ""]).prop_map(|value| [vec!["f".to_owned()], value].concat()),
        4 => text("f 1 f 2"),
        1 => text("f 1 f"),
    ]
    .boxed()
}

fn new_id() -> Piece {
    prop_oneof![
        16 => text("@+"),
        2 => (0..9_u32).prop_map(|ms| vec![format!("{ms}-*")]),
        2 => id(),
    ]
    .boxed()
}

/// An ID that may have been added.
fn id() -> Piece {
    prop_oneof![
        16 => (0..300_u32).prop_map(|number| vec![format!("@{number}")]),
        2 => one_of(&["0", "0-0", "0-1", "1-1", "3-0", "18446744073709551615-18446744073709551615"]),
        1 => one_of(&["", "x", "1-", "-1", "1-1-1", "01-007", "18446744073709551616-0", "1-*", "$", "-", "(1-1"]),
    ]
    .boxed()
}

fn bound() -> Piece {
    prop_oneof![
        4 => one_of(&["-", "+"]),
        4 => id(),
        1 => id().prop_map(|id| id.iter().map(|id| format!("({id}")).collect()),
        1 => one_of(&["5", "(5", "(-", "(", "(0-0", "(18446744073709551615-18446744073709551615"]),
    ]
    .boxed()
}

fn number() -> Piece {
    prop_oneof![6 => one_of(&["1", "2", "3", "10", "100"]), 1 => one_of(&["0", "-1", "01", "x", "9223372036854775808"])]
        .boxed()
}

fn count() -> Piece {
    chain([text("COUNT"), number()])
}

/// The streams of a read, with what `from` says about each.
fn sources(from: Piece) -> Piece {
    let one = chain([text("STREAMS"), key(), from.clone()]);
    let two = chain([text("STREAMS"), key(), key(), from.clone(), from]);
    prop_oneof![3 => one, 1 => two, 1 => text("STREAMS s t 0")].boxed()
}

/// What `~` removes depends on where blocks begin, which is for each to decide; so here it comes with errors only, and a
/// test of its own has streams whose blocks begin at the same entries.
fn trim() -> Piece {
    let exactly = || maybe(text("="));
    let limit = || prop_oneof![9 => Just(Words::new()), 1 => text("LIMIT 5")].boxed();
    let len =
        prop_oneof![6 => one_of(&["0", "1", "3", "10", "60", "200"]), 1 => one_of(&["-1", "x", "", "1.5"])].boxed();
    prop_oneof![
        6 => chain([text("MAXLEN"), exactly(), len, limit()]),
        3 => chain([text("MINID"), exactly(), id(), limit()]),
        1 => chain([text("MAXLEN ~"), one_of(&["-1", "x"])]),
        1 => chain([text("MAXLEN ~ 10 LIMIT"), one_of(&["-1", "x"])]),
        1 => chain([text("LIMIT"), one_of(&["0", "5"])]),
    ]
    .boxed()
}

fn group() -> Piece {
    prop_oneof![6 => text("g"), 3 => text("h"), 1 => text("nogroup")].boxed()
}

fn consumer() -> Piece {
    one_of(&["alice", "bob", "10", "9", ""])
}

fn start() -> Piece {
    prop_oneof![2 => text("0"), 2 => text("$"), 2 => id()].boxed()
}

fn entries_read() -> Piece {
    chain([text("ENTRIESREAD"), one_of(&["-1", "0", "2", "1000", "-2", "x"])])
}

fn new_or_old() -> Piece {
    prop_oneof![5 => text(">"), 1 => text("0"), 1 => id()].boxed()
}

/// Nothing that depends on how long a test takes.
fn idle() -> Piece {
    prop_oneof![4 => text("0"), 2 => one_of(&["3600000", "1000000000"]), 1 => one_of(&["-1", "x"])].boxed()
}

fn claim_options() -> Piece {
    let time = prop_oneof![
        2 => chain([text("IDLE"), select(&LONG[..]).prop_map(|ms| vec![ms.to_owned()]).boxed()]),
        2 => chain([text("TIME"), one_of(&["0", "12345", "-1", "99999999999999", "x"])]),
        1 => text("IDLE -5500000"),
    ];
    chain([
        maybe(time.boxed()),
        maybe(chain([text("RETRYCOUNT"), one_of(&["0", "7", "-1", "x"])])),
        maybe(text("FORCE")),
        maybe(text("JUSTID")),
        maybe(chain([text("LASTID"), id()])),
    ])
}

/// How a command is broken.
#[derive(Clone, Debug)]
enum Mangling {
    Drop,
    Repeat,
    Replace(&'static str),
    Append(&'static str),
}

fn mangling() -> impl Strategy<Value = Mangling> {
    let junk = || select(&["", "x", "-1", "0", "99999999999999999999", "COUNT", "MAXLEN", "STREAMS", "FORCE", ">"][..]);
    prop_oneof![
        Just(Mangling::Drop),
        Just(Mangling::Repeat),
        junk().prop_map(Mangling::Replace),
        junk().prop_map(Mangling::Append),
    ]
}

impl Mangling {
    /// Leaves alone what might get an ID by the clock then, or block for ever.
    fn apply(&self, mut words: Words, at: prop::sample::Index) -> Words {
        if words.iter().any(|word| ["*", "@fill", "BLOCK"].contains(&word.as_str())) {
            return words;
        }
        let at = at.index(words.len());
        match self {
            Self::Drop => drop(words.remove(at)),
            Self::Repeat => words.insert(at, words[at].clone()),
            Self::Replace(junk) => words[at] = (*junk).to_owned(),
            Self::Append(junk) => words.push((*junk).to_owned()),
        }
        words
    }
}
