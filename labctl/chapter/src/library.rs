//! The chapters that come with the lab.

const CHAPTERS: [(&str, &str); 11] = [
    ("one-machine", include_str!("../../chapters/one-machine.toml")),
    ("bigger-machine", include_str!("../../chapters/bigger-machine.toml")),
    ("split", include_str!("../../chapters/split.toml")),
    ("more-servers", include_str!("../../chapters/more-servers.toml")),
    ("load-balancer", include_str!("../../chapters/load-balancer.toml")),
    ("sessions", include_str!("../../chapters/sessions.toml")),
    ("cache", include_str!("../../chapters/cache.toml")),
    ("replication", include_str!("../../chapters/replication.toml")),
    ("server-failure", include_str!("../../chapters/server-failure.toml")),
    ("primary-failure", include_str!("../../chapters/primary-failure.toml")),
    ("split-brain", include_str!("../../chapters/split-brain.toml")),
];

/// Their names, in the article's order.
pub fn names() -> impl Iterator<Item = &'static str> {
    CHAPTERS.iter().map(|(name, _)| *name)
}

/// The text of one, if there is one of this name.
pub fn text(name: &str) -> Option<&'static str> {
    find(name).map(|(_, text)| text)
}

/// The name and the text of one, by its name, or by its number among the article's chapters.
pub fn find(wanted: &str) -> Option<(&'static str, &'static str)> {
    let number = wanted.parse::<u32>().ok().map(|number| format!("number = {number}"));
    let is_wanted = |name: &str, text: &str| {
        name == wanted || number.as_ref().is_some_and(|number| text.lines().any(|line| line == number))
    };
    CHAPTERS.iter().copied().find(|(name, text)| is_wanted(name, text))
}
