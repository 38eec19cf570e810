//! A visitor's cart and its limits. Pure.

#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// The most different products in a cart.
pub const ITEMS_MAX: usize = 100;

/// The most pieces in a cart, over all products.
pub const PIECES_MAX: u32 = 1_000;

/// A visitor's cart: products and their quantities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cart {
    items: BTreeMap<String, u32>,
}

/// The number of pieces added at once: 1 to [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity(u32);

/// Why a product does not fit into the cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CartFull {
    /// The cart has too many different products.
    #[error("the cart has {ITEMS_MAX} different products, and no room for another one")]
    Items,
    /// The cart would have too many pieces.
    #[error("a cart holds {PIECES_MAX} pieces, and these would be more")]
    Pieces,
}

impl Quantity {
    /// The most that can be added at once.
    pub const MAX: u32 = 100;

    /// Checks a quantity.
    pub fn new(pieces: i64) -> Option<Self> {
        let pieces = u32::try_from(pieces).ok()?;
        (1..=Self::MAX).contains(&pieces).then_some(Self(pieces))
    }

    /// The number of pieces.
    pub fn pieces(self) -> u32 {
        self.0
    }
}

impl Cart {
    /// Creates a cart with these items.
    pub(super) fn of(items: BTreeMap<String, u32>) -> Self {
        Self { items }
    }

    /// Adds a quantity of a product, or changes nothing.
    pub fn add(&mut self, product: &str, quantity: Quantity) -> Result<(), CartFull> {
        if !self.items.contains_key(product) && self.items.len() >= ITEMS_MAX {
            return Err(CartFull::Items);
        }
        if self.pieces() + quantity.0 > PIECES_MAX {
            return Err(CartFull::Pieces);
        }
        *self.items.entry(product.to_owned()).or_default() += quantity.0;
        Ok(())
    }

    /// The number of pieces in the cart.
    pub fn pieces(&self) -> u32 {
        self.items.values().sum()
    }
}

/// `{"items": [{"product": "1", "quantity": 2}], "pieces": 2}`, in the order of the products.
impl Serialize for Cart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Item<'a> {
            product: &'a str,
            quantity: u32,
        }
        let items = self.items.iter().map(|(product, quantity)| Item { product, quantity: *quantity });
        let mut cart = serializer.serialize_struct("Cart", 2)?;
        cart.serialize_field("items", &items.collect::<Vec<_>>())?;
        cart.serialize_field("pieces", &self.pieces())?;
        cart.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(pieces: i64) -> Quantity {
        Quantity::new(pieces).unwrap()
    }

    #[test]
    fn a_quantity_is_1_to_100() {
        for pieces in [1, 2, 100] {
            assert_eq!(i64::from(quantity(pieces).pieces()), pieces);
        }
        for pieces in [0, -1, 101, 1_000_000_000, i64::MAX, i64::MIN, i64::from(u32::MAX) + 2] {
            assert_eq!(Quantity::new(pieces), None, "{pieces}");
        }
    }

    #[test]
    fn what_is_added_adds_up() {
        let mut cart = Cart::default();
        for (product, pieces) in [("b", 2), ("a", 1), ("b", 3)] {
            cart.add(product, quantity(pieces)).unwrap();
        }
        let json = serde_json::to_string(&cart).unwrap();
        let expected = r#"{"items":[{"product":"a","quantity":1},{"product":"b","quantity":5}],"pieces":6}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn a_full_cart_takes_no_other_product_but_more_of_the_same() {
        let mut cart = Cart::default();
        for product in 0..ITEMS_MAX {
            cart.add(&product.to_string(), quantity(1)).unwrap();
        }
        assert_eq!(cart.add("another", quantity(1)), Err(CartFull::Items));
        assert_eq!(cart.add("0", quantity(1)), Ok(()));
        assert_eq!(cart.pieces(), 101);
    }

    #[test]
    fn pieces_have_a_limit_and_what_does_not_fit_changes_nothing() {
        let mut cart = Cart::default();
        for _ in 0..9 {
            cart.add("1", quantity(100)).unwrap();
        }
        cart.add("1", quantity(99)).unwrap();
        assert_eq!(cart.add("1", quantity(2)), Err(CartFull::Pieces));
        assert_eq!(cart.add("1", quantity(1)), Ok(()));
        assert_eq!(cart.pieces(), PIECES_MAX);
    }
}
