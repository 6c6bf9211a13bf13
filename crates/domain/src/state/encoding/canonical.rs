//! How a value has exactly one encoding: numbers, lists, maps, and what is made of them.

use super::DecodeError;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What is left of the bytes.
pub(in crate::state) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(head)
    }
}

/// A value with exactly one encoding.
pub(in crate::state) trait Canonical: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(from: &mut Reader) -> Result<Self, DecodeError>;
}

macro_rules! canonical_integers {
    ($($type:ty),*) => {$(
        impl Canonical for $type {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(from: &mut Reader) -> Result<Self, DecodeError> {
                let bytes = from.bytes(size_of::<$type>())?;
                Ok(<$type>::from_le_bytes(bytes.try_into().map_err(|_| DecodeError::Short)?))
            }
        }
    )*};
}
canonical_integers!(u8, u16, u32, u64, i16, i32, i64);

/// A struct is its fields, one after the other.
macro_rules! canonical_structs {
    ($($type:ident { $($field:ident),* $(,)? })*) => {$(
        impl Canonical for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let $type { $($field),* } = self;
                $($field.put(out);)*
            }
            fn take(from: &mut Reader) -> Result<Self, DecodeError> {
                Ok($type { $($field: Canonical::take(from)?),* })
            }
        }
    )*};
}

/// An enum is a byte that tells its variant, and the variant's fields.
macro_rules! canonical_enums {
    ($($type:ident {
        $($tag:literal => $variant:ident $(($($unnamed:ident),*))? $({ $($field:ident),* })?),*
        $(,)?
    })*) => {$(
        impl Canonical for $type {
            fn put(&self, out: &mut Vec<u8>) {
                match self {$(
                    $type::$variant $(($($unnamed),*))? $({ $($field),* })? => {
                        out.push($tag);
                        $($($unnamed.put(out);)*)?
                        $($($field.put(out);)*)?
                    }
                )*}
            }
            fn take(from: &mut Reader) -> Result<Self, DecodeError> {
                match u8::take(from)? {
                    $($tag => {
                        $($(let $unnamed = Canonical::take(from)?;)*)?
                        $($(let $field = Canonical::take(from)?;)*)?
                        Ok($type::$variant $(($($unnamed),*))? $({ $($field),* })?)
                    })*
                    _ => Err(DecodeError::Invalid(stringify!($type))),
                }
            }
        }
    )*};
}

/// A value that is written as another one and checked on the way back.
macro_rules! canonical_as {
    ($($type:ty as $other:ty, |$value:ident| $to:expr, |$raw:ident| $from:expr;)*) => {$(
        impl Canonical for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let $value = self;
                Canonical::put(&$to, out);
            }
            fn take(from: &mut Reader) -> Result<Self, DecodeError> {
                let $raw: $other = Canonical::take(from)?;
                ($from).ok_or(DecodeError::Invalid(stringify!($type)))
            }
        }
    )*};
}

/// A value that is written as its text.
macro_rules! canonical_texts {
    ($($(<$($generic:tt),*>)? $type:ty, |$text:ident| $from:expr;)*) => {$(
        impl Canonical for $type {
            fn put(&self, out: &mut Vec<u8>) {
                put_text(&self.to_string(), out);
            }
            fn take(from: &mut Reader) -> Result<Self, DecodeError> {
                let $text = take_text(from)?;
                ($from).map_err(|_| DecodeError::Invalid(stringify!($type)))
            }
        }
    )*};
}

pub(super) use {canonical_as, canonical_enums, canonical_structs, canonical_texts};

pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_text_bytes(text.as_bytes(), out);
}

/// The same of the bytes of a text.
pub(super) fn put_text_bytes(text: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).expect("every text type has a limit below 2^16");
    length.put(out);
    out.extend_from_slice(text);
}

pub(super) fn take_text<'a>(from: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let length = u16::take(from)?;
    let bytes = from.bytes(usize::from(length))?;
    core::str::from_utf8(bytes).map_err(|_| DecodeError::Invalid("text"))
}

impl<T: Canonical> Canonical for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

impl<A: Canonical, B: Canonical> Canonical for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

impl<T: Canonical, const N: usize> Canonical for [T; N] {
    fn put(&self, out: &mut Vec<u8>) {
        for value in self {
            value.put(out);
        }
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        let values = (0..N).map(|_| T::take(from)).collect::<Result<Vec<T>, _>>()?;
        values.try_into().map_err(|_| DecodeError::Short)
    }
}

pub(in crate::state) fn put_length(length: usize, out: &mut Vec<u8>) {
    u32::try_from(length).expect("a state has fewer than 2^32 of anything").put(out);
}

impl<T: Canonical> Canonical for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for value in self {
            value.put(out);
        }
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        (0..u32::take(from)?).map(|_| T::take(from)).collect()
    }
}

/// Keys must ascend: a map has one encoding only.
pub(super) fn take_map<K: Canonical + Ord + Clone, V: Canonical>(
    from: &mut Reader,
    mut add: impl FnMut(K, V),
) -> Result<(), DecodeError> {
    let mut last: Option<K> = None;
    for _ in 0..u32::take(from)? {
        let (key, value) = <(K, V)>::take(from)?;
        if last.as_ref().is_some_and(|last| *last >= key) {
            return Err(DecodeError::Invalid("order of keys"));
        }
        last = Some(key.clone());
        add(key, value);
    }
    Ok(())
}

impl<K: Canonical + Ord + Clone, V: Canonical> Canonical for BTreeMap<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        let mut map = BTreeMap::new();
        take_map(from, |key, value| {
            map.insert(key, value);
        })?;
        Ok(map)
    }
}
