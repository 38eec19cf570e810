//! Users that retry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// A server that answers 500 to the first `good_from` requests and 200 from then on, with the count of
/// requests.
async fn wrong_until(good_from: u64) -> (SocketAddr, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    let server = serve(move |number| {
        counted.fetch_add(1, Ordering::Relaxed);
        let status = if number < good_from { 500 } else { 200 };
        async move { Response::builder().status(status).body(Full::default()).unwrap() }
    });
    (server.await, asked)
}

fn asking_again(target: SocketAddr, times: u32, budget: Option<f64>) -> Stream {
    let retry = Some(Retry { times, pause: Duration::from_millis(5), budget });
    Stream { retry, ..stream(target) }
}

/// The window of this many users.
async fn ask(stream: Stream, askers: u64, rate: f64) -> Window {
    let generator = Generator::start(Instant::now()).unwrap();
    let id = generator.add(stream).unwrap();
    generator.send_and_wait(id, askers, rate, LIMIT).await;
    let window = generator.recorder().window(id, Duration::ZERO, Moment::MAX);
    generator.stop();
    assert_eq!(window.requests() as u64, askers, "{:?}", window.outcomes());
    window
}

#[tokio::test]
async fn an_asker_asks_again_until_it_is_answered_well() {
    let (server, asked) = wrong_until(2).await;
    let window = ask(asking_again(server, 3, None), 5, 10.0).await;
    assert_eq!(window.failed(), 0, "{:?}", window.outcomes());
    assert_eq!(window.attempts(), 7, "two were not answered well");
    assert_eq!(asked.load(Ordering::Relaxed), 7);
    for sample in window.samples() {
        let pauses = (sample.attempts - 1) * Duration::from_millis(5);
        assert!(sample.latency >= pauses, "pauses belong to the wait: {sample:?}");
    }
}

#[tokio::test]
async fn who_is_never_answered_well_gives_up_after_so_many_times() {
    let (server, asked) = wrong_until(u64::MAX).await;
    let window = ask(asking_again(server, 3, None), 5, 10.0).await;
    assert_eq!((window.ok(), window.amplification()), (0, 4.0));
    assert_eq!(asked.load(Ordering::Relaxed), window.attempts());
}

#[tokio::test]
async fn a_budget_is_all_askers_together() {
    let (server, asked) = wrong_until(u64::MAX).await;
    let window = ask(asking_again(server, 3, Some(0.1)), 200, 400.0).await;
    // A tenth of the users retry, and the initial ten tokens allow ten more. If many arrive at once, the
    // bucket has no room for all their tokens.
    let repeated = window.attempts() - 200;
    assert_eq!(asked.load(Ordering::Relaxed), window.attempts());
    assert!((10..=30).contains(&repeated), "{repeated}");
}

/// The loop is open: users that retry hold up nobody else.
#[tokio::test]
async fn askers_keep_coming_while_others_ask_again() {
    let (server, _) = wrong_until(u64::MAX).await;
    let retry = Some(Retry { times: 1, pause: Duration::from_millis(400), budget: None });
    let window = ask(Stream { retry, ..stream(server) }, 100, 200.0).await;
    assert_eq!(window.attempts(), 200);
    // The arrivals of half a second did not wait for the first user, whose last attempt came after 0.4 s.
    let last = window.samples().last().unwrap().intended;
    assert!(last < Duration::from_millis(1_500), "{last:?}");
}

#[tokio::test]
async fn a_404_is_not_asked_for_again() {
    let server = say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Duration::ZERO).await;
    let window = ask(asking_again(server, 3, None), 5, 10.0).await;
    assert_eq!(window.amplification(), 1.0);
}
