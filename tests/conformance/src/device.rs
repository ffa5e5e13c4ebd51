//! A device that judges.

use anyhow::{bail, ensure};
use picket_abi::{BodyChunk, Octets, TransactionLog};
use picket_link::{Client, Decision, Judged, PhaseMessage};

use crate::cases::Request;
use crate::judge::{Answer, Judgement, RuleMatch, header_buf, pieces, request_head};

/// Shows a device a request, up to its answer or to the request's end, and tells the fuel that took.
///
/// # Errors
/// If the line breaks, or the filter fails.
pub fn judge_on_device(
    client: &mut Client,
    request: &Request,
    piece: usize,
) -> anyhow::Result<(Judgement, u64)> {
    let mut judgement = Judgement::default();
    let headers = header_buf(&request.headers);
    let head = PhaseMessage::RequestHead(request_head(request, &headers));
    take(&mut judgement, &client.judge(0, head)?)?;
    let mut offset = 0;
    for (data, end) in pieces(&request.body, piece) {
        if judgement.answer.is_some() {
            break;
        }
        let chunk = BodyChunk { offset, end, data: Octets(data) };
        take(&mut judgement, &client.judge(0, PhaseMessage::RequestBody(chunk))?)?;
        offset += data.len() as u64;
    }
    let finished = client.finish(0, TransactionLog::default())?;
    take(&mut judgement, &finished.last)?;
    Ok((judgement, finished.total.fuel))
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
