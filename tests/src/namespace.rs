//! A network namespace as a visitor's machine: its own addresses, a cable to this one, and a firewall that swallows UDP.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

/// Routing table and rule of what is swallowed.
const NOWHERE: &str = "77";

/// A namespace with a cable to this machine. Gone with the value.
pub struct Namespace {
    name: String,
    cable: String,
    net: u32,
}

impl Namespace {
    /// Makes one. `None` where this process may not: it takes root and iproute2.
    pub fn new() -> Result<Option<Self>> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let own = std::process::id();
        let (name, cable) = (format!("tl{own}n{nth}"), format!("tl{own}c{nth}"));
        if ip(&["netns", "add", &name]).is_err() {
            return Ok(None);
        }
        // A network of eight addresses out of a range nobody routes, by the process that uses it.
        let this = Self { name, cable, net: (own * 4 + nth) % 8_000 };
        this.wire()?;
        Ok(Some(this))
    }

    fn wire(&self) -> Result<()> {
        let (ours, theirs) = (format!("{}/29", self.outside()), format!("{}/29", self.inside()));
        ip(&["link", "add", &self.cable, "type", "veth", "peer", "name", "eth0", "netns", &self.name])?;
        ip(&["addr", "add", &ours, "dev", &self.cable])?;
        ip(&["link", "set", &self.cable, "up"])?;
        self.ip(&["link", "set", "lo", "up"])?;
        self.ip(&["addr", "add", &theirs, "dev", "eth0"])?;
        self.ip(&["link", "set", "eth0", "up"])?;
        // A neighbour that does not exist, and a table in which everything goes to it.
        let nobody = self.address(6).to_string();
        self.ip(&["neigh", "add", &nobody, "lladdr", "02:00:00:00:00:01", "dev", "eth0"])?;
        self.ip(&["route", "add", "default", "via", &nobody, "dev", "eth0", "table", NOWHERE])
    }

    /// This machine's end of the cable.
    #[must_use]
    pub fn outside(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The other end.
    #[must_use]
    pub fn inside(&self) -> Ipv4Addr {
        self.address(2)
    }

    /// UDP that leaves the namespace is swallowed without a word, or passes again.
    pub fn swallow_udp(&self, swallowed: bool) -> Result<()> {
        self.swallow("udp", swallowed)
    }

    /// The same with TCP: whoever talks to the namespace hears nothing any more, not even that nobody is there.
    pub fn swallow_tcp(&self, swallowed: bool) -> Result<()> {
        self.swallow("tcp", swallowed)
    }

    fn swallow(&self, protocol: &str, swallowed: bool) -> Result<()> {
        let verb = if swallowed { "add" } else { "del" };
        self.ip(&["rule", verb, "pref", "5", "ipproto", protocol, "lookup", NOWHERE])
    }

    /// The visitor goes over to another network: the address is another one from now on.
    pub fn change_address(&self) -> Result<()> {
        self.ip(&["addr", "del", &format!("{}/29", self.inside()), "dev", "eth0"])?;
        self.ip(&["addr", "add", &format!("{}/29", self.address(3)), "dev", "eth0"])
    }

    /// The words that run a program in here.
    #[must_use]
    pub fn runs(&self) -> [String; 4] {
        ["ip".into(), "netns".into(), "exec".into(), self.name.clone()]
    }

    fn address(&self, host: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(Ipv4Addr::new(10, 213, 0, 0).to_bits() + self.net * 8 + host)
    }

    fn ip(&self, words: &[&str]) -> Result<()> {
        let all: Vec<&str> = ["-n", &self.name].into_iter().chain(words.iter().copied()).collect();
        ip(&all)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The cable goes with its end.
        let _ = ip(&["netns", "del", &self.name]);
        let _ = ip(&["link", "del", &self.cable]);
    }
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).output()?;
    if !output.status.success() {
        bail!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
