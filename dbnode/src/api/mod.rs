//! The HTTP API for clients. Requests are routed by hand, so that a request for a key goes through
//! a single `match`.

/// Response bodies.
mod answer_body;
/// Reads a request's body.
mod body;
/// Requests that list records.
mod list;
mod listing;
/// Error responses.
mod problem;
mod query;
/// Requests about one record.
mod records;
mod route;
/// Requests about the node itself.
mod status;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use machine::Machine;
use machine::serving::Connection;
use machine::serving::budget::Lane;
use machine::serving::guard::Guard;
use machine::trace::{self, Span};
use machine::vitals::Vitals;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::peers::Directory;
use crate::replication::Core;
use crate::replication::durability::Mode;
use crate::replication::effect::RejectReason;
use crate::replication::member::Incarnation;
use crate::replication::showing::View;
use crate::storage::disk::LogUsage;
pub use answer_body::AnswerBody;
use dbclient::Read;
use problem::Problem;
use route::Target;

type Answer = Response<AnswerBody>;

/// Maximum number of long lists being sent at once; each holds some megabytes of values.
const LISTS_MAX: usize = 8;

/// The response header that names the node.
const NODE: HeaderName = HeaderName::from_static("x-db-node");

/// The response header with the maximum staleness of a local read, in milliseconds.
const LAG: HeaderName = HeaderName::from_static("x-lag-ms");

/// A node's HTTP API.
#[derive(Debug)]
pub struct Api {
    config: Config,
    node: Node,
    machine: Machine,
    vitals: Arc<Vitals>,
    metrics: Metrics,
    about: About,
    /// Accepts only requests for the node's own host names.
    guard: Guard,
    /// Shares of the memory for long lists.
    lists: Lane,
    /// Lets one long list at a time serialize a piece.
    list_turn: Arc<Semaphore>,
    /// The node's name as a header value.
    name: HeaderValue,
}

/// Facts about the node that are not in its configuration.
#[derive(Debug)]
pub struct About {
    /// The data directory it acts with.
    pub incarnation: Incarnation,
    /// What an acknowledged write survives; `None` for a single node.
    pub mode: Option<Mode>,
    /// The addresses at which clients reach the other nodes.
    pub directory: Directory,
    /// The disk usage of its log.
    pub log: LogUsage,
}

impl Api {
    /// Creates the API of a node.
    pub fn new(
        config: Config,
        about: About,
        node: Node,
        machine: Machine,
        vitals: Arc<Vitals>,
        metrics: Metrics,
    ) -> Self {
        let name = HeaderValue::from_str(&config.id).expect("a node's name is letters and digits");
        let (guard, lists) = (Guard::named(config.host_names()), Lane::new(LISTS_MAX));
        Self {
            config,
            node,
            machine,
            vitals,
            metrics,
            about,
            guard,
            lists,
            list_turn: Arc::new(Semaphore::new(1)),
            name,
        }
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let traceparent = request.headers().get(trace::TRACEPARENT).map(HeaderValue::as_bytes);
        let mut span =
            Span::of_request(traceparent, || format!("{} {}", request.method(), request.uri().path()));
        let answered = trace::within(span.as_ref(), self.route(request)).await;
        let mut answer = match answered {
            Ok(answer) => answer,
            Err(problem) => {
                self.metrics.refused(problem.error());
                problem.into_answer()
            }
        };
        answer.headers_mut().insert(NODE, self.name.clone());
        if let Some(span) = &mut span {
            span.say("status", answer.status().as_u16());
        }
        Ok(answer)
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Answer, Problem> {
        self.guard.check(request.method(), request.uri(), request.headers())?;
        let target = route::target(request.uri().path())?;
        let place = request.uri().path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
        let step = target.name();
        let answered = self.metrics.steps.watch(step, self.answer_about(target, request)).await;
        answered.map_err(|problem| self.send_to_primary(problem, &place))
    }

    async fn answer_about(&self, target: Target, request: Request<Incoming>) -> Result<Answer, Problem> {
        match (target, request.method()) {
            (Target::Record(key), &Method::GET) => self.get(&key, request.uri().query()).await,
            (Target::Record(key), &Method::PUT) => self.put(key, request).await,
            (Target::Record(key), &Method::DELETE) => self.delete(key, &request).await,
            (Target::Addition(key), &Method::POST) => self.add(key, request).await,
            (Target::Records, &Method::GET) => {
                let connection = request.extensions().get::<Arc<Connection>>().cloned();
                self.list(request.uri().query(), connection).await
            }
            (Target::Status, &Method::GET) => Ok(self.status()),
            (Target::Health, &Method::GET) => Ok(self.health()),
            (Target::Metrics, &Method::GET) => Ok(self.show_metrics()),
            (target, method) => Err(Problem::method(method, target.methods())),
        }
    }

    /// Redirects the client to the primary if only the primary can do what was asked, and its
    /// address is known.
    fn send_to_primary(&self, problem: Problem, place: &str) -> Problem {
        match problem.primary().and_then(|primary| self.about.directory.find(primary)) {
            Some(address) => problem.at(&format!("http://{address}{place}")),
            None => problem,
        }
    }

    /// Reads the records: the local copy, or linearizably.
    async fn look<T>(&self, read: Read, look: impl FnOnce(View<'_>) -> T) -> Result<T, RejectReason> {
        match read {
            Read::Local => Ok(self.node.read_local(look)),
            Read::Latest => self.node.read_latest(look).await,
        }
    }

    /// Adds the maximum staleness of a local read, if it is known.
    fn say_lag(&self, read: Read, answer: &mut Answer) {
        if read == Read::Local
            && let Some(lag) = self.node.inspect(Core::lag_ms)
        {
            answer.headers_mut().insert(LAG, HeaderValue::from(lag));
        }
    }
}

fn empty(status: StatusCode) -> Answer {
    with_body(status, Bytes::new())
}

fn with_body(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(AnswerBody::Whole(Full::new(body)));
    *answer.status_mut() = status;
    answer
}

fn json(status: StatusCode, document: &impl serde::Serialize) -> Answer {
    let mut body = serde_json::to_vec(document).expect("texts and numbers always serialize");
    body.push(b'\n');
    let mut answer = with_body(status, body.into());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
