//! Promise: the files are what `streamlog::format` says they are, and what is not of that form is refused unchanged.

mod bad_input;
mod damage;
mod harness;
mod rules;
