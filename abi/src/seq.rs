//! Lists that are decoded one element at a time, when they are asked for.

use core::fmt;
use core::marker::PhantomData;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::codec::DecodeError;
use crate::front::Front;
use crate::octets::Octets;

/// What can stand in a [`Seq`].
pub trait Element<'a>: Deserialize<'a> + Serialize + 'a {
    /// What the element is called in an error.
    const NAME: &'static str;

    /// Proves what decoding the element alone leaves open: the lists inside it.
    ///
    /// # Errors
    /// [`DecodeError`] with the name of the nested element and its offset in its list.
    fn check(&self) -> Result<(), DecodeError> {
        Ok(())
    }

    /// Decodes one element from the front of a list; what is behind it, too.
    #[doc(hidden)]
    fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        postcard::take_from_bytes(bytes).ok()
    }
}

impl<'a> Element<'a> for Octets<'a> {
    const NAME: &'static str = "octets";

    #[inline]
    fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut front = Front(bytes);
        Some((front.octets()?, front.0))
    }
}

/// A borrowed list of `T`. On the wire: a varint length in bytes, then the elements, each encoded
/// by postcard, one behind the other, without a count.
///
/// A reader skips the whole list at the price of one length. Iteration ends at the first element
/// that cannot be decoded: a host proves beforehand that there is none ([`Seq::check`], called by
/// [`Outcome::decode`](crate::Outcome::decode)); a guest may trust its host.
pub struct Seq<'a, T> {
    bytes: &'a [u8],
    elements: PhantomData<fn() -> T>,
}

impl<'a, T> Seq<'a, T> {
    /// The list without elements.
    pub const EMPTY: Self = Seq::from_encoded(&[]);

    /// A list over elements that are already encoded, for instance by [`SeqBuf`](crate::SeqBuf).
    pub const fn from_encoded(bytes: &'a [u8]) -> Self {
        Seq { bytes, elements: PhantomData }
    }

    /// The encoded elements.
    pub const fn encoded(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there is no element.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<'a, T: Element<'a>> Seq<'a, T> {
    /// The elements, in order.
    #[inline]
    pub fn iter(&self) -> SeqIter<'a, T> {
        SeqIter { rest: self.bytes, elements: PhantomData }
    }

    /// Proves that every element, and every list inside an element, decodes.
    ///
    /// # Errors
    /// [`DecodeError`] with the offset of the first bad element, in bytes from the list's start.
    pub fn check(&self) -> Result<(), DecodeError> {
        let mut rest = self.bytes;
        while !rest.is_empty() {
            let offset = self.bytes.len() - rest.len();
            let (element, tail) = T::take(rest).ok_or(DecodeError::malformed(T::NAME, offset))?;
            // An element of no bytes would be repeated for ever.
            if tail.len() == rest.len() {
                return Err(DecodeError::malformed(T::NAME, offset));
            }
            element.check().map_err(|error| error.behind(offset))?;
            rest = tail;
        }
        Ok(())
    }
}

impl<T> Clone for Seq<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Seq<'_, T> {}

impl<T> Default for Seq<'_, T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T> PartialEq for Seq<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Seq<'_, T> {}

impl<'a, T: Element<'a> + fmt::Debug> fmt::Debug for Seq<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(feature = "defmt")]
impl<T> defmt::Format for Seq<'_, T> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "[{=usize} bytes]", self.bytes.len());
    }
}

impl<T> Serialize for Seq<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.bytes)
    }
}

impl<'de: 'a, 'a, T> Deserialize<'de> for Seq<'a, T> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Octets::deserialize(deserializer).map(|octets| Seq::from_encoded(octets.bytes()))
    }
}

impl<'a, T: Element<'a>> IntoIterator for Seq<'a, T> {
    type Item = T;
    type IntoIter = SeqIter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterator over the elements of a [`Seq`].
pub struct SeqIter<'a, T> {
    rest: &'a [u8],
    elements: PhantomData<fn() -> T>,
}

impl<'a, T: Element<'a>> Iterator for SeqIter<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match T::take(self.rest) {
            Some((element, tail)) if tail.len() < self.rest.len() => {
                self.rest = tail;
                Some(element)
            }
            _ => {
                self.rest = &[];
                None
            }
        }
    }
}

impl<'a, T: Element<'a>> core::iter::FusedIterator for SeqIter<'a, T> {}
