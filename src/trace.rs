//! What is told to whoever collects events, with the feature `tracing`; nothing without it. The spans and events are listed in
//! [`metrics`](crate::metrics).

#[cfg(feature = "tracing")]
pub use told::*;
#[cfg(not(feature = "tracing"))]
pub use untold::*;

#[cfg(feature = "tracing")]
mod told {
    use std::borrow::Cow;
    use std::fmt;
    use std::time::Duration;

    use tracing::{Level, debug, error, event, info, span, trace, warn};

    use crate::RecoveryReport;
    use crate::metrics::Operation;

    /// Encloses what happens until it is dropped, on this thread.
    pub type Span = tracing::span::EnteredSpan;

    /// Enters the span of an operation.
    pub fn enter(operation: Operation, about: &[u8]) -> Span {
        /// Names of spans are constants.
        macro_rules! enter {
            ($level:ident, $name:literal, $field:ident) => {
                span!(target: "streamlog", Level::$level, $name, $field = %lossy(about)).entered()
            };
        }
        match operation {
            Operation::OpenStore => enter!(DEBUG, "open_store", path),
            Operation::CloseStore => enter!(DEBUG, "close_store", path),
            Operation::OpenStream => enter!(DEBUG, "open_stream", stream),
            Operation::CreateStream => enter!(DEBUG, "create_stream", stream),
            Operation::DeleteStreams => enter!(DEBUG, "delete_streams", stream),
            Operation::RenameStream => enter!(DEBUG, "rename_stream", stream),
            Operation::CopyStream => enter!(DEBUG, "copy_stream", stream),
            Operation::RepairStream => enter!(DEBUG, "repair_stream", stream),
            Operation::Rotate => enter!(DEBUG, "rotate", stream),
            Operation::Checkpoint => enter!(DEBUG, "checkpoint", stream),
            Operation::Sync => enter!(TRACE, "sync", stream),
        }
    }

    /// An operation is over, in its span.
    pub fn done(operation: Operation, took: Duration) {
        let elapsed_us = micros(took);
        match operation {
            Operation::Sync => trace!(target: "streamlog", elapsed_us, "done"),
            _ => debug!(target: "streamlog", elapsed_us, "done"),
        }
    }

    /// It took long.
    pub fn slow(operation: Operation, took: Duration, threshold: Duration) {
        let (elapsed_us, threshold_us) = (micros(took), micros(threshold));
        warn!(target: "streamlog", operation = operation.name(), elapsed_us, threshold_us, "slow");
    }

    /// The store refuses to write from now on.
    pub fn poisoned(cause: &dyn fmt::Display) {
        error!(target: "streamlog", %cause, "poisoned");
    }

    /// A stream was opened: an error for each damage, a warning if something was dropped, and quiet if it had been closed.
    pub fn opened(name: &[u8], recovery: &RecoveryReport) {
        let stream = lossy(name);
        for finding in &recovery.damage {
            error!(target: "streamlog", %stream, %finding, "a damaged stream goes on");
        }
        let RecoveryReport {
            log_bytes_dropped, journal_bytes_dropped, entries_dropped, changes_dropped, last_id, ..
        } = recovery;
        if recovery.has_dropped() {
            event!(
                target: "streamlog", Level::WARN,
                %stream, log_bytes_dropped, journal_bytes_dropped, entries_dropped, changes_dropped, %last_id,
                "opened after a crash; what it cut short was dropped"
            );
        } else if !recovery.is_clean {
            info!(target: "streamlog", %stream, %last_id, "opened after a crash; nothing was lost");
        } else {
            debug!(target: "streamlog", %stream, %last_id, "opened");
        }
    }

    fn lossy(bytes: &[u8]) -> Cow<'_, str> {
        String::from_utf8_lossy(bytes)
    }

    fn micros(time: Duration) -> u64 {
        u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(not(feature = "tracing"))]
mod untold {
    use std::fmt;
    use std::time::Duration;

    use crate::RecoveryReport;
    use crate::metrics::Operation;

    /// Encloses nothing.
    pub struct Span;

    pub fn enter(_: Operation, _: &[u8]) -> Span {
        Span
    }

    pub fn done(_: Operation, _: Duration) {}

    pub fn slow(_: Operation, _: Duration, _: Duration) {}

    pub fn poisoned(_: &dyn fmt::Display) {}

    pub fn opened(_: &[u8], _: &RecoveryReport) {}
}
