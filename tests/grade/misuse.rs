//! Programs that are not parts: each gets a clear message, and nothing is left running.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tests::Lab;
use tests::lab::shown;

fn python(lab: &Lab, text: &str) -> PathBuf {
    let path = lab.path().join("part.py");
    std::fs::write(&path, format!("#!/usr/bin/env python3\n{text}\n")).expect("it can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

/// A script that listens where it is told to, and does this with each connection.
fn listening(each: &str) -> String {
    format!(
        "import socket, subprocess, sys\n\
         host, port = sys.argv[sys.argv.index('--listen') + 1].rsplit(':', 1)\n\
         door = socket.create_server((host, int(port)))\n\
         while True:\n    stream, _ = door.accept()\n    {each}"
    )
}

fn said(text: &str, stage: &str, wanted: &[&str]) {
    let lab = Lab::new();
    let path = python(&lab, text);
    let output = lab.run(&["grade", "lb", path.to_str().expect("it is text"), "--stage", stage]);
    let told = String::from_utf8_lossy(&output.stdout);
    wanted
        .iter()
        .for_each(|wanted| assert!(told.contains(wanted), "should say {wanted:?}: {}", shown(&output)));
    // On a busy computer the result may be undecided, but never a pass.
    assert!([Some(1), Some(3)].contains(&output.status.code()), "{}", shown(&output));
    assert_eq!(lab.running(), vec![]);
    let left = std::process::Command::new("pgrep").args(["-f", &path.to_string_lossy()]).output();
    let left = left.expect("pgrep can be started");
    assert!(left.stdout.is_empty(), "left running: {}", String::from_utf8_lossy(&left.stdout));
}

#[test]
fn one_that_dies_at_once() {
    said(
        "raise SystemExit('no configuration')",
        "1",
        &["it ended while it started (exit code 1)", "| no configuration"],
    );
}

#[test]
fn one_that_does_not_listen() {
    said(
        "import time\ntime.sleep(100)",
        "1",
        &["it does not listen on 127.", "after 5s", "said nothing meanwhile"],
    );
}

#[test]
fn one_that_talks_nonsense() {
    said(
        &listening("stream.recv(1000); stream.sendall(b'hello there, and welcome\\n'); stream.close()"),
        "1",
        &["GET /page: ", "its answer is not HTTP/1.1"],
    );
}

#[test]
fn one_that_says_nothing() {
    said(&listening("pass"), "1", &["GET /page: "]);
}

#[test]
fn one_that_listens_and_never_forwards() {
    let refuses = "stream.recv(1000); \
                   stream.sendall(b'HTTP/1.1 404 Not Found\\r\\nContent-Length: 9\\r\\n\\r\\nnot found'); \
                   stream.close()";
    let wanted =
        ["does not forward a request yet: GET /page was answered 404 'not found', wanted 2xx", "$ curl -i"];
    said(&listening(refuses), "1", &wanted);
}

#[test]
fn one_that_knows_its_servers_only_a_while_after_it_listens() {
    let lab = Lab::new();
    let examples = crate::graded::root().join("examples");
    let path = python(
        &lab,
        &format!(
            "import sys, time\n\
             sys.dont_write_bytecode = True\n\
             sys.path.insert(0, {examples:?})\n\
             from balancer import Balancer, Refused, main\n\
             began = time.monotonic()\n\
             class Late(Balancer):\n    \
                 async def forward(self, *request):\n        \
                     if time.monotonic() < began + 1.5: raise Refused(404)\n        \
                     return await super().forward(*request)\n\
             main(Late)"
        ),
    );
    let output = lab.run(&["grade", "lb", path.to_str().expect("it is text"), "--stage", "1,2"]);
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{}", shown(&output));
}

#[test]
fn one_that_ends_in_the_middle() {
    said(&listening("sys.exit('out of ideas')"), "1", &["it ended by itself (exit code", "| out of ideas"]);
}

#[test]
fn one_that_prints_megabytes() {
    said(&listening("print('x' * (40 << 20)); stream.close()"), "1", &["it printed", "MiB in one stage"]);
}

#[test]
fn one_that_starts_others_and_ignores_sigterm() {
    let text = format!(
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{}",
        listening(
            "page = b'/page' in stream.recv(1000); page and stream.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n'); \
             stream.close(); page or subprocess.Popen([sys.executable, sys.argv[0]] + sys.argv[1:])"
        )
    );
    said(&text, "12", &["GET /slow"]);
}

#[test]
fn what_is_asked_for_wrongly() {
    let lab = Lab::new();
    let path = python(&lab, "");
    let path = path.to_str().expect("it is text");
    for (words, code, wanted) in [
        (vec!["grade", "lb", path, "--stage", "15"], 2, "the stages of lb are 1 to 14"),
        (vec!["grade", "lb", "./nothing"], 4, "there is no file"),
        (vec!["grade", "lb", path, "--network", "172.20", "--backend", "compose"], 2, "loopback"),
        (vec!["new", "lb", "--language", "cobol"], 2, "known are python"),
        (vec!["backend", "--name", "web-1", "--listen", "0.0.0.0:0"], 2, "for loopback addresses"),
    ] {
        let output = lab.run(&words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", shown(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(wanted), "{words:?}: {}", shown(&output));
    }
}
