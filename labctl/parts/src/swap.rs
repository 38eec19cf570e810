//! `--part lb=haproxy`: replaces every balancer, or every database, of a chapter by another program.

use std::path::Path;
use std::str::FromStr;

use chapter::machines::MachineEntry;
use chapter::{Chapter, Setting};

use crate::databases::mode_of;
use crate::known::{Kind, Known};
use crate::{Abilities, Ability, own};

/// A replacement for a kind of part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// What it replaces.
    pub kind: Kind,
    /// A known part's name, or the path of a program.
    pub program: String,
}

impl FromStr for Swap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("'{text}' is not of the form lb=haproxy, lb=./my-lb or db=./my-db");
        let (kind, program) = text.split_once('=').ok_or_else(form)?;
        let kind = [Kind::Lb, Kind::Db].into_iter().find(|known| known.name() == kind).ok_or_else(form)?;
        if program.is_empty() {
            return Err(form());
        }
        if is_path(program) {
            let absolute = std::path::absolute(program).map_err(|error| format!("'{program}': {error}"))?;
            let program = absolute.to_str().ok_or("the path of a part must be UTF-8")?.to_owned();
            return Ok(Self { kind, program });
        }
        match Known::named(program) {
            Some(known) if known.kind == kind => Ok(Self { kind, program: program.to_owned() }),
            Some(known) => {
                Err(format!("{} stands in for {}, not for {}", known.title, known.kind.name(), kind.name()))
            }
            None => Err(format!(
                "there is no part '{program}'; known are {}; a program of your own is given by its path: ./{program}",
                Known::names()
            )),
        }
    }
}

/// Returns whether a chapter's name of a program is a path rather than a known part.
pub fn is_path(program: &str) -> bool {
    program.contains('/')
}

impl Swap {
    /// Returns its abilities. A student's program is asked for them; one that cannot be started is refused later, with
    /// the reason.
    pub async fn abilities(&self) -> Abilities {
        match Known::named(&self.program) {
            Some(known) => known.abilities(),
            None => own::abilities(Path::new(&self.program)).await.unwrap_or_default(),
        }
    }

    /// Returns the settings that put this part into a chapter. A balancer of a pair stays the lab's own if the part
    /// cannot be one of a pair, and so does a database whose replication mode the part lacks: claims about those are
    /// skipped.
    pub fn settings(&self, chapter: &Chapter, abilities: &Abilities, with_defaults: bool) -> Vec<Setting> {
        let known = Known::named(&self.program);
        let can = |ability| abilities.lacks(ability).is_none();
        let is_meant = |entry: &MachineEntry| match self.kind {
            Kind::Lb => entry.lb.as_ref().is_some_and(|lb| !lb.pair || can(Ability::Pair)),
            Kind::Db => entry.dbnode.is_some() && mode_of(entry).is_none_or(can),
        };
        let machines = chapter.machine.iter().filter(|(_, entry)| is_meant(entry));
        let defaults = known.map(|known| known.defaults).filter(|_| with_defaults).unwrap_or_default();
        let set = |machine: &str, key: &str, value: &toml::Value| {
            let setting = format!("machine.{machine}.{}.{key}={value}", self.kind.key());
            setting.parse().expect("it has a path and a value")
        };
        let program = toml::Value::String(self.program.clone());
        machines
            .flat_map(|(name, _)| {
                let defaults = defaults.iter().map(|(key, value)| set(name, key, value));
                std::iter::once(set(name, "program", &program)).chain(defaults).collect::<Vec<_>>()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chapter::Source;

    #[test]
    fn a_part_is_known_or_a_path() {
        assert_eq!("lb=haproxy".parse(), Ok(Swap { kind: Kind::Lb, program: "haproxy".into() }));
        let own: Swap = "db=./my-db".parse().unwrap();
        assert!(own.program.starts_with('/') && own.program.ends_with("/my-db"), "{own:?}");
        let error = |text: &str| text.parse::<Swap>().unwrap_err();
        assert!(error("lb=haprxy").starts_with("there is no part 'haprxy'; known are haproxy"));
        assert_eq!(error("db=haproxy"), "HAProxy stands in for lb, not for db");
        assert!(error("haproxy").contains("is not of the form") && error("web=x").contains("form"));
    }

    #[test]
    fn every_balancer_but_those_of_a_pair_is_another() {
        let chapter = Source::open("load-balancer", &[]).unwrap().chapter;
        let swap: Swap = "lb=haproxy".parse().unwrap();
        let abilities = Known::named("haproxy").unwrap().abilities();
        let settings = swap.settings(&chapter, &abilities, false);
        let shown: Vec<_> = settings.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [r#"machine.lb.lb.program="haproxy""#]);
        let source = Source::open("load-balancer", &swap.settings(&chapter, &abilities, true)).unwrap();
        let lb = source.chapter.machine["lb"].lb.as_ref().unwrap();
        assert_eq!(lb.program.as_deref(), Some("haproxy"));
        assert_eq!(lb.health_interval.unwrap().0, std::time::Duration::from_secs(2));
    }

    #[test]
    fn the_defaults_of_every_part_are_keys_of_its_machines() {
        for known in Known::all() {
            let name = match known.kind {
                Kind::Lb => "load-balancer",
                Kind::Db => "replication",
            };
            let chapter = Source::open(name, &[]).unwrap().chapter;
            let swap = Swap { kind: known.kind, program: known.name.to_owned() };
            let settings = swap.settings(&chapter, &known.abilities(), true);
            let opened = Source::open(name, &settings);
            assert!(opened.is_ok(), "{}: {:?}", known.name, opened.err());
        }
    }

    #[test]
    fn a_database_whose_replication_the_part_does_not_have_stays_the_labs_own() {
        let chapter = Source::open("replication", &[]).unwrap().chapter;
        let cannot = [(Ability::Async, "never earlier".to_owned())].into();
        let abilities = Abilities { title: "Other".into(), can: None, cannot };
        let swap = Swap { kind: Kind::Db, program: "/my-db".into() };
        let settings = swap.settings(&chapter, &abilities, false);
        let shown: Vec<_> = settings.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [r#"machine.strict.dbnode.program="/my-db""#, r#"machine.quorum.dbnode.program="/my-db""#]
        );
    }
}
