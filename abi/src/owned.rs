//! Owned builders, for whoever writes messages.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::Serialize;

use crate::message::Header;
use crate::octets::Octets;
use crate::outcome::{Action, HeaderOp, Match, Outcome, Verdict};
use crate::seq::{Element, Seq};

/// Names the borrowed form of an element, whatever its lifetime.
///
/// Implemented for the elements of this crate; [`SeqBuf`] uses it to hand out a [`Seq`] of the
/// lifetime of the borrow.
pub trait Family {
    /// The element that borrows for `'a`.
    type Of<'a>: Element<'a>;
}

impl Family for Header<'static> {
    type Of<'a> = Header<'a>;
}
impl Family for HeaderOp<'static> {
    type Of<'a> = HeaderOp<'a>;
}
impl Family for Match<'static> {
    type Of<'a> = Match<'a>;
}
impl Family for Octets<'static> {
    type Of<'a> = Octets<'a>;
}
impl Family for crate::settings::Setting<'static> {
    type Of<'a> = crate::settings::Setting<'a>;
}

/// A list that is encoded as it grows. `T` is the element with the lifetime `'static`.
///
/// ```
/// use picket_abi::{Header, SeqBuf};
/// let mut headers = SeqBuf::<Header>::new();
/// headers.push(Header { name: "Host".into(), value: "example.org".into() });
/// assert_eq!(headers.as_seq().first(b"host").unwrap(), "example.org");
/// ```
pub struct SeqBuf<T> {
    bytes: Vec<u8>,
    elements: PhantomData<fn() -> T>,
}

impl<T> SeqBuf<T> {
    /// An empty list, without an allocation.
    pub const fn new() -> Self {
        SeqBuf { bytes: Vec::new(), elements: PhantomData }
    }

    /// Whether there is no element.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Removes all elements and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The encoded elements.
    pub fn encoded(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T: Family> SeqBuf<T> {
    /// Appends an element.
    pub fn push(&mut self, element: T::Of<'_>) {
        append(&mut self.bytes, &element);
    }

    /// Appends all elements of a borrowed list.
    pub fn extend_from_seq(&mut self, other: Seq<'_, T::Of<'_>>) {
        self.bytes.extend_from_slice(other.encoded());
    }

    /// The list, borrowed.
    pub fn as_seq(&self) -> Seq<'_, T::Of<'_>> {
        Seq::from_encoded(&self.bytes)
    }

    /// The elements, in order.
    pub fn iter(&self) -> crate::seq::SeqIter<'_, T::Of<'_>> {
        self.as_seq().iter()
    }
}

/// Appends `message`, encoded, to `bytes`.
pub(crate) fn append<M: Serialize + ?Sized>(bytes: &mut Vec<u8>, message: &M) {
    struct Tail<'v>(&'v mut Vec<u8>);

    impl postcard::ser_flavors::Flavor for Tail<'_> {
        type Output = ();

        #[inline]
        fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
            self.0.push(byte);
            Ok(())
        }

        #[inline]
        fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn finalize(self) -> postcard::Result<()> {
            Ok(())
        }
    }

    // A vector takes every byte, and the messages of this crate hold nothing postcard refuses
    // (that would be a sequence of unknown length).
    let written = postcard::serialize_with_flavor(message, Tail(bytes));
    debug_assert!(written.is_ok(), "postcard refused a message of the ABI");
}

impl<T> Default for SeqBuf<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for SeqBuf<T> {
    fn clone(&self) -> Self {
        SeqBuf { bytes: self.bytes.clone(), elements: PhantomData }
    }
}

impl<T> PartialEq for SeqBuf<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for SeqBuf<T> {}

impl<T: Family> fmt::Debug for SeqBuf<T>
where
    for<'a> T::Of<'a>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Family> Extend<T::Of<'a>> for SeqBuf<T> {
    fn extend<I: IntoIterator<Item = T::Of<'a>>>(&mut self, elements: I) {
        for element in elements {
            append(&mut self.bytes, &element);
        }
    }
}

/// An owned [`Action`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ActionBuf {
    /// See [`Action::Continue`].
    #[default]
    Continue,
    /// See [`Action::Modify`].
    Modify {
        /// Changes of the header fields.
        headers: SeqBuf<HeaderOp<'static>>,
        /// Replacement of the chunk or body.
        body: Option<Vec<u8>>,
    },
    /// See [`Action::Respond`].
    Respond {
        /// Status code.
        status: u16,
        /// Header fields.
        headers: SeqBuf<Header<'static>>,
        /// Body.
        body: Vec<u8>,
    },
    /// See [`Action::Redirect`].
    Redirect {
        /// Status code.
        status: u16,
        /// Value of `Location`.
        location: Vec<u8>,
    },
}

/// An owned [`Verdict`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerdictBuf {
    /// See [`Verdict::score`].
    pub score: u32,
    /// See [`Verdict::matches`].
    pub matches: SeqBuf<Match<'static>>,
    /// See [`Verdict::tags`].
    pub tags: SeqBuf<Octets<'static>>,
}

/// An owned [`Outcome`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutcomeBuf {
    /// See [`Outcome::action`].
    pub action: ActionBuf,
    /// See [`Outcome::verdict`].
    pub verdict: VerdictBuf,
}

impl OutcomeBuf {
    /// Whether it says nothing: the value a guest returns as 0.
    pub fn is_silent(&self) -> bool {
        self.action == ActionBuf::Continue
            && self.verdict.score == 0
            && self.verdict.matches.is_empty()
            && self.verdict.tags.is_empty()
    }

    /// The outcome, borrowed.
    pub fn as_outcome(&self) -> Outcome<'_> {
        Outcome {
            action: match &self.action {
                ActionBuf::Continue => Action::Continue,
                ActionBuf::Modify { headers, body } => {
                    Action::Modify { headers: headers.as_seq(), body: body.as_deref().map(Octets) }
                }
                ActionBuf::Respond { status, headers, body } => {
                    Action::Respond { status: *status, headers: headers.as_seq(), body: Octets(body) }
                }
                ActionBuf::Redirect { status, location } => {
                    Action::Redirect { status: *status, location: Octets(location) }
                }
            },
            verdict: Verdict {
                score: self.verdict.score,
                matches: self.verdict.matches.as_seq(),
                tags: self.verdict.tags.as_seq(),
            },
        }
    }

    /// Encodes the outcome into `buffer`, replacing what is there and keeping its memory.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        append(buffer, &self.as_outcome());
    }
}

impl From<Outcome<'_>> for OutcomeBuf {
    fn from(outcome: Outcome<'_>) -> Self {
        OutcomeBuf {
            action: match outcome.action {
                Action::Continue => ActionBuf::Continue,
                Action::Modify { headers, body } => ActionBuf::Modify {
                    headers: copied(headers.encoded()),
                    body: body.map(|body| body.to_vec()),
                },
                Action::Respond { status, headers, body } => {
                    ActionBuf::Respond { status, headers: copied(headers.encoded()), body: body.to_vec() }
                }
                Action::Redirect { status, location } => {
                    ActionBuf::Redirect { status, location: location.to_vec() }
                }
            },
            verdict: VerdictBuf {
                score: outcome.verdict.score,
                matches: copied(outcome.verdict.matches.encoded()),
                tags: copied(outcome.verdict.tags.encoded()),
            },
        }
    }
}

fn copied<T>(encoded: &[u8]) -> SeqBuf<T> {
    SeqBuf { bytes: encoded.to_vec(), elements: PhantomData }
}
