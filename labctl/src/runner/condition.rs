//! What a step waits for: in words, and as a test of what happens.
#![deny(clippy::disallowed_methods)]

use toml::Spanned;

use chapter::step::Until;
use lab::Happening;

/// Whether this is what is waited for.
pub(super) type Condition = Box<dyn Fn(&Happening) -> bool + Send>;

/// What the machines and balancers are to do. `None` when it is something else that is waited for.
pub(super) fn happening(until: &Until) -> Option<(String, Condition)> {
    let by = named(&until.by);
    let is_meant = move |balancer: &String| by.as_ref().is_none_or(|by| by == balancer);
    if let Some(wanted) = named(&until.gone) {
        return waiting(
            format!("waiting for the end of {wanted}"),
            move |what| matches!(what, Happening::MachineEnded { machine, .. } if *machine == wanted),
        );
    }
    if let Some(wanted) = named(&until.ejected) {
        return waiting(format!("waiting for {wanted} to be taken out"), move |what| match what {
            Happening::Ejected { balancer, upstream } => *upstream == wanted && is_meant(balancer),
            _ => false,
        });
    }
    if let Some(wanted) = named(&until.admitted) {
        return waiting(format!("waiting for {wanted} to be taken in"), move |what| match what {
            Happening::Admitted { balancer, upstream } => *upstream == wanted && is_meant(balancer),
            _ => false,
        });
    }
    if let Some(kind) = named(&until.elected) {
        return waiting("waiting for a new primary".into(), move |what| match what {
            Happening::BecamePrimary { machine, .. } => {
                machine.strip_prefix(&*kind).is_some_and(|rest| rest.starts_with('-'))
            }
            _ => false,
        });
    }
    let wanted = named(&until.took_over)?;
    waiting(
        format!("waiting for {wanted} to take over"),
        move |what| matches!(what, Happening::TookOver { balancer } if *balancer == wanted),
    )
}

fn waiting(
    words: String,
    wanted: impl Fn(&Happening) -> bool + Send + 'static,
) -> Option<(String, Condition)> {
    Some((words, Box::new(wanted)))
}

fn named(name: &Option<Spanned<String>>) -> Option<String> {
    name.as_ref().map(|name| name.as_ref().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening_of(until: &str) -> Condition {
        happening(&toml::from_str(until).expect("something to wait for")).expect("a happening").1
    }

    fn taken_out(balancer: &str, upstream: &str) -> Happening {
        Happening::Ejected { balancer: balancer.into(), upstream: upstream.into() }
    }

    #[test]
    fn any_balancer_is_meant_where_none_is_named() {
        let wanted = happening_of("ejected = 'web-1'\nwithin = '9s'");
        assert!(wanted(&taken_out("lb", "web-1")) && wanted(&taken_out("careful", "web-1")));
        assert!(!wanted(&taken_out("lb", "web-2")));
    }

    #[test]
    fn only_the_balancer_that_is_named_counts() {
        let wanted = happening_of("ejected = 'web-1'\nby = 'lb'\nwithin = '9s'");
        assert!(wanted(&taken_out("lb", "web-1")));
        assert!(!wanted(&taken_out("careful", "web-1")));
    }
}
