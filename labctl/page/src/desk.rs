//! What every part of the page works on: the lab, its traffics, and who is looking.

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

/// What every part of the page works on.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The lab.
    pub lab: Running,
    /// Its chapter.
    pub source: Source,
    /// Its traffics.
    pub traffics: Traffics,
    /// Visitors of its shop, with their cookies.
    pub visitors: Visitors,
    /// The command that speaks to this lab: `labctl`, with flags where they are needed.
    pub labctl: String,
    /// What a run tells, where one goes on.
    pub run: Option<RunLog>,
    /// Runs that were kept.
    pub results: Arc<dyn Results>,
    /// Which lab this is: another one on the same port has other events.
    pub id: String,
    state: watch::Sender<Arc<str>>,
    watchers: AtomicUsize,
    /// Somebody looks who did not before, or there is something new to see.
    looked_at: Notify,
}

/// Somebody looks at the page for as long as this is held.
#[derive(Debug)]
pub(crate) struct Watching(Arc<Desk>);

/// An event, as the page is told of it.
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
    /// A desk at which nobody looks yet.
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

    /// Whether anybody looks.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Acquire) > 0
    }

    /// Somebody looks from now on.
    pub(crate) fn watch(self: &Arc<Self>) -> Watching {
        if self.watchers.fetch_add(1, Ordering::AcqRel) == 0 {
            self.looked_at.notify_one();
        }
        Watching(Arc::clone(self))
    }

    /// Waits until somebody looks while nobody did, or something was changed.
    pub(crate) async fn first_look(&self) {
        self.looked_at.notified().await;
    }

    /// The lab was changed: those who look do not wait for the next look to see it.
    pub(crate) fn look_now(&self) {
        self.looked_at.notify_one();
    }

    /// How many look.
    pub(crate) fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Acquire)
    }

    /// Tells everybody how the lab is.
    pub(crate) fn publish(&self, snapshot: &Snapshot) {
        match serde_json::to_string(snapshot) {
            Ok(text) => drop(self.state.send_replace(text.into())),
            Err(error) => tracing::warn!(%error, "the lab's state cannot be written as JSON"),
        }
    }

    /// The lab as it is from now on.
    pub(crate) fn states(&self) -> watch::Receiver<Arc<str>> {
        self.state.subscribe()
    }

    /// Does something to the lab. The answer says what was done, as it could have been typed.
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
            let token = plan.place().admin_token_file().map_or(String::new(), |file| {
                format!(" -H \"authorization: Bearer $(cat {})\"", file.display())
            });
            told["command"] =
                format!("curl -X PUT{token} http://{}/policy -d '{wanted}'", admin.address).into();
        }
        told["balancers"] = json!(balancers);
        Ok(told)
    }

    /// What sends a traffic at this rate.
    pub(crate) fn load_command(&self, traffic: &str, rate: f64) -> String {
        match self.lab.can_act() {
            true => self.command(&format!("load --rps {rate} --traffic {traffic} --background")),
            false => format!("{} run --rm load --rps {rate}", self.labctl),
        }
    }

    /// A labctl command for this lab.
    pub(crate) fn command(&self, arguments: &str) -> String {
        format!("{} {arguments}", self.labctl)
    }

    /// What a page is told first.
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

    /// An event, as the page is told of it.
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
