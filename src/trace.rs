//! What is told to whoever collects events, with the feature `tracing`; nothing without it.

use crate::RecoveryReport;

/// A stream was opened: an error for each damage, a warning if something was dropped, and quiet if it had been closed.
#[cfg(feature = "tracing")]
pub fn opened(name: &[u8], recovery: &RecoveryReport) {
    let stream = String::from_utf8_lossy(name);
    for finding in &recovery.damage {
        tracing::error!(%stream, %finding, "a damaged stream goes on");
    }
    let RecoveryReport { log_bytes_dropped, journal_bytes_dropped, entries_dropped, changes_dropped, last_id, .. } =
        recovery;
    if recovery.has_dropped() {
        tracing::warn!(
            %stream, log_bytes_dropped, journal_bytes_dropped, entries_dropped, changes_dropped, %last_id,
            "opened after a crash; what it cut short was dropped"
        );
    } else if !recovery.is_clean {
        tracing::info!(%stream, %last_id, "opened after a crash; nothing was lost");
    } else {
        tracing::debug!(%stream, %last_id, "opened");
    }
}

#[cfg(not(feature = "tracing"))]
pub fn opened(_: &[u8], _: &RecoveryReport) {}
