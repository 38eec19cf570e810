//! Everything that an audit found, side by side, and what that comes to. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::Serialize;

use super::faults::{Component, Fault};
use super::impact::{Class, Impact};

/// The version of an audit's document.
pub const SCHEMA: &str = "scaling-lab/audit/1";

/// What an audit found.
#[derive(Debug, Clone, Serialize)]
pub struct Audit {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The architecture's short name.
    pub architecture: String,
    /// Its title.
    pub title: String,
    /// When the audit began.
    pub began: jiff::Timestamp,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Who recovers within this many seconds by itself has not been down.
    pub within_seconds: f64,
    /// Requests a second on each path.
    pub rate: f64,
    /// Only one of each set of identical machines was examined.
    pub one_of_each: bool,
    /// How many faults happen together at most.
    pub depth: usize,
    /// The machines, each with what stands on it.
    pub machines: Vec<(String, Vec<&'static str>)>,
    /// Who speaks to whom.
    pub links: Vec<(String, String)>,
    /// The paths, in the order of the columns: their names, and what they are.
    pub paths: Vec<(String, String)>,
    /// One row for each fault, or for each pair of them.
    pub rows: Vec<Row>,
    /// Why nothing should be concluded, if so.
    pub distrust: Option<String>,
}

/// What one fault, or a pair of them, did to each path.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What went wrong.
    pub faults: Vec<Fault>,
    /// What it did, by path.
    pub cells: IndexMap<String, Impact>,
    /// From the fault until something noticed and acted: a balancer took a server out, or another
    /// took an address over. In seconds. `None`: nothing did.
    pub detection_seconds: Option<f64>,
    /// From the repair until every path was well again, in seconds. `None`: it never was, and the
    /// architecture had to be started anew.
    pub repair_seconds: Option<f64>,
    /// What there is to say of it beside the words: why something is lost, where a queue grows.
    pub remarks: Vec<String>,
    /// What went wrong with the audit itself.
    pub note: Option<String>,
}

impl Row {
    /// What went wrong, in words.
    pub fn title(&self) -> String {
        self.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    }

    /// Whether it takes a path down, until somebody repairs it: the path as a whole; or a share of it, unless only
    /// links are cut. Those who stand at both ends of a link are well, and one of several servers misses one of
    /// several ways: that is told, and does not count.
    pub fn takes_down(&self, path: &str) -> bool {
        let only_links = self.faults.iter().all(|fault| matches!(fault.component, Component::Link { .. }));
        self.cells.get(path).is_some_and(|impact| impact.down || (impact.partly_down && !only_links))
    }

    /// The worst that it did to any path.
    pub fn worst(&self) -> Class {
        self.cells.values().map(|impact| impact.class).max().unwrap_or(Class::Ok)
    }
}

impl Audit {
    /// Two parts of one audit, put together again.
    pub fn joined_with(mut self, part: Self) -> Self {
        self.rows.extend(part.rows);
        self.seconds += part.seconds;
        self.distrust = self.distrust.or(part.distrust);
        self
    }

    /// What alone takes a path down: the single points of failure, as the article counts them. Those are
    /// programs; a machine or a link is one when it takes the path down and no program does that stands on
    /// it, or at an end of it.
    pub fn single_points(&self, path: &str) -> BTreeSet<String> {
        self.points(|row| row.takes_down(path))
    }

    /// What alone takes any path down.
    pub fn single_points_of_any(&self) -> BTreeSet<String> {
        self.points(|row| row.cells.keys().any(|path| row.takes_down(path)))
    }

    /// How many acknowledged writes or sessions were lost on a path, over all faults.
    pub fn lost(&self, path: &str) -> usize {
        self.singles().filter_map(|row| row.cells.get(path)).map(|impact| impact.lost).sum()
    }

    /// The longest that anything was down that came back by itself, in seconds.
    pub fn recovery_seconds(&self) -> Option<f64> {
        let impacts = self.singles().flat_map(|row| row.cells.values());
        impacts.filter(|impact| impact.recovered).map(|impact| impact.outage_seconds).max_by(f64::total_cmp)
    }

    /// Rows of pairs that take a path down which neither of the two does alone.
    pub fn fatal_pairs(&self) -> Vec<&Row> {
        let alone = self.single_points_of_any();
        let pairs = self.rows.iter().filter(|row| row.faults.len() > 1);
        let fatal = pairs.filter(|row| row.cells.keys().any(|path| row.takes_down(path)));
        fatal.filter(|row| !row.faults.iter().any(|fault| alone.contains(&fault.component.name()))).collect()
    }

    /// Rows of one fault each.
    pub fn singles(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.faults.len() == 1)
    }

    /// Rows of cut links that take a share of a path down, where that is not told by a part at an end of it:
    /// it does not count.
    pub fn partly_by_links(&self) -> impl Iterator<Item = &Row> {
        let points = self.single_points_of_any();
        let is_told = move |row: &Row| {
            let by = |point: &String| row.faults.iter().any(|fault| fault.component.is_told_by(point));
            points.iter().any(by)
        };
        let in_part =
            |row: &Row| row.cells.iter().any(|(path, impact)| impact.partly_down && !row.takes_down(path));
        self.singles().filter(move |row| in_part(row) && !is_told(row))
    }

    fn points(&self, is_down: impl Fn(&Row) -> bool) -> BTreeSet<String> {
        let down = self.singles().filter(|row| is_down(row)).flat_map(|row| &row.faults);
        let (programs, others): (Vec<_>, Vec<_>) = down.partition(|fault| is_program(&fault.component));
        let mut points: BTreeSet<String> =
            programs.iter().flat_map(|fault| fault.stands_for.clone()).collect();
        let is_new = |fault: &&Fault| !points.iter().any(|program| fault.component.is_told_by(program));
        let others: Vec<_> =
            others.into_iter().filter(is_new).flat_map(|fault| fault.stands_for.clone()).collect();
        points.extend(others);
        points
    }
}

fn is_program(component: &Component) -> bool {
    matches!(component, Component::Program { .. })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::faults::FaultKind;
    use super::*;

    pub(crate) fn impact(class: Class, outage_seconds: f64, lost: usize) -> Impact {
        Impact {
            class,
            down: class == Class::Outage,
            partly_down: class == Class::Partial,
            failing: if class == Class::Partial { 0.5 } else { 0.0 },
            overload: None,
            slowest_seconds: 0.0,
            copies: false,
            recovered: class == Class::Blip,
            outage_seconds,
            dropped: usize::from(class > Class::Ok),
            requests: 100,
            slower: None,
            lost,
        }
    }

    pub(crate) fn link(from: &str, to: &str) -> Fault {
        let component = Component::Link { from: from.into(), to: to.into() };
        let stands_for = vec![component.name()];
        Fault { component, kind: FaultKind::Cut, stands_for }
    }

    pub(crate) fn program(name: &str, stands_for: &[&str]) -> Fault {
        Fault {
            component: Component::Program { name: name.into(), program: "webserver" },
            kind: FaultKind::Kill,
            stands_for: stands_for.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    pub(crate) fn row(faults: Vec<Fault>, cells: &[(&str, Impact)]) -> Row {
        let cells = cells.iter().map(|(path, impact)| ((*path).to_owned(), impact.clone())).collect();
        Row { faults, cells, detection_seconds: None, repair_seconds: Some(1.0), remarks: vec![], note: None }
    }

    pub(crate) fn audit(rows: Vec<Row>) -> Audit {
        Audit {
            schema: SCHEMA,
            architecture: "small".into(),
            title: "Small".into(),
            began: jiff::Timestamp::UNIX_EPOCH,
            seconds: 1.0,
            within_seconds: 10.0,
            rate: 10.0,
            one_of_each: true,
            depth: 1,
            machines: vec![],
            links: vec![],
            paths: vec![("read".into(), "read".into()), ("write".into(), "write".into())],
            rows,
            distrust: None,
        }
    }

    #[test]
    fn single_points_are_counted_for_each_path_with_all_that_they_stand_for() {
        let (ok, outage) = (impact(Class::Ok, 0.0, 0), impact(Class::Outage, 9.0, 0));
        let audit = audit(vec![
            row(vec![program("web-1", &["web-1", "web-2"])], &[("read", ok.clone()), ("write", ok.clone())]),
            row(vec![program("db", &["db"])], &[("read", ok.clone()), ("write", outage.clone())]),
            row(vec![program("lb", &["lb"])], &[("read", outage.clone()), ("write", outage)]),
        ]);
        let names = |points: BTreeSet<String>| points.into_iter().collect::<Vec<_>>();
        assert_eq!(names(audit.single_points("read")), ["lb"]);
        assert_eq!(names(audit.single_points("write")), ["db", "lb"]);
        assert_eq!(names(audit.single_points_of_any()), ["db", "lb"]);
    }

    #[test]
    fn a_machine_or_a_link_counts_when_no_program_there_does() {
        let (ok, outage) = (impact(Class::Ok, 0.0, 0), impact(Class::Outage, 9.0, 0));
        let machine = |name: &str| Fault {
            component: Component::Machine { name: name.into() },
            ..program(name, &[name])
        };
        let link = |from: &str, to: &str| Fault {
            component: Component::Link { from: from.into(), to: to.into() },
            ..program("", &["a → b"])
        };
        let audit = audit(vec![
            row(vec![program("a/redis", &["a/redis"])], &[("read", ok.clone())]),
            row(vec![program("a/sentinel", &["a/sentinel"])], &[("read", ok)]),
            row(vec![machine("a")], &[("read", outage.clone())]),
            row(vec![program("b/dbnode", &["b/dbnode"])], &[("read", outage.clone())]),
            row(vec![machine("b")], &[("read", outage.clone())]),
            row(vec![link("c", "b")], &[("read", outage)]),
        ]);
        assert_eq!(audit.single_points("read").into_iter().collect::<Vec<_>>(), ["a", "b/dbnode"]);
    }

    #[test]
    fn a_share_that_fails_counts_unless_only_a_link_is_cut() {
        let partial = impact(Class::Partial, 9.0, 0);
        let audit = audit(vec![
            row(vec![program("lb-1", &["lb-1", "lb-2"])], &[("read", partial.clone())]),
            row(vec![link("web-1", "db:primary")], &[("write", partial.clone())]),
            row(vec![link("lb-1", "web-1")], &[("read", partial.clone())]),
            row(vec![link("web-1", "redis")], &[("read", impact(Class::Outage, 9.0, 0))]),
        ]);
        let points = |path: &str| audit.single_points(path).into_iter().collect::<Vec<_>>();
        assert_eq!(points("read"), ["lb-1", "lb-2", "web-1 → redis"]);
        assert_eq!(points("write"), Vec::<String>::new());
        let told: Vec<_> = audit.partly_by_links().map(Row::title).collect();
        assert_eq!(told, ["web-1 → db:primary cut"], "what lb-1 does tells what its link does");
    }

    #[test]
    fn what_came_back_by_itself_says_how_long_it_took_at_most() {
        let cells = |class, seconds| [("read", impact(class, seconds, 0))];
        let audit = audit(vec![
            row(vec![program("web-1", &["web-1"])], &cells(Class::Blip, 2.5)),
            row(vec![program("lb", &["lb"])], &cells(Class::Outage, 9.0)),
            row(vec![program("db", &["db"])], &cells(Class::Degraded, 8.0)),
            row(vec![program("redis", &["redis"])], &cells(Class::Ok, 0.0)),
        ]);
        assert_eq!(audit.recovery_seconds(), Some(2.5));
    }

    #[test]
    fn a_pair_is_fatal_when_neither_of_it_is_alone() {
        let (ok, outage) = (impact(Class::Ok, 0.0, 0), impact(Class::Outage, 9.0, 0));
        let (one, two, db) =
            (program("web-1", &["web-1"]), program("web-2", &["web-2"]), program("db", &["db"]));
        let audit = audit(vec![
            row(vec![one.clone()], &[("read", ok.clone())]),
            row(vec![two.clone()], &[("read", ok)]),
            row(vec![db.clone()], &[("read", outage.clone())]),
            row(vec![one.clone(), two], &[("read", outage.clone())]),
            row(vec![one, db], &[("read", outage)]),
        ]);
        let fatal: Vec<_> = audit.fatal_pairs().iter().map(|row| row.title()).collect();
        assert_eq!(fatal, ["web-1 killed and web-2 killed"]);
    }

    #[test]
    fn losses_are_summed_over_all_faults() {
        let lost = |lost| [("write", impact(Class::DataLoss, 1.0, lost))];
        let audit = audit(vec![
            row(vec![program("db", &["db"])], &lost(3)),
            row(vec![program("redis", &["redis"])], &lost(4)),
        ]);
        assert_eq!((audit.lost("write"), audit.lost("read")), (7, 0));
    }
}
