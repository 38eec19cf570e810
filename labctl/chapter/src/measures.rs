//! The measures, the vocabulary of a claim's expression. Each measure is one line here, and one arm in the
//! runner that computes it; the table in `docs/chapters.md` is made from these lines.

use super::expression::Vocabulary;
use super::suggest;

/// The kind of a measure's argument.
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
    /// A history that records traffics.
    History,
    /// A counter that a program exposes on `/metrics`: `dbnode_reads_total`.
    Counter,
}

/// The unit of a measure's figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A share of a whole, from 0 to 1.
    Share,
    /// A ratio of two figures.
    Factor,
    /// 1 if it is so, else 0.
    YesNo,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
    /// Requests a second.
    PerSecond,
    /// Dollars a month.
    Dollars,
    /// The unit of the number that was read.
    Unknown,
}

impl Unit {
    /// Its name in the documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Share => "share",
            Self::Factor => "×",
            Self::YesNo => "1 or 0",
            Self::Millis => "ms",
            Self::Seconds => "s",
            Self::PerSecond => "req/s",
            Self::Dollars => "$",
            Self::Unknown => "any",
        }
    }
}

/// The description of a measure, except for how it is computed.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// The arguments that it needs.
    pub of: &'static [Of],
    /// True if a traffic may be named last; without one it is the chapter's first.
    pub traffic: bool,
    /// The unit of its figure.
    pub unit: Unit,
    /// Its meaning, in a phrase for the documentation.
    pub meaning: &'static str,
}

macro_rules! measures {
    ($($measure:ident $name:literal ($($of:ident),* $(; $traffic:ident)?) $unit:ident $meaning:literal)*) => {
        /// One measure.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Measure {
            $(#[doc = $meaning] $measure,)*
        }

        impl Measure {
            /// Every measure there is.
            pub const ALL: &[Self] = &[$(Self::$measure,)*];

            /// Its description.
            pub fn description(self) -> Description {
                match self {
                    $(Self::$measure => Description {
                        name: $name,
                        of: &[$(Of::$of,)*],
                        traffic: [$(stringify!($traffic),)? ""].len() > 1,
                        unit: Unit::$unit,
                        meaning: $meaning,
                    },)*
                }
            }
        }
    };
}

measures! {
    Requests "requests" (Step; traffic) Count "requests that were due while the step was measured"
    Ok "ok" (Step; traffic) Count "those that were answered well, a stale copy included"
    Failed "failed" (Step; traffic) Count "those that were not"
    FailedShare "failed_share" (Step; traffic) Share "failed ÷ requests"
    FailedThroughout "failed_throughout" (Step; traffic) Count
        "requests that failed from the step's first moment to its last, not only while it was measured"
    OkThroughout "ok_throughout" (Step; traffic) Count
        "requests that were answered well from the step's first moment to its last"
    StaleShare "stale_share" (Step; traffic) Share "answers that said they were stale ÷ requests"
    ClientErrors "client_errors" (Step; traffic) Count
        "answers of 400 to 499: the server did not know who asked, or for what"
    ServerErrors "server_errors" (Step; traffic) Count "answers of 500 and more"
    Hits "hits" (Step; traffic) Count "answers that came from a cache"
    Misses "misses" (Step; traffic) Count "answers that a cache did not have"
    Bypassed "bypassed" (Step; traffic) Count "answers for which the cache was not asked"
    HitP50 "hit_p50" (Step; traffic) Millis "the median time of an answer from a cache"
    MissP50 "miss_p50" (Step; traffic) Millis "the median time of an answer that a cache did not have"
    Slowest "slowest" (Step; traffic) Millis "the longest time of any request, failed ones included"
    Outage "outage" (Step; traffic) Seconds
        "from the first failed request of the step to the first good one after the last failed one"
    Silence "silence" (Step; traffic) Seconds "the longest time of the whole step without one good answer"
    Rate "rate" (Step; traffic) PerSecond "requests a second"
    Goodput "goodput" (Step; traffic) PerSecond "requests a second that were answered well"
    Attempts "attempts" (Step; traffic) Count
        "attempts of those requests, retries (`retry`) included"
    Amplification "amplification" (Step; traffic) Factor "attempts ÷ requests: 1 without retries"
    P50 "p50" (Step; traffic) Millis "the median time of a good answer, from when the request was due"
    P99 "p99" (Step; traffic) Millis "the time that 99 % of good answers stayed under"
    Mean "mean" (Step; traffic) Millis "the mean time of a good answer"
    FinalRate "final_rate" (Step; traffic) PerSecond "the rate asked for at the step's end"
    ShareOf "share" (Step, Machine; traffic) Share "answers that this machine's web server gave ÷ answers"
    Served "served" (Step, Machine; traffic) Count "answers that this machine's web server gave"
    Owners "owners" (Step, Machine) Count
        "the most balancers of a pair that answered on its address at the same time in the step"
    Detection "detection" (Step, Machine) Seconds
        "from the step's start until this balancer took a server out; nothing if it did not"
    FalseEjections "false_ejections" (Step, Machine, Machine) Count
        "how often a balancer took out a server other than this one"
    Seconds "seconds" (Step) Seconds "how long the measurement, or the wait, took"
    Happened "happened" (Step) YesNo "whether what the step waited for happened in time"
    Promotions "promotions" (Step, Machine) Count
        "how often a database node on a machine of this kind became the primary in the step"
    PrimariesOfATerm "primaries_of_a_term" (Machine) Count
        "the most machines of this kind that were the primary of one and the same term"
    Discarded "discarded" (Step, Machine) Count
        "writes that database nodes on machines of this kind had truncated from their logs by the step's end"
    Utilisation "utilisation" (Step, Machine) Share "core time worked ÷ core time there was"
    Capacity "capacity" (Step, Traffic) PerSecond "the highest rate that met the objective"
    Price "price" (Machine) Dollars "what a machine, or all of a kind, costs a month"
    OutOfMemory "out_of_memory" (Machine) Count "how often the machine ran out of memory"
    SecondsBetweenEnds "seconds_between_ends" (Program, Program) Seconds
        "time between the last ends of two programs"
    Counted "counted" (Step, Program, Counter) Count
        "growth of a counter on `/metrics` while the step was measured; for a kind of machine, the sum over all of them: `counted(reads, db, dbnode_reads_total)`"
    StaleReads "stale_reads" (History) Count
        "reads that returned a value which had been overwritten before they were sent"
    StaleMsMax "stale_ms_max" (History) Millis "the longest time between an overwrite and a stale read"
    ReadsJudged "reads_judged" (History) Count "reads of records that were answered"
    WritesAcknowledged "writes_acknowledged" (History) Count "writes of records that were acknowledged"
    WritesRefused "writes_refused" (History) Count "writes of records that definitely did not happen"
    LostWrites "lost_writes" (History) Count
        "acknowledged writes that a step which takes stock did not find; inconclusive while a record could not be read"
    GhostWrites "ghost_writes" (History) Count "reads that show a refused write, or an addition counted twice"
    Inversions "inversions" (History) Count
        "reads that returned an older value than a read which had ended before"
    OwnWritesMissed "own_writes_missed" (History) Count
        "reads by a record's owner that did not show what the owner had written"
    ReadsBack "reads_back" (History) Count
        "reads by a record's owner of an older value than the owner had read before"
    Linearizable "linearizable" (History) YesNo
        "whether some order of the operations explains every answer; the smallest part that cannot be explained is drawn, and a search that is given up is inconclusive"
    LinearizableLatest "linearizable_latest" (History) YesNo
        "the same without the reads that may be stale"
    Value "value" (Step) Unknown "the number the step read back"
}

impl Measure {
    /// The measure of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|measure| measure.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// True if its figure is a duration.
    pub fn is_duration(self) -> bool {
        matches!(self.description().unit, Unit::Millis | Unit::Seconds)
    }
}

/// A measure with its arguments: `share(two, web-1)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasureCall {
    /// The measure.
    pub measure: Measure,
    /// The arguments, in order; the optional traffic comes last.
    pub of: Vec<String>,
}

impl MeasureCall {
    /// Its step, if it has one.
    pub fn step(&self) -> Option<&str> {
        self.named(Of::Step)
    }

    /// Its first argument of a kind.
    pub fn named(&self, sort: Of) -> Option<&str> {
        let at = self.measure.description().of.iter().position(|of| *of == sort)?;
        self.of.get(at).map(String::as_str)
    }

    /// The optional traffic, if it is named.
    pub fn traffic(&self) -> Option<&str> {
        let description = self.measure.description();
        self.of.get(description.of.len()).filter(|_| description.traffic).map(String::as_str)
    }
}

impl Vocabulary for MeasureCall {
    fn understand(name: &str, of: Vec<String>) -> Result<Self, String> {
        let measure = Measure::named(name).ok_or_else(|| {
            suggest::unknown("measure", name, Measure::ALL.iter().map(|measure| measure.name()))
        })?;
        let Description { of: wanted, traffic, .. } = measure.description();
        if of.len() < wanted.len() || of.len() > wanted.len() + usize::from(traffic) {
            let wanted = wanted.iter().map(|of| format!("{of:?}").to_lowercase());
            let wanted = wanted.collect::<Vec<_>>().join(", ");
            return Err(format!("'{name}' is of ({wanted}), not of ({})", of.join(", ")));
        }
        Ok(Self { measure, of })
    }

    fn is_event(&self) -> bool {
        self.measure == Measure::Happened
    }
}

impl std::fmt::Display for MeasureCall {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}({})", self.measure.name(), self.of.join(", "))
    }
}

/// The table of all measures for the documentation, in Markdown.
pub fn documentation() -> String {
    let mut table = String::from("| measure | of | in | what |\n|---|---|---|---|\n");
    for measure in Measure::ALL {
        let Description { name, of, traffic, unit, meaning } = measure.description();
        let mut of: Vec<_> = of.iter().map(|of| format!("{of:?}").to_lowercase()).collect();
        of.extend(traffic.then(|| "traffic".into()));
        table += &format!("| `{name}` | {} | {} | {meaning} |\n", of.join(", "), unit.name());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_has_a_name_of_its_own() {
        for measure in Measure::ALL {
            assert_eq!(Measure::named(measure.name()), Some(*measure));
        }
    }

    #[test]
    fn what_is_told_in_ms_or_s_is_a_length_of_time() {
        assert!(
            Measure::Silence.is_duration() && Measure::P99.is_duration() && !Measure::Failed.is_duration()
        );
    }

    #[test]
    fn a_measure_says_what_it_is_of() {
        let call = |name: &str, of: &[&str]| {
            MeasureCall::understand(name, of.iter().map(|word| (*word).to_owned()).collect())
        };
        let share = call("share", &["two", "web-1", "shoppers"]).unwrap();
        assert_eq!(share.step(), Some("two"));
        assert_eq!(share.named(Of::Machine), Some("web-1"));
        assert_eq!(share.traffic(), Some("shoppers"));
        assert_eq!(call("price", &["web"]).unwrap().step(), None);
        assert_eq!(call("share", &["two"]).unwrap_err(), "'share' is of (step, machine), not of (two)");
        assert!(call("happened", &["two", "shoppers"]).is_err(), "it is of no traffic");
        assert!(call("p98", &["two"]).unwrap_err().contains("known are requests, ok"));
    }

    #[test]
    fn the_documentation_lists_every_measure() {
        documented::check_table("docs/chapters.md", "measures", &documentation());
    }
}
