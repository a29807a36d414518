//! The gateway's DNS: records by question, and whatever is wrong with it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use trunkline_signaling::targets::{Answer, Kind, NoAnswer, Question, Records};

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// SERVFAIL to everything.
    ServFail,
    /// It knows no name any more.
    NxDomain,
    /// Not a word.
    Silent,
}

/// DNS.
#[derive(Debug)]
pub struct SimDns {
    /// Further records; host names are in [`super::SimGateway::names`].
    pub records: HashMap<Question, Records>,
    /// What is wrong with it now.
    pub trouble: Trouble,
    /// How long records may be believed.
    pub ttl: Duration,
    /// How often each question came.
    pub asked: BTreeMap<String, u32>,
}

impl Default for SimDns {
    fn default() -> Self {
        let ttl = Duration::from_secs(60);
        Self { records: HashMap::new(), trouble: Trouble::None, ttl, asked: BTreeMap::new() }
    }
}

impl SimDns {
    /// What it says, if anything.
    pub fn say(
        &mut self,
        question: &Question,
        names: &HashMap<String, Vec<SocketAddr>>,
    ) -> Option<Result<Answer, NoAnswer>> {
        *self.asked.entry(format!("{} {}", question.kind.word(), question.name)).or_default() += 1;
        let hosts = || {
            let of_kind = |address: &&SocketAddr| address.is_ipv6() == (question.kind == Kind::Aaaa);
            let named = names.get(&*question.name).filter(|_| matches!(question.kind, Kind::A | Kind::Aaaa))?;
            let addresses: Vec<_> = named.iter().filter(of_kind).map(SocketAddr::ip).collect();
            (!addresses.is_empty()).then_some(Records::Addresses(addresses))
        };
        match self.trouble {
            Trouble::None => {
                let records = self.records.get(question).cloned().or_else(hosts);
                Some(records.map(|records| Answer { records, ttl: self.ttl }).ok_or(NoAnswer::Nothing(None)))
            }
            Trouble::ServFail => Some(Err(NoAnswer::Failed("SERVFAIL".into()))),
            Trouble::NxDomain => Some(Err(NoAnswer::Nothing(None))),
            Trouble::Silent => None,
        }
    }
}
