//! Promise: a store can be observed, at no cost to its writers: numbers that are right, text that collectors read, events that
//! tell what is rare.
//!
//! | module | shows |
//! |---|---|
//! | [`snapshot`] | what is counted, and that idle streams stay closed |
//! | [`text`] | OpenMetrics, read by a parser that takes nothing else |
//! | [`events`] | the spans and events of the feature `tracing` |

#[cfg(feature = "tracing")]
mod events;
mod exposition;
mod snapshot;
mod text;
