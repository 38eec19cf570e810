//! The flags that all commands share.

use lab::site::SiteArgs;

/// Flags that every command has.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// Where the lab runs.
    #[command(flatten)]
    pub site: SiteArgs,

    /// Print data (one JSON document) on standard output; the story goes to standard error.
    #[arg(long, global = true, env = "LABCTL_JSON", hide = true)]
    pub json: bool,
}
