//! Numbers formatted for people.

/// Formats a number with three significant digits.
pub fn short(figure: f64) -> String {
    match figure.abs() {
        _ if figure.fract() == 0.0 => format!("{figure:.0}"),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 0.01 => format!("{figure:.2}"),
        size if size >= 0.001 => format!("{figure:.3}"),
        _ => "less than 0.001".into(),
    }
}
