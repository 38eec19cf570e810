//! The HTTP API as `curl` would see it: every status, every refusal.

use crate::support::TestNode;

#[tokio::test]
async fn a_record_is_put_got_and_deleted() {
    let node = TestNode::start().await;
    let put = node.put("/kv/product%2F1", b"\x00\xffany bytes").await;
    assert_eq!((put.status, put.header("etag")), (204, "\"1.2\""));
    let got = node.get("/kv/product%2F1").await;
    assert_eq!((got.status, got.header("etag"), got.header("x-db-node")), (200, "\"1.2\"", "db-1"));
    assert_eq!(got.body, b"\x00\xffany bytes");
    assert_eq!(node.send("DELETE", "/kv/product%2F1", &[], b"").await.status, 204);
    node.get("/kv/product%2F1").await.assert_problem(404, "no_such_record", "no record");
    assert_eq!(node.send("DELETE", "/kv/product%2F1", &[], b"").await.status, 204);
}

#[tokio::test]
async fn an_empty_value_is_a_value() {
    let node = TestNode::start().await;
    assert_eq!(node.put("/kv/a", b"").await.status, 204);
    let got = node.get("/kv/a").await;
    assert_eq!((got.status, got.body.len()), (200, 0));
}

#[tokio::test]
async fn a_local_read_says_how_far_behind_it_may_be() {
    let node = TestNode::start().await;
    node.put("/kv/a", b"1").await;
    assert_eq!(node.get("/kv/a?read=local").await.header("x-lag-ms"), "0");
    assert_eq!(node.get("/kv/a?read=latest").await.header("x-lag-ms"), "");
    node.get("/kv/a?read=stale").await.assert_problem(400, "bad_query", "local or latest");
}

#[tokio::test]
async fn compare_and_set_lets_one_of_two_through() {
    let node = TestNode::start().await;
    node.put("/kv/a", b"1").await;
    let first = node.send("PUT", "/kv/a", &[("If-Match", "\"1.2\"")], b"2").await;
    assert_eq!((first.status, first.header("etag")), (204, "\"1.3\""));
    let second = node.send("PUT", "/kv/a", &[("If-Match", "\"1.2\"")], b"3").await;
    second.assert_problem(412, "conflict", "condition");
    let third = node.send("DELETE", "/kv/a", &[("If-Match", "\"1.2\"")], b"").await;
    third.assert_problem(412, "conflict", "condition");
    let fourth = node.send("PUT", "/kv/a", &[("If-None-Match", "*")], b"4").await;
    fourth.assert_problem(412, "conflict", "condition");
    assert_eq!(node.send("PUT", "/kv/b", &[("If-None-Match", "*")], b"4").await.status, 204);
    assert_eq!(node.get("/kv/a").await.body, b"2");
}

#[tokio::test]
async fn a_condition_that_cannot_be_read_is_refused_and_not_ignored() {
    let node = TestNode::start().await;
    for etag in ["1", "*", "W/\"1\"", "\"one\"", "\"1.2\", \"1.3\"", ""] {
        let answer = node.send("PUT", "/kv/a", &[("If-Match", etag)], b"x").await;
        answer.assert_problem(400, "bad_condition", "If-Match");
    }
    let answer = node.send("PUT", "/kv/a", &[("If-None-Match", "\"1.2\"")], b"x").await;
    answer.assert_problem(400, "bad_condition", "If-None-Match");
    let both = [("If-Match", "\"1.2\""), ("If-None-Match", "*")];
    node.send("PUT", "/kv/a", &both, b"x").await.assert_problem(400, "bad_condition", "exclude");
    let twice = [("If-Match", "\"1.2\""), ("If-Match", "\"1.3\"")];
    node.send("PUT", "/kv/a", &twice, b"x").await.assert_problem(400, "bad_header", "twice");
    assert_eq!(node.get("/kv/a").await.status, 404);
}

#[tokio::test]
async fn additions_begin_at_nothing_and_add_up() {
    let node = TestNode::start().await;
    let first = node.send("POST", "/kv/account-1/add", &[], b"{\"by\":50}").await;
    assert_eq!((first.status, first.json()), (200, serde_json::json!({"value": 50, "version": "1.2"})));
    let second = node.send("POST", "/kv/account-1/add", &[], b"{\"by\":-8}").await;
    assert_eq!(second.json(), serde_json::json!({"value": 42, "version": "1.3"}));
    assert_eq!(node.get("/kv/account-1").await.body, b"42");
}

#[tokio::test]
async fn what_cannot_be_added_is_refused() {
    let node = TestNode::start().await;
    node.put("/kv/text", b"abc").await;
    node.put("/kv/large", i64::MAX.to_string().as_bytes()).await;
    let add = async |key: &str, body: &str| {
        node.send("POST", &format!("/kv/{key}/add"), &[], body.as_bytes()).await
    };
    add("text", "{\"by\":1}").await.assert_problem(422, "not_a_number", "not a 64-bit integer");
    add("large", "{\"by\":1}").await.assert_problem(422, "overflow", "64 bits");
    for body in [
        "",
        "50",
        "{}",
        "{\"by\":1.5}",
        "{\"by\":\"1\"}",
        "{\"by\":1,\"if\":2}",
        "{\"by\":9223372036854775808}",
    ] {
        add("a", body).await.assert_problem(400, "bad_body", "{\"by\": number}");
    }
}

#[tokio::test]
async fn a_repeated_idempotency_key_has_effect_once_also_after_a_restart() {
    let node = TestNode::start().await;
    let name = [("Idempotency-Key", "deposit-7")];
    let first = node.send("POST", "/kv/account-1/add", &name, b"{\"by\":50}").await;
    let second = node.send("POST", "/kv/account-1/add", &name, b"{\"by\":50}").await;
    assert_eq!((first.status, first.json()), (second.status, second.json()));
    let node = node.restart().await;
    let third = node.send("POST", "/kv/account-1/add", &name, b"{\"by\":50}").await;
    assert_eq!(first.json(), third.json());
    assert_eq!(node.get("/kv/account-1").await.body, b"50");
    let other = node.send("POST", "/kv/account-1/add", &name, b"{\"by\":51}").await;
    other.assert_problem(422, "idempotency_key_reused", "different write");
    for id in ["", "two words", "ümlaut", &"x".repeat(129)] {
        let answer = node.send("POST", "/kv/a/add", &[("Idempotency-Key", id)], b"{\"by\":1}").await;
        assert_eq!(answer.status, 400, "{id}");
    }
}

#[tokio::test]
async fn keys_and_values_have_limits() {
    let node = TestNode::start().await;
    let (long, too_long) = ("k".repeat(512), "k".repeat(513));
    assert_eq!(node.put(&format!("/kv/{long}"), b"1").await.status, 204);
    node.put(&format!("/kv/{too_long}"), b"1").await.assert_problem(400, "bad_key", "at most 512 bytes");
    node.put("/kv/", b"1").await.assert_problem(400, "bad_key", "at least one");
    node.put("/kv/a%00b", b"1").await.assert_problem(400, "bad_key", "NUL");
    node.put("/kv/%C3", b"1").await.assert_problem(400, "bad_key", "UTF-8");
    let large = vec![7; 1 << 20];
    assert_eq!(node.put("/kv/large", &large).await.status, 204);
    assert_eq!(node.get("/kv/large").await.body, large);
    node.put("/kv/large", &vec![7; (1 << 20) + 1]).await.assert_problem(413, "too_large", "1048576 bytes");
    assert_eq!(node.get("/kv/large").await.header("etag"), "\"1.3\"");
}

#[tokio::test]
async fn a_list_is_ordered_bounded_and_goes_on() {
    let node = TestNode::start().await;
    for key in ["b%2F2", "a", "b%2F1", "b%2F3", "c"] {
        node.put(&format!("/kv/{key}"), key.as_bytes()).await;
    }
    node.put("/kv/b%2F3", b"\xff\x00").await;
    let first = node.get("/kv?prefix=b%2F&limit=2").await.json();
    let expected = serde_json::json!({
        "records": [
            {"key": "b/1", "version": "1.4", "value": "b%2F1"},
            {"key": "b/2", "version": "1.2", "value": "b%2F2"},
        ],
        "more": true,
    });
    assert_eq!(first, expected);
    let rest = node.get("/kv?prefix=b/&limit=2&after=b/2").await.json();
    let expected = serde_json::json!({"records": [{"key": "b/3", "version": "1.7", "value_hex": "ff00"}], "more": false});
    assert_eq!(rest, expected);
    assert_eq!(node.get("/kv").await.json()["records"].as_array().unwrap().len(), 5);
    node.get("/kv?limit=1001").await.assert_problem(400, "bad_query", "from 1 to 1000");
    node.get("/kv?perfix=b").await.assert_problem(400, "bad_query", "no parameter 'perfix'");
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_not_there() {
    let node = TestNode::start().await;
    node.get("/").await.assert_problem(404, "not_found", "/kv/{key}");
    node.get("/kv/a/b").await.assert_problem(404, "not_found", "%2F");
    let answer = node.send("PATCH", "/kv/a", &[], b"").await;
    answer.assert_problem(405, "method_not_allowed", "PATCH");
    assert_eq!(answer.header("allow"), "GET, PUT, DELETE");
    assert_eq!(node.get("/kv/a/add").await.header("allow"), "POST");
}

#[tokio::test]
async fn the_node_tells_about_itself() {
    let node = TestNode::start().await;
    node.put("/kv/a", b"1").await;
    let mut status = node.get("/status").await.json();
    let incarnation = status.as_object_mut().unwrap().remove("incarnation").unwrap();
    assert_eq!(incarnation.as_str().unwrap().len(), 36);
    assert_eq!(status.as_object_mut().unwrap().remove("cluster").unwrap().as_str().unwrap().len(), 36);
    let expected = serde_json::json!({
        "id": "db-1", "role": "primary", "term": 1, "primary": "db-1", "mode": "single",
        "last_index": 2, "committed_index": 2, "applied_index": 2, "replicas": [],
        "keys": 1, "syncs": 2, "writes": 1, "no_room": false, "log_bytes": 16 << 20, "discarded": 0,
    });
    assert_eq!(status, expected);
    assert_eq!(node.get("/healthz").await.json(), serde_json::json!({"status": "ok"}));
    let metrics = String::from_utf8(node.get("/metrics").await.body).unwrap();
    assert!(metrics.contains("dbnode_writes_total 1"), "{metrics}");
}

#[tokio::test]
async fn web_pages_of_others_are_kept_out_and_programs_are_not() {
    let node = TestNode::start().await;
    let forged = [("Content-Type", "text/plain"), ("Origin", "http://evil.example")];
    let answer = node.send("POST", "/kv/a/add", &forged, b"{\"by\":7}").await;
    answer.assert_problem(403, "not_allowed", "web page");
    let cross_site = [("Sec-Fetch-Site", "cross-site")];
    for path in ["/kv/a", "/kv", "/status", "/metrics", "/healthz"] {
        node.send("GET", path, &cross_site, b"").await.assert_problem(403, "not_allowed", "web page");
    }
    assert_eq!(node.get("/kv/a").await.status, 404, "nothing was added");
    let curl = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(node.send("POST", "/kv/a/add", &curl, b"{\"by\":7}").await.status, 200);
}

#[tokio::test]
async fn a_node_answers_under_its_own_names_only() {
    let node = TestNode::start().await;
    for host in ["evil.example", "evil.example:7001", "db-1.evil.example"] {
        for (method, path) in [("GET", "/kv/a"), ("PUT", "/kv/a"), ("DELETE", "/kv/a"), ("GET", "/metrics")] {
            let answer = node.send_to(host, method, path, &[], b"").await;
            answer.assert_problem(403, "not_allowed", "Host");
        }
    }
    for host in ["127.0.0.1:7001", "10.0.0.1", "localhost", "db-1:7001", "[::1]:7001"] {
        assert_eq!(node.send_to(host, "GET", "/status", &[], b"").await.status, 200, "{host}");
    }
    let twice = node.send_to("db-1\r\nHost: db-1", "GET", "/status", &[], b"").await;
    twice.assert_problem(400, "bad_host", "two Host lines");
}
