//! The answers to the requests of one piece of work.

use crate::submission::{Accepted, Refusal};
use std::sync::Arc;

/// One answer for each request, in order.
///
/// Those to what was recorded just now are shared with the records on their way, so that balances are
/// written once: from there a retry has them until the index has. So what a caller who does not read
/// keeps in memory is its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Items {
    recorded: Arc<Vec<Accepted>>,
    /// The others, each with its place: in rising order.
    others: Vec<(usize, Result<Accepted, Refusal>)>,
}

impl Items {
    /// The answers to what was recorded just now, in order, and all others with their places, which
    /// rise.
    pub(crate) fn new(
        recorded: Arc<Vec<Accepted>>,
        others: Vec<(usize, Result<Accepted, Refusal>)>,
    ) -> Items {
        Items { recorded, others }
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.recorded.len() + self.others.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<&Accepted, &Refusal>> {
        let mut recorded = self.recorded.iter();
        let mut others = self.others.iter().peekable();
        (0..self.len()).filter_map(move |place| match others.next_if(|(at, _)| *at == place) {
            Some((_, other)) => Some(other.as_ref()),
            None => recorded.next().map(Ok),
        })
    }

    /// The first, which is the only one to a single command.
    pub fn first(&self) -> Option<Result<Accepted, Refusal>> {
        Some(match self.iter().next()? {
            Ok(accepted) => Ok(accepted.clone()),
            Err(refusal) => Err(refusal.clone()),
        })
    }
}

impl From<Vec<Result<Accepted, Refusal>>> for Items {
    fn from(items: Vec<Result<Accepted, Refusal>>) -> Items {
        Items { recorded: Arc::default(), others: items.into_iter().enumerate().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submission::{Balances, Named};
    use bergulir_domain::Touched;
    use proptest::prelude::*;

    /// An answer that can be told from others.
    fn accepted(number: i64) -> Accepted {
        let loan = Some(("l".parse().unwrap(), number));
        Accepted {
            receipt: None,
            touched: Touched::default(),
            named: Named { loan, ..Named::default() },
            balances: Balances::default(),
        }
    }

    proptest! {
        #[test]
        fn answers_stand_in_the_order_of_the_requests(
            kinds in prop::collection::vec(0..3, 0..20),
        ) {
            let all: Vec<Result<Accepted, Refusal>> = (0..)
                .zip(&kinds)
                .map(|(n, kind)| if *kind == 2 { Err(Refusal::TooLong) } else { Ok(accepted(n)) })
                .collect();
            let mut recorded = Vec::new();
            let mut others = Vec::new();
            for (place, (answer, kind)) in all.iter().zip(&kinds).enumerate() {
                match answer {
                    Ok(answer) if *kind == 0 => recorded.push(answer.clone()),
                    other => others.push((place, other.clone())),
                }
            }
            let items = Items::new(Arc::new(recorded), others);
            let expected: Vec<_> = all.iter().map(Result::as_ref).collect();
            prop_assert_eq!(items.iter().collect::<Vec<_>>(), expected.clone());
            prop_assert_eq!(items.len(), all.len());
            prop_assert_eq!(items.is_empty(), all.is_empty());
            prop_assert_eq!(items.first(), all.first().cloned());
            let owned = Items::from(all.clone());
            prop_assert_eq!(owned.iter().collect::<Vec<_>>(), expected);
        }
    }
}
