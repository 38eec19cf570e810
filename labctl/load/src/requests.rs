//! Request templates, and the keys that fill them.
#![deny(clippy::disallowed_methods)]

use std::fmt::Write;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use super::history::Entry;
use super::keys::Picker;
use super::{Cookies, Keys, Recorded, Stream};

/// A template for requests. In the path, the headers and the body, `{key}` stands for the key drawn and `{n}`
/// for the running number of the request, from 1.
#[derive(Debug, Clone)]
pub struct RequestMix {
    /// The method.
    pub method: Method,
    /// The path, with its query; a key is percent-encoded when it is filled in.
    pub path: String,
    /// Further headers, as pairs of name and value. `("cookie", "session={key}")` with one key per session
    /// makes virtual users; `("idempotency-key", "load-{n}")` makes every request unique.
    pub headers: Vec<(String, String)>,
    /// The keys to fill in.
    pub keys: Keys,
    /// The body, sent as JSON. Keys are filled in verbatim.
    pub body: Option<String>,
    /// The cookie jars, if each key is a user with cookies.
    pub cookies: Option<Cookies>,
}

/// A request that is ready to be sent.
#[derive(Debug)]
pub(super) struct PreparedRequest {
    pub(super) request: Request<Full<Bytes>>,
    /// The user whose cookies it carries, and whose jar takes those of the answer.
    pub(super) user: Option<(String, Cookies)>,
    /// The history entry of the request, if it is recorded.
    pub(super) entry: Option<Entry>,
}

/// The template does not make valid requests.
#[derive(Debug, Error)]
pub enum InvalidRequests {
    /// The keys cannot be drawn.
    #[error("{0}")]
    Keys(String),
    /// A filled-in template is not a valid HTTP request.
    #[error("{method} {path} with the key {key:?} is not a request that can be sent")]
    Request {
        /// Its method.
        method: Method,
        /// Its path, before the key was filled in.
        path: String,
        /// The key tried.
        key: String,
        /// The error.
        source: http::Error,
    },
    /// The path is invalid.
    #[error("the path {0:?} does not begin with /")]
    Path(String),
}

impl RequestMix {
    /// A template for GETs of one path, with keys for its `{key}`.
    pub fn get(path: impl Into<String>, keys: Keys) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), keys, body: None, cookies: None }
    }

    /// The n-th request, filled in.
    pub fn request(&self, target: SocketAddr, key: &str, n: u64) -> http::Result<Request<Full<Bytes>>> {
        let path = fill(&self.path, &percent_encoded(key), n);
        let mut request =
            Request::builder().method(&self.method).uri(path).header(header::HOST, target.to_string());
        for (name, value) in &self.headers {
            request = request.header(name, fill(value, key, n));
        }
        if let Some(cookies) = self.cookies.as_ref().and_then(|cookies| cookies.of(key)) {
            request = request.header(header::COOKIE, cookies);
        }
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = self.body.as_deref().map(|body| fill(body, key, n)).unwrap_or_default();
        request.body(Full::new(Bytes::from(body)))
    }

    /// Checks that every request can be made.
    pub fn check(&self, target: SocketAddr) -> Result<(), InvalidRequests> {
        self.keys.check().map_err(InvalidRequests::Keys)?;
        if !self.path.starts_with('/') {
            return Err(InvalidRequests::Path(self.path.clone()));
        }
        let samples = match &self.keys {
            Keys::Hot { keys } => keys.clone(),
            _ => vec!["1".to_owned()],
        };
        for key in samples {
            if let Err(source) = self.request(target, &key, 1) {
                let (method, path) = (self.method.clone(), self.path.clone());
                return Err(InvalidRequests::Request { method, path, key, source });
            }
        }
        Ok(())
    }
}

/// Makes the requests of one stream, one after another.
#[derive(Debug)]
pub(super) struct RequestMaker {
    mix: RequestMix,
    target: SocketAddr,
    picker: Picker,
    dice: ChaCha8Rng,
    made: u64,
    stream: String,
    recorded: Option<Recorded>,
}

impl RequestMaker {
    /// Creates the maker, after checking that every request can be made.
    pub(super) fn new(stream: &Stream) -> Result<Self, InvalidRequests> {
        let (mix, target) = (stream.requests.clone(), stream.target);
        mix.check(target)?;
        let mut dice = ChaCha8Rng::seed_from_u64(stream.seed);
        // Another random stream than that of the arrivals, which have the same seed.
        dice.set_stream(1);
        let (picker, recorded) = (Picker::new(mix.keys.clone()), stream.recorded.clone());
        Ok(Self { picker, mix, target, dice, made: 0, stream: stream.name.clone(), recorded })
    }

    pub(super) fn aim_at(&mut self, target: SocketAddr) {
        self.target = target;
    }

    pub(super) fn make(&mut self) -> PreparedRequest {
        self.made += 1;
        let key = self.picker.pick(&mut self.dice);
        let request = self.mix.request(self.target, &key, self.made);
        // A cookie came in a header, so it is valid in one.
        let request = request.expect("it was checked with every word and any number is as good as another");
        let entry = self.recorded.as_ref().map(|recorded| {
            let named = request.headers().get("idempotency-key").and_then(|name| name.to_str().ok());
            recorded.entry(&self.stream, &key, self.made, named.map(str::to_owned))
        });
        PreparedRequest { request, user: self.mix.cookies.clone().map(|cookies| (key, cookies)), entry }
    }
}

fn fill(template: &str, key: &str, n: u64) -> String {
    template.replace("{n}", &n.to_string()).replace("{key}", key)
}

fn percent_encoded(key: &str) -> String {
    let mut encoded = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte as char),
            _ => write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn maker(mix: RequestMix) -> Result<RequestMaker, InvalidRequests> {
        RequestMaker::new(&Stream { seed: 1, ..Stream::new("shop", ([127, 0, 0, 1], 8080).into(), mix) })
    }

    #[tokio::test]
    async fn blanks_are_filled_in_everywhere() {
        let mut maker = maker(RequestMix {
            method: Method::POST,
            path: "/accounts/{key}/deposit".into(),
            headers: vec![("idempotency-key".into(), "load-{n}".into())],
            keys: Keys::Sequence { count: 9 },
            body: Some(r#"{"amount":{n},"to":"{key}"}"#.into()),
            cookies: None,
        })
        .unwrap();
        maker.make();
        let PreparedRequest { request, .. } = maker.make();
        assert_eq!(request.uri(), "/accounts/2/deposit");
        assert_eq!(request.headers()["idempotency-key"], "load-2");
        assert_eq!(request.headers()["content-type"], "application/json");
        assert_eq!(request.headers()["host"], "127.0.0.1:8080");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, r#"{"amount":2,"to":"2"}"#);
    }

    #[test]
    fn a_key_cannot_leave_its_place_in_the_path() {
        let mut maker =
            maker(RequestMix::get("/kv/{key}", Keys::Hot { keys: vec!["a b/?ü".into()] })).unwrap();
        assert_eq!(maker.make().request.uri(), "/kv/a%20b%2F%3F%C3%BC");
    }

    #[test]
    fn what_cannot_be_sent_is_refused_before_anything_is() {
        assert!(matches!(maker(RequestMix::get("/a b", Keys::None)), Err(InvalidRequests::Request { .. })));
        assert!(matches!(maker(RequestMix::get("kv", Keys::None)), Err(InvalidRequests::Path(_))));
        assert!(matches!(
            maker(RequestMix::get("/{key}", Keys::Uniform { count: 0 })),
            Err(InvalidRequests::Keys(_))
        ));
        let mut mix = RequestMix::get("/", Keys::Hot { keys: vec!["fine".into(), "line\nbreak".into()] });
        mix.headers = vec![("cookie".into(), "{key}".into())];
        let refused = maker(mix).unwrap_err().to_string();
        assert!(refused.contains("line\\nbreak"), "{refused}");
    }
}
