//! The generator over real sockets.

mod open_loop;
mod outcomes;
mod retries;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Longer than any of this takes, unless it hangs.
const LIMIT: Duration = Duration::from_secs(20);

/// A well-behaved HTTP server; `answer` is given the number of the request, from 0.
async fn serve<F, Fut>(answer: F) -> SocketAddr
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let numbers = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (answer, numbers) = (answer.clone(), numbers.clone());
            let service = service_fn(move |_request| {
                let answer = answer(numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
                async move { Ok::<_, Infallible>(answer.await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    address
}

/// A server that reads one request per connection, sends these bytes, stays for a while, and hangs up.
async fn say(bytes: &'static str, stay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                read_head(&mut socket).await;
                socket.write_all(bytes.as_bytes()).await.unwrap();
                tokio::time::sleep(stay).await;
            });
        }
    });
    address
}

async fn read_head(socket: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
}

fn stream(target: SocketAddr) -> Stream {
    let requests = RequestMix::get("/products/{key}", Keys::Uniform { count: 10 });
    Stream { arrivals: Arrivals::Constant, ..Stream::new("shop", target, requests) }
}

/// The window of all requests meant for the first `span` of a stream at this rate.
async fn run(stream: Stream, rate: f64, span: Duration) -> Window {
    let generator = Generator::start(Instant::now()).unwrap();
    let id = generator.add(stream).unwrap();
    generator.set_rate(id, Rate::Steady(rate));
    generator.recorder().settled(span, LIMIT).await.unwrap();
    let window = generator.recorder().window(id, Duration::ZERO, span);
    generator.stop();
    window
}
