//! The state of the screen, and the effect of keys on it.
#![deny(clippy::disallowed_methods)]

use std::collections::VecDeque;

use chapter::Act;

use super::state::{Hello, Machine, Second, State, Told, Traffic};
use crate::commands::pace;

/// Number of events kept.
const EVENTS_MAX: usize = 1000;
/// Number of seconds in the charts.
const SECONDS_MAX: usize = 60;

/// A key that has a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A letter, a digit or a space.
    Char(char),
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Selects the next item.
    Tab,
    /// Selects the previous item.
    BackTab,
    /// Clears the selection.
    Esc,
}

/// A request that the view cannot carry out itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// Act on the lab.
    Act(Act),
    /// Change a traffic's rate, in requests per second.
    Rate {
        /// The traffic.
        traffic: String,
        /// Its rate.
        rate: f64,
    },
    /// Send one request to a machine.
    Step {
        /// The machine.
        to: String,
    },
    /// End the view; the lab goes on.
    Quit,
}

/// The screens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Screen {
    /// Machines and links.
    #[default]
    Lab,
    /// The traffic of the last minute.
    Traffic,
    /// The steps of the chapter.
    Story,
    /// The events.
    Log,
    /// The two newest stored runs.
    Compare,
}

impl Screen {
    /// All screens, in the order of their keys.
    pub const ALL: [Self; 5] = [Self::Lab, Self::Traffic, Self::Story, Self::Log, Self::Compare];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lab => "Lab",
            Self::Traffic => "Traffic",
            Self::Story => "Story",
            Self::Log => "Log",
            Self::Compare => "Compare",
        }
    }
}

/// Everything that is drawn.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The part that does not change.
    pub hello: Hello,
    /// The current state of the lab.
    pub state: State,
    /// The events, newest last.
    pub events: VecDeque<Told>,
    /// The figures of the last minute.
    pub seconds: VecDeque<Second>,
    /// The current screen.
    pub screen: Screen,
    /// The selected machine's name.
    pub chosen: Option<String>,
    /// The selected traffic's index.
    pub traffic: usize,
    /// Number of lines by which the screen is scrolled.
    pub scroll: usize,
    /// Whether the list of keys is shown.
    pub helps: bool,
    /// The result of the last action, or why it failed.
    pub said: String,
    /// Number of wishes not carried out yet.
    pending: usize,
    /// The rate last requested for a traffic, until the lab has confirmed it.
    wanted: Option<(String, f64)>,
    /// The comparison of the two newest runs.
    pub comparison: Vec<String>,
    /// Whether to use colours.
    pub is_colored: bool,
}

impl View {
    /// Creates the view before the first state arrives.
    pub fn new(hello: Hello, comparison: Vec<String>, is_colored: bool) -> Self {
        let seconds = hello.history.iter().copied().collect();
        let said = "? shows the keys; q ends this view, not the lab".into();
        Self { hello, seconds, comparison, is_colored, said, ..Self::default() }
    }

    /// Takes over a new state and new events.
    pub fn hear(&mut self, state: State, events: Vec<Told>) {
        if self.seconds.back().is_none_or(|last| state.at - last.at >= 1.0) {
            let totals = &state.totals;
            let (offered, good, failed, p99_ms) = (totals.offered, totals.good, totals.failed, totals.p99_ms);
            self.seconds.push_back(Second { at: state.at, offered, good, failed, p99_ms });
        }
        self.events.extend(events);
        while self.seconds.len() > SECONDS_MAX {
            self.seconds.pop_front();
        }
        while self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
        self.state = state;
        self.traffic = self.traffic.min(self.state.traffics.len().saturating_sub(1));
    }

    /// Returns the number of the last event received.
    pub fn heard(&self) -> usize {
        self.events.back().map_or(0, |event| event.id)
    }

    /// Returns the selected machine, if it still exists.
    pub fn machine(&self) -> Option<&Machine> {
        let chosen = self.chosen.as_ref()?;
        self.state.machines.iter().find(|machine| machine.name == *chosen)
    }

    /// Returns the selected traffic.
    pub fn chosen_traffic(&self) -> Option<&Traffic> {
        self.state.traffics.get(self.traffic)
    }

    /// Records that a wish was carried out, or why it could not be.
    pub fn answer(&mut self, said: String) {
        self.said = said;
        self.pending = self.pending.saturating_sub(1);
        if self.pending == 0 {
            self.wanted = None;
        }
    }

    /// Handles a key, and returns a wish if the key needs one.
    pub fn press(&mut self, key: Key) -> Option<Wish> {
        let wish = self.meant(key);
        self.pending += usize::from(wish.is_some());
        wish
    }

    fn meant(&mut self, key: Key) -> Option<Wish> {
        if self.helps && key != Key::Char('q') {
            self.helps = false;
            return None;
        }
        match key {
            Key::Char('q') => return Some(Wish::Quit),
            Key::Char('?') => self.helps = true,
            Key::Char('h') => return Some(Wish::Act(Act::HealAll)),
            Key::Char(' ') => return self.step(),
            Key::Char('a') => return self.of_the_chosen(|machine| Act::Add { kind: machine.kind.clone() }),
            Key::Char('k') => return self.of_the_chosen(|machine| Act::Kill { name: machine.name.clone() }),
            Key::Char('f') => {
                return self.of_the_chosen(|machine| Act::Freeze { name: machine.name.clone() });
            }
            Key::Char('t') => return self.of_the_chosen(|machine| Act::Thaw { name: machine.name.clone() }),
            Key::Char('r') => {
                return self.of_the_chosen(|machine| Act::Restart { name: machine.name.clone() });
            }
            Key::Left => return self.rate(false),
            Key::Right => return self.rate(true),
            Key::Up | Key::BackTab => self.go(false),
            Key::Down | Key::Tab => self.go(true),
            Key::Esc => self.chosen = None,
            Key::Char(digit) => self.show(digit),
        }
        None
    }

    fn show(&mut self, digit: char) {
        let number = digit.to_digit(10).and_then(|number| (number as usize).checked_sub(1));
        if let Some(screen) = number.and_then(|number| Screen::ALL.get(number)) {
            self.screen = *screen;
            self.scroll = 0;
        }
    }

    fn of_the_chosen(&mut self, act: impl Fn(&Machine) -> Act) -> Option<Wish> {
        let wish = self.machine().map(|machine| Wish::Act(act(machine)));
        if wish.is_none() {
            self.said = "choose a machine first: ↑ and ↓".into();
        }
        wish
    }

    /// Changes the rate of the selected traffic.
    fn rate(&mut self, more: bool) -> Option<Wish> {
        let Some(Traffic { name, rate, .. }) = self.chosen_traffic() else {
            self.said = "this lab sends nothing by itself".into();
            return None;
        };
        // A further press continues from the requested rate, even before the lab has answered.
        let wanted = self.wanted.as_ref().filter(|(of, _)| of == name).map(|(_, wanted)| *wanted);
        let (name, rate) = (name.clone(), pace::next(wanted.unwrap_or(*rate), more));
        self.wanted = Some((name.clone(), rate));
        Some(Wish::Rate { traffic: name, rate })
    }

    /// Sends one request to the selected traffic's target.
    fn step(&mut self) -> Option<Wish> {
        let name = self.chosen_traffic().map(|traffic| traffic.name.as_str());
        let aims = &self.hello.traffics;
        let aim = aims.iter().find(|aim| Some(aim.name.as_str()) == name).or(aims.first());
        aim.map(|aim| Wish::Step { to: aim.to.clone() })
    }

    /// Moves to the next or the previous item: a machine, a traffic, a line.
    fn go(&mut self, on: bool) {
        let next = |at: usize, count: usize| match on {
            true => (at + 1) % count.max(1),
            false => (at + count.max(1) - 1) % count.max(1),
        };
        match self.screen {
            Screen::Lab => {
                let machines = &self.state.machines;
                let now = machines.iter().position(|machine| Some(&machine.name) == self.chosen.as_ref());
                let at = match now {
                    Some(now) => next(now, machines.len()),
                    None if on => 0,
                    None => machines.len().saturating_sub(1),
                };
                self.chosen = machines.get(at).map(|machine| machine.name.clone());
            }
            Screen::Traffic => self.traffic = next(self.traffic, self.state.traffics.len()),
            Screen::Story | Screen::Log | Screen::Compare if on => self.scroll += 1,
            Screen::Story | Screen::Log | Screen::Compare => self.scroll = self.scroll.saturating_sub(1),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::watch) fn view() -> View {
        let hello = serde_json::from_str(
            r#"{"chapter": {"name": "server-failure", "number": 10, "title": "What happens when a server fails", "question": "What notices, when, and what is lost until then?"},
                "traffics": [{"name": "shoppers", "to": "lb"}],
                "story": [{"name": "crash", "say": "One of the five servers is killed, and nobody tells the balancer.", "acts": [{"command": "kill web-1"}], "claims": [{"claim": "The balancer notices within four seconds."}]}]}"#,
        );
        let state = serde_json::from_str(
            r#"{"at": 62.0, "machines": [
                {"name": "lb", "kind": "lb", "programs": [{"program": "lb"}], "health": "well", "word": "up", "role": "active", "cpu": 0.05, "memory_held": 1048576, "memory_limit": 1073741824},
                {"name": "web-1", "kind": "web", "programs": [{"program": "webserver"}], "health": "down", "word": "down", "reason": "killed by signal 9, not by labctl", "since": 50.0},
                {"name": "web-2", "kind": "web", "programs": [{"program": "webserver"}], "health": "limping", "word": "at its limit", "reason": "9 jobs wait for a core", "cpu": 1.0, "queue": 9, "memory_held": 60000000, "memory_limit": 83886080},
                {"name": "db", "kind": "db", "programs": [{"program": "dbnode"}], "health": "well", "word": "up", "role": "primary, term 4", "cpu": 0.31, "memory_held": 1048576, "memory_limit": 2147483648}],
              "wires": [{"from": "clients", "to": "lb", "carries": "traffic", "rps": 250.0},
                        {"from": "lb", "to": "web-1", "carries": "requests", "ejected": true},
                        {"from": "lb", "to": "web-2", "carries": "requests", "rps": 200.0},
                        {"from": "web-2", "to": "db", "carries": "queries", "now": "slow by 200ms"}],
              "traffics": [{"name": "shoppers", "rate": 250.0, "ok": 200.0, "failed": 50.0, "p50_ms": 4.2, "p99_ms": 263.4, "served": {"web-2": 200}}],
              "totals": {"offered": 250.0, "good": 200.0, "failed": 50.0, "p99_ms": 263.4, "lag_ms": 0.4, "fault": {"what": "web-1 is gone", "failed": 148, "of": 750}}}"#,
        );
        let events = serde_json::from_str(
            r#"[{"id": 1, "at": 0.5, "text": "web-1 is ready"}, {"id": 2, "at": 50.0, "text": "web-1/webserver (pid 24777) is gone: killed by signal 9, not by labctl", "fault": true}]"#,
        );
        let mut view = View::new(hello.unwrap(), vec!["no two runs to compare".into()], true);
        view.hear(state.unwrap(), events.unwrap());
        view
    }

    #[test]
    fn machine_keys_are_for_the_chosen_machine() {
        let mut view = view();
        assert_eq!(view.press(Key::Char('k')), None);
        assert!(view.said.contains("choose a machine first"));
        view.press(Key::Down);
        view.press(Key::Down);
        assert_eq!(view.machine().unwrap().name, "web-1");
        let name = || "web-1".to_owned();
        assert_eq!(view.press(Key::Char('k')), Some(Wish::Act(Act::Kill { name: name() })));
        assert_eq!(view.press(Key::Char('f')), Some(Wish::Act(Act::Freeze { name: name() })));
        assert_eq!(view.press(Key::Char('t')), Some(Wish::Act(Act::Thaw { name: name() })));
        assert_eq!(view.press(Key::Char('r')), Some(Wish::Act(Act::Restart { name: name() })));
        assert_eq!(view.press(Key::Char('a')), Some(Wish::Act(Act::Add { kind: "web".into() })));
        assert_eq!(view.press(Key::Char('h')), Some(Wish::Act(Act::HealAll)));
        view.press(Key::Esc);
        assert!(view.machine().is_none());
        view.press(Key::Up);
        assert_eq!(view.machine().unwrap().name, "db", "from the end");
    }

    #[test]
    fn digits_show_screens_and_arrows_change_the_rate() {
        let mut view = view();
        for (digit, screen) in ('1'..='5').zip(Screen::ALL) {
            assert_eq!((view.press(Key::Char(digit)), view.screen), (None, screen));
        }
        view.press(Key::Char('9'));
        assert_eq!(view.screen, Screen::Compare, "there is no ninth");
        let more = |rate: f64| Some(Wish::Rate { traffic: "shoppers".into(), rate });
        assert_eq!(view.press(Key::Right), more(260.0));
        view.hear(view.state.clone(), vec![]);
        assert_eq!(view.press(Key::Right), more(280.0), "the lab has not answered yet");
        view.answer("$ labctl load --rps 260".into());
        assert_eq!(view.press(Key::Right), more(300.0), "nor to the second");
        view.answer(String::new());
        view.answer(String::new());
        assert_eq!(view.press(Key::Right), more(260.0), "as the lab has it");
        assert_eq!(view.press(Key::Char(' ')), Some(Wish::Step { to: "lb".into() }));
    }

    #[test]
    fn any_key_closes_the_help_and_q_ends() {
        let mut view = view();
        view.press(Key::Char('?'));
        assert!(view.helps);
        assert_eq!(view.press(Key::Char('h')), None, "it only closes the help");
        assert!(!view.helps);
        assert_eq!(view.press(Key::Char('q')), Some(Wish::Quit));
        view.helps = true;
        assert_eq!(view.press(Key::Char('q')), Some(Wish::Quit));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut view = view();
        for id in 0..3000 {
            let state = State { at: id as f64, ..State::default() };
            view.hear(state, vec![Told { id, ..Told::default() }]);
        }
        assert_eq!((view.events.len(), view.seconds.len(), view.heard()), (EVENTS_MAX, SECONDS_MAX, 2999));
    }
}
