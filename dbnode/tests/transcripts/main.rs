//! Stories of replication, to be read along with the article: three nodes, step by step. A line
//! that begins with `>` is a command, one with `#` is a remark, and the others show what the nodes
//! do in response. `UPDATE=1 cargo test -p dbnode --test transcripts` records what they do now.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only functions marked as tests")]
#![allow(unreachable_pub, missing_docs, reason = "a test program has no outside")]

/// The commands of a story.
mod orders;
/// Describes in words what a node does.
mod words;
/// Three nodes, and the messages between them.
mod world;

use std::fs;
use std::path::Path;

use world::World;

/// Tells a story again: its commands and remarks, and what the nodes do now.
fn tell(story: &str) -> String {
    let mut world = World::new();
    let mut told = String::new();
    for line in story.lines().filter(|line| line.starts_with('#') || line.starts_with('>') || line.is_empty())
    {
        told += line;
        told += "\n";
        if let Some(order) = line.strip_prefix('>') {
            orders::carry_out(&mut world, order.trim());
            for line in world.take_lines() {
                told += &format!("  {line}\n");
            }
        }
    }
    told
}

#[track_caller]
fn holds(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/stories").join(name);
    let story = fs::read_to_string(&path).unwrap();
    let told = tell(&story);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, told).unwrap();
        return;
    }
    assert!(told == story, "{} does not go on like this any more; now:\n\n{told}", path.display());
}

#[test]
fn a_write_in_each_mode() {
    holds("a_write_in_each_mode.txt");
}

#[test]
fn reads_over_a_long_way() {
    holds("reads_over_a_long_way.txt");
}

#[test]
fn primary_dies_during_write() {
    holds("primary_dies_during_write.txt");
}

#[test]
fn cut_off_primary_comes_back() {
    holds("cut_off_primary_comes_back.txt");
}

#[test]
fn old_copy_of_a_directory_comes_back() {
    holds("old_copy_of_a_directory_comes_back.txt");
}

#[test]
fn joined_again_and_started_again() {
    holds("joined_again_and_started_again.txt");
}

#[test]
fn end_of_a_log_is_lost() {
    holds("end_of_a_log_is_lost.txt");
}

#[test]
fn full_primary_hands_over() {
    holds("full_primary_hands_over.txt");
}

#[test]
fn two_know_different_things_as_committed() {
    holds("two_know_different_things_as_committed.txt");
}
