//! Grades wrong databases: those in `wrong/db/` are the reference with one mistake each, or a proxy in front of the
//! lab's own node that tampers with its responses.

use tests::Lab;
use tests::lab::programs;

use crate::graded::{
    Graded, beginning, each_fails_its_stage, failed, grade, parts_in, root, stage_of, stages,
};

/// The stages on one node.
const ONE_NODE: Graded = Graded { kind: "db", stages: "1,2,3,4,5,6", at_once: "3" };
/// The stages on three nodes.
const THREE_NODES: Graded = Graded { kind: "db", stages: "7,8,9,10,11,12", at_once: "3" };
/// All stages.
const ALL: Graded = Graded { kind: "db", stages: "1,2,3,4,5,6,7,8,9,10,11,12", at_once: "3" };

#[test]
fn every_wrong_node_fails_its_stage_and_no_other() {
    let parts: Vec<_> =
        parts_in("tests/grade/wrong/db").into_iter().filter(|part| stage_of(part) <= 6).collect();
    assert!(parts.len() >= 20, "there are {}", parts.len());
    each_fails_its_stage(parts, ONE_NODE, 2);
}

#[test]
fn every_wrong_cluster_fails_its_stage_and_no_other() {
    let parts: Vec<_> =
        parts_in("tests/grade/wrong/db").into_iter().filter(|part| stage_of(part) > 6).collect();
    assert!(parts.len() >= 12, "there are {}", parts.len());
    each_fails_its_stage(parts, THREE_NODES, 2);
}

#[test]
fn the_labs_own_node_passes_every_stage() {
    assert_eq!(failed(&programs().join("dbnode"), ALL), vec![]);
}

#[test]
fn the_reference_passes_every_stage_on_one_node() {
    assert_eq!(failed(&root().join("examples/database.py"), ONE_NODE), vec![]);
}

#[test]
fn the_one_to_begin_with_passes_the_first_two_stages() {
    let lab = Lab::new();
    let (_, grade) = grade(&lab, &beginning(&lab, "db"), ONE_NODE);
    let passed: Vec<_> = stages(&grade, "passed").into_iter().map(|(number, _)| number).collect();
    assert_eq!(passed, [1, 2], "{grade}");
    assert_eq!(lab.running(), vec![]);
}
