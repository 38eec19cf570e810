//! Validates files against the schemas that labctl prints, with an independent validator: `check-jsonschema`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Lab, lab::shown, project};

/// Where `scripts/check.sh` installs the validator.
const VALIDATOR: &str = "target/tools/check-jsonschema-0.39.0/bin/check-jsonschema";

/// Returns whether the validator is installed. If not, it prints a note; in CI that is an error.
#[expect(clippy::print_stderr, reason = "what is left out is said")]
pub fn can_be_checked() -> bool {
    let there = project().join(VALIDATOR).is_file();
    assert!(
        there || std::env::var_os("CI").is_none(),
        "{VALIDATOR} is missing: scripts/check.sh installs it"
    );
    if !there {
        eprintln!("SKIPPED: nothing is held against its schema (scripts/check.sh installs check-jsonschema)");
    }
    there
}

/// Validates files against the schema of a kind of document. `None`: they are valid.
pub fn problems(lab: &Lab, document: &str, files: &[impl AsRef<Path>]) -> Option<String> {
    let schema = lab.path().join(format!("{document}.schema.json"));
    std::fs::write(&schema, lab.succeed(&["schema", document])).expect("it can be written");
    let mut validator = Command::new(project().join(VALIDATOR));
    validator.arg("--schemafile").arg(&schema).args(files.iter().map(AsRef::as_ref));
    let output = validator.output().expect("the validator can be started");
    (!output.status.success()).then(|| shown(&output))
}

/// Lists the TOML files in a directory of the project.
pub fn toml_files(directory: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project().join(directory)).expect("it is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(!files.is_empty(), "{directory} has no TOML files");
    files
}
