//! Who a caller says it is. On plain loopback that is all that is known, and the record says that it
//! was not authenticated.

use crate::access::{Reason, denied};
use bergulir_chain::Authentication;
use bergulir_domain::PrincipalId;
use bergulir_engine::Caller;
use bergulir_proto::wire::InvalidFields;
use tonic::Status;
use tonic::codegen::http::HeaderMap;

/// The metadata key under which a caller states its principal.
pub const PRINCIPAL_KEY: &str = "bergulir-principal";

/// The principal that a caller states, if it does.
pub(crate) fn stated(headers: &HeaderMap) -> Result<Option<PrincipalId>, Status> {
    let mut stated = headers.get_all(PRINCIPAL_KEY).iter();
    let Some(principal) = stated.next() else { return Ok(None) };
    if stated.next().is_some() {
        return Err(InvalidFields::one(PRINCIPAL_KEY, "must be sent once").status());
    }
    let principal = principal
        .to_str()
        .map_err(|_| InvalidFields::one(PRINCIPAL_KEY, "must be ASCII").status())?;
    let principal = PrincipalId::new(principal)
        .map_err(|error| InvalidFields::one(PRINCIPAL_KEY, &error).status())?;
    not_the_server(principal).map(Some)
}

/// The principal, unless it is the server's own. However it is written: whoever reads the log must not
/// take a caller for the server.
pub(crate) fn not_the_server(principal: PrincipalId) -> Result<PrincipalId, Status> {
    if principal.as_str().eq_ignore_ascii_case(PrincipalId::SYSTEM) {
        let message = "the principal \"system\" is the server's own, in capitals too: call under \
                       another id";
        return Err(denied(Reason::ReservedPrincipal, message).status());
    }
    Ok(principal)
}

/// A caller who states its principal and proves nothing.
pub(crate) fn caller(headers: &HeaderMap) -> Result<Caller, Status> {
    let principal = stated(headers)?.ok_or_else(|| {
        let message = format!(
            "nobody is said to call: send the metadata {PRINCIPAL_KEY} with the id of who acts, \
             such as officer-1"
        );
        let missing = denied(Reason::PrincipalMissing, message);
        missing.with("metadata_key", PRINCIPAL_KEY).status()
    })?;
    Ok(Caller { principal, authentication: Authentication::Stated })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn stated(principals: &[&'static str]) -> Result<Caller, Code> {
        let mut headers = HeaderMap::new();
        for principal in principals {
            headers.append(PRINCIPAL_KEY, principal.parse().unwrap());
        }
        caller(&headers).map_err(|status| status.code())
    }

    #[test]
    fn a_caller_states_one_principal_that_is_not_the_servers() {
        let caller = stated(&["maker-1"]).unwrap();
        assert_eq!(caller.principal.as_str(), "maker-1");
        assert_eq!(caller.authentication, Authentication::Stated);
        assert_eq!(stated(&[]), Err(Code::Unauthenticated));
        assert_eq!(stated(&["a b"]), Err(Code::InvalidArgument));
        assert_eq!(stated(&[""]), Err(Code::InvalidArgument));
        assert_eq!(stated(&["maker", "checker"]), Err(Code::InvalidArgument));
        for system in ["system", "System", "SYSTEM"] {
            assert_eq!(stated(&[system]), Err(Code::PermissionDenied));
        }
    }
}
