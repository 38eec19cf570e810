//! Checks that there will be something to measure: a claim about traffic that is never sent, or about a
//! number that no step reads, would never be judged.
#![deny(clippy::disallowed_methods)]

use crate::chapter::Chapter;
use crate::measures::{Measure, MeasureCall, Of};
use crate::step::Step;
use crate::{kind, role};

/// Checks that a measure can ever have a figure. `so_far` are the steps up to the one that claims it.
pub(crate) fn check(chapter: &Chapter, call: &MeasureCall, so_far: &[Step]) -> Result<(), String> {
    if let Some(history) = call.named(Of::History) {
        return of_history(chapter, call, history, so_far);
    }
    let step_at = call.step().and_then(|name| so_far.iter().position(|step| step.name == name));
    if let Some(at) = step_at {
        of_step(chapter, call, &so_far[..=at])?;
    }
    of_machines(chapter, call)
}

/// Checks a measure of a step. `until_it` are the steps up to that one, inclusive.
fn of_step(chapter: &Chapter, call: &MeasureCall, until_it: &[Step]) -> Result<(), String> {
    let Some(step) = until_it.last() else { return Ok(()) };
    let (measure, name) = (call.measure, &step.name);
    match measure {
        Measure::Happened if step.until.is_none() => {
            return Err(format!("step '{name}' waits for nothing (it has no until), so nothing can happen"));
        }
        Measure::Value if step.read.is_none() => {
            return Err(format!("step '{name}' reads no number: it has no read"));
        }
        Measure::Capacity => {
            let traffic = call.named(Of::Traffic).unwrap_or_default();
            let is_searched = |step: &Step| {
                step.capacity.as_ref().is_some_and(|search| search.of.iter().any(|of| of.as_ref() == traffic))
            };
            return match is_searched(step) {
                true => Ok(()),
                false => Err(format!("step '{name}' does not look for the capacity of '{traffic}'")),
            };
        }
        _ => {}
    }
    if needs_a_measurement(measure) && !is_measured(step) {
        let reason = "it has none of measure, until, send and capacity";
        return Err(format!("step '{name}' is not measured: {reason}"));
    }
    let description = measure.description();
    if !description.traffic || measure == Measure::FinalRate {
        return Ok(());
    }
    let first = chapter.traffic.keys().next().map(String::as_str);
    let Some(traffic) = call.traffic().or(first) else {
        return Err(format!("'{}' is of traffic, and the chapter has none", description.name));
    };
    match is_sent(until_it, traffic) {
        true => Ok(()),
        false => Err(format!(
            "no requests of '{traffic}' are sent in step '{name}': neither load nor send names it"
        )),
    }
}

/// True if a measure covers only the time in which the step was measured, not the time since it began.
fn needs_a_measurement(measure: Measure) -> bool {
    let since_its_begin = [
        Measure::FailedThroughout,
        Measure::OkThroughout,
        Measure::Outage,
        Measure::Silence,
        Measure::FinalRate,
        Measure::Owners,
        Measure::Detection,
        Measure::FalseEjections,
        Measure::Promotions,
        Measure::Discarded,
        Measure::Value,
    ];
    !since_its_begin.contains(&measure)
}

fn is_measured(step: &Step) -> bool {
    step.measure.is_some() || step.until.is_some() || step.capacity.is_some() || !step.send.is_empty()
}

/// True if requests of a traffic are sent in the last of these steps. A rate stays until it is changed, and a
/// batch ends its traffic.
fn is_sent(steps: &[Step], traffic: &str) -> bool {
    let mut is_loaded = false;
    for (index, step) in steps.iter().enumerate() {
        if let Some((_, rate)) = step.load.iter().find(|(name, _)| name.as_ref() == traffic) {
            is_loaded = !rate.is_none();
        }
        let searched = step.capacity.iter().flat_map(|search| &search.of).any(|of| of.as_ref() == traffic);
        let is_batch = step.send.keys().any(|name| name.as_ref() == traffic);
        if index + 1 == steps.len() {
            return is_loaded || is_batch || searched;
        }
        is_loaded = is_loaded && !is_batch;
    }
    false
}

fn of_history(chapter: &Chapter, call: &MeasureCall, history: &str, so_far: &[Step]) -> Result<(), String> {
    let writes_it = |name: &str| {
        let recording = chapter.traffic.get(name).and_then(|traffic| traffic.history.as_ref());
        recording.is_some_and(|recording| recording.of == history)
    };
    let is_written = (1..=so_far.len()).any(|many| {
        let steps = &so_far[..many];
        chapter.traffic.keys().any(|name| writes_it(name) && is_sent(steps, name))
    });
    if !is_written {
        return Err(format!("no traffic that is recorded in the history '{history}' has been sent by then"));
    }
    let takes_stock =
        |step: &Step| step.take_stock.as_ref().is_some_and(|stock| stock.history.as_ref() == history);
    if call.measure == Measure::LostWrites && !so_far.iter().any(takes_stock) {
        return Err(format!("no step so far takes stock of the history '{history}' (take-stock)"));
    }
    Ok(())
}

/// Checks that the machines of a measure run the program that it is about.
fn of_machines(chapter: &Chapter, call: &MeasureCall) -> Result<(), String> {
    let program = match call.measure {
        Measure::ShareOf | Measure::Served => "webserver",
        Measure::Owners | Measure::Detection => "lb",
        Measure::FalseEjections => "lb",
        Measure::Promotions | Measure::Discarded | Measure::PrimariesOfATerm => "dbnode",
        _ => return Ok(()),
    };
    let Some(machine) = call.named(Of::Machine) else { return Ok(()) };
    let kind = role::parse(machine).map_or(machine, |(kind, _)| kind);
    let entry = chapter.machine.get(kind).or_else(|| chapter.machine.get(kind::of(machine)));
    let has_it = entry.is_none_or(|entry| match program {
        "webserver" => entry.webserver.is_some(),
        "lb" => entry.lb.is_some(),
        _ => entry.dbnode.is_some(),
    });
    match has_it {
        true => Ok(()),
        false => Err(format!("'{}' is about a {program}, and '{machine}' has none", call.measure.name())),
    }
}
