//! Times, sizes, networks and host patterns as they are written.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

/// A span of time: `250ms`, `10s`, `5m`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "a time is a whole number and a unit: us, ms, s, m or h";
    let (number, unit) = split(text).ok_or(FORM)?;
    let micros: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        _ => return Err(FORM),
    };
    number.checked_mul(micros).map(Duration::from_micros).ok_or("longer than can be counted")
}

/// A count of bytes: `512`, `64KiB`, `10MB`.
pub(super) fn size(text: &str) -> Result<u64, &'static str> {
    const FORM: &str = "a size is a whole number and a unit: B, KB, KiB, MB, MiB, GB or GiB";
    let (number, unit) = split(text).ok_or(FORM)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KB" | "kB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err(FORM),
    };
    number.checked_mul(factor).ok_or("larger than can be counted")
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// A network in CIDR notation, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    addr: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `ip` is in the network. An IPv4 address in its IPv6-mapped form counts as itself.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.addr, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.prefix);
                (u64::from(net.to_bits() ^ ip.to_bits()) >> shift) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let differing = net.to_bits() ^ ip.to_bits();
                differing.checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (addr, prefix) = match text.split_once('/') {
            Some((addr, prefix)) => (addr, Some(prefix)),
            None => (text, None),
        };
        let addr: IpAddr =
            addr.parse().map_err(|_| "neither an IP address nor a network such as 10.0.0.0/8")?;
        let longest = if addr.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|prefix| *prefix <= longest)
                .ok_or("the prefix is longer than the address")?,
        };
        Ok(Network { addr, prefix })
    }
}

/// Which hosts a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// Every host, and requests that name none.
    Any,
    /// `example.org`, in lower case.
    Exact(String),
    /// `*.example.org`, kept as `.example.org` in lower case: any number of labels before it, at
    /// least one.
    Suffix(String),
}

impl HostPattern {
    /// Whether `host` (no port, lower case) is taken.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            HostPattern::Any => true,
            HostPattern::Exact(name) => name == host,
            HostPattern::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        }
    }

    /// How narrow the pattern is: an exact name before a wildcard, a longer wildcard before a
    /// shorter one.
    pub(crate) fn rank(&self) -> (u8, usize) {
        match self {
            HostPattern::Any => (0, 0),
            HostPattern::Suffix(suffix) => (1, suffix.len()),
            HostPattern::Exact(name) => (2, name.len()),
        }
    }
}

impl FromStr for HostPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text == "*" {
            return Ok(HostPattern::Any);
        }
        let text = text.to_ascii_lowercase();
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text.as_str(), false),
        };
        let is_v6 = name.starts_with('[') && name.ends_with(']');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if name.is_empty() || !(is_v6 && !wildcard || name.bytes().all(plain)) {
            return Err("a host is a name without port, `*.name`, or `*`");
        }
        Ok(if wildcard { HostPattern::Suffix(format!(".{name}")) } else { HostPattern::Exact(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("10 MB"), Ok(10_000_000));
        for wrong in ["", "s", "10", "-1s", "1.5s", "10 parsecs", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "KiB", "1TBB", "18446744073709551615GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks() {
        let holds = |net: &str, ip: &str| net.parse::<Network>().unwrap().contains(ip.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("0.0.0.0/0", "203.0.113.9"));
        assert!(holds("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(holds("fd00::/8", "fd12::1"));
        assert!(!holds("fd00::/8", "fe80::1"));
        assert!(holds("::/0", "2001:db8::1"));
        assert!(!holds("::1", "::2"));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
        assert!("example.org".parse::<Network>().is_err());
    }

    #[test]
    fn host_patterns() {
        let takes = |pattern: &str, host: &str| pattern.parse::<HostPattern>().unwrap().matches(host);
        assert!(takes("Example.org", "example.org"));
        assert!(!takes("example.org", "www.example.org"));
        assert!(takes("*.example.org", "a.b.example.org"));
        assert!(!takes("*.example.org", "example.org"));
        assert!(!takes("*.example.org", "evilexample.org"));
        assert!(takes("*", ""));
        assert!(takes("[::1]", "[::1]"));
        for wrong in ["", "*.", "a b", "example.org:80", "http://example.org", "a*.org"] {
            assert!(wrong.parse::<HostPattern>().is_err(), "{wrong}");
        }
    }
}
