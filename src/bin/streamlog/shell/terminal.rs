//! Lines from a person: editing, history, completion.

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use streamlog::command;

use super::{Next, Shell, history};
use crate::{Failure, Outcome};

const PROMPT: &str = "streamlog> ";
const HISTORY_LINES_MAX: usize = 1000;

/// Runs the shell on the terminal. What people get wrong there they see, so it ends well in any case.
pub fn run(mut shell: Shell) -> Result<Outcome, Failure> {
    let config = Config::builder()
        .max_history_size(HISTORY_LINES_MAX)?
        .auto_add_history(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::<CommandNames, FileHistory>::with_config(config)?;
    editor.set_helper(Some(CommandNames::new()));
    let history_file = history::file();
    if let Some(file) = &history_file {
        // A history that cannot be read is a pity, but no reason not to start.
        let _ = editor.load_history(file);
    }
    let ended = read_lines(&mut editor, &mut shell);
    if let Some(file) = &history_file {
        let _ = editor.append_history(file);
    }
    ended.map(|()| Outcome::Done)
}

fn read_lines(editor: &mut Editor<CommandNames, FileHistory>, shell: &mut Shell) -> Result<(), Failure> {
    loop {
        match editor.readline(PROMPT) {
            Ok(line) => {
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

/// What the shell knows besides.
const WORDS: [&str; 3] = ["help", "exit", "quit"];

/// Completes the name of a command at the beginning of a line.
struct CommandNames(Vec<String>);

impl CommandNames {
    fn new() -> Self {
        let mut names = command::names();
        names.sort_unstable();
        names.extend(WORDS.map(str::to_owned));
        Self(names)
    }
}

impl Completer for CommandNames {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..position];
        let fits = |name: &&String| name.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed));
        Ok((0, self.0.iter().filter(fits).map(|name| format!("{name} ")).collect()))
    }
}

impl Helper for CommandNames {}
impl Highlighter for CommandNames {}
impl Validator for CommandNames {}
impl Hinter for CommandNames {
    type Hint = String;
}
