//! `labctl open`: opens the live page of the running lab.

use std::process::{Command, Stdio};

use super::common::Common;
use super::{Performed, say, say_document};
use lab::control;
use lab::error::LabError;

/// Programs that open a URL in the user's browser.
const OPENERS: [&str; 3] = ["wslview", "xdg-open", "open"];

/// Prints the URL of the running lab's page, and opens it where there is a browser.
pub fn open(common: &Common) -> Performed {
    let directory = &common.site.lab_dir;
    control::running(directory)?;
    let found = page::find(directory).ok_or_else(|| {
        LabError::not_ready(
            "this lab has no page: it was started with --no-page; `labctl down`, then `labctl up` again",
        )
    })?;
    if common.json {
        say_document("open", serde_json::json!({ "url": found.url, "address": found.address }))?;
        return Ok(0);
    }
    say(&found.url);
    let opens = |opener: &&str| {
        let mut command = Command::new(opener);
        command.arg(&found.url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().is_ok()
    };
    if !OPENERS.iter().any(opens) {
        say("(no browser could be started here: open this URL yourself)");
    }
    Ok(0)
}
