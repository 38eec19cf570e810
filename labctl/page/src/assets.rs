//! The page's files, embedded in the program: nothing is fetched from elsewhere. Browsers get them compressed.

use std::io::Write;
use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// Every file: path, content type, text.
pub(crate) const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../assets/index.html")),
    ("/style.css", STYLE, include_str!("../assets/style.css")),
    ("/icon.svg", PICTURE, include_str!("../assets/icon.svg")),
    ("/main.js", SCRIPT, include_str!("../assets/main.js")),
    ("/stream.js", SCRIPT, include_str!("../assets/stream.js")),
    ("/api.js", SCRIPT, include_str!("../assets/api.js")),
    ("/dom.js", SCRIPT, include_str!("../assets/dom.js")),
    ("/format.js", SCRIPT, include_str!("../assets/format.js")),
    ("/layout.js", SCRIPT, include_str!("../assets/layout.js")),
    ("/topology.js", SCRIPT, include_str!("../assets/topology.js")),
    ("/motion.js", SCRIPT, include_str!("../assets/motion.js")),
    ("/wire.js", SCRIPT, include_str!("../assets/wire.js")),
    ("/card.js", SCRIPT, include_str!("../assets/card.js")),
    ("/pointless.js", SCRIPT, include_str!("../assets/pointless.js")),
    ("/panel.js", SCRIPT, include_str!("../assets/panel.js")),
    ("/marks.js", SCRIPT, include_str!("../assets/marks.js")),
    ("/sliders.js", SCRIPT, include_str!("../assets/sliders.js")),
    ("/header.js", SCRIPT, include_str!("../assets/header.js")),
    ("/chart.js", SCRIPT, include_str!("../assets/chart.js")),
    ("/traffic.js", SCRIPT, include_str!("../assets/traffic.js")),
    ("/story.js", SCRIPT, include_str!("../assets/story.js")),
    ("/log.js", SCRIPT, include_str!("../assets/log.js")),
    ("/widgets.js", SCRIPT, include_str!("../assets/widgets.js")),
    ("/controls.js", SCRIPT, include_str!("../assets/controls.js")),
    ("/accounts.js", SCRIPT, include_str!("../assets/accounts.js")),
    ("/visitors.js", SCRIPT, include_str!("../assets/visitors.js")),
    ("/servers.js", SCRIPT, include_str!("../assets/servers.js")),
    ("/step.js", SCRIPT, include_str!("../assets/step.js")),
    ("/guess.js", SCRIPT, include_str!("../assets/guess.js")),
    ("/capacity.js", SCRIPT, include_str!("../assets/capacity.js")),
    ("/crash.js", SCRIPT, include_str!("../assets/crash.js")),
    ("/matrix.js", SCRIPT, include_str!("../assets/matrix.js")),
    ("/pair.js", SCRIPT, include_str!("../assets/pair.js")),
    ("/beside.js", SCRIPT, include_str!("../assets/beside.js")),
    ("/together.js", SCRIPT, include_str!("../assets/together.js")),
    ("/groups.js", SCRIPT, include_str!("../assets/groups.js")),
    ("/picture.js", SCRIPT, include_str!("../assets/picture.js")),
    ("/replay.js", SCRIPT, include_str!("../assets/replay.js")),
    ("/kept.js", SCRIPT, include_str!("../assets/kept.js")),
    ("/difference.js", SCRIPT, include_str!("../assets/difference.js")),
    ("/ladder.js", SCRIPT, include_str!("../assets/ladder.js")),
    ("/compare.js", SCRIPT, include_str!("../assets/compare.js")),
    ("/keys.js", SCRIPT, include_str!("../assets/keys.js")),
];

/// The same files, compressed once.
static PACKED: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| FILES.iter().map(|(_, _, text)| pack(text.as_bytes())).collect());

fn pack(text: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    let packed = packer.write_all(text).and_then(|()| packer.finish());
    packed.expect("memory can be written to")
}

/// Serves a file by its index in [`FILES`], compressed if the client accepts that. It is never cached, because a new
/// labctl has new files.
pub(crate) fn file(number: usize, headers: &HeaderMap) -> Response {
    let (_, kind, text) = FILES[number];
    let fixed = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache"), (VARY, "accept-encoding")];
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match accepted.split(',').any(|one| one.trim() == "gzip") {
        true => (fixed, [(CONTENT_ENCODING, "gzip")], PACKED[number].as_slice()).into_response(),
        false => (fixed, text).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_light_and_its_modules_are_short() {
        let weight: usize = PACKED.iter().map(Vec::len).sum();
        assert!(weight <= 100_000, "{weight} bytes");
        for (path, _, text) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            assert!(text.lines().count() <= 200, "{path} has {} lines", text.lines().count());
        }
    }

    #[test]
    fn a_file_is_packed_for_whoever_takes_that() {
        let encoding = |accepted: Option<&'static str>| {
            let accepted = accepted.map(|value| (ACCEPT_ENCODING, value.parse().unwrap()));
            let response = file(0, &HeaderMap::from_iter(accepted));
            response.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(encoding(Some("gzip, deflate, br")).as_deref(), Some("gzip"));
        assert_eq!(encoding(Some("br")), None);
        assert_eq!(encoding(None), None);
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_nothing_is_inline() {
        for (path, _, text) in FILES {
            for word in ["https://", "//cdn", "<script>", " style=\"", "onclick=", "eval(", "innerHTML"] {
                assert!(!text.contains(word), "{path}: {word}");
            }
        }
    }

    #[test]
    fn every_module_that_is_imported_is_there() {
        for (path, _, text) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            let imports = text.lines().filter_map(|line| line.split_once("from \"./")?.1.strip_suffix("\";"));
            for import in imports {
                let wanted = format!("/{import}");
                assert!(FILES.iter().any(|(known, _, _)| *known == wanted), "{path} imports {import}");
            }
        }
    }
}
