//! Reports as HTML, each a single self-contained file. The templates are in `labctl/templates`.

/// The page of an audit.
mod audit_page;
/// The page that compares two runs.
mod compare_page;
/// A chapter's own charts.
mod heroes;
/// The index page of all runs.
mod index_page;
/// The page of one run.
mod run_page;
/// The page of the measured table.
mod table_page;
/// The machines as a diagram.
mod topology;

use std::path::Path;

use anyhow::Context;
use askama::Template;

pub use audit_page::audit_page;
pub use compare_page::compare_page;
pub use index_page::{Listed, index_page};
pub use run_page::run_page;
pub use table_page::table_page;

/// Writes a page.
pub fn write(path: &Path, page: &str) -> anyhow::Result<()> {
    std::fs::write(path, page).with_context(|| format!("write {}", path.display()))
}

/// Escapes what HTML would interpret.
fn escaped(text: &str) -> String {
    let entity = |letter: char| match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(entity).collect()
}

/// Converts a text to HTML in which no word is broken: a browser would break names after their hyphens, and
/// intervals after their dash.
fn unbroken(text: &str) -> String {
    let word = |word: &str| match word.contains(['-', '–']) {
        true => format!("<span class=\"word\">{}</span>", escaped(word)),
        false => escaped(word),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Converts a sentence to HTML, with text between backticks as code.
fn rich(text: &str) -> String {
    let parts: Vec<_> = text.split('`').collect();
    // An unpaired backtick stands for itself.
    let pairs = (parts.len() - 1) / 2 * 2;
    let mut html = String::new();
    for (index, part) in parts.iter().enumerate() {
        match index {
            _ if index > pairs => html.extend(["`", &escaped(part)]),
            _ if index % 2 == 1 => html.extend(["<code>", &escaped(part), "</code>"]),
            _ => html += &escaped(part),
        }
    }
    html
}

fn rendered(page: &impl Template) -> anyhow::Result<String> {
    page.render().context("make the page")
}

#[cfg(test)]
mod tests {
    use super::{rich, unbroken};

    #[test]
    fn names_and_intervals_are_not_broken() {
        let name = "<span class=\"word\">web-1</span>";
        assert_eq!(unbroken("lb <-> web-1"), format!("lb <span class=\"word\">&lt;-&gt;</span> {name}"));
        assert_eq!(unbroken("240–250"), "<span class=\"word\">240–250</span>");
        assert_eq!(unbroken("two words"), "two words");
    }

    #[test]
    fn code_is_marked_and_nothing_gets_through_as_html() {
        assert_eq!(
            rich("`--all` of <them> & `x`"),
            "<code>--all</code> of &lt;them&gt; &amp; <code>x</code>"
        );
        assert_eq!(rich("one ` alone"), "one ` alone");
        assert_eq!(rich("plain"), "plain");
    }
}
