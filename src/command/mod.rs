//! Redis commands: arguments in, replies out.
//!
//! This layer turns a command as a client would send it into calls of the typed API, and the result into what a Redis
//! server would reply, errors word for word. It holds no state but that of a [`Session`], which is its protocol version
//! and an open transaction, and nothing in it does I/O: a server, a shell or a pipe only has to move bytes, with
//! [`Decoder`] on one side and [`Reply::encode`] on the other.
//!
//! | family | commands |
//! |---|---|
//! | adding | `XADD` `XCFGSET` `XIDMPRECORD` |
//! | reading | `XLEN` `XRANGE` `XREVRANGE` `XREAD` |
//! | removing | `XDEL` `XDELEX` `XTRIM` |
//! | groups | `XGROUP` `XREADGROUP` `XACK` `XACKDEL` `XNACK` `XPENDING` `XCLAIM` `XAUTOCLAIM` |
//! | state | `XINFO` `XSETID` |
//! | keys | `DEL` `UNLINK` `EXISTS` `TYPE` `KEYS` `SCAN` `RENAME` `RENAMENX` `COPY` `DBSIZE` `FLUSHALL` `FLUSHDB` |
//! | connection | `PING` `ECHO` `TIME` `HELLO` `SELECT` |
//! | transactions | `MULTI` `EXEC` `DISCARD` `UNWATCH`; `WATCH`, which is always an error |
//!
//! Names, fields and values are any bytes. No arguments make a command panic.
//!
//! # Transactions
//!
//! After `MULTI` a [`Session`] keeps commands, and `EXEC` runs them in a row; commands that cannot be run, for their name
//! or the number of their arguments, make `EXEC` refuse all of them. In `EXEC` nothing blocks: the time of a blocking read
//! is up at once. Each command is atomic by itself, and durable before the next one is run, but the transaction is not
//! isolated: other threads may run commands between those of a transaction, and see some of them done and others not
//! yet. After a crash a part of a transaction may be there. `WATCH` is refused for that reason: that nothing has changed
//! a key before `EXEC` would not mean that nothing does so during it. Its answer is
//! `ERR WATCH is not supported, because transactions are not isolated`.
//!
//! # Failures of the store
//!
//! What Redis has no words for is answered in ours: `MISCONF` with the reason when the disk is full or the store refuses
//! writes after an earlier failure, which is the code Redis uses when it cannot persist, and `ERR` with the reason for
//! everything else (damage, I/O errors, a closed store). Names longer than [`NAME_LEN_MAX`] bytes
//! cannot exist here: reading them finds nothing, creating them is an `ERR`.
//!
//! # Differences from Redis
//!
//! There is one database, 0, and all its keys are streams. `XINFO STREAM` reports files of ours as `radix-tree-keys` and
//! `radix-tree-nodes`, and with `FULL` looks at the counters, the entries and the groups one after the other, so that they
//! may not fit together while others write; a group has a `nacked-count` there only if entries of it were released.
//! `XREAD`'s `MAXSIZE` counts keys and entries as they are encoded, without the lengths of the lists; that of `XREADGROUP`
//! counts entries only. `HELLO` calls the server `streamlog` and states the version of Redis whose stream commands these are.

mod ack;
mod add;
mod claim;
mod connection;
mod delete;
mod glob;
mod group;
mod idempotency;
mod info;
mod keys;
mod parse;
mod pending;
mod range;
mod read;
mod reply;
mod resp;
mod transaction;
mod trim;

pub use reply::Reply;
use reply::{Called, Failure};
pub use resp::{DecodeError, Decoder, Protocol, split_line};

use crate::env::OneMoment;
#[cfg(feature = "redis")]
use crate::stream::put_off::{putting_off, settle_all};
use crate::{NAME_LEN_MAX, ReadOnlyStore, Store, Stream};
use transaction::{Next, Transaction};

/// Runs one command, without a session: [`Session::execute`] for a client that speaks RESP2 and sends one command.
///
/// # Examples
///
/// ```
/// use streamlog::command::{Reply, execute};
///
/// let store = streamlog::Store::in_memory();
/// execute(&store, &["XADD", "orders", "1-1", "type", "created"]);
/// assert_eq!(execute(&store, &["XLEN", "orders"]), Reply::Integer(1));
/// ```
pub fn execute<A: AsRef<[u8]>>(store: &Store, args: &[A]) -> Reply {
    Session::new(store).execute(args)
}

/// The names of all commands in capitals, those of subcommands behind their container's: `XADD`, `XGROUP CREATE`.
///
/// # Examples
///
/// ```
/// let names = streamlog::command::names();
/// assert!(names.iter().any(|name| name == "XGROUP CREATE"));
/// ```
#[must_use]
pub fn names() -> Vec<String> {
    let of = |command: &Command| match &command.run {
        Run::Handler(_) => vec![command.name.to_uppercase()],
        Run::Subcommands(subcommands) => {
            let name = |sub: &Command| format!("{} {}", command.name, sub.name).to_uppercase();
            subcommands.iter().map(name).collect()
        }
    };
    FAMILIES.into_iter().flatten().flat_map(of).collect()
}

/// What a connection to a Redis server would be: a sequence of commands, the protocol version they agreed on, and the
/// transaction that is open.
///
/// Costs a clone of the store's handle.
///
/// # Examples
///
/// ```
/// use streamlog::command::{Protocol, Reply, Session};
///
/// let mut session = Session::new(&streamlog::Store::in_memory());
/// assert_eq!(session.protocol(), Protocol::Resp2);
/// session.execute(&["HELLO", "3"]);
/// assert_eq!(session.protocol(), Protocol::Resp3);
///
/// let mut bytes = Vec::new();
/// session.execute(&["XADD", "s", "NOMKSTREAM", "*", "f", "v"]).encode(session.protocol(), &mut bytes);
/// assert_eq!(bytes, b"_\r\n");
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    store: Store,
    protocol: Protocol,
    transaction: Transaction,
    /// What is executed was logged by a server: see [`replaying`](Self::replaying).
    replays: bool,
}

impl Session {
    /// A new session, which speaks RESP2 until `HELLO 3` is executed.
    ///
    /// # Examples
    ///
    /// ```
    /// let session = streamlog::command::Session::new(&streamlog::Store::in_memory());
    /// ```
    #[must_use]
    pub fn new(store: &Store) -> Self {
        let (protocol, transaction) = (Protocol::default(), Transaction::default());
        Self { store: store.clone(), protocol, transaction, replays: false }
    }

    /// A session for commands as a server logs them: their effects, in forms that it takes from no client (AOF-8). A
    /// production may come with an ID, one without is a repetition that added nothing; a limit without `~` is ignored; and
    /// nothing blocks.
    pub(crate) fn replaying(store: &Store) -> Self {
        Self { replays: true, ..Self::new(store) }
    }

    /// As [`execute`](Self::execute), but what is wrong with the store, and not with the command, is an error.
    pub(crate) fn replay(&mut self, args: &[&[u8]]) -> crate::Result<Reply> {
        let (called, resolved) = resolve(args);
        match resolved.and_then(|(handler, rest)| handler(self, rest)) {
            Err(Failure::Store(error)) if !error.is_of_arguments() => Err(error),
            Err(failure) => Ok(failure.into_reply(called)),
            Ok(reply) => Ok(reply),
        }
    }

    /// A session that reads a store which another process may be writing: each command sees what that has published, and one
    /// that would write is a `READONLY` error.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::Store;
    /// use streamlog::command::{Reply, Session};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path())?;
    /// let mut session = Session::read_only(&Store::open_read_only(dir.path())?);
    /// store.stream("s")?.add([("f", "v")])?;
    /// assert_eq!(session.execute(&["XLEN", "s"]), Reply::Integer(1));
    /// assert!(session.execute(&["XADD", "s", "*", "f", "v"]).is_error());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn read_only(store: &ReadOnlyStore) -> Self {
        Self::new(store.store())
    }

    /// The protocol version in which replies are to be encoded.
    ///
    /// # Examples
    ///
    /// ```
    /// # use streamlog::command::{Protocol, Session};
    /// assert_eq!(Session::new(&streamlog::Store::in_memory()).protocol(), Protocol::Resp2);
    /// ```
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Runs one command: its name, which may be in any case, and its arguments.
    ///
    /// Costs what the typed call costs, and one copy of the arguments or of the entries in the reply. `XREAD` and `XREADGROUP`
    /// with `BLOCK` block the calling thread. Whatever goes wrong is a [`Reply::Error`]; no arguments are one, too.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::command::{Reply, Session};
    ///
    /// let mut session = Session::new(&streamlog::Store::in_memory());
    /// session.execute(&["XADD", "s", "1-1", "f", "v"]);
    /// assert_eq!(session.execute(&["xdel", "s", "1-1"]), Reply::Integer(1));
    /// ```
    pub fn execute<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Reply {
        let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
        self.dispatch(&args)
    }

    /// As [`execute`](Self::execute), without holding up the thread for a disk or a read that blocks. But for these, the
    /// command is run in the first poll.
    #[cfg(feature = "redis")]
    pub(crate) async fn execute_async(&mut self, args: &[Vec<u8>]) -> Reply {
        let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
        let (called, resolved) = resolve(&args);
        let blocks = !self.is_queueing() && may_block(called, &args);
        let outcome = match (called.name, resolved) {
            ("xread", Ok((_, rest))) if blocks => read::xread_async(self, rest).await,
            ("xreadgroup", Ok((_, rest))) if blocks => read::xreadgroup_async(self, rest).await,
            // Each of its commands sees what those before it have done, which has to be durable for that.
            ("exec", _) => return self.dispatch(&args),
            _ => {
                let (reply, unsettled) = putting_off(|| self.dispatch(&args));
                match settle_all(unsettled, self.store.shared().tasks().lanes()).await {
                    Ok(()) => return reply,
                    Err(error) => Err(error.into()),
                }
            }
        };
        outcome.unwrap_or_else(|failure| failure.into_reply(called))
    }

    fn dispatch(&mut self, args: &[&[u8]]) -> Reply {
        let (called, resolved) = resolve(args);
        let outcome = match resolved {
            Ok((handler, rest)) => match self.transaction.next(called, args) {
                Next::Run => {
                    let _moment = (!may_block(called, args)).then(OneMoment::begin);
                    self.catch_up().and_then(|()| handler(self, rest))
                }
                Next::Queued => Ok(Reply::Simple("QUEUED".into())),
            },
            Err(failure) => Err(self.transaction.refused(called, failure)),
        };
        outcome.unwrap_or_else(|failure| failure.into_reply(called))
    }

    /// Takes in what another process has done to a store that is only read.
    fn catch_up(&self) -> Result<(), Failure> {
        Ok(self.store.shared().catch_up_all()?)
    }

    /// The stream of that name, if it exists.
    fn existing(&self, key: &[u8]) -> Result<Option<Stream>, Failure> {
        let stream = self.stream(key)?;
        Ok(match stream {
            Some(stream) if stream.exists()? => Some(stream),
            _ => None,
        })
    }

    /// A handle to the stream of that name; `None` if it cannot exist, because the name is too long.
    fn stream(&self, key: &[u8]) -> Result<Option<Stream>, Failure> {
        if key.len() > NAME_LEN_MAX { Ok(None) } else { Ok(Some(self.store.stream(key)?)) }
    }
}

/// Whether a command may be one that blocks, for which time goes on meanwhile.
fn may_block(called: Called<'_>, args: &[&[u8]]) -> bool {
    ["xread", "xreadgroup"].contains(&called.name) && args.iter().any(|arg| parse::is(arg, "BLOCK"))
}

/// A command, or a subcommand of one.
struct Command {
    /// In lower case, as errors name it.
    name: &'static str,
    arity: Arity,
    run: Run,
}

/// How many tokens there are: arguments, name, and container if there is one.
#[derive(Clone, Copy)]
enum Arity {
    Exactly(usize),
    AtLeast(usize),
}

/// Gets the arguments that follow the name.
type Handler = fn(&mut Session, &[&[u8]]) -> Result<Reply, Failure>;

enum Run {
    Handler(Handler),
    /// The next argument is the name of one of these.
    Subcommands(&'static [Command]),
}

use Arity::{AtLeast, Exactly};

/// All commands. Every family is listed in its own file.
static FAMILIES: [&[Command]; 15] = [
    add::COMMANDS,
    idempotency::COMMANDS,
    range::COMMANDS,
    read::COMMANDS,
    delete::COMMANDS,
    trim::COMMANDS,
    group::COMMANDS,
    ack::COMMANDS,
    pending::COMMANDS,
    claim::COMMANDS,
    info::COMMANDS,
    keys::COMMANDS,
    keys::STORE_COMMANDS,
    connection::COMMANDS,
    transaction::COMMANDS,
];

fn find<'a>(commands: impl IntoIterator<Item = &'a Command>, name: &[u8]) -> Option<&'a Command> {
    commands.into_iter().find(|command| name.eq_ignore_ascii_case(command.name.as_bytes()))
}

impl Command {
    const fn new(name: &'static str, arity: Arity, handler: Handler) -> Self {
        Self { name, arity, run: Run::Handler(handler) }
    }

    const fn container(name: &'static str, subcommands: &'static [Command]) -> Self {
        Self { name, arity: AtLeast(2), run: Run::Subcommands(subcommands) }
    }
}

/// What a handler gets besides the session.
type Arguments<'a> = &'a [&'a [u8]];

/// Finds what runs a command, and what that gets; also returns what was asked for, for the error.
fn resolve<'a>(args: Arguments<'a>) -> (Called<'a>, Result<(Handler, Arguments<'a>), Failure>) {
    let (typed, args) = args.split_first().map_or((&b""[..], args), |(typed, args)| (*typed, args));
    let Some(command) = find(FAMILIES.into_iter().flatten(), typed) else {
        let args = args.iter().map(|arg| arg.to_vec()).collect();
        return (Called { container: None, name: "", typed }, Err(Failure::UnknownCommand { args }));
    };
    let called = Called { container: None, name: command.name, typed };
    if !command.arity.allows(args.len() + 1) {
        return (called, Err(Failure::Arity));
    }
    let (subcommands, typed, args) = match (&command.run, args) {
        (Run::Handler(handler), _) => return (called, Ok((*handler, args))),
        (Run::Subcommands(subcommands), [typed, args @ ..]) => (*subcommands, *typed, args),
        (Run::Subcommands(_), []) => return (called, Err(Failure::Arity)),
    };
    let Some(subcommand) = find(subcommands, typed) else {
        return (Called { container: Some(command.name), typed, ..called }, Err(Failure::UnknownSubcommand));
    };
    let called = Called { container: Some(command.name), name: subcommand.name, typed };
    match subcommand.run {
        Run::Handler(handler) if subcommand.arity.allows(args.len() + 2) => (called, Ok((handler, args))),
        _ => (called, Err(Failure::Arity)),
    }
}

impl Arity {
    fn allows(self, tokens: usize) -> bool {
        match self {
            Exactly(count) => tokens == count,
            AtLeast(count) => tokens >= count,
        }
    }
}
