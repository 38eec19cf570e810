//! labctl and the lab's programs as real processes: by hand, by mistake, and by force.

mod bad_environment;
mod bad_input;
mod by_hand;
mod challenge;
mod ci_files;
mod contract;
mod forge;
mod interrupted;
mod kept;
mod observed;
mod output;
mod parts;
mod paused;
mod redis;
mod schemas;
mod traced;
