//! `labctl grade`: each wrong part fails the stage it is about and no other; what is no part at all is told in a
//! sentence; nothing is left running.

mod classroom;
mod database;
mod graded;
mod misuse;
mod wrong;
