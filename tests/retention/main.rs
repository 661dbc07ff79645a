//! Promise: a stream keeps what its retention says, and a store its budget: not less, and more only as far and as long as is
//! told of each rule. Clocks are set by the tests.
//!
//! | module | asks |
//! |---|---|
//! | [`rules`] | does each rule do what it says, alone and with others? |
//! | [`groups`] | does what groups need stay, also after a crash? |
//! | [`stored`] | is it still there after anything that a stream goes through? |
//! | [`budget`] | does a store keep to its bytes, and do the oldest entries go? |
//! | [`random`] | does any sequence of operations keep to any rules? |
//! | [`background`] | does all that happen by itself, and beside writers? |

mod background;
mod budget;
mod groups;
mod harness;
mod random;
mod rules;
mod stored;
