//! What can be measured: the words of a claim's expression.

/// One measure: its name, what it is of, and what it says.
#[derive(Debug)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// What it must be given.
    pub of: &'static [Of],
    /// Whether a traffic may be named last; without one it is the chapter's first.
    pub traffic: bool,
    /// What it says, with its unit.
    pub meaning: &'static str,
}

/// What a measure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A step.
    Step,
    /// A traffic.
    Traffic,
    /// A machine that the chapter starts or may add.
    Machine,
    /// A program on a machine: `app/dbnode`.
    Program,
    /// A history that traffics are written into.
    History,
    /// A counter that a program shows on `/metrics`: `dbnode_reads_total`.
    Counter,
}

/// Every measure there is.
pub const MEASURES: &[Measure] = &[
    of_traffic("requests", "requests that were due while the step was measured"),
    of_traffic("ok", "those that were answered well, a stale copy included"),
    of_traffic("failed", "those that were not"),
    of_traffic("failed_share", "failed ÷ requests"),
    of_traffic("failed_throughout", "requests that failed from the step's first moment to its last"),
    of_traffic("ok_throughout", "requests that were answered well from the step's first moment to its last"),
    of_traffic("stale_share", "answers that said they were stale ÷ requests"),
    of_traffic("client_errors", "answers of 400 to 499: the server did not know who asked, or for what"),
    of_traffic("server_errors", "answers of 500 and more"),
    of_traffic("hits", "answers that came from a cache"),
    of_traffic("misses", "answers that a cache did not have"),
    of_traffic("bypassed", "answers for which the cache was not asked"),
    of_traffic("hit_p50", "the median time of an answer from a cache, in ms"),
    of_traffic("miss_p50", "the median time of an answer that a cache did not have, in ms"),
    of_traffic("slowest", "the longest time of any request, failed ones included, in ms"),
    of_traffic(
        "outage",
        "from the first failed request of the step to the first good one after the last failed one, in s",
    ),
    of_traffic("silence", "the longest time of the step without one good answer, in s"),
    of_traffic("rate", "requests a second"),
    of_traffic("p50", "the median time of a good answer, in ms, from when the request was due"),
    of_traffic("p99", "the time that 99 % of good answers stayed under, in ms"),
    of_traffic("mean", "the mean time of a good answer, in ms"),
    of_traffic("final_rate", "the rate asked for at the step's end, in requests a second"),
    Measure {
        name: "share",
        of: &[Of::Step, Of::Machine],
        traffic: true,
        meaning: "answers that this machine's web server gave ÷ answers",
    },
    Measure {
        name: "served",
        of: &[Of::Step, Of::Machine],
        traffic: true,
        meaning: "answers that this machine's web server gave",
    },
    Measure {
        name: "owners",
        of: &[Of::Step, Of::Machine],
        traffic: false,
        meaning: "how many balancers of a pair answered on its address at the same time, at most, in the step",
    },
    Measure {
        name: "detection",
        of: &[Of::Step, Of::Machine],
        traffic: false,
        meaning: "from the step's begin until this balancer took a server out, in s; nothing when it did not",
    },
    Measure {
        name: "false_ejections",
        of: &[Of::Step, Of::Machine, Of::Machine],
        traffic: false,
        meaning: "how often a balancer took another server out than this one",
    },
    Measure {
        name: "seconds",
        of: &[Of::Step],
        traffic: false,
        meaning: "how long the measurement, or the wait, took",
    },
    Measure {
        name: "happened",
        of: &[Of::Step],
        traffic: false,
        meaning: "1 when what the step waited for happened in time, else 0",
    },
    Measure {
        name: "promotions",
        of: &[Of::Step, Of::Machine],
        traffic: false,
        meaning: "how often a database node on a machine of this kind became the primary in the step",
    },
    Measure {
        name: "primaries_of_a_term",
        of: &[Of::Machine],
        traffic: false,
        meaning: "how many machines of this kind were the primary of one and the same term, at most",
    },
    Measure {
        name: "discarded",
        of: &[Of::Step, Of::Machine],
        traffic: false,
        meaning: "writes that database nodes on machines of this kind had cut off their logs by the step's end",
    },
    Measure {
        name: "utilisation",
        of: &[Of::Step, Of::Machine],
        traffic: false,
        meaning: "core time worked ÷ core time there was",
    },
    Measure {
        name: "capacity",
        of: &[Of::Step, Of::Traffic],
        traffic: false,
        meaning: "the highest rate that met the objective, in requests a second",
    },
    Measure { name: "price", of: &[Of::Machine], traffic: false, meaning: "dollars a month" },
    Measure {
        name: "out_of_memory",
        of: &[Of::Machine],
        traffic: false,
        meaning: "how often the machine ran out of memory",
    },
    Measure {
        name: "seconds_between_ends",
        of: &[Of::Program, Of::Program],
        traffic: false,
        meaning: "time between the last ends of two programs",
    },
    Measure {
        name: "counted",
        of: &[Of::Step, Of::Program, Of::Counter],
        traffic: false,
        meaning: "by how much a counter on /metrics grew while the step was measured; of a kind of machine, all of them",
    },
    of_history("stale_reads", "reads that gave a value which had been overwritten before they were asked"),
    of_history("stale_ms_max", "how long before, in ms, of the worst of them"),
    of_history("reads_judged", "reads of records that were answered"),
    of_history("writes_acknowledged", "writes of records that were acknowledged"),
    of_history("writes_refused", "writes of records that surely did not happen"),
    of_history("lost_writes", "acknowledged writes that a step which takes stock did not find"),
    of_history("ghost_writes", "reads of what had been refused, or counted twice"),
    of_history("inversions", "reads that gave an older value than a read which had ended before"),
    of_history("own_writes_missed", "reads by a record's owner that did not show what the owner had written"),
    of_history("reads_back", "reads by a record's owner of an older value than the owner had read before"),
    of_history("linearizable", "1 when some order of the operations explains every answer, else 0"),
    of_history("linearizable_latest", "the same without the reads that were allowed to be old"),
    Measure { name: "value", of: &[Of::Step], traffic: false, meaning: "the number the step read back" },
];

const fn of_traffic(name: &'static str, meaning: &'static str) -> Measure {
    Measure { name, of: &[Of::Step], traffic: true, meaning }
}

const fn of_history(name: &'static str, meaning: &'static str) -> Measure {
    Measure { name, of: &[Of::History], traffic: false, meaning }
}

/// The measure of a name.
pub fn find(name: &str) -> Option<&'static Measure> {
    MEASURES.iter().find(|measure| measure.name == name)
}
