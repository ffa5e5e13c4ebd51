//! `@ipMatch`: addresses and networks.

use alloc::vec::Vec;
use core::{fmt, net::IpAddr};

/// Why a parameter of `@ipMatch` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpListError {
    /// Where in the parameter the bad entry starts.
    pub offset: usize,
}

impl fmt::Display for IpListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no address or network at offset {}", self.offset)
    }
}

impl core::error::Error for IpListError {}

/// Addresses and networks, separated by commas, as the bytes that [`ip_match`] takes: the number of
/// IPv4 ranges (two bytes, little endian), those ranges (first and last address, big endian), then
/// the IPv6 ranges. Each kind is in order and without overlaps.
///
/// # Errors
/// An entry is neither an address nor one with the length of a prefix, or there are more than 65,535.
pub fn parse_ip_list(parameter: &str) -> Result<Vec<u8>, IpListError> {
    let mut v4: Vec<(u128, u128)> = Vec::new();
    let mut v6: Vec<(u128, u128)> = Vec::new();
    let mut offset = 0;
    for entry in parameter.split(',') {
        let error = IpListError { offset };
        let (address, prefix) = match entry.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().map_err(|_| error)?)),
            None => (entry.trim(), None),
        };
        let (first, bits, list) = match address.parse::<IpAddr>().map_err(|_| error)? {
            IpAddr::V4(a) => (u128::from(u32::from(a)), 32u32, &mut v4),
            IpAddr::V6(a) => (u128::from(a), 128, &mut v6),
        };
        let free = bits.checked_sub(prefix.unwrap_or(bits)).ok_or(error)?;
        let host = 1u128.checked_shl(free).map_or(u128::MAX, |size| size - 1);
        list.push((first & !host, first | host));
        if list.len() > usize::from(u16::MAX) {
            return Err(error);
        }
        offset += entry.len() + 1;
    }
    merge(&mut v4);
    merge(&mut v6);
    // At most 65,535, see above.
    let mut bytes = (v4.len() as u16).to_le_bytes().to_vec();
    for end in v4.iter().flat_map(|r| [r.0, r.1]) {
        bytes.extend_from_slice(&(end as u32).to_be_bytes());
    }
    for end in v6.iter().flat_map(|r| [r.0, r.1]) {
        bytes.extend_from_slice(&end.to_be_bytes());
    }
    Ok(bytes)
}

/// Orders the ranges and joins those that overlap.
fn merge(ranges: &mut Vec<(u128, u128)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, range| {
        let joined = next.0 <= range.1;
        if joined {
            range.1 = range.1.max(next.1);
        }
        joined
    });
}

/// `@ipMatch`: the value is an address in one of the networks of `list`, which
/// [`parse_ip_list`] has made. A damaged list matches nothing.
#[inline(never)]
pub fn ip_match(value: &[u8], list: &[u8]) -> bool {
    let Some((count, rest)) = list.split_first_chunk() else { return false };
    let Some((v4, v6)) = rest.split_at_checked(usize::from(u16::from_le_bytes(*count)) * 8) else {
        return false;
    };
    match core::str::from_utf8(value).ok().and_then(|text| text.parse().ok()) {
        Some(IpAddr::V4(address)) => within::<4, 8>(&address.octets(), v4),
        Some(IpAddr::V6(address)) => within::<16, 32>(&address.octets(), v6),
        None => false,
    }
}

/// Whether the address is in one of the ranges, each of two addresses.
fn within<const N: usize, const TWO: usize>(address: &[u8; N], ranges: &[u8]) -> bool {
    let (ranges, _) = ranges.as_chunks::<TWO>();
    let after =
        ranges.partition_point(|range| range.first_chunk::<N>().is_some_and(|first| first <= address));
    let range = after.checked_sub(1).and_then(|at| ranges.get(at));
    range.and_then(|range| range.last_chunk::<N>()).is_some_and(|last| address <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let list = parse_ip_list("10.0.0.0/8, 192.168.1.7,10.1.0.0/16,::1,2001:db8::/32,1.2.3.4/31").unwrap();
        for inside in ["10.0.0.0", "10.255.255.255", "192.168.1.7", "::1", "2001:db8:ffff::1", "1.2.3.5"] {
            assert!(ip_match(inside.as_bytes(), &list), "{inside}");
        }
        for outside in ["11.0.0.0", "9.255.255.255", "192.168.1.8", "::2", "2001:db9::", "1.2.3.6", "", "x"] {
            assert!(!ip_match(outside.as_bytes(), &list), "{outside}");
        }
        let all = parse_ip_list("0.0.0.0/0,::/0").unwrap();
        assert!(ip_match(b"255.255.255.255", &all) && ip_match(b"ffff::", &all));
    }

    #[test]
    fn what_is_no_list() {
        assert_eq!(parse_ip_list("::1,10.0.0.0/33"), Err(IpListError { offset: 4 }));
        assert_eq!(parse_ip_list("1.2.3"), Err(IpListError { offset: 0 }));
        assert!(parse_ip_list("").is_err());
        let list = parse_ip_list("1.2.3.4").unwrap();
        for len in 0..list.len() {
            assert!(!ip_match(b"1.2.3.4", &list[..len]));
        }
    }
}
