//! What the simulator promises: a test that passes on it means something.

mod faults;
mod images;
mod order;

use std::collections::BTreeSet;

use super::*;

const EXACT: CrashLimits = CrashLimits {
    exhaustive_max: 4096,
    samples: 64,
    torn: false,
    garbage: false,
    reorder_dirs: false,
    lying_syncs: false,
};

fn path(path: &str) -> &Path {
    Path::new(path)
}

/// A disk with a durable file of this content.
fn disk_with(name: &str, content: &[u8]) -> (Arc<SimDisk>, Arc<dyn File>) {
    let disk = SimDisk::new();
    let file = create(&disk, name, content);
    file.sync().unwrap();
    disk.sync_dir(path("")).unwrap();
    (disk, file)
}

fn create(disk: &SimDisk, name: &str, content: &[u8]) -> Arc<dyn File> {
    let file = disk.create(path(name), content.len() as u64).unwrap();
    file.write_at(0, content).unwrap();
    file
}

fn images(disk: &SimDisk, limits: CrashLimits) -> Vec<Image> {
    disk.crash_images(disk.steps(), limits, 1).collect()
}

/// What the file may hold after power loss; `None` if it may not be there.
fn outcomes(disk: &SimDisk, limits: CrashLimits, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    images(disk, limits).iter().map(|image| image.file(name).map(<[u8]>::to_vec)).collect()
}

fn contents<const N: usize>(contents: [&[u8]; N]) -> BTreeSet<Option<Vec<u8>>> {
    contents.into_iter().map(|content| Some(content.to_vec())).collect()
}

/// The names there may be, as lines.
fn namings(disk: &SimDisk, limits: CrashLimits) -> BTreeSet<String> {
    let line = |image: &Image| image.files().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ");
    images(disk, limits).iter().map(line).collect()
}

fn lines<const N: usize>(lines: [&str; N]) -> BTreeSet<String> {
    lines.into_iter().map(str::to_owned).collect()
}
