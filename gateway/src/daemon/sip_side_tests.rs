//! The SIP side against a telephone that writes down what it hears.

use tokio::net::UdpSocket;
use tokio::time::timeout;
use trunkline_signaling::message::{HeaderName, Message, Method, Response, parse};

use super::*;
use crate::call::AttemptId;
use crate::testing;

const PATIENCE: Duration = Duration::from_secs(60);

/// Answers everything; the digits it was sent by INFO, once there are so many.
async fn listen(phone: UdpSocket, digits: usize) -> String {
    let contact = format!("<sip:far@{}>", phone.local_addr().unwrap());
    let (mut buffer, mut heard, mut last) = (vec![0; 4_096], String::new(), 0);
    while heard.len() < digits {
        let (length, from) = phone.recv_from(&mut buffer).await.unwrap();
        let Ok(Message::Request(request)) = parse(Bytes::copy_from_slice(&buffer[..length])) else { continue };
        let number = request.headers.cseq().unwrap().number;
        if request.method == Method::Info && std::mem::replace(&mut last, number) != number {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            heard.extend(body.trim_start_matches("Signal=").chars().next());
        }
        if request.method != Method::Ack {
            let answer = Response::to_request(&request, 200, Some("far")).with(HeaderName::Contact, contact.clone());
            phone.send_to(&answer.to_bytes(), from).await.unwrap();
        }
    }
    heard
}

/// Keys that are hit fast are several orders in one turn of a call's task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digits_arrive_in_the_order_of_the_keys() {
    const KEYS: &str = "12345678";
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = Target { address: phone.local_addr().unwrap(), over: Transport::Udp, name: "phone".into() };
    let heard = tokio::spawn(listen(phone, KEYS.len()));
    let (side, mut events, _) = SipSide::start(&testing::config()).unwrap();
    let order = InviteOrder {
        attempt: AttemptId(1),
        target,
        route: testing::route().into(),
        fields: Vec::new(),
        dropped_fields: 0,
        sdp: "v=0\r\n".into(),
    };
    let leg = side.invite(order).await.unwrap().leg;
    let mut event = None;
    while !matches!(event, Some(Event::Answered { .. })) {
        event = Some(timeout(PATIENCE, events.recv()).await.unwrap().unwrap());
    }
    let fingers = Arc::clone(&side);
    let typing = async move {
        KEYS.chars().for_each(|key| fingers.send_digits(leg, vec![(key, Duration::from_millis(40))]));
    };
    tokio::spawn(typing).await.unwrap();
    assert_eq!(timeout(PATIENCE, heard).await.unwrap().unwrap(), KEYS);
}
