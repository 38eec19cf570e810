//! The registry: the article's sentences, each with the measurements that test it. Pure.
#![deny(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};

use chapter::Bound;

const TEXT: &str = include_str!("../../claims.toml");

/// All testable sentences.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// The article's sentences in order, followed by those beyond it.
    pub claim: Vec<Claim>,
}

/// One sentence.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Its identifier, stable for as long as its meaning.
    pub id: String,
    /// The heading that it belongs to.
    pub chapter: String,
    /// The article's words, or the tested part of them; beyond the article, the lab's own words.
    pub article: String,
    /// The source or incident, only for sentences beyond the article.
    pub source: Option<String>,
    /// Why it is true, or is not.
    pub because: String,
    /// Evidence for it.
    #[serde(default)]
    pub r#for: Vec<Exhibit>,
    /// Evidence against it.
    #[serde(default)]
    pub against: Vec<Exhibit>,
}

/// A statement that a measurement decides.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Exhibit {
    /// A claim of a chapter's run holds: `one-machine#down-together`.
    Run(String),
    /// A figure of the measured table lies within bounds.
    Table(TableExhibit),
}

/// A figure of the measured table with its bounds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TableExhibit {
    /// An expression: `ratio(separated)`.
    pub table: String,
    /// Lower bound of the figure.
    pub at_least: Option<f64>,
    /// Upper bound of the figure.
    pub at_most: Option<f64>,
    /// Exact value of the figure.
    pub equals: Option<f64>,
}

/// The outcome that the lab expects for a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// It is true.
    Confirm,
    /// It is false.
    Refute,
    /// It is true in some set-ups and false in others.
    Depends,
}

impl Registry {
    /// Returns the built-in registry.
    pub fn built_in() -> Self {
        toml::from_str(TEXT).expect("a test reads the registry that comes with the lab")
    }
}

impl Claim {
    /// Returns the expected outcome, which follows from the kinds of evidence.
    pub fn expectation(&self) -> Expectation {
        match (self.r#for.is_empty(), self.against.is_empty()) {
            (_, true) => Expectation::Confirm,
            (true, false) => Expectation::Refute,
            (false, false) => Expectation::Depends,
        }
    }
}

impl TableExhibit {
    /// Returns the bounds.
    pub fn bound(&self) -> Bound {
        match self.equals {
            Some(value) => Bound { low: value, high: value },
            None => Bound {
                low: self.at_least.unwrap_or(f64::NEG_INFINITY),
                high: self.at_most.unwrap_or(f64::INFINITY),
            },
        }
    }
}

impl Expectation {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Refute => "refute",
            Self::Depends => "depends",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::table_measures::TableCall;
    use super::*;
    use crate::audit::library as architectures;
    use chapter::expression::Expression;
    use chapter::{Source, library};

    fn exhibits(claim: &Claim) -> impl Iterator<Item = &Exhibit> {
        claim.r#for.iter().chain(&claim.against)
    }

    #[test]
    fn there_are_sixty_sentences_at_least_each_with_a_name_and_a_measurement() {
        let registry: Registry = toml::from_str(TEXT).unwrap_or_else(|error| panic!("{error}"));
        assert!(registry.claim.len() >= 60, "{}", registry.claim.len());
        let mut seen = HashSet::new();
        for claim in &registry.claim {
            assert!(seen.insert(&claim.id), "two are called {}", claim.id);
            assert!(exhibits(claim).count() > 0, "nothing is bound to {}", claim.id);
            assert!(!claim.because.is_empty() && !claim.article.is_empty(), "{}", claim.id);
        }
    }

    #[test]
    fn every_measurement_that_is_bound_is_one() {
        for claim in Registry::built_in().claim {
            for exhibit in exhibits(&claim) {
                match exhibit {
                    Exhibit::Run(name) => {
                        let (chapter, id) = name.split_once('#').unwrap_or_else(|| panic!("{name}"));
                        assert!(library::text(chapter).is_some(), "{}: no chapter '{chapter}'", claim.id);
                        let source = Source::open(chapter, &[]).unwrap();
                        let claims = source.chapter.step.iter().flat_map(|step| &step.expect);
                        let known: Vec<_> = claims.filter_map(|expect| expect.id.as_deref()).collect();
                        assert!(known.contains(&id), "{}: {chapter} has no claim '{id}'", claim.id);
                    }
                    Exhibit::Table(table) => {
                        let expression = Expression::<TableCall>::parse(&table.table);
                        let expression = expression.unwrap_or_else(|error| panic!("{}: {error}", claim.id));
                        for row in expression.measures().into_iter().map(TableCall::architecture) {
                            let mut known = architectures::names().chain(architectures::variants());
                            assert!(known.any(|known| known == row), "{}: {row}", claim.id);
                        }
                        assert!(table.equals.or(table.at_least).or(table.at_most).is_some(), "{}", claim.id);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_beyond_the_article_has_a_source_and_nothing_else_has() {
        let beyond: Vec<_> = library::Group::Beyond.names().collect();
        for claim in Registry::built_in().claim {
            let of_runs = exhibits(&claim).filter_map(|exhibit| match exhibit {
                Exhibit::Run(name) => name.split('#').next(),
                Exhibit::Table(_) => None,
            });
            let of_runs: Vec<_> = of_runs.collect();
            let is_beyond = !of_runs.is_empty() && of_runs.iter().all(|name| beyond.contains(name));
            assert_eq!(claim.source.is_some(), is_beyond, "{}", claim.id);
        }
    }

    #[test]
    fn every_named_claim_beyond_the_article_is_in_the_registry() {
        let registry = Registry::built_in();
        let bound: Vec<_> = registry.claim.iter().flat_map(exhibits).collect();
        for chapter in library::Group::Beyond.names() {
            let source = Source::open(chapter, &[]).unwrap();
            let named = source.chapter.step.iter().flat_map(|step| &step.expect);
            let ids: Vec<_> = named.filter_map(|expect| expect.id.as_ref()).collect();
            assert!(ids.len() >= 3, "{chapter}");
            for id in ids {
                let name = Exhibit::Run(format!("{chapter}#{id}"));
                assert!(bound.contains(&&name), "{chapter}#{id} is in no sentence");
            }
            assert!(source.chapter.next.is_some(), "{chapter} says no next command");
        }
    }

    #[test]
    fn what_the_article_gets_wrong_is_among_the_refuted() {
        let registry = Registry::built_in();
        let refuted = [
            "redis-is-not-counted",
            "zero-needs-promotion",
            "sync-adds-every-replica",
            "dropped-in-the-window",
            "doubling-ram-alone",
            "you-lose-everything",
            "same-everywhere",
        ];
        for id in refuted {
            let claim = registry.claim.iter().find(|claim| claim.id == id);
            let claim = claim.unwrap_or_else(|| panic!("'{id}' is missing"));
            assert_eq!(claim.expectation(), Expectation::Refute, "{id}");
        }
    }
}
