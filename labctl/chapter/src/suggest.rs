//! Messages about unknown names: the probable intention, and the known names.

/// The most similar known name, if one is similar enough: a few letters differ, or only its beginning was
/// typed.
pub fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = name.to_lowercase();
    let letters = typed.chars().count();
    let slips = |known: &str| {
        let known = known.to_lowercase();
        let is_beginning = letters >= 3 && known.starts_with(&typed);
        if is_beginning { 1 } else { strsim::damerau_levenshtein(&typed, &known) }
    };
    let best = known.into_iter().map(|known| (slips(known), known)).min_by_key(|(slips, _)| *slips);
    best.filter(|(slips, _)| *slips < letters && *slips <= letters.max(3) / 3).map(|(_, known)| known)
}

/// The message about an unknown name: `there is no step 'hlaf'; did you mean 'half'? known are half, busy`.
pub fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    if known.is_empty() {
        return format!("there is no {what} '{name}'; there is none at all");
    }
    let all = known.join(", ");
    match similar(name, known) {
        Some(meant) => format!("there is no {what} '{name}'; did you mean '{meant}'? known are {all}"),
        None => format!("there is no {what} '{name}'; known are {all}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_recognised_and_another_word_is_not() {
        let known = ["one-machine", "bigger-machine", "server-failure"];
        assert_eq!(similar("server-failur", known), Some("server-failure"));
        assert_eq!(similar("One-Machine", known), Some("one-machine"));
        assert_eq!(similar("serv", known), Some("server-failure"));
        assert_eq!(similar("balancer", known), None);
        assert_eq!(similar("", known), None);
        assert_eq!((similar("ap", ["app"]), similar("x", ["y"])), (Some("app"), None));
    }

    #[test]
    fn the_sentence_names_what_was_probably_meant_and_all_there_is() {
        assert_eq!(
            unknown("step", "hlaf", ["half", "busy"]),
            "there is no step 'hlaf'; did you mean 'half'? known are half, busy"
        );
        assert_eq!(unknown("step", "x", ["half"]), "there is no step 'x'; known are half");
        assert_eq!(unknown("history", "x", []), "there is no history 'x'; there is none at all");
    }
}
