//! The live page: acted on by keyboard, and held against what was measured.

mod hostile;
mod lab_screen;
mod reconnect;
mod scenes;

use std::time::Duration;

/// Whatever happens on the page happens within this; what has a tighter bound says so.
const SOON: Duration = Duration::from_secs(10);

/// The picture is there: every machine has a card.
const DRAWN: &str = "document.querySelectorAll('.machine').length > 0 && document.querySelector('#connection').dataset.connection === 'live'";

/// An expression for the state word of a machine's card.
fn health_of(machine: &str) -> String {
    format!("document.querySelector('[data-name=\"{machine}\"]')?.dataset.health")
}
