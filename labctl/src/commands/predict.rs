//! `labctl run CHAPTER --predict`: asks for predictions before the run. Students who have predicted a result
//! remember it.

use std::io::{BufRead, Write};

use anyhow::Context;

use crate::report::columns;
use crate::report::terminal::{short, wrap};
use crate::results::stored::{GUESSES, StoredGuess};
use crate::runner::RunDocument;
use chapter::{Bound, Expect, Source};
use lab::error::LabError;

/// Maximum number of questions per chapter.
const QUESTIONS_MAX: usize = 3;
/// A prediction is right within this share of the measured value, if it is on the same side of the claim's
/// bounds.
const CLOSE: f64 = 0.25;

/// A student's prediction.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Guess {
    question: String,
    step: String,
    claim: String,
    unit: String,
    /// The figures that the claim wants.
    bound: Option<Bound>,
    /// `None` if the student gave no figure.
    figure: Option<f64>,
}

/// Asks the chapter's questions. An empty line is no prediction.
pub(super) fn ask(
    source: &Source,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> Result<Vec<Guess>, LabError> {
    let mut guesses = Vec::new();
    let asked = source.chapter.step.iter().flat_map(|step| step.expect.iter().map(move |one| (step, one)));
    let asked = asked.filter_map(|(step, expect)| Some((step, expect, expect.ask.as_ref()?)));
    for (step, expect, question) in asked.take(QUESTIONS_MAX) {
        let figure = ask_one(expect, question, input, output).map_err(anyhow::Error::from)?;
        let (step, claim, unit) = (step.name.clone(), expect.claim.clone(), expect.unit.clone());
        let bound = expect.bound().ok();
        guesses.push(Guess { question: question.clone(), step, claim, unit, bound, figure });
    }
    Ok(guesses)
}

fn ask_one(
    expect: &Expect,
    question: &str,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> std::io::Result<Option<f64>> {
    loop {
        write!(output, "{question} [{}] ", expect.unit.trim())?;
        output.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(None);
        }
        match figure(&line) {
            Some(figure) => return Ok(Some(figure)),
            None => writeln!(output, "A number, please, or an empty line for none.")?,
        }
    }
}

/// Parses a figure leniently: `3,5 s` is 3.5.
fn figure(text: &str) -> Option<f64> {
    let text = text.trim().replace(',', ".");
    let end = text.find(|letter: char| !(letter.is_ascii_digit() || letter == '.' || letter == '-'));
    text[..end.unwrap_or(text.len())].parse().ok()
}

/// Formats predictions beside the measured values, line by line.
pub(super) fn beside(guesses: &[StoredGuess]) -> Vec<String> {
    guesses.iter().flat_map(|guess| lines(guess, columns::prose())).collect()
}

/// Adds the measured values to the predictions.
pub(super) fn answered(guesses: Vec<Guess>, run: &RunDocument) -> Vec<StoredGuess> {
    let measured = |guess: &Guess| {
        let claims = run.findings.claims.iter();
        let mut same = claims.filter(|claim| claim.step == guess.step && claim.claim == guess.claim);
        same.next().and_then(|claim| claim.measured)
    };
    let answered = |guess: Guess| {
        let measured = measured(&guess);
        let both = guess.figure.zip(measured);
        let right = both.map(|(guessed, measured)| is_right(guessed, measured, guess.bound));
        StoredGuess { ask: guess.question, guessed: guess.figure, measured, unit: guess.unit, right }
    };
    guesses.into_iter().map(answered).collect()
}

/// Stores the predictions with their run, for its page.
pub(super) fn keep(guesses: &[StoredGuess], run: &RunDocument) -> Result<(), LabError> {
    if guesses.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_string_pretty(guesses).map_err(anyhow::Error::from)?;
    Ok(std::fs::write(run.directory.join(GUESSES), text).context("keep the guesses")?)
}

fn lines(guess: &StoredGuess, width: usize) -> Vec<String> {
    const INDENT: usize = 4;
    let StoredGuess { ask: question, guessed, measured, unit, right } = guess;
    let shown = |figure: f64| format!("{}{unit}", short(figure));
    let told = match (*guessed, *measured) {
        (Some(guessed), Some(measured)) => {
            let word = if *right == Some(true) { "right" } else { "no" };
            format!("{word}: measured {}, you said {}", shown(measured), shown(guessed))
        }
        (Some(guessed), None) => format!("nothing was measured; you said {}", shown(guessed)),
        (None, Some(measured)) => format!("measured {}; you made no guess", shown(measured)),
        (None, None) => "nothing was measured".into(),
    };
    let mut lines = wrap(question, width);
    lines.extend(wrap(&told, width - INDENT).into_iter().map(|line| format!("{:INDENT$}{line}", "")));
    lines
}

/// Returns whether a prediction is right: near the measured value, and on the same side of the bounds that
/// decide about the claim. Who expects what was refuted is not right, however near it is.
fn is_right(guessed: f64, measured: f64, bound: Option<Bound>) -> bool {
    let is_near = (guessed - measured).abs() <= CLOSE * measured.abs();
    is_near && bound.is_none_or(|bound| bound.holds(guessed) == bound.holds(measured))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_understood_as_people_write_them() {
        let understood: Vec<_> = ["3", " 3,5 s", "20 %", "-1", "many", ""].map(figure).into();
        assert_eq!(understood, [Some(3.0), Some(3.5), Some(20.0), Some(-1.0), None, None]);
    }

    #[test]
    fn questions_are_asked_until_there_is_a_number_or_nothing() {
        let source = Source::open("server-failure", &[]).unwrap();
        let mut said = Vec::new();
        let guesses = ask(&source, &mut "soon\n3\n\n".as_bytes(), &mut said).unwrap();
        assert_eq!(guesses.iter().map(|guess| guess.figure).collect::<Vec<_>>(), [Some(3.0), None]);
        assert!(String::from_utf8(said).unwrap().contains("A number, please"));
    }

    #[test]
    fn every_chapter_asks_one_to_three_questions() {
        for name in chapter::library::names() {
            let chapter = Source::open(name, &[]).unwrap().chapter;
            let count =
                chapter.step.iter().flat_map(|step| &step.expect).filter(|one| one.ask.is_some()).count();
            assert!((1..=QUESTIONS_MAX).contains(&count), "{name} asks {count}");
        }
    }

    #[test]
    fn a_guess_is_shown_beside_what_was_measured() {
        let guess = |guessed: Option<f64>| {
            let (ask, unit, measured) = ("How long?".into(), " s".into(), Some(2.8));
            let right = guessed.map(|guessed| is_right(guessed, 2.8, None));
            lines(&StoredGuess { ask, guessed, measured, unit, right }, 40).join("\n")
        };
        assert_eq!(guess(Some(3.0)), "How long?\n    right: measured 2.80 s, you said 3 s");
        assert_eq!(guess(Some(1.0)), "How long?\n    no: measured 2.80 s, you said 1 s");
        assert_eq!(guess(None), "How long?\n    measured 2.80 s; you made no guess");
    }

    #[test]
    fn only_who_expects_what_was_measured_is_right() {
        let twice = Some(Bound { low: 1.8, high: 2.2 });
        assert!(!is_right(1.8, 1.5, twice), "near, and yet what was refuted");
        assert!(is_right(1.4, 1.5, twice) && is_right(1.9, 2.1, twice));
        assert!(!is_right(3.0, 1.5, twice), "both refute it, far apart");
    }
}
