//! The built-in architectures: the rows of the article's table, and one more.

use std::path::Path;

use chapter::{ChapterError, Source, suggest};

const ARCHITECTURES: [(&str, &str); 7] = [
    ("single", include_str!("../../architectures/single.toml")),
    ("separated", include_str!("../../architectures/separated.toml")),
    ("several", include_str!("../../architectures/several.toml")),
    ("ha-balancers", include_str!("../../architectures/ha-balancers.toml")),
    ("redis-cache", include_str!("../../architectures/redis-cache.toml")),
    ("replicated", include_str!("../../architectures/replicated.toml")),
    ("no-single-point", include_str!("../../architectures/no-single-point.toml")),
];

/// Two variants that differ in one aspect from a row of the table, to test what the article says about that
/// aspect.
const VARIANTS: [(&str, &str); 2] = [
    ("replicated-sync", include_str!("../../architectures/replicated-sync.toml")),
    ("unpromoted", include_str!("../../architectures/unpromoted.toml")),
];

/// Returns the names of the table's rows, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    ARCHITECTURES.iter().map(|(name, _)| *name)
}

/// Returns the names of the variants.
pub fn variants() -> impl Iterator<Item = &'static str> {
    VARIANTS.iter().map(|(name, _)| *name)
}

/// Returns whether this is a built-in architecture, unmodified.
pub fn is_built_in(source: &Source) -> bool {
    let known = ARCHITECTURES.iter().chain(&VARIANTS);
    known.into_iter().any(|(name, text)| source.name == *name && source.text == *text)
}

/// Returns whether this is the table's first row, of which all capacities are multiples.
pub fn is_first_row(source: &Source) -> bool {
    names().next() == Some(&source.name) && is_built_in(source)
}

/// Reads an architecture: one of the built-in ones by name, or a file by its path.
pub fn open(name: &str) -> Result<Source, ChapterError> {
    if let Some((_, text)) = ARCHITECTURES.iter().chain(&VARIANTS).find(|(known, _)| *known == name) {
        return Source::parse(Path::new(&format!("{name}.toml")), text, &[]);
    }
    let path = Path::new(name);
    if path.extension().is_none() {
        let known = suggest::unknown("architecture", name, names().chain(variants()));
        return Err(ChapterError::of_file(path, format!("{known}, or give a path to a .toml file")));
    }
    Source::open(name, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_architecture_is_valid_and_numbered_as_a_row() {
        for (row, name) in (1..).zip(names().chain(variants())) {
            let source = open(name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(source.chapter.number, row, "{name}");
        }
    }

    #[test]
    fn an_unknown_architecture_is_refused_with_the_known_ones() {
        let error = open("sinlge").expect_err("there is none").to_string();
        assert!(error.contains("known are single, separated"), "{error}");
    }
}
