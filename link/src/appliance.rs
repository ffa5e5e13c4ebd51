//! What judges on a device that runs `picket-host`.

mod loaded;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use picket_abi::{Octets, SeqBuf, TransactionLog};
use picket_host::{
    Backend, BodyDecision, Environment, Error, HeadDecision, Limit, Policy, Reply, ReplyCause, Report,
    Transaction,
};

use crate::answer::{
    AnsweredBy, Cause, Decision, Description, Failure, Finding, Finished, Installed, Judged, Refused, Spent,
    Vitals,
};
use crate::evaluate::{Evaluate, NotInstalled};
use crate::fault::Fault;
use crate::message::{Artifact, PhaseMessage, Transfer};

pub use loaded::{InstallError, Shelf};
use loaded::{Loaded, Parts};

/// What a device says of itself, and what it lets a filter do.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// What it is called.
    pub name: &'static str,
    /// The version of its software.
    pub software: &'static str,
    /// What it was built for.
    pub target: &'static str,
    /// How fuel is counted.
    pub metering: &'static str,
    /// Bytes of the longest module it takes; 0 to take none.
    pub max_module: u32,
    /// Bytes of the longest ruleset it takes; 0 to take none.
    pub max_ruleset: u32,
    /// Bytes of the longest settings it takes; 0 to take none.
    pub max_settings: u32,
    /// Transactions at the same time: each has instances of its own.
    pub slots: u8,
    /// What a module may do that is installed.
    pub policy: Policy,
    /// What a module may do that a ruleset has become a part of.
    pub rules_policy: Policy,
    /// What the device knows of itself.
    pub vitals: fn() -> Vitals,
    /// Instructions or clock cycles since some moment, where the device counts them.
    pub cycles: Option<fn() -> u64>,
}

impl Profile {
    /// A device of that name that takes nothing, has one slot and knows nothing of itself.
    pub const fn new(name: &'static str) -> Self {
        Profile {
            name,
            software: env!("CARGO_PKG_VERSION"),
            target: "",
            metering: "native",
            max_module: 0,
            max_ruleset: 0,
            max_settings: 0,
            slots: 1,
            policy: Policy::WAF,
            rules_policy: Policy::WAF,
            vitals: Vitals::default_values,
            cycles: None,
        }
    }
}

impl Vitals {
    fn default_values() -> Vitals {
        Vitals::default()
    }
}

/// What judges: the chain on its [`Shelf`], as `picket_host` has it.
///
/// Nothing is allocated for an answer that has no findings, beyond what the host itself needs.
pub struct Appliance {
    profile: Profile,
    backend: Option<Arc<dyn Backend>>,
    environment: Arc<Environment>,
    shelf: Shelf,
    /// What is on the shelf, as this session has last seen it.
    loaded: Option<Arc<Loaded>>,
    slots: Vec<Option<Open>>,
    staged: Parts,
    /// What the last answer borrows from.
    told: Told,
}

/// A transaction that has begun.
struct Open {
    transaction: Transaction,
    /// Bytes of the bodies, request and response.
    seen: [u64; 2],
    /// What of its report has been told.
    mark: Mark,
}

#[derive(Default)]
struct Mark {
    /// For each verdict of the report: bytes of its matches and of its tags, and its score.
    verdicts: Vec<(usize, usize, u32)>,
    failures: usize,
    spent: Spent,
}

#[derive(Default)]
struct Told {
    decision: Held,
    findings: SeqBuf<Finding<'static>>,
    failures: SeqBuf<Failure<'static>>,
    spent: Spent,
    score: u32,
    memory_peak: u64,
    culprit: &'static str,
    refusal: String,
}

#[derive(Default)]
enum Held {
    #[default]
    Continue,
    Head(HeadDecision),
    Body(BodyDecision),
}

impl Appliance {
    /// A device of that profile, with what is on the shelf. Without a backend nothing can be installed.
    pub fn new(
        profile: Profile,
        backend: Option<Arc<dyn Backend>>,
        environment: Arc<Environment>,
        shelf: Shelf,
    ) -> Self {
        let loaded = shelf.current();
        let slots = (0..profile.slots).map(|_| None).collect();
        let (staged, told) = (Parts::default(), Told::default());
        Appliance { profile, backend, environment, shelf, loaded, slots, staged, told }
    }

    /// Installs what a device brings along: a module, and perhaps a ruleset and encoded settings.
    ///
    /// # Errors
    /// [`InstallError`]; what was installed still is.
    pub fn install_parts(
        &mut self,
        module: Vec<u8>,
        ruleset: Option<Vec<u8>>,
        settings: Option<Vec<u8>>,
    ) -> Result<(), InstallError> {
        self.put_to_work(Parts { module: Some(module), ruleset, settings })
    }

    fn put_to_work(&mut self, parts: Parts) -> Result<(), InstallError> {
        self.loaded = self.shelf.current();
        let backend = self.backend.as_deref().ok_or(InstallError::NoBackend)?;
        let loaded =
            Arc::new(parts.load(self.loaded.as_deref(), &self.profile, backend, &self.environment)?);
        self.shelf.put(Arc::clone(&loaded));
        self.loaded = Some(loaded);
        Ok(())
    }

    fn limit(&self, artifact: Artifact) -> u32 {
        match artifact {
            Artifact::Module => self.profile.max_module,
            Artifact::Ruleset => self.profile.max_ruleset,
            Artifact::Settings => self.profile.max_settings,
        }
    }

    fn cycles(&self) -> Option<u64> {
        self.profile.cycles.map(|cycles| cycles())
    }
}

impl Evaluate for Appliance {
    fn description(&self) -> Description<'_> {
        let Profile { name, software, target, metering, max_module, max_ruleset, slots, .. } = self.profile;
        Description {
            name: name.into(),
            software: software.into(),
            target: target.into(),
            backend: self.backend_name().into(),
            metering: metering.into(),
            max_module,
            max_ruleset,
            slots,
        }
    }

    fn installed(&self) -> Option<Installed<'_>> {
        self.loaded.as_deref().map(Loaded::as_installed)
    }

    fn reset(&mut self) {
        self.slots.iter_mut().for_each(|slot| *slot = None);
        self.loaded = self.shelf.current();
    }

    fn judge(&mut self, slot: u8, message: &PhaseMessage<'_>) -> Result<Judged<'_>, Fault> {
        let before = self.cycles();
        let open = place(&mut self.slots, slot)?;
        if let PhaseMessage::RequestHead(_) = message {
            // What was there is given up first: two would need twice the memory.
            *open = None;
            self.loaded = self.shelf.current();
            let loaded = self.loaded.as_deref().ok_or(Fault::NoFilter)?;
            let transaction = loaded.chain.begin();
            *open = Some(Open { transaction, seen: [0; 2], mark: Mark::default() });
        }
        let open = open.as_mut().ok_or(Fault::NoTransaction { slot })?;
        let Open { transaction, seen, mark } = open;
        self.told.decision = match message {
            PhaseMessage::RequestHead(head) => Held::Head(transaction.request_head(head)),
            PhaseMessage::ResponseHead(head) => Held::Head(transaction.response_head(head)),
            PhaseMessage::RequestBody(chunk) => {
                follow(&mut seen[0], chunk.offset, chunk.data)?;
                Held::Body(transaction.request_body(chunk.data.bytes(), chunk.end))
            }
            PhaseMessage::ResponseBody(chunk) => {
                follow(&mut seen[1], chunk.offset, chunk.data)?;
                Held::Body(transaction.response_body(chunk.data.bytes(), chunk.end))
            }
            PhaseMessage::Error(report) => {
                transaction.error(report);
                Held::Continue
            }
            PhaseMessage::Log(_) => Held::Continue,
        };
        let cycles = self.profile.cycles.map(|cycles| cycles()).zip(before);
        self.told.note(transaction.report(), mark, cycles.map(|(now, before)| now.wrapping_sub(before)));
        Ok(self.told.judged())
    }

    fn finish(&mut self, slot: u8, log: &TransactionLog) -> Result<Finished<'_>, Fault> {
        let before = self.cycles();
        let open = place(&mut self.slots, slot)?.take().ok_or(Fault::NoTransaction { slot })?;
        let Open { transaction, mut mark, .. } = open;
        let report = transaction.finish(log);
        let cycles = self.cycles().zip(before).map(|(now, before)| now.wrapping_sub(before));
        self.told.decision = Held::Continue;
        self.told.note(&report, &mut mark, cycles);
        Ok(Finished { last: self.told.judged(), total: mark.spent })
    }

    fn stage(&mut self, transfer: &Transfer) -> Result<(), Fault> {
        let Transfer { artifact, length, .. } = *transfer;
        if self.backend.is_none() || self.limit(artifact) == 0 {
            return Err(Fault::Unsupported { artifact });
        }
        let limit = self.limit(artifact);
        let too_long = Fault::TooLong { artifact, limit, value: length };
        if length > limit {
            return Err(too_long);
        }
        let mut bytes = Vec::new();
        // What does not fit besides what is there must not bring the device down.
        bytes.try_reserve_exact(length as usize).map_err(|_| too_long)?;
        *self.staged.part(artifact) = Some(bytes);
        Ok(())
    }

    fn write(&mut self, artifact: Artifact, data: &[u8]) -> Result<(), Fault> {
        let bytes = self.staged.part(artifact).as_mut().ok_or(Fault::NoTransfer)?;
        bytes.extend_from_slice(data);
        Ok(())
    }

    fn discard(&mut self, artifact: Artifact) {
        *self.staged.part(artifact) = None;
    }

    fn install(&mut self) -> Result<Installed<'_>, NotInstalled<'_>> {
        let parts = core::mem::take(&mut self.staged);
        let refused = self.put_to_work(parts).err();
        match (&refused, self.loaded.as_deref()) {
            (None, Some(loaded)) => Ok(loaded.as_installed()),
            (None | Some(InstallError::NoModule), _) => Err(NotInstalled::Fault(Fault::NoFilter)),
            (Some(InstallError::NoBackend), _) => {
                Err(NotInstalled::Fault(Fault::Unsupported { artifact: Artifact::Module }))
            }
            (Some(error), _) => {
                self.told.culprit = error.culprit().name();
                self.told.refusal = in_words(error);
                let (culprit, message) = (self.told.culprit.into(), self.told.refusal.as_str().into());
                Err(NotInstalled::Refused(Refused { culprit, message }))
            }
        }
    }

    fn vitals(&mut self) -> Vitals {
        (self.profile.vitals)()
    }
}

impl Appliance {
    fn backend_name(&self) -> &str {
        let of_filter =
            || self.loaded.as_deref()?.chain.filters().first().map(|filter| filter.metadata().backend);
        self.backend.as_deref().map(Backend::name).or_else(of_filter).unwrap_or_default()
    }
}

fn place(slots: &mut [Option<Open>], slot: u8) -> Result<&mut Option<Open>, Fault> {
    let limit = u8::try_from(slots.len()).unwrap_or(u8::MAX);
    slots.get_mut(usize::from(slot)).ok_or(Fault::NoSlot { limit, value: slot })
}

/// Whether a piece of a body is the next one.
fn follow(seen: &mut u64, offset: u64, data: Octets<'_>) -> Result<(), Fault> {
    if offset != *seen {
        return Err(Fault::OutOfOrder { expected: *seen, actual: offset });
    }
    *seen = seen.saturating_add(data.len() as u64);
    Ok(())
}

impl Told {
    /// Takes from a report what has not been told of it.
    fn note(&mut self, report: &Report, mark: &mut Mark, cycles: Option<u64>) {
        self.findings.clear();
        mark.verdicts.resize(report.verdicts.len(), (0, 0, 0));
        for ((filter, verdict), mark) in report.verdicts.iter().zip(&mut mark.verdicts) {
            let (matches, tags) = (verdict.matches.encoded(), verdict.tags.encoded());
            let now = (matches.len(), tags.len(), verdict.score);
            if *mark != now {
                self.findings.push(Finding {
                    filter: (**filter).into(),
                    score: verdict.score,
                    matches: picket_abi::Seq::from_encoded(matches.get(mark.0..).unwrap_or_default()),
                    tags: picket_abi::Seq::from_encoded(tags.get(mark.1..).unwrap_or_default()),
                    truncated: verdict.truncated,
                });
                *mark = now;
            }
        }
        self.failures.clear();
        for failure in report.failures.iter().skip(mark.failures) {
            let (limit, value) = figures(&failure.error);
            let message = in_words(&failure.error);
            self.failures.push(Failure {
                filter: (*failure.filter).into(),
                phase: failure.phase.name().into(),
                kind: failure.error.kind().name().into(),
                culprit: failure.error.culprit().name().into(),
                limit,
                value,
                message: message.as_str().into(),
            });
        }
        mark.failures = report.failures.len();

        let all = &mut mark.spent;
        self.spent = Spent {
            fuel: report.fuel.0.saturating_sub(all.fuel),
            calls: report.calls.saturating_sub(all.calls),
            micros: report.time.0.saturating_sub(all.micros),
            cycles,
        };
        let cycles = match (all.cycles, cycles) {
            (Some(before), Some(now)) => Some(before.saturating_add(now)),
            (before, now) => before.or(now),
        };
        *all = Spent { fuel: report.fuel.0, calls: report.calls, micros: report.time.0, cycles };
        self.score = report.score();
        self.memory_peak = report.memory_peak as u64;
    }

    fn judged(&self) -> Judged<'_> {
        let (decision, answered_by) = self.decision.decided();
        Judged {
            decision,
            answered_by,
            score: self.score,
            findings: self.findings.as_seq(),
            failures: self.failures.as_seq(),
            spent: self.spent,
            memory_peak: self.memory_peak,
        }
    }
}

impl Held {
    fn decided(&self) -> (Decision<'_>, Option<AnsweredBy<'_>>) {
        match self {
            Held::Continue | Held::Head(HeadDecision::Continue) | Held::Body(BodyDecision::Continue) => {
                (Decision::Continue, None)
            }
            Held::Head(HeadDecision::Modify { headers, body }) => {
                let headers = headers.as_ref().map(SeqBuf::as_seq);
                (Decision::Modify { headers, body: body.as_deref().map(Octets) }, None)
            }
            Held::Body(BodyDecision::Replace(bytes)) => {
                (Decision::Modify { headers: None, body: Some(Octets(bytes)) }, None)
            }
            Held::Head(HeadDecision::Respond(reply)) | Held::Body(BodyDecision::Respond(reply)) => {
                answered(reply)
            }
        }
    }
}

fn answered(reply: &Reply) -> (Decision<'_>, Option<AnsweredBy<'_>>) {
    let Reply { status, headers, body, filter, cause } = reply;
    let (status, headers) = (*status, headers.as_seq());
    let location = headers.first(b"location");
    let (decision, cause) = match (cause, location) {
        (ReplyCause::Redirect, Some(location)) => (Decision::Redirect { status, location }, Cause::Redirect),
        (ReplyCause::Redirect, None) | (ReplyCause::Verdict, _) => {
            (Decision::Respond { status, headers, body: Octets(body) }, Cause::Verdict)
        }
        (ReplyCause::Failure(_), _) => {
            (Decision::Respond { status, headers, body: Octets(body) }, Cause::Failure)
        }
    };
    (decision, Some(AnsweredBy { filter: (**filter).into(), cause }))
}

/// The limit that an error is about, and what was wanted instead.
fn figures(error: &Error) -> (Option<u64>, Option<u64>) {
    let Error::Limit(limit) = error else { return (None, None) };
    match *limit {
        Limit::Fuel { limit } => (Some(limit.0), None),
        Limit::Deadline { limit } => (Some(limit.0), None),
        Limit::Memory { bytes, wanted } => (Some(bytes as u64), Some(wanted as u64)),
        Limit::Table { elements, wanted } => (Some(elements as u64), Some(wanted as u64)),
        Limit::HostCalls { calls } => (Some(calls.into()), None),
        Limit::HostCallBytes { bytes } => (Some(bytes as u64), None),
        Limit::Output { bytes, actual } => (Some(bytes as u64), Some(actual.into())),
        Limit::Instances { instances } => (Some(instances.into()), None),
        _ => (None, None),
    }
}

/// What an error says, on devices that have words. Generic, so that without words no formatting of it
/// is linked, not even as a part of a trait object.
fn in_words<E: core::fmt::Display>(error: &E) -> String {
    #[cfg(feature = "text")]
    {
        alloc::format!("{error}")
    }
    #[cfg(not(feature = "text"))]
    {
        let _ = error;
        String::new()
    }
}

impl core::fmt::Debug for Appliance {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Appliance").field("profile", &self.profile).finish_non_exhaustive()
    }
}
