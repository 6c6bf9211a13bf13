//! Pages: sorted by key, each beginning after the last key of the one before, so that rows that
//! come in between move nothing.

use crate::limits::{DEFAULT_PAGE, MAX_PAGE};
use bergulir_proto::wire::InvalidFields;
use std::collections::BinaryHeap;
use std::fmt::{Display, Write as _};
use std::str::FromStr;
use tonic::Status;

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page<K> {
    /// The last key of the page before.
    pub(super) after: Option<K>,
    pub(super) size: usize,
    /// What is listed, with every field of the request that chooses it: a token is for the same
    /// list only.
    scope: String,
}

impl<K: FromStr + Display> Page<K> {
    pub(super) fn read(size: i32, token: &str, scope: String) -> Result<Page<K>, Status> {
        let size = match usize::try_from(size) {
            Ok(0) => DEFAULT_PAGE,
            Ok(size) => size.min(MAX_PAGE),
            Err(_) => {
                return Err(InvalidFields::one("page_size", "must not be negative").status());
            }
        };
        let after = match token {
            "" => None,
            token => Some(read_token(token, &scope).ok_or_else(|| {
                let wrong = "must be the next_page_token of the page before, with every other \
                             field as it was there";
                InvalidFields::one("page_token", wrong).status()
            })?),
        };
        Ok(Page { after, size, scope })
    }

    /// The token of the page that begins after a key.
    pub(super) fn token(&self, last: &K) -> String {
        let text = format!("{}\n{last}", self.scope);
        text.bytes().fold(String::new(), |mut token, byte| {
            write!(token, "{byte:02x}").expect("a String takes all that is written");
            token
        })
    }
}

/// The rows of a page, and the token of the next one; empty if it is the last.
pub(super) struct Taken<T> {
    pub(super) rows: Vec<T>,
    pub(super) next: String,
}

impl<T> Taken<T> {
    pub(super) fn map<U>(self, show: impl FnMut(T) -> U) -> Taken<U> {
        Taken { rows: self.rows.into_iter().map(show).collect(), next: self.next }
    }
}

impl<K: FromStr + Display + Ord> Page<K> {
    /// Chooses the rows of the page from all rows in any order. Looks at each row once and keeps no
    /// more than a page: with 84,000 rows that is cheaper than sorting them, and there is no sorted
    /// copy to keep up to date.
    pub(super) fn take<T: Ord>(&self, rows: impl Iterator<Item = (K, T)>) -> Taken<T> {
        let mut kept = BinaryHeap::with_capacity(self.size + 2);
        for row in rows {
            if self.after.as_ref().is_some_and(|after| row.0 <= *after) {
                continue;
            }
            let full = kept.len() > self.size;
            if full && kept.peek().is_some_and(|last| row >= *last) {
                continue;
            }
            kept.push(row);
            if full {
                kept.pop();
            }
        }
        let mut kept = kept.into_sorted_vec();
        let more = kept.len() > self.size;
        kept.truncate(self.size);
        let next = match kept.last() {
            Some((last, _)) if more => self.token(last),
            Some(_) | None => String::new(),
        };
        Taken { rows: kept.into_iter().map(|(_, row)| row).collect(), next }
    }
}

fn read_token<K: FromStr>(token: &str, scope: &str) -> Option<K> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if !token.len().is_multiple_of(2) || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let bytes: Option<Vec<u8>> = token.as_bytes().chunks(2).map(pair).collect();
    let text = String::from_utf8(bytes?).ok()?;
    let (found, last) = text.rsplit_once('\n')?;
    (found == scope).then(|| last.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(size: i32, token: &str) -> Page<u64> {
        Page::read(size, token, "numbers".to_owned()).unwrap()
    }

    #[test]
    fn pages_in_a_row_are_the_whole_list_sorted() {
        let rows: Vec<u64> = (0..1_000).map(|n| n * 7_919 % 1_000).collect();
        for size in [1, 7, 999, 1_000] {
            let (mut token, mut seen) = (String::new(), Vec::new());
            loop {
                let all = rows.iter().map(|n| (*n, *n));
                let taken = page(size, &token).take(all);
                assert!(taken.rows.len() <= usize::try_from(size).unwrap());
                seen.extend(taken.rows);
                token = taken.next;
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!(seen, (0..1_000).collect::<Vec<u64>>(), "pages of {size}");
        }
    }

    #[test]
    fn a_page_has_a_size_that_the_server_can_bear() {
        assert_eq!(page(0, "").size, DEFAULT_PAGE);
        assert_eq!(page(1_000_000, "").size, MAX_PAGE);
        assert!(Page::<u64>::read(-1, "", String::new()).is_err());
    }

    #[test]
    fn a_token_is_for_the_list_that_it_came_with() {
        let token = page(1, "").token(&41);
        assert_eq!(page(1, &token).after, Some(41));
        for token in [token.as_str(), "zz", "0", "00", "é"] {
            let other = Page::<u64>::read(1, token, "letters".to_owned());
            assert!(other.is_err(), "{token}");
        }
    }

    /// See docs/adr/0036-fuzzing.md.
    #[test]
    fn whatever_is_no_token_of_the_list_is_refused() {
        const WORDS: &[&str] = &["0a", "6e", "34", "2d", "ff", "0A", "é"];
        let tokens = [page(1, "").token(&41), page(1, "").token(&u64::MAX)];
        let target = bergulir_fuzz::Target::new("page-token", env!("CARGO_MANIFEST_DIR"));
        let target = target.samples(tokens.map(String::into_bytes)).words(WORDS);
        bergulir_fuzz::fuzz!(target, |input| {
            let Ok(token) = str::from_utf8(input) else { return "no text".to_owned() };
            match Page::<u64>::read(2, token, "numbers".to_owned()) {
                Ok(Page { after: None, .. }) => {
                    assert_eq!(token, "");
                    "the first page".to_owned()
                }
                Ok(page) => {
                    assert!(token.to_ascii_lowercase().starts_with("6e756d626572730a"));
                    let taken = page.take((0..50).map(|n| (n, n)));
                    assert!(
                        taken.rows.iter().all(|row| page.after.is_some_and(|after| *row > after))
                    );
                    "a page".to_owned()
                }
                Err(status) => {
                    assert_eq!(status.code(), tonic::Code::InvalidArgument);
                    assert!(status.message().len() < 300);
                    "refused".to_owned()
                }
            }
        });
    }
}
