//! What was denied: counted by method and reason, and told in the log a few at a time, never with
//! what a caller showed to prove itself.

use super::methods;
use crate::warnings::Warnings;
use bergulir_proto::Described;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::Code;

macro_rules! reasons {
    ($($reason:ident $code:ident $name:literal,)+) => {
        /// Why a call is denied.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Reason {
            $($reason,)+
        }

        impl Reason {
            const ALL: &[Reason] = &[$(Reason::$reason),+];

            /// As the `ErrorInfo` has it.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Reason::$reason => $name,)+
                }
            }

            const fn code(self) -> Code {
                match self {
                    $(Reason::$reason => Code::$code,)+
                }
            }
        }
    };
}

reasons! {
    CredentialsMissing Unauthenticated "CREDENTIALS_MISSING",
    TokenRefused Unauthenticated "TOKEN_REFUSED",
    TokenExpired Unauthenticated "TOKEN_EXPIRED",
    CertificateRefused Unauthenticated "CERTIFICATE_REFUSED",
    IdentitiesDiffer Unauthenticated "IDENTITIES_DIFFER",
    PrincipalMissing Unauthenticated "PRINCIPAL_MISSING",
    PrincipalDiffers PermissionDenied "PRINCIPAL_DIFFERS",
    ReservedPrincipal PermissionDenied "RESERVED_PRINCIPAL",
    RoleMissing PermissionDenied "ROLE_MISSING",
    GrantsChanged Aborted "GRANTS_CHANGED",
}

/// Counts of what was denied.
#[derive(Debug)]
pub struct Denials {
    /// By method and reason; after the methods of the table one row for all that is not in it.
    counts: Vec<[AtomicU64; Reason::ALL.len()]>,
    warnings: Warnings,
}

impl Default for Denials {
    fn default() -> Denials {
        let rows = methods::all().count() + 1;
        let row = || std::array::from_fn(|_| AtomicU64::new(0));
        Denials {
            counts: std::iter::repeat_with(row).take(rows).collect(),
            warnings: Warnings::default(),
        }
    }
}

impl Denials {
    /// What was denied since the start, as far as anything was: the method (a path, "http:" and a kind
    /// of file, or "other"), the reason, and how often.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let names = methods::all().map(|rule| rule.method).chain(["other"]);
        self.counts.iter().zip(names).flat_map(|(row, method)| {
            row.iter().zip(Reason::ALL).filter_map(move |(count, reason)| {
                let count = count.load(Ordering::Relaxed);
                (count > 0).then(|| (method, reason.name(), count))
            })
        })
    }

    /// Counts and tells one. `method` is its path, and `who` a principal that is known.
    pub(crate) fn tell(
        &self,
        method: &str,
        reason: Reason,
        who: Option<&str>,
        peer: Option<SocketAddr>,
        message: &str,
    ) {
        let row = methods::of_path(method).map_or(self.counts.len() - 1, |(at, _)| at);
        self.counts[row][reason as usize].fetch_add(1, Ordering::Relaxed);
        let Some(untold) = self.warnings.next() else { return };
        // A path is the caller's own, and may be long.
        let method: String = method.chars().take(128).collect();
        let peer = peer.map(tracing::field::display);
        let reason = reason.name();
        tracing::warn!(method, principal = who, reason, peer, untold, message, "denied");
    }
}

/// What a caller who is denied is told.
pub(crate) fn denied(reason: Reason, message: impl Into<String>) -> Described {
    Described::new(reason.code(), reason.name(), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_are_counted_by_method_and_reason() {
        let denials = Denials::default();
        assert_eq!(denials.counts().count(), 0);
        let method = "/bergulir.v1.LedgerService/Disburse";
        for _ in 0..3 {
            denials.tell(method, Reason::RoleMissing, Some("a"), None, "no");
        }
        denials.tell("/no.such/Method", Reason::TokenExpired, None, None, "no");
        let counts: Vec<_> = denials.counts().collect();
        assert_eq!(counts, [(method, "ROLE_MISSING", 3), ("other", "TOKEN_EXPIRED", 1)]);
    }
}
