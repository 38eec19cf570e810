//! The cookie jars of virtual users (RFC 6265, section 5.3, as far as it concerns one site with one path).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cookie::Cookie;
use http::{HeaderMap, header};
use parking_lot::Mutex;

/// The cookies of many users, shared by all streams in which these users send requests. Cheap to clone; all
/// clones share the same jars.
#[derive(Debug, Clone, Default)]
pub struct Cookies(Arc<Mutex<HashMap<String, Jar>>>);

/// One user's cookies: names and values.
type Jar = BTreeMap<String, String>;

impl Cookies {
    /// The value of a user's `Cookie` header. `None` if there is none.
    pub(super) fn of(&self, user: &str) -> Option<String> {
        let users = self.0.lock();
        let pairs = users.get(user)?.iter().map(|(name, value)| format!("{name}={value}"));
        Some(pairs.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
    }

    /// Stores the cookies that an answer sets, and removes those that it expires. Malformed ones are ignored,
    /// as browsers do.
    pub fn keep(&self, user: &str, headers: &HeaderMap) {
        let told = headers.get_all(header::SET_COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        for cookie in told.filter_map(|text| Cookie::parse(text).ok()) {
            let mut users = self.0.lock();
            let jar = users.entry(user.to_owned()).or_default();
            let ends = cookie.max_age().is_some_and(|age| !age.is_positive());
            if ends {
                jar.remove(cookie.name());
            } else {
                jar.insert(cookie.name().to_owned(), cookie.value().to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(cookies: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::SET_COOKIE, http::HeaderValue::from_static(cookie));
        }
        headers
    }

    #[test]
    fn each_user_has_cookies_of_their_own() {
        let cookies = Cookies::default();
        cookies.keep("ann", &answer(&["session=1; HttpOnly; Path=/", "pin=a"]));
        cookies.keep("bob", &answer(&["session=2"]));
        assert_eq!(cookies.of("ann").as_deref(), Some("pin=a; session=1"));
        assert_eq!(cookies.clone().of("bob").as_deref(), Some("session=2"));
        assert_eq!(cookies.of("eve"), None);
    }

    #[test]
    fn a_cookie_is_replaced_and_ended() {
        let cookies = Cookies::default();
        cookies.keep("ann", &answer(&["session=1"]));
        cookies.keep("ann", &answer(&["session=2"]));
        assert_eq!(cookies.of("ann").as_deref(), Some("session=2"));
        cookies.keep("ann", &answer(&["session=; Max-Age=0; Path=/", "no cookie at all"]));
        assert_eq!(cookies.of("ann"), None);
    }
}
