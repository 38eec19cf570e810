//! Tests that the documentation's tables are made of the programs' own definitions.
//!
//! A table stands between two marks, `<!-- NAME -->` and `<!-- /NAME -->`. A unit test of the crate that has the
//! definitions compares it; with `UPDATE=1` in the environment, the test writes it instead.

/// The tables of flags, made of clap's definitions.
mod flags;

pub use flags::flags;

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

/// Fails if the page, a path below the project, has other text between the marks of this name. With `UPDATE=1`,
/// writes it there.
pub fn check_table(page: &str, name: &str, table: &str) {
    let (mut file, text) = open(page);
    let (before, written, after) = between(&text, name);
    if std::env::var_os("UPDATE").is_some() {
        write(&mut file, &format!("{before}{table}{after}"));
        return;
    }
    assert_eq!(written, table, "{page}: the table '{name}' is out of date; {}", how_to_update());
}

/// Fails if the page is another text. With `UPDATE=1`, writes it.
pub fn check_page(page: &str, wanted: &str) {
    let (mut file, text) = open(page);
    if std::env::var_os("UPDATE").is_some() {
        write(&mut file, wanted);
        return;
    }
    assert_eq!(text, wanted, "{page} is out of date; {}", how_to_update());
}

/// Opens a page and reads it. It is locked until the file is closed, because other tests may write it too, in
/// other processes.
fn open(page: &str) -> (File, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
    let update = std::env::var_os("UPDATE").is_some();
    let file = File::options().read(true).write(update).open(&path);
    let mut file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.lock().expect("the page can be locked");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("the page is text");
    (file, text)
}

fn write(file: &mut File, text: &str) {
    file.set_len(0).and_then(|()| file.rewind()).expect("the page can be emptied");
    file.write_all(text.as_bytes()).expect("the page can be written");
}

/// Splits a text into what is before the end of the first mark, between the marks, and from the second mark on.
fn between<'a>(text: &'a str, name: &str) -> (&'a str, &'a str, &'a str) {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let start = text.find(&begin).unwrap_or_else(|| panic!("there is no mark {begin:?}")) + begin.len();
    let length = text[start..].find(&end).unwrap_or_else(|| panic!("there is no mark {end:?}"));
    (&text[..start], &text[start..start + length], &text[start + length..])
}

/// Cargo tells a test the name of its package.
fn how_to_update() -> String {
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "PACKAGE".into());
    format!("`UPDATE=1 cargo test -p {package} document` writes it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_what_stands_between_its_marks() {
        let text = "a\n<!-- one -->\n| 1 |\n<!-- /one -->\nb\n<!-- two -->\n<!-- /two -->\n";
        assert_eq!(
            between(text, "one"),
            ("a\n<!-- one -->\n", "| 1 |\n", "<!-- /one -->\nb\n<!-- two -->\n<!-- /two -->\n")
        );
        assert_eq!(between(text, "two").1, "");
    }

    #[test]
    #[should_panic(expected = "there is no mark")]
    fn a_table_without_marks_is_an_error() {
        between("<!-- other -->\n<!-- /other -->\n", "one");
    }
}
