//! Which machine the figures are of.

use std::fs;

/// Processor, cores, kernel, and the file system of the temporary directory.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // What follows the version is who built it.
    let kernel = release.split('-').next().unwrap_or_default();
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    format!(
        "{} core(s) of {}, Linux {}, {}; streamlog {}.",
        cores,
        processor().unwrap_or_else(|| "an unknown processor".into()),
        kernel.trim(),
        file_system(&mounts).unwrap_or_else(|| "an unknown file system".into()),
        env!("CARGO_PKG_VERSION"),
    )
}

fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// That of the longest mount point above the temporary directory.
fn file_system(mounts: &str) -> Option<String> {
    let directory = std::env::temp_dir().canonicalize().ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = mounts.filter(|(point, _)| directory.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind.to_owned())
}
