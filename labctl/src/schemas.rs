//! The JSON Schemas of what labctl reads and writes. They come from the types themselves. Pure.
#![deny(clippy::disallowed_methods)]

use chapter::Chapter;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use crate::results::Summary;
use crate::runner::RunDocument;

/// A document that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Document {
    /// A chapter's TOML file.
    Chapter,
    /// An architecture's TOML file (for `audit` and `table`): a chapter without steps.
    Architecture,
    /// A run's `summary.json`.
    Run,
    /// What `labctl run --json` prints: several runs.
    Runs,
}

impl Document {
    /// Returns its JSON Schema (draft 2020-12).
    pub fn schema(self) -> Schema {
        match self {
            Self::Chapter => read::<Chapter>("A chapter of the Scaling Lab"),
            Self::Architecture => without_steps(read::<Chapter>("An architecture of the Scaling Lab")),
            Self::Run => written::<RunDocument>("A run of a chapter (summary.json)"),
            Self::Runs => written::<Summary>("What labctl run --json prints"),
        }
    }
}

/// Returns the schema of what labctl reads: what has a default may be left out.
fn read<T: JsonSchema>(title: &str) -> Schema {
    titled(SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>(), title)
}

/// Returns the schema of what labctl writes: every key is there.
fn written<T: JsonSchema>(title: &str) -> Schema {
    titled(SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>(), title)
}

fn titled(mut schema: Schema, title: &str) -> Schema {
    schema.insert("title".into(), title.into());
    schema
}

/// Returns the schema without what only a chapter has.
fn without_steps(mut schema: Schema) -> Schema {
    if let Some(properties) = schema.get_mut("properties").and_then(|properties| properties.as_object_mut()) {
        for key in ["step", "table"] {
            properties.remove(key);
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use serde_json::{Value, json};

    use super::*;
    use crate::audit::library as architectures;
    use chapter::library;

    /// Returns what is wrong with a document, by its schema.
    fn problems(document: Document, value: &Value) -> Vec<String> {
        let validator = jsonschema::validator_for(document.schema().as_value()).expect("the schema is one");
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    fn toml(text: &str) -> Value {
        toml::from_str(text).expect("it is TOML")
    }

    #[test]
    fn every_schema_is_one() {
        for document in Document::value_variants() {
            jsonschema::meta::validate(document.schema().as_value()).expect("it is a schema");
        }
    }

    #[test]
    fn every_chapter_that_comes_with_the_lab_is_valid() {
        for name in library::names() {
            let text = library::text(name).expect("it is there");
            assert_eq!(problems(Document::Chapter, &toml(text)), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn every_architecture_that_comes_with_the_lab_is_valid() {
        for name in architectures::names().chain(architectures::variants()) {
            let source = architectures::open(name).expect("it is there");
            assert_eq!(problems(Document::Architecture, &toml(&source.text)), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn a_mistake_in_a_chapter_is_one_for_the_schema_too() {
        let text = library::text("one-machine").expect("it is there");
        for (right, wrong) in [
            ("cores = 1", "coers = 1"),
            ("cores = 1", "cores = -1"),
            ("webserver = { ", "webserver = { cache = 'loacl', "),
            ("measure = \"", "measure = 5\nunit = \""),
        ] {
            assert!(text.contains(right), "{right}");
            let problems = problems(Document::Chapter, &toml(&text.replacen(right, wrong, 1)));
            assert!(!problems.is_empty(), "{wrong} passed");
        }
        assert!(!problems(Document::Architecture, &toml(text)).is_empty(), "an architecture has no steps");
    }

    #[test]
    fn a_summary_is_valid_and_one_of_another_version_is_not() {
        let run = crate::report::forge::tests::run(vec![crate::report::forge::tests::claim(
            "None fails.",
            crate::runner::Verdict::Inconclusive,
        )]);
        let mut value = serde_json::to_value(&run).expect("it is data");
        assert_eq!(problems(Document::Run, &value), Vec::<String>::new());
        let runs = serde_json::to_value(Summary::of(vec![run])).expect("it is data");
        assert_eq!(problems(Document::Runs, &runs), Vec::<String>::new());
        value["schema"] = json!("scaling-lab/run/9");
        assert_eq!(problems(Document::Run, &value).len(), 1);
        value["schema"] = json!("scaling-lab/run/1");
        value.as_object_mut().expect("an object").remove("verdict");
        assert_eq!(problems(Document::Run, &value).len(), 1);
    }
}
