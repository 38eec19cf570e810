//! The JSON Schemas of the files that labctl reads and writes, derived from the Rust types. Pure.
#![deny(clippy::disallowed_methods)]

use chapter::Chapter;
use parts::Known;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};

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
    /// The answer of the live page's `/api/state`.
    Page,
    /// A known program that can stand in for one of the lab's own (`labctl/parts/known`).
    Part,
}

impl Document {
    /// Returns its JSON Schema (draft 2020-12).
    pub fn schema(self) -> Schema {
        match self {
            Self::Chapter => read::<Chapter>("A chapter of the Scaling Lab"),
            Self::Architecture => without_steps(read::<Chapter>("An architecture of the Scaling Lab")),
            Self::Run => written::<RunDocument>("A run of a chapter (summary.json)"),
            Self::Runs => written::<Summary>("What labctl run --json prints"),
            Self::Page => titled(page::state_schema(writing()), "The state of a running lab (/api/state)"),
            Self::Part => read::<Known>("A program that can stand in for one of the lab's own"),
        }
    }
}

/// Returns the schema of a file that labctl reads: keys with a default may be omitted.
fn read<T: JsonSchema>(title: &str) -> Schema {
    titled(SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>(), title)
}

/// Returns the schema of a file that labctl writes: every key is present.
fn written<T: JsonSchema>(title: &str) -> Schema {
    titled(writing().into_root_schema_for::<T>(), title)
}

fn writing() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

fn titled(mut schema: Schema, title: &str) -> Schema {
    schema.insert("title".into(), title.into());
    schema
}

/// Removes the keys that only a chapter has.
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

    use super::*;

    #[test]
    fn every_schema_says_what_it_is_of() {
        for document in Document::value_variants() {
            let schema = document.schema();
            let text = |key: &str| schema.get(key).and_then(|value| value.as_str()).map(str::to_owned);
            assert_eq!(text("$schema").as_deref(), Some("https://json-schema.org/draft/2020-12/schema"));
            assert!(text("title").is_some_and(|title| !title.is_empty()), "{document:?}");
        }
    }

    #[test]
    fn what_is_written_has_every_key_and_what_is_read_may_leave_some_out() {
        let required = |document: Document| {
            let schema = document.schema();
            let keys = schema.get("required").and_then(|keys| keys.as_array()).cloned().unwrap_or_default();
            keys.iter().filter_map(|key| key.as_str()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(required(Document::Run).contains(&"verdict".to_owned()));
        assert!(required(Document::Page).contains(&"machines".to_owned()));
        let chapter = required(Document::Chapter);
        assert!(
            chapter.contains(&"title".to_owned()) && !chapter.contains(&"traffic".to_owned()),
            "{chapter:?}"
        );
    }

    #[test]
    fn an_architecture_has_no_steps() {
        let has = |document: Document| document.schema().pointer("/properties/step").is_some();
        assert!(has(Document::Chapter) && !has(Document::Architecture));
    }
}
