//! Redis's wire protocol: replies to bytes, bytes to commands.
//!
//! Replies are written in RESP2 or RESP3. Commands are read as arrays of bulk strings, and as inline commands: lines of
//! words that may be quoted. Limits and error texts are those of a Redis server.

use super::Reply;

/// A version of the wire protocol.
///
/// # Examples
///
/// ```
/// use streamlog::command::{Protocol, Reply};
///
/// let (mut two, mut three) = (Vec::new(), Vec::new());
/// Reply::Nil.encode(Protocol::Resp2, &mut two);
/// Reply::Nil.encode(Protocol::Resp3, &mut three);
/// assert_eq!((two.as_slice(), three.as_slice()), (&b"$-1\r\n"[..], &b"_\r\n"[..]));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// What every client speaks at first.
    #[default]
    Resp2,
    /// With maps and a null of its own; chosen with `HELLO 3`.
    Resp3,
}

impl Reply {
    /// Appends the reply to `out`, as a Redis server would send it.
    ///
    /// Costs one copy of the reply.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::command::{Protocol, Reply};
    ///
    /// let reply = Reply::Map(vec![(Reply::Bulk(b"length".to_vec()), Reply::Integer(5))]);
    /// let mut bytes = Vec::new();
    /// reply.encode(Protocol::Resp2, &mut bytes);
    /// assert_eq!(bytes, b"*2\r\n$6\r\nlength\r\n:5\r\n");
    /// bytes.clear();
    /// reply.encode(Protocol::Resp3, &mut bytes);
    /// assert_eq!(bytes, b"%1\r\n$6\r\nlength\r\n:5\r\n");
    /// ```
    pub fn encode(&self, protocol: Protocol, out: &mut Vec<u8>) {
        match (self, protocol) {
            (Self::Simple(text), _) => line(out, b'+', text.as_bytes()),
            (Self::Error(text), _) => line(out, b'-', text),
            (Self::Integer(number), _) => header(out, b':', number),
            (Self::Bulk(bytes), _) => {
                header(out, b'$', bytes.len());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            (Self::Nil, Protocol::Resp2) => out.extend_from_slice(b"$-1\r\n"),
            (Self::NilArray, Protocol::Resp2) => out.extend_from_slice(b"*-1\r\n"),
            (Self::Nil | Self::NilArray, Protocol::Resp3) => out.extend_from_slice(b"_\r\n"),
            (Self::Array(items), _) => {
                header(out, b'*', items.len());
                items.iter().for_each(|item| item.encode(protocol, out));
            }
            (Self::Map(pairs), Protocol::Resp2) => {
                header(out, b'*', pairs.len().saturating_mul(2));
                encode_pairs(pairs, "", protocol, out);
            }
            (Self::Pairs(pairs), Protocol::Resp2) => {
                header(out, b'*', pairs.len());
                encode_pairs(pairs, "*2\r\n", protocol, out);
            }
            (Self::Map(pairs) | Self::Pairs(pairs), Protocol::Resp3) => {
                header(out, b'%', pairs.len());
                encode_pairs(pairs, "", protocol, out);
            }
        }
    }
}

fn encode_pairs(pairs: &[(Reply, Reply)], before_each: &str, protocol: Protocol, out: &mut Vec<u8>) {
    for (name, value) in pairs {
        out.extend_from_slice(before_each.as_bytes());
        name.encode(protocol, out);
        value.encode(protocol, out);
    }
}

fn header(out: &mut Vec<u8>, kind: u8, number: impl ToString) {
    line(out, kind, number.to_string().as_bytes());
}

/// A line must not hold line breaks; they become blanks.
fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
    out.extend_from_slice(b"\r\n");
}

/// Bytes that are no command. A Redis server replies with the error and closes the connection.
///
/// [`Reply::from`] gives the reply to send.
///
/// # Examples
///
/// ```
/// use streamlog::command::{DecodeError, Decoder, Reply};
///
/// let mut decoder = Decoder::new();
/// decoder.feed(b"XADD orders * note \"no end\r\n");
/// let error = decoder.next_command().expect_err("a quote is not closed");
/// assert_eq!(error, DecodeError::UnbalancedQuotes);
/// assert_eq!(Reply::from(error), Reply::Error(b"ERR Protocol error: unbalanced quotes in request".to_vec()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A line without an end.
    #[error("Protocol error: too big inline request")]
    LineTooLong,
    /// An inline command with a quote that is not closed, or with something else right after a closing quote.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// The number of arguments is no number, or too high.
    #[error("Protocol error: invalid multibulk length")]
    ArgumentCount,
    /// The number of arguments has no end.
    #[error("Protocol error: too big mbulk count string")]
    ArgumentCountTooLong,
    /// An argument that does not start with `$`, but with this.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    NotABulkString(u8),
    /// The length of an argument is no number, or too high.
    #[error("Protocol error: invalid bulk length")]
    ArgumentLen,
    /// The length of an argument has no end.
    #[error("Protocol error: too big bulk count string")]
    ArgumentLenTooLong,
}

impl From<DecodeError> for Reply {
    fn from(error: DecodeError) -> Self {
        Self::Error(format!("ERR {error}").into_bytes())
    }
}

/// Longer lines end the connection.
const LINE_LEN_MAX: usize = 64 << 10;
/// The most arguments of a command.
const ARGUMENT_COUNT_MAX: i64 = i32::MAX as i64;
/// The most bytes of an argument; Redis's `proto-max-bulk-len`.
const ARGUMENT_LEN_MAX: i64 = 512 << 20;
/// The same in a log: the longest value that an entry can have.
const LOGGED_LEN_MAX: i64 = crate::ENTRY_LEN_MAX as i64;

/// Finds commands in bytes that arrive piece by piece.
///
/// Holds what has arrived of the next command, and nothing for what is only announced.
///
/// # Examples
///
/// ```
/// use streamlog::command::Decoder;
///
/// let mut decoder = Decoder::new();
/// decoder.feed(b"*2\r\n$4\r\nXLEN\r\n$1\r\n");
/// assert_eq!(decoder.next_command()?, None);
/// decoder.feed(b"s\r\nXADD s * name \"two words\"\r\n");
/// assert_eq!(decoder.next_command()?, Some(vec![b"XLEN".to_vec(), b"s".to_vec()]));
/// assert_eq!(decoder.next_command()?.map(|args| args.len()), Some(5));
/// assert_eq!(decoder.next_command()?, None);
/// # Ok::<(), streamlog::command::DecodeError>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// How much of the buffer has been read.
    offset: usize,
    /// The arguments of an array so far, and how many are missing.
    array: Option<(Vec<Vec<u8>>, u64)>,
    /// The length of the argument whose bytes come next.
    argument_len: Option<usize>,
    /// What is decoded is a log: lines that begin with `#` annotate it, whatever is in them.
    is_log: bool,
    failed: Option<DecodeError>,
}

impl Decoder {
    /// A decoder at the start of a connection.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(streamlog::command::Decoder::new().next_command(), Ok(None));
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder at the start of what a server has logged: a line that begins with `#` is a command of one argument.
    pub(crate) fn of_log() -> Self {
        Self { is_log: true, ..Self::default() }
    }

    /// Adds bytes that have arrived.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut decoder = streamlog::command::Decoder::new();
    /// decoder.feed(b"PING\r\n");
    /// assert_eq!(decoder.next_command(), Ok(Some(vec![b"PING".to_vec()])));
    /// ```
    pub fn feed(&mut self, bytes: &[u8]) {
        // What has been read is dropped once it is the larger part, so that a byte is moved once on average.
        if self.offset > self.buffer.len() / 2 {
            self.buffer.drain(..self.offset);
            self.offset = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next command whose last byte has arrived. Empty commands are skipped.
    ///
    /// Costs a copy of its arguments. Those that have arrived of an unfinished command are not looked at again.
    ///
    /// # Errors
    ///
    /// The bytes are no command. There is nothing to go on from: later calls return the same error.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::command::{DecodeError, Decoder};
    ///
    /// let mut decoder = Decoder::new();
    /// decoder.feed(b"*1\r\n:1\r\n");
    /// assert_eq!(decoder.next_command(), Err(DecodeError::NotABulkString(b':')));
    /// ```
    pub fn next_command(&mut self) -> Result<Option<Vec<Vec<u8>>>, DecodeError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.decode().inspect_err(|error| self.failed = Some(error.clone())),
        }
    }

    /// Whether bytes of an unfinished command are left: the end of the input would cut one short.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut decoder = streamlog::command::Decoder::new();
    /// decoder.feed(b"PING\r\nPI");
    /// decoder.next_command()?;
    /// assert!(decoder.is_partial());
    /// # Ok::<(), streamlog::command::DecodeError>(())
    /// ```
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.array.is_some() || self.argument_len.is_some() || !self.rest().is_empty()
    }

    /// How many bytes have arrived that no command has used up.
    pub(crate) fn unread(&self) -> usize {
        self.rest().len()
    }

    /// The bytes that have arrived and were not used up.
    pub(crate) fn peek(&self) -> &[u8] {
        self.rest()
    }

    fn decode(&mut self) -> Result<Option<Vec<Vec<u8>>>, DecodeError> {
        loop {
            let command = match (self.array.is_some(), self.rest().first()) {
                (true, _) => self.decode_array()?,
                (false, None) => return Ok(None),
                (false, Some(b'*')) => {
                    let Some(line) = self.take_line(DecodeError::ArgumentCountTooLong)? else { return Ok(None) };
                    let count = number(line.get(1..)).filter(|count| *count <= ARGUMENT_COUNT_MAX);
                    let count = count.ok_or(DecodeError::ArgumentCount)?;
                    // Zero and -1 announce no command, and are skipped.
                    self.array = u64::try_from(count).ok().filter(|count| *count > 0).map(|count| (Vec::new(), count));
                    continue;
                }
                (false, Some(b'#')) if self.is_log => self.take_line(DecodeError::LineTooLong)?.map(|line| vec![line]),
                (false, Some(_)) => match self.take_line(DecodeError::LineTooLong)? {
                    Some(line) => Some(split_line(&line).ok_or(DecodeError::UnbalancedQuotes)?),
                    None => None,
                },
            };
            match command {
                Some(args) if args.is_empty() => {}
                command => return Ok(command),
            }
        }
    }

    /// Goes on with an array; `None` if its end has not arrived.
    fn decode_array(&mut self) -> Result<Option<Vec<Vec<u8>>>, DecodeError> {
        while self.array.as_ref().is_some_and(|(_, missing)| *missing > 0) {
            let len = match self.argument_len {
                Some(len) => len,
                None => {
                    match self.rest().first() {
                        None => return Ok(None),
                        Some(b'$') => {}
                        Some(byte) => return Err(DecodeError::NotABulkString(*byte)),
                    }
                    let Some(line) = self.take_line(DecodeError::ArgumentLenTooLong)? else { return Ok(None) };
                    // A log of ours may have a value that a server would not take.
                    let len_max = if self.is_log { LOGGED_LEN_MAX } else { ARGUMENT_LEN_MAX };
                    let len = number(line.get(1..)).filter(|len| *len <= len_max);
                    let len = len.and_then(|len| usize::try_from(len).ok()).ok_or(DecodeError::ArgumentLen)?;
                    *self.argument_len.insert(len)
                }
            };
            // The bytes, and the line break after them, which Redis does not look at either.
            let Some(argument) = self.rest().get(..len.saturating_add(2)).and_then(|bytes| bytes.get(..len)) else {
                return Ok(None);
            };
            let argument = argument.to_vec();
            self.offset += len + 2;
            self.argument_len = None;
            if let Some((args, missing)) = &mut self.array {
                args.push(argument);
                *missing -= 1;
            }
        }
        Ok(self.array.take().map(|(args, _)| args))
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.offset..).unwrap_or_default()
    }

    /// The next line, without its end; `None` if that has not arrived.
    fn take_line(&mut self, too_long: DecodeError) -> Result<Option<Vec<u8>>, DecodeError> {
        let rest = self.rest();
        let Some(len) = rest.iter().position(|byte| *byte == b'\n') else {
            return if rest.len() > LINE_LEN_MAX { Err(too_long) } else { Ok(None) };
        };
        let line = rest.get(..len).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        self.offset += len + 1;
        Ok(Some(line))
    }
}

fn number(digits: Option<&[u8]>) -> Option<i64> {
    super::parse::strict_integer(digits?)
}

/// Splits a line into arguments the way `redis-cli` does; `None` if a quote is not closed, or not followed by a blank.
///
/// Within double quotes, `\n`, `\r`, `\t`, `\a`, `\b` and `\xff` stand for bytes, and a backslash keeps any other
/// character as it is; within single quotes only `\'` does.
///
/// Costs a copy of the line.
///
/// # Examples
///
/// ```
/// use streamlog::command::split_line;
///
/// let args = split_line(br#"XADD s * name "a \"b\"\x00""#).expect("the quotes are closed");
/// assert_eq!(args.last().map(Vec::as_slice), Some(&b"a \"b\"\0"[..]));
/// assert_eq!(split_line(b"XADD s * name \"a"), None);
/// ```
#[must_use]
pub fn split_line(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut rest = skip_blanks(line);
    while !rest.is_empty() {
        let (argument, after) = split_argument(rest)?;
        args.push(argument);
        rest = skip_blanks(after);
    }
    Some(args)
}

fn skip_blanks(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|byte| is_blank(**byte)).count();
    line.get(blanks..).unwrap_or_default()
}

fn split_argument(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut argument = Vec::new();
    loop {
        rest = match rest {
            [] => return Some((argument, rest)),
            [b'"', quoted @ ..] => return unquote(quoted, argument, b'"'),
            [b'\'', quoted @ ..] => return unquote(quoted, argument, b'\''),
            [byte, ..] if is_blank(*byte) => return Some((argument, rest)),
            [byte, rest @ ..] => {
                argument.push(*byte);
                rest
            }
        };
    }
}

/// Appends what is quoted to `argument`, which ends with the quote.
fn unquote(mut rest: &[u8], mut argument: Vec<u8>, quote: u8) -> Option<(Vec<u8>, &[u8])> {
    loop {
        let (byte, after) = match rest {
            [] => return None,
            [byte, after @ ..] if *byte == quote => {
                let closed = after.first().is_none_or(|next| is_blank(*next));
                return closed.then_some((argument, after));
            }
            [b'\\', b'\'', after @ ..] if quote == b'\'' => (b'\'', after),
            [b'\\', b'x', high, low, after @ ..] if quote == b'"' && hex(*high).and(hex(*low)).is_some() => {
                (hex(*high)? * 16 + hex(*low)?, after)
            }
            [b'\\', escaped, after @ ..] if quote == b'"' => (unescape(*escaped), after),
            [byte, after @ ..] => (*byte, after),
        };
        argument.push(byte);
        rest = after;
    }
}

fn unescape(escaped: u8) -> u8 {
    match escaped {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// C's `isspace`.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(reply: &Reply) -> [String; 2] {
        [Protocol::Resp2, Protocol::Resp3].map(|protocol| {
            let mut bytes = Vec::new();
            reply.encode(protocol, &mut bytes);
            String::from_utf8(bytes).expect("the reply is UTF-8").replace("\r\n", "|")
        })
    }

    #[test]
    fn replies_are_encoded_in_both_versions() {
        let pair = || vec![(Reply::bulk("k"), Reply::Array(vec![Reply::Integer(-1)]))];
        for (reply, two, three) in [
            (Reply::OK, "+OK|", "+OK|"),
            (Reply::Error(b"ERR a\r\nb".to_vec()), "-ERR a  b|", "-ERR a  b|"),
            (Reply::Integer(i64::MIN), ":-9223372036854775808|", ":-9223372036854775808|"),
            (Reply::bulk(""), "$0||", "$0||"),
            (Reply::Nil, "$-1|", "_|"),
            (Reply::NilArray, "*-1|", "_|"),
            (Reply::Array(vec![]), "*0|", "*0|"),
            (Reply::Map(pair()), "*2|$1|k|*1|:-1|", "%1|$1|k|*1|:-1|"),
            (Reply::Pairs(pair()), "*1|*2|$1|k|*1|:-1|", "%1|$1|k|*1|:-1|"),
        ] {
            assert_eq!(encoded(&reply), [two, three], "{reply:?}");
        }
    }

    fn all(decoder: &mut Decoder) -> Result<Vec<Vec<Vec<u8>>>, DecodeError> {
        std::iter::from_fn(|| decoder.next_command().transpose()).collect()
    }

    #[test]
    fn commands_are_the_same_however_they_arrive() {
        let input = b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\r\nb\r\n\r\n*0\r\n*-1\r\n  PING  \r\nECHO 'x y'\n*1\r\n$4\r\nPING\r\n";
        let expected: Vec<Vec<Vec<u8>>> =
            [&[&b"SET"[..], b"", b"a\r\nb"][..], &[b"PING"], &[b"ECHO", b"x y"], &[b"PING"]]
                .map(|args| args.iter().map(|arg| arg.to_vec()).collect())
                .into();
        for piece_len in (1..=input.len()).step_by(if cfg!(miri) { 9 } else { 1 }) {
            let mut decoder = Decoder::new();
            let mut commands = Vec::new();
            for piece in input.chunks(piece_len) {
                decoder.feed(piece);
                commands.extend(all(&mut decoder).expect("the input is valid"));
            }
            assert_eq!(commands, expected, "in pieces of {piece_len}");
            assert!(!decoder.is_partial());
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "it interprets 64 KiB lines")]
    fn bytes_that_are_no_command_are_an_error_for_good() {
        let long_line = [vec![b'x'; LINE_LEN_MAX + 1]].concat();
        let long_count = [&b"*"[..], &[b'1'; LINE_LEN_MAX]].concat();
        let long_len = [&b"*1\r\n$"[..], &[b'1'; LINE_LEN_MAX]].concat();
        for (input, error) in [
            (&b"ECHO 'x\r\n"[..], DecodeError::UnbalancedQuotes),
            (b"*x\r\n", DecodeError::ArgumentCount),
            (b"*2147483648\r\n", DecodeError::ArgumentCount),
            (b"*1\r\n*1\r\n", DecodeError::NotABulkString(b'*')),
            (b"*1\r\n$x\r\n", DecodeError::ArgumentLen),
            (b"*1\r\n$-1\r\n", DecodeError::ArgumentLen),
            (b"*1\r\n$536870913\r\n", DecodeError::ArgumentLen),
            (&long_line, DecodeError::LineTooLong),
            (&long_count, DecodeError::ArgumentCountTooLong),
            (&long_len, DecodeError::ArgumentLenTooLong),
        ] {
            let mut decoder = Decoder::new();
            decoder.feed(input);
            assert_eq!(decoder.next_command(), Err(error.clone()));
            decoder.feed(b"\r\nPING\r\n");
            assert_eq!(decoder.next_command(), Err(error));
        }
        let reply = Reply::from(DecodeError::NotABulkString(b'!'));
        assert_eq!(reply, Reply::Error(b"ERR Protocol error: expected '$', got '!'".to_vec()));
    }

    #[test]
    fn announced_lengths_reserve_nothing() {
        let mut decoder = Decoder::new();
        decoder.feed(b"*2147483647\r\n$536870912\r\nx");
        assert_eq!(decoder.next_command(), Ok(None));
        assert!(decoder.buffer.capacity() < 1024 && decoder.is_partial());
    }

    #[test]
    fn lines_are_split_as_by_redis_cli() {
        let split = |line: &str| {
            let args = split_line(line.as_bytes())?;
            Some(args.iter().map(|arg| arg.iter().map(|byte| char::from(*byte)).collect()).collect::<Vec<String>>())
        };
        let some = |args: &[&str]| Some(args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        assert_eq!(split(""), some(&[]));
        assert_eq!(split(" \t a  b\x0b"), some(&["a", "b"]));
        assert_eq!(split(r#""a b" 'c d'"#), some(&["a b", "c d"]));
        assert_eq!(split(r#""" ''"#), some(&["", ""]));
        assert_eq!(split(r#"a"b c""#), some(&["ab c"]));
        assert_eq!(split(r#""\n\r\t\b\a\\\"\q""#), some(&["\n\r\t\x08\x07\\\"q"]));
        assert_eq!(split(r#""\x41\xfF\xg1\x4""#), some(&["A\u{ff}xg1x4"]));
        assert_eq!(split(r#"'\n\'\x41"'"#), some(&[r#"\n'\x41""#]));
        assert_eq!(split(r#"a\n"#), some(&[r#"a\n"#]));
        for unbalanced in [r#"""#, r#"'a"#, r#""a"b"#, r#"'a''b'"#, r#""a\""#, r#""\"#] {
            assert_eq!(split(unbalanced), None, "{unbalanced}");
        }
    }
}
