//! Certificates, tokens and grants, as they are configured.

use super::Config;
use super::file::tables;
use crate::access::{AuthOptions, Grant, Grants, Role, TokenOptions, Tokens};
use crate::files::FileError;
use crate::tls::{self, ClientCertificates, TlsOptions};
use bergulir_domain::{FundId, PrincipalId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeValue, Error};

/// The files of TLS, as far as they are set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// The server's certificate.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// Who signs the certificates of clients.
    pub client_authorities: Option<PathBuf>,
    /// Whether clients may come without one.
    pub clients_optional: bool,
}

impl Tls {
    /// What a server runs with; `None` without a certificate and its key.
    pub fn options(&self) -> Option<TlsOptions> {
        let (certificate, key) = self.certificate.clone().zip(self.key.clone())?;
        let required = !self.clients_optional;
        let clients = self.client_authorities.clone();
        let clients = clients.map(|authorities| ClientCertificates { authorities, required });
        Some(TlsOptions { certificate, key, clients })
    }
}

/// Which tokens are taken, as far as it is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Auth {
    /// The public keys that sign tokens.
    pub jwks: Option<PathBuf>,
    /// Who issues them.
    pub issuer: Option<String>,
    /// For whom they are.
    pub audience: Option<String>,
}

impl Auth {
    /// Whether tokens are taken.
    pub fn is_set(&self) -> bool {
        self.options().is_some()
    }

    fn options(&self) -> Option<TokenOptions> {
        Some(TokenOptions {
            keys: self.jwks.clone()?,
            issuer: self.issuer.clone()?,
            audience: self.audience.clone()?,
        })
    }
}

impl Config {
    /// How callers prove who they are, and what they may do.
    ///
    /// # Errors
    /// If a grant means nothing.
    pub fn auth_options(&self) -> Result<AuthOptions, crate::GrantError> {
        let grants = self.grants.clone().map(Grants::new).transpose()?;
        Ok(AuthOptions { tokens: self.auth.options(), grants })
    }

    /// What is wrong with the files of certificates and keys, as a start would find it. Reads them.
    pub fn file_problems(&self) -> Vec<(&'static str, String)> {
        let tls = self.tls.options().map(|options| tls::follow(&options).map(|_| ()));
        let tokens = self.auth.options().map(|options| Tokens::new(options).map(|_| ()));
        let found = [("tls.certificate", tls), ("auth.jwks", tokens)];
        let wrong = |(name, checked): (_, Option<Result<(), FileError>>)| {
            checked?.err().map(|error| (name, error.to_string()))
        };
        found.into_iter().filter_map(wrong).collect()
    }

    /// What of this does not fit together.
    pub(super) fn access_problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut wrong = |name, why: &str| problems.push((name, why.to_owned()));
        let Tls { certificate, key, client_authorities, clients_optional } = &self.tls;
        match (certificate, key) {
            (Some(_), None) => wrong("tls.certificate", "needs tls.key, its private key, too"),
            (None, Some(_)) => wrong("tls.key", "needs tls.certificate, its certificate, too"),
            (None, None) if client_authorities.is_some() => wrong(
                "tls.client_authorities",
                "needs tls.certificate and tls.key too: certificates of clients come under TLS only",
            ),
            _ => {}
        }
        if *clients_optional && client_authorities.is_none() {
            wrong("tls.client_certificates", "means nothing without tls.client_authorities");
        }
        let Auth { jwks, issuer, audience } = &self.auth;
        let there = [jwks.is_some(), issuer.is_some(), audience.is_some()];
        if there.contains(&true) && there.contains(&false) {
            let why = "auth.jwks, auth.issuer and auth.audience are set together or not at all: a \
                       token that is not checked against all three could be meant for another server";
            wrong(if there[0] { "auth.jwks" } else { "auth.issuer" }, why);
        }
        if let Err(error) = self.auth_options() {
            wrong("listen", &format!("[[grant]]: {error}"));
        }
        let certificates = self.tls.options().is_some_and(|tls| tls.clients.is_some());
        if self.http.is_some() && certificates && !self.auth.is_set() {
            wrong("http", &crate::StartError::HttpWithoutTokens.to_string());
        }
        problems
    }
}

/// A `[[grant]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(deserialize_with = "parsed")]
    principal: PrincipalId,
    ledger: String,
    roles: Vec<String>,
    funds: Option<Vec<String>>,
}

fn parsed<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: std::fmt::Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

impl Table {
    fn grant(self) -> Result<Grant, Error> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| {
            Error::custom(format!("{}: {what} {error}", self.principal))
        };
        let ledger = match self.ledger.as_str() {
            "*" => None,
            id => Some(
                bergulir_proto::name::ledger_id(id)
                    .map_err(|error| wrong("ledger (an id, or \"*\" for all)", &error))?,
            ),
        };
        let roles = self.roles.iter().map(|role| role.parse::<Role>());
        let roles: Result<BTreeSet<Role>, _> = roles.collect();
        let funds = self.funds.as_ref().map(|funds| {
            funds.iter().map(|fund| FundId::new(fund)).collect::<Result<BTreeSet<_>, _>>()
        });
        let grant = Grant {
            principal: self.principal,
            ledger,
            roles: roles.map_err(|error| wrong("roles:", &error))?,
            funds: funds.transpose().map_err(|error| wrong("funds:", &error))?,
        };
        Grants::new([grant.clone()]).map_err(Error::custom)?;
        Ok(grant)
    }
}

/// Reads the grants.
pub(super) fn grants(config: &mut Config, value: Spanned<DeValue<'_>>) -> Vec<Error> {
    let (read, mut errors) = tables::<Table>(value);
    let grants = config.grants.get_or_insert_default();
    for table in read {
        match table.grant() {
            Ok(grant) => grants.push(grant),
            Err(error) => errors.push(error),
        }
    }
    errors
}
