//! Tables, registers, and the lists that are packed in memory.

use super::DecodeError;
use super::canonical::{Canonical, Reader, put_length, take_map};
use crate::state::{
    AccountIndex, AccountsOf, Index, RareTranches, Register, Row, Standing, Table, Tranche,
    Tranches,
};
use alloc::sync::Arc;
use alloc::vec::Vec;

impl<T> Canonical for Index<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.get().put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        u32::take(from).map(Index::new)
    }
}

impl<T: Canonical> Canonical for Arc<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        T::take(from).map(Arc::new)
    }
}

impl Canonical for AccountsOf {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for account in self.iter() {
            account.put(out);
        }
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        (0..u32::take(from)?).map(|_| AccountIndex::take(from)).collect()
    }
}

impl Canonical for Tranches {
    fn put(&self, out: &mut Vec<u8>) {
        let length_at = out.len();
        put_length(0, out);
        let mut count = 0_u32;
        for (position, day, minor) in self.raw() {
            // As a tranche is put; these are most of a state.
            position.put(out);
            day.put(out);
            minor.put(out);
            count += 1;
        }
        out[length_at..length_at + 4].copy_from_slice(&count.to_le_bytes());
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        (0..u32::take(from)?).map(|_| Tranche::take(from)).collect()
    }
}

impl Canonical for Standing {
    fn put(&self, out: &mut Vec<u8>) {
        let tranches = self.all();
        tranches.expect("the state of a `Decider` is not encoded: it does not keep all").put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        Tranches::take(from).map(Standing::All)
    }
}

impl Canonical for RareTranches {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_tranches().put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        (0..u32::take(from)?).map(|_| Tranche::take(from)).collect()
    }
}

impl<K: Canonical + Ord + Clone, V: Canonical + Clone> Canonical for Register<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for (key, value) in self.iter() {
            key.put(out);
            value.put(out);
        }
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        let mut register = Register::default();
        take_map(from, |key, value| register.insert(key, value))?;
        Ok(register)
    }
}

pub(super) fn put_rows<T: Row + Canonical + Clone>(
    table: &Table<T>,
    out: &mut Vec<u8>,
    more: &mut impl FnMut(&mut Vec<u8>),
) {
    put_length(table.len(), out);
    for (_, row) in table.iter() {
        row.put(out);
        more(out);
    }
}

impl<T: Row + Canonical + Clone> Canonical for Table<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_rows(self, out, &mut |_| ());
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        let mut table = Table::default();
        for _ in 0..u32::take(from)? {
            let row = T::take(from)?;
            if table.find(&row.key()).is_some() {
                return Err(DecodeError::Invalid("key that is used twice"));
            }
            table.push(row);
        }
        Ok(table)
    }
}
