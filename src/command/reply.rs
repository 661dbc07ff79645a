//! What commands answer. The one place that knows Redis's wording.
//!
//! A command handler fails with a [`Failure`], which says what is wrong; the text that Redis has for it, and for an
//! [`Error`] of the store, is here. The tags in the comments are those of the error catalogue in the behavioural
//! reference (section 3.5).

use std::borrow::Cow;
use std::error::Error as _;

use crate::{Entry, EntryRef, Error, SetIdConflict, StreamId};

/// What a command answers, in the terms of Redis's wire protocol.
///
/// [`encode`](Self::encode) gives the bytes a Redis server would send.
///
/// # Examples
///
/// ```
/// use streamlog::command::{Reply, execute};
///
/// let store = streamlog::Store::in_memory();
/// assert_eq!(execute(&store, &["XADD", "s", "1-1", "field", "value"]), Reply::Bulk(b"1-1".to_vec()));
/// assert_eq!(execute(&store, &["XLEN", "s"]), Reply::Integer(1));
/// assert_eq!(execute(&store, &["XLEN"]), Reply::Error(b"ERR wrong number of arguments for 'xlen' command".to_vec()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// A simple string, such as `OK`.
    Simple(Cow<'static, str>),
    /// An error, code word first. Bytes, because it may quote arguments.
    Error(Vec<u8>),
    /// A number.
    Integer(i64),
    /// A string of bytes.
    Bulk(Vec<u8>),
    /// No string (`$-1`); the null of RESP3.
    Nil,
    /// No array (`*-1`); the null of RESP3.
    NilArray,
    /// A list.
    Array(Vec<Reply>),
    /// Names and values: a flat array in RESP2, a map in RESP3.
    Map(Vec<(Reply, Reply)>),
    /// Names and values: an array of two-element arrays in RESP2, a map in RESP3.
    Pairs(Vec<(Reply, Reply)>),
}

impl Reply {
    pub(super) const OK: Self = Self::Simple(Cow::Borrowed("OK"));

    /// Whether this is an error.
    ///
    /// # Examples
    ///
    /// ```
    /// let store = streamlog::Store::in_memory();
    /// assert!(streamlog::command::execute(&store, &["NO", "SUCH", "COMMAND"]).is_error());
    /// ```
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }

    pub(super) fn bulk(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bulk(bytes.into())
    }

    pub(super) fn id(id: StreamId) -> Self {
        Self::Bulk(id.to_string().into_bytes())
    }

    /// A count. RESP has no unsigned numbers; a count beyond `i64::MAX` cannot be reached by counting.
    pub(super) fn count(count: impl TryInto<i64>) -> Self {
        Self::Integer(count.try_into().unwrap_or(i64::MAX))
    }

    /// A counter of entries that were added, which Redis tells as a signed number, and so goes round.
    pub(super) fn round(count: u64) -> Self {
        Self::Integer(count as i64)
    }

    /// `[ID, [field, value, ...]]` (RESP-4).
    pub(super) fn entry(entry: &Entry) -> Self {
        Self::entry_ref(entry.as_ref())
    }

    pub(super) fn entry_ref(entry: EntryRef<'_>) -> Self {
        Self::Array(vec![Self::id(entry.id()), Self::fields_ref(entry)])
    }

    pub(super) fn fields(entry: &Entry) -> Self {
        Self::fields_ref(entry.as_ref())
    }

    fn fields_ref(entry: EntryRef<'_>) -> Self {
        Self::Array(entry.fields().flat_map(|(name, value)| [Self::bulk(name), Self::bulk(value)]).collect())
    }

    pub(super) fn entries<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        Self::Array(entries.into_iter().map(Self::entry).collect())
    }

    /// Lines of help, as simple strings.
    pub(super) fn lines(lines: &[&'static str]) -> Self {
        Self::Array(lines.iter().map(|line| Self::Simple(Cow::Borrowed(*line))).collect())
    }
}

/// The command that was asked for, as errors name it.
#[derive(Clone, Copy)]
pub(super) struct Called<'a> {
    pub(super) container: Option<&'static str>,
    /// In lower case, and empty if there is no such command.
    pub(super) name: &'static str,
    /// The last of the names, as the client wrote it.
    pub(super) typed: &'a [u8],
}

impl Called<'_> {
    fn full_name(&self) -> String {
        self.container.map_or(self.name.to_owned(), |container| format!("{container}|{}", self.name))
    }

    /// Quotes a subcommand that was not understood.
    fn unclear(&self, before: &str) -> Vec<u8> {
        let help = format!("'. Try {} HELP.", self.container.unwrap_or_default().to_uppercase());
        quote(before, self.typed, &help)
    }
}

/// Why a command was refused.
#[derive(Debug)]
pub(super) enum Failure {
    /// `E-ARITY`
    Arity,
    /// `E-SYNTAX`
    Syntax,
    /// `E-INT`
    NotAnInteger,
    /// `E-ID`
    InvalidId,
    /// `E-NOKEY`
    NoSuchKey,
    /// A command that this layer does not have.
    UnknownCommand { args: Vec<Vec<u8>> },
    /// `E-SUB-UNKNOWN`
    UnknownSubcommand,
    /// `E-SUB`: a subcommand that is known, but not with these arguments.
    SubcommandSyntax,

    /// `E-ZERO`
    IdZero,
    /// `E-SMALL`
    IdTooSmall,
    /// `E-FULL`
    IdsExhausted,
    /// `E-BIG`
    EntryTooLarge,

    /// `E-MAXLEN`
    MaxLenNegative,
    /// `E-LIMIT`
    LimitNegative,
    /// `E-TWO-STRATEGIES`
    TwoStrategies,
    /// `E-LIMIT-TILDE`
    LimitWithoutTilde,
    /// `E-LIMIT-ALONE`
    LimitWithoutStrategy,
    /// `E-NO-STRATEGY`
    NoStrategy,

    /// `E-IDMP-TWICE`
    IdempotencyTwice,
    /// `E-IDMP-PID`, with the option that was used.
    NoProducerId(&'static str),
    /// `E-IDMP-IID`
    NoIdempotentId,
    /// `E-IDMP-STAR`
    IdempotencyNeedsAutoId,

    /// `E-START`
    IntervalStart,
    /// `E-END`
    IntervalEnd,

    /// `E-UNBALANCED`
    UnbalancedStreams,
    /// `E-UNBALANCED` for XREADGROUP.
    UnbalancedGroupStreams,
    /// `E-NO-GROUP-OPT`
    GroupMissing,
    /// `E-DOLLAR` and `E-PLUS`, with the ID that was used.
    MeaninglessId(char),
    /// `E-IDLE-INT`
    MinIdleNotAnInteger,
    /// `E-IDLE-NEG`
    MinIdleNegative,
    /// `E-GROUP-ONLY`, with the option that was used.
    GroupReadOnly(&'static str),
    /// `E-GT`
    NewEntriesOutsideGroup,
    /// `E-TIMEOUT-INT`
    TimeoutNotAnInteger,
    /// `E-TIMEOUT-NEG`
    TimeoutNegative,
    /// `E-TIMEOUT-BIG`
    TimeoutOutOfRange,
    /// A limit on the whole reply (MAXCOUNT or MAXSIZE) that is not a positive integer.
    ReplyLimitNotPositive(&'static str),
    /// MAXCOUNT is below COUNT.
    MaxCountBelowCount,

    /// `E-ADDED-NEG`
    EntriesAddedNegative,
    /// `E-SETID-NEWDEL`, `E-SETID-CURDEL`, `E-SETID-TOP`, `E-SETID-ADDED`
    SetId(SetIdConflict),

    /// `E-NOGROUP-IN`
    NoSuchGroup { key: Vec<u8>, group: Vec<u8> },
    /// `E-NOGROUP-KEY`
    NoSuchKeyOrGroup { key: Vec<u8>, group: Vec<u8> },
    /// `E-NOGROUP-READ`
    NoSuchGroupToRead { key: Vec<u8>, group: Vec<u8> },
    /// `E-XGROUP-KEY`
    GroupNeedsKey,
    /// `E-BUSY`
    GroupExists,
    /// `E-ENTRIESREAD`
    EntriesReadNegative,

    /// `E-NUMIDS`
    IdCount,
    /// `E-NUMIDS-MATCH`
    IdCountMismatch,
    /// `E-CLAIM-IDLE`, with the command.
    ClaimMinIdle(&'static str),
    /// `E-CLAIM-OPT`
    ClaimOption(Vec<u8>),
    /// `E-CLAIM-ARG`, with the option.
    ClaimArgument(&'static str),
    /// `E-COUNT`
    CountNotPositive,

    /// XNACK: no such mode.
    ReleaseMode,
    /// XNACK: a number of IDs that is none.
    ReleaseIdCount,
    /// XNACK: fewer IDs than announced.
    ReleaseIdsMismatch,
    /// XNACK: no IDs.
    ReleaseNeedsIds,
    /// XNACK: an option that it does not have.
    ReleaseOption(Vec<u8>),
    /// XNACK: a delivery count below 0.
    RetryCountNegative,

    /// `E-CFG-NONE`
    NoSetting,
    /// `E-CFG-DURATION`, `E-CFG-MAXSIZE`, with the parameter.
    SettingOutOfRange(&'static str),
    /// `E-CFG-TWICE`, with the parameter.
    SettingTwice(&'static str),
    /// `E-REC-PID`
    RecordNeedsProducer,
    /// `E-REC-IID`
    RecordNeedsId,
    /// `E-REC-MSG`
    NoSuchMessage,
    /// `E-REC-CONFLICT`
    RecordConflict,

    /// SCAN was given something that is no cursor.
    InvalidCursor,
    /// COPY onto itself.
    SameObject,
    /// Only database 0 exists.
    DatabaseOutOfRange,
    /// Of 32 bits.
    IntegerOutOfRange,
    /// HELLO with something that is no number.
    ProtocolNotAnInteger,
    /// HELLO with a version other than 2 and 3.
    ProtocolUnsupported,
    /// An option that HELLO does not have.
    HelloOption(Vec<u8>),
    /// HELLO with a user other than the one every Redis has.
    WrongPassword,
    /// HELLO with a client name Redis would not take.
    ClientName,

    /// EXEC or DISCARD, of which this is the name, outside a transaction.
    WithoutMulti(&'static str),
    /// MULTI in a transaction.
    NestedMulti,
    /// EXEC after a command that could not be run.
    TransactionBroken,
    /// EXEC that cannot be run itself.
    ExecRefused(Box<Failure>),
    /// WATCH in a transaction.
    WatchInMulti,
    /// WATCH, which would promise what transactions do not keep here.
    WatchUnsupported,

    /// The store failed, in a way that is none of the above.
    Store(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::StreamNotFound { .. } => Self::NoSuchKey,
            Error::IdZero => Self::IdZero,
            Error::IdTooSmall { .. } => Self::IdTooSmall,
            Error::IdsExhausted => Self::IdsExhausted,
            Error::EntryTooLarge { .. } => Self::EntryTooLarge,
            Error::NoFields => Self::Arity,
            Error::SetId { reason, .. } => Self::SetId(reason),
            Error::GroupExists { .. } => Self::GroupExists,
            Error::EntryNotFound { .. } => Self::NoSuchMessage,
            Error::ProductionExists { .. } => Self::RecordConflict,
            error => Self::Store(error),
        }
    }
}

impl Failure {
    pub(super) fn into_reply(self, called: Called<'_>) -> Reply {
        let mut text = self.text(called).into_owned();
        // What errors quote comes from outside, and a line break would end the error in the protocol.
        for byte in &mut text {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        Reply::Error(text)
    }

    fn text(&self, called: Called<'_>) -> Cow<'static, [u8]> {
        let fixed: &'static str = match self {
            Self::Arity => {
                let text = format!("ERR wrong number of arguments for '{}' command", called.full_name());
                return text.into_bytes().into();
            }
            Self::Syntax => "ERR syntax error",
            Self::NotAnInteger => "ERR value is not an integer or out of range",
            Self::InvalidId => "ERR Invalid stream ID specified as stream command argument",
            Self::NoSuchKey => "ERR no such key",
            Self::UnknownCommand { args } => return unknown_command(called.typed, args).into(),
            Self::UnknownSubcommand => return called.unclear("ERR unknown subcommand '").into(),
            Self::SubcommandSyntax => {
                return called.unclear("ERR unknown subcommand or wrong number of arguments for '").into();
            }

            Self::IdZero => "ERR The ID specified in XADD must be greater than 0-0",
            Self::IdTooSmall => "ERR The ID specified in XADD is equal or smaller than the target stream top item",
            Self::IdsExhausted => "ERR The stream has exhausted the last possible ID, unable to add more items",
            Self::EntryTooLarge => "ERR Elements are too large to be stored",

            Self::MaxLenNegative => "ERR The MAXLEN argument must be >= 0.",
            Self::LimitNegative => "ERR The LIMIT argument must be >= 0.",
            Self::TwoStrategies => "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            Self::LimitWithoutTilde => "ERR syntax error, LIMIT cannot be used without the special ~ option",
            Self::LimitWithoutStrategy => {
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
            }
            Self::NoStrategy => "ERR syntax error, XTRIM must be called with a trimming strategy",

            Self::IdempotencyTwice => "ERR syntax error, IDMP/IDMPAUTO specified multiple times",
            Self::NoProducerId(option) => {
                return format!("ERR syntax error, {option} requires a non-empty producer ID").into_bytes().into();
            }
            Self::NoIdempotentId => "ERR syntax error, IDMP requires a non-empty idempotent ID",
            Self::IdempotencyNeedsAutoId => "ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs",

            Self::IntervalStart => "ERR invalid start ID for the interval",
            Self::IntervalEnd => "ERR invalid end ID for the interval",

            Self::UnbalancedStreams => {
                "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified."
            }
            Self::GroupReadOnly(option) => {
                return format!("ERR The {option} option is only supported by XREADGROUP. You called XREAD instead.")
                    .into_bytes()
                    .into();
            }
            Self::NewEntriesOutsideGroup => {
                "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
            }
            Self::TimeoutNotAnInteger => "ERR timeout is not an integer or out of range",
            Self::TimeoutNegative => "ERR timeout is negative",
            Self::TimeoutOutOfRange => "ERR timeout is out of range",
            Self::ReplyLimitNotPositive(option) => {
                return format!("ERR {option} must be a positive integer").into_bytes().into();
            }
            Self::MaxCountBelowCount => "ERR MAXCOUNT must be greater than or equal to COUNT",

            Self::EntriesAddedNegative => "ERR entries_added must be positive",
            Self::SetId(SetIdConflict::BelowGivenMaxDeleted) => {
                "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
            }
            Self::SetId(SetIdConflict::BelowMaxDeleted) => {
                "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
            }
            Self::SetId(SetIdConflict::BelowNewestEntry) => {
                "ERR The ID specified in XSETID is smaller than the target stream top item"
            }
            Self::SetId(SetIdConflict::AddedBelowLength) => {
                "ERR The entries_added specified in XSETID is smaller than the target stream length"
            }

            Self::UnbalancedGroupStreams => {
                "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."
            }
            Self::GroupMissing => "ERR Missing GROUP option for XREADGROUP",
            Self::MeaninglessId(id) => {
                return format!(
                    "ERR The {id} ID is meaningless in the context of XREADGROUP: you want to read the history of this \
                     consumer by specifying a proper ID, or use the > ID to get new messages. The {id} ID would just \
                     return an empty result set."
                )
                .into_bytes()
                .into();
            }
            Self::MinIdleNotAnInteger => "ERR min-idle-time is not an integer or out of range",
            Self::MinIdleNegative => "ERR min-idle-time must be a positive integer",

            Self::NoSuchGroup { key, group } => {
                return no_group("NOGROUP No such consumer group '", group, "' for key name '", key, "'").into();
            }
            Self::NoSuchKeyOrGroup { key, group } => {
                return no_group("NOGROUP No such key '", key, "' or consumer group '", group, "'").into();
            }
            Self::NoSuchGroupToRead { key, group } => {
                let end = "' in XREADGROUP with GROUP option";
                return no_group("NOGROUP No such key '", key, "' or consumer group '", group, end).into();
            }
            Self::GroupNeedsKey => {
                "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the \
                 MKSTREAM option to create an empty stream automatically."
            }
            Self::GroupExists => "BUSYGROUP Consumer Group name already exists",
            Self::EntriesReadNegative => "ERR value for ENTRIESREAD must be positive or -1",

            Self::IdCount => "ERR Number of IDs must be a positive integer",
            Self::IdCountMismatch => "ERR The `numids` parameter must match the number of arguments",
            Self::ClaimMinIdle(command) => {
                return format!("ERR Invalid min-idle-time argument for {command}").into_bytes().into();
            }
            Self::ClaimOption(option) => return quote_whole("ERR Unrecognized XCLAIM option '", option).into(),
            Self::ClaimArgument(option) => {
                return format!("ERR Invalid {option} option argument for XCLAIM").into_bytes().into();
            }
            Self::CountNotPositive => "ERR COUNT must be > 0",

            Self::ReleaseMode => "ERR mode must be SILENT, FAIL, or FATAL",
            Self::ReleaseIdCount => "ERR numids must be a positive integer",
            Self::ReleaseIdsMismatch => "ERR number of IDs doesn't match numids",
            Self::ReleaseNeedsIds => "ERR syntax error, expected IDS keyword",
            Self::ReleaseOption(option) => return quote_whole("ERR Unrecognized XNACK option '", option).into(),
            Self::RetryCountNegative => "ERR Invalid RETRYCOUNT value, must be >= 0",

            Self::NoSetting => "ERR At least one parameter must be specified",
            Self::SettingOutOfRange("IDMP-DURATION") => "ERR IDMP-DURATION must be between 1 and 86400 seconds",
            Self::SettingOutOfRange(_) => "ERR IDMP-MAXSIZE must be between 1 and 10000 entries",
            Self::SettingTwice(name) => return format!("ERR {name} specified multiple times").into_bytes().into(),
            Self::RecordNeedsProducer => "ERR producer ID must be non-empty",
            Self::RecordNeedsId => "ERR idempotent ID must be non-empty",
            Self::NoSuchMessage => "ERR No such message in stream",
            Self::RecordConflict => "ERR IID already exists for this producer with a different stream ID",

            Self::InvalidCursor => "ERR invalid cursor",
            Self::SameObject => "ERR source and destination objects are the same",
            Self::IntegerOutOfRange => "ERR value is out of range, value must between -2147483648 and 2147483647",
            Self::DatabaseOutOfRange => "ERR DB index is out of range",
            Self::ProtocolNotAnInteger => "ERR Protocol version is not an integer or out of range",
            Self::ProtocolUnsupported => "NOPROTO unsupported protocol version",
            Self::HelloOption(option) => return quote("ERR Syntax error in HELLO option '", option, "'").into(),
            Self::WrongPassword => "WRONGPASS invalid username-password pair or user is disabled.",
            Self::ClientName => "ERR Client names cannot contain spaces, newlines or special characters.",

            Self::WithoutMulti(command) => return format!("ERR {command} without MULTI").into_bytes().into(),
            Self::NestedMulti => "ERR MULTI calls can not be nested",
            Self::TransactionBroken => "EXECABORT Transaction discarded because of previous errors.",
            Self::ExecRefused(failure) => {
                let text = failure.text(called);
                let reason = text.strip_prefix(b"ERR ").unwrap_or(&text);
                return [b"EXECABORT Transaction discarded because of: ", reason].concat().into();
            }
            Self::WatchInMulti => "ERR WATCH inside MULTI is not allowed",
            Self::WatchUnsupported => "ERR WATCH is not supported, because transactions are not isolated",

            Self::Store(error) => return store_failure(error).into_bytes().into(),
        };
        Cow::Borrowed(fixed.as_bytes())
    }
}

/// What Redis says when it can no longer persist starts with `MISCONF`, and clients know it as "not now"; everything
/// else that can go wrong in a store has no counterpart in Redis and is an `ERR` in our own words.
fn store_failure(error: &Error) -> String {
    let code = match error {
        Error::ReadOnly => return "READONLY You can't write against a read only replica.".to_owned(),
        Error::NoSpace { .. } | Error::Poisoned { .. } => "MISCONF",
        _ => "ERR",
    };
    let mut text = format!("{code} {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn unknown_command(name: &[u8], args: &[Vec<u8>]) -> Vec<u8> {
    let mut quoted = Vec::new();
    for arg in args {
        let room = QUOTED_LEN_MAX.saturating_sub(quoted.len());
        if room == 0 {
            break;
        }
        quoted.push(b'\'');
        quoted.extend_from_slice(c_string(arg, room));
        quoted.extend_from_slice(b"' ");
    }
    let mut text = quote("ERR unknown command '", name, "', with args beginning with: ");
    text.extend_from_slice(&quoted);
    text
}

/// How much of an argument Redis repeats in an error.
const QUOTED_LEN_MAX: usize = 128;

/// Quotes two names as a whole, however long they are.
fn no_group(before: &str, first: &[u8], between: &str, second: &[u8], after: &str) -> Vec<u8> {
    let whole = |name| c_string(name, usize::MAX);
    [before.as_bytes(), whole(first), between.as_bytes(), whole(second), after.as_bytes()].concat()
}

/// Quotes an option at the end of an error, however long it is.
fn quote_whole(before: &str, option: &[u8]) -> Vec<u8> {
    [before.as_bytes(), c_string(option, usize::MAX), b"'"].concat()
}

fn quote(before: &str, argument: &[u8], after: &str) -> Vec<u8> {
    [before.as_bytes(), c_string(argument, QUOTED_LEN_MAX), after.as_bytes()].concat()
}

/// What C's `%.*s` prints of a string.
fn c_string(bytes: &[u8], len_max: usize) -> &[u8] {
    let len = bytes.iter().take(len_max).position(|byte| *byte == 0).unwrap_or(bytes.len().min(len_max));
    bytes.get(..len).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(failure: Failure, called: Called<'_>) -> String {
        match failure.into_reply(called) {
            Reply::Error(text) => String::from_utf8(text).expect("the text is UTF-8"),
            reply => panic!("{reply:?} is no error"),
        }
    }

    fn text(failure: Failure) -> String {
        text_of(failure, Called { container: None, name: "xadd", typed: b"XAdd" })
    }

    #[test]
    fn subcommands_are_named_with_their_container() {
        let called = Called { container: Some("xinfo"), name: "stream", typed: b"Stream" };
        assert_eq!(text_of(Failure::Arity, called), "ERR wrong number of arguments for 'xinfo|stream' command");
        assert_eq!(
            text_of(Failure::SubcommandSyntax, called),
            "ERR unknown subcommand or wrong number of arguments for 'Stream'. Try XINFO HELP."
        );
    }

    #[test]
    fn errors_quote_arguments_without_line_breaks_and_up_to_the_first_nul() {
        let called = Called { container: Some("xinfo"), name: "", typed: b"a\r\nb\0c" };
        assert_eq!(text_of(Failure::UnknownSubcommand, called), "ERR unknown subcommand 'a  b'. Try XINFO HELP.");
    }

    #[test]
    fn an_unknown_command_is_quoted_with_its_first_arguments() {
        let unknown = |name: &str, args: &[&str]| {
            let args = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
            let called = Called { container: None, name: "", typed: name.as_bytes() };
            text_of(Failure::UnknownCommand { args }, called)
        };
        assert_eq!(unknown("foo", &[]), "ERR unknown command 'foo', with args beginning with: ");
        assert_eq!(unknown("foo", &["a", "b"]), "ERR unknown command 'foo', with args beginning with: 'a' 'b' ");
        // 100 bytes and their quotes take 103, the second argument gets the 25 that are left, the third none.
        let (long, cut) = ("x".repeat(100), "y".repeat(25));
        assert_eq!(
            unknown(&"n".repeat(200), &[&long, &"y".repeat(100), "z"]),
            format!("ERR unknown command '{}', with args beginning with: '{long}' '{cut}' ", "n".repeat(128))
        );
    }

    #[test]
    fn the_group_and_the_key_are_quoted_whole() {
        let (key, group) = (vec![b'k'; 200], b"g".to_vec());
        assert_eq!(
            text(Failure::NoSuchGroup { key, group }),
            format!("NOGROUP No such consumer group 'g' for key name '{}'", "k".repeat(200))
        );
    }

    #[test]
    fn failures_of_the_disk_look_like_those_of_redis() {
        let full = Error::NoSpace { action: "write to", path: "a/1.log".into(), limit: None };
        assert_eq!(text(full.into()), "MISCONF no space left to write to a/1.log");
        let poisoned = Error::Poisoned { cause: "cannot sync a/1.log".into() };
        assert!(text(poisoned.into()).starts_with("MISCONF the store refuses to write"));
        let source = std::io::Error::other("broken\ndisk");
        let io = Error::Io { action: "read", path: "a/1.log".into(), source };
        assert_eq!(text(io.into()), "ERR cannot read a/1.log: broken disk");
    }
}
