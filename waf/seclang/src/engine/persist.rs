//! Collections that outlive a transaction: IP, GLOBAL, SESSION, USER, RESOURCE.
//!
//! A collection is stored whole under `seclang/<collection>/<key>` (`seclang/<collection>/<application>/<key>`
//! where `SecWebAppId` is set) and written back at the end of the transaction if a rule changed it. What two
//! transactions write at the same time is not merged: the later one stays.
//!
//! Serialised: a version byte, then for each variable `name length: u8, value length: u16, expiry: u64`
//! (microseconds since 1970, 0 for none), the name and the value. Numbers are little-endian.

use alloc::vec::Vec;

use super::store::{Digits, Value};
use super::transaction::Transaction;
use crate::Variable;
use crate::format::*;

const FORMAT: u8 = 1;
/// Longest key of a collection, and most bytes that one is stored in.
const MAX_KEY: usize = 512;
const MAX_BYTES: usize = 16 << 10;
/// `SecCollectionTimeout` where none is set, in seconds.
const DEFAULT_TIMEOUT: u32 = 3600;

const COLLECTIONS: [Variable; 5] =
    [Variable::Ip, Variable::Global, Variable::Session, Variable::User, Variable::Resource];

fn index(collection: Variable) -> Option<usize> {
    COLLECTIONS.iter().position(|known| *known == collection)
}

impl<'r> Transaction<'r> {
    /// `initcol`, `setsid` and their like: loads a collection.
    pub(super) fn init_collection(&mut self, action: &Action) {
        let Some((collection, at)) =
            Variable::from_u8(action.collection).and_then(|which| Some((which, index(which)?)))
        else {
            return;
        };
        let mut key = Vec::new();
        self.expand(action.name, &mut key);
        key.truncate(MAX_KEY);
        self.collection_keys[at] = Some(self.store.keep(&key));
        for named in self.store.named.iter_mut().filter(|named| named.variable == collection as u8) {
            named.value = Value::None;
        }
        let path = self.path(collection, &key);
        let mut stored = Vec::new();
        if self.services.kv_get(&path, &mut stored) {
            self.load(collection, &stored);
        }
    }

    fn load(&mut self, collection: Variable, stored: &[u8]) {
        let Some((&FORMAT, mut rest)) = stored.split_first() else { return };
        let now = self.services.now_us();
        while let Some((header, after)) = rest.split_first_chunk::<11>() {
            let name_len = usize::from(header[0]);
            let value_len = usize::from(u16::read(&header[1..]));
            let expires = u64::read(&header[3..]);
            let Some((name, after)) = after.split_at_checked(name_len) else { return };
            let Some((value, after)) = after.split_at_checked(value_len) else { return };
            rest = after;
            if expires == 0 || now == 0 || expires > now {
                let value = Value::Stored(self.store.keep(value));
                if let Some(named) = self.store.named_mut(collection, name, true) {
                    named.value = value;
                    named.expires = expires;
                }
            }
        }
    }

    fn path(&self, collection: Variable, key: &[u8]) -> Vec<u8> {
        let mut path = b"seclang/".to_vec();
        path.extend(collection.name().bytes().map(|byte| byte.to_ascii_lowercase()));
        path.push(b'/');
        let application = self.rules.text(self.meta.web_app_id);
        if !application.is_empty() {
            path.extend_from_slice(application);
            path.push(b'/');
        }
        path.extend_from_slice(key);
        path
    }

    /// Marks a collection as changed; false if no rule has loaded it.
    pub(super) fn touch_collection(&mut self, collection: Variable) -> bool {
        let Some(at) = index(collection).filter(|at| self.collection_keys[*at].is_some()) else {
            return false;
        };
        self.collections_changed |= 1 << at;
        true
    }

    pub(super) fn collection_key(&self, collection: Variable) -> Value<'r> {
        let key = index(collection).and_then(|at| self.collection_keys[at]);
        key.map_or(Value::Fixed(b""), Value::Stored)
    }

    /// `expirevar`.
    pub(super) fn expire(&mut self, action: &Action) {
        let Some(collection) = Variable::from_u8(action.collection) else { return };
        if !self.touch_collection(collection) {
            return;
        }
        let mut name = Vec::new();
        self.expand(action.name, &mut name);
        let seconds = match action.value.parts {
            0 => action.number,
            _ => {
                let value = self.value_of(action.value);
                self.number_of(value)
            }
        };
        let now = self.services.now_us();
        if let Some(named) = self.store.named_mut(collection, &name, false) {
            named.expires = now.saturating_add((seconds.max(0) as u64).saturating_mul(1_000_000)).max(1);
        }
    }

    /// Writes back what rules have changed.
    pub(super) fn save_collections(&mut self) {
        for (at, collection) in COLLECTIONS.into_iter().enumerate() {
            let Some(key) = self.collection_keys[at].filter(|_| self.collections_changed & 1 << at != 0)
            else {
                continue;
            };
            let path = self.path(collection, self.store.bytes(key));
            let value = self.serialise(collection);
            let timeout = match self.meta.collection_timeout {
                0 => DEFAULT_TIMEOUT,
                seconds => seconds,
            };
            self.services.kv_set(&path, &value, i64::from(timeout) * 1000);
        }
        self.collections_changed = 0;
    }

    fn serialise(&self, collection: Variable) -> Vec<u8> {
        let mut out = Vec::new();
        for named in &self.store.named {
            if named.variable != collection as u8 || named.value == Value::None {
                continue;
            }
            let mut digits = Digits::default();
            let (name, value) = (self.store.bytes(named.name), self.store.text(named.value, &mut digits));
            let (Ok(name_len), Ok(value_len)) = (u8::try_from(name.len()), u16::try_from(value.len())) else {
                continue;
            };
            if out.len() + 12 + name.len() + value.len() > MAX_BYTES {
                continue;
            }
            if out.is_empty() {
                out.push(FORMAT);
            }
            name_len.write(&mut out);
            value_len.write(&mut out);
            named.expires.write(&mut out);
            out.extend_from_slice(name);
            out.extend_from_slice(value);
        }
        out
    }
}
