//! A snapshot in the text format of OpenMetrics.
//!
//! Written by hand: the crates that can, keep registries of counters of their own, which they would have to be filled from; what
//! is left is a line for each number. A test reads it with a parser.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::GroupInfo;
use crate::metrics::{Metrics, StreamMetrics};

impl Metrics {
    /// The snapshot as [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/) text, version 1.0: what an HTTP
    /// endpoint answers a collector, with the content type `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    ///
    /// The [module](crate::metrics) lists the metrics.
    ///
    /// # Examples
    ///
    /// ```
    /// let store = streamlog::Store::in_memory();
    /// store.stream("orders")?.add([("order", "o1")])?;
    /// let text = store.metrics()?.open_metrics();
    /// assert!(text.contains("streamlog_stream_entries{stream=\"orders\"} 1\n"));
    /// assert!(text.ends_with("# EOF\n"));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    #[must_use]
    pub fn open_metrics(&self) -> String {
        let mut text = Text(String::new());
        // Writing to a string does not fail.
        let _ = self.write_store(&mut text).and_then(|()| self.write_streams(&mut text));
        text.0.push_str("# EOF\n");
        text.0
    }

    fn write_store(&self, text: &mut Text) -> fmt::Result {
        text.family("streams", Kind::Gauge, "", "Streams in the store.")?;
        text.sample("streams", &[], self.streams)?;
        text.family("streams_open", Kind::Gauge, "", "Streams that are open, which series of streams are about.")?;
        text.sample("streams_open", &[], self.open_streams.len())?;
        text.family("readers_waiting", Kind::Gauge, "", "Reads that wait for entries.")?;
        text.sample("readers_waiting", &[], self.readers_waiting)?;
        text.family("poisoned", Kind::Gauge, "", "Whether the store refuses to write after a failure.")?;
        text.sample("poisoned", &[], u8::from(self.poisoned.is_some()))?;
        text.family("sync_duration_seconds", Kind::Histogram, "seconds", "Syncs of logs and journals.")?;
        for (nanos, count) in self.syncs.below() {
            let bound = Seconds(Duration::from_nanos(nanos)).to_string();
            text.sample("sync_duration_seconds_bucket", &[("le", bound.as_bytes())], count)?;
        }
        text.sample("sync_duration_seconds_bucket", &[("le", b"+Inf")], self.syncs.count())?;
        text.sample("sync_duration_seconds_sum", &[], Seconds(self.syncs.total()))?;
        text.sample("sync_duration_seconds_count", &[], self.syncs.count())?;
        text.family("operations", Kind::Counter, "", "Operations, by their kind.")?;
        for one in &self.operations {
            text.sample("operations_total", &[("operation", one.operation.name().as_bytes())], one.count)?;
        }
        text.family("operations_slow", Kind::Counter, "", "Operations that were slow, by their kind.")?;
        for one in &self.operations {
            text.sample("operations_slow_total", &[("operation", one.operation.name().as_bytes())], one.slow)?;
        }
        Ok(())
    }

    fn write_streams(&self, text: &mut Text) -> fmt::Result {
        self.of_streams(text, "stream_entries", Kind::Gauge, "", "Entries in the stream.", |one| one.entries)?;
        let added = |one: &StreamMetrics| one.entries_added;
        self.of_streams(text, "stream_entries_added", Kind::Counter, "", "Entries ever added.", added)?;
        self.of_streams(text, "stream_segments", Kind::Gauge, "", "Files of the log.", |one| one.segments)?;
        let bytes = |one: &StreamMetrics| one.bytes;
        self.of_streams(text, "stream_size_bytes", Kind::Gauge, "bytes", "All files of the stream.", bytes)?;
        let consumers = |group: &GroupInfo| Some(group.consumers);
        self.of_groups(text, "group_consumers", Kind::Gauge, "Consumers of the group.", consumers)?;
        let pending = |group: &GroupInfo| Some(group.pending);
        self.of_groups(text, "group_pending_entries", Kind::Gauge, "Delivered and not acknowledged.", pending)?;
        let released = |group: &GroupInfo| Some(group.released);
        self.of_groups(text, "group_released_entries", Kind::Gauge, "Pending, and given back.", released)?;
        let lag = |group: &GroupInfo| group.lag.and_then(|lag| u64::try_from(lag).ok());
        self.of_groups(text, "group_lag_entries", Kind::Gauge, "Yet to be delivered.", lag)?;
        let read = |group: &GroupInfo| group.entries_read;
        self.of_groups(text, "group_entries_read", Kind::Counter, "Delivered, in the order of the stream.", read)
    }

    fn of_streams(
        &self,
        text: &mut Text,
        name: &str,
        kind: Kind,
        unit: &str,
        help: &str,
        value: impl Fn(&StreamMetrics) -> u64,
    ) -> fmt::Result {
        text.family(name, kind, unit, help)?;
        let sample = format!("{name}{}", kind.suffix());
        for stream in &self.open_streams {
            text.sample(&sample, &[("stream", &stream.name)], value(stream))?;
        }
        Ok(())
    }

    fn of_groups(
        &self,
        text: &mut Text,
        name: &str,
        kind: Kind,
        help: &str,
        value: impl Fn(&GroupInfo) -> Option<u64>,
    ) -> fmt::Result {
        text.family(name, kind, "", help)?;
        let sample = format!("{name}{}", kind.suffix());
        for stream in &self.open_streams {
            for group in &stream.groups {
                if let Some(value) = value(group) {
                    text.sample(&sample, &[("stream", &stream.name), ("group", &group.name)], value)?;
                }
            }
        }
        Ok(())
    }
}

/// What kind of metric a family is of.
#[derive(Clone, Copy)]
enum Kind {
    Gauge,
    Counter,
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }

    /// What the name of a sample has behind that of its family.
    fn suffix(self) -> &'static str {
        if matches!(self, Self::Counter) { "_total" } else { "" }
    }
}

/// Lines of OpenMetrics.
struct Text(String);

impl Text {
    /// Begins a family. Its samples follow.
    fn family(&mut self, name: &str, kind: Kind, unit: &str, help: &str) -> fmt::Result {
        writeln!(self.0, "# TYPE streamlog_{name} {}", kind.name())?;
        if !unit.is_empty() {
            writeln!(self.0, "# UNIT streamlog_{name} {unit}")?;
        }
        writeln!(self.0, "# HELP streamlog_{name} {help}")
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &[u8])], value: impl fmt::Display) -> fmt::Result {
        write!(self.0, "streamlog_{name}")?;
        for (position, (label, value)) in labels.iter().enumerate() {
            let before = if position == 0 { '{' } else { ',' };
            write!(self.0, "{before}{label}=\"{}\"", Label(value))?;
        }
        let after = if labels.is_empty() { "" } else { "}" };
        writeln!(self.0, "{after} {value}")
    }
}

/// Any bytes as the value of a label, so that different ones stay different.
struct Label<'a>(&'a [u8]);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '"' => f.write_str("\\\"")?,
                    // The backslash that we write has to be escaped itself. So does one that is there, by its number, or it
                    // would be taken for one of ours.
                    '\\' => f.write_str("\\\\x5c")?,
                    // Line feeds alone have to be escaped; other control characters had better be.
                    char if char.is_control() && char.is_ascii() => write!(f, "\\\\x{:02x}", char as u32)?,
                    char => f.write_char(char)?,
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

/// A time in seconds, exactly.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:09}", self.0.as_secs(), self.0.subsec_nanos());
        let trimmed = text.trim_end_matches('0');
        // At least one digit behind the point: the bounds of a histogram are floating-point numbers.
        f.write_str(trimmed)?;
        if trimmed.ends_with('.') { f.write_str("0") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(bytes: &[u8]) -> String {
        Label(bytes).to_string()
    }

    #[test]
    fn labels_are_text_and_no_two_names_have_the_same() {
        assert_eq!(label(b"orders"), "orders");
        assert_eq!(label("Bücher".as_bytes()), "Bücher");
        assert_eq!(label(b"a\"b\\c\nd"), "a\\\"b\\\\x5cc\\\\x0ad");
        assert_eq!(label(b"\xff\xfe \xc3"), "\\\\xff\\\\xfe \\\\xc3");
        assert_ne!(label(b"\\xff"), label(b"\xff"));
    }

    #[test]
    fn times_are_exact() {
        let seconds = |nanos| Seconds(Duration::from_nanos(nanos)).to_string();
        assert_eq!(
            [0, 1, 16_384, 1_000_000_000, 17_179_869_184].map(seconds),
            ["0.0", "0.000000001", "0.000016384", "1.0", "17.179869184"]
        );
    }
}
