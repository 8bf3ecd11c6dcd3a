//! What this process has taken, where the operating system says so (Linux).

use std::fs;

/// Ticks of `/proc/self/stat` in a second, fixed by Linux's interface to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time of all threads so far, user and system; to a hundredth.
pub fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, and may hold anything.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Largest resident memory since the start, or since [`forget_peak`], in bytes.
pub fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Starts the peak again from what is resident now. Where that is refused, the peak goes on from
/// the start of the process: too large, never too small.
pub fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn memory_and_time_are_seen() {
        super::forget_peak();
        let before = super::peak_bytes().unwrap();
        let block = vec![1u8; 64 << 20];
        let after = super::peak_bytes().unwrap();
        assert!(after >= before + (60 << 20), "{before} {after} {}", block[block.len() / 2]);
        assert!(super::cpu_seconds().unwrap() >= 0.0);
    }
}
