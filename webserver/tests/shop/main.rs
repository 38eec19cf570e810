//! The shop as its clients see it, over a database that can be told to hold its answers back.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

/// A database that does what the test says.
mod database;
/// What the shop writes into its log.
mod log;
/// A Redis server that can be killed, frozen and started again.
mod redis;
/// A shop, and how to ask it.
mod shop;
/// A visitor with a cookie.
mod visitor;
/// Waiting for a condition, with a limit.
mod wait;

/// Money.
mod accounts;
/// Hits, misses, expiry; one fill for all.
mod cache;
/// Anything at all, thrown at it.
mod garbage;
/// Too much, too slow, too late.
mod limits;
/// The database and Redis by names, whatever becomes of the name server.
mod names;
/// Redis killed, frozen, emptied, slow, full.
mod redis_faults;
/// Redis answers, and refuses: each word, each right that is missing.
mod redis_refusals;
/// Each route, each error.
mod routes;
/// Sentinels, and the primary that dies.
mod sentinel;
/// Login, cart, logout; in memory and in Redis.
mod sessions;
/// One cache for five servers.
mod shared_cache;
/// A database that is slow, or gone.
mod slow_database;
/// Over real sockets: from the first byte to the drain.
mod sockets;
/// Reading what was written.
mod writes;
