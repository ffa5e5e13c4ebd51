//! What a device answers.

use picket_abi::{DecodeError, Element, Header, Match, Octets, PhaseSet, Seq};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::message::{Sha256, Version};

/// What a device answers to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Answer<'a> {
    /// The request was not done.
    Fault(Fault),
    /// To a hello: who answers.
    #[serde(borrow)]
    Welcome(Welcome<'a>),
    /// To a phase: what becomes of the message.
    #[serde(borrow)]
    Judged(Judged<'a>),
    /// To the end of a transaction: what it came to.
    #[serde(borrow)]
    Finished(Finished<'a>),
    /// To a transfer and its bytes: how many there are now.
    Received {
        /// Bytes.
        length: u32,
    },
    /// To an installation: it is done, and what is installed now.
    #[serde(borrow)]
    Installed(Installed<'a>),
    /// To an installation: it was not done, and what was installed still is.
    #[serde(borrow)]
    Refused(Refused<'a>),
    /// How the device is.
    Status(Status),
}

/// Who answers, and what can be asked of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome<'a> {
    /// What the device speaks.
    pub version: Version,
    /// What it is and runs.
    #[serde(borrow)]
    pub device: Description<'a>,
    /// Bytes of the longest payload it takes.
    pub max_message: u32,
    /// What is installed, if anything is.
    #[serde(borrow)]
    pub filter: Option<Installed<'a>>,
}

impl Default for Version {
    fn default() -> Self {
        Version::CURRENT
    }
}

/// What a device is, and its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description<'a> {
    /// What it is called.
    #[serde(borrow)]
    pub name: Octets<'a>,
    /// The version of its software.
    #[serde(borrow)]
    pub software: Octets<'a>,
    /// What it was built for: `thumbv7em-none-eabihf`.
    #[serde(borrow)]
    pub target: Octets<'a>,
    /// The engine that runs the filter: `wasmi`.
    #[serde(borrow)]
    pub backend: Octets<'a>,
    /// How fuel is counted: `canonical`, `native`.
    #[serde(borrow)]
    pub metering: Octets<'a>,
    /// Bytes of the longest module it takes; 0 where it takes none.
    pub max_module: u32,
    /// Bytes of the longest ruleset it takes; 0 where it takes none.
    pub max_ruleset: u32,
    /// Transactions at the same time.
    pub slots: u8,
}

/// What is installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed<'a> {
    /// Name of the filter.
    #[serde(borrow)]
    pub name: Octets<'a>,
    /// Its version.
    #[serde(borrow)]
    pub version: Octets<'a>,
    /// Phases it is called for.
    pub phases: PhaseSet,
    /// Bytes of a body it wants held back.
    pub body_window: u32,
    /// Digest of the module, as it was transferred or built in.
    pub module: Sha256,
    /// Digest of the ruleset that was transferred, if one was.
    pub ruleset: Option<Sha256>,
    /// Digest of the settings that were transferred, if some were.
    pub settings: Option<Sha256>,
}

/// Why an installation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused<'a> {
    /// Who has to act: `guest`, `limit`, `configuration`, `host`.
    #[serde(borrow)]
    pub culprit: Octets<'a>,
    /// Why, in words, from devices that have them.
    #[serde(borrow)]
    pub message: Octets<'a>,
}

/// What becomes of a message: what the chain of the device decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision<'a> {
    /// It goes on as it is.
    #[default]
    Continue,
    /// It goes on with changes.
    Modify {
        /// The complete new list of header fields; `None` where it is the old one. Only of heads.
        #[serde(borrow)]
        headers: Option<Seq<'a, Header<'a>>>,
        /// Of a head: the whole new body. Of a piece of a body: what goes on in its place.
        #[serde(borrow)]
        body: Option<Octets<'a>>,
    },
    /// The client is answered with this instead.
    Respond {
        /// Status code.
        status: u16,
        /// Header fields.
        #[serde(borrow)]
        headers: Seq<'a, Header<'a>>,
        /// Body.
        #[serde(borrow)]
        body: Octets<'a>,
    },
    /// The client is sent elsewhere.
    Redirect {
        /// Status code.
        status: u16,
        /// Value of `Location`.
        #[serde(borrow)]
        location: Octets<'a>,
    },
}

/// What something took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Fuel.
    pub fuel: u64,
    /// Calls into guests.
    pub calls: u32,
    /// Time on the device, in microseconds; 0 where it has no clock.
    pub micros: u64,
    /// Executed instructions or clock cycles, on devices that count them.
    pub cycles: Option<u64>,
}

/// What one filter found out since the transaction's last answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding<'a> {
    /// Id of the filter.
    #[serde(borrow)]
    pub filter: Octets<'a>,
    /// Its anomaly score of the whole transaction up to now.
    pub score: u32,
    /// Rules that matched.
    #[serde(borrow)]
    pub matches: Seq<'a, Match<'a>>,
    /// Words for the audit log.
    #[serde(borrow)]
    pub tags: Seq<'a, Octets<'a>>,
    /// Whether some were left out because there were too many.
    pub truncated: bool,
}

impl<'a> Element<'a> for Finding<'a> {
    const NAME: &'static str = "finding";

    fn check(&self) -> Result<(), DecodeError> {
        self.matches.check()?;
        self.tags.check()
    }
}

/// A filter that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure<'a> {
    /// Id of the filter.
    #[serde(borrow)]
    pub filter: Octets<'a>,
    /// The phase it failed in, by its name; `configure` also stands for bringing it up.
    #[serde(borrow)]
    pub phase: Octets<'a>,
    /// The kind it is counted under: `fuel`, `deadline`, `memory`, `trap`, …
    #[serde(borrow)]
    pub kind: Octets<'a>,
    /// Who has to act: `guest`, `limit`, `configuration`, `host`.
    #[serde(borrow)]
    pub culprit: Octets<'a>,
    /// The limit it ran into, if that has a figure.
    pub limit: Option<u64>,
    /// What it wanted instead, where that is known.
    pub value: Option<u64>,
    /// How, in words, from devices that have them.
    #[serde(borrow)]
    pub message: Octets<'a>,
}

impl<'a> Element<'a> for Failure<'a> {
    const NAME: &'static str = "failure";
}

#[cfg(any(feature = "host", feature = "std"))]
mod families {
    use super::{Failure, Finding};

    impl picket_abi::Family for Finding<'static> {
        type Of<'a> = Finding<'a>;
    }
    impl picket_abi::Family for Failure<'static> {
        type Of<'a> = Failure<'a>;
    }
}

/// Which filter answered, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredBy<'a> {
    /// Id of the filter.
    #[serde(borrow)]
    pub filter: Octets<'a>,
    /// Why.
    pub cause: Cause,
}

/// Why a filter answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// It decided to.
    Verdict,
    /// It decided to send the client elsewhere.
    Redirect,
    /// It failed, and the device's policy is to fail closed. The failure is the last one that is told.
    Failure,
}

/// What a phase came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged<'a> {
    /// What becomes of the message.
    #[serde(borrow)]
    pub decision: Decision<'a>,
    /// Which filter answered, if one did.
    #[serde(borrow)]
    pub answered_by: Option<AnsweredBy<'a>>,
    /// The anomaly score of the transaction up to now, over all filters.
    pub score: u32,
    /// What the filters found out since the last answer.
    #[serde(borrow)]
    pub findings: Seq<'a, Finding<'a>>,
    /// Filters that failed since the last answer.
    #[serde(borrow)]
    pub failures: Seq<'a, Failure<'a>>,
    /// What this phase took.
    pub spent: Spent,
    /// Largest linear memory of an instance of this transaction up to now, in bytes.
    pub memory_peak: u64,
}

/// What a transaction came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished<'a> {
    /// What its end brought: its decision is [`Decision::Continue`].
    #[serde(borrow)]
    pub last: Judged<'a>,
    /// What all phases took.
    pub total: Spent,
}

/// How a device is. What it does not know is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What it knows of itself.
    pub vitals: Vitals,
    /// What has happened since it was started.
    pub counts: Counts,
}

/// What a device knows of itself, in bytes where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vitals {
    /// Microseconds since it was started.
    pub uptime_us: Option<u64>,
    /// The heap.
    pub heap_size: Option<u64>,
    /// What is allocated now.
    pub heap_used: Option<u64>,
    /// The most that was.
    pub heap_peak: Option<u64>,
    /// Static data: initialised and zeroed.
    pub static_bytes: Option<u64>,
    /// The most of the stack that was used.
    pub stack_peak: Option<u64>,
    /// Code and constants.
    pub flash_bytes: Option<u64>,
    /// Executed instructions or clock cycles since it was started.
    pub cycles: Option<u64>,
}

/// What has happened since a device was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Sessions.
    pub sessions: u32,
    /// Transactions.
    pub transactions: u32,
    /// Requests that were done.
    pub requests: u32,
    /// Requests that were not, garbage not counted.
    pub faults: u32,
    /// Pieces of garbage.
    pub garbled: u32,
}

impl<'a> Answer<'a> {
    /// Decodes a whole answer. Every element of every list is proved, so that iterating does not end
    /// early. Bytes behind the answer are a later minor version's.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no answer.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let malformed = DecodeError::Malformed { what: "answer", offset: 0 };
        let (answer, _): (Answer<'a>, _) = postcard::take_from_bytes(bytes).map_err(|_| malformed)?;
        match &answer {
            Answer::Judged(judged) => judged.check()?,
            Answer::Finished(finished) => finished.last.check()?,
            _ => {}
        }
        Ok(answer)
    }
}

impl Judged<'_> {
    fn check(&self) -> Result<(), DecodeError> {
        match &self.decision {
            Decision::Modify { headers: Some(headers), .. } | Decision::Respond { headers, .. } => {
                headers.check()?;
            }
            Decision::Continue | Decision::Modify { .. } | Decision::Redirect { .. } => {}
        }
        self.findings.check()?;
        self.failures.check()
    }
}
