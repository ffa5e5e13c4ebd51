//! What a device said of itself, kept.

use std::string::{String, ToString as _};

use picket_abi::PhaseSet;

use crate::answer::{Installed, Welcome};
use crate::message::{Sha256, Version};

/// What a device is: an owned [`Welcome`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// What it speaks.
    pub version: Version,
    /// What it is called.
    pub name: String,
    /// The version of its software.
    pub software: String,
    /// What it was built for.
    pub target: String,
    /// The engine that runs the filter.
    pub backend: String,
    /// How fuel is counted.
    pub metering: String,
    /// Bytes of the longest payload it takes.
    pub max_message: usize,
    /// Bytes of the longest module it takes.
    pub max_module: u32,
    /// Bytes of the longest ruleset it takes.
    pub max_ruleset: u32,
    /// Transactions at the same time.
    pub slots: u8,
    /// What is installed.
    pub filter: Option<InstalledInfo>,
}

/// What is installed on a device: an owned [`Installed`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstalledInfo {
    /// Name of the filter.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Phases it is called for.
    pub phases: PhaseSet,
    /// Bytes of a body it wants held back.
    pub body_window: u32,
    /// Digest of the module.
    pub module: Sha256,
    /// Digest of the ruleset.
    pub ruleset: Option<Sha256>,
    /// Digest of the settings.
    pub settings: Option<Sha256>,
}

impl From<Welcome<'_>> for DeviceInfo {
    fn from(welcome: Welcome<'_>) -> Self {
        let Welcome { version, device, max_message, filter } = welcome;
        DeviceInfo {
            version,
            name: device.name.to_string(),
            software: device.software.to_string(),
            target: device.target.to_string(),
            backend: device.backend.to_string(),
            metering: device.metering.to_string(),
            max_message: max_message as usize,
            max_module: device.max_module,
            max_ruleset: device.max_ruleset,
            slots: device.slots,
            filter: filter.map(InstalledInfo::from),
        }
    }
}

impl From<Installed<'_>> for InstalledInfo {
    fn from(installed: Installed<'_>) -> Self {
        let Installed { name, version, phases, body_window, module, ruleset, settings } = installed;
        InstalledInfo {
            name: name.to_string(),
            version: version.to_string(),
            phases,
            body_window,
            module,
            ruleset,
            settings,
        }
    }
}
