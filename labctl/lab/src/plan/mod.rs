//! From a chapter to the machines to start: names, addresses, command lines. Pure.
//!
//! Every machine has its own loopback address, so that a restarted one finds its ports free: `127.77.0.1`,
//! `127.77.0.2`, … in the chapter's order. Links have theirs in `127.77.1.x`. Containers have addresses of
//! the same form on a network of their own; their links have ports on this computer's address there.
#![deny(clippy::disallowed_methods)]

mod programs;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use indexmap::IndexMap;
use machine::MachineSpec;

pub use programs::{Program, ProgramPlan, Readiness, SharedRedis, products_file, secret_file};

use self::programs::{Membership, Partner, Persistence, Secrets, WhereRedisIs};
use super::Backend;
use super::http::{Admin, Client};
use chapter::machines::{DbnodePart, LbPart, MACHINES_MAX, WebserverPart};
use chapter::{Chapter, MachineEntry, Span, kind};

/// The election timeout of a replica if none is given: dbnode's own default.
const ELECTION_TIMEOUT: Duration = Duration::from_millis(600);
/// The first port of links that share an address.
const LINK_PORT_FIRST: u16 = 20_000;

/// Everything that has to be started.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The machines, by name.
    pub machines: IndexMap<String, MachinePlan>,
    /// The links between them.
    pub links: Vec<LinkPlan>,
    kinds: IndexMap<String, MachineEntry>,
    deployment: Deployment,
}

/// One machine.
#[derive(Debug, Clone)]
pub struct MachinePlan {
    /// Its name: `web-1`.
    pub name: String,
    /// Its name in the chapter, shared by all machines of a count: `web`.
    pub kind: String,
    /// Its size.
    pub spec: MachineSpec,
    /// Dollars a month.
    pub price: f64,
    /// The programs on it.
    pub programs: Vec<ProgramPlan>,
    /// The balancer, or kind of balancer, that sends it requests, if any.
    pub behind: Option<String>,
    /// It was removed. Its number and its address are not reused.
    pub removed: bool,
    /// labctl does not start it: an existing Redis server stands in for it.
    pub elsewhere: bool,
}

impl MachinePlan {
    /// True if a program of this kind runs on it.
    pub fn has(&self, program: Program) -> bool {
        self.programs.iter().any(|plan| plan.program == program)
    }

    /// The addresses on which its programs listen, health ports included.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.programs.iter().flat_map(|program| [program.address, program.health])
    }

    /// The flags of `machine` that set its name and size.
    pub fn flags(&self) -> Vec<String> {
        let MachineSpec { cores, memory, disk_iops, exclusive, queue, page_size } = &self.spec;
        let flags = [
            ("name", self.name.clone()),
            ("cores", cores.to_string()),
            ("memory", format!("{}B", memory.as_u64())),
            ("disk-iops", disk_iops.to_string()),
            ("exclusive", exclusive.to_string()),
            ("queue", queue.name().to_owned()),
            ("page-size", format!("{}B", page_size.as_u64())),
        ];
        flags.into_iter().flat_map(|(name, value)| [format!("--{name}"), value]).collect()
    }
}

/// A connection that goes through a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPlan {
    /// The machine, or kind of machine, that connects.
    pub from: String,
    /// The machine at the other end.
    pub to: String,
    /// The address on which the link listens.
    pub listen: SocketAddr,
    /// The address to which it forwards.
    pub target: SocketAddr,
    /// The round trip between the places of both ends on the map.
    pub distance: Duration,
}

/// The deployment of a lab: backend, network, ports, data.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The kind of machines.
    pub backend: Backend,
    /// The first two bytes of every address.
    pub network: [u8; 2],
    /// Added to every port.
    pub port_shift: u16,
    /// Where databases keep their data.
    pub data: PathBuf,
    /// A Redis server to use instead of starting one.
    pub redis_url: Option<String>,
    /// The HTTP client for the lab's programs.
    pub client: Client,
}

impl Deployment {
    /// A deployment for plans that are not started: pages, prices, tests.
    pub fn on_paper() -> Self {
        Self {
            backend: Backend::default(),
            network: [127, 77],
            port_shift: 0,
            data: "/data".into(),
            redis_url: None,
            client: Client::without_token(),
        }
    }

    /// This computer's address on the network of the lab's containers.
    pub fn gateway(&self) -> Ipv4Addr {
        let [first, second] = self.network;
        Ipv4Addr::new(first, second, 255, 254)
    }

    /// The file with the balancers' admin token, if other processes can reach them.
    pub fn admin_token_file(&self) -> Option<PathBuf> {
        self.backend.is_containers().then(|| self.data.join("admin-token"))
    }
}

impl Plan {
    /// Plans the machines of a chapter, before any is added or removed.
    pub fn of(chapter: &Chapter, deployment: Deployment) -> Result<Self, String> {
        let mut plan =
            Self { machines: IndexMap::new(), links: vec![], kinds: chapter.machine.clone(), deployment };
        let names = chapter.machine.iter().flat_map(|(kind, entry)| match entry.count {
            Some(count) => (1..=count).map(|number| (format!("{kind}-{number}"), kind)).collect(),
            None => vec![(kind.clone(), kind)],
        });
        // Addresses come first, because programs refer to each other's.
        let names: Vec<_> = names.collect();
        if names.len() > MACHINES_MAX {
            return Err(format!("a lab has at most {MACHINES_MAX} machines, not {}", names.len()));
        }
        for (name, kind) in &names {
            let bare = plan.bare_machine(name, kind);
            plan.machines.insert(name.clone(), bare);
        }
        let named = chapter.links.iter().flat_map(|(from, to)| {
            let each = plan.members(to.as_ref()).into_iter();
            each.map(|to| (from.as_ref().clone(), to.name.clone())).collect::<Vec<_>>()
        });
        let meshed = chapter.mesh.iter().flat_map(|kind| plan.pairs_of(kind.as_ref()));
        plan.links = plan.links_between(chapter, named.chain(meshed).collect())?;
        for (name, kind) in &names {
            let programs = plan.programs(name, kind, plan.index_of(name)?)?;
            plan.machines[name].programs = programs;
        }
        Ok(plan)
    }

    /// The machines that labctl starts.
    pub fn to_start(&self) -> impl Iterator<Item = &MachinePlan> {
        self.machines.values().filter(|machine| !machine.elsewhere)
    }

    /// The addresses on which only this machine listens. The address that a pair of balancers shares is left
    /// out.
    pub fn own_addresses(&self, machine: &MachinePlan) -> Vec<SocketAddr> {
        let others = self.machines.values().filter(|other| other.name != machine.name);
        let shared: Vec<_> = others.flat_map(MachinePlan::addresses).collect();
        machine.addresses().filter(|address| !shared.contains(address)).collect()
    }

    /// The HTTP client for the lab's programs.
    pub fn client(&self) -> &Client {
        &self.deployment.client
    }

    /// The deployment of the lab.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Adds a machine of a kind that has a count. It gets the number after the highest one.
    pub fn add(&mut self, kind: &str) -> Result<MachinePlan, String> {
        let countable = self.kinds.iter().filter(|(_, entry)| entry.count.is_some());
        if !countable.clone().any(|(name, _)| name == kind) {
            let known = countable.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(match known.as_str() {
                "" => format!("no '{kind}' can be added: no machine of this chapter has a count"),
                known => format!("no '{kind}' can be added; those with a count can: {known}"),
            });
        }
        if self.machines.len() >= MACHINES_MAX {
            return Err(format!("a lab has at most {MACHINES_MAX} machines"));
        }
        let members = self.machines.keys().filter_map(|name| kind::split(name)).filter(|(of, _)| *of == kind);
        let highest = members.map(|(_, number)| number).max().unwrap_or(0);
        let name = format!("{kind}-{}", highest + 1);
        let mut machine = self.bare_machine(&name, kind);
        machine.programs = self.programs(&name, kind, self.machines.len())?;
        self.machines.insert(name, machine.clone());
        Ok(machine)
    }

    /// Gives a machine another size from its next start on. `None` leaves a value unchanged.
    pub fn resize(&mut self, name: &str, cores: Option<u32>, memory: Option<ByteSize>) -> Result<(), String> {
        let known = || self.machines.keys().cloned().collect::<Vec<_>>().join(", ");
        if !self.machines.contains_key(name) {
            return Err(format!("there is no machine '{name}'; there are: {}", known()));
        }
        let machine = &mut self.machines[name];
        machine.spec.cores = cores.unwrap_or(machine.spec.cores);
        machine.spec.memory = memory.unwrap_or(machine.spec.memory);
        machine.price = price_in_size(&self.kinds[&machine.kind], &machine.spec);
        Ok(())
    }

    /// A machine's own address.
    pub fn ip_of(&self, name: &str) -> Option<IpAddr> {
        self.index_of(name).ok().map(|index| self.address(index, 0).ip())
    }

    /// The address of a program: `lb`, `app/dbnode`. Without a program, it is the one that users reach first.
    /// A kind's name stands for its first machine.
    pub fn address_of(&self, target: &str) -> Option<SocketAddr> {
        let (name, program) = match target.split_once('/') {
            Some((name, program)) => (name, Some(program)),
            None => (target, None),
        };
        let machine = self.machines.get(name).or_else(|| self.of_kind(name).next())?;
        let wanted = |plan: &&ProgramPlan| program.is_none_or(|program| plan.program.name() == program);
        machine.programs.iter().find(wanted).map(|program| program.address)
    }

    /// The addresses at which the programs of a target expose their counters: one, or one per machine of a
    /// kind.
    pub fn vitals_of(&self, target: &str) -> Vec<SocketAddr> {
        let (name, program) = match target.split_once('/') {
            Some((name, program)) => (name, Some(program)),
            None => (target, None),
        };
        let wanted = |plan: &&ProgramPlan| program.is_none_or(|program| plan.program.name() == program);
        let machines = self.members(name).into_iter();
        machines.filter_map(|machine| machine.programs.iter().find(wanted)).map(|plan| plan.health).collect()
    }

    /// Dollars a month for one machine, or for all machines of a kind.
    pub fn price_of(&self, name: &str) -> f64 {
        match self.machines.get(name) {
            Some(machine) => machine.price,
            None => self.of_kind(name).map(|machine| machine.price).sum(),
        }
    }

    /// True if the balancers of a kind are a pair with a shared address.
    pub fn is_pair(&self, kind: &str) -> bool {
        self.kinds.get(kind).and_then(|entry| entry.lb.as_ref()).is_some_and(|lb| lb.pair)
    }

    /// The kinds that are pairs of balancers with a shared address.
    pub fn pair_kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(|kind| kind.as_ref()).filter(|kind| self.is_pair(kind))
    }

    /// The partners of a balancer, if the chapter fences one that holds the shared address without answering.
    pub fn to_fence(&self, balancer: &str) -> Vec<String> {
        let Some(machine) = self.machines.get(balancer) else { return vec![] };
        let fenced = self.kinds[&machine.kind].lb.as_ref().is_some_and(|lb| lb.pair && lb.fence);
        let others = self.of_kind(&machine.kind).filter(|other| fenced && other.name != balancer);
        others.map(|other| other.name.clone()).collect()
    }

    /// The machines of a kind that have not been removed.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a MachinePlan> {
        self.machines.values().filter(move |machine| machine.kind == kind && !machine.removed)
    }

    /// A machine as it would be started now: a balancer's flags include what was added and removed since its
    /// first start.
    pub fn current(&self, name: &str) -> Result<MachinePlan, String> {
        let mut machine = self.machines.get(name).cloned().ok_or(format!("there is no machine '{name}'"))?;
        machine.programs = self.programs(name, &machine.kind, self.index_of(name)?)?;
        Ok(machine)
    }

    /// The admin API of a balancer.
    pub fn admin_of(&self, balancer: &str) -> Option<Admin> {
        let machine = self.machines.get(balancer)?;
        let program = machine.programs.iter().find(|plan| plan.program == Program::Lb)?;
        Some(Admin { address: program.health, client: self.client().clone() })
    }

    /// The balancers that send requests to a machine.
    pub fn in_front_of(&self, machine: &MachinePlan) -> Vec<String> {
        let balancers = machine.behind.iter().flat_map(|name| self.members(name));
        balancers.map(|balancer| balancer.name.clone()).collect()
    }

    /// The name of every balancer.
    pub fn balancers(&self) -> impl Iterator<Item = &str> {
        let balancers = self.machines.values().filter(|machine| machine.has(Program::Lb));
        balancers.map(|machine| machine.name.as_str())
    }

    fn bare_machine(&self, name: &str, kind: &str) -> MachinePlan {
        let entry = &self.kinds[kind];
        let balances =
            |other: &MachineEntry| other.lb.as_ref().is_some_and(|lb| lb.upstreams.as_ref() == kind);
        let behind = self.kinds.iter().find(|(_, other)| balances(other)).map(|(name, _)| name.clone());
        MachinePlan {
            name: name.to_owned(),
            kind: kind.to_owned(),
            spec: entry.spec(),
            price: entry.price,
            programs: vec![],
            behind,
            removed: false,
            elsewhere: entry.redis.is_some() && self.deployment.redis_url.is_some(),
        }
    }

    fn programs(&self, name: &str, kind: &str, index: usize) -> Result<Vec<ProgramPlan>, String> {
        let entry = &self.kinds[kind];
        let at = |program: Program| self.address(index, program.port());
        let mut plans = Vec::new();
        if let Some(part) = &entry.lb {
            let admin = self.address(index, programs::LB_ADMIN_PORT);
            let upstreams = self.members(part.upstreams.as_ref());
            let upstreams =
                upstreams.into_iter().map(|machine| (&machine.name, self.web_address(name, kind, machine)));
            let partner = part.pair.then(|| self.partner(name, kind, index));
            // A pair answers on one address, which belongs to the kind rather than to a machine.
            let shared =
                || self.socket(2, self.kinds.get_index_of(kind).unwrap_or_default(), Program::Lb.port());
            let address = if part.pair { shared() } else { at(Program::Lb) };
            let secrets = Secrets {
                admin_token: self.deployment.admin_token_file(),
                sticky: has_shared_cookies(part).then(|| secret_file(&self.deployment.data)),
            };
            plans.push(programs::lb(part, address, admin, secrets, upstreams, partner.as_ref()));
        }
        let data = || self.deployment.data.join(name);
        if let Some(part) = &entry.webserver {
            let nodes = self.members(part.db.as_ref()).into_iter();
            let database = nodes.map(|node| self.reached_from(name, kind, &node.name, Program::Dbnode));
            let database = database.collect::<Result<Vec<_>, _>>()?;
            let redis = self.redis_for(name, kind, part)?;
            plans.push(programs::webserver(part, name, at(Program::Webserver), &database, redis));
        }
        if let Some(part) = &entry.dbnode {
            let membership = self.membership(name, kind, index)?;
            let patience = self.patience(part, name, kind);
            plans.push(programs::dbnode(
                part,
                name,
                at(Program::Dbnode),
                membership.as_ref(),
                patience,
                data(),
            ));
        }
        if let Some(part) = &entry.redis {
            let primary = part.replica_of.as_ref();
            let primary =
                primary.map(|primary| self.reached_from(name, kind, primary.as_ref(), Program::Redis));
            let persistence = self.persistence(name, kind);
            plans.push(programs::redis(part, at(Program::Redis), primary.transpose()?, data(), persistence));
        }
        if let Some(part) = &entry.sentinel {
            let watched = part.watches.as_ref();
            let primary = self.address(self.index_of(watched)?, Program::Redis.port());
            let copies = |other: &&MachinePlan| {
                let redis = self.kinds[&other.kind].redis.as_ref();
                redis.and_then(|redis| redis.replica_of.as_ref()).is_some_and(|of| of.as_ref() == watched)
            };
            let replicas = self.machines.values().filter(copies).count();
            plans.push(programs::sentinel(part, at(Program::Sentinel), primary, replicas, data()));
        }
        Ok(plans)
    }

    /// The election timeout of a database node. A node that is not in the preferred place waits longer.
    fn patience(&self, part: &DbnodePart, name: &str, kind: &str) -> Option<Span> {
        let is_elsewhere = part.prefer.as_ref().is_some_and(|preferred| {
            self.place_of(name, kind).is_none_or(|place| place != preferred.as_ref())
        });
        match part.election_timeout {
            Some(Span(timeout)) if is_elsewhere => Some(Span(timeout * 3)),
            None if is_elsewhere => Some(Span(ELECTION_TIMEOUT * 3)),
            said => said,
        }
    }

    /// A database node's cluster membership; `None` if it is the only one of its kind.
    fn membership(&self, name: &str, kind: &str, index: usize) -> Result<Option<Membership>, String> {
        let others = self.of_kind(kind).filter(|other| other.name != name);
        let peers = others.map(|other| {
            let reached = self.reached_at(name, kind, &other.name, programs::DB_PEER_PORT)?;
            Ok((other.name.clone(), reached))
        });
        let peers = peers.collect::<Result<Vec<_>, String>>()?;
        let (listen, secret) =
            (self.address(index, programs::DB_PEER_PORT), secret_file(&self.deployment.data));
        Ok((!peers.is_empty()).then_some(Membership { listen, peers, secret }))
    }

    /// The machines that are nodes of a database with several nodes.
    pub fn database_nodes(&self) -> impl Iterator<Item = &MachinePlan> {
        let is_node = |machine: &&MachinePlan| {
            machine.has(Program::Dbnode) && self.of_kind(&machine.kind).nth(1).is_some()
        };
        self.machines.values().filter(is_node)
    }

    /// The pair settings of a balancer: the first one of its kind has the higher priority.
    fn partner<'a>(&'a self, name: &'a str, kind: &'a str, index: usize) -> Partner<'a> {
        let mut siblings = self.machines.values().enumerate().filter(|(_, machine)| machine.kind == kind);
        let is_first = siblings.clone().next().is_some_and(|(first, _)| first == index);
        let other = siblings.find(|(other, _)| *other != index).map_or(index, |(other, _)| other);
        let at = |index| self.address(index, programs::LB_PAIR_PORT);
        // Two containers cannot listen on one address; it moves from one network interface to the other.
        let (takeover, secret) = match self.deployment.backend.is_containers() {
            false => ("bind", None),
            true => ("vip", Some(secret_file(&self.deployment.data))),
        };
        let priority = if is_first { 100 } else { 90 };
        Partner { name, listen: at(index), peer: at(other), priority, takeover, secret }
    }

    /// The Redis that a web server uses.
    fn redis_for(&self, name: &str, kind: &str, part: &WebserverPart) -> Result<WhereRedisIs, String> {
        let mut place = WhereRedisIs::default();
        let database = part.redis_database;
        match (&part.redis, &self.deployment.redis_url) {
            (None, _) => {}
            // Its database numbers are not the lab's to choose, and it may have only one. So a prefix
            // replaces them.
            (Some(_), Some(url)) => {
                let prefix = database.map_or(String::new(), |number| format!("{number}:"));
                place.shared = Some(SharedRedis { url: url.clone(), prefix });
            }
            (Some(redis), None) => {
                let address = self.reached_from(name, kind, redis.as_ref(), Program::Redis)?;
                let database = database.map_or(String::new(), |number| format!("/{number}"));
                place.url = Some(format!("redis://{address}{database}"));
            }
        }
        place.sentinels = part.sentinels.as_ref().map(|sentinels| {
            let port = Program::Sentinel.port();
            let machines = self.members(sentinels.as_ref()).into_iter();
            let addresses = machines.filter_map(|machine| self.index_of(&machine.name).ok());
            addresses.map(|index| self.address(index, port).to_string()).collect::<Vec<_>>().join(",")
        });
        Ok(place)
    }

    /// A Redis has to keep its data across a restart only if Sentinels watch it.
    fn persistence(&self, name: &str, kind: &str) -> Persistence {
        let copied = self.kinds[kind].redis.as_ref().and_then(|redis| redis.replica_of.as_ref());
        let is_it = |watched: &str| {
            watched == name || watched == kind || copied.is_some_and(|copied| copied.as_ref() == watched)
        };
        let mut sentinels = self.kinds.values().filter_map(|entry| entry.sentinel.as_ref());
        let is_watched = || sentinels.any(|sentinel| is_it(sentinel.watches.as_ref()));
        let wanted = self.kinds[kind].redis.as_ref().and_then(|redis| redis.append_only);
        match wanted.unwrap_or_else(is_watched) {
            true => Persistence::AppendOnly,
            false => Persistence::None,
        }
    }

    /// The address at which a balancer reaches a machine's web server, even if that is not planned yet.
    fn web_address(&self, balancer: &str, kind: &str, machine: &MachinePlan) -> SocketAddr {
        let reached = self.reached_from(balancer, kind, &machine.name, Program::Webserver);
        reached.expect("the machine is one of the plan")
    }

    /// A program's own address, or that of the link that leads there from this machine.
    fn reached_from(&self, name: &str, kind: &str, to: &str, program: Program) -> Result<SocketAddr, String> {
        self.reached_at(name, kind, to, program.port())
    }

    fn reached_at(&self, name: &str, kind: &str, to: &str, port: u16) -> Result<SocketAddr, String> {
        let through = |link: &&LinkPlan| (link.from == name || link.from == kind) && link.to == to;
        if let Some(link) = self.links.iter().find(through) {
            return Ok(link.listen);
        }
        Ok(self.address(self.index_of(to)?, port))
    }

    fn links_between(
        &self,
        chapter: &Chapter,
        pairs: Vec<(String, String)>,
    ) -> Result<Vec<LinkPlan>, String> {
        if pairs.len() > MACHINES_MAX {
            return Err(format!("a lab has at most {MACHINES_MAX} links, not {}", pairs.len()));
        }
        let links = pairs.into_iter().enumerate().map(|(index, (from, to))| {
            let machine = self.machines.get(&to).ok_or(format!("there is no machine '{to}'"))?;
            let from_its_kind = self.machines.get(&from).is_some_and(|other| other.kind == machine.kind);
            let port = match self.serves(&machine.kind) {
                Program::Dbnode if from_its_kind => programs::DB_PEER_PORT,
                program => program.port(),
            };
            let target = self.address(self.index_of(&to)?, port);
            let listen = match self.deployment.backend.is_containers() {
                false => self.socket(1, index, port),
                true => self.link_on_the_gateway(index),
            };
            let distance = self.distance(chapter, &from, &to);
            Ok(LinkPlan { from, to, listen, target, distance })
        });
        links.collect()
    }

    /// The round trip between two machines. Zero without a map.
    fn distance(&self, chapter: &Chapter, from: &str, to: &str) -> Duration {
        // A kind named as a link's end has one link for all of its machines.
        let kind_of = |name| self.machines.get(name).map_or(name, |machine| machine.kind.as_str());
        let place_of = |name| self.place_of(name, kind_of(name));
        let places = place_of(from).zip(place_of(to));
        places.and_then(|(from, to)| chapter.round_trip(from, to)).unwrap_or_default()
    }

    /// The place of a machine on the map, if any.
    fn place_of(&self, name: &str, kind: &str) -> Option<&str> {
        let number = self.of_kind(kind).position(|machine| machine.name == name).unwrap_or_default();
        self.kinds.get(kind)?.place.as_ref()?.as_ref().of(number)
    }

    fn link_on_the_gateway(&self, index: usize) -> SocketAddr {
        let index = u16::try_from(index).expect("a lab has at most 250 links");
        let port = LINK_PORT_FIRST.saturating_add(index).saturating_add(self.deployment.port_shift);
        SocketAddr::from((self.deployment.gateway(), port))
    }

    /// The program that others connect to on machines of a kind.
    fn serves(&self, kind: &str) -> Program {
        let entry = &self.kinds[kind];
        let parts = [
            (entry.lb.is_some(), Program::Lb),
            (entry.dbnode.is_some(), Program::Dbnode),
            (entry.redis.is_some(), Program::Redis),
            (entry.sentinel.is_some(), Program::Sentinel),
        ];
        parts.into_iter().find(|(there, _)| *there).map_or(Program::Webserver, |(_, program)| program)
    }

    /// Every ordered pair of different machines of a kind.
    fn pairs_of(&self, kind: &str) -> Vec<(String, String)> {
        let names: Vec<_> = self.of_kind(kind).map(|machine| machine.name.clone()).collect();
        let others = |from: &String| {
            let others = names.iter().filter(|to| *to != from);
            others.map(|to| (from.clone(), to.clone())).collect::<Vec<_>>()
        };
        names.iter().flat_map(others).collect()
    }

    /// A machine, or every machine of a kind.
    fn members<'a>(&'a self, name: &'a str) -> Vec<&'a MachinePlan> {
        match self.machines.get(name) {
            Some(machine) => vec![machine],
            None => self.of_kind(name).collect(),
        }
    }

    fn index_of(&self, name: &str) -> Result<usize, String> {
        self.machines.get_index_of(name).ok_or(format!("there is no machine '{name}'"))
    }

    fn address(&self, index: usize, port: u16) -> SocketAddr {
        self.socket(0, index, port)
    }

    fn socket(&self, third: u8, index: usize, port: u16) -> SocketAddr {
        let [first, second] = self.deployment.network;
        let last = u8::try_from(index + 1).expect("a lab has at most 250 machines");
        let port = port.saturating_add(self.deployment.port_shift);
        SocketAddr::from((Ipv4Addr::new(first, second, third, last), port))
    }
}

/// Dollars a month for a machine that is resized. Cores and memory are sold together: twice as much of either
/// is twice the size, at twice the price.
fn price_in_size(entry: &MachineEntry, spec: &MachineSpec) -> f64 {
    let original = entry.spec();
    let cores = f64::from(spec.cores) / f64::from(original.cores.max(1));
    let memory = spec.memory.as_u64() as f64 / original.memory.as_u64().max(1) as f64;
    entry.price * cores.max(memory)
}

/// True if a cookie must be valid at the other balancers of the kind, and after a restart.
fn has_shared_cookies(part: &LbPart) -> bool {
    let is = |word: &Option<String>, wanted: &str| word.as_deref() == Some(wanted);
    is(&part.policy, "sticky") && !is(&part.sticky_secret, "own")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chapter::Source;

    fn plan(name: &str) -> Plan {
        Plan::of(&Source::open(name, &[]).unwrap().chapter, Deployment::on_paper()).unwrap()
    }

    fn flags(plan: &Plan, machine: &str) -> String {
        plan.machines[machine].programs[0].flags.join(" ")
    }

    #[test]
    fn every_machine_has_its_own_address() {
        let plan = plan("more-servers");
        assert_eq!(plan.address_of("lb").unwrap().to_string(), "127.77.0.1:8080");
        assert_eq!(plan.address_of("web-1").unwrap().to_string(), "127.77.0.2:9001");
        assert_eq!(plan.address_of("db").unwrap().to_string(), "127.77.0.3:7001");
    }

    #[test]
    fn a_machine_of_twice_the_size_costs_twice_as_much() {
        let mut plan = plan("one-machine");
        let price = plan.price_of("app");
        let mut priced = |cores, memory: Option<u64>| {
            plan.resize("app", cores, memory.map(ByteSize::mib)).unwrap();
            plan.price_of("app") / price
        };
        assert_eq!(priced(Some(2), None), 2.0);
        assert_eq!(priced(None, Some(160)), 2.0, "both together are one size");
        assert_eq!(priced(Some(1), Some(320)), 4.0);
        assert_eq!(priced(None, Some(80)), 1.0);
    }

    #[test]
    fn links_are_as_long_as_it_is_far_and_the_primary_is_wanted_at_one_place() {
        let plan = plan("regions");
        let distance = |from: &str, to: &str| {
            let link = plan.links.iter().find(|link| link.from == from && link.to == to);
            link.unwrap_or_else(|| panic!("no link from {from} to {to}")).distance.as_millis()
        };
        assert_eq!(distance("all-1", "all-2"), 80);
        assert_eq!((distance("all-3", "all-1"), distance("all-2", "all-3")), (200, 140));
        assert_eq!((distance("shop", "majority-1"), distance("shop", "majority-3")), (0, 200));
        assert!(flags(&plan, "all-1").contains("--election-timeout 1s"));
        assert!(flags(&plan, "all-2").contains("--election-timeout 3s"));
        assert!(self::plan("replication").links.iter().all(|link| link.distance.is_zero()), "no map");
    }

    #[test]
    fn a_redis_keeps_what_it_has_where_sentinels_watch_over_it() {
        let plan = plan("sessions");
        for (machine, kept) in [("primary", true), ("copy", true), ("redis", false)] {
            let flags = flags(&plan, machine);
            assert_eq!(flags.contains("--appendonly yes --appendfsync no"), kept, "{machine}: {flags}");
            assert_eq!(flags.contains("--appendonly no"), !kept, "{machine}: {flags}");
        }
    }

    #[test]
    fn a_redis_that_others_use_too_is_in_no_flag_and_each_database_is_a_prefix() {
        let url = "redis://shop:hunter2@box:7000/3";
        let deployment = Deployment { redis_url: Some(url.into()), ..Deployment::on_paper() };
        let chapter = Source::open("cache", &[]).unwrap().chapter;
        let plan = Plan::of(&chapter, deployment).unwrap();
        let mut prefixes = std::collections::BTreeSet::new();
        for program in plan.machines.values().flat_map(|machine| &machine.programs) {
            assert!(!format!("{program:?}").contains("hunter2"), "{program:?}");
            if let Some(shared) = &program.shared_redis {
                assert_eq!(shared.url, url);
                prefixes.insert(shared.prefix.as_str());
            }
        }
        assert_eq!(prefixes.into_iter().collect::<Vec<_>>(), ["", "1:", "2:"]);
    }

    #[test]
    fn a_balancer_gets_every_machine_of_its_kind() {
        let plan = plan("server-failure");
        let lb = flags(&plan, "lb");
        let web = plan.address_of("web-1").unwrap();
        assert!(lb.contains(&format!("--upstream web-1={web}")) && lb.contains("--upstream web-5="), "{lb}");
        assert_eq!(plan.machines["web-3"].behind.as_deref(), Some("lb"));
    }

    #[test]
    fn a_web_server_reaches_its_database_through_the_link_when_there_is_one() {
        let plan = plan("split");
        assert!(flags(&plan, "web").contains("--db 127.77.1.1:7001"));
        assert_eq!(plan.links[0].target, plan.address_of("db").unwrap());
    }

    #[test]
    fn both_balancers_of_a_pair_know_each_others_cookies_unless_they_are_not_to() {
        let pair = |lb: &str| {
            let text = format!(
                "number = 1\ntitle = 't'\nquestion = 'q'\n[machine.lb]\ncount = 2\nlb = {{ upstreams = 'web', pair = true{lb} }}\n\
                 [machine.web]\nwebserver = {{ db = 'db' }}\n[machine.db]\ndbnode = {{}}\n"
            );
            let source = Source::parse(std::path::Path::new("pair.toml"), &text, &[]).unwrap();
            let plan = Plan::of(&source.chapter, Deployment::on_paper()).unwrap();
            ["lb-1", "lb-2"].map(|name| flags(&plan, name).contains("--sticky-secret-file /data/"))
        };
        assert_eq!(pair(", policy = 'sticky'"), [true; 2]);
        assert_eq!(pair(", policy = 'sticky', sticky-secret = 'own'"), [false; 2]);
        assert_eq!(pair(""), [false; 2], "there are no cookies");
    }

    #[test]
    fn an_added_machine_gets_the_next_number_and_a_new_address() {
        let mut plan = plan("more-servers");
        let added = plan.add("web").unwrap();
        assert_eq!(added.name, "web-2");
        let addresses: std::collections::HashSet<_> = plan
            .machines
            .values()
            .flat_map(|machine| &machine.programs)
            .map(|program| program.address)
            .collect();
        assert_eq!(addresses.len(), plan.machines.len());
        assert!(plan.add("lb").unwrap_err().contains("those with a count can: web, a, b, c, d"));
    }

    #[test]
    fn a_kind_costs_the_sum_of_its_machines() {
        assert_eq!(plan("more-servers").price_of("d"), 800.0);
    }
}
