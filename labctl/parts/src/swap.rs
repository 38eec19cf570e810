//! `--part lb=haproxy`: another program for every balancer, or every database, of a chapter.

use std::path::Path;
use std::str::FromStr;

use chapter::machines::MachineEntry;
use chapter::{Chapter, Setting};

use crate::Ability;
use crate::known::{Kind, Known};
use crate::own;

/// A part, and what it stands in for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// What it stands in for.
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

/// Whether a chapter's word for a program is a path rather than a known part's name.
pub fn is_path(program: &str) -> bool {
    program.contains('/')
}

impl Swap {
    /// Whether it can be one of a pair. A program of somebody's own is asked; one that cannot be started is
    /// refused later, with the reason.
    pub async fn can_pair(&self) -> bool {
        let abilities = match Known::named(&self.program) {
            Some(known) => Ok(known.abilities()),
            None => own::abilities(Path::new(&self.program)).await,
        };
        abilities.map_or(true, |abilities| abilities.lacks(Ability::Pair).is_none())
    }

    /// The changes of a chapter that put this part in. A balancer of a pair stays the lab's own when the part
    /// cannot be one of a pair: what is claimed of it is skipped.
    pub fn settings(&self, chapter: &Chapter, can_pair: bool, with_defaults: bool) -> Vec<Setting> {
        let known = Known::named(&self.program);
        let is_meant = |entry: &MachineEntry| match self.kind {
            Kind::Lb => entry.lb.as_ref().is_some_and(|lb| can_pair || !lb.pair),
            Kind::Db => entry.dbnode.is_some(),
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
        let settings = swap.settings(&chapter, false, false);
        let shown: Vec<_> = settings.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [r#"machine.lb.lb.program="haproxy""#]);
        let source = Source::open("load-balancer", &swap.settings(&chapter, false, true)).unwrap();
        let lb = source.chapter.machine["lb"].lb.as_ref().unwrap();
        assert_eq!(lb.program.as_deref(), Some("haproxy"));
        assert_eq!(lb.health_interval.unwrap().0, std::time::Duration::from_secs(2));
    }
}
