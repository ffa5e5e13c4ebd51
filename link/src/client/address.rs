//! Where a device is.

use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;
use std::string::String;

/// The speed of a serial line unless told otherwise, in bits a second.
const BAUD: u32 = 115_200;

/// Where a device is: `tcp://HOST:PORT`, or `serial:/dev/ttyX`, with `@BAUD` behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// On the network.
    Tcp {
        /// Host and port.
        authority: String,
    },
    /// On a serial line.
    Serial {
        /// The line's device.
        path: PathBuf,
        /// Bits a second.
        baud: u32,
    },
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError(&'static str);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: write tcp://HOST:PORT, or serial:/dev/ttyX[@BAUD]", self.0)
    }
}

impl core::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(authority) = text.strip_prefix("tcp://") {
            let authority = authority.strip_suffix('/').unwrap_or(authority);
            let (host, port) = authority.rsplit_once(':').ok_or(AddressError("the port is missing"))?;
            if host.is_empty() {
                return Err(AddressError("the host is missing"));
            }
            if port.parse::<u16>().is_err() {
                return Err(AddressError("the port is no number up to 65535"));
            }
            return Ok(Address::Tcp { authority: authority.into() });
        }
        if let Some(rest) = text.strip_prefix("serial:") {
            let (path, baud) = match rest.rsplit_once('@') {
                None => (rest, BAUD),
                Some((path, baud)) => match baud.parse() {
                    Ok(baud) if baud > 0 => (path, baud),
                    _ => return Err(AddressError("the speed is no number of bits a second")),
                },
            };
            if path.is_empty() {
                return Err(AddressError("the serial line's path is missing"));
            }
            return Ok(Address::Serial { path: path.into(), baud });
        }
        Err(AddressError("not the address of a device"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { authority } => write!(f, "tcp://{authority}"),
            Address::Serial { path, baud } => write!(f, "serial:{}@{baud}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, shown) in [
            ("tcp://127.0.0.1:7700", "tcp://127.0.0.1:7700"),
            ("tcp://[::1]:1/", "tcp://[::1]:1"),
            ("tcp://guard.example:65535", "tcp://guard.example:65535"),
            ("serial:/dev/ttyUSB0", "serial:/dev/ttyUSB0@115200"),
            ("serial:/dev/by@path@9600", "serial:/dev/by@path@9600"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "tcp://",
            "tcp://a",
            "tcp://:1",
            "tcp://a:65536",
            "serial:",
            "serial:/dev/a@fast",
            "udp://a:1",
        ] {
            assert!(text.parse::<Address>().unwrap_err().to_string().contains("tcp://HOST:PORT"), "{text}");
        }
    }
}
