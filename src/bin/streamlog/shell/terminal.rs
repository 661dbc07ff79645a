//! Lines from a person: editing, history, completion, hints.

use std::borrow::Cow;
use std::path::Path;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, CompletionType, Config, Context, Editor, Helper};

use unicode_width::UnicodeWidthStr;

use super::{Next, Shell, assist, history};
use crate::opened::Opened;
use crate::style::{self, ASIDE, paint};
use crate::{Failure, Outcome};

const PROMPT: &str = "streamlog> ";
const HISTORY_LINES_MAX: usize = 1000;

/// Runs the shell on the terminal. What people get wrong there they see, so it ends well in any case.
pub fn run(mut shell: Shell, opened: &Opened) -> Result<Outcome, Failure> {
    let has_colors = style::is_on();
    let config = Config::builder()
        .max_history_size(HISTORY_LINES_MAX)?
        .auto_add_history(true)
        .completion_type(CompletionType::List)
        .color_mode(if has_colors { ColorMode::Forced } else { ColorMode::Disabled })
        .build();
    let mut editor = Editor::<Assistant, FileHistory>::with_config(config)?;
    editor.set_helper(Some(Assistant { opened: opened.clone(), has_colors }));
    let history_file = history::file();
    if let Some(file) = &history_file {
        // A history that cannot be read is a pity, but no reason not to start.
        let _ = editor.load_history(file);
    }
    read_lines(&mut editor, &mut shell, history_file.as_deref())?;
    Ok(Outcome::Done)
}

fn read_lines(
    editor: &mut Editor<Assistant, FileHistory>,
    shell: &mut Shell,
    history_file: Option<&Path>,
) -> Result<(), Failure> {
    loop {
        match editor.readline(PROMPT) {
            Ok(line) => {
                // Before the command is run, as Ctrl-C while it waits ends the program.
                if let Some(file) = history_file {
                    let _ = editor.append_history(file);
                }
                if shell.run_line(line.as_bytes())? == Next::Leave {
                    return Ok(());
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Helps with a line while it is typed.
struct Assistant {
    opened: Opened,
    has_colors: bool,
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, words) = assist::completions(&self.opened, line.get(..position).unwrap_or_default());
        let pair = |word: String| Pair { display: word.trim_end().to_owned(), replacement: word };
        Ok((start, words.into_iter().map(pair).collect()))
    }
}

impl Hinter for Assistant {
    type Hint = assist::Hint;

    /// Without colours, a hint would look like something that was typed.
    fn hint(&self, line: &str, position: usize, _: &Context<'_>) -> Option<assist::Hint> {
        if !self.has_colors || position < line.len() {
            return None;
        }
        let (columns, _) = crossterm::terminal::size().ok()?;
        let column = (PROMPT.len() + line.width()) % usize::from(columns).max(1);
        // A hint on one line is read, three are in the way.
        Some(assist::hint(line)?.within(usize::from(columns).saturating_sub(column + 1)))
    }
}

impl rustyline::hint::Hint for assist::Hint {
    fn display(&self) -> &str {
        &self.text
    }

    fn completion(&self) -> Option<&str> {
        self.text.get(..self.of_word).filter(|rest| !rest.is_empty())
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(paint(ASIDE, hint))
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(paint(style::GOOD, prompt))
    }
}

impl Validator for Assistant {}
impl Helper for Assistant {}
