//! Memory of an emulated program, without its emulator's.

use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::process::Failure;

/// Resident bytes of the program that the QEMU of process `id` runs.
///
/// QEMU's user mode maps a program's memory into its own address space, one page for one page, so that the
/// kernel knows what of it is resident. Which addresses those are is in `pages`, what QEMU writes with
/// `-d page`: where the program's address 0 lies, and after each change a table of all that is mapped.
pub fn of_guest(id: u32, pages: &Path) -> Result<u64, Failure> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    };
    let log = read(pages)?;
    let mapped = mapped(&log).ok_or_else(|| {
        Failure::new(format!("{}: no table of what is mapped, or not where", pages.display()))
    })?;
    let smaps = read(Path::new(&format!("/proc/{id}/smaps")))?;
    let bytes = resident(&smaps, &mapped);
    match bytes {
        0 => Err(Failure::new("none of the program's memory is found in that of its emulator")),
        bytes => Ok(bytes),
    }
}

/// The host's addresses of what the last table lists.
fn mapped(log: &str) -> Option<Vec<Range<u64>>> {
    let base = log.lines().find_map(|line| line.strip_prefix("Locating guest address space @ 0x"))?;
    let base = u64::from_str_radix(base, 16).ok()?;
    let table = log.rsplit("page layout changed").next()?;
    let ranges: Vec<_> = table
        .lines()
        .filter_map(|line| range(line.split(' ').next()?))
        .map(|range| range.start + base..range.end + base)
        .collect();
    (!ranges.is_empty()).then_some(ranges)
}

/// Resident bytes of all mappings that touch one of the ranges.
fn resident(smaps: &str, ranges: &[Range<u64>]) -> u64 {
    let mut counts = false;
    let mut kibibytes = 0;
    for line in smaps.lines() {
        if let Some(mapping) = line.split(' ').next().and_then(range) {
            counts = ranges.iter().any(|range| range.start < mapping.end && mapping.start < range.end);
        } else if let (true, Some(rest)) = (counts, line.strip_prefix("Rss:")) {
            kibibytes += rest.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        }
    }
    kibibytes * 1024
}

/// Two hexadecimal addresses with a dash between them.
fn range(text: &str) -> Option<Range<u64>> {
    let (start, end) = text.split_once('-')?;
    Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::{mapped, resident};

    const LOG: &str = "Locating guest address space @ 0x1000000\n\
        page layout changed following mmap\nstart end size prot\n\
        0000000000400000-0000000000480000 0000000000080000 r-x\n\
        page layout changed following mmap\nstart end size prot\n\
        0000000000400000-0000000000480000 0000000000080000 r-x\n\
        0000005500802000-0000005500b03000 0000000000301000 rw-\n";

    #[test]
    fn the_last_table_is_moved_to_the_hosts_addresses() {
        assert_eq!(mapped(LOG), Some(vec![0x140_0000..0x148_0000, 0x55_0180_2000..0x55_01b0_3000]));
        assert_eq!(mapped("page layout changed"), None);
    }

    #[test]
    fn what_is_the_emulators_own_does_not_count() {
        let smaps = "01400000-01480000 r-xp 00000000 fe:00 1 /a/program\nSize: 512 kB\nRss:             100 kB\n\
            5501802000-5501b03000 rw-p 00000000 00:00 0\nSize: 3076 kB\nRss:            3000 kB\n\
            7f891fc00000-7f8927bff000 rwxp 00000000 00:00 0\nRss:    2048 kB\n";
        assert_eq!(resident(smaps, &mapped(LOG).unwrap()), 3100 * 1024);
    }
}
