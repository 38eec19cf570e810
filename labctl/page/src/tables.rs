//! The lab as tables, for a browser without JavaScript; the page reloads itself every two seconds. Pure.
#![deny(clippy::disallowed_methods)]

use std::fmt::Write;

use lab::Event;
use serde_json::Value;

/// The number of events shown, newest first.
const EVENTS: usize = 20;

/// Renders the page.
pub(crate) fn page(title: &str, state: &Value, events: &[Event]) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"2\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{0} · Scaling Lab</title>\
         <link rel=\"stylesheet\" href=\"/style.css\"></head><body><main><h1>{0}</h1>\
         <p>Without JavaScript: the lab as it is, made anew every two seconds. Commands are typed: \
         <code>labctl load --rps 50 --background</code>, <code>labctl kill NAME</code>.</p>",
        escaped(title)
    );
    let machines = rows(&state["machines"], |machine| {
        let why = machine["reason"].as_str().unwrap_or_default();
        vec![
            text(&machine["name"]),
            text(&machine["role"]),
            text(&machine["word"]),
            why.to_owned(),
            share(&machine["cpu"]),
            text(&machine["queue"]),
            text(&machine["in_flight"]),
            text(&machine["pid"]),
        ]
    });
    table(
        &mut page,
        "Machines",
        &["machine", "role", "state", "why", "cpu", "waiting", "in flight", "pid"],
        machines,
    );
    let traffics = rows(&state["traffics"], |traffic| {
        let of = |name: &str| rounded(&traffic[name]);
        vec![text(&traffic["name"]), of("rate"), of("ok"), of("failed"), of("p50_ms"), of("p99_ms")]
    });
    table(
        &mut page,
        "Traffics: the last second",
        &["traffic", "offered", "good", "failed", "p50, ms", "p99, ms"],
        traffics,
    );
    let wires = rows(&state["wires"], |wire| {
        let between = format!("{} → {}", text(&wire["from"]), text(&wire["to"]));
        vec![between, rounded(&wire["rps"]), share(&wire["failed"]), text(&wire["now"])]
    });
    table(&mut page, "Wires", &["wire", "requests a second", "failed", "state"], wires);
    let happened = events.iter().rev().take(EVENTS);
    let happened =
        happened.map(|event| vec![format!("{:.1} s", event.at.as_secs_f64()), event.what.to_string()]);
    table(&mut page, "What happened, the newest first", &["when", "what"], happened.collect());
    page.push_str("</main></body></html>");
    page
}

fn rows(list: &Value, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list.as_array().into_iter().flatten().map(row).collect()
}

fn table(page: &mut String, caption: &str, heads: &[&str], rows: Vec<Vec<String>>) {
    let _ = write!(page, "<div class=\"scroll\"><table><caption>{caption}</caption><thead><tr>");
    for head in heads {
        let _ = write!(page, "<th scope=\"col\">{head}</th>");
    }
    page.push_str("</tr></thead><tbody>");
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{}</td>", escaped(&cell));
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div>");
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn rounded(value: &Value) -> String {
    value.as_f64().map_or("–".into(), |value| format!("{value:.1}"))
}

fn share(value: &Value) -> String {
    value.as_f64().map_or("–".into(), |value| format!("{:.0} %", 100.0 * value))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_in_a_cell_is_no_markup() {
        let state = json!({ "machines": [{ "name": "<b>web</b>", "word": "down", "cpu": 0.42, "pid": 7 }] });
        let page = page("One & all", &state, &[]);
        assert!(page.contains("<h1>One &amp; all</h1>"));
        assert!(page.contains("<td>&lt;b&gt;web&lt;/b&gt;</td><td>–</td><td>down</td>"), "{page}");
        assert!(page.contains("<td>42 %</td>"), "{page}");
    }
}
