//! `labctl schema NAME`: prints a JSON Schema.

use clap::Args;

use super::{Performed, say_json};
use crate::schemas::Document;

/// Selects the document.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The document.
    #[arg(value_enum)]
    document: Document,
}

/// Prints the JSON Schema of a document.
pub fn schema(args: &SchemaArgs) -> Performed {
    say_json(&args.document.schema())?;
    Ok(0)
}
