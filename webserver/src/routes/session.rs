//! `/login`, `/me`, `/logout`: sessions.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::body::read_json;
use crate::error::Error;
use crate::sessions::{SessionError, SessionId};
use crate::state::Shop;

/// The longest user name, in characters.
const USER_LENGTH_MAX: usize = 64;

/// Data about one visitor must not be cached.
pub(super) const FOR_NOBODY_ELSE: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// The session id in a request's cookie, if there is one. Only the store knows whether the session
/// exists.
#[derive(Debug)]
pub struct Named(Option<SessionId>);

/// `POST /login`. The lab has no passwords: any client may log in as any user.
pub async fn login(
    State(shop): State<Arc<Shop>>,
    Named(before): Named,
    request: Request,
) -> Result<Response, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Login {
        user: String,
    }
    let body = read_json(request, shop.config.body_timeout).await?;
    let Login { user } = serde_json::from_slice(&body)
        .map_err(|error| Error::BadRequest { detail: format!("a login is {{\"user\": name}}: {error}") })?;
    if !(1..=USER_LENGTH_MAX).contains(&user.chars().count()) || user.chars().any(char::is_control) {
        return Err(Error::BadUser { length_max: USER_LENGTH_MAX });
    }
    let id = counted(&shop, shop.sessions.begin(&user, before.as_ref()).await)?;
    shop.metrics.logins.inc();
    let headers = [(header::SET_COOKIE, shop.cookies.give(&id)), FOR_NOBODY_ELSE];
    Ok((headers, Json(json!({ "user": user }))).into_response())
}

/// `GET /me`.
pub async fn me(State(shop): State<Arc<Shop>>, named: Named) -> Result<Response, Error> {
    let id = named.required(&shop)?;
    let session = counted(&shop, shop.sessions.find(&id).await)?;
    Ok(([FOR_NOBODY_ELSE], Json(json!({ "user": session.user }))).into_response())
}

/// `POST /logout`. Responds once the session has ended in the store. Without a session it has no
/// effect.
pub async fn logout(State(shop): State<Arc<Shop>>, Named(id): Named) -> Result<Response, Error> {
    if let Some(id) = id {
        counted(&shop, shop.sessions.end(&id).await)?;
        shop.metrics.logouts.inc();
    }
    let headers = [(header::SET_COOKIE, shop.cookies.take_back()), FOR_NOBODY_ELSE];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// Counts session failures.
pub(super) fn counted<T>(shop: &Shop, outcome: Result<T, SessionError>) -> Result<T, Error> {
    match &outcome {
        Err(SessionError::Unknown) => _ = shop.metrics.sessions_unknown.inc(),
        Err(SessionError::Unavailable(_) | SessionError::OutcomeUnknown) => {
            shop.metrics.sessions_unavailable.inc();
        }
        Err(SessionError::CartFull(_)) | Ok(_) => {}
    }
    Ok(outcome?)
}

impl Named {
    /// Returns the session id, for requests that require a session.
    pub(super) fn required(self, shop: &Shop) -> Result<SessionId, Error> {
        counted(shop, self.0.ok_or(SessionError::Unknown))
    }
}

impl FromRequestParts<Arc<Shop>> for Named {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shop: &Arc<Shop>) -> Result<Self, Infallible> {
        Ok(Self(shop.cookies.read(&parts.headers)))
    }
}
