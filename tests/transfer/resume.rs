//! Promise: an import that is stopped anywhere, by a kill as well, and resumed, comes to what one comes to that was not.

use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use streamlog::inspect::Inspection;
use streamlog::transfer::{ImportError, ResumableImport, abandon};
use streamlog::{Error, Store};

use crate::harness::{assert_same, dump_of_commands, export, fixture, import_all, in_memory, options, seed};
use crate::history::{History, Known, Random};

/// A reader that fails after so many bytes.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self.0 {
            [] => Err(std::io::Error::other("the cable was pulled")),
            bytes => {
                let count = bytes.len().min(buf.len()).min(50);
                buf[..count].copy_from_slice(&bytes[..count]);
                self.0 = &bytes[count..];
                Ok(count)
            }
        }
    }
}

fn begin(path: &Path) -> ResumableImport {
    ResumableImport::open(path, options(), 0, Duration::ZERO).unwrap()
}

fn dump(path: &Path) -> String {
    dump_of_commands(&Inspection::open(path).unwrap())
}

#[test]
fn an_import_of_which_the_input_fails_goes_on() {
    let mut random = Random::new(seed());
    let (mut stops, mut resumed) = (0, 0);
    for case in 0..2 {
        let original = in_memory();
        History::new(&original, &mut random, Known::All).run(60);
        // So that the middle is behind what tells one input from others.
        for ms in 1..=40 {
            let (id, value) = (format!("{ms}-0"), "x".repeat(300));
            streamlog::command::execute(&original, &["XADD", "a", &id, "f", &value]);
        }
        // Two inputs, of which the first ends between two commands, and deletions between them.
        let [first, rest] =
            [export(&original), b"DEL u\r\nXADD late 1-1 f v\r\nSELECT 1\r\nXADD s 1-1 f v\r\n".to_vec()];
        let expected = in_memory();
        import_all(&expected, &first);
        streamlog::command::execute(&expected, &["DEL", "u"]);
        streamlog::command::execute(&expected, &["XADD", "late", "1-1", "f", "v"]);

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let mut attempts = 0;
        let imported = loop {
            attempts += 1;
            let mut import = begin(&path);
            resumed += u64::from(import.resumed_at().is_some_and(|at| at != (0, 0)));
            // The first ones never come to the end.
            let bound = if attempts <= 3 { first.len() } else { first.len() * 5 / 4 };
            let half = first.len() / 2;
            let fails_at = half + random.below((bound - half) as u64) as usize;
            let read = match first.get(..fails_at) {
                Some(part) => import.read(0, BufReader::new(Failing(part)), |_| {}),
                None => import.read(0, &*first, |_| {}).and_then(|()| import.read(1, &*rest, |_| {})),
            };
            match read {
                Ok(()) => break import.finish().unwrap(),
                Err(ImportError::Read { .. }) => stops += 1,
                Err(error) => panic!("{error}"),
            }
            drop(import);
            assert!(matches!(Store::open(&path), Err(Error::ImportUnfinished { .. })));
        };
        assert_eq!(imported.refused, []);
        assert_eq!(imported.bytes, (first.len() + rest.len()) as u64);
        assert_eq!(imported.skipped_count(), 1 + u64::from(!original.exists("u").unwrap()));
        assert_same(&dump(&path), &dump_of_commands(&Inspection::of(&expected).unwrap()), format_args!("case {case}"));
        assert!(Inspection::open(&path).unwrap().verify().unwrap().iter().all(|report| report.findings.is_empty()));
        Store::open(&path).unwrap().close().unwrap();
    }
    println!("stopped {stops} times, resumed behind the beginning {resumed} times");
    assert!(stops >= 6 && resumed >= 6);
}

#[test]
fn a_killed_import_is_resumed() {
    let log = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(log.path(), fixture("incremental.aof.gz")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let [whole, killed] = ["whole", "killed"].map(|name| dir.path().join(name));
    let import = |path: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_streamlog"));
        command.arg("--store").arg(path).args(["import", "--checkpoint", "0.01"]).arg(log.path());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command
    };
    let told = import(&whole).output().unwrap();
    assert!(told.status.success());
    let mut random = Random::new(seed());
    let mut kills = 0;
    for _ in 0..15 {
        let mut child = import(&killed).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.below(250)));
        let is_done = child.try_wait().unwrap().is_some();
        let _ = child.kill();
        child.wait().unwrap();
        if is_done {
            break;
        }
        kills += 1;
        match Store::open(&killed) {
            Err(Error::ImportUnfinished { .. }) => {}
            Err(error) => panic!("{error}"),
            // It was killed before it began, or after it was done.
            Ok(store) if store.names().unwrap().is_empty() => {}
            Ok(_) => break,
        }
    }
    // The one that the kill came too late for is done; another import would be refused all it has.
    if killed.join("import").exists() || Inspection::open(&killed).unwrap().names().unwrap().is_empty() {
        let resumed = import(&killed).output().unwrap();
        assert!(resumed.status.success());
        assert_eq!(String::from_utf8_lossy(&resumed.stdout), String::from_utf8_lossy(&told.stdout));
    }
    println!("killed {kills} times");
    assert_same(&dump(&killed), &dump(&whole), "after kills");
    assert!(Inspection::open(&killed).unwrap().verify().unwrap().iter().all(|report| report.findings.is_empty()));
}

#[test]
fn what_cannot_be_resumed_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    assert!(!abandon(dir.path()).unwrap());
    let mut log = Vec::new();
    for ms in 1..=60 {
        log.extend_from_slice(format!("XADD s {ms}-1 f {}\r\n", "x".repeat(450)).as_bytes());
    }
    let stop = |log: &[u8]| {
        let mut import = ResumableImport::open(&path, options(), 0, Duration::ZERO).unwrap();
        import.read(0, BufReader::new(Failing(log)), |_| {}).unwrap_err()
    };
    assert!(matches!(stop(&log[..10_000]), ImportError::Read { .. }));
    let other = stop(&log[100..]);
    assert!(matches!(other, ImportError::Resumption { .. }), "{other}");
    let short = begin(&path).read(0, &log[..100], |_| {}).unwrap_err();
    assert!(matches!(short, ImportError::Resumption { .. }), "{short}");
    let database = ResumableImport::open(&path, options(), 4, Duration::ZERO).unwrap_err();
    assert!(matches!(database, ImportError::Resumption { .. }), "{database}");
    let open = begin(&path);
    let locked = ResumableImport::open(&path, options(), 0, Duration::ZERO).unwrap_err();
    assert!(matches!(locked, ImportError::Store(Error::Locked { .. })), "{locked}");
    drop(open);
    assert!(abandon(&path).unwrap());
    let store = Store::open(&path).unwrap();
    let len = store.stream("s").unwrap().len().unwrap();
    assert!((19..=22).contains(&len), "{len} entries of 10,000 bytes");
}

/// Whoever has a directory `import` of his own in a directory that is no store, keeps it.
#[test]
fn a_directory_that_is_no_store_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let names = || {
        let mut names: Vec<_> = dir.path().read_dir().unwrap().map(|found| found.unwrap().file_name()).collect();
        names.sort_unstable();
        names
    };
    for directory in ["import", "src"] {
        std::fs::create_dir(dir.path().join(directory)).unwrap();
        std::fs::write(dir.path().join(directory).join("main.rs"), "fn main() {}").unwrap();
    }
    let open = || ResumableImport::open(dir.path(), options(), 0, Duration::ZERO);
    for refused in [open().map(drop).unwrap_err(), abandon(dir.path()).unwrap_err()] {
        assert!(matches!(refused, ImportError::Store(Error::NotAStore { .. })), "{refused}");
    }
    assert_eq!(names(), ["import", "src"]);
    // Not even with files that are called like those of a store.
    std::fs::create_dir(dir.path().join("streams")).unwrap();
    std::fs::write(dir.path().join("LOCK"), "locked by hand").unwrap();
    for refused in [open().map(drop).unwrap_err(), abandon(dir.path()).unwrap_err()] {
        assert!(matches!(refused, ImportError::Store(Error::Corrupt { .. })), "{refused}");
    }
    assert_eq!(names(), ["LOCK", "import", "src", "streams"]);
    assert!(dir.path().join("import/main.rs").exists());
}

/// In a store, too: what no import has made is not removed.
#[test]
fn a_directory_import_of_other_files_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    options().open(&path).unwrap().close().unwrap();
    let open = || ResumableImport::open(&path, options(), 0, Duration::ZERO);
    std::fs::create_dir(path.join("import")).unwrap();
    std::fs::write(path.join("import/orders.csv"), "1,2").unwrap();
    for refused in [open().map(drop).unwrap_err(), abandon(&path).unwrap_err()] {
        assert!(matches!(refused, ImportError::Resumption { .. }), "{refused}");
    }
    assert!(path.join("import/orders.csv").exists());
    // What is left of an import that was killed before its first checkpoint was there.
    std::fs::remove_file(path.join("import/orders.csv")).unwrap();
    std::fs::create_dir_all(path.join("import/1/streams")).unwrap();
    std::fs::write(path.join("import/position.new"), "streamlog import").unwrap();
    assert_eq!(open().unwrap().resumed_at(), None);
    assert!(abandon(&path).unwrap());
    Store::open(&path).unwrap().close().unwrap();
}

/// Killed while the streams are made those of the checkpoint again.
#[test]
fn an_import_is_resumed_without_its_streams() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let log: String = (1..=60).map(|ms| format!("XADD s {ms}-1 f {}\r\n", "x".repeat(450))).collect();
    begin(&path).read(0, BufReader::new(Failing(&log.as_bytes()[..10_000])), |_| {}).unwrap_err();
    std::fs::remove_dir_all(path.join("streams")).unwrap();
    let mut import = begin(&path);
    assert!(import.resumed_at().is_some_and(|(_, offset)| offset > 5_000));
    import.read(0, log.as_bytes(), |_| {}).unwrap();
    assert_eq!(import.finish().unwrap().entries, 60);
    assert_eq!(Store::open(&path).unwrap().stream("s").unwrap().len().unwrap(), 60);
}

#[test]
fn names_of_commands_may_be_of_any_length_and_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let mut log = b"SELECT 0\r\n".to_vec();
    for number in 0..300 {
        log.extend_from_slice(format!("{number:03}{}\r\n", "x".repeat(30_000)).as_bytes());
    }
    // Longer than all of them together may be in what is noted.
    for database in 0..2_000 {
        log.extend_from_slice(format!("SELECT {database}\r\nHSET h f v\r\n").as_bytes());
    }
    let (log, every) = (&log[..], Duration::from_millis(1));
    let mut import = ResumableImport::open(&path, options(), 0, every).unwrap();
    import.read(0, BufReader::new(log.chain(Failing(&[]))), |_| {}).unwrap_err();
    let skipped = import.imported().skipped.clone();
    assert!(skipped.len() <= 512 && skipped.keys().all(|skipped| skipped.command.len() <= 256), "{}", skipped.len());
    assert_eq!(skipped.values().sum::<u64>(), 2_300);
    drop(import);
    assert!(ResumableImport::open(&path, options(), 0, every).is_ok());
    assert!(abandon(&path).unwrap());
}

/// The checkpoint is no part of the store, and goes when the import is finished.
#[test]
fn a_checkpoint_does_not_count_to_a_budget() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let mut log = Vec::new();
    for ms in 1..=400 {
        log.extend_from_slice(format!("XADD s {ms}-1 f {}\r\n", "x".repeat(450)).as_bytes());
    }
    let (part, budget) = (&log[..log.len() - 10_000], 400 << 10);
    let open = || ResumableImport::open(&path, options().bytes_budget(budget), 0, Duration::from_millis(1)).unwrap();
    let mut import = open();
    import.read(0, BufReader::new(part.chain(Failing(&[]))), |_| {}).unwrap_err();
    drop(import);
    let mut import = open();
    import.read(0, &*log, |_| {}).unwrap();
    import.finish().unwrap();
    assert_eq!(options().open(&path).unwrap().stream("s").unwrap().len().unwrap(), 400);
}

/// The end of a log that is missing is missed by the next one.
#[test]
fn a_resumable_import_ends_at_a_log_that_is_cut_short() {
    let dir = tempfile::tempdir().unwrap();
    let mut import = begin(&dir.path().join("data"));
    import.read(0, &b"XADD s 1-1 f v\r\nXADD s 2-1 f"[..], |_| {}).unwrap();
    let error = import.read(1, &b"XADD s 3-1 f v\r\n"[..], |_| {}).unwrap_err();
    assert!(matches!(error, ImportError::Torn { torn, .. } if torn.offset == 16), "{error}");
    let imported = import.finish().unwrap();
    assert_eq!((imported.entries, imported.torn.map(|torn| torn.offset)), (1, Some(16)));
}
