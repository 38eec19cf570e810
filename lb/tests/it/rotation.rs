//! Which upstream gets the request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::support::*;

#[tokio::test]
async fn three_thousand_requests_of_64_clients_are_a_thousand_each() {
    let webs = [Web::start("web-1"), Web::start("web-2"), Web::start("web-3")];
    let lb = Balancer::over(&[&webs[0], &webs[1], &webs[2]], &[]).await;
    let left = Arc::new(AtomicUsize::new(3000));
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let (left, address) = (Arc::clone(&left), lb.address);
            tokio::spawn(async move {
                let mut client = Client::open(address).await;
                let take = |left: usize| left.checked_sub(1);
                while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
                    assert_eq!(client.get("/").await.status, 200);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let served: Vec<u64> = webs.iter().map(Web::served).collect();
    assert_eq!(served.iter().sum::<u64>(), 3000);
    assert!(served.iter().all(|count| (999..=1001).contains(count)), "{served:?}");
}

#[tokio::test]
async fn an_answer_says_who_served_it() {
    let webs = [Web::start("web-1"), Web::start("web-2")];
    let lb = Balancer::over(&[&webs[0], &webs[1]], &["--threads=1"]).await;
    let mut client = Client::open(lb.address).await;
    let mut served_by = Vec::new();
    for _ in 0..4 {
        served_by.push(client.get("/").await.header("x-served-by").to_owned());
    }
    assert_eq!(served_by, ["web-1", "web-2", "web-1", "web-2"]);
}

#[tokio::test]
async fn without_upstreams_the_answer_is_503_at_once() {
    let lb = Balancer::start(&[]).await;
    let answer = lb.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-lb-error")), (503, "no_upstream"));
    assert_eq!(answer.header("retry-after"), "1");
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["error"], "no_upstream");
}
