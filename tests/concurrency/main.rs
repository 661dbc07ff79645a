//! Promise: any number of threads may use a store at once. Readers see a prefix of what was written and never wait,
//! blocked readers are served, nothing that was acknowledged is lost, and nothing hangs.

mod blocking;
mod catalog;
mod group_copies;
mod groups;
mod handles;
mod harness;
mod trims;
mod writers;
