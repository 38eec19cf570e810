//! `healthcheck ADDRESS [TOKEN-FILE]`: requests `/healthz` from the address, with the token if one is given, and exits
//! with 0 if the response is 200. It is the health check of the containers, so that the image needs no curl. It uses
//! only the standard library, because it is started often.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (Some(address), token_file, None) = (words.next(), words.next(), words.next()) else {
        let _ = writeln!(io::stderr(), "usage: healthcheck ADDRESS [TOKEN-FILE], such as 127.0.0.1:9001");
        return ExitCode::from(2);
    };
    let token = match token_file.as_deref().map(std::fs::read_to_string).transpose() {
        Ok(token) => token,
        Err(error) => return unfit(&address, &format!("cannot read its token: {error}")),
    };
    match ask(&address, token.as_deref()) {
        Ok(status) if status.split(' ').nth(1) == Some("200") => ExitCode::SUCCESS,
        Ok(status) => unfit(&address, &status),
        Err(error) => unfit(&address, &error),
    }
}

/// Returns the status line of the response.
fn ask(address: &str, token: Option<&str>) -> io::Result<String> {
    let mut stream = connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let token = token.map_or(String::new(), |token| format!("authorization: Bearer {}\r\n", token.trim()));
    write!(stream, "GET /healthz HTTP/1.1\r\nhost: {address}\r\n{token}connection: close\r\n\r\n")?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status)?;
    Ok(status.trim_end().to_owned())
}

/// Connects to the first of the name's addresses that accepts.
fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for found in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&found, LIMIT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn unfit(address: &str, why: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "{address} is not well: {why}");
    ExitCode::FAILURE
}
