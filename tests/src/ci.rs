//! Extracts steps of workflow files, so that tests can run them as a CI service would.

/// Returns the script of the step with this name: the text below its `run: |`.
pub fn step(workflow: &str, name: &str) -> String {
    let named = format!("- name: {name}");
    let lines = workflow.lines().skip_while(|line| line.trim() != named);
    let mut lines = lines.skip_while(|line| line.trim() != "run: |");
    let run = lines.next().unwrap_or_else(|| panic!("no step '{name}' with a script"));
    let depth = run.len() - run.trim_start().len();
    let below = |line: &&str| line.trim().is_empty() || line.len() - line.trim_start().len() > depth;
    let script: Vec<_> = lines.take_while(below).collect();
    assert!(!script.is_empty(), "the script of '{name}' is empty");
    script.join("\n")
}
