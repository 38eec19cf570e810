//! Styled lines, and the escape sequences that show them on a terminal.
#![deny(clippy::disallowed_methods)]

/// The style of a text. Colours approximate those of the page in 256 colours (Okabe and Ito's palette); each
/// is accompanied by a shape or a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    Dim,
    Bold,
    /// A selected item.
    Reversed,
    Good,
    Limping,
    Bad,
    Calm,
}

impl Look {
    /// Returns the escape sequence that starts the style. Without colours only shades remain.
    fn code(self, is_colored: bool) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Bold => "\x1b[1m",
            Self::Reversed => "\x1b[7m",
            _ if !is_colored => "",
            Self::Good => "\x1b[38;5;32m",
            Self::Limping => "\x1b[38;5;214m",
            Self::Bad => "\x1b[38;5;166m",
            Self::Calm => "\x1b[38;5;74m",
        }
    }
}

/// One line of styled texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line(pub(super) Vec<(String, Look)>);

impl Line {
    /// Creates a line in one style.
    pub(super) fn new(text: impl Into<String>, look: Look) -> Self {
        Self(vec![(text.into(), look)])
    }

    /// Creates a line in plain style.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Look::Plain)
    }

    /// Returns its text without styles.
    pub fn text(&self) -> String {
        self.0.iter().map(|(text, _)| text.as_str()).collect()
    }
}

/// Returns the output that shows exactly these lines from the top of a terminal on, each cut to the
/// terminal's width.
pub fn painted(lines: &[Line], width: usize, is_colored: bool) -> String {
    const RESET: &str = "\x1b[0m";
    let mut screen = String::from("\x1b[H");
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            screen += "\r\n";
        }
        let mut room = width;
        for (text, look) in &line.0 {
            let shown: String = text.chars().filter(|letter| !letter.is_control()).take(room).collect();
            room -= shown.chars().count();
            screen.extend([look.code(is_colored), &shown, RESET]);
        }
        // Erases the rest of the old line.
        screen += "\x1b[K";
    }
    screen + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_the_edge_and_nothing_in_it_steers_the_terminal() {
        let line = Line(vec![("abc".into(), Look::Good), ("d\x1b[2Je".into(), Look::Plain)]);
        let screen = painted(&[line.clone(), Line::plain("z")], 5, true);
        assert_eq!(screen, "\x1b[H\x1b[38;5;32mabc\x1b[0md[\x1b[0m\x1b[K\r\nz\x1b[0m\x1b[K\x1b[J");
        assert!(!painted(&[line], 9, false).contains("38;5"), "without colours");
    }
}
