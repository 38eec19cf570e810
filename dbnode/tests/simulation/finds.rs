//! Checks that the simulation finds planted bugs: each bug by all invariants together, and each
//! invariant on its own. The bugs are those of `dbnode/tests/planted/bugs.toml`.

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
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn a_vote_that_a_crash_forgets() {
    is_found(Bug::InCore("vote-not-persisted"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn a_vote_for_somebody_who_lacks_entries() {
    is_found(Bug::InCore("no-up-to-date-check"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn entries_of_earlier_terms_committed_by_counting() {
    is_found(Bug::InCore("commits-old-terms"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn a_read_that_asks_nobody() {
    is_found(Bug::InCore("no-read-index"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn entries_taken_from_a_primary_of_the_past() {
    is_found(Bug::InCore("no-term-check"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn a_log_that_diverged_and_is_not_cut() {
    is_found(Bug::InCore("no-truncation"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn sync_that_does_not_wait_for_all() {
    is_found(Bug::InCore("sync-without-all"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn a_piece_of_a_snapshot_that_is_taken_for_another() {
    is_found(Bug::InCore("any-piece"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn a_new_directory_that_counts_at_once() {
    is_found(Bug::InCore("new-counts-at-once"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn an_old_copy_of_a_directory_that_counts() {
    is_found(Bug::InCore("old-data-counts"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn a_replaced_directory_that_counts_on() {
    is_found(Bug::InCore("replaced-counts-until-committed"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn a_new_directory_that_counts_before_others_agreed() {
    is_found(Bug::InCore("new-counts-uncommitted"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn a_late_snapshot_that_takes_the_place_of_more() {
    is_found(Bug::InCore("installs-over-log"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn a_primary_that_answers_reads_alone() {
    is_found(Bug::InCore("reads-alone"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn a_new_primary_that_answers_reads_too_early() {
    is_found(Bug::InCore("reads-unsettled"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn names_of_writes_that_a_new_primary_does_not_know() {
    is_found(Bug::InCore("forgets-names-of-unapplied"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn names_of_writes_that_are_forgotten_early() {
    is_found(Bug::InCore("forgets-names-early"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn entries_taken_for_committed_that_were_not_compared() {
    is_found(Bug::InCore("commits-unverified"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn entries_confirmed_from_memory() {
    is_found(Bug::InCore("confirms-before-disk"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn entries_counted_that_the_primary_has_in_memory() {
    is_found(Bug::InCore("counts-own-memory"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn records_that_one_member_imported_alone() {
    is_found(Bug::InCore("keeps-own-import"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn a_primary_with_a_full_disk_that_stays() {
    is_found(Bug::InCore("never-gives-way"), None);
}

#[test]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
fn each_invariant_finds_something_by_itself() {
    is_found(Bug::InCore("vote-not-persisted"), Some("one primary per term"));
    is_found(Bug::InCore("vote-not-persisted"), Some("log matching"));
    is_found(Bug::InCore("commits-old-terms"), Some("applied stays"));
    is_found(Bug::HastyDisk, Some("acknowledged is durable"));
    is_found(Bug::InCore("vote-not-persisted"), Some("no acknowledged write is lost"));
    is_found(Bug::InCore("no-read-index"), Some("latest reads are linearizable"));
    is_found(Bug::InCore("no-truncation"), Some("replicas converge"));
    is_found(Bug::InCore("never-gives-way"), Some("writes resume"));
    is_found(Bug::InCore("keeps-own-import"), Some("the nodes agree"));
}
