//! The page's HTTP interface.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chapter::{Act, Span};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Uri};
use lab::error::LabError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::assets;
use crate::deeds;
use crate::desk::Desk;
use crate::running::NotDone;
use crate::stream;
use crate::tables;
use crate::traffic::PROBE;
use crate::visitors::{Question, database_nodes, read_command};

/// The largest request body, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a first viewer waits for a state to be sampled.
const STATE_MAX: Duration = Duration::from_secs(3);
/// The longest delay, or half-period of a flapping link, that can be requested.
const DELAY_MAX: Duration = Duration::from_secs(60);
/// The shortest half-period of a flapping link.
const FLAP_MIN: Duration = Duration::from_millis(10);

/// The range of p99 objectives for a capacity search.
const P99_MIN: Duration = Duration::from_millis(1);
const P99_MAX: Duration = Duration::from_secs(10);

/// The content security policy: only the page's own files may run or load.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What every handler gets.
#[derive(Debug, Clone)]
struct Context {
    desk: Arc<Desk>,
    access: Arc<Access>,
    stop: CancellationToken,
}

/// Builds the router of the page and its interface.
pub(crate) fn app(desk: Arc<Desk>, access: Arc<Access>, stop: CancellationToken) -> Router {
    let context = Context { desk, access, stop };
    let api = Router::new()
        .route("/api/hello", get(hello))
        .route("/api/state", get(state))
        .route("/api/stream", get(events_stream))
        .route("/api/events", get(events))
        .route("/api/act", post(act))
        .route("/api/load", post(load))
        .route("/api/policy", post(policy))
        .route("/api/step", post(step))
        .route("/api/lookup", post(lookup))
        .route("/api/deposit", post(deposit))
        .route("/api/read", post(read))
        .route("/api/visit", post(visit))
        .route("/api/capacity", post(capacity))
        .route("/api/runs", get(runs))
        .route("/api/runs/{chapter}/{run}", get(run))
        .route("/api/compare/{chapter}/{first}/{second}", get(compare))
        .route("/api/table", get(table))
        .route("/tables", get(tables))
        .fallback(async || problem(StatusCode::NOT_FOUND, "not_found", "there is nothing here"))
        .layer(middleware::from_fn_with_state(context.clone(), let_in))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    let mut files = Router::new().route("/", get(index)).route("/healthz", get(async || StatusCode::OK));
    for (number, (path, ..)) in assets::FILES.iter().enumerate().filter(|(_, (path, ..))| *path != "/") {
        files = files.route(path, get(async move |headers: HeaderMap| assets::file(number, &headers)));
    }
    files.merge(api).layer(middleware::from_fn_with_state(context.clone(), guard)).with_state(context)
}

/// Wraps every response: checks the `Host`, and adds the headers that restrict what a browser may do with it.
async fn guard(State(context): State<Context>, request: Request, next: Next) -> Response {
    let mut response = match context.access.check_host(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => problem(StatusCode::FORBIDDEN, "not_allowed", refused).into_response(),
    };
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Requires the token for everything that shows or changes something.
async fn let_in(State(context): State<Context>, request: Request, next: Next) -> Response {
    match context.access.check(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused @ crate::access::Refused::Token) => {
            problem(StatusCode::UNAUTHORIZED, "unknown_token", refused).into_response()
        }
        Err(refused) => problem(StatusCode::FORBIDDEN, "not_allowed", refused).into_response(),
    }
}

/// Serves the page. A token in the URL is exchanged for a cookie, so it does not stay in the address bar.
async fn index(State(context): State<Context>, uri: Uri, headers: HeaderMap) -> Response {
    let Some(cookie) = context.access.cookie_for(&uri) else { return assets::file(0, &headers) };
    let headers = [(header::SET_COOKIE, cookie), (header::LOCATION, "/".into())];
    (StatusCode::SEE_OTHER, headers).into_response()
}

async fn hello(State(context): State<Context>) -> Json<Value> {
    Json(context.desk.hello())
}

async fn state(State(context): State<Context>) -> Response {
    let _watching = context.desk.watch();
    let mut states = context.desk.states();
    if timeout(STATE_MAX, states.changed()).await.is_err() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "no_state", "the lab did not answer in time")
            .into_response();
    }
    let text = states.borrow_and_update().to_string();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// Serves a version for browsers without JavaScript: tables that reload every two seconds.
async fn tables(State(context): State<Context>) -> Response {
    let _watching = context.desk.watch();
    let mut states = context.desk.states();
    if timeout(STATE_MAX, states.changed()).await.is_err() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "no_state", "the lab did not answer in time")
            .into_response();
    }
    let state = serde_json::from_str(&states.borrow_and_update()).unwrap_or_default();
    let happened = context.desk.lab.events.since(0);
    let text = tables::page(&context.desk.source.chapter.title, &state, &happened);
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], text)
        .into_response()
}

async fn runs(State(context): State<Context>) -> Result<Json<Value>, Problem> {
    let results = Arc::clone(&context.desk.results);
    let listed = spawn_blocking(move || results.list()).await;
    listed.map(|runs| Json(json!(runs))).map_err(|error| refused(LabError::Broken(error.into())))
}

async fn run(
    State(context): State<Context>,
    Path((chapter, run)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    check_word("chapter", &chapter)?;
    check_word("run", &run)?;
    let results = Arc::clone(&context.desk.results);
    // A stored run may hold many megabytes of requests.
    let opened = spawn_blocking(move || results.open(&chapter, &run)).await;
    let opened = opened.map_err(|error| refused(LabError::Broken(error.into())))?;
    opened.map(Json).map_err(refused)
}

async fn compare(
    State(context): State<Context>,
    Path((chapter, first, second)): Path<(String, String, String)>,
) -> Result<Json<Value>, Problem> {
    for (what, word) in [("chapter", &chapter), ("first", &first), ("second", &second)] {
        check_word(what, word)?;
    }
    let results = Arc::clone(&context.desk.results);
    let compared = spawn_blocking(move || results.compare(&chapter, &first, &second)).await;
    let compared = compared.map_err(|error| refused(LabError::Broken(error.into())))?;
    compared.map(Json).map_err(refused)
}

async fn table(State(context): State<Context>) -> Json<Value> {
    Json(context.desk.results.table())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Capacity {
    traffic: Option<String>,
    #[serde(default = "hundred_ms")]
    p99: Span,
}

fn hundred_ms() -> Span {
    Span(Duration::from_millis(100))
}

async fn capacity(State(context): State<Context>, body: Bytes) -> Result<Json<Value>, Problem> {
    let Capacity { traffic, p99 } = parse(&body)?;
    if !(P99_MIN..=P99_MAX).contains(&p99.0) {
        let limits = format!("p99: between {P99_MIN:?} and {P99_MAX:?}, not {p99}");
        return Err(refused(LabError::Usage(limits)));
    }
    let desk = &context.desk;
    let search = desk.traffics.find_capacity(&desk.lab, traffic.as_deref(), p99.0);
    let found = tokio::select! {
        found = search => found.map_err(refused)?,
        () = context.stop.cancelled() => return Err(refused(LabError::not_ready("the lab ends"))),
    };
    let name = &found.traffic;
    let command =
        || desk.command(&format!("capacity --p99 {} --probe {PROBE:?} --traffic {name}", deeds::plain(p99)));
    // There is no such command for a stack.
    let command = desk.lab.can_act().then(command);
    Ok(Json(json!({ "command": command, "found": found })))
}

async fn events_stream(State(context): State<Context>, headers: HeaderMap) -> Response {
    let told = stream::stream(&context.desk, &headers, context.stop.clone());
    // A proxy in between must not buffer the stream.
    ([("x-accel-buffering", "no")], told).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    #[serde(default)]
    after: usize,
}

async fn events(State(context): State<Context>, Query(After { after }): Query<After>) -> Response {
    let events = context.desk.lab.events.since(after);
    let told = events.iter().zip(after + 1..).map(|(event, id)| context.desk.told(id, event));
    let list = told.collect::<Vec<_>>().join(",");
    ([(header::CONTENT_TYPE, "application/json")], format!("[{list}]")).into_response()
}

async fn act(State(context): State<Context>, body: Bytes) -> Result<Json<Value>, Problem> {
    let act: Act = parse(&body)?;
    check_act(&act).map_err(refused)?;
    context.desk.act(&act).await.map(Json).map_err(|not_done| match not_done {
        NotDone::Refused(error) => refused(error),
        NotDone::ByHand(command) => Problem {
            detail: format!("this page cannot reach the engine, on purpose; type in a terminal: {command}"),
            command: Some(command),
            ..problem(StatusCode::CONFLICT, "by_hand", "")
        },
    })
}

fn check_act(act: &Act) -> Result<(), LabError> {
    if let Some(mistake) = act.mistake() {
        return Err(LabError::Usage(mistake));
    }
    match act {
        Act::Slow { by, .. } if by.0 > DELAY_MAX => {
            Err(LabError::Usage(format!("a link can be slowed by {DELAY_MAX:?} at most, not by {by}")))
        }
        Act::Flap { every, .. } if !(FLAP_MIN..=DELAY_MAX).contains(&every.0) => Err(LabError::Usage(
            format!("a link can flap every {FLAP_MIN:?} to {DELAY_MAX:?}, not every {every}"),
        )),
        _ => Ok(()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Load {
    traffic: Option<String>,
    rate: f64,
}

async fn load(State(context): State<Context>, body: Bytes) -> Result<Json<Value>, Problem> {
    let Load { traffic, rate } = parse(&body)?;
    let desk = &context.desk;
    let name = desk.traffics.set_rate(&desk.lab, traffic.as_deref(), rate).await.map_err(refused)?;
    desk.look_now();
    let command = desk.load_command(&name, rate);
    Ok(Json(json!({ "command": command, "traffic": name, "rate": rate })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    to: String,
    policy: String,
}

async fn policy(State(context): State<Context>, body: Bytes) -> Result<Json<Value>, Problem> {
    let Policy { to, policy } = parse(&body)?;
    check_word("policy", &policy)?;
    let desk = &context.desk;
    let told = desk.set_policy(&to, &policy).await.map_err(refused)?;
    desk.look_now();
    Ok(Json(told))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    to: String,
    #[serde(default = "first_product")]
    path: String,
}

fn first_product() -> String {
    "/products/1".into()
}

async fn step(State(context): State<Context>, body: Bytes) -> Result<Json<Value>, Problem> {
    let Step { to, path } = parse(&body)?;
    get_path(&context, &to, path).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lookup {
    to: String,
    id: String,
}

async fn lookup(State(context): State<Context>, body: Bytes) -> Result<Json<Value>, Problem> {
    let Lookup { to, id } = parse(&body)?;
    check_word("id", &id)?;
    get_path(&context, &to, format!("/products/{id}")).await
}

async fn get_path(context: &Context, to: &str, path: String) -> Result<Json<Value>, Problem> {
    if !path.starts_with('/') {
        return Err(refused(LabError::Usage(format!("a path begins with '/': '/{path}', not '{path}'"))));
    }
    let question = Question { to, method: Method::GET, path, body: None, visitor: None };
    ask(context, question).await
}

async fn ask(context: &Context, question: Question<'_>) -> Result<Json<Value>, Problem> {
    let desk = &context.desk;
    let visit = desk.visitors.visit(&desk.lab, &question).await.map_err(refused)?;
    Ok(Json(json!(visit)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    to: String,
    account: String,
    #[serde(default = "fifty")]
    amount: i64,
}

fn fifty() -> i64 {
    50
}

async fn deposit(State(context): State<Context>, body: Bytes) -> Result<Json<Value>, Problem> {
    let Account { to, account, amount } = parse(&body)?;
    check_word("account", &account)?;
    let desk = &context.desk;
    let chapter = &desk.source.chapter;
    let told = desk.visitors.deposit(&desk.lab, chapter, &to, &account, amount).await.map_err(refused)?;
    Ok(Json(json!({ "command": told.deposit.command, "deposit": told.deposit, "nodes": told.nodes })))
}

async fn read(State(context): State<Context>, body: Bytes) -> Result<Json<Value>, Problem> {
    let Account { to, account, .. } = parse(&body)?;
    check_word("account", &account)?;
    let desk = &context.desk;
    let nodes = database_nodes(&desk.source.chapter, &desk.lab.plan(), &to);
    let readings = desk.visitors.read(&desk.lab, &to, &account, &nodes, Instant::now()).await;
    let command = read_command(&desk.lab.plan(), &to, &account, &nodes).map_err(refused)?;
    let told = nodes.into_iter().zip(readings).collect::<indexmap::IndexMap<_, _>>();
    Ok(Json(json!({ "command": command, "nodes": told })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Visit {
    to: String,
    visitor: String,
    #[serde(rename = "do")]
    what: Deed,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Deed {
    Login,
    Me,
    Add,
    Cart,
    Logout,
}

async fn visit(State(context): State<Context>, body: Bytes) -> Result<Json<Value>, Problem> {
    let Visit { to, visitor, what } = parse(&body)?;
    check_word("visitor", &visitor)?;
    let (method, path, body) = match what {
        Deed::Login => (Method::POST, "/login", Some(json!({ "user": visitor }))),
        Deed::Me => (Method::GET, "/me", None),
        Deed::Add => (Method::POST, "/cart/items", Some(json!({ "product": "7", "quantity": 1 }))),
        Deed::Cart => (Method::GET, "/cart", None),
        Deed::Logout => (Method::POST, "/logout", Some(json!({}))),
    };
    let body = body.map(|body| body.to_string());
    let question = Question { to: &to, method, path: path.into(), body, visitor: Some(&visitor) };
    ask(&context, question).await
}

/// Accepts only plain words as parts of a path.
fn check_word(what: &str, word: &str) -> Result<(), Problem> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let is_hidden = word.starts_with('.');
    match !word.is_empty() && !is_hidden && word.len() <= 64 && word.chars().all(is_plain) {
        true => Ok(()),
        false => Err(problem(
            StatusCode::BAD_REQUEST,
            "bad_request",
            format!("{what}: 1 to 64 letters, digits, '-', '_' or '.'"),
        )),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let parsed = serde_json::from_slice(body);
    parsed.map_err(|error| problem(StatusCode::BAD_REQUEST, "bad_request", format!("the body: {error}")))
}

fn refused(error: LabError) -> Problem {
    let (status, code) = match &error {
        LabError::Usage(_) | LabError::Chapter(_) => (StatusCode::UNPROCESSABLE_ENTITY, "not_possible"),
        LabError::NotReady(_) | LabError::Unsteady(_) => (StatusCode::CONFLICT, "not_ready"),
        LabError::Interrupted(_) => (StatusCode::SERVICE_UNAVAILABLE, "ending"),
        LabError::Broken(_) => (StatusCode::INTERNAL_SERVER_ERROR, "broken"),
    };
    problem(status, code, error)
}

/// Why a request was not carried out.
#[derive(Debug)]
struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// The command to type instead.
    command: Option<String>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut told = json!({ "error": self.code, "detail": self.detail });
        if let Some(command) = self.command {
            told["command"] = command.into();
        }
        (self.status, Json(told)).into_response()
    }
}

fn problem(status: StatusCode, code: &'static str, detail: impl std::fmt::Display) -> Problem {
    Problem { status, code, detail: detail.to_string(), command: None }
}
