//! What the machine and its operator allow this process (chapter 8; connections, chapter 9).
//!
//! The standard library doesn't ask the system for its limits. Linux writes them into files; where
//! there are no such files, nothing is known, and nothing is limited here.

use std::fs;

/// The machine's own name, if it tells.
pub fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_string())
}

/// The largest file that this process may write, in octets (`ulimit -f`).
pub fn largest_file() -> u64 {
    limit("Max file size").unwrap_or(u64::MAX)
}

/// How many files and connections this process may have open at a time (`ulimit -n`).
pub fn open_files() -> u64 {
    limit("Max open files").unwrap_or(u64::MAX)
}

/// How many pieces of memory this process may have mapped (`vm.max_map_count`).
pub fn memory_maps() -> u64 {
    let text = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(u64::MAX)
}

/// The limit with this name. `None` is no limit.
fn limit(name: &str) -> Option<u64> {
    soft_limit(&fs::read_to_string("/proc/self/limits").ok()?, name)
}

/// Finds the soft limit, the one that counts, in a table such as
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
