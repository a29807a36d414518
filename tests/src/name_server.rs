//! A name server on a socket of its own.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Answers what it has records for, and NXDOMAIN to the rest, until it is dropped.
pub struct NameServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl NameServer {
    /// One that knows `domain`'s SIP servers over UDP, by priority and port; all of them are this machine.
    pub async fn start(domain: &str, servers: &[(u16, u16)]) -> Result<Self> {
        let host = Name::from_ascii(format!("host.{domain}."))?;
        let service = Name::from_ascii(format!("_sip._udp.{domain}."))?;
        let srv = |(priority, port)| RData::SRV(SRV::new(priority, 1, port, host.clone()));
        let mut records: Vec<Record> =
            servers.iter().map(|&server| Record::from_rdata(service.clone(), 60, srv(server))).collect();
        records.push(Record::from_rdata(host.clone(), 60, RData::A(A(Ipv4Addr::LOCALHOST))));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self { address: socket.local_addr()?, task: tokio::spawn(serve(socket, records)) })
    }

    /// Where it is asked.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, records: Vec<Record>) {
    let mut buffer = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let Some(question) = buffer.get(..length).and_then(|bytes| Message::from_vec(bytes).ok()) else { continue };
        let Some(query) = question.queries.first().cloned() else { continue };
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        let of_query = |record: &&Record| {
            record.record_type() == query.query_type() && record.name.to_lowercase() == query.name().to_lowercase()
        };
        answer.answers.extend(records.iter().filter(of_query).cloned());
        if !records.iter().any(|record| record.name.to_lowercase() == query.name().to_lowercase()) {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        answer.add_query(query);
        if let Ok(bytes) = answer.to_vec() {
            // A resolver that has gone meanwhile misses nothing.
            let _ = socket.send_to(&bytes, from).await;
        }
    }
}
