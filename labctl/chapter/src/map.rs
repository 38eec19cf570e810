//! The map: the places of machines, and the round trips between them.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::check::{Checked, at};
use super::{Chapter, MachineEntry, Span, Spanned};

/// The longest round trip between two places.
const WAY_MAX: Duration = Duration::from_secs(10);

/// Round trips between places: `virginia = { ireland = "80ms" }`. Each pair is listed once.
pub type Map = IndexMap<Spanned<String>, IndexMap<String, Span>>;

/// The place of a machine, or of each machine of a kind.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a place is a name, or a list of names, one for each machine of the kind")]
pub enum Place {
    /// All of them are at this place.
    All(String),
    /// The first is at the first place, the second at the second, and so on.
    Each(Vec<String>),
}

impl Place {
    /// The place of a machine, by its number within its kind, from 0.
    pub fn of(&self, number: usize) -> Option<&str> {
        match self {
            Self::All(place) => Some(place),
            // A machine that is added later reuses the places in turn.
            Self::Each(places) => places.get(number % places.len().max(1)).map(String::as_str),
        }
    }

    /// All places that are named.
    pub fn names(&self) -> &[String] {
        match self {
            Self::All(place) => std::slice::from_ref(place),
            Self::Each(places) => places,
        }
    }
}

impl Chapter {
    /// The round trip between two places. `None` if the map does not contain it.
    pub fn round_trip(&self, from: &str, to: &str) -> Option<Duration> {
        if from == to {
            return Some(Duration::ZERO);
        }
        let way = |from: &str, to: &str| {
            let (_, ways) = self.map.iter().find(|(place, _)| place.as_ref() == from)?;
            ways.get(to).map(|way| way.0)
        };
        way(from, to).or_else(|| way(to, from))
    }
}

/// Checks that every machine has a place, and that the map contains the round trips that links need.
pub(super) fn check(chapter: &Chapter) -> Checked {
    for (place, ways) in &chapter.map {
        let here = |message| Err(at(place.span(), message));
        let from = place.as_ref();
        for (to, way) in ways {
            let again = chapter.map.iter().find(|(other, _)| other.as_ref() == to);
            if to == from || again.is_some_and(|(_, ways)| ways.contains_key(from)) {
                return here(format!(
                    "the round trip between '{from}' and '{to}' is given twice, or both ends are the same"
                ));
            }
            if way.0 > WAY_MAX {
                return here(format!(
                    "the round trip from '{from}' to '{to}' is at most {WAY_MAX:?}, not {way}"
                ));
            }
        }
    }
    for (name, entry) in &chapter.machine {
        check_place(chapter, name, entry)?;
    }
    chapter.links.iter().try_for_each(|(from, _)| check_link(chapter, from))
}

fn check_place(chapter: &Chapter, name: &str, entry: &MachineEntry) -> Checked {
    if let Some(preferred) = entry.dbnode.as_ref().and_then(|dbnode| dbnode.prefer.as_ref()) {
        let places = entry.place.as_ref().map_or(&[][..], |place| place.as_ref().names());
        if !places.contains(preferred.as_ref()) {
            let message = format!("no machine of '{name}' is at the place '{}'", preferred.as_ref());
            return Err(at(preferred.span(), message));
        }
    }
    let Some(spanned) = &entry.place else {
        return match chapter.map.first() {
            None => Ok(()),
            Some((place, _)) => Err(at(
                place.span(),
                format!(
                    "there is a map, and machine '{name}' has no place on it: say place = '{}'",
                    place.as_ref()
                ),
            )),
        };
    };
    let here = |message| Err(at(spanned.span(), message));
    let places = spanned.as_ref().names();
    if let Place::Each(places) = spanned.as_ref()
        && entry.count.map(|count| count as usize) != Some(places.len())
    {
        let count = entry.count.map_or("no count".to_owned(), |count| format!("a count of {count}"));
        return here(format!("{} places for machine '{name}', which has {count}", places.len()));
    }
    let known: std::collections::BTreeSet<&str> = chapter
        .map
        .iter()
        .flat_map(|(place, ways)| std::iter::once(place.as_ref()).chain(ways.keys()))
        .map(String::as_str)
        .collect();
    for place in places {
        if !known.contains(place.as_str()) {
            let known = known.iter().copied().collect::<Vec<_>>().join(", ");
            return here(match known.as_str() {
                "" => format!("'{place}' is on no map: add its round trips to [map]"),
                known => format!("there is no place '{place}' on the map; known are {known}"),
            });
        }
        if let Some(far) = known.iter().find(|other| chapter.round_trip(place, other).is_none()) {
            return here(format!("the map does not say how far it is from '{place}' to '{far}'"));
        }
    }
    Ok(())
}

/// Checks that all machines of a kind that share a link are at one place.
fn check_link(chapter: &Chapter, from: &Spanned<String>) -> Checked {
    let place = chapter.machine.get(from.as_ref()).and_then(|entry| entry.place.as_ref());
    match place.map(Spanned::as_ref) {
        Some(Place::Each(_)) => Err(at(
            from.span(),
            format!(
                "the machines '{0}' share this link and are at different places: name one of them, such as '{0}-1'",
                from.as_ref()
            ),
        )),
        _ => Ok(()),
    }
}
