//! Choosing what a disk holds after power loss.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::super::mem;
use super::super::tree::{Ino, ROOT, Tree};
use super::SimDisk;
use super::model::{Bytes, Entries, FileModel, Model, SECTOR, put_sector};

/// Which images [`SimDisk::crash_images`] gives.
#[derive(Clone, Copy, Debug)]
pub struct CrashLimits {
    /// All images there are, if they are not more than this. Otherwise: nothing that was not synced, all of it, all
    /// but one change, one change alone, for up to half this many changes each, and samples.
    pub exhaustive_max: usize,
    /// How many random images.
    pub samples: usize,
    /// Whether sectors may be torn.
    pub torn: bool,
    /// Whether sectors that were written may hold anything, durable neighbours in them included.
    pub garbage: bool,
    /// Whether the changes to a directory may happen in any order, rather than up to some point.
    pub reorder_dirs: bool,
    /// Whether syncs do nothing.
    pub lying_syncs: bool,
}

impl Default for CrashLimits {
    fn default() -> Self {
        Self { exhaustive_max: 4096, samples: 64, torn: true, garbage: false, reorder_dirs: false, lying_syncs: false }
    }
}

/// What a disk holds.
#[derive(Clone, Debug)]
pub struct Image {
    nodes: BTreeMap<PathBuf, Option<Arc<Vec<u8>>>>,
    exhaustive: bool,
    description: String,
    /// Something was changed by hand.
    damaged: bool,
}

impl Image {
    /// What a process that is killed leaves: everything it wrote.
    pub(super) fn of_live(model: &Model) -> Self {
        let mut dirs = model.dirs.clone();
        model.pending.iter().for_each(|naming| naming.apply(&mut dirs));
        let nodes = collect(&dirs, |ino| model.files.get(&ino).map(|file| file.live.clone()));
        Self { nodes, exhaustive: false, description: "everything".to_owned(), damaged: false }
    }

    /// Whether it is one of all images there are, rather than of a selection.
    pub fn is_exhaustive(&self) -> bool {
        self.exhaustive
    }

    /// Which changes are in it, in words.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The paths of its files, in order.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.nodes.iter().filter(|(_, content)| content.is_some()).map(|(path, _)| path.as_path())
    }

    /// The content of a file; `None` if there is no file at `path`.
    pub fn file(&self, path: impl AsRef<Path>) -> Option<&[u8]> {
        self.nodes.get(path.as_ref())?.as_deref().map(Vec::as_slice)
    }

    /// The content of a file, to be damaged.
    pub fn file_mut(&mut self, path: impl AsRef<Path>) -> Option<&mut Vec<u8>> {
        self.damaged = true;
        self.nodes.get_mut(path.as_ref())?.as_mut().map(Arc::make_mut)
    }

    /// Whether there is a directory at `path`.
    pub fn has_dir(&self, path: impl AsRef<Path>) -> bool {
        matches!(self.nodes.get(path.as_ref()), Some(None))
    }

    /// Puts a file where there is none, or another one in its place.
    pub fn put(&mut self, path: impl AsRef<Path>, content: Vec<u8>) {
        self.damaged = true;
        self.nodes.insert(path.as_ref().to_owned(), Some(Arc::new(content)));
    }

    /// Removes a file, or a directory with all that is in it.
    pub fn remove(&mut self, path: impl AsRef<Path>) {
        self.damaged = true;
        self.nodes.retain(|found, _| !found.starts_with(path.as_ref()));
    }

    /// A disk that holds this, all of it durable, with a history of its own.
    pub fn mount(&self) -> Arc<SimDisk> {
        let mut model = Model::new();
        let mut tree = Tree::new();
        let mut contents = BTreeMap::new();
        // Parents come before what is in them.
        for (path, content) in &self.nodes {
            let added = match content {
                Some(_) => tree.create_file(path, ()),
                None => tree.create_dir(path),
            };
            let (place, ino) = added.expect("an image is a tree");
            model.add_durable(&place, ino, content.clone());
            contents.extend(content.clone().map(|content| (ino, content)));
        }
        let disk = SimDisk::with(model, tree, contents);
        if self.damaged {
            disk.state.lock().order.expect_damage();
        }
        disk
    }

    /// Tells images apart. Most files are as the disk has them durably, which is told by their address: it saves hashing them.
    fn digest(&self, durable: &BTreeMap<Ino, FileModel>) -> u128 {
        let mut hash = Xxh3::new();
        for (path, content) in &self.nodes {
            let path = path.as_os_str().as_encoded_bytes();
            hash.update(&(path.len() as u64).to_le_bytes());
            hash.update(path);
            let Some(content) = content else {
                hash.update(&[0]);
                continue;
            };
            if let Some((ino, _)) = durable.iter().find(|(_, file)| Arc::ptr_eq(&file.durable, content)) {
                hash.update(&[1]);
                hash.update(&ino.to_le_bytes());
            } else {
                hash.update(&[2]);
                hash.update(&(content.len() as u64).to_le_bytes());
                hash.update(content);
            }
        }
        hash.digest128()
    }
}

/// All that a set of directories leads to. Directories that have come to contain themselves are lost.
fn collect<C>(dirs: &BTreeMap<Ino, Entries>, content: C) -> BTreeMap<PathBuf, Option<Arc<Vec<u8>>>>
where
    C: Fn(Ino) -> Option<Arc<Vec<u8>>>,
{
    let mut nodes = BTreeMap::new();
    let mut open = vec![(PathBuf::new(), ROOT)];
    while let Some((path, dir)) = open.pop() {
        for (name, &ino) in dirs.get(&dir).into_iter().flatten() {
            let path = path.join(name);
            let file = content(ino);
            if file.is_none() {
                open.push((path.clone(), ino));
            }
            nodes.insert(path, file);
        }
    }
    nodes
}

/// Something that may be in an image in more than one version.
#[derive(Clone, Copy, Debug)]
struct Open {
    what: What,
    /// How many versions there are; the first is the durable one.
    versions: usize,
    /// How many more choices there are: torn, garbage.
    extras: usize,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// How many of the changes to a directory are there.
    Names(Ino),
    /// Whether one change of names is there.
    Naming(usize),
    Size(Ino),
    Sector(Ino, usize),
}

impl Open {
    fn choices(&self) -> usize {
        self.versions + self.extras
    }

    fn newest(&self) -> usize {
        self.versions - 1
    }
}

/// The images of [`SimDisk::crash_images`].
#[derive(Debug)]
pub struct CrashImages {
    model: Model,
    limits: CrashLimits,
    open: Vec<Open>,
    plan: Plan,
    random: Random,
    seen: BTreeSet<u128>,
}

#[derive(Debug)]
enum Plan {
    /// The next combination, as a number whose digits are the choices.
    All { next: Option<Vec<usize>> },
    /// The number of the next image, and the changes that are left out or put in alone.
    Some { next: usize, alone: Vec<usize> },
}

impl CrashImages {
    pub(super) fn new(model: Model, limits: CrashLimits, seed: u64) -> Self {
        let open = open_choices(&model, &limits);
        let mut random = Random(seed);
        let total = open.iter().try_fold(1usize, |total, open| total.checked_mul(open.choices()));
        let plan = match total {
            Some(total) if total <= limits.exhaustive_max.max(1) => Plan::All { next: Some(vec![0; open.len()]) },
            _ => Plan::Some { next: 0, alone: random.pick(open.len(), limits.exhaustive_max / 2) },
        };
        Self { model, limits, open, plan, random, seen: BTreeSet::new() }
    }

    /// Whether these are all images there are.
    pub fn is_exhaustive(&self) -> bool {
        matches!(self.plan, Plan::All { .. })
    }

    /// The next combination of choices, and what to call it.
    fn next_choices(&mut self) -> Option<(Vec<usize>, String)> {
        match &mut self.plan {
            Plan::All { next } => {
                let choices = next.take()?;
                *next = successor(&choices, &self.open);
                let description = format!("choices {choices:?}");
                Some((choices, description))
            }
            Plan::Some { next, alone } => {
                let number = *next;
                *next += 1;
                let newest = |open: &Open| open.newest();
                let single = |at: usize| (alone.get(at / 2).copied(), at.is_multiple_of(2));
                match number {
                    0 => Some((vec![0; self.open.len()], "nothing".to_owned())),
                    1 => Some((self.open.iter().map(newest).collect(), "everything".to_owned())),
                    _ => match single(number - 2) {
                        (Some(index), missing) => Some(all_or_none_but(&self.open, index, missing)),
                        (None, _) => {
                            let sample = number - 2 - 2 * alone.len();
                            (sample < self.limits.samples)
                                .then(|| (self.random.choices(&self.open), format!("sample {sample}")))
                        }
                    },
                }
            }
        }
    }

    fn image(&mut self, choices: &[usize], description: String) -> Image {
        let mut dirs = self.model.dirs.clone();
        let mut contents: BTreeMap<Ino, Arc<Vec<u8>>> =
            self.model.files.iter().map(|(ino, file)| (*ino, file.durable.clone())).collect();
        self.choose_names(choices, &mut dirs);
        self.choose_sizes(choices, &mut contents);
        self.choose_sectors(choices, &mut contents);
        let nodes = collect(&dirs, |ino| contents.get(&ino).cloned());
        Image { nodes, exhaustive: self.is_exhaustive(), description, damaged: false }
    }

    fn choose_names(&self, choices: &[usize], dirs: &mut BTreeMap<Ino, Entries>) {
        let mut left: BTreeMap<Ino, usize> = BTreeMap::new();
        let mut single: BTreeSet<usize> = BTreeSet::new();
        for (open, &choice) in self.open.iter().zip(choices) {
            match open.what {
                What::Names(dir) => drop(left.insert(dir, choice)),
                What::Naming(index) if choice == 1 => drop(single.insert(index)),
                _ => {}
            }
        }
        for (index, naming) in self.model.pending.iter().enumerate() {
            // In both directories, or in neither.
            let mut within = true;
            for dir in naming.dirs() {
                let left = left.entry(dir).or_default();
                within &= *left > 0;
                *left = left.saturating_sub(1);
            }
            if within || single.contains(&index) {
                naming.apply(dirs);
            }
        }
    }

    fn choose_sizes(&self, choices: &[usize], contents: &mut BTreeMap<Ino, Arc<Vec<u8>>>) {
        for (open, &choice) in self.open.iter().zip(choices) {
            if let What::Size(ino) = open.what
                && let (Some(file), Some(content)) = (self.model.files.get(&ino), contents.get_mut(&ino))
                && file.sizes[choice] != content.len()
            {
                mem::resize(Arc::make_mut(content), file.sizes[choice]);
            }
        }
    }

    fn choose_sectors(&mut self, choices: &[usize], contents: &mut BTreeMap<Ino, Arc<Vec<u8>>>) {
        for (open, &choice) in self.open.iter().zip(choices) {
            if let What::Sector(ino, number) = open.what
                && choice > 0
                && let (Some(file), Some(content)) = (self.model.files.get(&ino), contents.get_mut(&ino))
            {
                let sector = self.random.sector(&file.sectors[&number].versions, choice, self.limits.torn);
                // What does not change anything is to stay the same file: see `digest`.
                let place = content.get(number * SECTOR..).unwrap_or_default();
                if !sector.starts_with(&place[..place.len().min(SECTOR)]) {
                    put_sector(Arc::make_mut(content).as_mut_slice(), number, &sector);
                }
            }
        }
    }
}

impl Iterator for CrashImages {
    type Item = Image;

    fn next(&mut self) -> Option<Image> {
        loop {
            let (choices, description) = self.next_choices()?;
            let image = self.image(&choices, description);
            if self.seen.insert(image.digest(&self.model.files)) {
                return Some(image);
            }
        }
    }
}

/// All that power loss may decide about.
fn open_choices(model: &Model, limits: &CrashLimits) -> Vec<Open> {
    let mut open = Vec::new();
    if limits.reorder_dirs {
        open.extend((0..model.pending.len()).map(|index| Open { what: What::Naming(index), versions: 2, extras: 0 }));
    } else {
        for dir in model.dirs.keys() {
            let changes = model.pending.iter().filter(|naming| naming.dirs().any(|changed| changed == *dir)).count();
            if changes > 0 {
                open.push(Open { what: What::Names(*dir), versions: changes + 1, extras: 0 });
            }
        }
    }
    for (&ino, file) in &model.files {
        open.extend(open_in_file(ino, file, limits));
    }
    open
}

fn open_in_file(ino: Ino, file: &FileModel, limits: &CrashLimits) -> impl Iterator<Item = Open> {
    let extras = usize::from(limits.torn) + usize::from(limits.garbage);
    let sizes = Open { what: What::Size(ino), versions: file.sizes.len(), extras: 0 };
    let sectors = file.sectors.iter().map(move |(&number, sector)| Open {
        what: What::Sector(ino, number),
        versions: sector.versions.len(),
        extras,
    });
    std::iter::once(sizes).chain(sectors).filter(|open| open.choices() > 1)
}

fn successor(choices: &[usize], open: &[Open]) -> Option<Vec<usize>> {
    let mut next = choices.to_vec();
    for (digit, open) in next.iter_mut().zip(open) {
        *digit += 1;
        if *digit < open.choices() {
            return Some(next);
        }
        *digit = 0;
    }
    None
}

fn all_or_none_but(open: &[Open], index: usize, missing: bool) -> (Vec<usize>, String) {
    let choice = |(at, open): (usize, &Open)| if (at == index) != missing { open.newest() } else { 0 };
    let what = open[index].what;
    let description = if missing { format!("all but {what:?}") } else { format!("only {what:?}") };
    (open.iter().enumerate().map(choice).collect(), description)
}

/// A small generator of numbers that look random (splitmix64).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Up to `max` of the numbers below `len`, in order.
    fn pick(&mut self, len: usize, max: usize) -> Vec<usize> {
        let mut left = max.min(len);
        let mut picked = Vec::with_capacity(left);
        for number in 0..len {
            if self.below(len - number) < left {
                picked.push(number);
                left -= 1;
            }
        }
        picked
    }

    /// A choice of each: in a third of the cases mostly the newest, in a third mostly the oldest.
    fn choices(&mut self, open: &[Open]) -> Vec<usize> {
        let leaning = self.below(3);
        open.iter()
            .map(|open| match (leaning, self.below(8)) {
                (1, 1..) => open.newest(),
                (2, 1..) => 0,
                _ => self.below(open.choices()),
            })
            .collect()
    }

    /// What a sector holds: one of its versions, or torn, or garbage.
    fn sector(&mut self, versions: &[Bytes], choice: usize, torn: bool) -> Bytes {
        match choice.checked_sub(versions.len()) {
            None => versions[choice],
            Some(0) if torn => {
                let older = self.below(versions.len() - 1);
                self.splice(&versions[older], &versions[older + 1])
            }
            Some(_) => std::array::from_fn(|_| self.next() as u8),
        }
    }

    /// A part of one version and the rest of the other, cut within what differs.
    fn splice(&mut self, old: &Bytes, new: &Bytes) -> Bytes {
        let differs = |at: &usize| old[*at] != new[*at];
        let first = (0..SECTOR).find(differs).unwrap_or(0);
        let last = (0..SECTOR).rfind(differs).unwrap_or(SECTOR - 1);
        let cut = first + 1 + self.below((last - first).max(1));
        let (head, tail) = if self.below(2) == 0 { (new, old) } else { (old, new) };
        std::array::from_fn(|at| if at < cut { head[at] } else { tail[at] })
    }
}
