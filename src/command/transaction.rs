//! MULTI, EXEC, DISCARD, WATCH and UNWATCH: commands that are kept and then run in a row.

use super::reply::{Called, Failure, Reply};
use super::{Arity, Command, Session};
use crate::Block;

pub(super) const COMMANDS: &[Command] = &[
    Command::new("multi", Arity::Exactly(1), multi),
    Command::new("exec", Arity::Exactly(1), exec),
    Command::new("discard", Arity::Exactly(1), discard),
    Command::new("watch", Arity::AtLeast(2), watch),
    Command::new("unwatch", Arity::Exactly(1), unwatch),
];

/// Where a session stands.
#[derive(Clone, Debug, Default)]
pub(super) enum Transaction {
    /// Commands are run as they come.
    #[default]
    None,
    /// After MULTI: commands are kept.
    Open {
        commands: Vec<Vec<Vec<u8>>>,
        /// One was refused, so EXEC will be.
        broken: bool,
    },
    /// In EXEC: what was kept is being run.
    Running,
}

/// What is to be done with a command that can be run.
pub(super) enum Next {
    Run,
    Queued,
}

impl Transaction {
    /// Keeps a command, or says that it is to be run.
    pub(super) fn next(&mut self, called: Called<'_>, args: &[&[u8]]) -> Next {
        match self {
            Self::Open { commands, .. } if !runs_at_once(called) => {
                commands.push(args.iter().map(|arg| arg.to_vec()).collect());
                Next::Queued
            }
            _ => Next::Run,
        }
    }

    /// To be called for a command that cannot be run; returns why, as the client is to be told.
    pub(super) fn refused(&mut self, called: Called<'_>, failure: Failure) -> Failure {
        if is_exec(called) {
            *self = Self::None;
            return Failure::ExecRefused(Box::new(failure));
        }
        if let Self::Open { broken, .. } = self {
            *broken = true;
        }
        failure
    }
}

fn runs_at_once(called: Called<'_>) -> bool {
    called.container.is_none() && ["multi", "exec", "discard", "watch"].contains(&called.name)
}

fn is_exec(called: Called<'_>) -> bool {
    called.container.is_none() && called.name == "exec"
}

impl Session {
    /// Whether commands are being kept for EXEC.
    #[cfg(feature = "redis")]
    pub(crate) fn is_queueing(&self) -> bool {
        matches!(self.transaction, Transaction::Open { .. })
    }

    /// How long a command may block: in EXEC the time is up at once (BLK-14).
    pub(super) fn may_block(&self, block: Block) -> Block {
        if self.replays || matches!(self.transaction, Transaction::Running) { Block::No } else { block }
    }
}

/// `MULTI`. A second one is refused, but does no harm to the first.
fn multi(session: &mut Session, _: &[&[u8]]) -> Result<Reply, Failure> {
    if matches!(session.transaction, Transaction::Open { .. }) {
        return Err(Failure::NestedMulti);
    }
    session.transaction = Transaction::Open { commands: Vec::new(), broken: false };
    Ok(Reply::OK)
}

/// `EXEC`. An error among the replies stops nothing: the commands after it are run, too.
fn exec(session: &mut Session, _: &[&[u8]]) -> Result<Reply, Failure> {
    match std::mem::take(&mut session.transaction) {
        Transaction::Open { broken: true, .. } => Err(Failure::TransactionBroken),
        Transaction::Open { commands, .. } => {
            session.transaction = Transaction::Running;
            let replies = commands.iter().map(|args| session.execute(args)).collect();
            session.transaction = Transaction::None;
            Ok(Reply::Array(replies))
        }
        Transaction::None | Transaction::Running => Err(Failure::WithoutMulti("EXEC")),
    }
}

/// `DISCARD`
fn discard(session: &mut Session, _: &[&[u8]]) -> Result<Reply, Failure> {
    match std::mem::take(&mut session.transaction) {
        Transaction::Open { .. } => Ok(Reply::OK),
        Transaction::None | Transaction::Running => Err(Failure::WithoutMulti("DISCARD")),
    }
}

/// `WATCH key [key ...]`, which is refused: other threads can write between a look at the keys and the commands of
/// EXEC, so a transaction that ran would prove nothing.
fn watch(session: &mut Session, _: &[&[u8]]) -> Result<Reply, Failure> {
    match session.transaction {
        Transaction::Open { .. } => Err(Failure::WatchInMulti),
        Transaction::None | Transaction::Running => Err(Failure::WatchUnsupported),
    }
}

/// `UNWATCH`: nothing is watched.
fn unwatch(_: &mut Session, _: &[&[u8]]) -> Result<Reply, Failure> {
    Ok(Reply::OK)
}
