//! The guide: what to do with all this, and what to expect of it. Every example runs.
//!
//! | page | what it is about |
//! |---|---|
//! | [`quick_start`] | a store, a stream, entries, reading them |
//! | [`durability`] | what survives what, and what it costs; choosing a level |
//! | [`groups`] | sharing work: delivery, failures, giving up |
//! | [`retention`] | how old entries go |
//! | [`recipes`] | a job queue, an outbox, a disk buffer, event sourcing, tests |
//! | [`limits`] | how large, how many, and what it is not |
//! | [`file_format`] | what is in the directory of a store |
//! | [`commands`] | each Redis command beside the call that does the same |

#[doc = include_str!("guide/commands.md")]
pub mod commands {}

#[doc = include_str!("guide/durability.md")]
pub mod durability {}

#[doc = include_str!("guide/file_format.md")]
pub mod file_format {}

#[doc = include_str!("guide/groups.md")]
pub mod groups {}

#[doc = include_str!("guide/limits.md")]
pub mod limits {}

#[doc = include_str!("guide/quick_start.md")]
pub mod quick_start {}

#[doc = include_str!("guide/recipes.md")]
pub mod recipes {}

#[doc = include_str!("guide/retention.md")]
pub mod retention {}

#[cfg(test)]
mod tests {
    /// What stands in code in the first column of the tables of the page.
    fn told() -> Vec<String> {
        let rows = include_str!("guide/commands.md").lines().filter(|line| line.starts_with("| `"));
        let first = rows.filter_map(|row| row.split('|').nth(1));
        first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
    }

    #[test]
    fn every_command_is_in_the_table_once_and_nothing_else_is() {
        let (mut told, mut known) = (told(), crate::command::names());
        told.sort_unstable();
        known.sort_unstable();
        assert_eq!(told, known);
    }
}
