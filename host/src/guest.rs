//! One instance and the round trip of a phase through it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use picket_abi::{
    BodyChunk, Configure, EncodeError, FailureReport, Header, Outcome, PackedSlice, Phase, RequestHead,
    ResponseHead, Seq, TransactionLog, encode, encoded_len,
};

use crate::backend::Instance;
use crate::error::{Error, GuestFault, Limit};
use crate::guest_slice::{GuestSlice, guest_slice_mut};
use crate::limits::{Fuel, Limits, Micros};

/// The least room that a guest is asked for: most heads fit.
const MIN_INPUT: u32 = 4 << 10;

/// The message of a phase.
#[derive(Clone, Copy)]
pub(crate) enum Message<'a> {
    Configure(Configure<'a>),
    RequestHead(RequestHead<'a>),
    ResponseHead(ResponseHead<'a>),
    Body(BodyChunk<'a>),
    Error(FailureReport<'a>),
    Log(TransactionLog),
}

impl<'a> Message<'a> {
    #[inline]
    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        match self {
            Message::Configure(message) => encode(message, buffer),
            Message::RequestHead(message) => encode(message, buffer),
            Message::ResponseHead(message) => encode(message, buffer),
            Message::Body(message) => encode(message, buffer),
            Message::Error(message) => encode(message, buffer),
            Message::Log(message) => encode(message, buffer),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Message::Configure(message) => encoded_len(message),
            Message::RequestHead(message) => encoded_len(message),
            Message::ResponseHead(message) => encoded_len(message),
            Message::Body(message) => encoded_len(message),
            Message::Error(message) => encoded_len(message),
            Message::Log(message) => encoded_len(message),
        }
    }

    /// The header fields of a head; none of any other message.
    pub(crate) fn headers(&self) -> Seq<'a, Header<'a>> {
        match self {
            Message::RequestHead(head) => head.headers,
            Message::ResponseHead(head) => head.headers,
            _ => Seq::EMPTY,
        }
    }

    /// Whether a head has no body behind it.
    pub(crate) fn ends(&self) -> bool {
        match self {
            Message::RequestHead(head) => head.end,
            Message::ResponseHead(head) => head.end,
            _ => true,
        }
    }

    /// The same head with other fields.
    pub(crate) fn with(self, headers: Seq<'a, Header<'a>>, end: bool) -> Self {
        match self {
            Message::RequestHead(head) => Message::RequestHead(RequestHead { headers, end, ..head }),
            Message::ResponseHead(head) => Message::ResponseHead(ResponseHead { headers, end, ..head }),
            other => other,
        }
    }
}

/// One of the instances that a filter may have at the same time.
pub(crate) struct Lease(Arc<AtomicU32>);

impl Lease {
    /// `None` if `limit` are taken.
    pub(crate) fn take(live: &Arc<AtomicU32>, limit: u32) -> Option<Self> {
        let more = |count: u32| (count < limit).then_some(count + 1);
        live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Lease(Arc::clone(live)))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A live instance, with what the host remembers of its input buffer.
pub(crate) struct Guest {
    // Dropped before the lease, so that a lease that is free means memory that is.
    instance: Box<dyn Instance>,
    input: PackedSlice,
    _lease: Lease,
}

/// What a call took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) fuel: Fuel,
    pub(crate) time: Micros,
    pub(crate) memory_peak: usize,
}

impl Guest {
    pub(crate) fn new(instance: Box<dyn Instance>, lease: Lease) -> Self {
        Guest { instance, input: PackedSlice::NOTHING, _lease: lease }
    }

    pub(crate) fn instance_mut(&mut self) -> &mut dyn Instance {
        &mut *self.instance
    }

    pub(crate) fn is_outdated(&self) -> bool {
        self.instance.is_outdated()
    }

    /// Writes the message to the guest and calls the phase. What comes back is not looked at yet.
    #[inline]
    pub(crate) fn call(
        &mut self,
        phase: Phase,
        message: &Message<'_>,
        limits: &Limits,
    ) -> Result<PackedSlice, Error> {
        let budget = if phase == Phase::Configure { &limits.setup } else { &limits.call };
        self.instance.arm(budget);
        let len = match self.write(message)? {
            Some(len) => len,
            None => {
                self.grow_input(message.encoded_len())?;
                self.write(message)?.ok_or_else(|| Error::engine("a message changed its length"))?
            }
        };
        self.instance.call(phase, len as u32).map(PackedSlice::unpack)
    }

    /// `None` if the message is longer than the buffer.
    #[inline]
    fn write(&mut self, message: &Message<'_>) -> Result<Option<usize>, Error> {
        let slice = self.input;
        let buffer = guest_slice_mut(self.instance.memory_mut(), slice)
            .map_err(|bounds| GuestFault::InputOutOfBounds { slice, memory: bounds.memory })?;
        Ok(message.encode(buffer).ok())
    }

    #[cold]
    fn grow_input(&mut self, len: usize) -> Result<(), Error> {
        let refused = GuestFault::InputRefused { len: u32::try_from(len).unwrap_or(u32::MAX) };
        let Ok(len) = u32::try_from(len) else { return Err(refused.into()) };
        // Room to spare is asked for first, so that longer messages need no call of their own.
        let ample = len.checked_next_power_of_two().unwrap_or(len).max(MIN_INPUT);
        for len in [ample, len] {
            let ptr = self.instance.input(len)?;
            if ptr == 0 {
                continue;
            }
            let slice = PackedSlice { ptr, len };
            let memory = self.instance.memory();
            GuestSlice::new_checked(memory, slice)
                .map_err(|bounds| GuestFault::InputOutOfBounds { slice, memory: bounds.memory })?;
            self.input = slice;
            return Ok(());
        }
        Err(refused.into())
    }

    /// The outcome that a call left behind, proved; `None` is "continue, nothing to say".
    #[inline]
    pub(crate) fn outcome(&self, answer: PackedSlice, limits: &Limits) -> Result<Option<Outcome<'_>>, Error> {
        if answer == PackedSlice::NOTHING {
            return Ok(None);
        }
        if answer.len as usize > limits.output_bytes {
            return Err(Limit::Output { bytes: limits.output_bytes, actual: answer.len }.into());
        }
        let slice = GuestSlice::new_checked(self.instance.memory(), answer)
            .map_err(|bounds| GuestFault::OutcomeOutOfBounds { slice: answer, memory: bounds.memory })?;
        let outcome = Outcome::decode(slice.bytes()).map_err(GuestFault::OutcomeMalformed)?;
        Ok(Some(outcome))
    }

    /// What the call that has just ended took.
    #[inline]
    pub(crate) fn spent(&self) -> Spent {
        let context = self.instance.context();
        Spent {
            fuel: self.instance.fuel_used(),
            time: context.elapsed(),
            memory_peak: context.growth().memory_peak(),
        }
    }
}
