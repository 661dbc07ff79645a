//! Promise: a running server rebuilds what is exported, and what it logs of that is imported.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use streamlog::Store;
use streamlog::command::{Protocol, Session};
use streamlog::inspect::Inspection;
use streamlog::transfer::{Import, Part, RedisVersion, files_of};

use crate::commands::{Kind, Words};
use crate::differences::comparable;
use crate::fixtures::after;
use crate::harness::{assert_same, dump_of_commands, fixture, import, options_now, seed, without_what_a_rewrite_loses};
use crate::history::{History, Known, Random, words};
use crate::recorded::Step;
use crate::redis::{Server, skipped};
use crate::value::Value;

/// All streams, as far as this server knows them: of what is left out, `left_out` is told.
fn export(store: &Store, mut left_out: impl FnMut(Part)) -> Vec<u8> {
    let mut log = Vec::new();
    for name in store.names().unwrap() {
        let export = store.stream(name).unwrap().export().unwrap().redis_version(RedisVersion::new(7, 0));
        let collected = export.run(|part| match part {
            Part::Commands { bytes, .. } => {
                log.extend_from_slice(&bytes);
                Ok::<(), streamlog::Error>(())
            }
            other => {
                left_out(other);
                Ok(())
            }
        });
        collected.unwrap();
    }
    log
}

/// All streams of a store in which there is nothing that this server does not know.
fn export_all(store: &Store) -> Vec<u8> {
    export(store, |part| panic!("left out: {part:?}"))
}

/// As a user would; `None`, loudly, where there is no `redis-cli`.
fn pipe(server: &Server, log: &[u8]) -> Option<()> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), log).unwrap();
    let mut command = Command::new("redis-cli");
    command.arg("-s").arg(server.directory().join("socket")).arg("--pipe").stdin(file.reopen().unwrap());
    let ran = match command.stdout(Stdio::piped()).stderr(Stdio::piped()).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skipped("nothing was loaded into Redis, for there is no redis-cli on PATH");
            return None;
        }
        ran => ran.unwrap(),
    };
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && told.contains("errors: 0"), "{told}{}", String::from_utf8_lossy(&ran.stderr));
    Some(())
}

/// Asks both the same.
fn same<A: AsRef<[u8]>>(server: &mut Server, session: &mut Session, args: &[A]) -> Result<(), String> {
    let command: Words = args.iter().map(|arg| String::from_utf8_lossy(arg.as_ref()).into_owned()).collect();
    let mut ours = Vec::new();
    session.execute(args).encode(Protocol::Resp2, &mut ours);
    let replies = [server.execute(args), Value::decode(&ours)];
    let [theirs, ours] = replies.map(|reply| comparable(Kind::Groups, &command, reply));
    match theirs == ours {
        true => Ok(()),
        false => Err(format!("{command:?}\n  redis:     {theirs}\n  streamlog: {ours}")),
    }
}

/// Compares everything that both can be asked.
fn compare(server: &mut Server, store: &Store) -> Result<(), String> {
    let mut session = Session::new(store);
    let mut same = |command: Words| same(server, &mut session, &command);
    same(words(&["DBSIZE"]))?;
    for key in store.names().unwrap() {
        let key = String::from_utf8(key).unwrap();
        same(words(&["XLEN", &key]))?;
        same(words(&["XRANGE", &key, "-", "+"]))?;
        same(words(&["XREVRANGE", &key, "+", "-", "COUNT", "5"]))?;
        same(words(&["XINFO", "STREAM", &key]))?;
        same(words(&["XINFO", "STREAM", &key, "FULL", "COUNT", "0"]))?;
        same(words(&["XINFO", "GROUPS", &key]))?;
        for group in store.stream(&key).unwrap().groups().unwrap() {
            let group = String::from_utf8(group.name.to_vec()).unwrap();
            same(words(&["XINFO", "CONSUMERS", &key, &group]))?;
            same(words(&["XPENDING", &key, &group]))?;
            same(words(&["XPENDING", &key, &group, "-", "+", "10000"]))?;
        }
    }
    Ok(())
}

fn dump(store: &Store) -> String {
    dump_of_commands(&Inspection::of(store).unwrap())
}

/// Has the server rewrite its log, without a snapshot in it.
fn rewrite(server: &mut Server) {
    for command in ["CONFIG SET aof-use-rdb-preamble no", "CONFIG SET appendonly yes", "BGREWRITEAOF"] {
        let deadline = Instant::now() + Duration::from_secs(20);
        while server.execute(&["INFO", "persistence"]).to_string().contains("aof_rewrite_in_progress:1") {
            assert!(Instant::now() < deadline, "the log is being rewritten for ever");
            std::thread::sleep(Duration::from_millis(5));
        }
        if command.starts_with("CONFIG") || fs::read_dir(server.directory().join("appendonlydir")).is_ok() {
            server.execute(&command.split(' ').collect::<Vec<_>>());
        }
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while !server.execute(&["INFO", "persistence"]).to_string().contains("aof_rewrite_in_progress:0") {
        assert!(Instant::now() < deadline, "the log is being rewritten for ever");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn import_parts(path: &Path, into: &Store) {
    let mut import = Import::new(into).unwrap();
    for file in files_of(path).unwrap() {
        import.read(&*fs::read(file).unwrap(), |_| {}).unwrap();
    }
    let imported = import.finish();
    assert_eq!((imported.refused, imported.torn), (vec![], None));
}

#[test]
fn a_server_rebuilds_an_export_and_its_log_is_imported() {
    let Some(mut server) = Server::start() else { return };
    let mut random = Random::new(seed());
    for case in 0..12 {
        server.execute(&["FLUSHALL"]);
        let [store, copy] = [options_now().in_memory(), options_now().in_memory()];
        History::new(&store, &mut random, Known::Old).run(60 + case * 20);
        let Some(()) = pipe(&server, &export_all(&store)) else { return };
        compare(&mut server, &store).unwrap_or_else(|difference| panic!("case {case}: {difference}"));
        rewrite(&mut server);
        import_parts(&server.directory().join("appendonlydir"), &copy);
        let [before, after] = [&store, &copy].map(|store| without_what_a_rewrite_loses(&dump(store)));
        assert_same(&after, &before, format_args!("case {case}"));
    }
}

/// With the log switched on before anything comes: what the server appends is imported.
#[test]
fn what_a_server_appends_is_imported() {
    let Some(mut server) = Server::start() else { return };
    rewrite(&mut server);
    let mut random = Random::new(seed());
    let [store, copy] = [options_now().in_memory(), options_now().in_memory()];
    History::new(&store, &mut random, Known::Old).run(400);
    let Some(()) = pipe(&server, &export_all(&store)) else { return };
    server.execute(&["SET", "not a stream", "x"]);
    import_parts(&server.directory().join("appendonlydir"), &copy);
    assert_same(&dump(&copy), &dump(&store), "appended");
}

/// From a server of 8.6.2 into a store, and from there into this server: the commands that were asked of the first one are
/// answered the same by both.
#[test]
fn what_redis_logged_goes_through_a_store_into_a_server() {
    let Some(mut server) = Server::start() else { return };
    let store = Store::in_memory();
    import(&store, &fixture("rewritten.aof.gz"));
    let mut left_out = Vec::new();
    let log = export(&store, |part| left_out.push(part));
    assert!(
        matches!(*left_out, [Part::LeftOut { released: 0, productions: 2, .. }]),
        "what is remembered of productions is new since 7.0: {left_out:?}"
    );
    let Some(()) = pipe(&server, &log) else { return };
    let mut session = Session::new(&store);
    let mut asked = 0;
    for step in &after().steps {
        let Step::Command { args, .. } = step else { continue };
        same(&mut server, &mut session, args).unwrap();
        asked += 1;
    }
    assert!(asked > 60, "{asked}");
}
