//! How hard a real worker tries, as it tells it.

use std::net::UdpSocket;
use std::time::Duration;

use super::Plane;
use super::tests::config;

#[tokio::test]
async fn a_worker_with_next_to_nothing_to_do_tells_that_it_tries_harder() {
    let (plane, _reports) = Plane::start(config(1, 20_000..=29_999)).unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    // It looks once a second, if anything wakes it, and each step takes it some calm seconds.
    for nth in 0..6_000 {
        match plane.stats()[0].complexity {
            0 | 1 => {}
            complexity => return assert_eq!(complexity, 3, "step by step"),
        }
        peer.send_to(&[0x80; 172], plane.addresses()[0]).unwrap();
        #[allow(clippy::disallowed_methods)] // Real workers keep real time.
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(nth < 50 || plane.stats()[0].complexity > 0, "told from the start");
    }
    panic!("it never tries harder: {:?}", plane.stats());
}
