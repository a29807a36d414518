//! This process, as proc(5) shows it. Elsewhere than on Linux nothing is known of it.

use super::catalogue;
use super::family::Family;

/// Clock ticks of `/proc` a second (`USER_HZ`).
const TICKS: f64 = 100.0;

/// What can be read of it.
pub(super) fn families() -> Vec<Family> {
    let stat = read("stat").and_then(|stat| parse_stat(&stat));
    let status = read("status").unwrap_or_default();
    let numbers = [
        (&catalogue::RESIDENT_MEMORY, parse_memory(&status, "VmRSS:")),
        (&catalogue::ANONYMOUS_MEMORY, parse_memory(&status, "RssAnon:")),
        (&catalogue::CPU_SECONDS, stat.map(|stat| stat.0)),
        (&catalogue::THREADS, stat.map(|stat| stat.1)),
        (&catalogue::OPEN_FDS, std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64)),
        (&catalogue::MAX_FDS, read("limits").and_then(|limits| parse_max_files(&limits))),
    ];
    numbers.into_iter().filter_map(|(definition, value)| Some(Family::single(definition, value?))).collect()
}

fn read(file: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/self/{file}")).ok()
}

/// A line of the process's memory, in bytes.
fn parse_memory(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib * 1024.0)
}

/// Processor seconds and threads. The name of the program, the second field, may hold anything, brackets too.
fn parse_stat(stat: &str) -> Option<(f64, f64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let field = |number: usize| after_name.split_whitespace().nth(number.checked_sub(3)?)?.parse::<f64>().ok();
    Some(((field(14)? + field(15)?) / TICKS, field(20)?))
}

/// The soft limit.
fn parse_max_files(limits: &str) -> Option<f64> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read_as_they_are_written() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 1250 50 0 0 20 0 9 0 100 1 2";
        assert_eq!(parse_stat(stat), Some((13.0, 9.0)));
        let status = "VmSize:\t 9 kB\nVmRSS:\t    2 kB\nRssAnon:\t       1 kB\n";
        assert_eq!(["VmRSS:", "RssAnon:"].map(|name| parse_memory(status, name)), [Some(2048.0), Some(1024.0)]);
        let limits =
            "Limit  Soft  Hard  Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(parse_max_files(limits), Some(1024.0));
        for nonsense in ["", ")", "7 (x) S", "VmRSS:", "Max open files", "Max open files unlimited"] {
            let read = (parse_stat(nonsense), parse_memory(nonsense, "VmRSS:"), parse_max_files(nonsense));
            assert_eq!(read, (None, None, None));
        }
    }
}
