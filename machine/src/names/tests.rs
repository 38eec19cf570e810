//! Names with a resolver that the test controls.

use std::collections::HashMap;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

type Addresses = HashMap<String, Vec<SocketAddr>>;

/// The answers of a fake name server.
#[derive(Clone, Default)]
struct Zone(Arc<(Mutex<Addresses>, Mutex<Vec<String>>)>);

impl Zone {
    fn set(&self, name: &str, addresses: &[SocketAddr]) {
        self.0.0.lock().insert(name.to_owned(), addresses.to_vec());
    }

    fn clear(&self) {
        self.0.0.lock().clear();
    }

    fn asked(&self, name: &str) -> usize {
        self.0.1.lock().iter().filter(|asked| *asked == name).count()
    }

    fn resolver(&self) -> Resolver {
        let zone = self.clone();
        Resolver::new(move |name| {
            zone.0.1.lock().push(name.to_owned());
            zone.0.0.lock().get(name).cloned().ok_or_else(|| io::Error::other("no such name"))
        })
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Fails to connect to a name.
async fn fail_to_connect(name: &Name) {
    let refuse = |_| async { io::Result::<()>::Err(io::ErrorKind::ConnectionRefused.into()) };
    assert!(name.connect(refuse).await.is_err());
}

/// Waits until the name's addresses are these.
async fn until_addresses(name: &Name, addresses: &[SocketAddr]) {
    let mut changes = name.0.changed.subscribe();
    let changing = async {
        while name.addresses() != addresses {
            changes.changed().await.unwrap();
        }
    };
    timeout(LIMIT, changing).await.unwrap_or_else(|_| panic!("{:?}, not {addresses:?}", name.addresses()));
}

#[tokio::test]
async fn an_address_that_moves_is_followed_and_one_that_is_lost_is_kept() {
    let zone = Zone::default();
    zone.set("web:80", &[address("10.0.0.1:80")]);
    let name = zone.resolver().name("web:80");
    assert_eq!(*name.known().await.unwrap(), [address("10.0.0.1:80")]);
    zone.set("web:80", &[address("10.0.0.2:80")]);
    until_addresses(&name, &[address("10.0.0.2:80")]).await;
    zone.clear();
    let asked = zone.asked("web:80");
    let failing = async {
        while zone.asked("web:80") < asked + 2 {
            fail_to_connect(&name).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, failing).await.unwrap();
    assert_eq!(name.current(), Some(address("10.0.0.2:80")));
}

#[tokio::test]
async fn an_unknown_name_is_an_error_of_its_own_until_it_leads_somewhere() {
    let zone = Zone::default();
    let name = zone.resolver().name("web:80");
    let failed = name.connect(|_| async { io::Result::<()>::Ok(()) }).await.unwrap_err();
    assert!(NameUnknown::caused(&failed) && !name.is_known(), "{failed}");
    assert!(failed.to_string().contains("'web:80'") && failed.to_string().contains("no such name"));
    assert!(!NameUnknown::caused(&io::ErrorKind::NotFound.into()));
    zone.set("web:80", &[address("10.0.0.1:80")]);
    until_addresses(&name, &[address("10.0.0.1:80")]).await;
    name.connect(|_| async { io::Result::Ok(()) }).await.unwrap();
}

#[tokio::test]
async fn localhost_is_reached_although_its_first_address_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (zone, four) = (Zone::default(), listener.local_addr().unwrap());
    let six = address(&format!("[::1]:{}", four.port()));
    zone.set("localhost:80", &[six, four]);
    let name = zone.resolver().name("localhost:80");
    let (_stream, reached) = name.connect(TcpStream::connect).await.unwrap();
    assert_eq!(reached, four);
    assert_eq!(name.addresses(), [four, six], "it is tried first from now on, by everybody");
}

#[tokio::test]
async fn a_slow_look_up_delays_no_other_name_nor_the_end_of_the_runtime() {
    let (runtime_ended, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let resolver = Resolver::new(|name| {
                if name == "slow:80" {
                    // There is no second party, so this blocks for ever.
                    std::sync::Barrier::new(2).wait();
                }
                Ok(vec![address("10.0.0.1:80")])
            });
            let (slow, quick) = (resolver.name("slow:80"), resolver.name("quick:80"));
            assert!(timeout(LIMIT, quick.known()).await.unwrap().is_ok());
            assert_eq!((slow.current(), slow.is_known()), (None, false), "and nobody waits to be told so");
        });
        drop(runtime);
        runtime_ended.send(()).unwrap();
    });
    ended.recv_timeout(LIMIT).expect("the runtime ends although a look-up hangs");
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_all_and_soon_after_a_connection_failed() {
    let zone = Zone::default();
    zone.set("web:80", &[address("10.0.0.1:80")]);
    let resolver = zone.resolver();
    let (one, other) = (resolver.name("web:80"), resolver.clone().name("web:80"));
    let (_, _) = (one.known().await.unwrap(), other.known().await.unwrap());
    assert_eq!(zone.asked("web:80"), 1);
    zone.set("web:80", &[address("10.0.0.2:80")]);
    let start = Instant::now();
    fail_to_connect(&one).await;
    until_addresses(&other, &[address("10.0.0.2:80")]).await;
    assert!(start.elapsed() < Duration::from_millis(1500), "before its time: {:?}", start.elapsed());
}

#[tokio::test]
async fn names_that_nobody_holds_are_forgotten_when_there_are_too_many() {
    let resolver = Zone::default().resolver();
    let held = resolver.name("held:80");
    for number in 0..2 * REMEMBERED_MAX {
        assert!(resolver.name(&format!("web-{number}:80")).known().await.is_err());
    }
    let names = resolver.0.names.lock();
    assert!(names.len() <= REMEMBERED_MAX, "{}", names.len());
    assert!(Arc::ptr_eq(&names["held:80"].0, &held.0));
}

#[test]
fn an_address_leads_to_itself_and_needs_no_runtime() {
    let name = Resolver::system().name("[::1]:80");
    assert_eq!((name.current(), name.to_string()), (Some(address("[::1]:80")), "[::1]:80".to_owned()));
}
