//! The table of a program's flags: one row each, with its environment variable, its default and its meaning.

use clap::{Arg, Command};

/// Returns the table of a command's flags, hidden ones included.
pub fn flags(command: &Command) -> String {
    let rows = command.get_arguments().filter(|arg| arg.get_long().is_some()).map(row);
    ["| flag | variable | default | meaning |\n|---|---|---|---|\n".into()].into_iter().chain(rows).collect()
}

fn row(arg: &Arg) -> String {
    let variable = arg.get_env().map(|name| code(&name.to_string_lossy())).unwrap_or_default();
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let (meaning, described) = split_default(&help);
    let default = match described {
        Some(flag) if flag.starts_with("--") => code(flag),
        Some(described) => described.to_owned(),
        None => default(arg),
    };
    let cells = [code(&flag(arg)), variable, default, meaning + &values(arg)];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

/// The flag with what follows it: `--listen ADDRESS:PORT`.
fn flag(arg: &Arg) -> String {
    let long = arg.get_long().unwrap_or_default();
    if !arg.get_action().takes_values() {
        return format!("--{long}");
    }
    let value = match arg.get_value_names() {
        Some(names) => names.join(" "),
        None => arg.get_id().as_str().to_uppercase(),
    };
    format!("--{long} {value}")
}

fn default(arg: &Arg) -> String {
    if arg.is_required_set() {
        return "required".into();
    }
    if !arg.get_action().takes_values() {
        return "off".into();
    }
    let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    match values.join(",") {
        value if value.is_empty() => "none".into(),
        value => code(&value),
    }
}

/// Splits `Threads [default: the number of cores].` into the meaning, as sentences, and the described default,
/// which clap does not know because the program computes it.
fn split_default(help: &str) -> (String, Option<&str>) {
    let help = help.trim().trim_end_matches('.');
    let described = help.strip_suffix(']').and_then(|rest| rest.rsplit_once("[default: "));
    let (meaning, default) = described.map_or((help, None), |(meaning, default)| (meaning, Some(default)));
    let lines: Vec<_> = meaning.split_whitespace().collect();
    let meaning = lines.join(" ");
    let end = if meaning.ends_with('.') { "" } else { "." };
    (meaning + end, default)
}

/// The values to choose from, as one more sentence.
fn values(arg: &Arg) -> String {
    if !arg.get_action().takes_values() {
        return String::new();
    }
    let values = arg.get_possible_values();
    let names: Vec<_> =
        values.iter().filter(|value| !value.is_hide_set()).map(|value| code(value.get_name())).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!(" Values: {} or {last}.", others.join(", ")),
        _ => String::new(),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{ArgAction, builder::PossibleValuesParser};

    #[test]
    fn a_row_has_the_flag_the_variable_the_default_and_the_meaning() {
        let listen = Arg::new("listen")
            .long("listen")
            .env("LB_LISTEN")
            .value_name("ADDRESS:PORT")
            .default_value("127.0.0.1:80")
            .help("Address of a|b");
        let threads = Arg::new("threads").long("threads").help("Threads [default: the number of cores].");
        let retry = Arg::new("retry").long("retry").help("Limit of a retry. [default: --limit]");
        let mode = Arg::new("mode")
            .long("mode")
            .required(true)
            .value_parser(PossibleValuesParser::new(["on", "off"]));
        let quiet =
            Arg::new("quiet").long("quiet").action(ArgAction::SetTrue).help("Say less. Print nothing");
        let command =
            Command::new("lb").args([listen, threads, retry, mode.help("Mode"), quiet, Arg::new("file")]);
        assert_eq!(
            flags(&command),
            "| flag | variable | default | meaning |\n\
             |---|---|---|---|\n\
             | `--listen ADDRESS:PORT` | `LB_LISTEN` | `127.0.0.1:80` | Address of a\\|b. |\n\
             | `--threads THREADS` |  | the number of cores | Threads. |\n\
             | `--retry RETRY` |  | `--limit` | Limit of a retry. |\n\
             | `--mode MODE` |  | required | Mode. Values: `on` or `off`. |\n\
             | `--quiet` |  | off | Say less. Print nothing. |\n"
        );
    }
}
