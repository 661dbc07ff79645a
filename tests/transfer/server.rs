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
use crate::harness::{assert_same, dump_of_commands, options_now, seed, without_what_a_rewrite_loses};
use crate::history::{History, Known, Random, words};
use crate::redis::{Server, skipped};
use crate::value::Value;

/// All streams, as far as this server knows them.
fn export(store: &Store) -> Vec<u8> {
    let mut log = Vec::new();
    for name in store.names().unwrap() {
        let export = store.stream(name).unwrap().export().unwrap().redis_version(RedisVersion::new(7, 0));
        let collected = export.run(|part| match part {
            Part::Commands { bytes, .. } => {
                log.extend_from_slice(&bytes);
                Ok::<(), streamlog::Error>(())
            }
            other => panic!("left out: {other:?}"),
        });
        collected.unwrap();
    }
    log
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

/// Compares everything that both can be asked.
fn compare(server: &mut Server, store: &Store) -> Result<(), String> {
    let mut session = Session::new(store);
    let mut same = |command: Words| {
        let mut ours = Vec::new();
        session.execute(&command).encode(Protocol::Resp2, &mut ours);
        let replies = [server.execute(&command), Value::decode(&ours)];
        let [theirs, ours] = replies.map(|reply| comparable(Kind::Groups, &command, reply));
        match theirs == ours {
            true => Ok(()),
            false => Err(format!("{command:?}\n  redis:     {theirs}\n  streamlog: {ours}")),
        }
    };
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
        let Some(()) = pipe(&server, &export(&store)) else { return };
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
    let Some(()) = pipe(&server, &export(&store)) else { return };
    server.execute(&["SET", "not a stream", "x"]);
    import_parts(&server.directory().join("appendonlydir"), &copy);
    assert_same(&dump(&copy), &dump(&store), "appended");
}
