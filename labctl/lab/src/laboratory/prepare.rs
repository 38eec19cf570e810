//! Writes the files that a machine finds on its disk when it starts.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;

use crate::plan::{MachinePlan, ProgramPlan, products_file};

/// Writes the secret shared by the members of a cluster: nodes of a database, balancers of a pair.
pub(super) fn write_secret(path: &Path) -> std::io::Result<()> {
    let secret: [u8; 32] = rand::random();
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")
}

/// Writes the initial files of a machine's programs.
pub(super) fn prepare(machine: &MachinePlan) -> anyhow::Result<()> {
    let written = machine.programs.iter().try_for_each(prepare_program);
    written.with_context(|| format!("write the initial files of {}", machine.name))
}

fn prepare_program(program: &ProgramPlan) -> std::io::Result<()> {
    if program.program.is_redis() {
        program.data.as_ref().map(fs::create_dir_all).transpose()?;
    }
    // A Sentinel persists what it has learnt in its configuration, so an existing file is kept.
    if let Some((path, text)) = program.configuration.as_ref().filter(|(path, _)| !path.exists()) {
        fs::write(path, text)?;
    }
    write_products(program)
}

/// Writes a database's initial products, in its import format.
fn write_products(program: &ProgramPlan) -> std::io::Result<()> {
    let Some(data) = program.data.as_ref().filter(|_| program.products > 0) else { return Ok(()) };
    let mut file = std::io::BufWriter::new(std::fs::File::create(products_file(data))?);
    for number in 1..=program.products {
        let product = serde_json::json!({ "name": format!("Product {number}"), "price": 100 + number });
        let record = serde_json::json!({ "key": format!("product:{number}"), "value": product.to_string() });
        writeln!(file, "{record}")?;
    }
    file.flush()?;
    // A container runs as another user, so the file must be readable whatever the umask.
    fs::set_permissions(products_file(data), fs::Permissions::from_mode(0o644))
}
