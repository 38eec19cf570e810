//! The result of an audit as a matrix of faults and paths, with summary figures. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::Serialize;

use super::faults::{Component, Fault};
use super::impact::{Class, Impact};

/// The version of the audit document.
pub const SCHEMA: &str = "scaling-lab/audit/1";

/// The result of an audit.
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
    /// A path that recovers on its own within this many seconds does not count as down.
    pub within_seconds: f64,
    /// Requests a second on each path.
    pub rate: f64,
    /// Whether only one of each set of identical machines was tested.
    pub one_of_each: bool,
    /// Maximum number of simultaneous faults.
    pub depth: usize,
    /// The machines, each with its programs.
    pub machines: Vec<(String, Vec<&'static str>)>,
    /// Pairs of machines that communicate.
    pub links: Vec<(String, String)>,
    /// The paths in column order: names and descriptions.
    pub paths: Vec<(String, String)>,
    /// One row for each fault, or for each pair of them.
    pub rows: Vec<Row>,
    /// Why the results are unreliable, if they are.
    pub distrust: Option<String>,
}

/// The impact of one fault, or of a pair, on each path.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The faults.
    pub faults: Vec<Fault>,
    /// The impact, by path.
    pub cells: IndexMap<String, Impact>,
    /// Time from the fault to the first reaction, in seconds: a balancer ejected a server, or a standby took
    /// over. `None` if there was none.
    pub detection_seconds: Option<f64>,
    /// Time from the repair until every path worked again, in seconds. `None` if it never did and the
    /// architecture had to be replaced.
    pub repair_seconds: Option<f64>,
    /// Further remarks: why something is lost, where a queue grows.
    pub remarks: Vec<String>,
    /// A problem with the audit itself.
    pub note: Option<String>,
}

impl Row {
    /// Describes the faults.
    pub fn title(&self) -> String {
        self.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    }

    /// Returns whether a path is down until the repair: the path as a whole, or a share of it unless only
    /// links are cut. With a cut link the machines at both ends are healthy, and one of several servers
    /// misses one of several routes; that is reported but does not count.
    pub fn takes_down(&self, path: &str) -> bool {
        let only_links = self.faults.iter().all(|fault| matches!(fault.component, Component::Link { .. }));
        self.cells.get(path).is_some_and(|impact| impact.down || (impact.partly_down && !only_links))
    }

    /// Returns the worst impact on any path.
    pub fn worst(&self) -> Class {
        self.cells.values().map(|impact| impact.class).max().unwrap_or(Class::Ok)
    }
}

impl Audit {
    /// Joins two parts of one audit.
    pub fn joined_with(mut self, part: Self) -> Self {
        self.rows.extend(part.rows);
        self.seconds += part.seconds;
        self.distrust = self.distrust.or(part.distrust);
        self
    }

    /// Returns the single points of failure of a path, counted as in the article: programs. A machine or a
    /// link is one only if it takes the path down and no program on it, or at one of its ends, does.
    pub fn single_points(&self, path: &str) -> BTreeSet<String> {
        self.points(|row| row.takes_down(path))
    }

    /// Returns the single points of failure of any path.
    pub fn single_points_of_any(&self) -> BTreeSet<String> {
        self.points(|row| row.cells.keys().any(|path| row.takes_down(path)))
    }

    /// Counts the acknowledged writes or sessions that were lost on a path, over all faults.
    pub fn lost(&self, path: &str) -> usize {
        self.singles().filter_map(|row| row.cells.get(path)).map(|impact| impact.lost).sum()
    }

    /// Returns the longest outage that ended on its own, in seconds.
    pub fn recovery_seconds(&self) -> Option<f64> {
        let impacts = self.singles().flat_map(|row| row.cells.values());
        impacts.filter(|impact| impact.recovered).map(|impact| impact.outage_seconds).max_by(f64::total_cmp)
    }

    /// Returns pairs that take a path down although neither fault does alone.
    pub fn fatal_pairs(&self) -> Vec<&Row> {
        let alone = self.single_points_of_any();
        let pairs = self.rows.iter().filter(|row| row.faults.len() > 1);
        let fatal = pairs.filter(|row| row.cells.keys().any(|path| row.takes_down(path)));
        fatal.filter(|row| !row.faults.iter().any(|fault| alone.contains(&fault.component.name()))).collect()
    }

    /// Returns the rows with a single fault.
    pub fn singles(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.faults.len() == 1)
    }

    /// Returns cut links that take down a share of a path and are not explained by a component at one of
    /// their ends. They do not count as single points of failure.
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
