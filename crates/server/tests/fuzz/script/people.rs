//! Who calls, what they may do, and how they prove who they are.

use crate::guard::{AUDIENCE, Files, ISSUER, Signer, dial, grants, now, options};
use crate::support::Server;
use bergulir_proto::pb::Authentication;
use bergulir_server::AuthOptions;
use std::path::Path;
use tonic::transport::Channel;

/// What a command takes, in the words of the office and not of the server's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Maker,
    Checker,
    Operator,
}

impl Role {
    /// What a command of this name takes: who makes, who checks, who runs the machine.
    pub(super) fn of(command: &str) -> Role {
        match command {
            "OpenLedger" | "AdoptRules" | "RotateKey" | "CreateSeal" => Role::Operator,
            _ if command.starts_with("Approve") || command.starts_with("Refuse") => Role::Checker,
            _ => Role::Maker,
        }
    }
}

/// Somebody who calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    pub(super) name: &'static str,
    /// As what a record would name them.
    pub(super) principal: &'static str,
    roles: &'static str,
    how: How,
}

/// How somebody proves who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Token,
    Certificate,
    /// A token of a key that the server does not know.
    Strange,
    /// One that has expired.
    Late,
    /// One that is good, beside the statement of being somebody else.
    Lie,
    /// The statement alone.
    Stated,
    Nothing,
}

const fn person(name: &'static str, roles: &'static str, how: How) -> Person {
    Person { name, principal: name, roles, how }
}

/// Those who come, the first with each role being who should. The last six have no role anywhere.
pub(super) const PEOPLE: [Person; 16] = [
    person("maker", "maker", How::Token),
    person("checker", "checker", How::Token),
    person("operator", "operator", How::Token),
    Person {
        principal: "spiffe://go.id/maker",
        ..person("maker-2", "maker auditor", How::Certificate)
    },
    Person {
        principal: "spiffe://go.id/checker",
        ..person("checker-2", "checker", How::Certificate)
    },
    person("both", "maker checker", How::Token),
    person("auditor", "auditor", How::Token),
    person("few", "maker checker", How::Token),
    person("far", "maker checker operator auditor", How::Token),
    person("nobody", "", How::Token),
    Person { principal: "spiffe://go.id/nobody", ..person("nobody-2", "", How::Certificate) },
    Person { principal: "maker", ..person("stranger", "", How::Strange) },
    Person { principal: "checker", ..person("late", "", How::Late) },
    Person { principal: "operator", ..person("liar", "", How::Lie) },
    Person { principal: "maker", ..person("stating", "", How::Stated) },
    Person { principal: "maker", ..person("silent", "", How::Nothing) },
];

/// The ledger of `far`, whose roles end there.
const ELSEWHERE: &str = "kota";

impl Person {
    pub(super) fn named(name: &str) -> Option<Person> {
        PEOPLE.into_iter().find(|person| person.name == name)
    }

    /// Whether nothing at all may be answered.
    pub(super) fn has_no_role(self) -> bool {
        self.roles.is_empty()
    }

    /// Whether a command that takes this role may be taken, in some fund of a ledger that scripts are about.
    pub(super) fn may(self, role: Role) -> bool {
        let word = match role {
            Role::Maker => "maker",
            Role::Checker => "checker",
            Role::Operator => "operator",
        };
        self.name != "far" && self.roles.split(' ').any(|role| role == word)
    }

    /// How a record would say that they were known.
    fn authentication(self) -> Authentication {
        match self.how {
            How::Certificate => Authentication::MutualTls,
            _ => Authentication::Jwt,
        }
    }
}

/// A server, and what calls of it carry.
pub(super) enum Door {
    /// On loopback: callers state who they are, and may do everything.
    Open,
    /// Under TLS, with certificates and tokens, and roles.
    Guarded(Box<Guard>),
}

/// What those have who come to a guarded door.
pub(super) struct Guard {
    _files: Files,
    signer: Signer,
    stranger: Signer,
    late: String,
    certificates: Vec<(&'static str, Channel)>,
}

impl Door {
    /// A server whose scripts are about these ledgers, and its door.
    pub(super) async fn of(guarded: bool, data: &Path, ledgers: &[String]) -> (Server, Door) {
        if !guarded {
            return (Server::start(data).await, Door::Open);
        }
        let (files, signer, stranger) = (Files::new(), Signer::ed(), Signer::ed());
        files.put_keys(&[signer.jwk("k")]);
        let mut all: Vec<(&str, String)> = Vec::new();
        for Person { name, principal, roles, .. } in
            PEOPLE.into_iter().filter(|who| !who.has_no_role())
        {
            match name {
                "far" => all.push((principal, format!("{roles} @ {ELSEWHERE}"))),
                "few" => all.extend(
                    ledgers.iter().map(|ledger| (principal, format!("{roles} @ {ledger} : hibah"))),
                ),
                _ => all.push((principal, format!("{roles} @ *"))),
            }
        }
        let all: Vec<(&str, &str)> = all.iter().map(|(who, what)| (*who, what.as_str())).collect();
        let mut options = options(data);
        options.tls = Some(files.tls(Some(false)));
        options.auth = AuthOptions { tokens: Some(files.tokens()), grants: Some(grants(&all)) };
        let mut server = Server::run_unconnected(options).await;
        server.channel = dial(server.address, &files.authority, None).await.unwrap();
        let mut certificates = Vec::new();
        for who in PEOPLE.into_iter().filter(|who| who.how == How::Certificate) {
            let papers = files.authority.officer(who.principal);
            let dialled = dial(server.address, &files.authority, Some(&papers)).await.unwrap();
            certificates.push((who.name, dialled));
        }
        let expired = format!(
            r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"checker","exp":{}}}"#,
            now() - 600
        );
        let late = signer.sign(r#"{"alg":"EdDSA","kid":"k","typ":"JWT"}"#, &expired);
        let guard = Guard { _files: files, signer, stranger, late, certificates };
        (server, Door::Guarded(Box::new(guard)))
    }

    /// How somebody calls.
    pub(super) fn caller(&self, server: &Server, name: &str) -> Caller {
        let channel = server.channel.clone();
        let Door::Guarded(guard) = self else {
            return Caller {
                channel,
                stated: Some(name.to_owned()).filter(|name| name != "silent"),
                authorization: None,
                recorded: (name.to_owned(), Authentication::Stated),
                person: None,
            };
        };
        let Guard { signer, stranger, late, certificates, .. } = &**guard;
        let person = Person::named(name).unwrap_or(PEOPLE[PEOPLE.len() - 1]);
        let certificate = certificates.iter().find(|(of, _)| *of == person.name);
        let bearing = |token: String| Some(format!("Bearer {token}"));
        Caller {
            channel: certificate.map_or(channel, |(_, channel)| channel.clone()),
            stated: match person.how {
                How::Lie => Some("operator".to_owned()),
                How::Stated => Some(person.principal.to_owned()),
                _ => None,
            },
            authorization: match person.how {
                How::Token => bearing(signer.token(person.principal)),
                How::Strange => bearing(stranger.token(person.principal)),
                How::Late => bearing(late.clone()),
                How::Lie => bearing(signer.token("auditor")),
                How::Certificate | How::Stated | How::Nothing => None,
            },
            recorded: (person.principal.to_owned(), person.authentication()),
            person: Some(person),
        }
    }
}

/// Who calls, as a call carries it.
pub(super) struct Caller {
    pub(super) channel: Channel,
    pub(super) stated: Option<String>,
    pub(super) authorization: Option<String>,
    /// The principal and its authentication, as a record of a call would have them.
    pub(super) recorded: (String, Authentication),
    /// Who that is; `None` where everybody may do everything.
    pub(super) person: Option<Person>,
}
