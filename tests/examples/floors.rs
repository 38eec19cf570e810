//! The floors below which no database can go on this computer, used by `scripts/bench-db.sh`.
//!
//!     floors answer HOST:PORT     answers every request with the same record, and neither parses nor looks up anything
//!     floors sync FILE SECONDS    appends 100 bytes and syncs them, again and again; prints syncs a second
//!
//! `answer` has one thread, and its response is as long as dbnode's to a read of 100 bytes.

#![allow(clippy::print_stdout, reason = "figures are printed")]

use std::fs::File;
use std::io::{Error, ErrorKind, Result, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const VALUE: &str =
    "x123456789x123456789x123456789x123456789x123456789x123456789x123456789x123456789x123456789x123456789";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let usage =
        || Error::new(ErrorKind::InvalidInput, "floors answer HOST:PORT, or floors sync FILE SECONDS");
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["answer", address] => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(answer(address.parse().map_err(|_| usage())?))
        }
        ["sync", file, seconds] => {
            let length = seconds.parse().map(Duration::from_secs_f64).map_err(|_| usage())?;
            println!("{:.0}", sync(Path::new(file), length)?);
            Ok(())
        }
        _ => Err(usage()),
    }
}

async fn answer(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream));
    }
}

/// Serves one client, whose requests each arrive in one piece.
async fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let response = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\netag: \"1.12345\"\r\nx-lag-ms: 0\r\n\
         x-db-node: db-1\r\ncontent-length: {}\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n{VALUE}",
        VALUE.len()
    );
    let mut request = [0; 4096];
    while stream.read(&mut request).await? > 0 {
        stream.write_all(response.as_bytes()).await?;
    }
    Ok(())
}

/// Returns the number of syncs a second. The file has its full size first, as a segment of a log has.
fn sync(path: &Path, length: Duration) -> Result<f64> {
    let mut file = File::create(path)?;
    let zeros = vec![0; 16 << 20];
    file.write_all(&zeros)?;
    file.sync_all()?;
    let (began, mut count) = (Instant::now(), 0u32);
    let places = u32::try_from(zeros.len() / VALUE.len()).map_err(Error::other)?;
    while began.elapsed() < length {
        let place = u64::from(count % places) * VALUE.len() as u64;
        std::os::unix::fs::FileExt::write_all_at(&file, VALUE.as_bytes(), place)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}
