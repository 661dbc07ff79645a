//! `api FILE`: the public interface of the crate that rustdoc wrote the JSON `FILE` about, an item to a line. What every type
//! has, and what is derived, is left out. Exit status 3 if the JSON is of another version than is understood here.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(file) = std::env::args_os().nth(1) else {
        eprintln!("name the JSON of rustdoc");
        return ExitCode::from(2);
    };
    let builder = public_api::Builder::from_rustdoc_json(file).omit_blanket_impls(true);
    match builder.omit_auto_trait_impls(true).omit_auto_derived_impls(true).build() {
        Ok(interface) => {
            let lines: String = interface.items().map(|item| format!("{item}\n")).collect();
            match std::io::stdout().write_all(lines.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(3)
        }
    }
}
