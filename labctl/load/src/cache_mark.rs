//! The cache status of an answer.
#![deny(clippy::disallowed_methods)]

use http::HeaderMap;

/// The cache status of an answer, from `X-Cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheMark {
    /// No `X-Cache` header.
    None,
    /// Served from the cache.
    Hit,
    /// Not in the cache.
    Miss,
    /// Served from the cache although expired.
    Stale,
    /// The cache was not used.
    Bypass,
}

impl CacheMark {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = headers.get("x-cache").map(|value| value.as_bytes()).unwrap_or_default();
        let marks = [CacheMark::Hit, CacheMark::Miss, CacheMark::Stale, CacheMark::Bypass];
        let named = |mark: &CacheMark| mark.name().as_bytes().eq_ignore_ascii_case(text);
        marks.into_iter().find(named).unwrap_or(CacheMark::None)
    }

    /// Its name in files; empty for [`CacheMark::None`].
    pub fn name(self) -> &'static str {
        match self {
            CacheMark::None => "",
            CacheMark::Hit => "hit",
            CacheMark::Miss => "miss",
            CacheMark::Stale => "stale",
            CacheMark::Bypass => "bypass",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_in_any_case_and_an_unknown_one_is_none() {
        let of = |text: &str| {
            CacheMark::of(&HeaderMap::from_iter([("x-cache".parse().unwrap(), text.parse().unwrap())]))
        };
        assert_eq!((of("HIT"), of("Stale"), of("warm")), (CacheMark::Hit, CacheMark::Stale, CacheMark::None));
        assert_eq!(CacheMark::of(&HeaderMap::new()), CacheMark::None);
    }
}
