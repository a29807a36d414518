//! The few facts about this machine that a configuration is checked against.

use std::ops::RangeInclusive;

use jiff::Timestamp;

/// A machine.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// Cores to run workers on.
    pub(crate) cores: usize,
    /// Ports the kernel hands out to sockets that ask for any.
    pub(crate) ephemeral: Option<RangeInclusive<u16>>,
    /// Those it leaves alone all the same.
    pub(crate) reserved: Vec<RangeInclusive<u16>>,
    /// Its clock.
    pub(crate) now: Timestamp,
}

impl Host {
    /// This machine, as far as it tells.
    pub(crate) fn this() -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            ephemeral: ephemeral(&read("ip_local_port_range")),
            reserved: reserved(&read("ip_local_reserved_ports")),
            now: Timestamp::now(),
        }
    }

    /// The first of `ports` that the kernel may give to another socket.
    pub(crate) fn first_taken(&self, mut ports: RangeInclusive<u16>) -> Option<u16> {
        let ephemeral = self.ephemeral.as_ref()?;
        ports.find(|port| ephemeral.contains(port) && !self.reserved.iter().any(|range| range.contains(port)))
    }
}

/// `32768\t60999`
fn ephemeral(text: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = text.trim().split_once(char::is_whitespace)?;
    Some(low.parse().ok()?..=high.trim().parse().ok()?)
}

/// `8080,30000-39999`
fn reserved(text: &str) -> Vec<RangeInclusive<u16>> {
    let range = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        Some(low.parse().ok()?..=high.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let host = Host {
            cores: 1,
            ephemeral: ephemeral("32768\t60999\n"),
            reserved: reserved("1,32768-39999\n"),
            now: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(host.ephemeral, Some(32768..=60999));
        assert_eq!(host.first_taken(30000..=39999), None);
        assert_eq!(host.first_taken(30000..=40001), Some(40000));
        assert_eq!(reserved("\n"), Vec::new());
        assert_eq!(ephemeral(""), None);
    }
}
