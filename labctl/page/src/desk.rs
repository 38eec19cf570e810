//! The state that all parts of the page share: the lab, its traffics, and the number of viewers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chapter::{Act, Source};
use hyper::Method;
use lab::Event;
use lab::error::LabError;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::Options;
use crate::deeds::{self, Undo};
use crate::results::Results;
use crate::run_log::RunLog;
use crate::running::{NotDone, Running};
use crate::snapshot::{SCHEMA, Snapshot};
use crate::story;
use crate::topology;
use crate::traffic::{RATE_MAX, Traffics};
use crate::visitors::Visitors;

/// How long a balancer may take to switch its policy.
const POLICY_MAX: Duration = Duration::from_secs(2);

/// The state that all parts of the page share.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The lab.
    pub lab: Running,
    /// The chapter that the lab was started from.
    pub source: Source,
    /// The chapter's traffics.
    pub traffics: Traffics,
    /// Visitors of the lab's shop, with their cookies.
    pub visitors: Visitors,
    /// The command line that addresses this lab: `labctl`, with flags where they are needed.
    pub labctl: String,
    /// The event log of the current run, if there is one.
    pub run: Option<RunLog>,
    /// The stored runs.
    pub results: Arc<dyn Results>,
    /// Identifies this lab: another one on the same port has other events.
    pub id: String,
    state: watch::Sender<Arc<str>>,
    watchers: AtomicUsize,
    /// Wakes the sampler when the first viewer arrives or the lab was changed.
    looked_at: Notify,
}

/// Counts as a viewer of the page for as long as it is held.
#[derive(Debug)]
pub(crate) struct Watching(Arc<Desk>);

/// An event, as it is sent to the page.
#[derive(Debug, Serialize)]
struct Told<'a> {
    id: usize,
    #[serde(flatten)]
    event: &'a Event,
    text: String,
    subject: Option<&'a str>,
    fault: bool,
    undo: Option<Undo>,
}

impl Desk {
    /// Creates the shared state, with no viewers yet.
    pub(crate) fn new(lab: Running, traffics: Traffics, options: Options) -> Self {
        Self {
            lab,
            source: options.source,
            traffics,
            visitors: Visitors::default(),
            labctl: options.labctl,
            run: options.run.map(|run| run.log),
            results: options.results,
            id: hex::encode(rand::random::<[u8; 4]>()),
            state: watch::Sender::new("{}".into()),
            watchers: AtomicUsize::new(0),
            looked_at: Notify::new(),
        }
    }

    /// Returns whether the page has any viewers.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Acquire) > 0
    }

    /// Registers a viewer until the result is dropped.
    pub(crate) fn watch(self: &Arc<Self>) -> Watching {
        if self.watchers.fetch_add(1, Ordering::AcqRel) == 0 {
            self.looked_at.notify_one();
        }
        Watching(Arc::clone(self))
    }

    /// Waits until the first viewer arrives or the lab is changed.
    pub(crate) async fn first_look(&self) {
        self.looked_at.notified().await;
    }

    /// Wakes the sampler after a change, so that viewers do not wait for the next sample.
    pub(crate) fn look_now(&self) {
        self.looked_at.notify_one();
    }

    /// Returns the number of viewers.
    pub(crate) fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Acquire)
    }

    /// Publishes the lab's state to all viewers.
    pub(crate) fn publish(&self, snapshot: &Snapshot) {
        match serde_json::to_string(snapshot) {
            Ok(text) => drop(self.state.send_replace(text.into())),
            Err(error) => tracing::warn!(%error, "the lab's state cannot be written as JSON"),
        }
    }

    /// Subscribes to the lab's state, starting with the current one.
    pub(crate) fn states(&self) -> watch::Receiver<Arc<str>> {
        self.state.subscribe()
    }

    /// Carries out an action on the lab. The answer lists the equivalent commands.
    pub(crate) async fn act(&self, act: &Act) -> Result<Value, NotDone> {
        let done = self.lab.act(act).await?;
        self.look_now();
        Ok(json!({ "command": self.lab.command(&self.labctl, act), "done": done }))
    }

    /// Switches the policy of a balancer, or of every balancer of a kind.
    pub(crate) async fn set_policy(&self, to: &str, policy: &str) -> Result<Value, LabError> {
        let plan = self.lab.plan();
        let is_meant = |name: &str| name == to || plan.machines[name].kind == to;
        let balancers: Vec<_> = plan.balancers().filter(|name| is_meant(name)).collect();
        if balancers.is_empty() {
            let known = plan.balancers();
            return Err(LabError::Usage(chapter::suggest::unknown("balancer", to, known)));
        }
        let wanted = json!({ "policy": policy });
        let mut told = json!({});
        for balancer in &balancers {
            let Some(admin) = plan.admin_of(balancer) else { continue };
            let answer = admin.ask(Method::PUT, "/policy", Some(wanted.clone()), POLICY_MAX).await?;
            told = serde_json::from_slice(&answer.body).unwrap_or_default();
            if !answer.status.is_success() {
                let why = told["detail"].as_str().unwrap_or("it does not say why");
                return Err(LabError::Usage(format!("{balancer} refuses the policy '{policy}': {why}")));
            }
            let token = self.lab.admin_token_command();
            let token = token.map_or(String::new(), |cat| format!(" -H \"authorization: Bearer $({cat})\""));
            told["command"] =
                format!("curl -X PUT{token} http://{}/policy -d '{wanted}'", admin.address).into();
        }
        told["balancers"] = json!(balancers);
        Ok(told)
    }

    /// Returns the command that sends a traffic at this rate, if there is one: a stack's load generator only
    /// sends `GET`, and ends with Ctrl-C.
    pub(crate) fn load_command(&self, traffic: &str, rate: f64) -> Option<String> {
        if self.lab.can_act() {
            return Some(self.command(&format!("load --rps {rate} --traffic {traffic} --background")));
        }
        let sends = &self.traffics.all().find(|known| known.stream.name == traffic)?.stream.requests;
        if rate == 0.0 || sends.method != Method::GET {
            return None;
        }
        // Without --path it requests products.
        let path = match sends.path.as_str() {
            "/products/{key}" => String::new(),
            path => format!(" --path '{path}'"),
        };
        Some(self.command(&format!("run --rm load --rps {rate}{path}")))
    }

    /// Returns a labctl command line for this lab.
    pub(crate) fn command(&self, arguments: &str) -> String {
        format!("{} {arguments}", self.labctl)
    }

    /// Builds the first message that a page receives.
    pub(crate) fn hello(&self) -> Value {
        let chapter = &self.source.chapter;
        let plan = self.lab.plan();
        let kinds = chapter.machine.iter().map(|(kind, entry)| {
            json!({ "kind": kind, "price": entry.price, "countable": entry.count.is_some(),
                    "webserver": entry.webserver.is_some(), "lb": entry.lb.is_some(),
                    "pair": entry.lb.as_ref().is_some_and(|lb| lb.pair),
                    "dbnode": entry.dbnode.is_some(), "redis": entry.redis.is_some(),
                    "db": entry.webserver.as_ref().map(|web| web.db.as_ref()),
                    "sessions": entry.webserver.as_ref().and_then(|web| web.sessions.clone()),
                    "cache": entry.webserver.as_ref().and_then(|web| web.cache.clone()),
                    "upstreams": entry.lb.as_ref().map(|lb| lb.upstreams.as_ref()),
                    "replication": entry.dbnode.as_ref().and_then(|node| node.replication.clone()) })
        });
        let traffics = self.traffics.all().map(|traffic| {
            json!({ "name": traffic.stream.name, "to": traffic.to, "path": traffic.stream.requests.path,
                    "method": traffic.stream.requests.method.as_str() })
        });
        let links = plan.links.iter().map(|link| json!({ "from": link.from, "to": link.to }));
        json!({
            "schema": SCHEMA,
            "lab": self.id,
            "chapter": { "name": self.source.name, "number": chapter.number, "title": chapter.title,
                         "question": chapter.question },
            "labctl": self.labctl,
            "can_act": self.lab.can_act(),
            "by_hand": self.lab.by_hand(),
            "kinds": kinds.collect::<Vec<_>>(),
            "traffics": traffics.collect::<Vec<_>>(),
            "links": links.collect::<Vec<_>>(),
            "wires": topology::wires(chapter, &plan),
            "story": story::steps(chapter),
            "history": self.traffics.history(),
            "rate_max": RATE_MAX,
            "watchers": self.watchers(),
            "run": self.run.is_some(),
        })
    }

    /// Serializes an event for the page.
    pub(crate) fn told(&self, id: usize, event: &Event) -> String {
        let undo = deeds::undo(&event.what);
        let undo = undo.map(|act| Undo { command: self.lab.command(&self.labctl, &act), act });
        let told = Told {
            id,
            event,
            text: event.what.to_string(),
            subject: deeds::subject(&event.what),
            fault: deeds::is_fault(&event.what),
            undo,
        };
        serde_json::to_string(&told).unwrap_or_default()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::AcqRel);
    }
}
