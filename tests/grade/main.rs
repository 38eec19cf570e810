//! `labctl grade`: each wrong part fails its stage and no other, a program that is not a part gets a clear message, and
//! nothing is left running.

mod classroom;
mod database;
mod graded;
mod misuse;
mod wrong;
