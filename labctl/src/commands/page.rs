//! `labctl page`: the live page of a stack outside any lab.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::common::Common;
use super::{Performed, by_hand, say};
use chapter::Source;
use lab::error::LabError;
use lab::http::Client;
use lab::interrupt::Interrupt;
use lab::plan::Deployment;
use lab::stack::{Stack, Where};
use lab::{Backend, Plan};
use machine::network::Network;
use page::Page;

/// The random seed of its traffic.
const SEED: u64 = 42;

/// What to watch, and where to show it.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// Plan of the stack, in a chapter's format: machines, which are found by their names, and traffics.
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,

    /// Address that the page listens on.
    #[arg(long, value_name = "ADDRESS", default_value_t = page::DEFAULT_ADDRESS)]
    listen: SocketAddr,

    /// Loopback address for browsers, if it differs from --listen: a container's published port.
    #[arg(long, value_name = "ADDRESS")]
    published: Option<SocketAddr>,

    /// Directory with the machines' sockets, NAME.sock each, for their figures.
    #[arg(long, value_name = "DIR")]
    sockets: Option<PathBuf>,

    /// File with the token that the balancers' admin interfaces require.
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,

    /// Address that a pair of balancers shares.
    #[arg(long, value_name = "IP")]
    shared_address: Option<IpAddr>,

    /// Compose file of the stack, for the commands that the page shows [default: Compose's own].
    #[arg(long, value_name = "FILE")]
    compose_file: Option<PathBuf>,

    /// The engine's name for the network, for the commands that the page shows.
    #[arg(long, value_name = "NAME", default_value = "scaling-lab")]
    network_name: String,
}

/// Watches a stack and serves its page until it is interrupted.
pub async fn page(args: &PageArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    page::check_address(args.published.unwrap_or(args.listen))?;
    let source = Source::open(&args.stack.to_string_lossy(), &[])?;
    let plan = Plan::of(&source.chapter, deployment(args)?).map_err(LabError::Usage)?;
    let listener = Network::tcp().bind(args.listen).await.map_err(|error| {
        LabError::not_ready(format!("--listen: cannot listen on {}: {error}", args.listen))
    })?;
    // With port 0 the system chooses a free one.
    let published = match args.published {
        Some(published) => published,
        None => listener.local_address().map_err(anyhow::Error::from)?,
    };
    let place = Where {
        sockets: args.sockets.clone(),
        shared: args.shared_address,
        network: args.network_name.clone(),
        compose: compose(args),
        admin_token_file: args.admin_token_file.clone(),
    };
    let stack = Stack::watch(plan, place);
    let served = serve(&stack, source, listener, published, compose(args), common)?;
    say(format!("the live page: {}", served.found().url));
    interrupt.raised().await;
    served.end().await;
    // An interrupt is the regular way to end it.
    Ok(0)
}

fn serve(
    stack: &Arc<Stack>,
    source: Source,
    listener: Box<dyn machine::network::Accept>,
    published: SocketAddr,
    compose: String,
    common: &Common,
) -> Result<Page, LabError> {
    let directory = common.site.lab_dir.clone();
    std::fs::create_dir_all(&directory).map_err(|error| {
        LabError::not_ready(format!("--lab-dir: cannot make {}: {error}", directory.display()))
    })?;
    let traffics = by_hand::all(&source.chapter, &stack.plan(), SEED)?;
    let options = page::Options {
        source,
        traffics,
        labctl: compose,
        directory,
        run: None,
        results: Arc::new(page::NoResults),
    };
    Page::serve_stack(stack, listener, published, options)
}

/// Returns the prefix of the stack's Compose commands: `docker compose -f FILE run --rm load` sends it load.
fn compose(args: &PageArgs) -> String {
    match &args.compose_file {
        None => "docker compose".into(),
        Some(file) => format!("docker compose -f {}", file.display()),
    }
}

fn deployment(args: &PageArgs) -> Result<Deployment, LabError> {
    let client = match &args.admin_token_file {
        None => Client::without_token(),
        Some(file) => Client::with_token(&std::fs::read_to_string(file).map_err(|error| {
            LabError::not_ready(format!("--admin-token-file: cannot read {}: {error}", file.display()))
        })?),
    };
    Ok(Deployment { backend: Backend::Process, client, ..Deployment::on_paper() })
}
