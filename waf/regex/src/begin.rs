//! Where the leftmost match begins: each place in turn is asked whether a match begins there, of an
//! automaton whose states are kept as those of [`lazy`](crate::lazy) are. Most places are told by a byte
//! or two, where a search with positions has every branch of the pattern to go through.

use crate::cache::Cache;
use crate::lazy::{FIRST, IS_MATCH, IS_NO, UNKNOWN};
use crate::nfa::{Flags, Nfa, Outcome};

/// Steps for each byte of a haystack, and those that are free: a pattern that goes on for long from every
/// place would take time with the square of the haystack.
const STEPS: usize = 4;
const FREE_STEPS: usize = 64;

/// What marks the states' keys as those of matches that begin at one place. Its bits are bits of a length
/// that no regex has.
const HERE: u64 = 1 << 31;
const PLACES: u32 = 24;

/// Where to search for a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// The leftmost match begins here.
    At(usize),
    /// None begins before this.
    From(usize),
    /// There is no match.
    Nowhere,
}

/// Looks for the place. `key` identifies the regex in the cache.
#[inline(never)]
pub(crate) fn leftmost(nfa: &Nfa<'_>, key: u64, cache: &mut Cache, haystack: &[u8]) -> Begin {
    let map = nfa.class_map();
    if nfa.anchored {
        return Begin::At(0);
    }
    if key & (HERE | 127 << PLACES) != 0 {
        return Begin::From(0);
    }
    // From one place only, and cuts may count on the others.
    let here = Nfa { anchored: true, cuts: &[], ..*nfa };
    let (end, columns) = (nfa.classes, nfa.classes + 1);
    let mut left = haystack.len().saturating_mul(STEPS).saturating_add(FREE_STEPS);
    let Cache { lazy, scratch, .. } = cache;
    let key = key | HERE;
    for place in 0..=haystack.len() {
        let behind = match place.checked_sub(1).and_then(|before| haystack.get(before)) {
            Some(&byte) => nfa.behind(map[usize::from(byte)]),
            None => Flags::AT_START,
        };
        let start = key | u64::from(behind.bits()) << PLACES;
        let mut entry = match lazy.find_start(start) {
            Some(entry) => entry,
            None => match here.start_behind(scratch, behind) {
                Outcome::Match => return Begin::At(place),
                Outcome::No => continue,
                Outcome::Set(flags) => match lazy.intern(start, columns, scratch, flags, true) {
                    Some(entry) => entry,
                    None => return Begin::From(place),
                },
            },
        };
        for at in place..=haystack.len() {
            let Some(rest) = left.checked_sub(1) else { return Begin::From(place) };
            left = rest;
            let class = haystack.get(at).map(|&byte| map[usize::from(byte)]);
            let Some(state) = lazy.state(entry) else { return Begin::From(place) };
            let slot = state.row as usize + class.map_or(end, usize::from);
            let mut known = lazy.rows.get(slot).copied().unwrap_or(IS_NO);
            if known == UNKNOWN {
                known = match here.step(scratch, lazy.set(state), state.flags, class) {
                    Outcome::Match => IS_MATCH,
                    Outcome::No => IS_NO,
                    Outcome::Set(flags) => match lazy.intern(key, columns, scratch, flags, false) {
                        Some(next) => next,
                        None => return Begin::From(place),
                    },
                };
                if let Some(slot) = lazy.rows.get_mut(slot) {
                    *slot = known;
                }
            }
            match known {
                IS_MATCH => return Begin::At(place),
                FIRST.. => entry = known,
                _ => break,
            }
        }
    }
    Begin::Nowhere
}
