//! Counters that programs expose on `/metrics`, in Prometheus' text format.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Method;

use super::http::Client;

const PATIENCE: Duration = Duration::from_secs(2);

/// The sum of a program's counter over all its labels. `None` if the program does not answer or has no such
/// counter.
pub async fn read(client: &Client, address: SocketAddr, counter: &str) -> Option<f64> {
    let answer = client.ask(address, Method::GET, "/metrics", None, PATIENCE).await.ok()?;
    total(std::str::from_utf8(&answer.body).ok()?, counter)
}

/// The sum of a counter over all its labels, in the text of `/metrics`.
pub fn total(text: &str, counter: &str) -> Option<f64> {
    let mut values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(counter)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.split_once("} ")?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    let first = values.next()?;
    Some(values.fold(first, |sum, value| sum + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_summed_over_its_labels() {
        let text = "# TYPE reads counter\nreads_total 3\nreads_total_more 9\nhits_total{from=\"a b\"} 1\nhits_total{from=\"c\"} 2.5 1234\n";
        assert_eq!(total(text, "reads_total"), Some(3.0));
        assert_eq!(total(text, "hits_total"), Some(3.5));
        assert_eq!(total(text, "misses_total"), None);
    }
}
