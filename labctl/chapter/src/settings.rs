//! `--set machine.web.cores=2`: one value of a chapter, changed for one run.

use std::fmt;
use std::str::FromStr;

use toml::{Table, Value};

use crate::suggest;

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    path: String,
    value: Value,
}

/// Formats the setting as it is written on the command line.
impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.path, self.value)
    }
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, value) =
            text.split_once('=').ok_or(format!("'{text}' is not of the form path.to.key=value"))?;
        // A value that is not TOML is a text: `--set traffic.shoppers.path=/render`.
        let parsed = toml::from_str::<Table>(&format!("value = {value}"));
        let value = parsed.ok().and_then(|mut table| table.remove("value"));
        let value = value.unwrap_or_else(|| Value::String(text[path.len() + 1..].to_owned()));
        Ok(Self { path: path.trim().to_owned(), value })
    }
}

/// Applies every setting to the text. Without settings the text is returned as written.
pub fn apply(text: &str, settings: &[Setting]) -> Result<String, String> {
    if settings.is_empty() {
        return Ok(text.to_owned());
    }
    let chapter: Table = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let mut chapter = Value::Table(chapter);
    for Setting { path, value } in settings {
        let words: Vec<&str> = path.split('.').collect();
        set(&mut chapter, &words, value)?;
    }
    toml::to_string(&chapter).map_err(|error| error.to_string())
}

fn set(place: &mut Value, path: &[&str], value: &Value) -> Result<(), String> {
    let [first, rest @ ..] = path else {
        *place = value.clone();
        return Ok(());
    };
    let known = members(place);
    let what = if matches!(place, Value::Array(_)) { "entry" } else { "key" };
    let inside = match place {
        // The last word may be a key that was left out so far.
        Value::Table(table) if rest.is_empty() => {
            table.insert((*first).to_owned(), value.clone());
            return Ok(());
        }
        Value::Table(table) => table.get_mut(*first),
        Value::Array(list) => known.iter().position(|name| name == first).map(|index| &mut list[index]),
        _ => None,
    };
    let inside = inside.ok_or_else(|| suggest::unknown(what, first, known.iter().map(String::as_str)))?;
    set(inside, rest, value)
}

/// The names of a value's members: a table's keys, or a list's entries by their `name`, or by number from 1
/// if they have none.
fn members(place: &Value) -> Vec<String> {
    match place {
        Value::Table(table) => table.keys().cloned().collect(),
        Value::Array(list) => (1..)
            .zip(list)
            .map(|(number, member)| {
                let name = member.get("name").and_then(Value::as_str);
                name.map_or(number.to_string(), str::to_owned)
            })
            .collect(),
        _ => vec![],
    }
}
