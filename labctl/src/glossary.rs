//! The terms that students meet, explained. Their source is `labctl/glossary.toml`; `docs/glossary.md` is
//! generated from it. Pure.
#![deny(clippy::disallowed_methods)]

use std::sync::OnceLock;

use serde::Deserialize;

/// A term with its explanation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// The term.
    pub name: String,
    /// Forms by which it is recognised in a text.
    pub also: Vec<String>,
    /// The explanation.
    pub means: String,
}

#[derive(Deserialize)]
struct File {
    word: Vec<Word>,
}

/// Returns all terms in the order of the file, which groups related ones.
pub fn words() -> &'static [Word] {
    static WORDS: OnceLock<Vec<Word>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let file: File = toml::from_str(include_str!("../glossary.toml")).expect("a test reads it");
        file.word
    })
}

/// Returns the terms that a text uses.
pub fn words_in(text: &str) -> impl Iterator<Item = &'static Word> {
    words().iter().filter(move |word| word.also.iter().any(|form| uses(text, form)))
}

/// Returns whether a form occurs in a text as a whole word: `term` does not occur in `determine`.
fn uses(text: &str, form: &str) -> bool {
    let is_inside = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    text.match_indices(form).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + form.len()..].chars().next());
        !is_inside(before) && !is_inside(after)
    })
}

/// Renders the documentation page.
pub fn documentation() -> String {
    let mut page = String::from(
        "# Words\n\n`labctl show CHAPTER` explains those that its chapter uses. What the code calls otherwise than the \
         field does is in [ARCHITECTURE](../ARCHITECTURE.md#glossary). This page is made of `labctl/glossary.toml`.\n\n\
         | word | means |\n|---|---|\n",
    );
    for word in words() {
        page += &format!("| **{}** | {} |\n", word.name, word.means);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use chapter::library;

    #[test]
    fn the_documentation_is_made_of_the_glossary() {
        documented::check_page("docs/glossary.md", &documentation());
    }

    #[test]
    fn every_word_is_used_by_a_chapter_or_by_reports() {
        let all: String = library::names().filter_map(library::text).collect();
        let used: Vec<_> = words_in(&all).map(|word| word.name.as_str()).collect();
        for word in words().iter().filter(|word| !word.also.is_empty()) {
            let is_elsewhere =
                ["open loop", "metastable failure", "replication lag"].contains(&word.name.as_str());
            assert!(is_elsewhere || used.contains(&&*word.name), "no chapter uses '{}'", word.name);
        }
    }

    #[test]
    fn a_chapter_uses_its_own_words_and_not_parts_of_others() {
        let of =
            |name: &str| words_in(library::text(name).unwrap()).map(|word| &*word.name).collect::<Vec<_>>();
        let failure = of("primary-failure");
        for word in
            ["primary and replica", "election and term", "heartbeat", "linearizable", "quorum", "frozen"]
        {
            assert!(failure.contains(&word), "{word}: {failure:?}");
        }
        assert!(!of("one-machine").contains(&"quorum"));
        assert!(!uses("determine", "term") && uses("term 4", "term") && uses("(term)", "term"));
    }
}
