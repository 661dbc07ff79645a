//! Hash maps as the standard library's, whose keys nobody outside can know.
//!
//! With `--cfg fuzzing` the keys are the same in each run: an input is to take the same way whenever it is tried.

#[cfg(not(fuzzing))]
pub use std::collections::HashMap;

#[cfg(fuzzing)]
pub type HashMap<K, V> =
    std::collections::HashMap<K, V, std::hash::BuildHasherDefault<std::collections::hash_map::DefaultHasher>>;
