//! A page for machines that labctl does not keep: it says from the start that it cannot act, and shows what to type.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use page_tests::Chrome;
use tests::Lab;

use crate::{DRAWN, SOON};

/// Uses a name that every computer resolves, so that no name server is queried.
const STACK: &str = r#"
number = 1
title = "Somebody else's"
question = "What can be typed?"

[machine.localhost]
webserver = { db = "localhost" }
dbnode = { products = 10 }

[traffic.shoppers]
to = "localhost"
path = "/products/{key}"
"#;

#[test]
fn a_page_that_cannot_act_shows_commands_in_place_of_buttons() {
    let Some(chrome) = Chrome::start() else { return };
    let lab = Lab::new();
    std::fs::write(lab.path().join("stack.toml"), STACK).expect("the plan can be written");
    let mut page = lab.plain_labctl();
    page.args(["page", "--stack", "stack.toml", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    let mut page = Served(page.spawn().expect("labctl can be started"));
    let mut said = BufReader::new(page.0.stdout.take().expect("its output is piped")).lines();
    let said = said.next().expect("it says where it is").expect("that is text");
    let url = said.strip_prefix("the live page: ").unwrap_or_else(|| panic!("no URL: {said}"));

    let tab = chrome.open(url);
    tab.until(DRAWN, SOON);
    tab.until("document.querySelector('#by-hand') !== null", SOON);
    tab.enter("[data-name=localhost]");
    let kill = "[...document.querySelectorAll('#panel code')].some((one) => one.textContent === 'docker kill localhost')";
    tab.until(kill, SOON);
    let buttons: usize = tab.get("document.querySelectorAll('#panel [data-act]').length");
    assert_eq!(buttons, 0, "a button that can do nothing");
    tab.enter("[data-typed='cut off']");
    tab.until(
        "document.querySelector('#typed').textContent === 'docker network disconnect scaling-lab localhost'",
        SOON,
    );
    let _: bool = tab.get("(document.activeElement?.blur(), true)");
    tab.press("k");
    tab.until("document.querySelector('#said').textContent.endsWith('docker kill localhost')", SOON);
    tab.picture("live-page-by-hand");
    drop(page);
    drop(chrome);
}

/// A page that is stopped when its test ends, however it ends.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
