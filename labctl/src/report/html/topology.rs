//! A diagram of the machines: the first hop of users on the left, data stores on the right. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};

use chapter::kind;

const BOX_WIDTH: u32 = 190;
const BOX_HEIGHT: u32 = 46;
const USERS_WIDTH: u32 = 70;
const COLUMN: u32 = 270;
const ROW: u32 = 58;
const MARGIN: u32 = 10;
/// How far connections between machines of one column bulge out.
const BULGE: u32 = 26;
/// Machines of a kind are drawn as one from this number on.
const FOLDED_FROM: usize = 4;

/// The diagram.
#[derive(Debug)]
pub(super) struct Topology {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) box_width: u32,
    pub(super) box_height: u32,
    pub(super) users_width: u32,
    pub(super) users_y: u32,
    pub(super) boxes: Vec<Machine>,
    pub(super) wires: Vec<Wire>,
    /// Replication between the nodes of one database.
    pub(super) copies: Vec<Copies>,
}

/// One machine, or several of a kind.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) what: String,
    pub(super) is_point: bool,
    pub(super) is_several: bool,
    pub(super) x: u32,
    pub(super) y: u32,
}

/// A connection between two machines.
#[derive(Debug, PartialEq)]
pub(super) struct Wire {
    pub(super) from_x: u32,
    pub(super) from_y: u32,
    pub(super) middle: u32,
    pub(super) to_x: u32,
    pub(super) to_y: u32,
}

/// Replication between two database nodes in one column.
#[derive(Debug)]
pub(super) struct Copies {
    pub(super) x: u32,
    pub(super) out: u32,
    pub(super) from_y: u32,
    pub(super) to_y: u32,
}

/// Machines that are drawn as one box.
struct Group<'a> {
    kind: &'a str,
    members: Vec<&'a str>,
    programs: &'a [&'a str],
    /// Its initial role: `primary`.
    role: Option<&'a str>,
    is_point: bool,
}

impl Topology {
    /// Lays out these machines, each with its programs, and the links between them. `points` names the single
    /// points of failure, `roles` the initial roles.
    pub(super) fn of(
        machines: &[(String, Vec<&str>)],
        links: &[(String, String)],
        points: &BTreeSet<String>,
        roles: &BTreeMap<String, &'static str>,
    ) -> Self {
        let groups = groups(machines, points, roles);
        let tiers: Vec<u32> = groups.iter().map(|group| tier(group.programs)).collect();
        let used: BTreeSet<u32> = tiers.iter().copied().collect();
        let in_tier = |wanted: u32| tiers.iter().filter(|tier| **tier == wanted).count() as u32;
        let highest = used.iter().map(|tier| in_tier(*tier)).max().unwrap_or(1);
        let height = highest * ROW + 2 * MARGIN;
        let mut placed = vec![0; used.len()];
        let boxes = groups.iter().zip(&tiers).map(|(group, tier)| {
            let column = used.iter().position(|known| known == tier).unwrap_or_default();
            let number = &mut placed[column];
            // Each column is centred vertically.
            let y = (height - in_tier(*tier) * ROW) / 2 + *number * ROW + (ROW - BOX_HEIGHT) / 2;
            *number += 1;
            group.drawn(MARGIN + COLUMN - (BOX_WIDTH - USERS_WIDTH) + column as u32 * COLUMN, y)
        });
        let boxes: Vec<Machine> = boxes.collect();
        let place = |wanted: &str| {
            let at = groups.iter().position(|group| group.members.contains(&wanted))?;
            boxes.get(at)
        };
        let users_y = (height - BOX_HEIGHT) / 2;
        let middle = |y: u32| y + BOX_HEIGHT / 2;
        let wire = |from_x: u32, from_y: u32, to: &Machine| Wire {
            from_x,
            from_y: middle(from_y),
            middle: u32::midpoint(from_x, to.x),
            to_x: to.x,
            to_y: middle(to.y),
        };
        let first = used.first().copied().unwrap_or_default();
        let reached = boxes.iter().zip(&tiers).filter(|(_, tier)| **tier == first).map(|(one, _)| one);
        let mut wires: Vec<Wire> = reached.map(|one| wire(MARGIN + USERS_WIDTH, users_y, one)).collect();
        for (from, to) in links {
            let Some((from, to)) = place(from).zip(place(to)) else { continue };
            let wire = wire(from.x + BOX_WIDTH, from.y, to);
            if wire.from_x < wire.to_x && !wires.contains(&wire) {
                wires.push(wire);
            }
        }
        let copies = copies(&groups, &boxes);
        let columns = used.len().max(1) as u32;
        let width =
            2 * MARGIN + COLUMN - (BOX_WIDTH - USERS_WIDTH) + (columns - 1) * COLUMN + BOX_WIDTH + BULGE;
        let (box_width, box_height, users_width) = (BOX_WIDTH, BOX_HEIGHT, USERS_WIDTH);
        Self { width, height, box_width, box_height, users_width, users_y, boxes, wires, copies }
    }
}

impl Group<'_> {
    fn drawn(&self, x: u32, y: u32) -> Machine {
        let several = self.members.len();
        let name = match several {
            1 => self.members[0].to_owned(),
            _ => format!("{} ×{several}", self.kind),
        };
        let role = self.role.map_or(String::new(), |role| format!(", {role} at first"));
        let what = self.programs.join(" + ") + &role;
        Machine { name, what, is_point: self.is_point, is_several: several > 1, x, y }
    }
}

/// Groups machines for drawing. Machines of a kind are folded into one box if there are many and nothing
/// distinguishes them.
fn groups<'a>(
    machines: &'a [(String, Vec<&'a str>)],
    points: &BTreeSet<String>,
    roles: &BTreeMap<String, &'static str>,
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let is_point = |name: &str| points.iter().any(|point| is_on(point, name));
    let role = |name: &str| roles.get(name).copied();
    for (name, programs) in machines {
        let like_it = machines.iter().filter(|(other, _)| kind::of(other) == kind::of(name));
        let is_alike = |(other, _): &&(String, Vec<&str>)| {
            is_point(other) == is_point(name) && role(other) == role(name)
        };
        let folds = like_it.clone().count() >= FOLDED_FROM && like_it.clone().all(|other| is_alike(&other));
        match groups.iter_mut().find(|group| folds && group.kind == kind::of(name)) {
            Some(group) => group.members.push(name),
            None => groups.push(Group {
                kind: kind::of(name),
                members: vec![name],
                programs,
                role: role(name),
                is_point: is_point(name),
            }),
        }
    }
    groups
}

/// Returns the replication lines between neighbouring nodes of each database.
fn copies(groups: &[Group<'_>], boxes: &[Machine]) -> Vec<Copies> {
    let mut copies = Vec::new();
    for (index, (one, other)) in groups.iter().zip(groups.iter().skip(1)).enumerate() {
        if one.kind != other.kind || !one.programs.contains(&"dbnode") {
            continue;
        }
        let (upper, lower) = (&boxes[index], &boxes[index + 1]);
        let x = upper.x + BOX_WIDTH;
        let (from_y, to_y) = (upper.y + BOX_HEIGHT / 2, lower.y + BOX_HEIGHT / 2);
        copies.push(Copies { x, out: x + BULGE, from_y, to_y });
    }
    copies
}

/// Returns the distance of a machine from the users.
fn tier(programs: &[&str]) -> u32 {
    let of = |program: &&str| match *program {
        "lb" => 0,
        "webserver" => 1,
        "sentinel" => 3,
        _ => 2,
    };
    programs.iter().map(of).min().unwrap_or(2)
}

/// Returns whether a failing component is this machine, is on it, or is a role of its kind.
fn is_on(point: &str, machine: &str) -> bool {
    let name = point.split('/').next().unwrap_or_default();
    match name.split_once(':') {
        Some((kind, _)) => kind::is_member(machine, kind),
        None => name == machine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_stand_in_columns_from_the_users_to_the_data() {
        let machines = [
            ("lb".to_owned(), vec!["lb"]),
            ("web-1".to_owned(), vec!["webserver"]),
            ("web-2".to_owned(), vec!["webserver"]),
            ("db".to_owned(), vec!["dbnode"]),
        ];
        let links = [("lb".to_owned(), "web-1".to_owned()), ("web-1".to_owned(), "db".to_owned())];
        let picture = Topology::of(&machines, &links, &BTreeSet::from(["db".to_owned()]), &BTreeMap::new());
        let x: Vec<_> = picture.boxes.iter().map(|one| one.x).collect();
        assert!(x[0] < x[1] && x[1] == x[2] && x[2] < x[3], "{x:?}");
        assert_eq!(picture.wires.len(), 1 + 2, "from the users to the balancer, too");
        assert_eq!(picture.boxes.iter().filter(|one| one.is_point).count(), 1);
    }

    #[test]
    fn many_of_a_kind_are_one_box_unless_something_tells_them_apart() {
        let web = |number: u32| (format!("web-{number}"), vec!["webserver"]);
        let machines: Vec<_> = (1..=5).map(web).collect();
        let names = |points: &[&str]| {
            let points = points.iter().map(|point| (*point).to_owned()).collect();
            let picture = Topology::of(&machines, &[], &points, &BTreeMap::new());
            picture.boxes.into_iter().map(|one| one.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["web ×5"]);
        assert_eq!(names(&["web-2"]).len(), 5);
        assert_eq!(Topology::of(&machines[..3], &[], &BTreeSet::new(), &BTreeMap::new()).boxes.len(), 3);
    }

    #[test]
    fn the_nodes_of_a_database_copy_from_one_another() {
        let machines: Vec<_> = (1..=3).map(|number| (format!("db-{number}"), vec!["dbnode"])).collect();
        let roles = BTreeMap::from([("db-2".to_owned(), "primary")]);
        let picture = Topology::of(&machines, &[], &BTreeSet::new(), &roles);
        assert_eq!(picture.copies.len(), 2);
        let what: Vec<_> = picture.boxes.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(what, ["dbnode", "dbnode, primary at first", "dbnode"]);
    }

    #[test]
    fn what_fails_by_its_role_is_every_machine_that_may_have_it() {
        assert!(is_on("db:primary", "db-2") && is_on("app/dbnode", "app") && is_on("web-1", "web-1"));
        assert!(!is_on("web-1", "web-10") && !is_on("db:primary", "db"));
    }
}
