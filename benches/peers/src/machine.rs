//! Where and when the numbers were made, and what files take.

use std::path::Path;

use crate::peer::Result;

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Processor, kernel and file system, and the load before anything was run.
pub fn describe() -> String {
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |(_, m)| m);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let release = read("/proc/sys/kernel/osrelease");
    let load = load();
    let redis = crate::peers::redis::version().map_or("no Redis".to_owned(), |version| format!("Redis {version}"));
    format!(
        "{cores} cores of {model}, Linux {}, {}, {redis}, load {load:.1} before the run",
        release.trim(),
        file_system(&std::env::temp_dir())
    )
}

/// The load average of the last minute.
pub fn load() -> f64 {
    read("/proc/loadavg").split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// What is to be known of the numbers, before they are seen.
pub fn caveats(machine: &str, rounds: usize, quick: bool, load: f64) -> String {
    let mut text = format!("{machine}. Medians of {rounds} rounds, and the least and the most.");
    if quick {
        text += "\n\n**A quick run: the numbers mean nothing.**";
    }
    if load > 0.5 {
        text += "\n\n**The machine was busy with something else: whatever waits for a disk or a processor is worse than it \
                 would be, and ratios are rough.**";
    }
    text
}

/// The kind of the file system that this path is on.
fn file_system(path: &Path) -> String {
    let mounts = read("/proc/mounts");
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let mount = mounts.filter(|(point, _)| path.starts_with(point)).max_by_key(|(point, _)| point.len());
    mount.map_or("?", |(_, kind)| kind).to_owned()
}

/// The bytes of all files in a directory, each up to its last one that is not zero: without room set aside.
pub fn bytes_used(path: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sum += bytes_used(&entry.path())?;
        } else if kind.is_file() {
            sum += used(&entry.path())?;
        }
    }
    Ok(sum)
}

fn used(path: &Path) -> Result<u64> {
    use std::io::Read;
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let (mut at, mut end) = (0, 0);
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            return Ok(end);
        }
        if let Some(last) = buffer[..len].iter().rposition(|&byte| byte != 0) {
            end = at + last as u64 + 1;
        }
        at += len as u64;
    }
}
