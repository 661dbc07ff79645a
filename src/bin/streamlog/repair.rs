//! Ending damage for good, or telling what that would take.

use std::io::Write;

use streamlog::inspect::Escaped;
use streamlog::{Error, Finding, OnDamage, Options, Problem, Repaired, Store};

use crate::global::Global;
use crate::json::{Json, text};
use crate::look::{self, Look, Wanted, bytes};
use crate::{Failure, Outcome, count};

const HELP: &str = "\
Without --apply nothing is written: it is told what is damaged and what a repair would do. With it, what can be read is \
kept as it is, and the rest counts as deleted. Files that are replaced are copied to the store's folder `quarantine` \
first. The store must not be in use then, and needs room for the copies.

Examples:
  streamlog --store data repair
  streamlog --store data repair --apply orders

Exit status: 0 nothing is damaged, or all of it was repaired; 1 could not tell, or not repair; 3 damaged.";

/// End damage for good; tells what it would do unless told to do it
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Do it
    #[arg(long)]
    apply: bool,

    #[command(flatten)]
    wanted: Wanted,
}

/// Repairs streams, or all of the store, if it is to be applied; tells what is damaged otherwise.
pub fn run(global: &Global, Args { apply: applied, wanted }: &Args) -> Result<Outcome, Failure> {
    let applied = *applied;
    let path = if applied { global.directory_to_write()? } else { global.directory()? };
    let mut look = Look::at(&path, wanted)?;
    let mut of_store = match wanted.streams.is_empty() {
        true => look.inspection.verify_store()?,
        false => Vec::new(),
    };
    let is_unfinished = |finding: &Finding| matches!(finding.problem, Problem::ImportUnfinished);
    of_store.retain(|finding| finding.is_damage() || is_unfinished(finding));
    if of_store.iter().any(is_unfinished) {
        // Nothing is repaired before it goes on or is ended.
        look.came_to(Outcome::ErrorReply);
    }
    let names = look.names()?;
    let options = Options::new().create(false).on_damage(OnDamage::Quarantine);
    let store = applied.then(|| options.open(&path)).transpose()?;
    if of_store.iter().any(Finding::is_damage) {
        // Opening the store mends what it can, and fails otherwise; what is left was not for it to mend.
        let left = match applied {
            true => look.inspection.verify_store()?.iter().any(Finding::is_damage),
            false => true,
        };
        look.came_to(if left { Outcome::Damaged } else { Outcome::Done });
    }
    if !wanted.json {
        of_store.iter().try_for_each(|finding| writeln!(look.out, "  {finding}"))?;
    }
    let mut streams = Vec::new();
    for name in &names {
        let told = match &store {
            Some(store) => repair(&mut look, store, name)?,
            None => plan(&mut look, name)?,
        };
        streams.extend(told);
    }
    if let Some(store) = store {
        store.close()?;
    }
    match wanted.json {
        true => {
            let findings = Json::List(of_store.iter().map(look::finding).collect());
            let all = vec![
                ("applied", Json::Bool(applied)),
                ("status", text(look::word(look.outcome))),
                ("findings", findings),
                ("streams", Json::List(streams)),
            ];
            writeln!(look.out, "{}", Json::Object(all))?;
        }
        false if look.outcome == Outcome::Damaged && !applied => {
            writeln!(look.out, "nothing was changed; --apply repairs this")?;
        }
        false => writeln!(look.out, "{}", look::marked(look.outcome))?,
    }
    look.end()
}

/// Tells what is damaged in a stream, and what would become of it.
fn plan(look: &mut Look<'_>, name: &[u8]) -> Result<Option<Json>, Failure> {
    let report = match look.inspection.verify_stream(name, |_| {}) {
        Err(error) if look.is_gone(&error) => return Ok(None),
        Err(error) => return failed(look, name, &error).map(Some),
        Ok(report) => report,
    };
    let damage: Vec<_> = report.findings.into_iter().filter(Finding::is_damage).collect();
    if damage.is_empty() {
        return Ok(None);
    }
    look.came_to(Outcome::Damaged);
    if look.wanted.json {
        return Ok(Some(json(name, &damage, None)));
    }
    writeln!(look.out, "{}: \"{}\"", look::marked(Outcome::Damaged), Escaped(name))?;
    for finding in &damage {
        writeln!(look.out, "  {finding}\n    would {}", remedy(finding))?;
    }
    Ok(None)
}

/// What a repair does about a finding.
fn remedy(finding: &Finding) -> &'static str {
    let name = finding.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match &finding.problem {
        Problem::Damage(streamlog::Corruption::Missing) if name.ends_with(".log") => "count its entries as deleted",
        _ if name.ends_with(".log") => "copy the file, keep what can be read, and count the rest as deleted",
        _ if name.ends_with(".journal") => "copy the file, and go on with what precedes the damage",
        _ if name == "meta" => "copy the file, and make it again from the others",
        _ => "need somebody to look at it",
    }
}

fn repair(look: &mut Look<'_>, store: &Store, name: &[u8]) -> Result<Option<Json>, Failure> {
    let repaired = match store.repair(name) {
        Ok(None) if look.wanted.streams.is_empty() => return Ok(None),
        // Fails with the error that there is none.
        Ok(None) => store.stream(name).and_then(|stream| stream.info()).map(|_| Repaired::default()),
        Ok(Some(repaired)) => Ok(repaired),
        Err(error) => Err(error),
    };
    let repaired = match repaired {
        Ok(repaired) if repaired.damage.is_empty() => return Ok(None),
        Ok(repaired) => repaired,
        Err(error) => return failed(look, name, &error).map(Some),
    };
    let Repaired { damage, entries_lost, copies, .. } = &repaired;
    if look.wanted.json {
        return Ok(Some(json(name, damage, Some(&repaired))));
    }
    let lost = count::count(*entries_lost, "entry counts as deleted", "entries count as deleted");
    writeln!(look.out, "repaired: \"{}\", {lost}", Escaped(name))?;
    damage.iter().try_for_each(|finding| writeln!(look.out, "  {finding}"))?;
    copies.iter().try_for_each(|copy| writeln!(look.out, "  kept: {}", copy.display()))?;
    Ok(None)
}

fn failed(look: &mut Look<'_>, name: &[u8], error: &Error) -> Result<Json, Failure> {
    look.came_to(look::outcome_of(error));
    if !look.wanted.json {
        let marked = look::marked(look::outcome_of(error));
        writeln!(look.out, "{marked}: \"{}\": {}", Escaped(name), crate::explain(error))?;
    }
    Ok(Json::Object(vec![("name", bytes(name)), ("error", text(crate::explain(error)))]))
}

fn json(name: &[u8], damage: &[Finding], repaired: Option<&Repaired>) -> Json {
    let mut members = vec![("name", bytes(name)), ("findings", Json::List(damage.iter().map(look::finding).collect()))];
    if let Some(repaired) = repaired {
        members.push(("entries_lost", repaired.entries_lost.into()));
        members.push(("copies", Json::List(repaired.copies.iter().map(|copy| text(copy.display())).collect())));
    }
    Json::Object(members)
}
