//! Parses HAProxy's view of its servers: `show stat`, comma-separated values. Pure.

use crate::board::{Health, Seen};

/// Returns the servers in the answer, by name.
pub(super) fn servers(text: &str) -> Vec<(String, Seen)> {
    let mut lines = text.lines();
    let header = lines.find(|line| line.starts_with('#')).unwrap_or_default();
    let columns: Vec<&str> = header.trim_start_matches(['#', ' ']).split(',').collect();
    let column = |name: &str| columns.iter().position(|column| *column == name);
    let known = [column("svname"), column("status"), column("scur"), column("stot"), column("check_status")];
    let [Some(name), Some(status), Some(current), Some(total), check] = known else { return vec![] };
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |at: usize| fields.get(at).and_then(|text| text.parse().ok()).unwrap_or(0);
            let check = check.and_then(|at| fields.get(at)).copied().unwrap_or_default();
            let (name, status) = ((*fields.get(name)?).to_owned(), *fields.get(status)?);
            let (in_flight, requests) = (number(current), number(total));
            let words = format!("{status} {check}").trim().to_owned();
            Some((name, Seen { state: state(status), words, in_flight, requests }))
        })
        .collect()
}

/// Translates a status. `UP 1/3` has failed a check and still gets requests; `DOWN 1/2` has passed one and gets none
/// yet.
fn state(status: &str) -> Health {
    match status.split(' ').next().unwrap_or_default() {
        "UP" | "no" => Health::Up,
        "DOWN" | "NOLB" => Health::Down,
        "DRAIN" => Health::Draining,
        _ => Health::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_by_the_names_of_the_columns() {
        let text = "# pxname,svname,scur,stot,status,check_status,\n\
                    web,web-1,2,17,UP 1/3,L4CON,\nweb,web-2,0,9,DOWN 1/2,L7OK,\nweb,web-3,0,0,MAINT,,\n\
                    web,web-4,0,0,no check,,\n\n";
        let servers = servers(text);
        let states: Vec<_> = servers.iter().map(|(name, seen)| (name.as_str(), seen.state)).collect();
        let (up, down, unknown) = (Health::Up, Health::Down, Health::Unknown);
        assert_eq!(states, [("web-1", up), ("web-2", down), ("web-3", unknown), ("web-4", up)]);
        assert_eq!((servers[0].1.in_flight, servers[0].1.requests), (2, 17));
        assert_eq!(servers[0].1.words, "UP 1/3 L4CON");
    }

    #[test]
    fn an_answer_that_is_no_table_has_no_servers() {
        assert!(servers("Unknown command.\n").is_empty() && servers("").is_empty());
    }
}
