//! Promise: an operator can look at any store, whole, damaged or in use, and is told exactly what is the matter, without a
//! byte being changed.

mod damage;
mod harness;
mod idle;
mod live;
