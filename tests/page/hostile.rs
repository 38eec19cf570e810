//! Other web pages can neither act on the lab nor read it. Needs no browser, because what browsers send is known.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use page_tests::PageLab;
use page_tests::lab::curl;

/// Sends a raw request, and returns the status.
fn status(lab: &PageLab, request: &str) -> u16 {
    let mut stream = TcpStream::connect(lab.address).expect("the page listens");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("it has a limit");
    stream.write_all(request.as_bytes()).expect("it can be sent");
    let mut head = [0; 12];
    stream.read_exact(&mut head).expect("it is answered");
    String::from_utf8_lossy(&head[9..]).parse().expect("a status is a number")
}

#[test]
fn other_origins_hosts_and_forms_are_refused_and_curl_is_not() {
    let lab = PageLab::up("one-machine");
    let port = lab.address.port();
    let cookie = format!("cookie: scaling-lab-{port}={}\r\n", lab.token);
    let kill = r#"{"act":"kill","name":"app"}"#;
    let post = |host: &str, headers: &str, kind: &str| {
        let length = kill.len();
        status(
            &lab,
            &format!(
                "POST /api/act HTTP/1.1\r\nhost: {host}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{kill}"
            ),
        )
    };
    let own = format!("127.0.0.1:{port}");
    let json = "application/json";
    // A browser attaches the cookie even to requests of other pages, but that must not help them.
    assert_eq!(post(&own, &format!("{cookie}origin: http://evil.example\r\n"), json), 403);
    assert_eq!(post(&own, &format!("{cookie}origin: http://127.0.0.1:1\r\n"), json), 403);
    assert_eq!(post(&own, &format!("{cookie}origin: null\r\n"), json), 403);
    assert_eq!(post(&own, &format!("{cookie}sec-fetch-site: cross-site\r\n"), json), 403);
    assert_eq!(post(&own, &format!("{cookie}sec-fetch-site: same-site\r\n"), json), 403);
    assert_eq!(post("evil.example", &cookie, json), 403);
    assert_eq!(post(&format!("evil.example:{port}"), &cookie, json), 403);
    assert_eq!(post(&own, &cookie, "text/plain"), 403);
    assert_eq!(post(&own, "", json), 401);
    assert_eq!(post(&own, "authorization: Bearer wrong\r\n", json), 401);
    let stream =
        |headers: &str| status(&lab, &format!("GET /api/stream HTTP/1.1\r\nhost: {own}\r\n{headers}\r\n"));
    assert_eq!(stream(""), 401);
    assert_eq!(stream(&format!("{cookie}origin: http://evil.example\r\n")), 403);
    assert_eq!(stream(&cookie), 200);
    assert_eq!(lab.lab.machine("app")["on"], true, "something got through");

    let bearer = format!("authorization: Bearer {}", lab.token);
    let told = curl(&[
        "--header",
        &bearer,
        "--header",
        "content-type: application/json",
        "--data",
        kill,
        &format!("http://{own}/api/act"),
    ]);
    assert!(told.contains("\"command\":\"labctl kill app\""), "{told}");
    assert_eq!(lab.lab.machine("app")["on"], false);
    lab.down();
}

#[test]
fn the_page_is_served_on_loopback_only_and_elsewhere_when_its_port_is_taken() {
    let lab = tests::Lab::new();
    let refused = lab.run(&["up", "one-machine", "--page", "0.0.0.0:7780"]);
    assert_eq!(refused.status.code(), Some(2), "{}", tests::lab::shown(&refused));
    let none = lab.run(&["open"]);
    assert_eq!(none.status.code(), Some(4));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port can be had");
    let port = taken.local_addr().expect("it has an address").port();
    let told = lab.succeed(&["up", "one-machine", "--page", &format!("127.0.0.1:{port}")]);
    assert!(told.contains(&format!("port {port} is taken")), "{told}");
    let opened = lab.json(&["open"]);
    assert!(told.starts_with(&format!("The live page: {}", opened["url"].as_str().unwrap_or("?"))), "{told}");
    lab.succeed(&["down"]);
    let quiet = lab.succeed(&["up", "one-machine", "--no-page"]);
    assert!(!quiet.contains("live page"), "{quiet}");
    let none = lab.run(&["open"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("--no-page"), "{}", tests::lab::shown(&none));
    lab.succeed(&["down"]);
    assert_eq!(lab.running(), vec![]);
}
