//! Grades wrong balancers: those in `wrong/` are the reference with one mistake each, and their second line names the
//! stage.

use tests::Lab;

use crate::graded::{Graded, beginning, each_fails_its_stage, failed, grade, parts_in, root, stages};

/// The stages that a part in Python can pass.
const BALANCER: Graded = Graded { kind: "lb", stages: "1,2,3,4,5,6,7,8,9,10,11,12,13", at_once: "13" };
/// The number of parts graded concurrently.
const AT_ONCE: usize = 3;

#[test]
fn every_wrong_part_fails_its_stage_and_no_other() {
    let parts = parts_in("tests/grade/wrong");
    assert!(parts.len() >= 20, "there are {}", parts.len());
    each_fails_its_stage(parts, BALANCER, AT_ONCE);
}

#[test]
fn the_reference_passes_every_stage_but_the_one_for_speed() {
    assert_eq!(failed(&root().join("examples/balancer.py"), BALANCER), vec![]);
}

#[test]
fn the_one_to_begin_with_passes_the_first_stage() {
    let lab = Lab::new();
    let (_, grade) = grade(&lab, &beginning(&lab, "lb"), BALANCER);
    // It uses one server only, so whether it passes the stages about the others is an accident.
    assert_eq!(stages(&grade, "failed").iter().find(|(number, _)| *number == 1), None, "{grade}");
    let passed: Vec<_> = stages(&grade, "passed").into_iter().map(|(number, _)| number).collect();
    // It has a thread per connection, which may be enough for 200 slow clients.
    assert!(passed.iter().all(|number| [1, 13].contains(number)), "{passed:?}");
    assert_eq!(lab.running(), vec![]);
}
