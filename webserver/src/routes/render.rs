//! `/render`: pure CPU work on the web server, without any data.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;

use crate::state::Shop;

/// `GET /render`.
pub async fn render(State(shop): State<Arc<Shop>>) -> Html<String> {
    shop.machine.cpu(shop.config.costs.render).await;
    Html(page(&shop.config.name))
}

fn page(server: &str) -> String {
    let server = escape(server);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>The shop</title></head>\n\
         <body><h1>The shop</h1><p>Rendered by {server}.</p></body>\n</html>\n"
    )
}

/// Escapes text for HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_name_cannot_become_markup() {
        assert!(page("<b>&").contains("Rendered by &lt;b&gt;&amp;."));
    }
}
