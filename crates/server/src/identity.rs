//! Who calls. On plain loopback the caller states its principal, and the record says that it was
//! not authenticated.

use bergulir_chain::Authentication;
use bergulir_domain::PrincipalId;
use bergulir_engine::Caller;
use bergulir_proto::Described;
use bergulir_proto::wire::InvalidFields;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

/// The metadata key under which a caller states its principal.
pub const PRINCIPAL_KEY: &str = "bergulir-principal";

/// Who calls.
pub(crate) fn caller(metadata: &MetadataMap) -> Result<Caller, Status> {
    let mut stated = metadata.get_all(PRINCIPAL_KEY).iter();
    let Some(principal) = stated.next() else {
        let message = format!(
            "nobody is said to call: send the metadata {PRINCIPAL_KEY} with the id of who acts, \
             such as officer-1"
        );
        let missing = Described::new(Code::Unauthenticated, "PRINCIPAL_MISSING", message);
        return Err(missing.with("metadata_key", PRINCIPAL_KEY).status());
    };
    if stated.next().is_some() {
        return Err(InvalidFields::one(PRINCIPAL_KEY, "must be sent once").status());
    }
    let principal = principal
        .to_str()
        .map_err(|_| InvalidFields::one(PRINCIPAL_KEY, "must be ASCII").status())?;
    let principal = PrincipalId::new(principal)
        .map_err(|error| InvalidFields::one(PRINCIPAL_KEY, &error).status())?;
    if principal.as_str() == PrincipalId::SYSTEM {
        let message = "the principal \"system\" is the server's own: call under another id";
        let reserved = Described::new(Code::PermissionDenied, "RESERVED_PRINCIPAL", message);
        return Err(reserved.status());
    }
    Ok(Caller { principal, authentication: Authentication::Stated })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(principals: &[&'static str]) -> Result<Caller, Code> {
        let mut metadata = MetadataMap::new();
        for principal in principals {
            metadata.append(PRINCIPAL_KEY, principal.parse().unwrap());
        }
        caller(&metadata).map_err(|status| status.code())
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
        assert_eq!(stated(&["system"]), Err(Code::PermissionDenied));
    }
}
