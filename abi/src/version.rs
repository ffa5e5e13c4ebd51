//! Version negotiation: the guest says what it was built for, the host decides.

use core::fmt;

/// The version of this ABI that a guest was built for.
///
/// Another major version is another language: it is refused. A later minor version only appends:
/// a host takes guests of its own minor version and of earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AbiVersion {
    /// Changed when an earlier guest or host would misread a message.
    pub major: u16,
    /// Changed when something is added.
    pub minor: u16,
}

/// Why a guest's version does not go with the host's, and which side to upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Incompatible {
    /// The guest was built for an earlier major version: rebuild it with a newer SDK.
    UpgradeGuest,
    /// The guest was built for a later version than the host speaks.
    UpgradeHost,
}

impl AbiVersion {
    /// The version this crate describes.
    pub const CURRENT: AbiVersion = AbiVersion { major: 1, minor: 0 };

    /// What `picket_abi` returns: `major << 16 | minor`.
    pub const fn pack(self) -> u32 {
        (self.major as u32) << 16 | self.minor as u32
    }

    /// The version in what `picket_abi` returned.
    pub const fn unpack(packed: u32) -> Self {
        AbiVersion { major: (packed >> 16) as u16, minor: packed as u16 }
    }

    /// Whether a host of this version can run a guest of version `guest`.
    ///
    /// # Errors
    /// [`Incompatible`] names the side to upgrade.
    ///
    /// ```
    /// use picket_abi::{AbiVersion, Incompatible};
    /// let host = AbiVersion { major: 1, minor: 2 };
    /// assert_eq!(host.accepts(AbiVersion { major: 1, minor: 0 }), Ok(()));
    /// assert_eq!(host.accepts(AbiVersion { major: 1, minor: 3 }), Err(Incompatible::UpgradeHost));
    /// assert_eq!(host.accepts(AbiVersion { major: 0, minor: 9 }), Err(Incompatible::UpgradeGuest));
    /// ```
    pub const fn accepts(self, guest: AbiVersion) -> Result<(), Incompatible> {
        if guest.major < self.major {
            Err(Incompatible::UpgradeGuest)
        } else if guest.major > self.major || guest.minor > self.minor {
            Err(Incompatible::UpgradeHost)
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl fmt::Display for Incompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Incompatible::UpgradeGuest => "rebuild the guest with a newer SDK",
            Incompatible::UpgradeHost => "upgrade the host",
        })
    }
}
