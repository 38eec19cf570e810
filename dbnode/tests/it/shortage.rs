//! A process that runs out of file descriptors, which is not a failure of the disk.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use dbclient::{Client, ClientLimits, Condition};
use machine::network::Network;
use tempfile::TempDir;

/// A node in its own process, which is killed when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a node with this limit of open files.
fn start(data: &TempDir, address: SocketAddr, files_max: u32) -> Process {
    let mut command = Command::new("sh");
    let limited = format!("ulimit -n {files_max}; exec \"$0\" \"$@\"");
    command.args(["-c", &limited, env!("CARGO_BIN_EXE_dbnode"), "--id", "db-1"]);
    command.args(["--listen", &address.to_string(), "--log-entries", "20"]).arg("--data").arg(data.path());
    Process(command.env("RUST_LOG", "error").process_group(0).spawn().unwrap())
}

async fn put_in_time(client: &Client, key: &str, value: &[u8]) {
    let limit = Instant::now() + Duration::from_secs(10);
    while let Err(error) = client.put(key, value.to_vec().into(), Condition::Always).await {
        assert!(Instant::now() < limit, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_descriptor_left_goes_on() {
    let data = TempDir::new().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut node = start(&data, address, 64);
    let client = Client::new(vec![address], Network::tcp(), ClientLimits::default());
    put_in_time(&client, "before", b"value").await;
    // More connections than it can accept; they stay open and idle.
    let idle: Vec<_> = (0..100).map_while(|_| TcpStream::connect(address).ok()).collect();
    assert!(idle.len() > 64, "only {} connections", idle.len());
    // Uses the connection that is already open, until the log needs another file and the snapshot
    // is written.
    let value = vec![7; 300_000];
    let mut refused = 0;
    for number in 0..80 {
        let written =
            client.put(&format!("key-{}", number % 4), value.clone().into(), Condition::Always).await;
        refused += usize::from(written.is_err());
        assert_eq!(node.0.try_wait().unwrap(), None, "it ended at write {number}: {written:?}");
        if refused > 2 {
            break;
        }
    }
    drop(idle);
    put_in_time(&client, "after", b"value").await;
    assert_eq!(node.0.try_wait().unwrap(), None);
}
