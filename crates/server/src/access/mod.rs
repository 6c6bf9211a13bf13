//! Who calls, and what that one may do: certificates, tokens, roles, and the table of all methods.

pub(crate) mod certificate;
mod denied;
mod gate;
mod keys;
pub(crate) mod methods;
mod pass;
mod rights;
pub(crate) mod roles;
mod token;

pub use denied::Denials;
pub(crate) use denied::{Reason, denied};
pub(crate) use gate::{Access, Connection};
pub(crate) use pass::{Open, Pass, Scope};
pub(crate) use rights::Rights;
pub use roles::{Grant, GrantError, Grants, Role};
pub use token::TokenOptions;
pub(crate) use token::Tokens;
#[cfg(test)]
pub(crate) use {certificate::Certificate, keys::Keys};

/// How callers prove who they are, apart from certificates, and what they may do.
#[derive(Debug, Clone, Default)]
pub struct AuthOptions {
    /// Which bearer tokens are taken. `None`: none are.
    pub tokens: Option<TokenOptions>,
    /// Who may do what. `None`: nobody may do anything where callers are authenticated, and everybody
    /// everything where they are not, which is on loopback only.
    pub grants: Option<Grants>,
}
