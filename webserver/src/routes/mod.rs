//! The handlers, one file per resource.

/// `/accounts/{id}`: money.
pub mod accounts;
/// Reads a request's body, within its limits.
mod body;
/// `/cart`: a visitor's cart.
pub mod cart;
/// `/`: the name of the server.
pub mod home;
/// Ids in paths.
mod id;
/// A product in JSON.
mod product;
/// `/products/{id}`: the catalogue.
pub mod products;
/// `/render`: pure CPU work.
pub mod render;
/// `/login`, `/me`, `/logout`: sessions.
pub mod session;
