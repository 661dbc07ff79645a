//! How far something is: drawn on standard error, and only if that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that ends at a number of bytes, entries or what else the template says.
pub fn with_end(end: u64, template: &str) -> ProgressBar {
    ProgressBar::new(end).with_style(style(template))
}

/// For what has no end, or one that is not known.
pub fn without_end(template: &str) -> ProgressBar {
    ProgressBar::no_length().with_style(style(template))
}

/// A template that is wrong is no reason not to do what it was to show.
pub fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
