//! One file for each thing that can be asked for.

/// `/accounts/{id}`: money.
pub mod accounts;
/// A request's body, within its limits.
mod body;
/// `/cart`: what a visitor wants to buy.
pub mod cart;
/// `/`: who served it.
pub mod home;
/// The names of things in paths.
mod id;
/// A product, as clients write it.
mod product;
/// `/products/{id}`: the catalogue.
pub mod products;
/// `/render`: work for the web server alone.
pub mod render;
/// `/login`, `/me`, `/logout`: who is asking.
pub mod session;
