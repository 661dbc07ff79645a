//! Where the history of the shell is kept.

use std::ffi::OsString;
use std::path::PathBuf;
use std::{env, fs};

/// The history file, in a directory that exists; `None` if there is no place for it.
pub fn file() -> Option<PathBuf> {
    let directory = state_home(env::var_os("XDG_STATE_HOME"), env::var_os("HOME"))?.join("streamlog");
    fs::create_dir_all(&directory).ok()?;
    Some(directory.join("history"))
}

/// The directory for state that should outlive a program, after the XDG Base Directory Specification: a relative
/// path in the variable counts as none.
fn state_home(variable: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    variable.and_then(absolute).or_else(|| Some(home.and_then(absolute)?.join(".local/state")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_if_it_is_absolute() {
        let place =
            |variable: Option<&str>, home: Option<&str>| state_home(variable.map(Into::into), home.map(Into::into));
        assert_eq!(place(Some("/state"), Some("/home/a")), Some("/state".into()));
        assert_eq!(place(Some("state"), Some("/home/a")), Some("/home/a/.local/state".into()));
        assert_eq!(place(Some(""), None), None);
        assert_eq!(place(None, Some("")), None);
    }
}
