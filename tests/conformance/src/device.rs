//! A device that judges.

use anyhow::{Context as _, bail, ensure};
use picket_abi::{BodyChunk, Octets, TransactionLog};
use picket_link::{Address, Client, Decision, Judged, Options, PhaseMessage};

use crate::cases::Request;
use crate::judge::{Answer, Judgement, RuleMatch, header_buf, pieces, request_head};

/// A device at the other end of a line.
pub struct Remote {
    client: Client,
}

impl Remote {
    /// Opens the line.
    ///
    /// # Errors
    /// If there is no device, or none that speaks this version.
    pub fn connect(address: Address) -> anyhow::Result<Remote> {
        let client = Client::connect(address.clone(), Options::default());
        Ok(Remote { client: client.with_context(|| address.to_string())? })
    }

    /// Bytes that a piece of a body may have.
    pub fn max_piece(&self) -> usize {
        self.client.max_chunk()
    }

    /// Shows it a request, up to its answer or to the request's end, and tells the fuel that took.
    ///
    /// # Errors
    /// If the line breaks, or the filter fails.
    pub fn judge_in_pieces(&mut self, request: &Request, piece: usize) -> anyhow::Result<(Judgement, u64)> {
        let mut judgement = Judgement::default();
        let headers = header_buf(&request.headers);
        let head = PhaseMessage::RequestHead(request_head(request, &headers));
        take(&mut judgement, &self.client.judge(0, head)?)?;
        let mut offset = 0;
        for (data, end) in pieces(&request.body, piece) {
            if judgement.answer.is_some() {
                break;
            }
            let chunk = BodyChunk { offset, end, data: Octets(data) };
            take(&mut judgement, &self.client.judge(0, PhaseMessage::RequestBody(chunk))?)?;
            offset += data.len() as u64;
        }
        let finished = self.client.finish(0, TransactionLog::default())?;
        take(&mut judgement, &finished.last)?;
        Ok((judgement, finished.total.fuel))
    }
}

/// Adds an answer to what is known.
fn take(judgement: &mut Judgement, judged: &Judged<'_>) -> anyhow::Result<()> {
    if let Some(failure) = judged.failures.iter().next() {
        bail!("{} failed in phase {}: {} {}", failure.filter, failure.phase, failure.kind, failure.message);
    }
    judgement.score = judged.score;
    for finding in judged.findings.iter() {
        ensure!(!finding.truncated, "matches were left out");
        judgement.matches.extend(finding.matches.iter().map(RuleMatch::from));
    }
    match judged.decision {
        Decision::Continue => {}
        Decision::Respond { status, headers, body } => {
            let headers =
                headers.iter().map(|field| (field.name.to_string(), field.value.to_string())).collect();
            judgement.answer = Some(Answer { status, headers, body: body.bytes().to_vec() });
        }
        Decision::Modify { .. } | Decision::Redirect { .. } => {
            bail!("the WAF neither modifies nor redirects")
        }
    }
    Ok(())
}
