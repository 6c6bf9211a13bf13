//! What checkpoints let be checked of a log, and what not.

use bergulir_chain::LogSize;

use super::keys::Vouched;
use super::{Agreed, Claims};
use crate::trust::CheckpointSource;
use crate::{Checked, NotChecked};

impl Claims<'_> {
    /// The size of the newest checkpoint that holds, and who cosigned it or an older one.
    pub(crate) fn summary(&self) -> (Option<LogSize>, Vec<String>) {
        let size = self.newest().map(|agreed| agreed.size);
        let witnesses = self.witnessed().map_or_else(Vec::new, |(_, names)| names.to_vec());
        (size, witnesses)
    }

    /// What the checkpoints let be checked of a log of so many records, and what not.
    pub(crate) fn scope(
        &self,
        size: LogSize,
        checked: &mut Vec<Checked>,
        not_checked: &mut Vec<NotChecked>,
    ) {
        if let Some(newest) = self.newest() {
            let key = format!("{}+{}", newest.signer.key.name(), newest.signer.key.id());
            checked.extend([Checked::Root { size: newest.size }, Checked::Signature { key }]);
            if newest.size < size {
                let from = newest.size.next_position();
                not_checked.push(NotChecked::BeyondCheckpoint { from });
            }
            match newest.signer.vouched {
                Vouched::Signed => checked.push(Checked::TrustedKey),
                Vouched::Unasked => not_checked.push(NotChecked::KeyAsNamed),
                // The finding says it.
                Vouched::Silent { .. } | Vouched::NotNamed => {}
            }
        } else {
            not_checked.push(NotChecked::NoCheckpoint);
        }
        match self.witnessed() {
            Some((agreed, names)) if self.trust.wants_witnesses() => {
                let witnesses = names.to_vec();
                checked.push(Checked::Witnesses { size: agreed.size, witnesses });
                let newest = self.newest().map_or(size, |newest| newest.size);
                if agreed.size < newest {
                    let from = agreed.size.next_position();
                    not_checked.push(NotChecked::Unwitnessed { from });
                }
            }
            _ => not_checked.push(NotChecked::Witnesses),
        }
        let older = |agreed: &&Agreed| agreed.which == CheckpointSource::Older;
        match self.agreed.iter().find(older) {
            Some(agreed) => checked.push(Checked::Extension { from: agreed.size }),
            None => not_checked.push(NotChecked::Extension),
        }
    }
}
