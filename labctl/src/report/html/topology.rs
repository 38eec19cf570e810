//! The machines of a set-up as a picture: who users reach first on the left, who keeps data on the right.
//! Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

const BOX_WIDTH: u32 = 200;
const BOX_HEIGHT: u32 = 46;
const COLUMN: u32 = 300;
const ROW: u32 = 60;

/// The picture.
#[derive(Debug)]
pub(super) struct Topology {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) box_width: u32,
    pub(super) box_height: u32,
    pub(super) boxes: Vec<Machine>,
    pub(super) wires: Vec<Wire>,
}

/// One machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) what: String,
    pub(super) is_point: bool,
    pub(super) x: u32,
    pub(super) y: u32,
}

/// Who speaks to whom.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) from_x: u32,
    pub(super) from_y: u32,
    pub(super) middle: u32,
    pub(super) to_x: u32,
    pub(super) to_y: u32,
}

impl Topology {
    /// Of these machines, with what stands on each, and these links between them. `points` are the
    /// names of what takes a path down alone.
    pub(super) fn of(
        machines: &[(String, Vec<&str>)],
        links: &[(String, String)],
        points: &BTreeSet<String>,
    ) -> Self {
        let tiers: Vec<u32> = machines.iter().map(|(_, programs)| tier(programs)).collect();
        let used: BTreeSet<u32> = tiers.iter().copied().collect();
        let column = |tier: u32| used.iter().position(|known| *known == tier).unwrap_or_default() as u32;
        let highest = used.iter().map(|one| tiers.iter().filter(|tier| *tier == one).count()).max();
        let height = highest.unwrap_or(1) as u32 * ROW + 16;
        let mut placed = vec![0; used.len()];
        let boxes: Vec<_> = machines
            .iter()
            .zip(&tiers)
            .map(|((name, programs), tier)| {
                let column = column(*tier);
                let in_column = tiers.iter().filter(|other| *other == tier).count() as u32;
                let number = &mut placed[column as usize];
                // Each column stands in the middle.
                let y = (height - in_column * ROW) / 2 + *number * ROW + (ROW - BOX_HEIGHT) / 2;
                *number += 1;
                let is_point = points.iter().any(|point| is_on(point, name));
                Machine {
                    name: name.clone(),
                    what: programs.join(" + "),
                    is_point,
                    x: 8 + column * COLUMN,
                    y,
                }
            })
            .collect();
        let place = |wanted: &str| boxes.iter().find(|one| one.name == wanted);
        let wires = links.iter().filter_map(|(from, to)| {
            let (from, to) = (place(from)?, place(to)?);
            let (from_x, to_x) = (from.x + BOX_WIDTH, to.x);
            let middle = u32::midpoint(from_x, to_x);
            Some(Wire { from_x, from_y: from.y + BOX_HEIGHT / 2, middle, to_x, to_y: to.y + BOX_HEIGHT / 2 })
        });
        let wires = wires.filter(|wire| wire.from_x < wire.to_x).collect();
        let width = 16 + (used.len().max(1) as u32 - 1) * COLUMN + BOX_WIDTH;
        Self { width, height, box_width: BOX_WIDTH, box_height: BOX_HEIGHT, boxes, wires }
    }
}

/// How far from the users something stands.
fn tier(programs: &[&str]) -> u32 {
    let of = |program: &&str| match *program {
        "lb" => 0,
        "webserver" => 1,
        "sentinel" => 3,
        _ => 2,
    };
    programs.iter().map(of).min().unwrap_or(2)
}

/// Whether what fails is this machine, or something on it, or the one of its kind that has a role.
fn is_on(point: &str, machine: &str) -> bool {
    let name = point.split('/').next().unwrap_or_default();
    match name.split_once(':') {
        Some((kind, _)) => machine.strip_prefix(kind).is_some_and(|rest| rest.starts_with('-')),
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
        let picture = Topology::of(&machines, &links, &BTreeSet::from(["db".to_owned()]));
        let x: Vec<_> = picture.boxes.iter().map(|one| one.x).collect();
        assert!(x[0] < x[1] && x[1] == x[2] && x[2] < x[3], "{x:?}");
        assert_eq!(picture.wires.len(), 2);
        assert_eq!(picture.boxes.iter().filter(|one| one.is_point).count(), 1);
    }

    #[test]
    fn what_fails_by_its_role_is_every_machine_that_may_have_it() {
        assert!(is_on("db:primary", "db-2") && is_on("app/dbnode", "app") && is_on("web-1", "web-1"));
        assert!(!is_on("web-1", "web-10") && !is_on("db:primary", "db"));
    }
}
