//! The limits that the machine and its operator set for this process (chapters 8 and 9).
//!
//! The standard library doesn't ask the system for its limits. Linux writes them into files; where
//! there are no such files, nothing is known, and nothing is limited here.

use std::fs;

/// How many memory maps a connection's thread may have: its stack, the stack on which it would
/// report that the first has overflowed, a guard page for each, and one to spare.
const MAPS_PER_THREAD: u64 = 5;

/// How many memory maps are left for everything other than the connections' threads.
const OTHER_MAPS: u64 = 1000;

/// How many descriptors are left for everything other than connections: our own three, the
/// listener, and the files of messages that are being written. (A message that finds none left is
/// answered with 451.)
const OTHER_DESCRIPTORS: u64 = 24;

/// Returns how many connections this machine has room for.
///
/// Running out of descriptors is only an error of `accept`. But a thread that finds no memory maps
/// left for its stack's guard makes the standard library end the whole process.
pub fn most_connections() -> usize {
    let by_descriptors = open_files().saturating_sub(OTHER_DESCRIPTORS);
    let by_maps = memory_maps().saturating_sub(OTHER_MAPS) / MAPS_PER_THREAD;
    usize::try_from(by_descriptors.min(by_maps)).unwrap_or(usize::MAX)
}

/// Reads the machine's own name, if it is known.
pub fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_string())
}

/// Reads the largest size of a file in octets (`ulimit -f`).
pub fn largest_file() -> u64 {
    limit("Max file size").unwrap_or(u64::MAX)
}

/// Reads how many files and connections may be open (`ulimit -n`).
fn open_files() -> u64 {
    limit("Max open files").unwrap_or(u64::MAX)
}

/// Reads how many memory maps there may be (`vm.max_map_count`).
fn memory_maps() -> u64 {
    let text = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(u64::MAX)
}

/// Reads the limit with this name. `None` is no limit.
fn limit(name: &str) -> Option<u64> {
    soft_limit(&fs::read_to_string("/proc/self/limits").ok()?, name)
}

/// Finds the soft limit, which counts, in a table such as
///
/// ```text
/// Limit                     Soft Limit           Hard Limit           Units
/// Max file size             unlimited            unlimited            bytes
/// Max open files            1024                 1048576              files
/// ```
fn soft_limit(table: &str, name: &str) -> Option<u64> {
    let row = table.lines().find_map(|line| line.strip_prefix(name))?;
    row.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read_from_the_table() {
        let table = "Limit                     Soft Limit           Hard Limit           Units     \n\
                     Max file size             unlimited            unlimited            bytes     \n\
                     Max open files            1024                 1048576              files     \n";
        assert_eq!(soft_limit(table, "Max open files"), Some(1024));
        assert_eq!(soft_limit(table, "Max file size"), None);
        assert_eq!(soft_limit(table, "Max locked memory"), None);
    }
}
