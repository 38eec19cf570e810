//! Redis servers: one shared with others, and one that must remember.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tests::http::{answer, ask, ask_for_cookie, ask_with_cookie};
use tests::{Lab, processes, wait};

const PASSWORD: &str = "hunter2-of-the-redis";
/// A restarted Redis and its clients have recovered within this time.
const BACK: Duration = Duration::from_secs(10);

/// A Redis server that runs independently of any lab.
struct Redis {
    url: String,
    address: String,
    process: Child,
    _directory: TempDir,
}

impl Redis {
    fn start(lab: &Lab) -> Self {
        // Outside the addresses of the lab's machines.
        let (ip, directory) =
            (format!("{}.9.9", lab.network()), TempDir::new().expect("a directory can be made"));
        let mut server =
            Command::new(if is_there("redis-server") { "redis-server" } else { "valkey-server" });
        server.args(["--bind", &ip, "--port", "6379", "--save", "", "--requirepass", PASSWORD]);
        server.arg("--dir").arg(directory.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let process = server.spawn().expect("there is a Redis server: scripts/test.sh installs one");
        let address = format!("{ip}:6379");
        let redis =
            Self { url: format!("redis://:{PASSWORD}@{address}"), address, process, _directory: directory };
        wait::until_true("Redis answers", BACK, || redis.says("PING").contains("+PONG"));
        redis
    }

    /// Returns its answer to a line.
    fn says(&self, line: &str) -> String {
        use std::io::{Read, Write};
        let Ok(mut stream) = std::net::TcpStream::connect(&self.address) else { return String::new() };
        let _ = write!(stream, "AUTH {PASSWORD}\r\n{line}\r\nQUIT\r\n");
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        said
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok()
}

fn address_of(lab: &Lab, machine: &str) -> String {
    let machine = lab.machine(machine);
    machine["programs"][0]["address"].as_str().expect("an address is text").to_owned()
}

#[test]
fn labs_that_share_a_redis_see_nothing_of_each_other_and_show_its_password_to_nobody() {
    let lab = Lab::new();
    let redis = Redis::start(&lab);
    redis.says("SET copy:product:1 precious");
    let up = || {
        let mut command = lab.labctl();
        let said =
            command.args(["up", "cache", "--redis-url", &redis.url]).output().expect("labctl can be started");
        assert!(said.status.success(), "{}", tests::lab::shown(&said));
        let status = lab.json(&["status"]);
        let machines = status["machines"].as_array().expect("machines are a list").iter();
        let programs = machines.filter(|machine| machine["programs"][0]["program"] == "webserver");
        programs
            .map(|machine| machine["programs"][0]["address"].as_str().expect("an address is text").to_owned())
            .collect::<Vec<_>>()
    };
    let cache = |address: &str| {
        let answer = answer(address, "GET /products/1", "").expect("it answers");
        let line =
            answer.lines().find_map(|line| line.strip_prefix("x-cache: ")).unwrap_or_default().to_owned();
        (line, answer.contains("from the first lab"))
    };

    let web = up();
    let shown: Vec<_> =
        processes::with(PASSWORD).into_iter().filter(|(pid, _)| *pid != redis.process.id()).collect();
    assert_eq!(shown, vec![], "the password is on a command line");
    for address in &web {
        assert_eq!(ask(address, "PUT /products/1\n{\"name\":\"from the first lab\",\"price\":7}"), Some(200));
        cache(address);
    }
    let kept = web.iter().filter(|address| cache(address) == ("HIT".into(), true)).count();
    assert!(kept >= 7, "{kept} of {} servers keep copies", web.len());
    lab.succeed(&["down"]);

    for address in up() {
        assert!(!cache(&address).1, "{address} shows what the first lab wrote");
    }
    lab.succeed(&["down"]);
    assert!(redis.says("GET copy:product:1").contains("precious"));
}

#[test]
fn a_guarded_redis_that_restarts_before_it_is_missed_logs_nobody_out() {
    let lab = Lab::new();
    lab.succeed(&["up", "sessions"]);
    let front = address_of(&lab, "lb-guarded");
    let cookies: Vec<_> = (0..5)
        .map(|user| ask_for_cookie(&front, &format!("POST /login\n{{\"user\":\"u{user}\"}}")))
        .collect();
    for _ in 0..3 {
        lab.succeed(&["restart", "primary"]);
        for cookie in &cookies {
            let me = || ask_with_cookie(&front, "GET /me", cookie);
            // Until the servers have reconnected, they answer that they cannot tell.
            let (status, _) =
                wait::until("it is known who she is", BACK, || me().filter(|status| *status != 503));
            assert_eq!(status, 200);
        }
    }
    lab.succeed(&["down"]);
}
