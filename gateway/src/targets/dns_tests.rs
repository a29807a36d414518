//! hickory against a name server on a real socket.

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, CNAME, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record};
use tokio::net::UdpSocket;
use trunkline_signaling::targets::{Families, Wanted};

use super::dns::NameServers;
use super::*;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// The records of a zone, by name; `Err`: how the server fails.
fn zone(asked: &str, kind: &str) -> Result<Vec<Record>, ResponseCode> {
    let record = |of: &str, data| Record::from_rdata(name(of), 60, data);
    let bytes = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
    let naptr = |order, service: &str, replacement: &str| {
        RData::NAPTR(NAPTR::new(order, 1, bytes("s"), bytes(service), bytes(""), name(replacement)))
    };
    Ok(match (asked, kind) {
        ("carrier.example.", "NAPTR") => vec![
            record(asked, naptr(20, "SIP+D2U", "_sip._udp.carrier.example.")),
            record(asked, naptr(10, "SIP+D2T", "_sip._tcp.carrier.example.")),
        ],
        ("_sip._udp.carrier.example.", "SRV") => {
            vec![record(asked, RData::SRV(SRV::new(1, 1, 5070, name("b.carrier.example."))))]
        }
        ("_sip._tcp.carrier.example.", "SRV") => {
            vec![record(asked, RData::SRV(SRV::new(1, 1, 5080, name("alias.carrier.example."))))]
        }
        ("alias.carrier.example.", "A") => vec![
            record(asked, RData::CNAME(CNAME(name("a.carrier.example.")))),
            record("a.carrier.example.", RData::A(A::new(192, 0, 2, 1))),
        ],
        ("b.carrier.example.", "A") => vec![record(asked, RData::A(A::new(192, 0, 2, 2)))],
        ("loop.example.", "A") => vec![record(asked, RData::CNAME(CNAME(name("pool.example."))))],
        ("pool.example.", "A") => vec![record(asked, RData::CNAME(CNAME(name("loop.example."))))],
        ("broken.example.", _) => return Err(ResponseCode::ServFail),
        _ => return Err(ResponseCode::NXDomain),
    })
}

async fn serve(socket: UdpSocket) {
    let mut buffer = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
        let query = question.queries[0].clone();
        let asked = query.name().to_ascii().to_ascii_lowercase();
        if asked.starts_with("silent") {
            continue;
        }
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        match zone(&asked, &query.query_type().to_string()) {
            Ok(records) => answer.answers.extend(records),
            Err(code) => answer.metadata.response_code = code,
        }
        answer.add_query(query);
        let _ = socket.send_to(&answer.to_vec().unwrap(), from).await;
    }
}

#[tokio::test]
async fn a_real_name_server_is_asked_for_naptr_srv_and_addresses() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    tokio::spawn(serve(socket));
    let finder = Finder::asking(Arc::new(NameServers::new(&[server])), Families::V4);
    let rows: [(&str, Option<u16>, &str); 5] = [
        ("carrier.example", None, "tcp:192.0.2.1:5080 udp:192.0.2.2:5070"),
        ("alias.carrier.example", Some(5060), "udp:192.0.2.1:5060"),
        ("nobody.example", Some(5060), "the name has no address"),
        ("silent.example", Some(5060), "no answer from DNS in time"),
        ("127.0.0.1", None, "udp:127.0.0.1:5060"),
    ];
    for (host, port, expected) in rows {
        let wanted = Wanted { host: host.into(), port, transport: None, secure: false };
        let told = match finder.targets(wanted).await {
            Ok(targets) => targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected, "{host}");
    }
    for host in ["broken.example", "loop.example"] {
        let wanted = Wanted { host: host.into(), port: Some(5060), transport: None, secure: false };
        let found = finder.targets(wanted).await;
        assert!(found.is_err(), "{host}: {found:?}");
    }
    assert_eq!(finder.stats().refused, 0);
}
