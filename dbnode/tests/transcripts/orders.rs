//! The commands of a story.
//!
//! ```text
//! cluster MODE              three nodes that have formed a cluster; db-1 is the primary
//! cluster MODE counting starts
//! CLIENT adds BY to KEY at NODE
//! read KEY at NODE          a local read
//! CLIENT asks for the latest at NODE
//! disk NODE                 its disk finishes what it is writing
//! deliver N                 the next N messages arrive
//! settle                    everything arrives, every disk finishes
//! wait MILLISECONDS         time passes
//! pass MILLISECONDS         time passes, and nothing arrives
//! cut NODE · heal           the node's links are cut · all links are restored
//! crash NODE · start NODE
//! copy NODE · put back NODE         its directory is copied · the copy replaces it
//! lose COUNT at NODE        this many entries are gone from the end of the log on its disk
//! fill NODE · empty NODE    its disk is full · has room again
//! ```

use std::time::Duration;

use dbclient::Condition;
use dbnode::replication::durability::Mode;
use dbnode::replication::input::{Action, Input, Write};
use dbnode::replication::key::Key;

use crate::world::{NAMES, World};

pub fn carry_out(world: &mut World, order: &str) {
    match order.split_whitespace().collect::<Vec<_>>()[..] {
        ["cluster", mode] => cluster(world, mode, false),
        ["cluster", mode, "counting", "starts"] => cluster(world, mode, true),
        ["copy", node] => {
            let node = world.nodes.get_mut(name(node)).expect("a node");
            node.copy = Some((node.disk.clone(), node.starts.clone()));
        }
        ["put", "back", node] => {
            let node = world.nodes.get_mut(name(node)).expect("a node");
            (node.disk, node.starts) = node.copy.take().expect("it was copied");
        }
        ["lose", count, "at", node] => {
            let entries = &mut world.nodes.get_mut(name(node)).expect("a node").disk.entries;
            entries.truncate(entries.len() - count.parse::<usize>().unwrap());
        }
        ["fill", node] => drop(world.full.insert(name(node))),
        ["empty", node] => drop(world.full.remove(name(node))),
        [client, "adds", by, "to", key, "at", node] => {
            add(world, client, by.parse().unwrap(), key, name(node))
        }
        ["read", key, "at", node] => read(world, key, name(node)),
        [client, "asks", "for", "the", "latest", "at", node] => {
            let ticket = world.ticket(client);
            world.hear(name(node), Input::ClientReads { ticket });
        }
        ["disk", node] => world.finish(name(node)),
        ["deliver", count] => deliver(world, count.parse().unwrap()),
        ["settle"] => world.settle(),
        ["wait", ms] => world.wait(Duration::from_millis(ms.parse().unwrap())),
        ["pass", ms] => world.pass(Duration::from_millis(ms.parse().unwrap())),
        ["cut", node] => drop(world.cut.insert(name(node))),
        ["heal"] => world.cut.clear(),
        ["crash", node] => world.crash(name(node)),
        ["start", node] => world.start(name(node)),
        _ => panic!("'{order}' is no order"),
    }
}

fn deliver(world: &mut World, count: usize) {
    for _ in 0..count {
        world.deliver_next();
    }
}

fn name(text: &str) -> &'static str {
    NAMES.into_iter().find(|name| *name == text).expect("a node")
}

fn cluster(world: &mut World, mode: &str, counts_starts: bool) {
    *world = World::new();
    world.counts_starts = counts_starts;
    world.mode = match mode {
        "async" => Mode::Async,
        "quorum" => Mode::Quorum,
        "sync" => Mode::Sync,
        _ => panic!("'{mode}' is no mode"),
    };
    world.quietly(|world| {
        NAMES.into_iter().for_each(|name| world.start(name));
        world.settle();
        world.wait(Duration::from_millis(200));
    });
}

fn add(world: &mut World, client: &str, by: i64, key: &str, node: &'static str) {
    let ticket = world.ticket(client);
    let (key, action) = (Key::new(key).unwrap(), Action::Add(by));
    let write = Write { key, action, condition: Condition::Always, request: None };
    world.hear(node, Input::ClientWrites { ticket, write });
}

fn read(world: &mut World, key: &str, node: &'static str) {
    let shown = world.nodes[node].core.as_ref().expect("it runs").view().get(key);
    let shown = shown.map_or("nothing".into(), |record| String::from_utf8_lossy(&record.value).into_owned());
    world.say(format!("{node}  shows {shown}"));
}
