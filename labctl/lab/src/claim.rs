//! Claims a site: everything the environment could lack is checked before anything is started.

use parts::Cast;

use super::directories::{absolute, can_hold_data, check_is_text, empty_directory, find_programs};
use super::lock::lock;
use super::redis;
use super::site::Site;
use super::site_args::SiteArgs;
use super::sockets;
use super::state::State;
use crate::error::LabError;

impl Site {
    /// Claims a site for a new lab. If this fails, nothing has been started.
    pub fn claim(args: &SiteArgs) -> Result<Self, LabError> {
        let is_loopback = args.network()[0] == 127;
        if is_loopback == args.backend.is_containers() {
            return Err(LabError::Usage(match is_loopback {
                true => "--network: containers cannot have loopback addresses; give a private network such as 172.28".into(),
                false => "--network: processes have loopback addresses, such as 127.77".into(),
            }));
        }
        if args.trace && args.backend.is_containers() {
            return Err(LabError::Usage(
                "--trace: containers record no traces; leave out --backend compose, or --trace (and unset LABCTL_TRACE)".into(),
            ));
        }
        redis::check_url(args.backend, args.redis_url.as_deref())?;
        let lab_directory = absolute(&args.lab_dir);
        check_is_text(&lab_directory)?;
        let lock = lock(&lab_directory)?;
        let programs = find_programs()?;
        let swept = State::sweep(&lab_directory)?;
        let data = lab_directory.join("data");
        empty_directory(&data)?;
        can_hold_data(&data)?;
        let sockets = sockets::make()?;
        let (cast, traced) = (Cast::default(), args.trace);
        Ok(Self { lab_directory, programs, sockets, swept, traced, cast, lock })
    }
}
