//! The chapters end to end, in their quick form: they hold as they are, and every claim fails when
//! what it is about is broken on purpose.

mod broken;
mod ladder;
mod points;
mod whole;
