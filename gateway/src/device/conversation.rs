//! A transaction with a device, in the shape of an instance.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use picket_abi::{
    AbiVersion, ActionBuf, BodyChunk, Header, HeaderOp, Octets, OutcomeBuf, PackedSlice, Phase, RequestHead,
    ResponseHead, Seq, SeqBuf, VerdictBuf,
};
use picket_host::{
    Budget, CallContext, Culprit, Error, FailureKind, Fuel, HostFault, Instance, Micros, RemoteFault,
    is_reserved,
};
use picket_link::{Client, ClientError, Decision, Failure, Judged};

use super::post::{Patience, Post, Seat, Unanswered};

/// Where messages are written to: an address that is not 0, which would be a refusal.
const INPUT: usize = 16;

/// A transaction on a device: what an instance of a module is elsewhere.
///
/// Its memory holds the message of a phase, and behind that the outcome that was made of the answer.
pub(super) struct Conversation {
    post: Arc<Post>,
    context: CallContext,
    seat: Option<Seat>,
    /// The device has nothing to say to what would follow.
    over: bool,
    memory: Vec<u8>,
    /// Bytes of memory that messages may take.
    room: usize,
    fuel: Fuel,
    patience: Patience,
}

impl Conversation {
    pub(super) fn new(post: Arc<Post>, context: CallContext) -> Self {
        let patience = Patience { deadline: Instant::now(), limit: Micros(0) };
        let memory = vec![0; INPUT];
        Conversation { post, context, seat: None, over: false, memory, room: 0, fuel: Fuel(0), patience }
    }

    fn judge(&mut self, phase: Phase, message: &[u8]) -> Result<OutcomeBuf, Error> {
        if self.over {
            return Err(HostFault::Device { message: "the transaction is over".into() }.into());
        }
        let mut found = Found::default();
        let asked = match (phase, self.seat) {
            (Phase::RequestHead, None) => self.begin(message, &mut found),
            (_, Some(seat)) => match phase {
                Phase::RequestBody | Phase::ResponseBody => self.body(seat, phase, message, &mut found),
                _ => self.whole(seat, phase, message, &mut found),
            },
            (_, None) => {
                let message = "the device was not shown the head of the request".into();
                return Err(HostFault::Device { message }.into());
            }
        };
        self.fuel = found.fuel;
        self.context.growth_mut().allow_memory(found.memory_peak);
        asked?;
        if let Some(failure) = found.failure {
            return Err(failure.into());
        }
        self.leave_early(phase, message);
        Ok(found.outcome)
    }

    /// The first message: if the session broke off before it, another one is as good.
    fn begin(&mut self, message: &[u8], found: &mut Found) -> Result<(), Error> {
        let seat = self.post.take_seat(self.patience)?;
        self.seat = Some(seat);
        match self.ask(seat, Phase::RequestHead, message, message, found) {
            Ok(()) => Ok(()),
            Err(Unanswered::Failed(error)) => Err(error),
            Err(Unanswered::SessionOver(_)) => {
                let seat = self.post.take_seat(self.patience)?;
                self.seat = Some(seat);
                *found = Found::default();
                Ok(self.ask(seat, Phase::RequestHead, message, message, found)?)
            }
        }
    }

    fn whole(&self, seat: Seat, phase: Phase, message: &[u8], found: &mut Found) -> Result<(), Error> {
        Ok(self.ask(seat, phase, message, message, found)?)
    }

    /// A piece of a body, in smaller pieces if the device takes no larger ones.
    fn body(&self, seat: Seat, phase: Phase, message: &[u8], found: &mut Found) -> Result<(), Error> {
        let room = self.post.info().map_or(usize::MAX, |info| info.max_message.saturating_sub(24).max(1));
        let chunk = BodyChunk::decode(message).map_err(Error::engine)?;
        if chunk.data.len() <= room {
            return self.whole(seat, phase, message, found);
        }
        let mut replaced: Option<Vec<u8>> = None;
        let mut start = 0;
        for data in chunk.data.chunks(room) {
            let end = chunk.end && start + data.len() == chunk.data.len();
            let piece = BodyChunk { offset: chunk.offset + start as u64, end, data: Octets(data) };
            let mut encoded = vec![0; picket_abi::encoded_len(&piece)];
            picket_abi::encode(&piece, &mut encoded).map_err(Error::engine)?;
            self.ask(seat, phase, &encoded, message, found)?;
            if found.failure.is_some() {
                return Ok(());
            }
            match std::mem::take(&mut found.outcome.action) {
                ActionBuf::Modify { body: Some(body), .. } => {
                    let before = &chunk.data[..start];
                    replaced.get_or_insert_with(|| before.to_vec()).extend_from_slice(&body);
                }
                ActionBuf::Continue | ActionBuf::Modify { body: None, .. } => {
                    if let Some(replaced) = &mut replaced {
                        replaced.extend_from_slice(data);
                    }
                }
                answer @ (ActionBuf::Respond { .. } | ActionBuf::Redirect { .. }) => {
                    found.outcome.action = answer;
                    return Ok(());
                }
            }
            start += data.len();
        }
        if let Some(body) = replaced {
            found.outcome.action = ActionBuf::Modify { headers: SeqBuf::new(), body: Some(body) };
        }
        Ok(())
    }

    fn ask(
        &self,
        seat: Seat,
        phase: Phase,
        message: &[u8],
        head: &[u8],
        found: &mut Found,
    ) -> Result<(), Unanswered> {
        let question = |client: &mut Client| match client.judge_encoded(seat.slot, phase, message) {
            Ok(judged) => {
                found.take(&judged, phase, head);
                Ok(())
            }
            // The device is well, and the session goes on.
            Err(error) => match too_much(&error) {
                Some(fault) => {
                    found.failure = Some(fault);
                    Ok(())
                }
                None => Err(error),
            },
        };
        self.post.ask(seat, self.patience, question)
    }

    /// Gives the slot back as soon as the device's filter has no phase that could follow: a device has
    /// few, and a response takes its time.
    fn leave_early(&mut self, phase: Phase, message: &[u8]) {
        let ends = match phase {
            Phase::RequestHead => RequestHead::decode(message).is_ok_and(|head| head.end),
            Phase::RequestBody => BodyChunk::decode(message).is_ok_and(|chunk| chunk.end),
            _ => false,
        };
        let Some(phases) = self.phases() else { return };
        let more = [Phase::ResponseHead, Phase::ResponseBody, Phase::Error, Phase::Log];
        if ends && !more.into_iter().any(|phase| phases.contains(phase)) {
            self.over = true;
            self.leave();
        }
    }

    /// Phases of the device's filter, as it is now.
    fn phases(&self) -> Option<picket_abi::PhaseSet> {
        self.post.info()?.filter.as_ref().map(|filter| filter.phases)
    }

    fn leave(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.post.leave_seat(seat);
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Instance for Conversation {
    fn arm(&mut self, budget: &Budget) {
        self.context.arm(budget);
        self.fuel = Fuel(0);
        let deadline = Instant::now() + Duration::from_micros(budget.deadline.0);
        self.patience = Patience { deadline, limit: budget.deadline };
    }

    fn abi_version(&mut self) -> Result<u32, Error> {
        Ok(AbiVersion::CURRENT.pack())
    }

    fn input(&mut self, len: u32) -> Result<u32, Error> {
        self.room = len as usize;
        self.memory.resize(INPUT + self.room, 0);
        Ok(INPUT as u32)
    }

    fn call(&mut self, phase: Phase, len: u32) -> Result<u64, Error> {
        let wanted = phase == Phase::RequestHead || self.phases().is_none_or(|phases| phases.contains(phase));
        if !wanted {
            return Ok(PackedSlice::NOTHING.pack());
        }
        let memory = std::mem::take(&mut self.memory);
        let message = memory.get(INPUT..INPUT + len as usize).unwrap_or_default();
        let outcome = self.judge(phase, message);
        self.memory = memory;
        let outcome = outcome?;
        if outcome.is_silent() {
            return Ok(PackedSlice::NOTHING.pack());
        }
        let mut encoded = Vec::new();
        outcome.encode_into(&mut encoded);
        let ptr = INPUT + self.room;
        self.memory.truncate(ptr);
        self.memory.extend_from_slice(&encoded);
        let bounds = |value: usize| u32::try_from(value).map_err(Error::engine);
        Ok(PackedSlice { ptr: bounds(ptr)?, len: bounds(encoded.len())? }.pack())
    }

    fn fuel_used(&self) -> Fuel {
        self.fuel
    }

    fn memory(&self) -> &[u8] {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    fn context(&self) -> &CallContext {
        &self.context
    }

    fn context_mut(&mut self) -> &mut CallContext {
        &mut self.context
    }
}

/// What a device has found, as a guest would say it.
#[derive(Default)]
struct Found {
    outcome: OutcomeBuf,
    fuel: Fuel,
    memory_peak: usize,
    failure: Option<RemoteFault>,
}

impl Found {
    /// Takes an answer in. `message` is the phase's.
    fn take(&mut self, judged: &Judged<'_>, phase: Phase, message: &[u8]) {
        self.fuel = Fuel(self.fuel.0.saturating_add(judged.spent.fuel));
        self.memory_peak = usize::try_from(judged.memory_peak).unwrap_or(usize::MAX);
        // Whatever the device makes of a failure of its filter: here the gateway's policy decides.
        if let Some(failure) = judged.failures.iter().next() {
            self.failure = Some(remote_fault(&failure));
            return;
        }
        let VerdictBuf { score, matches, tags } = &mut self.outcome.verdict;
        *score = judged.score;
        for finding in judged.findings.iter() {
            matches.extend_from_seq(finding.matches);
            tags.extend_from_seq(finding.tags);
        }
        self.outcome.action = match judged.decision {
            Decision::Continue => ActionBuf::Continue,
            Decision::Modify { headers, body } => ActionBuf::Modify {
                headers: headers.map(|new| operations(fields(phase, message), new)).unwrap_or_default(),
                body: body.map(|body| body.to_vec()),
            },
            Decision::Respond { status, headers, body } => {
                let mut copy = SeqBuf::new();
                copy.extend_from_seq(headers);
                ActionBuf::Respond { status, headers: copy, body: body.to_vec() }
            }
            Decision::Redirect { status, location } => {
                ActionBuf::Redirect { status, location: location.to_vec() }
            }
        };
    }
}

/// The header fields of a head.
fn fields(phase: Phase, message: &[u8]) -> Seq<'_, Header<'_>> {
    match phase {
        Phase::RequestHead => RequestHead::decode(message).map(|head| head.headers),
        Phase::ResponseHead => ResponseHead::decode(message).map(|head| head.headers),
        _ => Ok(Seq::EMPTY),
    }
    .unwrap_or_default()
}

/// What makes `new` of `old`: for each name whose values differ, all of them. The order between fields
/// of different names means nothing in HTTP. Fields that frame a message stay the host's.
fn operations(old: Seq<'_, Header<'_>>, new: Seq<'_, Header<'_>>) -> SeqBuf<HeaderOp<'static>> {
    let (old, new) = (ByName::of(old), ByName::of(new));
    let mut operations = SeqBuf::new();
    for name in old.names.iter().filter(|name| new.fields(name).is_empty()) {
        operations.push(HeaderOp::Remove(Octets(name)));
    }
    for name in &new.names {
        let (before, after) = (old.fields(name), new.fields(name));
        if before.iter().map(|field| field.value).eq(after.iter().map(|field| field.value)) {
            continue;
        }
        for (n, &field) in after.iter().enumerate() {
            operations.push(if n == 0 { HeaderOp::Set(field) } else { HeaderOp::Append(field) });
        }
    }
    operations
}

/// Header fields by their names in lower case, which are listed as they first came. Without those that
/// no filter may write.
struct ByName<'a> {
    names: Vec<Vec<u8>>,
    fields: HashMap<Vec<u8>, Vec<Header<'a>>>,
}

impl<'a> ByName<'a> {
    fn of(list: Seq<'a, Header<'a>>) -> Self {
        let mut by_name = ByName { names: Vec::new(), fields: HashMap::new() };
        for field in list.iter().filter(|field| !is_reserved(&field.name)) {
            let name = field.name.to_ascii_lowercase();
            if !by_name.fields.contains_key(&name) {
                by_name.names.push(name.clone());
            }
            by_name.fields.entry(name).or_default().push(field);
        }
        by_name
    }

    fn fields(&self, name: &[u8]) -> &[Header<'a>] {
        self.fields.get(name).map_or(&[], Vec::as_slice)
    }
}

/// A failure on the device, in the host's terms.
fn remote_fault(failure: &Failure<'_>) -> RemoteFault {
    let kind = FailureKind::ALL.into_iter().find(|kind| failure.kind == kind.name());
    let culprit = [Culprit::Guest, Culprit::Limit, Culprit::Configuration, Culprit::Host];
    let culprit = culprit.into_iter().find(|culprit| failure.culprit == culprit.name());
    let message = match (failure.message.is_empty(), failure.limit) {
        (false, _) => String::from_utf8_lossy(failure.message.bytes()).into_owned(),
        (true, None) => failure.kind.to_string(),
        (true, Some(limit)) => format!("{}, limit {limit}", failure.kind),
    };
    RemoteFault {
        culprit: culprit.unwrap_or(Culprit::Host),
        kind: kind.unwrap_or(FailureKind::Host),
        message: message.into(),
    }
}

/// A message or an answer that one side has no room for: no fault of the line.
fn too_much(error: &ClientError) -> Option<RemoteFault> {
    let kind = match error {
        ClientError::MessageTooLong { .. } => FailureKind::Input,
        ClientError::Fault(picket_link::Fault::AnswerTooLong { .. }) => FailureKind::Output,
        _ => return None,
    };
    Some(RemoteFault { culprit: Culprit::Limit, kind, message: error.to_string().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(fields: &[(&str, &str)]) -> SeqBuf<Header<'static>> {
        let mut list = SeqBuf::new();
        list.extend(fields.iter().map(|&(name, value)| Header { name: name.into(), value: value.into() }));
        list
    }

    #[test]
    fn a_new_list_of_fields_becomes_operations_on_the_old_one() {
        let old = list(&[
            ("Host", "a"),
            ("Cookie", "1"),
            ("cookie", "2"),
            ("X-Gone", "g"),
            ("Content-Length", "3"),
        ]);
        let new = list(&[("host", "a"), ("X-New", "n"), ("Cookie", "1"), ("x-new", "m"), ("Cookie", "3")]);
        let operations = operations(old.as_seq(), new.as_seq());
        let field =
            |name: &'static str, value: &'static str| Header { name: name.into(), value: value.into() };
        let expected = [
            HeaderOp::Remove("x-gone".into()),
            HeaderOp::Set(field("X-New", "n")),
            HeaderOp::Append(field("x-new", "m")),
            HeaderOp::Set(field("Cookie", "1")),
            HeaderOp::Append(field("Cookie", "3")),
        ];
        assert!(operations.iter().eq(expected), "{operations:?}");
    }

    #[test]
    fn a_device_without_words_is_still_understood() {
        let failure =
            Failure { kind: "fuel".into(), culprit: "limit".into(), limit: Some(1000), ..Failure::default() };
        let fault = remote_fault(&failure);
        assert_eq!((fault.culprit, fault.kind), (Culprit::Limit, FailureKind::Fuel));
        assert_eq!(&*fault.message, "fuel, limit 1000");
        let odd = Failure { kind: "rust".into(), culprit: "gremlins".into(), ..Failure::default() };
        assert_eq!(remote_fault(&odd).culprit, Culprit::Host);
    }
}
