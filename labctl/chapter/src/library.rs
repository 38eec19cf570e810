//! The chapters that come with the lab.

/// A group of chapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The article's own chapters.
    Article,
    /// The chapters that continue where the article ends.
    Beyond,
}

impl Group {
    /// Both groups, in the order in which chapters are numbered.
    pub const ALL: [Self; 2] = [Self::Article, Self::Beyond];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Article => "article",
            Self::Beyond => "beyond",
        }
    }

    /// Its heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Article => "The article",
            Self::Beyond => "Beyond the article",
        }
    }

    /// The names of its chapters, in their order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.chapters().iter().map(|(name, _)| *name)
    }

    fn chapters(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Article => &ARTICLE,
            Self::Beyond => &BEYOND,
        }
    }
}

const ARTICLE: [(&str, &str); 11] = [
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

const BEYOND: [(&str, &str); 6] = [
    ("sinkhole", include_str!("../../chapters/sinkhole.toml")),
    ("busy", include_str!("../../chapters/busy.toml")),
    ("deep-checks", include_str!("../../chapters/deep-checks.toml")),
    ("deploy", include_str!("../../chapters/deploy.toml")),
    ("regions", include_str!("../../chapters/regions.toml")),
    ("retry-storm", include_str!("../../chapters/retry-storm.toml")),
];

/// The names of all chapters, in their order.
pub fn names() -> impl Iterator<Item = &'static str> {
    Group::ALL.into_iter().flat_map(Group::names)
}

/// The text of the chapter with this name, if there is one.
pub fn text(name: &str) -> Option<&'static str> {
    find(name).map(|(_, text)| text)
}

/// The name and the text of a chapter, by its name or its number.
pub fn find(wanted: &str) -> Option<(&'static str, &'static str)> {
    let number = wanted.parse::<u32>().ok().map(|number| format!("number = {number}"));
    let is_wanted = |name: &str, text: &str| {
        name == wanted || number.as_ref().is_some_and(|number| text.lines().any(|line| line == number))
    };
    let mut all = Group::ALL.iter().flat_map(|group| group.chapters());
    all.find(|(name, text)| is_wanted(name, text)).copied()
}
