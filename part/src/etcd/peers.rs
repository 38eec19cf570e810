//! Connects etcd's members through the lab's links.
//!
//! All members of an etcd cluster have to agree on each member's address; but each of the lab's machines reaches
//! another one through its own link, so by an address of its own. The members are therefore given unroutable addresses
//! (RFC 5737), and etcd is given a proxy that maps them to the addresses that work on this machine.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::http::uri::{Authority, Uri};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// The port of the unroutable addresses.
const PORT: u16 = 2380;

type Forward = Client<HttpConnector, Incoming>;

/// Returns the address by which all members know a member.
pub(super) fn alias(members: &[String], member: &str) -> Option<String> {
    let at = members.iter().position(|other| other == member)?;
    Some(format!("192.0.2.{}:{PORT}", at + 1))
}

/// Forwards requests for these aliases to the addresses behind them. Returns the proxy's address.
pub(super) async fn serve(ip: IpAddr, ways: BTreeMap<String, String>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((ip, 0)).await?;
    let address = listener.local_addr()?;
    let client: Forward = Client::builder(TokioExecutor::new()).build_http();
    let ways = Arc::new(ways);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (client, ways) = (client.clone(), Arc::clone(&ways));
            let service = service_fn(move |request| {
                let (client, ways) = (client.clone(), Arc::clone(&ways));
                async move { Ok::<_, Infallible>(forward(&client, &ways, request).await) }
            });
            tokio::spawn(async move {
                // The client retries a broken connection.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}

async fn forward(
    client: &Forward,
    ways: &BTreeMap<String, String>,
    mut request: Request<Incoming>,
) -> Response<BoxBody<Bytes, hyper::Error>> {
    let uri = request
        .uri()
        .authority()
        .and_then(|to| ways.get(to.as_str()))
        .and_then(|way| leads(request.uri(), way));
    let Some(uri) = uri else { return refused(StatusCode::FORBIDDEN) };
    *request.uri_mut() = uri;
    match client.request(request).await {
        Ok(answer) => answer.map(BodyExt::boxed),
        Err(_) => refused(StatusCode::BAD_GATEWAY),
    }
}

/// Replaces the authority of a URI.
fn leads(place: &Uri, way: &str) -> Option<Uri> {
    let mut parts = place.clone().into_parts();
    parts.authority = Some(way.parse::<Authority>().ok()?);
    Uri::from_parts(parts).ok()
}

fn refused(status: StatusCode) -> Response<BoxBody<Bytes, hyper::Error>> {
    let mut answer = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_has_an_address_that_leads_nowhere() {
        let members = ["db-1".to_owned(), "db-2".to_owned()];
        assert_eq!(alias(&members, "db-2").as_deref(), Some("192.0.2.2:2380"));
        assert_eq!(alias(&members, "db-3"), None);
    }

    #[test]
    fn the_way_is_another_one_and_the_place_the_same() {
        let place = "http://192.0.2.2:2380/raft/stream/msgapp/1?a=b".parse().unwrap();
        let leads = leads(&place, "127.77.1.4:7101").unwrap();
        assert_eq!(leads.to_string(), "http://127.77.1.4:7101/raft/stream/msgapp/1?a=b");
    }
}
