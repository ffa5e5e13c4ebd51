//! What a board's log is told, over `defmt`: what guests say, which filters load, which fail.
//!
//! Texts stay in the ELF file; what goes over the line are their numbers and the values. An error so costs
//! a few bytes there, and no formatting code in flash.

use picket_abi::{LogLevel, Octets, Phase};

use crate::error::{Error, LoadError};
use crate::metadata::Metadata;
use crate::services::HostServices;

/// Services that pass on what guests log, and deny everything else as
/// [`NoServices`](crate::NoServices) does.
///
/// A line has the guest's level; bytes that are no UTF-8 are shown as `defmt` shows bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefmtServices;

impl HostServices for DefmtServices {
    fn log(&self, filter: &str, level: LogLevel, message: &[u8]) {
        let message = Octets(message);
        match level {
            LogLevel::Error => defmt::error!("{=str}: {}", filter, message),
            LogLevel::Warn => defmt::warn!("{=str}: {}", filter, message),
            LogLevel::Info => defmt::info!("{=str}: {}", filter, message),
            LogLevel::Debug => defmt::debug!("{=str}: {}", filter, message),
            LogLevel::Trace => defmt::trace!("{=str}: {}", filter, message),
        }
    }
}

/// A filter is ready.
pub(crate) fn loaded(filter: &Metadata) {
    defmt::info!(
        "filter {=str} loaded: {=str} {=str}, {=usize} bytes, on {=str}",
        filter.id,
        filter.name,
        filter.version,
        filter.module_bytes,
        filter.backend
    );
}

/// A module is not taken.
pub(crate) fn refused(id: &str, error: &LoadError) {
    defmt::warn!("filter {=str} refused, {=str} at fault: {}", id, error.culprit().name(), error);
}

/// A filter has failed in a transaction.
pub(crate) fn failed(filter: &str, phase: Phase, error: &Error) {
    defmt::warn!(
        "filter {=str} failed in {=str}, {=str} at fault: {}",
        filter,
        phase.name(),
        error.culprit().name(),
        error
    );
}
