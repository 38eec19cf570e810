//! Ctrl-C at any moment leaves neither processes nor half-written results.

use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::{Lab, processes, wait};

const ENDS: Duration = Duration::from_secs(10);

fn start(lab: &Lab, words: &[&str]) -> Child {
    let mut command = lab.plain_labctl();
    command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("labctl can be started")
}

fn end_code(child: &mut Child) -> Option<i32> {
    wait::until("labctl's end", ENDS, || child.try_wait().expect("it can be asked")).0.code()
}

fn results(lab: &Lab) -> Vec<String> {
    let chapter = lab.path().join("runs/server-failure");
    let entries = std::fs::read_dir(chapter).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn ctrl_c_at_many_moments_leaves_nothing() {
    // From before the first machine starts to the middle of a measurement.
    for millis in [1, 5, 20, 50, 100, 150, 200, 300, 500, 800, 1500, 2500] {
        let lab = Lab::new();
        let mut run = start(&lab, &["run", "server-failure"]);
        std::thread::sleep(Duration::from_millis(millis));
        processes::signal(run.id(), Signal::SIGINT);
        let code = end_code(&mut run);
        // In the first moments no handler is installed yet, and the signal itself ends the process.
        assert!(code == Some(130) || (code.is_none() && millis < 50), "after {millis} ms: {code:?}");
        wait::until_true("the end of everything", Duration::from_secs(3), || lab.running().is_empty());
        assert_eq!(results(&lab), Vec::<String>::new(), "after {millis} ms");
        assert!(!lab.path().join(".lab/state.json").exists(), "after {millis} ms");
    }
}

#[test]
fn ctrl_c_while_machines_start_for_up_leaves_nothing() {
    for millis in [50, 150, 300] {
        let lab = Lab::new();
        let mut up = start(&lab, &["up", "more-servers"]);
        std::thread::sleep(Duration::from_millis(millis));
        processes::signal(up.id(), Signal::SIGINT);
        let code = end_code(&mut up);
        if code == Some(0) {
            // The command finished before the signal.
            lab.succeed(&["down"]);
        }
        wait::until_true("the end of everything", Duration::from_secs(5), || lab.running().is_empty());
    }
}

#[test]
fn sigterm_ends_a_run_with_143() {
    let lab = Lab::new();
    let mut run = start(&lab, &["run", "server-failure"]);
    wait::until_true("the lab's start", ENDS, || lab.path().join(".lab/state.json").exists());
    processes::signal(run.id(), Signal::SIGTERM);
    assert_eq!(end_code(&mut run), Some(143));
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn down_from_another_terminal_ends_a_run_with_143() {
    let lab = Lab::new();
    let mut run = start(&lab, &["run", "server-failure"]);
    wait::until_true("the lab's answer", ENDS, || lab.run(&["status"]).status.success());
    lab.succeed(&["down"]);
    assert_eq!(end_code(&mut run), Some(143));
    assert_eq!(lab.running(), vec![]);
    assert_eq!(results(&lab), Vec::<String>::new());
}

#[test]
fn a_killed_run_takes_its_lab_with_it() {
    let lab = Lab::new();
    let mut run = start(&lab, &["run", "server-failure"]);
    wait::until_true("the web servers' start", ENDS, || {
        lab.running().iter().any(|(_, line)| line.contains("webserver"))
    });
    processes::signal(run.id(), Signal::SIGKILL);
    end_code(&mut run);
    wait::until_true("the end of everything", Duration::from_secs(3), || lab.running().is_empty());
    // The next command cleans up what it had written.
    lab.succeed(&["down"]);
    assert_eq!(results(&lab), Vec::<String>::new());
}
