//! Monthly prices of machines. A price sheet is a file that can be edited. Pure.
#![deny(clippy::disallowed_methods)]

use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;

use lab::{MachinePlan, Plan};

const BUILT_IN: &str = include_str!("../../prices.toml");

/// Dollars per month, by the program on a machine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    month: IndexMap<String, f64>,
}

impl Prices {
    /// Returns the built-in prices: the article's.
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN, Path::new("prices.toml")).expect("the sheet that comes with the lab is one")
    }

    /// Parses a price sheet. The error is meant for its author.
    pub fn parse(text: &str, file: &Path) -> Result<Self, String> {
        let wrong = |message: &str| format!("{}: {message}", file.display());
        let prices: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            format!("{}, line {line}: {}", file.display(), error.message())
        })?;
        match prices.month.iter().find(|(_, price)| !price.is_finite() || **price < 0.0) {
            Some((what, price)) => Err(wrong(&format!("{price} is not a price for '{what}'"))),
            None => Ok(prices),
        }
    }

    /// Adds up the cost of a plan. The error names what has no price.
    pub fn of_plan(&self, plan: &Plan) -> Result<f64, String> {
        plan.machines.values().map(|machine| self.of_machine(machine)).sum()
    }

    /// A machine costs as much as the most expensive program on it.
    pub fn of_machine(&self, machine: &MachinePlan) -> Result<f64, String> {
        let mut dearest = 0.0_f64;
        for program in &machine.programs {
            let program = program.program.name();
            let price = self.month.get(program).ok_or_else(|| {
                let known = self.month.keys().cloned().collect::<Vec<_>>().join(", ");
                format!(
                    "'{program}' (on {}) has no price; there are prices for {known}: add a line `{program} = …` under [month]",
                    machine.name
                )
            })?;
            dearest = dearest.max(*price);
        }
        Ok(dearest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::library;
    use lab::plan::Deployment;

    fn plan(name: &str) -> Plan {
        Plan::of(&library::open(name).unwrap().chapter, Deployment::on_paper()).unwrap()
    }

    #[test]
    fn an_architecture_costs_the_sum_of_its_machines() {
        let cost = |name| Prices::built_in().of_plan(&plan(name)).unwrap();
        assert_eq!(cost("single"), 200.0, "two programs on one machine");
        assert_eq!(cost("separated"), 400.0);
        assert_eq!(cost("several"), 1400.0);
        assert_eq!(
            cost("no-single-point"),
            2.0 * 200.0 + 5.0 * 200.0 + 3.0 * 200.0 + 2.0 * 200.0 + 3.0 * 20.0
        );
    }

    #[test]
    fn a_missing_price_is_named_with_what_it_is_for() {
        let sheet = Prices::parse("[month]\nlb = 100\nwebserver = 200", Path::new("mine.toml")).unwrap();
        let error = sheet.of_plan(&plan("separated")).unwrap_err();
        assert!(
            error.starts_with("'dbnode' (on db) has no price; there are prices for lb, webserver"),
            "{error}"
        );
    }

    #[test]
    fn nonsense_is_refused_with_its_line() {
        let error = |text| Prices::parse(text, Path::new("mine.toml")).unwrap_err();
        assert!(error("[month]\nlb = \"cheap\"").starts_with("mine.toml, line 2: "));
        assert_eq!(error("[month]\nlb = -5"), "mine.toml: -5 is not a price for 'lb'");
        assert!(error("[year]\nlb = 5").contains("unknown field `year`"));
    }
}
