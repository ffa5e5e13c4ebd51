//! One request and its response on their way through a chain.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;

use picket_abi::{
    Action, BodyChunk, FailureReport, Header, HeaderOp, Octets, Phase, RequestHead, ResponseHead, Seq,
    SeqBuf, TransactionLog,
};

use crate::error::{Consequence, Error, GuestFault};
use crate::field;
use crate::filter::Filter;
use crate::guest::{Guest, Message};
use crate::limits::{Fuel, Micros};
use crate::report::{BodyDecision, FailureRecord, FilterVerdict, HeadDecision, Reply, ReplyCause, Report};

/// One request and its response on their way through a chain.
///
/// Feed it the phases in the order of HTTP: `request_head`, `request_body` until its end,
/// `response_head`, `response_body` until its end, then [`finish`](Transaction::finish). Phases may be
/// left out. It owns what it needs, so that it can live in a task.
pub struct Transaction {
    filters: Arc<[Arc<Filter>]>,
    seats: Seats,
    request: Direction,
    response: Direction,
    report: Report,
}

/// What the transaction keeps for each filter.
#[derive(Default)]
struct Seat {
    guest: Option<Guest>,
    /// It failed and takes no further part.
    out: bool,
    /// Bytes of the bodies it has seen, request and response.
    seen: [u64; 2],
    /// Where in the report its verdict stands.
    verdict: Option<usize>,
}

/// A seat for each filter. With one filter nothing is allocated for a transaction: what guards a small
/// box has one, and its clean requests then cost no allocation at all.
enum Seats {
    One(Seat),
    Many(Vec<Seat>),
}

impl Seats {
    fn new(count: usize) -> Self {
        match count {
            1 => Seats::One(Seat::default()),
            count => Seats::Many((0..count).map(|_| Seat::default()).collect()),
        }
    }
}

impl core::ops::Deref for Seats {
    type Target = [Seat];

    fn deref(&self) -> &[Seat] {
        match self {
            Seats::One(seat) => core::slice::from_ref(seat),
            Seats::Many(seats) => seats,
        }
    }
}

impl core::ops::DerefMut for Seats {
    fn deref_mut(&mut self) -> &mut [Seat] {
        match self {
            Seats::One(seat) => core::slice::from_mut(seat),
            Seats::Many(seats) => seats,
        }
    }
}

/// State of one direction.
#[derive(Default)]
struct Direction {
    /// A filter has replaced the whole body: what arrives is thrown away.
    body_replaced: bool,
}

/// The way of a message through the chain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Response,
}

impl Way {
    fn head(self) -> Phase {
        match self {
            Way::Request => Phase::RequestHead,
            Way::Response => Phase::ResponseHead,
        }
    }

    fn body(self) -> Phase {
        match self {
            Way::Request => Phase::RequestBody,
            Way::Response => Phase::ResponseBody,
        }
    }

    /// The filter at that step of the way, of `count`.
    fn index(self, step: usize, count: usize) -> usize {
        match self {
            Way::Request => step,
            Way::Response => count - 1 - step,
        }
    }
}

/// What a filter did to a message.
enum Step<R> {
    Continue,
    Modify(R),
    Respond(Reply),
}

/// A change of a head.
struct HeadChange {
    headers: Option<SeqBuf<Header<'static>>>,
    body: Option<Vec<u8>>,
}

impl Transaction {
    pub(crate) fn new(filters: Arc<[Arc<Filter>]>) -> Self {
        Transaction {
            seats: Seats::new(filters.len()),
            filters,
            request: Direction::default(),
            response: Direction::default(),
            report: Report::default(),
        }
    }

    /// The head of the request.
    pub fn request_head(&mut self, head: &RequestHead<'_>) -> HeadDecision {
        self.head(Way::Request, Message::RequestHead(*head))
    }

    /// A piece of the request's body, of any length; `end` with the last one, which may be empty.
    pub fn request_body(&mut self, data: &[u8], end: bool) -> BodyDecision {
        self.body(Way::Request, data, end)
    }

    /// The head of the response.
    pub fn response_head(&mut self, head: &ResponseHead<'_>) -> HeadDecision {
        self.head(Way::Response, Message::ResponseHead(*head))
    }

    /// A piece of the response's body, of any length; `end` with the last one, which may be empty.
    pub fn response_body(&mut self, data: &[u8], end: bool) -> BodyDecision {
        self.body(Way::Response, data, end)
    }

    /// Tells the filters that the transaction failed outside of them. What they answer changes nothing.
    pub fn error(&mut self, failure: &FailureReport<'_>) {
        self.tell(Phase::Error, &Message::Error(*failure));
    }

    /// Ends the transaction: filters that log are told, instances go back to their pools.
    pub fn finish(mut self, log: &TransactionLog) -> Report {
        self.tell(Phase::Log, &Message::Log(*log));
        core::mem::take(&mut self.report)
    }

    /// What the transaction has come to so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    fn tell(&mut self, phase: Phase, message: &Message<'_>) {
        for index in 0..self.seats.len() {
            // Too late for any consequence: failures are recorded and counted, that is all.
            let _step = self.visit(index, phase, message, |_, _| Ok(()));
        }
    }

    fn head(&mut self, way: Way, head: Message<'_>) -> HeadDecision {
        let count = self.seats.len();
        let mut headers: Option<SeqBuf<Header<'static>>> = None;
        let mut body: Option<(usize, Vec<u8>)> = None;
        for step in 0..count {
            let fields = headers.as_ref().map_or(head.headers(), SeqBuf::as_seq);
            let end = body.as_ref().map_or(head.ends(), |(_, body)| body.is_empty());
            let message = head.with(fields, end);
            let change = self.visit(way.index(step, count), way.head(), &message, |operations, new_body| {
                let changed =
                    if operations.is_empty() { None } else { Some(field::apply(fields, operations)?) };
                let body = new_body.map(|body| body.to_vec());
                let headers = match (changed, &body) {
                    (Some(changed), Some(_)) => Some(field::without_length(changed.as_seq())),
                    (None, Some(_)) => Some(field::without_length(fields)),
                    (changed, None) => changed,
                };
                Ok(HeadChange { headers, body })
            });
            match change {
                Step::Continue => {}
                Step::Respond(reply) => return HeadDecision::Respond(reply),
                Step::Modify(change) => {
                    headers = change.headers.or(headers);
                    body = change.body.map(|body| (step + 1, body)).or(body);
                }
            }
        }
        // The filters behind the one that replaced the body inspect the new one.
        let body = match body {
            None => None,
            Some((next, new)) => {
                let decision = if new.is_empty() {
                    BodyDecision::Continue
                } else {
                    self.body_from(next, way, &new, true)
                };
                self.direction(way).body_replaced = true;
                match decision {
                    BodyDecision::Continue => Some(new),
                    BodyDecision::Replace(newer) => Some(newer),
                    BodyDecision::Respond(reply) => return HeadDecision::Respond(reply),
                }
            }
        };
        if headers.is_none() && body.is_none() {
            HeadDecision::Continue
        } else {
            HeadDecision::Modify { headers, body }
        }
    }

    fn body(&mut self, way: Way, data: &[u8], end: bool) -> BodyDecision {
        if self.direction(way).body_replaced {
            return BodyDecision::Replace(Vec::new());
        }
        self.body_from(0, way, data, end)
    }

    fn body_from(&mut self, first: usize, way: Way, data: &[u8], end: bool) -> BodyDecision {
        let count = self.seats.len();
        let mut current = Cow::Borrowed(data);
        for step in first..count {
            match self.body_at(way.index(step, count), way, &current, end) {
                Step::Continue => {}
                Step::Modify(replaced) => current = Cow::Owned(replaced),
                Step::Respond(reply) => return BodyDecision::Respond(reply),
            }
        }
        match current {
            Cow::Borrowed(_) => BodyDecision::Continue,
            Cow::Owned(replaced) => BodyDecision::Replace(replaced),
        }
    }

    /// Shows `data` to one filter, in pieces it can take.
    fn body_at(&mut self, index: usize, way: Way, data: &[u8], end: bool) -> Step<Vec<u8>> {
        let piece_len = self.filters[index].policy().limits.chunk_bytes.max(1);
        let mut replaced: Option<Vec<u8>> = None;
        let mut start = 0;
        // A last chunk without bytes still says that the body is over.
        while start < data.len() || (end && start == 0 && data.is_empty()) {
            let stop = data.len().min(start + piece_len);
            let piece = &data[start..stop];
            let last = end && stop == data.len();
            let seen = &mut self.seats[index].seen[way as usize];
            let chunk = BodyChunk { offset: *seen, end: last, data: Octets(piece) };
            *seen += piece.len() as u64;
            let phase = way.body();
            let change = self.visit(index, phase, &Message::Body(chunk), |operations, body| {
                if !operations.is_empty() {
                    return Err(GuestFault::LateHeaders { phase });
                }
                Ok(body.map(|body| body.to_vec()))
            });
            match change {
                Step::Respond(reply) => return Step::Respond(reply),
                Step::Modify(Some(body)) => {
                    replaced.get_or_insert_with(|| data[..start].to_vec()).extend_from_slice(&body);
                }
                Step::Continue | Step::Modify(None) => {
                    if let Some(replaced) = &mut replaced {
                        replaced.extend_from_slice(piece);
                    }
                }
            }
            if data.is_empty() {
                break;
            }
            start = stop;
        }
        replaced.map_or(Step::Continue, Step::Modify)
    }

    /// Calls one filter, if it has the phase and is still in, and accounts for the call. `modify` makes
    /// of a modification what the phase admits.
    fn visit<R>(
        &mut self,
        index: usize,
        phase: Phase,
        message: &Message<'_>,
        modify: impl FnOnce(Seq<'_, HeaderOp<'_>>, Option<Octets<'_>>) -> Result<R, GuestFault>,
    ) -> Step<R> {
        let filter = &self.filters[index];
        let seat = &mut self.seats[index];
        if seat.out || !filter.metadata().phases.contains(phase) {
            return Step::Continue;
        }
        // A filter that fails in `log` or `error` answers nobody.
        let answers = !matches!(phase, Phase::Log | Phase::Error);
        let guest = match &mut seat.guest {
            Some(guest) => guest,
            empty => match filter.acquire() {
                Ok(guest) => empty.insert(guest),
                Err(error) => {
                    return fail(filter, seat, &mut self.report, Phase::Configure, answers, error);
                }
            },
        };
        let limits = &filter.policy().limits;
        let answer = guest.call(phase, message, limits);
        let spent = guest.spent();
        filter.count().count_call(spent.fuel, spent.time, spent.memory_peak);
        let report = &mut self.report;
        report.calls += 1;
        report.fuel = Fuel(report.fuel.0 + spent.fuel.0);
        report.time = Micros(report.time.0 + spent.time.0);
        report.memory_peak = report.memory_peak.max(spent.memory_peak);

        let step = match answer.and_then(|answer| guest.outcome(answer, limits)) {
            Ok(None) => {
                filter.count().count_action(&Action::Continue);
                return Step::Continue;
            }
            Ok(Some(outcome)) => {
                filter.count().count_action(&outcome.action);
                let at = *seat.verdict.get_or_insert_with(|| {
                    report.verdicts.push((Arc::clone(filter.id()), FilterVerdict::default()));
                    report.verdicts.len() - 1
                });
                report.verdicts[at].1.absorb(&outcome.verdict);
                interpret(filter, outcome.action, modify).map_err(Error::from)
            }
            Err(error) => Err(error),
        };
        match step {
            Ok(Step::Respond(reply)) => {
                report.answered_by = Some((Arc::clone(&reply.filter), reply.cause));
                Step::Respond(reply)
            }
            Ok(step) => step,
            Err(error) => fail(filter, seat, report, phase, answers, error),
        }
    }

    fn direction(&mut self, way: Way) -> &mut Direction {
        match way {
            Way::Request => &mut self.request,
            Way::Response => &mut self.response,
        }
    }
}

/// What an action means here.
fn interpret<R>(
    filter: &Filter,
    action: Action<'_>,
    modify: impl FnOnce(Seq<'_, HeaderOp<'_>>, Option<Octets<'_>>) -> Result<R, GuestFault>,
) -> Result<Step<R>, GuestFault> {
    let reply = |status, headers, body, cause| Reply {
        status,
        headers,
        body,
        filter: Arc::clone(filter.id()),
        cause,
    };
    Ok(match action {
        Action::Continue => Step::Continue,
        Action::Modify { headers, body } => Step::Modify(modify(headers, body)?),
        Action::Respond { status, headers, body } => {
            let headers = field::checked_fields(headers)?;
            Step::Respond(reply(status, headers, body.to_vec(), ReplyCause::Verdict))
        }
        Action::Redirect { status, location } => {
            let headers = field::location_fields(&location)?;
            Step::Respond(reply(status, headers, Vec::new(), ReplyCause::Redirect))
        }
    })
}

/// Records a failure and draws its consequence. The instance is dropped: whatever state it is in, no
/// request will see it again.
#[cold]
fn fail<R>(
    filter: &Filter,
    seat: &mut Seat,
    report: &mut Report,
    phase: Phase,
    answers: bool,
    error: Error,
) -> Step<R> {
    seat.out = true;
    seat.guest = None;
    let kind = error.kind();
    let consequence = error.consequence(filter.policy().on_failure);
    filter.count().count_failure(kind);
    #[cfg(feature = "defmt")]
    crate::logging::failed(filter.id(), phase, &error);
    report.failures.push(FailureRecord { filter: Arc::clone(filter.id()), phase, error });
    match consequence {
        Consequence::GoOnWithout => Step::Continue,
        Consequence::Answer { status } => {
            let cause = ReplyCause::Failure(kind);
            if answers {
                report.answered_by = Some((Arc::clone(filter.id()), cause));
            }
            Step::Respond(Reply {
                status,
                headers: SeqBuf::new(),
                body: Vec::new(),
                filter: Arc::clone(filter.id()),
                cause,
            })
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // Also when a client has broken off: the next request begins the instance's state anew.
        for (filter, seat) in self.filters.iter().zip(self.seats.iter_mut()) {
            if let Some(guest) = seat.guest.take() {
                filter.release(guest);
            }
        }
    }
}

impl core::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Transaction").field("report", &self.report).finish_non_exhaustive()
    }
}
