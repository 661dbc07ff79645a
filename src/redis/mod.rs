//! A store behind the interface of [redis-rs], so that code written for a Redis server runs on an embedded store.
//!
//! A [`Connection`] is what a connection is in redis-rs, blocking ([`redis::ConnectionLike`]) and asynchronous
//! ([`redis::aio::ConnectionLike`]). So everything built on these works: `cmd`, `pipe`, `Commands` and `AsyncCommands` with
//! their typed replies. Replies are the values that redis-rs's own parser makes of what a server sends, in RESP2 or RESP3;
//! which commands there are is said in [`command`].
//!
//! This module needs the feature `redis`, and version 1 of the crate `redis`. Its feature `tokio-comp` is on, because
//! the asynchronous interface does not build without a runtime; nothing here uses that, or the network.
//!
//! # Examples
//!
//! A function that does not care where its streams are:
//!
//! ```
//! use redis::streams::{StreamMaxlen, StreamRangeReply};
//! use redis::{Commands, ConnectionLike, RedisResult};
//!
//! fn newest_order<C: ConnectionLike>(connection: &mut C) -> RedisResult<Option<String>> {
//!     let _: String = connection.xadd("orders", "*", &[("type", "created"), ("total", "49.99")])?;
//!     let _: u64 = connection.xtrim("orders", StreamMaxlen::Approx(1_000_000))?;
//!     let newest: StreamRangeReply = connection.xrevrange_count("orders", "+", "-", 1)?;
//!     Ok(newest.ids.first().and_then(|entry| entry.get("type")))
//! }
//!
//! let store = streamlog::Store::in_memory();
//! let mut connection = streamlog::redis::Connection::new(&store);
//! assert_eq!(newest_order(&mut connection)?.as_deref(), Some("created"));
//! # Ok::<(), redis::RedisError>(())
//! ```
//!
//! # Pipelines
//!
//! The commands of a pipeline are run one after the other, and one that fails does not keep the others from running.
//! `atomic()` encloses them in `MULTI` and `EXEC`, with what that promises here: see
//! [transactions](command#transactions). When a command of an atomic pipeline is refused, the error is of the kind
//! `ExecAbort`, as from a server, and names the refused commands in its text instead of `into_server_errors`, which
//! cannot be filled from outside of redis-rs. `redis::transaction` needs `WATCH` and fails.
//!
//! # Futures
//!
//! They need no runtime. A command runs in the first poll of its future, on the polling thread, but does not wait for the
//! disk there, as its [durability](crate::Durability) demands: that, and what `XREAD` and `XREADGROUP` with `BLOCK` wait for,
//! comes to it by way of the store's own [threads](crate::futures). `EXEC` alone waits where it is polled.
//!
//! A future that is dropped before it was polled does nothing. Dropped later, it may have run some commands of its
//! pipeline and not the others; those it has run become durable. A blocking read that is dropped waits no longer; what was
//! just being delivered to it stays pending for its consumer, to be read again from its history or claimed. Closing the store
//! ends the waiting.
//!
//! [redis-rs]: https://docs.rs/redis

mod value;

use ::redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};

use crate::Store;
use crate::command::{self, Decoder, Protocol, Reply, Session};

/// A connection, as redis-rs knows it, to a store in this process.
///
/// Costs a clone of the store's handle, and so does a clone. A clone speaks the same protocol, and has a copy of the
/// transaction that is open; nothing else is shared but the store.
///
/// # Examples
///
/// With futures, and any executor:
///
/// ```
/// use redis::AsyncCommands;
/// use redis::streams::{StreamReadOptions, StreamReadReply};
///
/// async fn read_all(mut connection: streamlog::redis::Connection) -> redis::RedisResult<usize> {
///     let _: String = connection.xadd("s", "*", &[("field", "value")]).await?;
///     let options = StreamReadOptions::default().block(1000);
///     let reply: StreamReadReply = connection.xread_options(&["s"], &["0"], &options).await?;
///     Ok(reply.keys[0].ids.len())
/// }
///
/// let connection = streamlog::redis::Connection::new(&streamlog::Store::in_memory());
/// assert_eq!(pollster::block_on(read_all(connection))?, 1);
/// # Ok::<(), redis::RedisError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Connection {
    store: Store,
    session: Session,
}

impl Connection {
    /// A connection that speaks RESP2, which is what redis-rs does unless told otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use redis::Commands;
    ///
    /// let mut connection = streamlog::redis::Connection::new(&streamlog::Store::in_memory());
    /// assert_eq!(connection.xlen("no such stream"), Ok(0));
    /// ```
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), session: Session::new(store) }
    }

    /// A connection that speaks the given version of the protocol.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::command::Protocol;
    ///
    /// let store = streamlog::Store::in_memory();
    /// let mut connection = streamlog::redis::Connection::with_protocol(&store, Protocol::Resp3);
    /// let reply: redis::Value = redis::cmd("HELLO").query(&mut connection)?;
    /// assert!(matches!(reply, redis::Value::Map(_)));
    /// # Ok::<(), redis::RedisError>(())
    /// ```
    #[must_use]
    pub fn with_protocol(store: &Store, protocol: Protocol) -> Self {
        let mut connection = Self::new(store);
        let version = match protocol {
            Protocol::Resp2 => "2",
            Protocol::Resp3 => "3",
        };
        connection.session.execute(&["HELLO", version]);
        connection
    }

    fn run(&mut self, command: &Command) -> RedisResult<Value> {
        let reply = self.session.execute(command);
        self.value(reply)
    }

    fn run_all(&mut self, packed: &[u8]) -> RedisResult<Vec<Value>> {
        commands(packed)?.iter().map(|command| self.run(command)).collect()
    }

    /// Like [`run`](Self::run), but what may block does so elsewhere. In a transaction nothing blocks.
    async fn run_async(&mut self, command: Command) -> RedisResult<Value> {
        let reply = self.session.execute_async(&command).await;
        self.value(reply)
    }

    async fn run_all_async(&mut self, packed: &[u8]) -> RedisResult<Vec<Value>> {
        let mut values = Vec::new();
        for command in commands(packed)? {
            values.push(self.run_async(command).await?);
        }
        Ok(values)
    }

    /// To be called when the command has run: HELLO is answered in the protocol it chooses.
    fn value(&self, reply: Reply) -> RedisResult<Value> {
        value::from_reply(reply, self.session.protocol())
    }
}

impl ::redis::ConnectionLike for Connection {
    fn req_packed_command(&mut self, cmd: &[u8]) -> RedisResult<Value> {
        self.run_all(cmd).and_then(only)
    }

    fn req_packed_commands(&mut self, cmd: &[u8], offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        self.run_all(cmd).and_then(|values| wanted(values, offset, count))
    }

    fn req_command(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        let value = self.req_packed_command(&cmd.get_packed_command())?;
        Ok(if cmd.is_no_response() { Value::Nil } else { value })
    }

    fn get_db(&self) -> i64 {
        0
    }

    /// Whether the store answers. Costs a look at its names.
    fn check_connection(&mut self) -> bool {
        ::redis::ConnectionLike::is_open(self)
    }

    fn is_open(&self) -> bool {
        // Apart from the session, where it would become part of an open transaction.
        !command::execute(&self.store, &["EXISTS", ""]).is_error()
    }
}

impl ::redis::aio::ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let value = self.run_all_async(&cmd.get_packed_command()).await.and_then(only)?;
            Ok(if cmd.is_no_response() { Value::Nil } else { value })
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let values = self.run_all_async(&pipeline.get_packed_pipeline()).await?;
            wanted(values, offset, count)
        })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

/// The name of a command and its arguments.
type Command = Vec<Vec<u8>>;

fn commands(packed: &[u8]) -> RedisResult<Vec<Command>> {
    let mut decoder = Decoder::new();
    decoder.feed(packed);
    let mut commands = Vec::new();
    while let Some(command) = decoder.next_command().map_err(|error| not_a_command(error.to_string()))? {
        commands.push(command);
    }
    if decoder.is_partial() {
        return Err(not_a_command("the bytes end within a command".to_owned()));
    }
    Ok(commands)
}

fn not_a_command(detail: String) -> RedisError {
    (ErrorKind::Client, "these bytes are no command", detail).into()
}

/// The reply to the one command that was sent.
fn only(values: Vec<Value>) -> RedisResult<Value> {
    values.into_iter().next().ok_or_else(|| (ErrorKind::Client, "empty command").into())
}

/// What redis-rs wants of the replies to a pipeline: those after the first `offset`, unless there are errors among these.
/// They are the replies to MULTI and to the commands that it keeps.
fn wanted(values: Vec<Value>, offset: usize, count: usize) -> RedisResult<Vec<Value>> {
    let mut values = values.into_iter();
    let refused = values.by_ref().take(offset).enumerate().filter_map(|(position, value)| match value {
        // Pipelines count their commands without the MULTI before them.
        Value::ServerError(error) => Some((position.saturating_sub(1), error)),
        _ => None,
    });
    let refused: Vec<_> = refused.collect();
    if refused.is_empty() { Ok(values.take(count).collect()) } else { Err(value::aborted(&refused)) }
}
