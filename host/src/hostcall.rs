//! The host functions, once for all backends: a backend hands over the arguments, the guest's memory
//! and the context, and passes on the result.

use alloc::vec;
use alloc::vec::Vec;

use picket_abi::{
    FetchRequest, FetchResponse, HostFn, HostStatus, LogLevel, Octets, PackedSlice, encode, encoded_len,
};

use crate::context::CallContext;
use crate::error::{Error, GuestFault, HostFault};
use crate::guest_slice::{GuestSlice, OutOfBounds, guest_slice_mut};

/// The type of a parameter or result of a host function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// `i32`
    I32,
    /// `i64`
    I64,
}

/// The type of a host function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Parameters.
    pub params: &'static [ValueType],
    /// Result, if there is one.
    pub result: Option<ValueType>,
}

/// The type of `function`, for a backend's linker and for the check of a module's imports.
pub const fn signature(function: HostFn) -> Signature {
    use ValueType::{I32, I64};
    let (params, result): (&'static [ValueType], _) = match function {
        HostFn::Panic => (&[I32, I32], None),
        HostFn::Log => (&[I32, I32, I32], None),
        HostFn::Emit => (&[I32, I32, I64], None),
        HostFn::KvGet => (&[I32, I32, I32, I32], Some(I64)),
        HostFn::KvSet => (&[I32, I32, I32, I32, I64], Some(I64)),
        HostFn::HttpFetch => (&[I32, I32, I32, I32], Some(I64)),
        HostFn::Now => (&[], Some(I64)),
        HostFn::Random => (&[I32, I32], None),
    };
    Signature { params, result }
}

/// A host function refuses to let the guest go on. The reason is in the context; the engine only has
/// to stop and to answer [`Stop::HostFunction`](crate::Stop::HostFunction).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halt;

impl core::fmt::Display for Halt {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a host function stopped the guest")
    }
}

impl core::error::Error for Halt {}

/// Runs `function` for a guest. `arguments` are the values of its [`signature`], each 32-bit value
/// zero-extended; the result is 0 for a function without one.
///
/// # Errors
/// [`Halt`]: the guest must be stopped.
pub fn host_call(
    function: HostFn,
    arguments: &[u64],
    memory: &mut [u8],
    context: &mut CallContext,
) -> Result<i64, Halt> {
    dispatch(function, arguments, memory, context).map_err(|error| {
        context.note_failure(error);
        Halt
    })
}

fn dispatch(
    function: HostFn,
    arguments: &[u64],
    memory: &mut [u8],
    context: &mut CallContext,
) -> Result<i64, Error> {
    context.charge_host_call()?;
    let call = Call { function, arguments };
    match function {
        HostFn::Panic => {
            // Not charged by length: the text is cut, and a filter that is over its quota should
            // still be able to say why it dies.
            let text = call.bytes(0, memory)?;
            context.note_panic(text);
            Ok(0)
        }
        HostFn::Log => {
            let level = LogLevel::from_number(call.word(0));
            let message = call.charged(1, memory, context)?;
            context.environment().services.log(context.filter(), level, message);
            Ok(0)
        }
        HostFn::Emit => {
            let name = call.charged(0, memory, context)?;
            context.environment().services.emit(context.filter(), name, call.long(2));
            Ok(0)
        }
        HostFn::KvGet => {
            let key = call.charged(0, memory, context)?;
            let value =
                context.waiting(|context| context.environment().services.kv_get(context.filter(), key));
            match value {
                Ok(value) => call.fill(2, &value, memory, context),
                Err(status) => Ok(status as i64),
            }
        }
        HostFn::KvSet => {
            let key = call.charged(0, memory, context)?;
            let value = call.charged(2, memory, context)?;
            let Ok(ttl_ms) = u64::try_from(call.long(4)) else {
                return Ok(HostStatus::Invalid as i64);
            };
            let set = context.waiting(|context| {
                context.environment().services.kv_set(context.filter(), key, value, ttl_ms)
            });
            Ok(set.map_or_else(|status| status as i64, |()| 0))
        }
        HostFn::HttpFetch => match fetch(&call, memory, context)? {
            Ok(response) => call.fill(2, &response, memory, context),
            Err(status) => Ok(status as i64),
        },
        HostFn::Now => Ok(context.environment().services.now_us() as i64),
        HostFn::Random => {
            let slice = call.slice(0);
            context.charge_host_bytes(slice.len)?;
            let out = guest_slice_mut(memory, slice).map_err(|bounds| call.fault(bounds))?;
            let filled = context.environment().services.random(context.filter(), out);
            filled.map_err(|status| HostFault::Service { function, status })?;
            Ok(0)
        }
    }
}

/// The encoded response, or what the guest is told instead.
fn fetch(
    call: &Call<'_>,
    memory: &[u8],
    context: &mut CallContext,
) -> Result<Result<Vec<u8>, HostStatus>, Error> {
    let bytes = call.charged(0, memory, context)?;
    let Ok(request) = FetchRequest::decode(bytes) else {
        return Ok(Err(HostStatus::Invalid));
    };
    let left = context.time_left();
    let timeout = match request.timeout_ms {
        0 => left,
        asked => left.min(crate::limits::Micros::from_millis(asked.into())),
    };
    let reply =
        context.waiting(|context| context.environment().services.fetch(context.filter(), &request, timeout));
    let reply = match reply {
        Ok(reply) => reply,
        Err(status) => return Ok(Err(status)),
    };
    let response =
        FetchResponse { status: reply.status, headers: reply.headers.as_seq(), body: Octets(&reply.body) };
    let mut encoded = vec![0; encoded_len(&response)];
    match encode(&response, &mut encoded) {
        Ok(_) => Ok(Ok(encoded)),
        Err(error) => Err(Error::engine(error)),
    }
}

/// The arguments of one call.
struct Call<'a> {
    function: HostFn,
    arguments: &'a [u64],
}

impl Call<'_> {
    fn long(&self, index: usize) -> i64 {
        // A backend passes what the signature says; a missing one could only be its own mistake.
        self.arguments.get(index).copied().unwrap_or(0) as i64
    }

    fn word(&self, index: usize) -> u32 {
        self.long(index) as u32
    }

    /// The pair of address and length at `index`.
    fn slice(&self, index: usize) -> PackedSlice {
        PackedSlice { ptr: self.word(index), len: self.word(index + 1) }
    }

    fn bytes<'m>(&self, index: usize, memory: &'m [u8]) -> Result<&'m [u8], Error> {
        let slice = GuestSlice::new_checked(memory, self.slice(index));
        slice.map(GuestSlice::bytes).map_err(|bounds| self.fault(bounds))
    }

    fn charged<'m>(
        &self,
        index: usize,
        memory: &'m [u8],
        context: &mut CallContext,
    ) -> Result<&'m [u8], Error> {
        let bytes = self.bytes(index, memory)?;
        context.charge_host_bytes(self.slice(index).len)?;
        Ok(bytes)
    }

    /// Writes `value` to the buffer at `index` if it fits, and returns its length in any case.
    fn fill(
        &self,
        index: usize,
        value: &[u8],
        memory: &mut [u8],
        context: &mut CallContext,
    ) -> Result<i64, Error> {
        let out = guest_slice_mut(memory, self.slice(index)).map_err(|bounds| self.fault(bounds))?;
        if let Some(out) = out.get_mut(..value.len()) {
            context.charge_host_bytes(value.len() as u32)?;
            out.copy_from_slice(value);
        }
        Ok(value.len() as i64)
    }

    fn fault(&self, bounds: OutOfBounds) -> Error {
        GuestFault::HostArgument { function: self.function, slice: bounds.slice, memory: bounds.memory }
            .into()
    }
}
