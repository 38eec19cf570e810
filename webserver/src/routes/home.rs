//! `/`: a small page that names the server. It costs no CPU time, so that a test measures the balancer and not
//! the shop.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;

use super::render::escape;
use crate::state::Shop;

/// `GET /`.
pub async fn home(State(shop): State<Arc<Shop>>) -> Html<String> {
    Html(page(&shop.config.name))
}

fn page(server: &str) -> String {
    let server = escape(server);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>The shop</title></head>\n\
         <body style=\"font: 18px/1.5 system-ui, sans-serif; max-width: 40em; margin: 3em auto; padding: 0 1em\">\n\
         <h1>The shop</h1>\n<p>Served by <b>{server}</b>. Reload: behind a balancer it is another server's turn.</p>\n\
         <p><a href=\"/products/1\">A product</a> comes from the database, \
         <a href=\"/render\">a rendered page</a> only from this server.</p>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_who_served_it_and_takes_no_markup_from_a_name() {
        assert!(page("web-3").contains("Served by <b>web-3</b>."));
        assert!(!page("<script>").contains("<script>"));
    }
}
