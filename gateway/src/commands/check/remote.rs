//! Judging on a device: the same exchange, phase by phase, at the other end of a line.

use std::time::{Duration, Instant};

use picket_abi::{BodyChunk, RequestHead, ResponseHead};
use picket_link::{
    Address, Cause, Client, ClientError, Decision, DeviceInfo, Failure, Judged, Options, PhaseMessage,
};

use super::Parts;
use super::exchange::Prepared;
use super::judge::{Extent, Failed, Finding, Judge, Judgement, Phases, Said, end_of, play};

/// A device as a judge. Requests are judged one after the other, in its first slot.
pub(super) struct Remote {
    client: Client,
    piece: usize,
}

/// The slot of the one transaction at a time.
const SLOT: u8 = 0;

impl Remote {
    /// Connects, and sees to it that the device has these parts. If a module is named, it is the whole
    /// filter: rules and settings that are not named are taken away.
    ///
    /// # Errors
    /// If there is no device, or it does not take them.
    pub(super) fn new(
        address: Address,
        timeout: Duration,
        parts: Parts,
        piece: usize,
    ) -> anyhow::Result<Remote> {
        let Parts { module, ruleset, settings } = parts;
        let options = Options { timeout, ..Options::default() };
        let mut client = Client::connect(address, options)?;
        let none = || module.is_some().then(Vec::new);
        let ruleset = ruleset.or_else(none);
        let settings = settings.map(|settings| settings.encoded().to_vec()).or_else(none);
        client.provide(module.as_deref(), ruleset.as_deref(), settings.as_deref())?;
        let piece = piece.min(client.max_chunk());
        Ok(Remote { client, piece })
    }

    /// What the device is.
    pub(super) fn info(&self) -> &DeviceInfo {
        self.client.info()
    }

    fn play(&mut self, exchange: &Prepared) -> Result<Judgement, NoJudgement> {
        let start = Instant::now();
        let mut phases = OnDevice { client: &mut self.client, findings: Vec::new() };
        let answered = play(&mut phases, exchange, Extent::WholeRequest, self.piece)?;
        let OnDevice { client, mut findings } = phases;
        let finished = client.finish(SLOT, end_of(answered))?;
        note(&finished.last, &mut findings)?;
        Ok(Judgement {
            answered,
            score: finished.last.score,
            findings,
            fuel: finished.total.fuel,
            time: start.elapsed(),
        })
    }
}

impl Judge for Remote {
    fn judge(&mut self, exchange: &Prepared) -> Result<Judgement, Failed> {
        let first = self.play(exchange);
        let judged = match first {
            // The device has forgotten, or never had, what the line broke off in: all of it once more.
            Err(NoJudgement::Line(error)) if error.ends_session() => {
                self.client.reconnect().map_err(NoJudgement::Line).and_then(|()| self.play(exchange))
            }
            Err(NoJudgement::Line(ClientError::AnswerLost)) => self.play(exchange),
            judged => judged,
        };
        judged.map_err(|none| match none {
            NoJudgement::Line(error) => Failed(error.to_string()),
            NoJudgement::Filter(failed) => failed,
        })
    }
}

/// Why there is no judgement.
enum NoJudgement {
    /// The device did not answer.
    Line(ClientError),
    /// It did: its filter failed.
    Filter(Failed),
}

impl From<ClientError> for NoJudgement {
    fn from(error: ClientError) -> Self {
        NoJudgement::Line(error)
    }
}

/// A transaction on a device.
struct OnDevice<'c> {
    client: &'c mut Client,
    findings: Vec<Finding>,
}

impl OnDevice<'_> {
    fn ask(&mut self, message: PhaseMessage<'_>) -> Result<Said, NoJudgement> {
        let judged = self.client.judge(SLOT, message)?;
        note(&judged, &mut self.findings)?;
        Ok(said(&judged))
    }
}

impl Phases for OnDevice<'_> {
    type Error = NoJudgement;

    fn request_head(&mut self, head: &RequestHead<'_>) -> Result<Said, NoJudgement> {
        self.ask(PhaseMessage::RequestHead(*head))
    }

    fn request_body(&mut self, piece: BodyChunk<'_>) -> Result<Said, NoJudgement> {
        self.ask(PhaseMessage::RequestBody(piece))
    }

    fn response_head(&mut self, head: &ResponseHead<'_>) -> Result<Said, NoJudgement> {
        self.ask(PhaseMessage::ResponseHead(*head))
    }

    fn response_body(&mut self, piece: BodyChunk<'_>) -> Result<Said, NoJudgement> {
        self.ask(PhaseMessage::ResponseBody(piece))
    }
}

/// Keeps what was found. That a filter failed ends the judgement, whatever the device makes of it.
fn note(judged: &Judged<'_>, findings: &mut Vec<Finding>) -> Result<(), NoJudgement> {
    if let Some(failure) = judged.failures.iter().next() {
        return Err(NoJudgement::Filter(Failed(described(&failure))));
    }
    findings.extend(judged.findings.iter().flat_map(|finding| finding.matches.iter().map(Finding::from)));
    Ok(())
}

/// A failure in words: the device's, if it has some.
fn described(failure: &Failure<'_>) -> String {
    let Failure { phase, kind, culprit, limit, value, message, .. } = failure;
    let mut text = match message.is_empty() {
        false => String::from_utf8_lossy(message.bytes()).into_owned(),
        true => format!("the filter failed: {kind} (at fault: {culprit})"),
    };
    if message.is_empty() {
        if let Some(limit) = limit {
            text.push_str(&format!(", limit {limit}"));
        }
        if let Some(value) = value {
            text.push_str(&format!(", wanted {value}"));
        }
    }
    format!("{text} in phase {phase}")
}

fn said(judged: &Judged<'_>) -> Said {
    let verdict = judged.answered_by.is_none_or(|answered| answered.cause == Cause::Verdict);
    match judged.decision {
        Decision::Continue | Decision::Modify { body: None, .. } => Said::GoOn,
        Decision::Modify { body: Some(_), .. } => Said::BodyReplaced,
        Decision::Respond { status, .. } | Decision::Redirect { status, .. } => {
            Said::Answered { status, verdict }
        }
    }
}
