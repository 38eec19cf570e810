//! The chapters end to end, in quick mode: they hold as they are, and every claim fails when its subject is broken on
//! purpose.

mod broken;
mod ladder;
mod points;
mod whole;
