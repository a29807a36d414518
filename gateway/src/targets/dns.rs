//! Name servers, asked through hickory. What may be believed for how long is the searches' business: nothing is kept here.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use trunkline_signaling::targets::{Answer, Kind, Naptr, NoAnswer, Question, Records, Srv};

use super::Dns;

/// One try of one name server, and how many there are: two are within a visitor's patience.
const TRY: Duration = Duration::from_millis(900);
const TRIES: usize = 2;
/// Records of one answer that are read.
const MAX_RECORDS: usize = 64;

pub(super) struct NameServers {
    servers: Vec<SocketAddr>,
    /// Made by the first question; `Err`: the machine names no name server that can be used.
    resolver: Arc<OnceLock<Result<TokioResolver, String>>>,
}

impl NameServers {
    /// These, or if there are none, those of the machine.
    pub(super) fn new(servers: &[SocketAddr]) -> Self {
        Self { servers: servers.to_vec(), resolver: Arc::default() }
    }
}

impl Dns for NameServers {
    fn ask(&self, question: Question) -> BoxFuture<'static, Result<Answer, NoAnswer>> {
        let resolver = self.resolver.get_or_init(|| resolver(&self.servers)).clone();
        Box::pin(async move {
            let resolver = resolver.map_err(NoAnswer::Failed)?;
            let kind = match question.kind {
                Kind::Naptr => RecordType::NAPTR,
                Kind::Srv => RecordType::SRV,
                Kind::A => RecordType::A,
                Kind::Aaaa => RecordType::AAAA,
            };
            let mut name = Name::from_utf8(&*question.name).map_err(|error| NoAnswer::Failed(error.to_string()))?;
            // A name with a dot is whole; one without may mean one of the machine's own domain.
            name.set_fqdn(question.name.contains('.'));
            match resolver.lookup(name, kind).await {
                Ok(lookup) => read(question.kind, &lookup),
                Err(error) => Err(no_answer(error)),
            }
        })
    }
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let (config, mut options) = if servers.is_empty() {
        hickory_resolver::system_conf::read_system_conf().map_err(|error| format!("no name servers: {error}"))?
    } else {
        let servers = servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.into())
        });
        (ResolverConfig::from_parts(None, Vec::new(), servers.collect()), ResolverOpts::default())
    };
    (options.timeout, options.attempts, options.cache_size) = (TRY, TRIES, 0);
    let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options);
    builder.build().map_err(|error| error.to_string())
}

fn read(kind: Kind, lookup: &Lookup) -> Result<Answer, NoAnswer> {
    let text = |name: &Name| -> Arc<str> { name.to_utf8().trim_end_matches('.').to_ascii_lowercase().into() };
    let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (mut naptr, mut srv, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    for record in lookup.answers().iter().take(MAX_RECORDS) {
        match (kind, &record.data) {
            (Kind::Naptr, RData::NAPTR(r)) => naptr.push(Naptr {
                order: r.order,
                preference: r.preference,
                flags: string(&r.flags),
                service: string(&r.services),
                replacement: text(&r.replacement),
            }),
            (Kind::Srv, RData::SRV(r)) => {
                srv.push(Srv { priority: r.priority, weight: r.weight, port: r.port, target: text(&r.target) });
            }
            (Kind::A, RData::A(address)) => addresses.push(address.0.into()),
            (Kind::Aaaa, RData::AAAA(address)) => addresses.push(address.0.into()),
            // Aliases on the way, and what was not asked for.
            _ => {}
        }
    }
    let records = match kind {
        Kind::Naptr => Records::Naptr(naptr),
        Kind::Srv => Records::Srv(srv),
        Kind::A | Kind::Aaaa => Records::Addresses(addresses),
    };
    if records.is_empty() {
        return Err(NoAnswer::Nothing(None));
    }
    Ok(Answer { records, ttl: lookup.valid_until().saturating_duration_since(Instant::now()) })
}

fn no_answer(error: NetError) -> NoAnswer {
    if let NetError::Dns(DnsError::NoRecordsFound(none)) = error {
        return NoAnswer::Nothing(none.negative_ttl.map(|seconds| Duration::from_secs(seconds.into())));
    }
    if matches!(error, NetError::Timeout) { NoAnswer::TimedOut } else { NoAnswer::Failed(error.to_string()) }
}
