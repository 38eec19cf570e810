//! The tables of `docs/chapters.md` that are made from this crate's own descriptions.

/// Fails if the documentation contains another table between the marks of this name. `UPDATE=1 cargo test -p
/// chapter` updates it.
pub(super) fn is_documented(name: &str, table: &str) {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/chapters.md");
    // One test at a time, because each of them may write the page.
    static PAGE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _page = PAGE.lock();
    let text = std::fs::read_to_string(&path).expect("the page is there");
    let (before, rest) = text.split_once(&begin).expect("the beginning of the table is marked");
    let (written, after) = rest.split_once(&end).expect("the end of the table is marked");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, format!("{before}{begin}{table}{end}{after}")).expect("the page can be written");
        return;
    }
    assert_eq!(written, table, "UPDATE=1 cargo test -p chapter updates it");
}
