//! A request is traced through every hop, and the spans add up to its client's response time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::{Lab, http, wait};

const CHAPTER: &str = r#"
number = 1
title = "A request at each hop"
question = "Where does its time go?"

[machine.lb]
lb = { upstreams = "web" }

[machine.web]
webserver = { db = "db", cache = "none", page-cost = "80ms" }

[machine.db]
dbnode = { products = 10, query-cost = "20ms" }

[traffic.readers]
to = "lb"
path = "/products/{key}"
"#;

/// The largest relative deviation of the hops' sum from the client's measurement.
const OFF_MAX: f64 = 0.05;
/// A busy host delays the client itself. At least one of this many tries is undisturbed.
const TRIES: u128 = 20;

/// Sends a request with its own trace ID, and returns the response time that the client saw.
fn send(lab: &Lab, request: &str, trace: u128) -> Duration {
    let header = format!("traceparent: 00-{trace:032x}-00000000000000aa-01\r\n");
    let began = Instant::now();
    let answer = http::answer(&format!("{}.0.1:8080", lab.network()), request, &header);
    let took = began.elapsed();
    let answer = answer.expect("it is answered");
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    took
}

/// Returns the spans of a trace once all of them are there.
fn spans(lab: &Lab, trace: u128, wanted: usize) -> Vec<Value> {
    let id = format!("{trace:032x}");
    let read = || {
        let output = lab.run(&["trace", "--id", &id, "--json"]);
        let traces: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        traces["traces"][0]["spans"].as_array().cloned().unwrap_or_default()
    };
    wait::until_true("every hop's spans", Duration::from_secs(10), || read().len() >= wanted);
    read()
}

/// Returns each span's name, indented by its depth in the tree.
fn tree(spans: &[Value]) -> Vec<String> {
    let row = |span: &Value| {
        let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", span["depth"], text("program"), text("name"))
    };
    spans.iter().map(row).collect()
}

#[test]
fn the_hops_of_a_request_add_up_to_what_its_client_waited() {
    let lab = Lab::new();
    std::fs::write(lab.path().join("traced.toml"), CHAPTER).expect("it can be written");
    lab.succeed(&["up", "traced.toml", "--trace"]);

    let offs = (1..=TRIES).map(|trace| {
        let waited = send(&lab, "GET /products/1", trace).as_secs_f64();
        let spans = spans(&lab, trace, 7);
        let own: u64 = spans.iter().filter_map(|span| span["own_us"].as_u64()).sum();
        (1.0 - own as f64 / 1e6 / waited).abs()
    });
    let off = offs.reduce(f64::min).expect("there were tries");
    assert!(off <= OFF_MAX, "the hops are {:.1} % off", off * 100.0);

    let read = tree(&spans(&lab, 1, 7));
    let wanted = [
        "0 lb GET /products/1",
        "1 lb to web",
        "2 webserver GET /products/1",
        "3 webserver cpu",
        "3 webserver GET database",
        "4 dbnode GET /kv/product:1",
        "5 dbnode cpu",
    ];
    let mut sorted = read.clone();
    sorted.sort();
    let mut wanted_sorted = wanted.map(str::to_owned).to_vec();
    wanted_sorted.sort();
    assert_eq!(sorted.len(), wanted_sorted.len(), "{read:#?}");
    for (row, wanted) in sorted.iter().zip(&wanted_sorted) {
        // How a key is encoded in a path is up to the database client.
        assert!(
            row == wanted || wanted.contains("/kv/") && row.starts_with("4 dbnode GET /kv/"),
            "{read:#?}"
        );
    }

    let trace = TRIES + 1;
    send(&lab, "PUT /products/1\n{\"name\": \"thing\", \"price\": 5}", trace);
    let written = tree(&spans(&lab, trace, 7));
    assert!(written.contains(&"5 dbnode commit".to_owned()), "{written:#?}");
    let shown = lab.succeed(&["trace", "--slowest", "1"]);
    assert!(shown.starts_with("trace 0000") && shown.contains('█'), "{shown}");
    exports(&lab);
    has_exemplars(&lab);
    lab.succeed(&["down"]);
}

/// Checks that each program's histograms have exemplars of traces that were sent.
fn has_exemplars(lab: &Lab) {
    for target in lab.json(&["targets"]).as_array().expect("targets are a list") {
        let address = target["targets"][0].as_str().expect("an address");
        let answer = http::answer(address, "GET /metrics", "").expect("it answers");
        let names_one =
            |line: &str| line.contains("_seconds_bucket") && line.contains("# {trace_id=\"0000000000000000");
        assert!(answer.lines().any(names_one), "no exemplar of a trace that was sent: {answer}");
    }
}

/// Checks that all recorded spans arrive at a collector, and that refusals are reported.
fn exports(lab: &Lab) {
    let collector = Collector::new(lab, "200 OK");
    let said = lab.succeed(&["trace", "--otlp", &collector.url]);
    let (path, body) = collector.requests.recv_timeout(Duration::from_secs(10)).expect("a request has come");
    assert_eq!(path, "/v1/traces");
    let resources = body["resourceSpans"].as_array().expect("a list");
    let spans = resources.iter().flat_map(|one| one["scopeSpans"][0]["spans"].as_array().expect("a list"));
    let spans: Vec<_> = spans.collect();
    assert!(said.contains(&format!("{} spans", spans.len())), "{said}, and {} came", spans.len());
    let of_first = spans.iter().filter(|span| span["traceId"] == format!("{:032x}", 1)).count();
    assert_eq!(of_first, 7);
    let services: Vec<_> =
        resources.iter().map(|one| &one["resource"]["attributes"][0]["value"]["stringValue"]).collect();
    for program in ["lb", "webserver", "dbnode"] {
        assert!(services.iter().any(|service| *service == program), "{services:?}");
    }
    drop(collector);

    let refusing = Collector::new(lab, "503 Service Unavailable");
    let output = lab.run(&["trace", "--otlp", &refusing.url]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(4) && said.contains("the collector answers 503"), "{said}");
    let output = lab.run(&["trace", "--otlp", "https://127.0.0.1"]);
    assert_eq!(output.status.code(), Some(2), "{}", tests::lab::shown(&output));
}

/// A collector that stores what it receives.
struct Collector {
    url: String,
    requests: mpsc::Receiver<(String, Value)>,
}

impl Collector {
    fn new(lab: &Lab, status: &'static str) -> Self {
        let listener = TcpListener::bind(format!("{}.250.2:0", lab.network())).expect("it can listen");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let (tell, requests) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.expect("somebody comes"));
                let (mut first, mut length) = (String::new(), 0);
                stream.read_line(&mut first).expect("a request begins");
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).expect("a line comes");
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().expect("a length is a number");
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).expect("the body comes");
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
                stream.get_mut().write_all(answer.as_bytes()).expect("it can be answered");
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                if tell.send((path, serde_json::from_slice(&body).expect("it is JSON"))).is_err() {
                    return;
                }
            }
        });
        Self { url, requests }
    }
}

#[test]
fn without_traces_nothing_is_recorded_and_asking_says_how() {
    let lab = Lab::new();
    lab.succeed(&["up", "one-machine"]);
    let output = lab.run(&["trace"]);
    assert_eq!(output.status.code(), Some(2), "{}", tests::lab::shown(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("start it with --trace"));
    lab.succeed(&["down"]);
}
