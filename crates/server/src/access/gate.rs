//! Where each call is let in or not: who it is by, and whether that one may call the method at all.
//! Whether it may for what the call names is asked when that is read: see [`Scope`](super::Scope).

use super::certificate::Certificate;
use super::keys::Keys;
use super::methods::{self, Of};
use super::pass::{Admitted, Again, Pass};
use super::rights::Rights;
use super::roles::Granted;
use super::token::{TokenError, Tokens, Verified};
use super::{AuthOptions, Denials, Reason, denied};
use crate::door::Peer;
use crate::files::{FileError, Followed};
use crate::identity::{self, PRINCIPAL_KEY};
use crate::tls;
use bergulir_chain::Authentication;
use bergulir_domain::PrincipalId;
use bergulir_engine::Caller;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tonic::Status;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{HeaderMap, HeaderName};

/// What decides who may call.
pub(crate) struct Access {
    /// Set if clients may show certificates.
    certificates: Option<Arc<Followed<tls::Keys>>>,
    tokens: Option<Tokens>,
    pub(crate) rights: Arc<Rights>,
    pub(crate) denials: Arc<Denials>,
}

impl Access {
    /// Reads what it takes. `certificates` are those of TLS, if clients may show some.
    pub(crate) fn new(
        options: AuthOptions,
        certificates: Option<Arc<Followed<tls::Keys>>>,
    ) -> Result<Access, FileError> {
        let AuthOptions { tokens, grants } = options;
        let tokens = tokens.map(Tokens::new).transpose()?;
        let rights = Arc::new(Rights::new(grants));
        Ok(Access { certificates, tokens, rights, denials: Arc::default() })
    }

    /// Whether callers must prove who they are.
    pub(crate) fn authenticates(&self) -> bool {
        self.certificates.is_some() || self.tokens.is_some()
    }

    /// Whether callers can prove who they are with a token.
    pub(crate) fn takes_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Whether everybody may do everything: only on loopback, if nothing else is configured. It ends
    /// with the first grant.
    pub(crate) fn is_open(&self) -> bool {
        !self.authenticates() && !self.rights.are_set()
    }

    /// The keys of tokens, if tokens are taken.
    pub(crate) fn token_keys(&self) -> Option<&Arc<Followed<Keys>>> {
        self.tokens.as_ref().map(Tokens::keys)
    }

    /// How often something changed of which depends who may do what.
    fn changes(&self) -> u64 {
        let certificates = self.certificates.as_ref().map_or(0, |keys| keys.changes());
        let tokens = self.token_keys().map_or(0, |keys| keys.changes());
        self.rights.changes() + certificates + tokens
    }
}

/// What is known of the callers of one connection.
pub(crate) struct Connection {
    access: Arc<Access>,
    peer: Peer,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The state of the authorities for which the certificate was checked last.
    authorities: Option<u64>,
    /// The last good token, and the state of the keys with which it was checked: most calls of a
    /// connection come with the same one, and a signature takes longer than a command.
    token: Option<(String, u64, Verified)>,
}

/// Who calls, and until when that counts.
struct Identity {
    caller: Caller,
    until: Option<SystemTime>,
}

/// Why nobody is known to call.
type Unknown = (Reason, String);

impl Connection {
    pub(crate) fn new(access: Arc<Access>, peer: Peer) -> Connection {
        // TLS has just checked the certificate.
        let authorities = access.certificates.as_ref().map(|keys| keys.changes());
        let known = Mutex::new(Known { authorities, token: None });
        Connection { access, peer, known }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.access.is_open()
    }

    pub(crate) fn authenticates(&self) -> bool {
        self.access.authenticates()
    }

    /// Lets a call in, or says why not. `None` where nobody has to be known, and nobody is.
    pub(crate) fn admit(
        self: &Arc<Self>,
        method: &str,
        headers: &HeaderMap,
    ) -> Result<Option<Pass>, Status> {
        let rule = methods::of_path(method).map(|(_, rule)| rule);
        let for_anyone = rule.is_some_and(|rule| rule.of == Of::Anyone);
        // Before anything is looked at: what changes from here on is seen as a change.
        let seen = self.access.changes();
        let told_as = (!for_anyone).then_some(method);
        let Identity { caller, until } = match self.identify(told_as, headers) {
            Err(_) if for_anyone => return Ok(None),
            identified => identified?,
        };
        // What is not there is said to be not there, to who is known.
        let Some(rule) = rule else { return Ok(None) };
        let granted = self.granted(caller.principal);
        let again = rule.lasts.then(|| Again {
            connection: Arc::clone(self),
            headers: shown(headers),
            seen: AtomicU64::new(seen),
        });
        let admitted = Admitted {
            caller,
            rule,
            granted,
            again,
            until,
            peer: self.peer.address,
            denials: Arc::clone(&self.access.denials),
        };
        if !for_anyone && !admitted.granted.anywhere().meet(rule.roles) {
            return Err(admitted.deny(None, None).status());
        }
        Ok(Some(Pass::new(admitted)))
    }

    /// Whether a call that lasts may go on: `seen` says with which changes that was found out last.
    pub(super) fn still_admits(&self, admitted: &Admitted, again: &Again) -> Result<(), Status> {
        let changes = self.access.changes();
        if again.seen.load(Ordering::Acquire) == changes {
            return Ok(());
        }
        let identity = self.identify(Some(admitted.rule.method), &again.headers)?;
        let now = self.granted(identity.caller.principal);
        if !now.anywhere().meet(admitted.rule.roles) {
            return Err(admitted.deny(None, None).status());
        }
        if now != admitted.granted {
            let message = "what the caller may do has changed: begin with a new call";
            return Err(denied(Reason::GrantsChanged, message).status());
        }
        again.seen.store(changes, Ordering::Release);
        Ok(())
    }

    fn granted(&self, principal: PrincipalId) -> Arc<Granted> {
        self.access.rights.of(principal).unwrap_or_default()
    }

    /// Who calls. Why that is not known is told as of a method, if there is one to name.
    fn identify(&self, method: Option<&str>, headers: &HeaderMap) -> Result<Identity, Status> {
        let deny = |(reason, message): Unknown, who: Option<PrincipalId>| {
            let who = who.as_ref().map(PrincipalId::as_str);
            let peer = Some(self.peer.address);
            if let Some(method) = method {
                self.access.denials.tell(method, reason, who, peer, &message);
            }
            denied(reason, message).status()
        };
        if !self.access.authenticates() {
            let caller = identity::caller(headers)?;
            return Ok(Identity { caller, until: None });
        }
        let by_certificate = self.by_certificate().map_err(|why| deny(why, None))?;
        let by_token = self.by_token(headers).map_err(|why| deny(why, None))?;
        let identity = match (by_certificate, by_token) {
            (Some(certificate), Some(token)) => {
                if certificate.caller.principal != token.caller.principal {
                    let message = "the certificate and the token name two principals: send one of \
                                   them, or both of one principal";
                    return Err(deny((Reason::IdentitiesDiffer, message.to_owned()), None));
                }
                let until = certificate.until.into_iter().chain(token.until).min();
                Identity { until, ..certificate }
            }
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => {
                let message = self.what_is_taken();
                return Err(deny((Reason::CredentialsMissing, message), None));
            }
        };
        let principal = identity.caller.principal;
        identity::not_the_server(principal).inspect_err(|status| {
            let _ = deny((Reason::ReservedPrincipal, status.message().to_owned()), Some(principal));
        })?;
        match identity::stated(headers)? {
            Some(stated) if stated != principal => {
                let message = format!(
                    "{PRINCIPAL_KEY} states {stated}, and the caller is {principal}: leave it away"
                );
                Err(deny((Reason::PrincipalDiffers, message), Some(principal)))
            }
            Some(_) | None => Ok(identity),
        }
    }

    fn what_is_taken(&self) -> String {
        let certificate = self
            .access
            .certificates
            .as_ref()
            .map(|_| "connect with a client certificate whose authority is known here");
        let token =
            self.access.tokens.as_ref().map(|_| "send the metadata authorization: Bearer TOKEN");
        let ways: Vec<&str> = certificate.into_iter().chain(token).collect();
        format!("nobody is known to call: {}", ways.join(", or "))
    }

    fn by_certificate(&self) -> Result<Option<Identity>, Unknown> {
        let (Some(keys), Some(certificate)) = (&self.access.certificates, &self.peer.certificate)
        else {
            return Ok(None);
        };
        let refused = |why: &str| {
            (Reason::CertificateRefused, format!("the client certificate is not taken: {why}"))
        };
        let Certificate { chain, principal, .. } = certificate;
        if certificate.has_expired(SystemTime::now()) {
            return Err(refused("its time is over: connect with a new one"));
        }
        let changes = keys.changes();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.authorities != Some(changes) {
            if !keys.get().stand_for(chain) {
                return Err(refused("its authority is not known here any more"));
            }
            known.authorities = Some(changes);
        }
        let principal = *principal.as_ref().map_err(|why| refused(&why.to_string()))?;
        let caller = Caller { principal, authentication: Authentication::MutualTls };
        Ok(Some(Identity { caller, until: certificate.until() }))
    }

    fn by_token(&self, headers: &HeaderMap) -> Result<Option<Identity>, Unknown> {
        let refused =
            |why: String| (Reason::TokenRefused, format!("the token is not taken: {why}"));
        let mut sent = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = sent.next() else { return Ok(None) };
        if sent.next().is_some() {
            return Err(refused("authorization must be sent once".to_owned()));
        }
        let Some(tokens) = &self.access.tokens else {
            return Err(refused("this server takes certificates only".to_owned()));
        };
        let token = value.to_str().ok().and_then(bearer);
        let token = token.ok_or_else(|| refused("it must be sent as Bearer TOKEN".to_owned()))?;
        let changes = tokens.keys().changes();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        let verified = match &known.token {
            Some((same, at, verified))
                if same == token && *at == changes && now < verified.until =>
            {
                *verified
            }
            _ => {
                let verified = tokens.verify(token).map_err(|error| match error {
                    TokenError::Expired => {
                        (Reason::TokenExpired, format!("the token is not taken: {error}"))
                    }
                    _ => refused(error.to_string()),
                })?;
                known.token = Some((token.to_owned(), changes, verified));
                verified
            }
        };
        let caller = Caller { principal: verified.principal, authentication: Authentication::Jwt };
        Ok(Some(Identity { caller, until: Some(verified.until) }))
    }
}

/// What of the headers says who calls.
fn shown(headers: &HeaderMap) -> HeaderMap {
    let mut shown = HeaderMap::new();
    for name in [AUTHORIZATION.as_str(), PRINCIPAL_KEY] {
        for value in headers.get_all(name) {
            shown.append(HeaderName::from_static(name), value.clone());
        }
    }
    shown
}

/// The token of `Bearer TOKEN`.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
