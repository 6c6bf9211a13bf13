//! Requests on their way to a decision, and what was found out about them before, for many at once:
//! one question to the index about a thousand keys costs a fraction of a thousand questions.

use crate::facts::reference;
use crate::recent::Reference;
use crate::submission::Request;
use bergulir_domain::state::LoanIndex;
use bergulir_store::index::Index;

/// A request, and what is known of it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Request,
    pub(crate) known: Known,
}

/// What is known of a request before it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// The key of its request id.
    pub(crate) id_key: u64,
    /// The bank reference that it names.
    pub(crate) reference: Option<Reference>,
    /// No record that the index has written out carries its request id.
    pub(crate) id_is_new: bool,
    /// No record that the index has written out names its bank reference.
    pub(crate) reference_is_new: bool,
    /// Where the loan that it pays most likely is in the state.
    pub(crate) near: Option<LoanIndex>,
}

impl Known {
    /// Nothing.
    pub(crate) const NOTHING: Known =
        Known { id_key: 0, reference: None, id_is_new: false, reference_is_new: false, near: None };
}

impl<'a> Asked<'a> {
    /// A request of which nothing is known but its keys.
    fn new(request: &'a Request, index: &Index) -> Asked<'a> {
        let reference = request.command.bank_reference().map(|named| reference(index, named));
        let id_key = index.key(&request.request_id);
        Asked { request, known: Known { id_key, reference, ..Known::NOTHING } }
    }

    /// Many requests. What the index cannot answer is left to the question that is asked of it
    /// when the request is decided, which then fails.
    pub(crate) fn all(
        requests: impl Iterator<Item = &'a Request>,
        index: &Index,
    ) -> Vec<Asked<'a>> {
        let mut all: Vec<Asked<'a>> = requests.map(|request| Asked::new(request, index)).collect();
        let mut keys: Vec<u64> = all.iter().map(|asked| asked.known.id_key).collect();
        let mut used = vec![false; all.len()];
        if index.request_ids(&keys, |number, _| used[number] = true).is_ok() {
            for (asked, used) in all.iter_mut().zip(&used) {
                asked.known.id_is_new = !used;
            }
        }
        keys.clear();
        keys.extend(all.iter().filter_map(|asked| Some(asked.known.reference?.key)));
        used.fill(false);
        if index.bank_references(&keys, |number, _| used[number] = true).is_ok() {
            let naming = all.iter_mut().filter(|asked| asked.known.reference.is_some());
            for (asked, used) in naming.zip(&used) {
                asked.known.reference_is_new = !used;
            }
        }
        all
    }
}
