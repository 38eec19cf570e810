//! What the simulation finds when a bug is put in: each bug by all invariants together, and each
//! invariant by itself.

use dbnode::replication::planted::Bug as InCore;

use crate::planted::{Bug, Planted};
use crate::run::run;
use crate::seeds::first_failure;
use crate::trace::Kept;

#[track_caller]
fn is_found(bug: Bug, found_by: Option<&'static str>) {
    let planted = Planted { bug, found_by };
    let Some(seed) = first_failure(1_000, planted) else { panic!("{planted:?} was not found in 1000 seeds") };
    let outcome = run(seed, planted, Kept::All);
    if std::env::var_os("SIMULATION_SHOW").is_some() {
        println!("{outcome}");
    }
    let violation = outcome.violation.expect("the same seed leads to the same end");
    println!("{bug:?}: seed {seed}, {}", violation.invariant);
}

#[test]
fn said_to_be_on_disk_before_it_is() {
    is_found(Bug::HastyDisk, None);
}

#[test]
fn a_vote_that_a_crash_forgets() {
    is_found(Bug::Core(InCore::VoteNotPersisted), None);
}

#[test]
fn a_vote_for_somebody_who_lacks_entries() {
    is_found(Bug::Core(InCore::NoUpToDateCheck), None);
}

#[test]
fn entries_of_earlier_terms_committed_by_counting() {
    is_found(Bug::Core(InCore::CommitsOldTerms), None);
}

#[test]
fn a_read_that_asks_nobody() {
    is_found(Bug::Core(InCore::NoReadIndex), None);
}

#[test]
fn entries_taken_from_a_primary_of_the_past() {
    is_found(Bug::Core(InCore::NoTermCheck), None);
}

#[test]
fn a_log_that_diverged_and_is_not_cut() {
    is_found(Bug::Core(InCore::NoTruncation), None);
}

#[test]
fn sync_that_does_not_wait_for_all() {
    is_found(Bug::Core(InCore::SyncWithoutAll), None);
}

#[test]
fn a_piece_of_a_snapshot_that_is_taken_for_another() {
    is_found(Bug::Core(InCore::AnyPiece), None);
}

#[test]
fn a_new_directory_that_counts_at_once() {
    is_found(Bug::Core(InCore::NewCountsAtOnce), None);
}

#[test]
fn an_old_copy_of_a_directory_that_counts() {
    is_found(Bug::Core(InCore::OldDataCounts), None);
}

#[test]
fn a_replaced_directory_that_counts_on() {
    is_found(Bug::Core(InCore::ReplacedCountsUntilCommitted), None);
}

#[test]
fn a_new_directory_that_counts_before_others_agreed() {
    is_found(Bug::Core(InCore::NewCountsUncommitted), None);
}

#[test]
fn a_late_snapshot_that_takes_the_place_of_more() {
    is_found(Bug::Core(InCore::InstallsOverLog), None);
}

#[test]
fn a_primary_that_answers_reads_alone() {
    is_found(Bug::Core(InCore::ReadsAlone), None);
}

#[test]
fn a_new_primary_that_answers_reads_too_early() {
    is_found(Bug::Core(InCore::ReadsUnsettled), None);
}

#[test]
fn names_of_writes_that_a_new_primary_does_not_know() {
    is_found(Bug::Core(InCore::ForgetsNamesOfUnapplied), None);
}

#[test]
fn names_of_writes_that_are_forgotten_early() {
    is_found(Bug::Core(InCore::ForgetsNamesEarly), None);
}

#[test]
fn entries_taken_for_committed_that_were_not_compared() {
    is_found(Bug::Core(InCore::CommitsUnverified), None);
}

#[test]
fn entries_confirmed_from_memory() {
    is_found(Bug::Core(InCore::ConfirmsBeforeDisk), None);
}

#[test]
fn entries_counted_that_the_primary_has_in_memory() {
    is_found(Bug::Core(InCore::CountsOwnMemory), None);
}

#[test]
fn records_that_one_member_imported_alone() {
    is_found(Bug::Core(InCore::KeepsOwnImport), None);
}

#[test]
fn a_primary_with_a_full_disk_that_stays() {
    is_found(Bug::Core(InCore::NeverGivesWay), None);
}

#[test]
fn each_invariant_finds_something_by_itself() {
    is_found(Bug::Core(InCore::VoteNotPersisted), Some("one primary per term"));
    is_found(Bug::Core(InCore::VoteNotPersisted), Some("log matching"));
    is_found(Bug::Core(InCore::CommitsOldTerms), Some("applied stays"));
    is_found(Bug::HastyDisk, Some("acknowledged is durable"));
    is_found(Bug::Core(InCore::VoteNotPersisted), Some("no acknowledged write is lost"));
    is_found(Bug::Core(InCore::NoReadIndex), Some("latest reads are linearizable"));
    is_found(Bug::Core(InCore::NoTruncation), Some("replicas converge"));
    is_found(Bug::Core(InCore::NeverGivesWay), Some("writes resume"));
    is_found(Bug::Core(InCore::KeepsOwnImport), Some("the nodes agree"));
}
