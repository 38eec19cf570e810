//! Measures what a request costs the balancer apart from system calls: its head is parsed, an upstream is
//! chosen, the head is rewritten, and the same for the response. `scripts/instructions.sh` counts the
//! instructions.
//!
//! ```text
//! cargo run --release -p lb --example lb_hot_path -- 1000
//! ```

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use lb::choose::{Policy, PolicyName, Tried};
use lb::proxy::headers::{
    ForwardedPolicy, Framing, Persistence, RequestRewrite, ResponseRewrite, write_answer, write_request,
};
use lb::upstream::table::{InitialState, PoolOptions, Table};
use lb::upstream::{Address, breaker, health};
use lb::wire::{AnswerHead, Fields, RequestHead};

const HEAD_BYTES_MAX: usize = 16 * 1024;

const REQUEST: &[u8] = b"GET /products/17?color=red HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8.5.0\r\n\
    Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, br\r\nCookie: session=0123456789abcdef\r\n\
    X-Forwarded-For: 203.0.113.7\r\nConnection: keep-alive\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 348\r\n\
    ETag: \"1.77\"\r\nX-Cache: HIT\r\nServer-Timing: cache;dur=0.2\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n";

/// The state of one of the balancer's threads.
struct Balancer {
    table: Table,
    policy: Policy,
}

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1_000);
    let balancer = Balancer::new();
    let (mut head, mut fields) = (RequestHead::default(), Fields::default());
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for _ in 0..count {
        balancer.exchange(&mut head, &mut fields, &mut up, &mut down);
        black_box((&up, &down));
        up.clear();
        down.clear();
    }
}

impl Balancer {
    fn new() -> Self {
        let options = PoolOptions {
            breaker: breaker::Rules {
                fall: 3,
                open: Duration::from_secs(10),
                open_max: Duration::from_secs(60),
            },
            slow_start: Duration::ZERO,
            panic_below: 50,
            key: None,
        };
        let table = Table::new(options, Arc::default());
        for number in 1..=5 {
            let address = Address::new(&format!("web-{number}"), &format!("127.0.0.1:900{number}"));
            let address = address.expect("a name and an address");
            let rules = health::Rules { fall: 3, rise: 2 };
            table.add(address, InitialState::PresumedUp, rules).expect("each name is another");
        }
        Self { table, policy: Policy::named(PolicyName::RoundRobin) }
    }

    fn exchange(&self, head: &mut RequestHead, fields: &mut Fields, up: &mut Vec<u8>, down: &mut Vec<u8>) {
        head.read(REQUEST, HEAD_BYTES_MAX).expect("well-formed").expect("whole");
        let snapshot = self.table.snapshot();
        let upstream = self.policy.choose(&snapshot.pool, &Tried::default(), || 0).expect("five are up");
        let in_flight = upstream.enter().expect("it is up");
        let rewrite = RequestRewrite {
            traceparent: None,
            forwarded_for: b"198.51.100.9",
            forwarded: ForwardedPolicy::Append,
            host: upstream.host.as_bytes(),
            id: b"0123456789abcdef0123456789abcdef",
            cookies: None,
            body: head.body,
            expects_continue: head.expects_continue,
        };
        write_request(head, &rewrite, up);
        let answer = AnswerHead::read(ANSWER, fields, false, HEAD_BYTES_MAX);
        let answer = answer.expect("well-formed").expect("whole");
        let rewrite = ResponseRewrite {
            served_by: upstream.served_by.as_bytes(),
            id: b"0123456789abcdef0123456789abcdef",
            date: b"Mon, 01 Jan 2024 00:00:00 GMT",
            set_cookie: None,
            framing: Framing::Length(348),
            connection: Persistence::Usual,
        };
        write_answer(&answer, fields, ANSWER, &rewrite, down);
        drop(in_flight);
        head.clear();
    }
}
