//! `/cart`: a visitor's cart.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::body::read_json;
use super::id::Id;
use super::products;
use super::session::{FOR_NOBODY_ELSE, Named, counted};
use crate::error::Error;
use crate::sessions::cart::{Cart, Quantity};
use crate::state::Shop;

/// `GET /cart`.
pub async fn read(State(shop): State<Arc<Shop>>, named: Named) -> Result<Response, Error> {
    let id = named.required(&shop)?;
    let session = counted(&shop, shop.sessions.find(&id).await)?;
    Ok(cart_response(&session.cart))
}

/// `POST /cart/items`. Returns the new cart. The session is checked first, so unknown clients cost
/// the database nothing.
pub async fn add(State(shop): State<Arc<Shop>>, named: Named, request: Request) -> Result<Response, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        product: String,
        quantity: i64,
    }
    let body = read_json(request, shop.config.body_timeout).await?;
    let item: Item = serde_json::from_slice(&body).map_err(|error| Error::BadRequest {
        detail: format!("an item is {{\"product\": id, \"quantity\": whole number}}: {error}"),
    })?;
    let product = Id::parse(item.product)?;
    let quantity = Quantity::new(item.quantity).ok_or(Error::BadQuantity)?;

    let id = named.required(&shop)?;
    counted(&shop, shop.sessions.find(&id).await)?;
    if shop.store.read(&products::key(&product)).await?.found.is_none() {
        return Err(Error::UnknownProduct { id: product.into_text() });
    }
    let cart = counted(&shop, shop.sessions.add(&id, product.as_str(), quantity).await)?;
    Ok(cart_response(&cart))
}

fn cart_response(cart: &Cart) -> Response {
    ([FOR_NOBODY_ELSE], Json(cart)).into_response()
}
