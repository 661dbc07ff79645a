//! Every example in the help texts and the README does what it looks like, in a folder where there is a store `data`.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::{skipped, streamlog};

const README: &str = include_str!("../../README.md");

/// How long an example may take that ends.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one that does not end has to run without a complaint.
const PROBATION: Duration = Duration::from_secs(1);

/// A folder as the examples want it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let script = "\
        XADD orders 1-1 type order.created total 49.99\n\
        XADD orders 2-1 type order.paid order o1\n\
        XADD orders 3-1 type order.sent order o1\n\
        XADD payments 2-1 order o1\n\
        XADD log 1-1 message started\n\
        XGROUP CREATE orders workers 0\n\
        XREADGROUP GROUP workers alice COUNT 2 STREAMS orders >\n";
    assert_eq!(streamlog().store(&data).arg("shell").run_with_input(script.as_bytes()).status, 0);
    let copied = Command::new("cp").arg("-r").arg(&data).arg(folder.path().join("copy")).status().unwrap();
    assert!(copied.success());
    let flights = folder.path().join("tests/data");
    fs::create_dir_all(&flights).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(b"carrier,flight\nUA,1545\nAA,1141\n").unwrap();
    let bytes = gzip.finish().unwrap();
    fs::write(flights.join("flights.csv.gz"), &bytes).unwrap();
    fs::write(folder.path().join("flights.csv.gz"), &bytes).unwrap();
    fs::write(folder.path().join("weather.jsonl"), "{\"at\":1700000000000,\"celsius\":20.5}\n").unwrap();
    fs::write(folder.path().join("before.txt"), streamlog().store(&data).arg("dump").run().stdout).unwrap();
    fs::create_dir_all(folder.path().join("mnt/backup")).unwrap();
    let backup = streamlog().store(&data).arg("backup").arg(folder.path().join("mnt/backup/data")).run();
    assert_eq!(backup.status, 0, "{backup:?}");
    append_only_files(folder.path());
    folder
}

/// What a server has logged, in all the forms the examples name: of streams that are not there yet.
fn append_only_files(folder: &Path) {
    let logged =
        |stream: &str, id: u32| format!("SELECT 0\nXADD {stream} {id}-1 a b\nSELECT 3\nXADD {stream} {id}-1 a b\n");
    fs::write(folder.join("streams.aof"), logged("invoices", 1)).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(logged("invoices", 1).as_bytes()).unwrap();
    fs::write(folder.join("streams.aof.gz"), gzip.finish().unwrap()).unwrap();
    fs::write(folder.join("base.aof"), logged("invoices", 1)).unwrap();
    fs::write(folder.join("incr.aof"), logged("invoices", 2)).unwrap();
    let directory = folder.join("redis/appendonlydir");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("appendonly.aof.1.base.aof"), logged("invoices", 1)).unwrap();
    fs::write(directory.join("appendonly.aof.1.incr.aof"), logged("invoices", 2)).unwrap();
    let manifest = "file appendonly.aof.1.base.aof seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n";
    fs::write(directory.join("appendonly.aof.manifest"), manifest).unwrap();
}

/// An example with places that are in the folder, and without a server that nobody has started.
fn at_home(line: &str) -> String {
    line.replace(" /mnt/", " mnt/").replace(" /var/lib/redis/", " redis/").replace("redis-cli --pipe", "cat")
}

/// When an example is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// When it has done what it does.
    Itself,
    /// When an entry came, which it shows.
    Entry,
    /// When somebody stops it; entries that come meanwhile are shown.
    Following,
    /// When somebody stops it.
    Watching,
}

fn end_of(line: &str) -> End {
    let has = |wanted: &[&str]| line.split_ascii_whitespace().any(|word| wanted.contains(&word));
    match () {
        () if line.contains("BLOCK 0") => End::Entry,
        // It is not to be seen by the filter what comes: that writes when it has much, or when it ends.
        () if has(&["tail"]) && has(&["-f", "--follow"]) && !line.contains('|') => End::Following,
        () if has(&["tail"]) && has(&["-f", "--follow"]) => End::Watching,
        () if has(&["top"]) && !has(&["-n", "--count"]) => End::Watching,
        () => End::Itself,
    }
}

/// What another process adds while an example waits for it.
const NEWS: &str = "from-another-process";

/// Runs a line as a shell would, and says what is wrong with that.
fn run(line: &str, exports: &[String]) -> Result<(), String> {
    let folder = folder();
    let line = &*at_home(line);
    let has_jq = Command::new("jq").arg("--version").output().is_ok();
    let line = match line.split_once("| jq") {
        Some((before, _)) if !has_jq => {
            skipped(&format!("there is no jq for {line:?}"));
            before
        }
        _ => line,
    };
    // What the example before it has made.
    let restores = line.contains("--store restored") && !line.contains(" restore ");
    let before = if restores { "streamlog --store restored restore mnt/backup/data >/dev/null" } else { "" };
    let script = format!("{}\n{before}\n{line}\n", exports.join("\n"));
    let program = Path::new(env!("CARGO_BIN_EXE_streamlog")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("XDG_STATE_HOME", folder.path())
        .env_remove("STREAMLOG_STORE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let end = end_of(line);
    let mut out = Output::of(&mut child);
    let (mut ended, mut shown) = (None, false);
    let began = Instant::now();
    let patience = if end == End::Watching { PROBATION } else { PATIENCE };
    while ended.is_none() && !(shown && end == End::Following) && began.elapsed() < patience {
        if matches!(end, End::Entry | End::Following) && !shown {
            let news =
                streamlog().store(&folder.path().join("data")).args("XADD orders * type order.paid by").arg(NEWS);
            // Nobody can while the example has the store to itself.
            let _ = news.run();
        }
        std::thread::sleep(Duration::from_millis(10));
        shown = out.contains(NEWS);
        ended = child.try_wait().unwrap().map(|status| status.code());
    }
    let group = format!("-{}", child.id());
    Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status().unwrap();
    child.wait().unwrap();
    out.wait();
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    let as_expected = match end {
        End::Itself => ended == Some(Some(0)),
        End::Entry => ended == Some(Some(0)) && out.contains(NEWS),
        End::Following => ended.is_none() && shown,
        End::Watching => ended.is_none(),
    };
    match as_expected && complaint.is_empty() {
        true => Ok(()),
        false => Err(format!("{line}\n  came to {ended:?}, and said {complaint:?}; what came was shown: {shown}")),
    }
}

/// What a process prints, read as it comes, so that nothing waits for a reader.
struct Output(Arc<Mutex<Vec<u8>>>, Option<std::thread::JoinHandle<()>>);

impl Output {
    fn of(child: &mut Child) -> Self {
        let mut out = child.stdout.take().unwrap();
        let printed = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&printed);
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = out.read(&mut bytes) {
                all.lock().unwrap().extend_from_slice(&bytes[..len]);
            }
        });
        Self(printed, Some(reader))
    }

    /// Until nobody is left who could print.
    fn wait(&mut self) {
        if let Some(reader) = self.1.take() {
            reader.join().unwrap();
        }
    }

    fn contains(&self, text: &str) -> bool {
        let printed = self.0.lock().unwrap();
        printed.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// Runs lines next to each other, and tells of all that went wrong.
fn run_all(lines: &[(String, Vec<String>)]) {
    let wrong: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = lines.iter().map(|(line, exports)| scope.spawn(|| run(line, exports))).collect();
        runs.into_iter().filter_map(|run| run.join().unwrap().err()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Lines that are to be run, each with what was exported before it.
fn with_exports(lines: impl IntoIterator<Item = String>) -> Vec<(String, Vec<String>)> {
    let (mut runs, mut exports) = (Vec::new(), Vec::new());
    for line in lines {
        match line.starts_with("export ") {
            true => exports.push(line),
            false => runs.push((line, exports.clone())),
        }
    }
    runs
}

fn help(words: &[&str]) -> String {
    let ended = words.iter().fold(streamlog(), |program, word| program.arg(word)).arg("--help").run();
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{words:?}");
    ended.stdout
}

/// What is said of each first word: the lines below `Commands:`.
fn first_words() -> Vec<String> {
    let help = help(&[]);
    let commands = help.split_once("\nCommands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    // What is described in more than a line goes on further to the right.
    let words = commands.lines().filter(|line| line.len() - line.trim_start().len() == 2);
    words.map(|line| line.split_ascii_whitespace().next().unwrap().to_owned()).collect()
}

fn examples(help: &str) -> Vec<String> {
    let Some((_, examples)) = help.split_once("\nExamples:\n") else { return Vec::new() };
    examples.lines().take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn every_help_text_has_examples_and_they_work() {
    let words = first_words();
    assert!(words.len() > 8 && words.iter().any(|word| word == "add"), "{words:?}");
    let mut lines = with_exports(examples(&help(&[])));
    assert!(lines.len() > 5);
    for word in &words {
        let examples = examples(&help(&[word]));
        assert!(!examples.is_empty(), "the help of {word} has no examples");
        let is_whole = |line: &String| line.contains("streamlog ");
        assert!(examples.iter().all(is_whole), "the examples of {word} are broken into lines: {examples:?}");
        lines.extend(with_exports(examples));
    }
    run_all(&lines);
}

/// The blocks of the README in a language, line by line.
fn blocks(language: &str) -> Vec<Vec<String>> {
    let begin = format!("```{language}\n");
    let blocks = README.split(&begin).skip(1).map(|block| block.split_once("```").unwrap().0);
    blocks.map(|block| block.lines().map(str::to_owned).collect()).collect()
}

#[test]
fn the_commands_in_the_readme_work() {
    let lines = blocks("sh").into_iter().flatten();
    let lines =
        lines.filter(|line| line.starts_with("export ") || line.split(['|', ' ']).any(|word| word == "streamlog"));
    let lines = with_exports(lines.filter(|line| !line.starts_with("cargo ")));
    assert!(lines.len() > 6, "{lines:?}");
    run_all(&lines);
}

#[test]
fn the_shell_sessions_in_the_readme_come_out_as_they_are_shown() {
    const PROMPT: &str = "streamlog> ";
    let sessions =
        blocks("text").into_iter().filter(|lines| lines.first().is_some_and(|line| line.starts_with(PROMPT)));
    let mut count = 0;
    for session in sessions {
        let (typed, shown): (Vec<_>, Vec<_>) = session.iter().partition(|line| line.starts_with(PROMPT));
        let typed: String = typed.iter().map(|line| format!("{}\n", &line[PROMPT.len()..])).collect();
        let ended = streamlog().args("--in-memory --no-raw shell").run_with_input(typed.as_bytes());
        assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), shown, "after typing\n{typed}");
        count += 1;
    }
    assert!(count > 0);
}
