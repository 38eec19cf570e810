//! The page's files, which are in the program: nothing is fetched from elsewhere.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// What there is: path, kind, text.
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
    ("/panel.js", SCRIPT, include_str!("../assets/panel.js")),
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
    ("/keys.js", SCRIPT, include_str!("../assets/keys.js")),
];

/// The bytes of all of it that a browser loads.
#[cfg(test)]
fn weight() -> usize {
    FILES.iter().map(|(_, _, text)| text.len()).sum()
}

/// One file. A new labctl has new ones, so none is kept.
pub(crate) fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_light_and_its_modules_are_short() {
        assert!(weight() <= 100_000, "{} bytes", weight());
        for (path, _, text) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            assert!(text.lines().count() <= 200, "{path} has {} lines", text.lines().count());
        }
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
