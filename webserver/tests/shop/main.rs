//! The shop as its clients see it, over a database that can hold its answers back.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

/// A fake database that the test controls.
mod database;
/// Captures the shop's log.
mod log;
/// A Redis server that can be killed, frozen and restarted.
mod redis;
/// A shop, and requests to it.
mod shop;
/// A visitor with a cookie.
mod visitor;
/// Waiting for a condition, with a limit.
mod wait;

/// Accounts and deposits.
mod accounts;
/// Hits, misses, expiry; one fill for all readers.
mod cache;
/// Arbitrary requests.
mod garbage;
/// Limits on size, time and number.
mod limits;
/// The database and Redis by name, with a name server that fails.
mod names;
/// Redis killed, frozen, emptied, slow, full.
mod redis_faults;
/// Redis answers but refuses: each refusal, each missing permission.
mod redis_refusals;
/// Each route, each error.
mod routes;
/// Sentinels, and a primary that dies.
mod sentinel;
/// Login, cart, logout; in memory and in Redis.
mod sessions;
/// One cache for five servers.
mod shared_cache;
/// A database that is slow, or gone.
mod slow_database;
/// Over real sockets: from the first byte to the drain.
mod sockets;
/// Reading one's own writes.
mod writes;
