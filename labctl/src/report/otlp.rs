//! Export of spans to collectors: OTLP 1.x over HTTP as JSON (`POST /v1/traces`). Pure.
#![deny(clippy::disallowed_methods)]

use serde_json::{Value, json};

use super::traces::{Span, Trace};

/// The default path of a collector, when its URL has none.
pub const PATH: &str = "/v1/traces";
/// Number of spans per request: a few hundred KiB.
const BATCH: usize = 1_000;
/// `SPAN_KIND_INTERNAL`, `SPAN_KIND_SERVER` and `SPAN_KIND_CLIENT`.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// Builds the bodies of the requests that carry these traces.
pub fn requests(traces: &[&Trace]) -> Vec<Value> {
    let spans: Vec<_> = traces.iter().flat_map(|trace| &trace.spans).map(|placed| &placed.span).collect();
    spans.chunks(BATCH).map(request).collect()
}

/// Builds one request, with a resource for each program of each machine.
fn request(spans: &[&Span]) -> Value {
    let mut resources: Vec<((&str, &str), Vec<Value>)> = Vec::new();
    for span in spans {
        let of = (span.machine.as_str(), span.program.as_str());
        match resources.iter_mut().find(|(known, _)| *known == of) {
            Some((_, known)) => known.push(written(span)),
            None => resources.push((of, vec![written(span)])),
        }
    }
    let resources = resources.into_iter().map(|((machine, program), spans)| {
        json!({
            "resource": { "attributes": [
                attribute("service.name", program),
                attribute("service.instance.id", &format!("{machine}/{program}")),
                attribute("host.name", machine),
            ] },
            "scopeSpans": [{ "scope": { "name": "scaling-lab" }, "spans": spans }],
        })
    });
    json!({ "resourceSpans": resources.collect::<Vec<_>>() })
}

/// Encodes a span. Ids are hexadecimal and times are strings, because a JSON number cannot hold nanoseconds.
fn written(span: &Span) -> Value {
    let nanos = |us: u64| (u128::from(us) * 1_000).to_string();
    let attributes = span.about.iter().map(|(key, value)| attribute(key, value));
    json!({
        "traceId": span.trace,
        "spanId": span.span,
        "parentSpanId": span.parent.as_deref().unwrap_or_default(),
        "name": span.name,
        "kind": kind(span),
        "startTimeUnixNano": nanos(span.start_us),
        "endTimeUnixNano": nanos(span.start_us + span.us),
        "attributes": attributes.collect::<Vec<_>>(),
        "status": if failed(span) { json!({ "code": ERROR }) } else { json!({}) },
    })
}

fn kind(span: &Span) -> u8 {
    let is_method =
        span.name.split(' ').next().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()));
    match span.name.as_str() {
        name if name.starts_with("to ") || name.ends_with(" database") => CLIENT,
        _ if is_method => SERVER,
        _ => INTERNAL,
    }
}

fn failed(span: &Span) -> bool {
    span.about.contains_key("error") || span.about.get("status").is_some_and(|status| status.starts_with('5'))
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::traces::assemble;

    fn span(program: &str, id: &str, parent: Option<&str>, name: &str, status: &str) -> Span {
        Span {
            trace: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
            span: id.into(),
            parent: parent.map(str::to_owned),
            machine: format!("{program}-1"),
            program: program.into(),
            name: name.into(),
            start_us: 1_700_000_000_000_001,
            us: 5,
            about: [("status".to_owned(), status.to_owned())].into(),
        }
    }

    #[test]
    fn spans_are_grouped_by_program_and_keep_ids_times_and_failures() {
        let spans = vec![
            span("lb", "00f067aa0ba902b7", None, "GET /", "503"),
            span("lb", "00f067aa0ba902b8", Some("00f067aa0ba902b7"), "to web-1", "200"),
            span("web", "00f067aa0ba902b9", Some("00f067aa0ba902b8"), "cpu", "200"),
        ];
        let traces = assemble(spans);
        let requests = requests(&traces.iter().collect::<Vec<_>>());
        let resources = requests[0]["resourceSpans"].as_array().expect("a list");
        assert_eq!((requests.len(), resources.len()), (1, 2));
        assert_eq!(resources[0]["resource"]["attributes"][0]["value"]["stringValue"], "lb");
        let spans = &resources[0]["scopeSpans"][0]["spans"];
        assert_eq!((&spans[0]["parentSpanId"], &spans[0]["kind"]), (&json!(""), &json!(SERVER)));
        assert_eq!((&spans[0]["status"]["code"], &spans[1]["status"]), (&json!(ERROR), &json!({})));
        assert_eq!(
            (&spans[1]["parentSpanId"], &spans[1]["kind"]),
            (&json!("00f067aa0ba902b7"), &json!(CLIENT))
        );
        assert_eq!(spans[0]["startTimeUnixNano"], "1700000000000001000");
        assert_eq!(spans[0]["endTimeUnixNano"], "1700000000000006000");
    }

    #[test]
    fn many_spans_go_in_several_requests() {
        let spans = (0..BATCH + 1).map(|number| span("lb", &format!("{number:016x}"), None, "GET /", "200"));
        let traces = assemble(spans.collect());
        assert_eq!(requests(&traces.iter().collect::<Vec<_>>()).len(), 2);
        assert_eq!(requests(&[]), Vec::<Value>::new());
    }
}
