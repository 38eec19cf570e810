//! Nodes that do not belong to the cluster are refused, and told why.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use dbclient::Condition;

use crate::cluster::{Cluster, SECRET, get, wait_for};

/// Runs a node until it prints this.
#[track_caller]
pub fn says(mut command: Command, words: &str) {
    let mut child = command.env("RUST_LOG", "warn").stderr(Stdio::piped()).spawn().unwrap();
    let mut said = Vec::new();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = lines.take(50).map_while(Result::ok).any(|line| {
        said.push(line.clone());
        line.contains(words)
    });
    let _ = child.kill();
    let _ = child.wait();
    assert!(found, "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_secret_is_refused() {
    let mut cluster = Cluster::start(21, "quorum");
    let replica = (cluster.wait_for_primary() + 1) % 3;
    cluster.kill(replica);
    std::fs::write(cluster.secret(), "not what the others know").unwrap();
    says(cluster.command(replica), "another secret");
    std::fs::write(cluster.secret(), SECRET).unwrap();
    cluster.run(replica);
    cluster.wait_until_equal();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_with_a_name_that_is_taken_is_refused() {
    let cluster = Cluster::start(22, "quorum");
    let taken = (cluster.wait_for_primary() + 1) % 3;
    let second = cluster.command_elsewhere(taken);
    says(second, "another node called");
    cluster.client().put("key", "value".into(), Condition::Always).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_another_cluster_is_refused() {
    let (mut one, mut other) = (Cluster::start(23, "quorum"), Cluster::start(24, "quorum"));
    let node = (one.wait_for_primary() + 1) % 3;
    one.kill(node);
    other.kill(node);
    std::fs::remove_dir_all(one.data(node)).unwrap();
    std::fs::rename(other.data(node), one.data(node)).unwrap();
    says(one.command(node), "belongs to cluster");
    one.client().put("key", "value".into(), Condition::Always).await.unwrap();
}

#[test]
fn other_members_than_the_data_names_are_refused() {
    let mut cluster = Cluster::start(25, "quorum");
    cluster.kill(0);
    let mut command = cluster.command(0);
    command.args(["--peer", "db-4=127.83.25.4:7101"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("belongs to a cluster of db-1, db-2, db-3"), "{said}");
}

#[test]
fn flags_that_do_not_go_together_are_named() {
    let run = |flags: &[&str]| {
        let fixed = ["--id", "db-1", "--data", "/nowhere/data"];
        Command::new(env!("CARGO_BIN_EXE_dbnode")).args(fixed).args(flags).output().unwrap()
    };
    for (flags, words) in [
        (&["--peer", "db-2=127.0.0.1:7102"][..], "--peer-listen"),
        (&["--peer", "db-2=127.0.0.1:7102", "--peer-listen", "127.0.0.1:7101"], "--secret-file"),
        (&["--peer-listen", "127.0.0.1:7101"], "--peer"),
        (&["--peer", "db-2"], "NAME=HOST:PORT"),
        (&["--replication", "eventual"], "quorum"),
        (&["--election-timeout", "1ms"], "100ms"),
    ] {
        let output = run(flags);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{flags:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_peers_port_does_no_harm() {
    use std::io::Write;
    let cluster = Cluster::start(26, "quorum");
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[0, 0, 0, 4, 1, 2, 3, 4], &[0x7f, 0xff, 0xff, 0xff]]
    {
        let mut stream = std::net::TcpStream::connect("127.83.26.1:7101").unwrap();
        stream.write_all(garbage).unwrap();
    }
    wait_for("it to answer", || get(cluster.address(0), "/healthz"));
    cluster.client().put("key", "value".into(), Condition::Always).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_only_sit_there_keep_no_member_out() {
    let mut cluster = Cluster::start(27, "quorum");
    cluster.kill(2);
    // Each connection that is closed is opened again, continually.
    let stop = tokio_util::sync::CancellationToken::new();
    let sit = |node: u8| {
        let stop = stop.clone();
        move || {
            let mut sitting: Vec<std::net::TcpStream> = Vec::new();
            while !stop.is_cancelled() {
                sitting.retain(|stream| stream.peek(&mut [0]).is_err());
                while sitting.len() < 300 {
                    let Ok(stream) = std::net::TcpStream::connect(format!("127.83.27.{node}:7101")) else {
                        return;
                    };
                    stream.set_nonblocking(true).unwrap();
                    sitting.push(stream);
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    };
    let strangers = [1, 2].map(|node| std::thread::spawn(sit(node)));
    std::thread::sleep(std::time::Duration::from_millis(300));
    cluster.run(2);
    cluster.wait_for_primary();
    cluster.client().put("key", "value".into(), Condition::Always).await.unwrap();
    cluster.wait_until_equal();
    stop.cancel();
    strangers.into_iter().for_each(|stranger| stranger.join().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_given_something_else_is_refused_by_name() {
    let mut cluster = Cluster::start(30, "quorum");
    let odd = (cluster.wait_for_primary() + 1) % 3;
    cluster.kill(odd);
    let with = |flags: [&str; 2]| {
        let mut command = cluster.command(odd);
        let given: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
        let place = given.iter().position(|flag| flag == flags[0]);
        let mut odd = Command::new(command.get_program());
        let others = given.iter().enumerate();
        odd.args(
            others
                .filter(|(at, _)| place.is_none_or(|place| *at != place && *at != place + 1))
                .map(|(_, it)| it),
        );
        odd.args(flags);
        command = odd;
        command
    };
    let name = format!("'db-{}'", odd + 1);
    says(with(["--replication", "sync"]), &format!("{name} has --replication sync"));
    says(with(["--idempotency-window", "90s"]), &format!("{name} has --idempotency-window 1m 30s"));
    says(with(["--log-entries", "100"]), &format!("{name} has --log-entries 100"));
    says(with(["--election-timeout", "1s"]), &format!("{name} has --election-timeout 1s"));
    cluster.run(odd);
    cluster.wait_until_equal();
}
