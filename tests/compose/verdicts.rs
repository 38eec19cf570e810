//! Each chapter reaches the same verdicts in containers as with processes: every claim holds (`tests/chapters/whole.rs`
//! covers the processes).

use tests::lab::shown;

use crate::engine::{InContainers, labctl, left_of};

fn holds(chapter: &str) {
    let lab = InContainers::new();
    let output = labctl(&lab, &["run", chapter, "--quick", "--attempts", "3"]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    assert_eq!(left_of("labctl"), "", "{chapter} left something");
    assert_eq!(lab.running(), vec![], "{chapter} left something running");
}

macro_rules! hold {
    ($($name:ident: $chapter:literal),* $(,)?) => {
        $(#[test]
        #[ignore = "needs a Docker engine"]
        fn $name() {
            holds($chapter);
        })*

        #[test]
        fn every_chapter_is_tested_here() {
            let known: Vec<_> = chapter::library::names().collect();
            let tested = [$($chapter),*];
            for chapter in known {
                assert!(tested.contains(&chapter), "{chapter} is not run in containers");
            }
        }
    };
}

hold! {
    one_machine_holds: "one-machine",
    bigger_machine_holds: "bigger-machine",
    split_holds: "split",
    more_servers_holds: "more-servers",
    load_balancer_holds: "load-balancer",
    sessions_holds: "sessions",
    cache_holds: "cache",
    replication_holds: "replication",
    server_failure_holds: "server-failure",
    primary_failure_holds: "primary-failure",
    split_brain_holds: "split-brain",
    sinkhole_holds: "sinkhole",
    busy_holds: "busy",
    deep_checks_holds: "deep-checks",
    deploy_holds: "deploy",
    regions_holds: "regions",
    retry_storm_holds: "retry-storm",
}
