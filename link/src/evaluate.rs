//! The seam between the transport and what judges.

use crate::answer::{Description, Finished, Installed, Judged, Refused, Vitals};
use crate::fault::Fault;
use crate::message::{Artifact, PhaseMessage, Transfer};

use picket_abi::TransactionLog;

/// What judges on a device. [`Device`](crate::Device) brings it whole requests, in their order;
/// with the feature `host`, `Appliance` is one over a chain of filters.
pub trait Evaluate {
    /// What the device is.
    fn description(&self) -> Description<'_>;

    /// What is installed, if anything is.
    fn installed(&self) -> Option<Installed<'_>>;

    /// A session begins: transactions of an earlier one are given up.
    fn reset(&mut self);

    /// Judges a message of a transaction. A request head begins one, whatever is in that slot.
    ///
    /// `message` is never [`PhaseMessage::Log`]: that is [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`Fault`] if there is no such transaction, or nothing to judge with. That a filter fails is no
    /// fault: it is part of the answer.
    fn judge(&mut self, slot: u8, message: &PhaseMessage<'_>) -> Result<Judged<'_>, Fault>;

    /// Ends a transaction.
    ///
    /// # Errors
    /// [`Fault::NoSlot`], [`Fault::NoTransaction`]
    fn finish(&mut self, slot: u8, log: &TransactionLog) -> Result<Finished<'_>, Fault>;

    /// Makes room for what is about to be transferred. What was there of that kind and had not been
    /// installed is thrown away.
    ///
    /// # Errors
    /// [`Fault::Unsupported`], [`Fault::TooLong`]
    fn stage(&mut self, transfer: &Transfer) -> Result<(), Fault> {
        Err(Fault::Unsupported { artifact: transfer.artifact })
    }

    /// Takes the next bytes of what is transferred: they follow those before them, and are within its
    /// length.
    ///
    /// # Errors
    /// [`Fault`] if they cannot be kept. The transfer is over then.
    fn write(&mut self, artifact: Artifact, data: &[u8]) -> Result<(), Fault> {
        let _ = data;
        Err(Fault::Unsupported { artifact })
    }

    /// Throws away what was transferred of that kind and has not been installed.
    fn discard(&mut self, artifact: Artifact) {
        let _ = artifact;
    }

    /// Puts to work what was transferred whole, and says what is installed now. If that cannot be,
    /// everything stays as it was.
    ///
    /// # Errors
    /// [`NotInstalled`]
    fn install(&mut self) -> Result<Installed<'_>, NotInstalled<'_>> {
        Err(NotInstalled::Fault(Fault::Unsupported { artifact: Artifact::Module }))
    }

    /// How the device is.
    fn vitals(&mut self) -> Vitals {
        Vitals::default()
    }
}

/// Why nothing was installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotInstalled<'a> {
    /// The device does not do that.
    Fault(Fault),
    /// What was transferred cannot be put to work.
    Refused(Refused<'a>),
}
