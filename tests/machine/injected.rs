use crate::children::Role;
use crate::runner::Test;

pub const TESTS: &[Test] = &[];
pub const ROLES: &[Role] = &[];
