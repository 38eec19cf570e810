//! Ids in paths.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use crate::error::Error;

const LENGTH_MAX: usize = 64;

/// The id of a product or an account: 1 to 64 letters, digits, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id(String);

impl Id {
    /// Checks an id.
    pub(super) fn parse(text: String) -> Result<Self, Error> {
        let well_formed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=LENGTH_MAX).contains(&text.len()) && text.bytes().all(well_formed) {
            Ok(Self(text))
        } else {
            Err(Error::BadRequest {
                detail: format!("an id is 1 to {LENGTH_MAX} letters, digits, '_' and '-'"),
            })
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        match path {
            Ok(Path(id)) => Self::parse(id),
            Err(rejection) => Err(Error::BadRequest { detail: rejection.body_text() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_64_harmless_characters_at_most() {
        for id in ["1", "product_123", "A-b_9", &"x".repeat(64)] {
            assert_eq!(Id::parse(id.into()).unwrap().as_str(), id);
        }
        for id in ["", " ", "a b", "a/b", "..", "é", "a:b", "a\0", &"x".repeat(65)] {
            assert!(Id::parse(id.into()).is_err(), "{id:?}");
        }
    }
}
