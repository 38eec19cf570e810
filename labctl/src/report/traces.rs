//! Reads the spans that a lab's programs have recorded, and assembles them into traces.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// File name suffix of recorded spans.
const ENDING: &str = ".spans.jsonl";

/// A span: the part of a request that one program handled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: String,
    /// Its own id.
    pub span: String,
    /// Its parent span, if known.
    pub parent: Option<String>,
    /// The machine.
    #[serde(default)]
    pub machine: String,
    /// The program.
    pub program: String,
    /// The operation.
    pub name: String,
    /// When it began, in microseconds since 1970.
    pub start_us: u64,
    /// Its duration in microseconds.
    pub us: u64,
    /// Further attributes.
    #[serde(flatten)]
    pub about: BTreeMap<String, String>,
}

/// One request at every hop.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// Its id.
    pub trace: String,
    /// Its spans in depth-first order, siblings in order of their start.
    pub spans: Vec<Placed>,
}

/// A span with its position in the trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Placed {
    /// The span.
    #[serde(flatten)]
    pub span: Span,
    /// Its depth in the tree.
    pub depth: usize,
    /// Self time: the part of its duration that neither a child covers nor a span beside it that began earlier, in
    /// microseconds.
    pub own_us: u64,
}

impl Trace {
    /// Returns its duration in microseconds.
    pub fn us(&self) -> u64 {
        self.spans.first().map_or(0, |root| root.span.us)
    }
}

/// Reads all spans below a directory of logs, which has a subdirectory per machine. Without the directory
/// there are none.
pub fn read(logs: &Path) -> anyhow::Result<Vec<Span>> {
    let mut spans = Vec::new();
    let machines = match fs::read_dir(logs) {
        Ok(machines) => machines,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(spans),
        Err(error) => return Err(error).with_context(|| format!("read {}", logs.display())),
    };
    for machine in machines {
        let machine = machine?;
        let Ok(files) = fs::read_dir(machine.path()) else { continue };
        let name = machine.file_name().to_string_lossy().into_owned();
        for file in files.filter_map(Result::ok) {
            if file.file_name().to_string_lossy().ends_with(ENDING) {
                spans.extend(read_file(&file.path(), &name)?);
            }
        }
    }
    Ok(spans)
}

/// Reads the spans of a program. If it was killed, the last line may be incomplete and is skipped.
fn read_file(path: &Path, machine: &str) -> anyhow::Result<Vec<Span>> {
    let file = fs::File::open(path).with_context(|| format!("read {}", path.display()))?;
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let spans = lines.filter_map(|line| serde_json::from_str::<Span>(&line).ok());
    Ok(spans.map(|span| Span { machine: machine.to_owned(), ..span }).collect())
}

/// Assembles spans into traces, slowest first. A root is a span whose parent is not among the spans: the
/// client's own, or none. In a cycle of parents it is the span that began first.
pub fn assemble(spans: Vec<Span>) -> Vec<Trace> {
    let mut by_trace: HashMap<String, Vec<Span>> = HashMap::new();
    for span in spans {
        by_trace.entry(span.trace.clone()).or_default().push(span);
    }
    let mut traces: Vec<_> = by_trace.into_iter().map(|(trace, spans)| one(trace, spans)).collect();
    traces.sort_by(|one, other| other.us().cmp(&one.us()).then_with(|| one.trace.cmp(&other.trace)));
    traces
}

fn one(trace: String, mut spans: Vec<Span>) -> Trace {
    spans.sort_by_key(|span| (span.start_us, u64::MAX - span.us));
    let known: HashSet<&str> = spans.iter().map(|span| span.span.as_str()).collect();
    let (mut roots, mut parts) = (Vec::new(), Parts::new());
    for span in &spans {
        match span.parent.as_deref().filter(|parent| known.contains(parent)) {
            Some(parent) => parts.entry(parent).or_default().push(span),
            None => roots.push(span),
        }
    }
    let mut placed = Vec::new();
    roots.into_iter().for_each(|root| place(root, 0, whole(root), &mut parts, &mut placed));
    for span in &spans {
        // Only a cycle is left, and what hangs on it.
        if let Some(parts_of_parent) = span.parent.as_deref().and_then(|parent| parts.get_mut(parent))
            && let Some(at) = parts_of_parent.iter().position(|part| std::ptr::eq(*part, span))
        {
            let root = parts_of_parent.remove(at);
            place(root, 0, whole(root), &mut parts, &mut placed);
        }
    }
    Trace { trace, spans: placed }
}

/// The children of each span, by its id.
type Parts<'a> = HashMap<&'a str, Vec<&'a Span>>;

/// Places a span and those below it. `counted` is the time that it accounts for. Children are removed from the map as
/// they are placed, so a cycle of parents cannot recurse endlessly.
fn place<'a>(
    span: &'a Span,
    depth: usize,
    counted: Range<u64>,
    all: &mut Parts<'a>,
    placed: &mut Vec<Placed>,
) {
    let parts = all.remove(span.span.as_str()).unwrap_or_default();
    let shares = shares(&counted, &parts);
    let own_us = length(&counted) - shares.iter().map(length).sum::<u64>();
    placed.push(Placed { span: span.clone(), depth, own_us });
    for (part, share) in parts.into_iter().zip(shares) {
        place(part, depth + 1, share, all, placed);
    }
}

/// Splits the time that a span accounts for among its children, in order of their start. What goes on at the same time
/// counts for the first of them only, so that all times of a trace add up.
fn shares(counted: &Range<u64>, parts: &[&Span]) -> Vec<Range<u64>> {
    let mut until = counted.start;
    let share = |part: &&Span| {
        let from = part.start_us.clamp(until, counted.end);
        until = (part.start_us + part.us).clamp(from, counted.end);
        from..until
    };
    parts.iter().map(share).collect()
}

fn length(range: &Range<u64>) -> u64 {
    range.end - range.start
}

fn whole(span: &Span) -> Range<u64> {
    span.start_us..span.start_us + span.us
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: &str, id: &str, parent: Option<&str>, start_us: u64, us: u64) -> Span {
        Span {
            trace: trace.into(),
            span: id.into(),
            parent: parent.map(str::to_owned),
            machine: "m".into(),
            program: "p".into(),
            name: id.into(),
            start_us,
            us,
            about: BTreeMap::new(),
        }
    }

    #[test]
    fn spans_of_all_programs_become_one_tree_whose_times_add_up() {
        let spans = vec![
            span("t", "db", Some("web"), 130, 40),
            span("t", "lb", Some("the client's"), 100, 100),
            span("t", "web", Some("lb"), 110, 80),
            span("quick", "other", None, 0, 5),
        ];
        let traces = assemble(spans);
        assert_eq!(traces.iter().map(Trace::us).collect::<Vec<_>>(), [100, 5], "the slowest first");
        let rows: Vec<_> =
            traces[0].spans.iter().map(|it| (it.span.name.as_str(), it.depth, it.own_us)).collect();
        assert_eq!(rows, [("lb", 0, 20), ("web", 1, 40), ("db", 2, 40)]);
        assert_eq!(traces[0].spans.iter().map(|it| it.own_us).sum::<u64>(), traces[0].us());
    }

    #[test]
    fn what_goes_on_at_the_same_time_counts_once() {
        let spans = vec![
            span("t", "commit", None, 0, 100),
            span("t", "disk", Some("commit"), 10, 50),
            span("t", "to db-2", Some("commit"), 40, 100),
            span("t", "append", Some("to db-2"), 50, 20),
        ];
        let traces = assemble(spans);
        let owns: Vec<_> = traces[0].spans.iter().map(|it| (it.span.name.as_str(), it.own_us)).collect();
        assert_eq!(owns, [("commit", 10), ("disk", 50), ("to db-2", 30), ("append", 10)]);
        assert_eq!(owns.iter().map(|(_, own)| own).sum::<u64>(), traces[0].us());
    }

    #[test]
    fn spans_that_are_their_own_parents_end() {
        let spans = vec![
            span("t", "b", Some("a"), 1, 5),
            span("t", "a", Some("b"), 0, 9),
            span("t", "c", Some("b"), 2, 1),
        ];
        let traces = assemble(spans);
        let rows: Vec<_> = traces[0].spans.iter().map(|it| (it.span.name.as_str(), it.depth)).collect();
        assert_eq!(rows, [("a", 0), ("b", 1), ("c", 2)]);
        assert_eq!(traces[0].us(), 9);
    }

    #[test]
    fn a_span_that_is_its_own_parent_is_shown_once() {
        let twice = vec![span("t", "a", None, 0, 9), span("t", "a", Some("a"), 1, 2)];
        assert_eq!(assemble(twice)[0].spans.len(), 2);
    }

    #[test]
    fn a_line_that_is_only_half_there_is_left_out() {
        let logs = tempfile::tempdir().expect("a directory");
        let machine = logs.path().join("web-1");
        fs::create_dir(&machine).expect("it can be made");
        let line = r#"{"trace":"t","span":"s","program":"webserver","name":"GET /","start_us":5,"us":7,"status":"200"}"#;
        fs::write(machine.join("webserver.spans.jsonl"), format!("{line}\n{{\"trace\":"))
            .expect("it can be written");
        let spans = read(logs.path()).expect("it can be read");
        assert_eq!(spans.len(), 1);
        assert_eq!((spans[0].machine.as_str(), spans[0].about["status"].as_str()), ("web-1", "200"));
    }
}
