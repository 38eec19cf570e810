//! Parses a text into a chapter. All mistakes of form are found in one go: a value that cannot be parsed is
//! noted and removed, and the rest is parsed again.
#![deny(clippy::disallowed_methods)]

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::chapter::Chapter;
use crate::mistake::{Mistake, Place};
use crate::suggest;

/// The most mistakes that are reported.
const MISTAKES_MAX: usize = 50;

/// The result of parsing.
pub(crate) struct Parsed<'a> {
    /// The chapter, without the values that could not be parsed; `None` if too much is missing.
    pub(crate) chapter: Option<Chapter>,
    /// The mistakes of form.
    pub(crate) mistakes: Vec<Mistake>,
    /// The document as written, to find places in.
    pub(crate) document: Spanned<DeTable<'a>>,
}

/// Parses a text.
pub(crate) fn parse(text: &str) -> Parsed<'_> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // Without valid TOML there is nothing to interpret yet.
        let mistakes = errors.iter().map(|error| mistake(error.span(), plain_syntax(error.message())));
        return Parsed { chapter: None, mistakes: mistakes.collect(), document };
    }
    let (mut rest, mut mistakes) = (document.clone(), Vec::new());
    let mut left_out: Vec<String> = Vec::new();
    let chapter = loop {
        match Chapter::deserialize(toml::de::Deserializer::from(rest.clone())) {
            Ok(chapter) => break Some(chapter),
            Err(error) => {
                let missing = error.message().strip_prefix("missing field `");
                let missing = missing.and_then(|field| field.strip_suffix('`'));
                // A field that this loop removed is not missing.
                if !missing.is_some_and(|field| left_out.iter().any(|other| other == field)) {
                    mistakes.push(mistake(error.span(), plain(error.message())));
                }
                let at = error.span().and_then(|span| enclosing(&rest, &span));
                let Some(at) = at.filter(|_| mistakes.len() < MISTAKES_MAX) else { break None };
                left_out.extend(at.last().cloned());
                remove(rest.get_mut(), &at);
            }
        }
    };
    Parsed { chapter, mistakes, document }
}

/// The bytes of a place: those of a value, or, for a table, those of its key.
pub(crate) fn locate(document: &Spanned<DeTable<'_>>, place: &Place) -> Option<Range<usize>> {
    let path = match place {
        Place::Span(span) => return Some(span.clone()),
        Place::Key(path) => path,
    };
    let mut found = None;
    let mut table = Some(document.get_ref());
    let mut list: Option<&DeArray<'_>> = None;
    for word in path {
        let (key, value) = match (table, list) {
            (Some(table), _) => match table.get_key_value(word.as_str()) {
                Some((key, value)) => (Some(key.span()), value),
                None => break,
            },
            (None, Some(list)) => match word.parse().ok().and_then(|index: usize| list.get(index)) {
                Some(value) => (None, value),
                None => break,
            },
            (None, None) => break,
        };
        (table, list) = (value.get_ref().as_table(), value.get_ref().as_array());
        found = Some(key.filter(|_| table.is_some()).unwrap_or(value.span()));
    }
    found
}

fn mistake(span: Option<Range<usize>>, message: String) -> Mistake {
    Mistake { place: span.map(Place::Span), message }
}

/// The path of the smallest value that contains a mistake, or whose key does; never the whole document.
fn enclosing(document: &Spanned<DeTable<'_>>, span: &Range<usize>) -> Option<Vec<String>> {
    let mut best: Option<(usize, Vec<String>)> = None;
    let mut consider = |candidate: Range<usize>, path: &[String]| {
        let is_around = candidate.start <= span.start && candidate.end >= span.end;
        if is_around && best.as_ref().is_none_or(|(length, _)| candidate.len() <= *length) {
            best = Some((candidate.len(), path.to_vec()));
        }
    };
    visit_table(document.get_ref(), &mut Vec::new(), &mut consider);
    best.map(|(_, path)| path)
}

fn visit_table(
    table: &DeTable<'_>,
    path: &mut Vec<String>,
    consider: &mut impl FnMut(Range<usize>, &[String]),
) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        consider(key.span(), path);
        visit(value, path, consider);
        path.pop();
    }
}

fn visit(
    value: &Spanned<DeValue<'_>>,
    path: &mut Vec<String>,
    consider: &mut impl FnMut(Range<usize>, &[String]),
) {
    consider(value.span(), path);
    match value.get_ref() {
        DeValue::Table(table) => visit_table(table, path, consider),
        DeValue::Array(list) => {
            for (index, member) in list.iter().enumerate() {
                path.push(index.to_string());
                visit(member, path, consider);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Removes one value.
fn remove(table: &mut DeTable<'_>, path: &[String]) {
    let [first, rest @ ..] = path else { return };
    if rest.is_empty() {
        table.remove(first.as_str());
        return;
    }
    if let Some(inside) = table.get_mut(first.as_str()) {
        remove_inside(inside.get_mut(), rest);
    }
}

fn remove_inside(value: &mut DeValue<'_>, path: &[String]) {
    match value {
        DeValue::Table(table) => remove(table, path),
        DeValue::Array(list) => {
            let [first, rest @ ..] = path else { return };
            let Ok(index) = first.parse::<usize>() else { return };
            if !rest.is_empty() {
                if let Some(inside) = list.get_mut(index) {
                    remove_inside(inside.get_mut(), rest);
                }
                return;
            }
            let mut others = DeArray::new();
            let members = list.iter().enumerate().filter(|(at, _)| *at != index);
            members.for_each(|(_, member)| others.push(member.clone()));
            *list = others;
        }
        _ => {}
    }
}

/// Rephrases an error of the TOML parser for people.
fn plain_syntax(message: &str) -> String {
    match message.strip_prefix("extra `=`") {
        Some(_) => "there is one '=' too many".into(),
        None => message.replace('`', "'"),
    }
}

/// Rephrases an error of serde for people.
fn plain(message: &str) -> String {
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let words = quoted(message);
    let known = || words[1..].iter().map(String::as_str);
    if message.starts_with("unknown field `") && words.len() > 1 {
        return suggest::unknown("key", &words[0], known());
    }
    if message.starts_with("unknown variant `") && words.len() > 1 {
        return suggest::unknown("word", &words[0], known());
    }
    if let ("missing", [field]) = (message.split(' ').next().unwrap_or_default(), &words[..]) {
        return format!("the key '{field}' is missing here");
    }
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    if let Some((found, expected)) = rest.and_then(|rest| rest.rsplit_once(", expected ")) {
        return format!("expected {}, not {}", type_in_words(expected), value_in_words(found));
    }
    if let Some((found, expected)) = message.strip_prefix("invalid length ").and_then(|r| r.split_once(", "))
    {
        let expected = expected.trim_start_matches("expected ");
        return format!("expected {}, not a list of {found}", type_in_words(expected));
    }
    message.replace('`', "'")
}

fn type_in_words(expected: &str) -> String {
    let words = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, from 0 on",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "string" | "a borrowed string" => "text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list, [ … ]",
        "a tuple of size 2" => "a list of two names, [\"from\", \"to\"]",
        "a map" => "a table, { … }",
        other if other.starts_with("struct ") => "a table, { … }",
        other => other,
    };
    words.to_owned()
}

/// Rephrases a value as serde names it: `string "one"`, `integer `5``.
fn value_in_words(found: &str) -> String {
    let value = || found.split_once(' ').map_or(found, |(_, value)| value).replace('`', "");
    match found.split(' ').next().unwrap_or_default() {
        "string" => format!("the text {}", value()),
        "integer" | "boolean" => value(),
        "floating" => format!("the number {}", found.rsplit(' ').next().unwrap_or_default().replace('`', "")),
        "sequence" => "a list".into(),
        "map" => "a table".into(),
        _ => found.replace('`', "'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_says_is_said_for_people() {
        let of = |serde: &str| plain(serde);
        assert_eq!(
            of("unknown field `coers`, expected one of `count`, `cores`"),
            "there is no key 'coers'; did you mean 'cores'? known are count, cores"
        );
        assert_eq!(of("unknown field `x`, expected `of`"), "there is no key 'x'; known are of");
        assert_eq!(of("missing field `db`"), "the key 'db' is missing here");
        assert_eq!(
            of("invalid type: string \"one\", expected u32"),
            "expected a whole number, from 0 on, not the text \"one\""
        );
        assert_eq!(of("invalid type: integer `5`, expected a string"), "expected text in quotes, not 5");
        assert_eq!(
            of("invalid type: floating point `1.5`, expected u64"),
            "expected a whole number, from 0 on, not the number 1.5"
        );
        assert_eq!(of("keys is from 1 to 9, not 0"), "keys is from 1 to 9, not 0");
    }

    #[test]
    fn one_mistake_does_not_hide_the_next() {
        let text = "number = 1\ntitle = 't'\nquestion = 'q'\ncolour = 'red'\n[machine.app]\ncoers = 1\n\
                    memory = 5\n[machine.db]\nwebserver = {}\n[[step]]\nname = 's'\nsay = 7\nmeasrue = '2s'\n";
        let messages: Vec<_> = parse(text).mistakes.into_iter().map(|mistake| mistake.message).collect();
        assert_eq!(messages.len(), 6, "{messages:#?}");
        for part in ["'colour'", "'cores'?", "size", "'db' is missing", "not 7", "'measure'?"] {
            assert!(messages.iter().any(|message| message.contains(part)), "{part}: {messages:#?}");
        }
    }

    #[test]
    fn all_that_is_no_toml_is_told_at_once() {
        let parsed = parse("number = = 3\ntitle = \nquestion = 'q'\n");
        assert!(parsed.chapter.is_none());
        assert!(parsed.mistakes.len() >= 2, "{:?}", parsed.mistakes);
    }

    #[test]
    fn a_place_is_found_by_its_key() {
        let text = "[machine.app]\ncores = 1\n[[step]]\nname = 'one'\n[[step]]\nname = 'two'\n";
        let parsed = parse(text);
        let place = |words: &[&str]| Place::Key(words.iter().map(|word| (*word).to_owned()).collect());
        let found = |words: &[&str]| locate(&parsed.document, &place(words)).map(|span| &text[span]);
        assert_eq!(found(&["machine", "app", "cores"]), Some("1"));
        assert_eq!(found(&["machine", "app"]), Some("app"));
        assert_eq!(found(&["step", "1", "name"]), Some("'two'"));
        assert_eq!(found(&["machine", "app", "gone"]), Some("app"), "what is not there is in what is");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\[{1,2}(step|machine\\.a|step\\.expect)\\]{1,2}\n|[a-z]{1,4} = [0-9'\"\\[{}=]{0,5}\n|.{0,20}\n){0,12}") {
            let parsed = parse(&text);
            proptest::prop_assert!(parsed.chapter.is_some() || !parsed.mistakes.is_empty());
        }
    }
}
