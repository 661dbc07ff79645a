//! Colours: only where a terminal shows them, unless it was said otherwise with `--color` or in the environment (`NO_COLOR`,
//! `CLICOLOR`, `CLICOLOR_FORCE`).
//!
//! What is written to the streams of [`anstream`] may be styled always: where colours are not wanted they are taken out.

use std::fmt::Display;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

pub const TITLE: Style = Style::new().bold();
pub const ASIDE: Style = Style::new().dimmed();
pub const NAME: Style = AnsiColor::Cyan.on_default();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const NOTABLE: Style = AnsiColor::Yellow.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();

/// When there are to be colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

impl When {
    /// Holds for everything that is written from now on.
    pub fn apply(self) {
        let choice = match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Whether standard output shows colours.
pub fn is_on() -> bool {
    AutoStream::choice(&std::io::stdout()) != ColorChoice::Never
}

/// Text in a style.
pub fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}
