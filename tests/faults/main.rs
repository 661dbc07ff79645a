//! Promises P2, P3 and P5 when calls to the disk fail.

mod named;
