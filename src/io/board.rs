//! The notice board of a store, as the process that writes has it, and as others look at it: see [`format::board`].
//!
//! Posting a notice is a store to memory where files are written through mappings, a system call elsewhere. It never
//! fails: a notice that cannot be posted, because there is no room for the file, is left out, and readers see all that is
//! in the files of that stream. Nothing is synced, and nothing waits for it.
//!
//! [`format::board`]: crate::format::board

use std::path::Path;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::format::Identity;
use crate::format::board::{Notice, PLACE_LEN, encode_header, is_header_of, notice_at};
use crate::format::file_name::BOARD;
use crate::hash::HashMap;
use crate::io::{Disk, File};

/// What a board begins with, and the most it grows to: 65,535 streams. In bytes.
const LEN_FIRST: u64 = 4096;
const LEN_MAX: u64 = 16 << 20;

/// So much of a board is searched at a time: what fits the nearest cache. In bytes.
const SEARCHED_LEN: usize = 64 * PLACE_LEN;

/// The board of the process that writes.
#[derive(Debug)]
pub struct Board {
    posting: Mutex<Option<Posting>>,
}

#[derive(Debug)]
struct Posting {
    file: Arc<dyn File>,
    header: [u8; PLACE_LEN],
    /// The places that are taken, and the number of the last notice in each.
    taken: HashMap<Identity, (u32, u64)>,
    /// Those that were given back.
    free: Vec<(u32, u64)>,
    /// The places from here on were never used.
    unused: u32,
}

impl Board {
    /// Takes over the board of the store, with what it says since the machine was started: streams that a process had open
    /// when it was killed are as it had said until they are opened again.
    pub fn open(disk: &dyn Disk, store: &Identity) -> Self {
        let posting = disk.board(Path::new(BOARD), LEN_FIRST).and_then(|file| Posting::begin(file, store).ok());
        Self { posting: Mutex::new(posting) }
    }

    /// One that nobody looks at.
    pub fn none() -> Self {
        Self { posting: Mutex::new(None) }
    }

    /// Lets other processes know this of a stream from now on.
    pub fn post(&self, notice: &Notice) {
        if let Some(posting) = &mut *self.posting.lock() {
            posting.post(notice);
        }
    }

    /// Says nothing more of a stream: all of it is published, and nothing is written to it.
    pub fn withdraw(&self, incarnation: &Identity) {
        if let Some(posting) = &mut *self.posting.lock() {
            posting.withdraw(incarnation);
        }
    }
}

impl Posting {
    fn begin(file: Arc<dyn File>, store: &Identity) -> std::io::Result<Self> {
        let header = encode_header(store, boot());
        let bytes = read_all(&*file)?;
        let mut posting = Self { file, header, taken: HashMap::default(), free: Vec::new(), unused: 0 };
        if is_header_of(&bytes, Some(store), boot()) {
            for (place, notice) in places(&bytes) {
                posting.unused = place + 1;
                match notice {
                    Some((number, notice)) if notice.incarnation != Identity::default() => {
                        posting.taken.insert(notice.incarnation, (place, number));
                    }
                    Some((number, _)) => posting.free.push((place, number)),
                    None => posting.free.push((place, 0)),
                }
            }
        } else {
            // Nothing of it counts before the header is there.
            posting.file.write_at(0, &vec![0; bytes.len()])?;
        }
        // First in any case: pages are made ready for stores from the first one on that is written to.
        posting.file.write_at(0, &posting.header)?;
        Ok(posting)
    }

    fn post(&mut self, notice: &Notice) {
        let Some((place, number)) = self.place_of(&notice.incarnation) else { return };
        let next = number + 1;
        if self.file.write_at(notice_at(next, place), &notice.encode(next, place)).is_ok() {
            self.taken.insert(notice.incarnation, (place, next));
        } else if !self.taken.contains_key(&notice.incarnation) {
            self.free.push((place, number));
        }
    }

    /// The place of a stream, a new one if it has none, and the number of the last notice there.
    fn place_of(&mut self, incarnation: &Identity) -> Option<(u32, u64)> {
        if let Some(place) = self.taken.get(incarnation).copied().or_else(|| self.free.pop()) {
            return Some(place);
        }
        let place = self.unused;
        let end = (u64::from(place) + 2) * PLACE_LEN as u64;
        let len = self.file.len().ok()?;
        if end > len {
            self.file = (len < LEN_MAX).then(|| self.file.grow(len * 2).ok()).flatten()?;
            self.file.write_at(0, &self.header).ok()?;
        }
        self.unused += 1;
        Some((place, 0))
    }

    fn withdraw(&mut self, incarnation: &Identity) {
        let Some((place, number)) = self.taken.remove(incarnation) else { return };
        let number = number + 1;
        let _ = self.file.write_at(notice_at(number, place), &Notice::default().encode(number, place));
        self.free.push((place, number));
    }
}

/// The notices of a board, by their places.
fn places(bytes: &[u8]) -> impl Iterator<Item = (u32, Option<(u64, Notice)>)> {
    let places = bytes.get(PLACE_LEN..).unwrap_or_default().chunks_exact(PLACE_LEN);
    (0..).zip(places).map(|(place, bytes)| (place, Notice::of_place(bytes, place)))
}

/// The place of a stream and what is said of it. Most readers look for one that is nowhere: nothing is allocated, and little is
/// done for the places of others.
fn search(file: &dyn File, incarnation: &Identity) -> std::io::Result<Option<(u32, Notice)>> {
    let mut bytes = [0; SEARCHED_LEN];
    let end = file.len()?.min(LEN_MAX);
    let mut numbers = 0..;
    for offset in (PLACE_LEN as u64..end).step_by(SEARCHED_LEN) {
        let len = usize::try_from(end - offset).unwrap_or(SEARCHED_LEN).min(SEARCHED_LEN);
        let bytes = bytes.get_mut(..len).unwrap_or_default();
        file.read_at(offset, bytes)?;
        for (bytes, place) in bytes.chunks_exact(PLACE_LEN).zip(&mut numbers) {
            if let Some(notice) = Notice::of_stream(bytes, place, incarnation) {
                return Ok(Some((place, notice)));
            }
        }
    }
    Ok(None)
}

fn read_all(file: &dyn File) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.len()?.min(LEN_MAX)).unwrap_or(0)];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// The board as a process sees it that only reads.
#[derive(Debug)]
pub struct Reader {
    disk: Arc<dyn Disk>,
    /// `None` if nothing is known of the store; a board counts then whichever it names.
    store: Option<Identity>,
    file: Mutex<Option<Arc<dyn File>>>,
}

impl Reader {
    pub fn new(disk: Arc<dyn Disk>, store: Option<Identity>) -> Self {
        Self { disk, store, file: Mutex::new(None) }
    }

    /// What is said of a stream now. `hint` is where that was found before, and is found the next time.
    pub fn find(&self, incarnation: &Identity, hint: &mut u32) -> Option<Notice> {
        let file = self.file()?;
        let mut bytes = [0; PLACE_LEN];
        // Each time, and before the notices: a process that begins to write wipes those of another start of the machine first.
        file.read_at(0, &mut bytes).ok()?;
        if !is_header_of(&bytes, self.store.as_ref(), boot()) {
            return None;
        }
        let at = (u64::from(*hint) + 1) * PLACE_LEN as u64;
        if file.read_at(at, &mut bytes).is_ok()
            && let Some(notice) = Notice::of_stream(&bytes, *hint, incarnation)
        {
            return Some(notice);
        }
        let (place, notice) = search(&*file, incarnation).ok()??;
        *hint = place;
        Some(notice)
    }

    /// The file, which may have come since it was last looked for.
    fn file(&self) -> Option<Arc<dyn File>> {
        let mut file = self.file.lock();
        if file.is_none() {
            *file = self.disk.watch(Path::new(BOARD)).ok();
        }
        file.clone()
    }
}

/// Tells the time since the machine was started from other such times; zeros where that cannot be told.
fn boot() -> &'static Identity {
    static BOOT: OnceLock<Identity> = OnceLock::new();
    BOOT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        u128::from_str_radix(&text.trim().replace('-', ""), 16).map_or_else(|_| Identity::default(), u128::to_be_bytes)
    })
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::WriteMode;
    use crate::io::OsDisk;

    const STORE: Identity = [9; 16];

    fn notice(stream: u8, offset: u64) -> Notice {
        Notice { incarnation: [stream; 16], limits: true, offset, ..Notice::default() }
    }

    fn board(directory: &Path) -> (Board, Reader) {
        let disk: Arc<dyn Disk> = OsDisk::open(directory, WriteMode::Auto).unwrap();
        (Board::open(&*disk, &STORE), Reader::new(disk, Some(STORE)))
    }

    #[test]
    fn what_is_posted_is_seen_until_it_is_withdrawn() {
        let directory = tempfile::tempdir().unwrap();
        let (board, reader) = board(directory.path());
        let mut hint = 0;
        assert_eq!(reader.find(&[1; 16], &mut hint), None);
        for offset in 1..5 {
            board.post(&notice(1, offset));
            board.post(&notice(2, offset * 10));
            assert_eq!(reader.find(&[1; 16], &mut hint), Some(notice(1, offset)));
        }
        assert_eq!(reader.find(&[2; 16], &mut hint), Some(notice(2, 40)), "whatever the hint");
        assert_eq!(hint, 1);
        board.withdraw(&[1; 16]);
        assert_eq!(reader.find(&[1; 16], &mut hint), None);
        board.post(&notice(3, 7));
        assert_eq!(reader.find(&[3; 16], &mut hint), Some(notice(3, 7)));
        assert_eq!(hint, 0, "a place is used again");
    }

    #[test]
    fn there_is_room_for_many_streams_and_what_was_said_outlives_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let (first, reader) = board(directory.path());
        (1..=100).for_each(|stream| first.post(&notice(stream, u64::from(stream))));
        drop(first);
        let (second, _) = board(directory.path());
        let mut hint = 0;
        for stream in 1..=100 {
            assert_eq!(reader.find(&[stream; 16], &mut hint), Some(notice(stream, u64::from(stream))));
        }
        second.post(&notice(100, 5));
        second.withdraw(&[1; 16]);
        assert_eq!(reader.find(&[100; 16], &mut hint), Some(notice(100, 5)));
        assert_eq!(reader.find(&[1; 16], &mut hint), None);
        assert_eq!(std::fs::metadata(directory.path().join(BOARD)).unwrap().len(), 32 << 10);
    }

    #[test]
    fn the_board_of_another_store_or_another_start_of_the_machine_says_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (first, reader) = board(directory.path());
        first.post(&notice(1, 1));
        let path = directory.path().join(BOARD);
        let mut bytes = std::fs::read(&path).unwrap();
        let ours = bytes.clone();
        for (header, of_any_store) in
            [(encode_header(&STORE, &[7; 16]), None), (encode_header(&[8; 16], boot()), Some(notice(1, 1)))]
        {
            bytes[..PLACE_LEN].copy_from_slice(&header);
            std::fs::write(&path, &bytes).unwrap();
            let damaged = Reader { store: None, disk: Arc::clone(&reader.disk), file: Mutex::default() };
            for hint in [0, 5] {
                assert_eq!(reader.find(&[1; 16], &mut { hint }), None, "from place {hint}");
                assert_eq!(damaged.find(&[1; 16], &mut { hint }), of_any_store, "from place {hint}");
            }
        }
        std::fs::write(&path, ours).unwrap();
        assert_eq!(reader.find(&[1; 16], &mut 0), Some(notice(1, 1)));
        std::fs::write(&path, bytes).unwrap();
        let (second, _) = board(directory.path());
        assert_eq!(reader.find(&[1; 16], &mut 0), None, "it was wiped");
        second.post(&notice(1, 2));
        assert_eq!(reader.find(&[1; 16], &mut 0), Some(notice(1, 2)));
    }

    /// A file that cannot be written to now and then.
    #[derive(Debug)]
    struct Failing {
        file: Arc<dyn File>,
        fails: AtomicBool,
    }

    impl File for Failing {
        fn len(&self) -> std::io::Result<u64> {
            self.file.len()
        }

        fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
            self.file.read_at(offset, buf)
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
            match self.fails.load(Ordering::SeqCst) {
                true => Err(std::io::ErrorKind::Other.into()),
                false => self.file.write_at(offset, bytes),
            }
        }

        fn sync(&self) -> std::io::Result<()> {
            self.file.sync()
        }

        fn truncate(&self, len: u64) -> std::io::Result<()> {
            self.file.truncate(len)
        }

        fn grow(&self, capacity: u64) -> std::io::Result<Arc<dyn File>> {
            self.file.grow(capacity)
        }
    }

    #[test]
    fn a_notice_that_could_not_be_posted_leaves_each_stream_its_own_place() {
        let directory = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = OsDisk::open(directory.path(), WriteMode::Auto).unwrap();
        let file = disk.board(Path::new(BOARD), LEN_FIRST).unwrap();
        let file = Arc::new(Failing { file, fails: AtomicBool::new(false) });
        let posting = Posting::begin(Arc::clone(&file) as Arc<dyn File>, &STORE).ok();
        let (board, reader) = (Board { posting: Mutex::new(posting) }, Reader::new(disk, Some(STORE)));
        board.post(&notice(1, 1));
        file.fails.store(true, Ordering::SeqCst);
        board.post(&notice(1, 2));
        board.post(&notice(2, 1));
        file.fails.store(false, Ordering::SeqCst);
        for round in 3..5 {
            for stream in [3, 2, 1] {
                board.post(&notice(stream, round));
            }
            for stream in 1..=3 {
                assert_eq!(reader.find(&[stream; 16], &mut 0), Some(notice(stream, round)), "of {stream}");
            }
        }
    }
}
