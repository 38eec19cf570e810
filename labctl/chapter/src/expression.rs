//! The language of measurements: `p99(busy) / p99(half)`.
//!
//! ```text
//! sum     = product (("+" | "-") product)*
//! product = factor (("*" | "/") factor)*
//! factor  = number | name "(" name ("," name)* ")" | "(" sum ")" | "-" factor
//!         | ("straightness" | "median") "(" sum ("," sum)* ")"
//! name    = letters, digits, "_", "/", and "-" between them: web-1, app/dbnode
//! ```
//!
//! The straightness of several values is R² of the least-squares line through them: the share of their
//! variance that the line explains. It is 1 if all steps between neighbours are equal.
//!
//! The median is the middle value, or the mean of the two in the middle.
//!
//! A minus sign for subtraction has spaces around it, because names contain hyphens.
#![deny(clippy::disallowed_methods)]

use std::fmt::{Display, Formatter};

use super::Reading;

/// The measures that an expression may use: those of a chapter, or those of a table.
pub trait Vocabulary: Sized + Display {
    /// The measure of this name with these arguments. The error says what is wrong with it.
    fn understand(name: &str, of: Vec<String>) -> Result<Self, String>;

    /// Returns whether 0 means that an awaited event did not happen: then a quotient by it has no value.
    fn is_event(&self) -> bool {
        false
    }
}

/// An expression divides by this, and it is 0: the quotient is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZeroDivisor(String);

impl Display for ZeroDivisor {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} is 0, and nothing can be divided by it", self.0)
    }
}

impl From<ZeroDivisor> for String {
    fn from(divisor: ZeroDivisor) -> Self {
        divisor.to_string()
    }
}

/// A parsed expression over measures.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression<M> {
    /// A number.
    Number(f64),
    /// A measure with its arguments.
    Measure(M),
    /// An aggregate of several values.
    Several(Together, Vec<Expression<M>>),
    /// Two expressions with an operator.
    Joined(Box<Expression<M>>, Operator, Box<Expression<M>>),
}

/// An aggregate function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    /// R² of the line through the values.
    Straightness,
    /// The middle value.
    Median,
}

/// A binary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Sum.
    Plus,
    /// Difference.
    Minus,
    /// Product.
    Times,
    /// Quotient.
    Over,
}

impl<M: Vocabulary> Expression<M> {
    /// Parses an expression.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { words: split(text)?, next: 0 };
        let whole = parser.sum()?;
        match parser.peek() {
            None => Ok(whole),
            Some(word) => Err(format!("'{word}' is unexpected in '{text}'")),
        }
    }

    /// Every measure in the expression.
    pub fn measures(&self) -> Vec<&M> {
        match self {
            Self::Number(_) => vec![],
            Self::Measure(measure) => vec![measure],
            Self::Several(_, values) => values.iter().flat_map(Self::measures).collect(),
            Self::Joined(left, _, right) => left.measures().into_iter().chain(right.measures()).collect(),
        }
    }

    /// Evaluates the expression with the values of its measures; `None` if one of them has none, or if it
    /// divides by an event that did not happen.
    ///
    /// # Errors
    ///
    /// A measure is unknown, or a divisor is 0: neither infinity nor NaN confirms or refutes anything.
    pub fn value<E: From<ZeroDivisor>>(
        &self,
        measured: &impl Fn(&M) -> Result<Option<Reading>, E>,
    ) -> Result<Option<Reading>, E> {
        Ok(match self {
            Self::Number(number) => Some(Reading::exact(*number)),
            Self::Measure(measure) => measured(measure)?,
            Self::Several(together, values) => {
                let values = values.iter().map(|value| value.value(measured));
                let values = values.collect::<Result<Option<Vec<_>>, E>>()?;
                values.map(|values| Reading::together(&values, |values| together.of(values)))
            }
            Self::Joined(left, operator, right) => {
                let both = left.value(measured)?.zip(right.value(measured)?);
                match both {
                    Some((_, divisor)) if *operator == Operator::Over && divisor.figure == 0.0 => {
                        match &**right {
                            Self::Measure(measure) if measure.is_event() => None,
                            _ => return Err(ZeroDivisor(right.to_string()).into()),
                        }
                    }
                    both => both.map(|(left, right)| operator.join(left, right)),
                }
            }
        })
    }
}

impl<M: Display> Display for Expression<M> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Measure(measure) => write!(formatter, "{measure}"),
            Self::Several(together, values) => {
                let values: Vec<_> = values.iter().map(Self::to_string).collect();
                write!(formatter, "{}({})", together.name(), values.join(", "))
            }
            Self::Joined(left, operator, right) => {
                let part = |part: &Self| match part {
                    Self::Joined(..) => format!("({part})"),
                    _ => part.to_string(),
                };
                write!(formatter, "{} {} {}", part(left), operator.sign(), part(right))
            }
        }
    }
}

impl Operator {
    fn sign(self) -> char {
        match self {
            Self::Plus => '+',
            Self::Minus => '-',
            Self::Times => '*',
            Self::Over => '/',
        }
    }

    fn join(self, left: Reading, right: Reading) -> Reading {
        match self {
            Self::Plus => left.join(right, |left, right| left + right),
            Self::Minus => left.join(right, |left, right| left - right),
            Self::Times => left.join(right, |left, right| left * right),
            Self::Over => left.over(right),
        }
    }
}

impl Together {
    fn named(name: &str) -> Option<Self> {
        [Self::Straightness, Self::Median].into_iter().find(|together| together.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Straightness => "straightness",
            Self::Median => "median",
        }
    }

    fn of(self, values: &[f64]) -> f64 {
        match self {
            Self::Straightness => straightness(values),
            Self::Median => median(values),
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    f64::midpoint(low, high)
}

/// R² of the least-squares line through the values, taken at 1, 2, 3, …
fn straightness(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let (mean_at, mean) = ((count + 1.0) / 2.0, values.iter().sum::<f64>() / count);
    let off = || (1..).zip(values).map(|(at, value): (u32, _)| (f64::from(at) - mean_at, value - mean));
    let together: f64 = off().map(|(at, value)| at * value).sum();
    let (of_at, of_values): (f64, f64) =
        (off().map(|(at, _)| at * at).sum(), off().map(|(_, value)| value * value).sum());
    together * together / (of_at * of_values)
}

fn split(text: &str) -> Result<Vec<String>, String> {
    let part_of_word = |letter: char| letter.is_alphanumeric() || "_./".contains(letter);
    let letters: Vec<char> = text.chars().collect();
    let mut words: Vec<String> = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let start = at;
        let letter = letters[at];
        at += 1;
        if letter.is_whitespace() {
            continue;
        }
        if letter.is_alphanumeric() {
            while at < letters.len()
                && (part_of_word(letters[at])
                    || letters[at] == '-' && letters.get(at + 1).is_some_and(|next| next.is_alphanumeric()))
            {
                at += 1;
            }
        } else if !"+-*/(),".contains(letter) {
            return Err(format!("'{letter}' is unexpected in '{text}'"));
        }
        words.push(letters[start..at].iter().collect());
    }
    Ok(words)
}

struct Parser {
    words: Vec<String>,
    next: usize,
}

impl Parser {
    fn sum<M: Vocabulary>(&mut self) -> Result<Expression<M>, String> {
        let mut left = self.product()?;
        while let Some(operator) = self.operator(&[("+", Operator::Plus), ("-", Operator::Minus)]) {
            left = Expression::Joined(Box::new(left), operator, Box::new(self.product()?));
        }
        Ok(left)
    }

    fn product<M: Vocabulary>(&mut self) -> Result<Expression<M>, String> {
        let mut left = self.factor()?;
        while let Some(operator) = self.operator(&[("*", Operator::Times), ("/", Operator::Over)]) {
            left = Expression::Joined(Box::new(left), operator, Box::new(self.factor()?));
        }
        Ok(left)
    }

    fn factor<M: Vocabulary>(&mut self) -> Result<Expression<M>, String> {
        let word = self.take().ok_or("the expression ends too early")?;
        match word.as_str() {
            "(" => {
                let inner = self.sum()?;
                self.expect(")")?;
                Ok(inner)
            }
            "-" => {
                let negative = Box::new(Expression::Number(-1.0));
                Ok(Expression::Joined(negative, Operator::Times, Box::new(self.factor()?)))
            }
            _ if word.starts_with(|first: char| first.is_ascii_digit()) => {
                word.parse().map(Expression::Number).map_err(|_| format!("'{word}' is not a number"))
            }
            _ if word.starts_with(char::is_alphabetic) => match Together::named(&word) {
                Some(together) => Ok(Expression::Several(together, self.values()?)),
                None => {
                    let of = self.arguments(&word)?;
                    M::understand(&word, of).map(Expression::Measure)
                }
            },
            _ => Err(format!("'{word}' is unexpected")),
        }
    }

    fn values<M: Vocabulary>(&mut self) -> Result<Vec<Expression<M>>, String> {
        self.expect("(")?;
        let mut values = vec![self.sum()?];
        while self.peek() == Some(",") {
            self.next += 1;
            values.push(self.sum()?);
        }
        self.expect(")")?;
        Ok(values)
    }

    fn arguments(&mut self, measure: &str) -> Result<Vec<String>, String> {
        if self.peek() != Some("(") {
            return Err(format!("a measure says of what: {measure}(step)"));
        }
        self.expect("(")?;
        let mut of = Vec::new();
        loop {
            of.push(self.take().ok_or(format!("'{measure}(' is not closed"))?);
            match self.take().as_deref() {
                Some(",") => {}
                Some(")") => return Ok(of),
                _ => return Err(format!("'{measure}(' is not closed")),
            }
        }
    }

    fn operator(&mut self, known: &[(&str, Operator)]) -> Option<Operator> {
        let word = self.peek()?;
        let (_, operator) = known.iter().find(|(sign, _)| *sign == word)?;
        self.next += 1;
        Some(*operator)
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        match self.take() {
            Some(word) if word == wanted => Ok(()),
            Some(word) => Err(format!("'{word}' stands where '{wanted}' should")),
            None => Err(format!("'{wanted}' is missing at the end")),
        }
    }

    fn peek(&self) -> Option<&str> {
        self.words.get(self.next).map(String::as_str)
    }

    fn take(&mut self) -> Option<String> {
        let word = self.words.get(self.next).cloned();
        self.next += 1;
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any name, with any arguments.
    #[derive(Debug)]
    struct Anything(String);

    impl Vocabulary for Anything {
        fn understand(name: &str, of: Vec<String>) -> Result<Self, String> {
            Ok(Self(format!("{name}({})", of.join(","))))
        }

        fn is_event(&self) -> bool {
            self.0.starts_with("happened")
        }
    }

    impl Display for Anything {
        fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
            formatter.write_str(&self.0)
        }
    }

    fn evaluated(text: &str) -> Result<Option<Reading>, String> {
        let known = |measure: &Anything| match measure.0.as_str() {
            "p99(busy)" => Ok(Some(Reading::exact(90.0))),
            "p99(half)" => Ok(Some(Reading::exact(30.0))),
            "p99(late)" => Ok(Some(Reading { figure: 60.0, low: 30.0, high: 60.0 })),
            "share(two,web-1)" => Ok(Some(Reading::exact(0.5))),
            "failed(none)" | "happened(never)" => Ok(Some(Reading::exact(0.0))),
            "failed(few)" => Ok(Some(Reading { figure: 0.0, low: 0.0, high: 2.0 })),
            "lost(h)" => Err("not all was read".to_owned()),
            _ => Ok(None),
        };
        Expression::parse(text).unwrap().value(&known)
    }

    fn reading(text: &str) -> Option<Reading> {
        evaluated(text).unwrap()
    }

    fn value(text: &str) -> Option<f64> {
        reading(text).map(|reading| reading.figure)
    }

    #[test]
    fn arithmetic_has_its_usual_order() {
        assert_eq!(value("1 + 2 * 3"), Some(7.0));
        assert_eq!(value("(1 + 2) * 3 - -1"), Some(10.0));
        assert_eq!(value("8 / 4 / 2"), Some(1.0));
    }

    #[test]
    fn measures_are_looked_up_with_what_they_are_of() {
        assert_eq!(value("p99(busy) / p99(half)"), Some(3.0));
        assert_eq!(value("100 * share(two, web-1)"), Some(50.0));
        assert_eq!(value("p99(unknown)"), None);
    }

    #[test]
    fn how_far_the_truth_may_be_off_goes_through_all_of_it() {
        let ends = |text| reading(text).map(|reading| (reading.low, reading.high)).unwrap();
        assert_eq!(ends("p99(busy) / p99(late) - 1"), (0.5, 2.0));
        assert_eq!(ends("median(p99(half), p99(late), 40)"), (30.0, 40.0));
    }

    #[test]
    fn a_quotient_by_nothing_is_unknown_and_names_its_divisor() {
        let unknown = |text| evaluated(text).unwrap_err();
        assert_eq!(
            unknown("p99(busy) / failed(none)"),
            "failed(none) is 0, and nothing can be divided by it"
        );
        assert!(unknown("failed(none) / failed(none)").starts_with("failed(none) is 0"));
        assert!(unknown("p99(busy) / failed(few)").starts_with("failed(few) is 0"), "though it may be 2");
        let inside = unknown("median(1, 2, 3 / (2 * (p99(half) - 30)))");
        assert!(inside.starts_with("2 * (p99(half) - 30) is 0"), "{inside}");
        assert_eq!(evaluated("lost(h) / 0").unwrap_err(), "not all was read");
    }

    #[test]
    fn what_did_not_happen_took_no_time() {
        assert_eq!(evaluated("p99(busy) / happened(never)"), Ok(None));
    }

    #[test]
    fn straightness_is_1_for_a_line_and_less_for_a_bend() {
        assert_eq!(value("straightness(1, 2 + 1, 5, 7)"), Some(1.0));
        let bent = value("straightness(100, 200, 250, 250, 250)").unwrap();
        assert!((0.7..0.8).contains(&bent), "{bent}");
        assert!(value("straightness(3, 3, 3)").unwrap().is_nan(), "equal values make no line");
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(value("median(3, 1, 2)"), Some(2.0));
        assert_eq!(value("median(4, 1, 2, 2 + 1)"), Some(2.5));
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text| Expression::<Anything>::parse(text).unwrap_err();
        assert_eq!(error("p99"), "a measure says of what: p99(step)");
        assert_eq!(error("p99(busy"), "'p99(' is not closed");
        assert_eq!(error("1 +"), "the expression ends too early");
        assert_eq!(error("1 ? 2"), "'?' is unexpected in '1 ? 2'");
        assert_eq!(error("1 2"), "'2' is unexpected in '1 2'");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            let _ = Expression::<Anything>::parse(&text);
        }
    }
}
