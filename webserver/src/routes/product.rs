//! A product in JSON.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Error;

/// A product: the fields that the shop uses, and all others as given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Product {
    name: String,
    /// In cents.
    price: u64,
    /// Other fields, kept unchanged.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Product {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(body).map_err(|error| Error::BadRequest {
            detail: format!(
                "a product is a JSON object with a string \"name\" and a \"price\" in whole cents: {error}"
            ),
        })
    }

    pub(super) fn to_document(&self) -> Bytes {
        serde_json::to_vec(self).expect("what was read from JSON can be written as JSON").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_else_a_seller_writes_is_kept() {
        let product = Product::parse(br#"{"tags": ["new"], "price": 1999, "name": "Lamp"}"#).unwrap();
        let document = r#"{"name":"Lamp","price":1999,"tags":["new"]}"#;
        assert_eq!(product.to_document(), document);
    }

    #[test]
    fn what_is_no_product_is_refused() {
        let nested = format!(r#"{{"name":"x","price":1,"deep":{}}}"#, "[".repeat(10_000));
        for body in [
            "",
            "{",
            "[]",
            "null",
            r#"["x", 1]"#,
            r#"{"name":"x"}"#,
            r#"{"price":1}"#,
            r#"{"name":1,"price":1}"#,
            r#"{"name":"x","price":-1}"#,
            r#"{"name":"x","price":1.5}"#,
            r#"{"name":"x","price":"1"}"#,
            r#"{"name":"x","price":99999999999999999999}"#,
            r#"{"name":"x","name":"y","price":1}"#,
            r#"{"name":"x","price":1} trailing"#,
            &nested,
        ] {
            assert!(Product::parse(body.as_bytes()).is_err(), "{body:.40}");
        }
        assert!(Product::parse(b"{\"name\":\"\xff\",\"price\":1}").is_err());
    }
}
