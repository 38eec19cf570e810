//! The kind of a machine, in its name: the machines of kind `web` are called `web-1`, `web-2`, ….

/// Splits the name of one of several machines into their kind and its number: `web-1` into `web` and 1.
pub fn split(name: &str) -> Option<(&str, u32)> {
    let (kind, number) = name.rsplit_once('-')?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number = number.parse().ok().filter(|_| is_number && !kind.is_empty())?;
    Some((kind, number))
}

/// Returns the kind of a machine: `web` of `web-1`, and the name itself of a machine that is alone.
pub fn of(name: &str) -> &str {
    split(name).map_or(name, |(kind, _)| kind)
}

/// True if a name is that of a kind, or of one machine of that kind.
pub fn is_of(name: &str, kind: &str) -> bool {
    name == kind || is_member(name, kind)
}

/// True if a name is that of one of several machines of a kind.
pub fn is_member(name: &str, kind: &str) -> bool {
    split(name).is_some_and(|(of, _)| of == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_a_kind_has_its_name_and_a_number() {
        assert_eq!(split("web-1"), Some(("web", 1)));
        assert_eq!(split("read-replica-12"), Some(("read-replica", 12)));
        for name in ["web", "web-", "-1", "web-1x", "web-x1", "web-+1", "web-0", "web-01", "web-1/webserver"]
        {
            assert_eq!(split(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_is_of_its_own_kind_only() {
        assert!(is_of("web", "web") && is_of("web-1", "web") && is_of("web-1", "web-1"));
        for name in ["web-1x", "webby-1", "webby", "we-1", "web-1-1", "my-web-1", "db-1"] {
            assert!(!is_of(name, "web"), "{name}");
        }
        assert!(is_member("web-1", "web") && !is_member("web", "web"));
    }

    #[test]
    fn a_machine_that_is_alone_is_a_kind_of_its_own() {
        assert_eq!((of("web-12"), of("app"), of("my-app")), ("web", "app", "my-app"));
    }
}
