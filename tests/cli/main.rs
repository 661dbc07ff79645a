//! Promise: the command line does what users of Redis's and of command lines in general expect: verbatim arguments,
//! replies on standard output, errors on standard error, exit status 0 to 3.

mod add;
mod documented;
mod harness;
mod import;
mod look;
mod once;
mod pipe;
mod retention;
mod shell;
mod tail;
mod terminal;
mod watch;
