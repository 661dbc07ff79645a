use crate::runner::Test;
pub const TESTS: &[Test] = &[];
use crate::children::Role;
pub const ROLES: &[Role] = &[];
