//! The mistakes in a chapter file, each with its place and its line.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// The place of a mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A range of bytes.
    Span(Range<usize>),
    /// A key, from the top: `step`, `3`, `name`. Indices in lists count from 0.
    Key(Vec<String>),
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) place: Option<Place>,
    pub(crate) message: String,
}

/// The position of a mistake: line and column, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    span: Range<usize>,
}

/// All mistakes in a chapter file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChapterError {
    file: PathBuf,
    text: String,
    mistakes: Vec<(Option<Placed>, String)>,
}

impl ChapterError {
    /// The error for a file that is wrong as a whole: it cannot be read, or does not exist.
    pub fn of_file(file: &Path, message: String) -> Self {
        Self { file: file.to_owned(), text: String::new(), mistakes: vec![(None, message)] }
    }

    /// The mistakes in a text, sorted by their places.
    pub(crate) fn of_text(file: &Path, text: &str, mistakes: Vec<(Option<Range<usize>>, String)>) -> Self {
        let mut mistakes: Vec<_> = mistakes
            .into_iter()
            .map(|(span, message)| (span.map(|span| Placed::of(text, span)), message))
            .collect();
        mistakes.sort_by_key(|(placed, _)| placed.as_ref().map(|placed| placed.span.start));
        mistakes.dedup();
        Self { file: file.to_owned(), text: text.to_owned(), mistakes }
    }

    /// Every mistake, as a sentence, with its position if it has one.
    pub fn mistakes(&self) -> impl Iterator<Item = (Option<&Placed>, &str)> {
        self.mistakes.iter().map(|(placed, message)| (placed.as_ref(), message.as_str()))
    }
}

impl Placed {
    fn of(text: &str, span: Range<usize>) -> Self {
        let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        let (start, end) = (boundary(span.start).unwrap_or(0), boundary(span.end).unwrap_or(0));
        let before = &text[..start];
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        // A caret below one line is clearer than one along many.
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let span = start..end.clamp(start, line_end);
        Self { line: before.matches('\n').count() + 1, column: text[begin..start].chars().count() + 1, span }
    }
}

impl std::error::Error for ChapterError {}

impl fmt::Display for ChapterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display().to_string();
        if self.mistakes.len() > 1 {
            writeln!(formatter, "{file} has {} mistakes", self.mistakes.len())?;
        }
        for (number, (placed, message)) in self.mistakes.iter().enumerate() {
            if number > 0 {
                formatter.write_str("\n")?;
            }
            match placed {
                None => write!(formatter, "{file}: {message}")?,
                Some(Placed { line, column, span }) => {
                    writeln!(formatter, "{file}:{line}:{column}: {message}")?;
                    formatter.write_str(&excerpt(&self.text, span))?;
                }
            }
        }
        Ok(())
    }
}

/// The line with a mistake, with a caret below it.
fn excerpt(text: &str, span: &Range<usize>) -> String {
    let snippet = Snippet::source(text).annotation(AnnotationKind::Primary.span(span.clone()));
    let report = [Level::ERROR.no_name().primary_title("").element(snippet)];
    let rendered = Renderer::plain().render(&report);
    // The title is already printed in front of it, with the position.
    let lines = rendered.lines().skip_while(|line| !line.trim_start().starts_with('|'));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, mistakes: &[(&str, &str)]) -> String {
        let spans = mistakes.iter().map(|(at, message)| {
            let start = text.find(at).expect("it is in there");
            (Some(start..start + at.len()), (*message).to_owned())
        });
        ChapterError::of_text(Path::new("mine.toml"), text, spans.collect()).to_string()
    }

    #[test]
    fn a_mistake_is_shown_with_its_line_and_a_caret() {
        let told = told("a = 1\n  größe = 'x', cores = 'one'\nb = 2\n", &[("'one'", "cores is a number")]);
        let wanted = "mine.toml:2:24: cores is a number\n  |\n2 |   größe = 'x', cores = 'one'\n  |                        ^^^^^";
        assert_eq!(told, wanted);
    }

    #[test]
    fn several_are_told_in_the_order_of_the_file() {
        let told = told("a = 1\nb = 2\n", &[("2", "second"), ("1", "first")]);
        assert!(told.starts_with("mine.toml has 2 mistakes\nmine.toml:1:5: first\n"), "{told}");
        assert!(told.contains("\nmine.toml:2:5: second\n"), "{told}");
    }

    #[test]
    fn a_place_of_several_lines_is_marked_on_its_first() {
        let text = "a = [\n1,\n2]\n";
        let told = told(text, &[("[\n1,\n2]", "too long")]);
        assert_eq!(told, "mine.toml:1:5: too long\n  |\n1 | a = [\n  |     ^");
    }

    #[test]
    fn no_place_makes_it_panic() {
        let text = "größe";
        for (start, end) in [(0, 0), (3, 4), (4, 900), (900, 901), (7, 2)] {
            let mistakes = vec![(Some(start..end), "wrong".to_owned())];
            assert!(ChapterError::of_text(Path::new("x"), text, mistakes).to_string().contains("wrong"));
        }
    }
}
