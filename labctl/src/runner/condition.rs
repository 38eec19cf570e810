//! What a step waits for: in words, and as a test of what happens.
#![deny(clippy::disallowed_methods)]

use toml::Spanned;

use crate::chapter::step::Until;
use crate::lab::Happening;

/// Whether this is what is waited for.
pub(super) type Condition = Box<dyn Fn(&Happening) -> bool + Send>;

/// What the machines and balancers are to do. `None` when it is something else that is waited for.
pub(super) fn happening(until: &Until) -> Option<(String, Condition)> {
    if let Some(wanted) = named(&until.gone) {
        return Some((
            format!("waiting for the end of {wanted}"),
            Box::new(
                move |what| matches!(what, Happening::MachineEnded { machine, .. } if *machine == wanted),
            ),
        ));
    }
    if let Some(wanted) = named(&until.ejected) {
        return Some((
            format!("waiting for {wanted} to be taken out"),
            Box::new(move |what| matches!(what, Happening::Ejected { upstream, .. } if *upstream == wanted)),
        ));
    }
    if let Some(wanted) = named(&until.admitted) {
        return Some((
            format!("waiting for {wanted} to be taken in"),
            Box::new(move |what| matches!(what, Happening::Admitted { upstream, .. } if *upstream == wanted)),
        ));
    }
    if let Some(kind) = named(&until.elected) {
        let of_kind =
            move |machine: &str| machine.strip_prefix(&*kind).is_some_and(|rest| rest.starts_with('-'));
        return Some((
            "waiting for a new primary".into(),
            Box::new(
                move |what| matches!(what, Happening::BecamePrimary { machine, .. } if of_kind(machine)),
            ),
        ));
    }
    let wanted = named(&until.took_over)?;
    Some((
        format!("waiting for {wanted} to take over"),
        Box::new(move |what| matches!(what, Happening::TookOver { balancer } if *balancer == wanted)),
    ))
}

fn named(name: &Option<Spanned<String>>) -> Option<String> {
    name.as_ref().map(|name| name.as_ref().clone())
}
