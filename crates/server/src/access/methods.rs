//! The table of everything that can be called: which roles it takes, and what it concerns. What is not
//! in it cannot be called once callers are authenticated; a test compares it with the descriptors of
//! the services.

use super::roles::Roles;
use bergulir_domain::command::Payee;
use bergulir_domain::{Command, FundId, LoanId, Position};
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a method takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The path of the method; for files over HTTP, "http:" and what they are.
    pub(crate) method: &'static str,
    /// One of these is needed.
    pub(crate) roles: Roles,
    pub(crate) of: Of,
    /// Whether a call may last for long, so that it is asked again and again whether it may go on.
    pub(crate) lasts: bool,
}

/// Where a role is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// Nowhere, and nobody has to say who calls; but who asks of a ledger needs it there.
    Anyone,
    /// In some ledger.
    SomeLedger,
    /// In the ledger, or in any of its funds; what is answered is of those funds only, or of none.
    SomeFund,
    /// In the fund that the call concerns.
    Fund,
    /// In the whole ledger.
    Ledger,
}

const MAKER: Roles = Roles::MAKER;
const CHECKER: Roles = Roles::CHECKER;
const OPERATOR: Roles = Roles::OPERATOR;
const READERS: Roles = Roles::MAKER.and(Roles::CHECKER).and(Roles::AUDITOR);

/// What a command concerns, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Ledger,
    Fund(FundId),
    /// The fund of a loan.
    Loan(LoanId),
    /// The fund that a record concerns.
    Record(Position),
}

macro_rules! place {
    (ledger, $command:ident) => {
        Place::Ledger
    };
    (fund, $command:ident) => {
        Place::Fund($command.fund)
    };
    (loan, $command:ident) => {
        Place::Loan($command.loan)
    };
    (payee, $command:ident) => {
        match $command.payee {
            Payee::Loan(loan) => Place::Loan(loan),
            Payee::Grant { fund, .. } => Place::Fund(fund),
        }
    };
    ($record:ident, $command:ident) => {
        Place::Record($command.$record)
    };
}

macro_rules! of {
    (ledger) => {
        Of::Ledger
    };
    ($place:ident) => {
        Of::Fund
    };
}

macro_rules! commands {
    ($($command:ident: $roles:ident of $place:ident;)+) => {
        /// Every command.
        const COMMANDS: &[Rule] = &[$(commands!(rule $command $roles $place)),+];

        /// The rule of a command, by itself or in a batch, and what it concerns.
        pub(crate) fn of_command(command: &Command) -> (&'static Rule, Place) {
            match command {
                $(
                    #[allow(unused_variables, reason = "not every command says what it concerns")]
                    Command::$command(command) => {
                        const RULE: Rule = commands!(rule $command $roles $place);
                        (&RULE, place!($place, command))
                    }
                )+
                Command::ContinueLedger(_) | Command::Seal(_) => (&NOT_ASKED, Place::Ledger),
            }
        }
    };
    (rule $command:ident $roles:ident $place:ident) => {
        Rule {
            method: concat!("/bergulir.v1.LedgerService/", stringify!($command)),
            roles: $roles,
            of: of!($place),
            lasts: false,
        }
    };
}

/// What nobody asks a server for.
const NOT_ASKED: Rule = Rule { method: "", roles: Roles::NONE, of: Of::Ledger, lasts: false };

commands! {
    OpenLedger: OPERATOR of ledger;
    AdoptRules: OPERATOR of ledger;
    RotateKey: OPERATOR of ledger;
    OpenFund: MAKER of ledger;
    ChangeTerms: MAKER of fund;
    AllocateFund: MAKER of fund;
    ProposeAllocationWithdrawal: MAKER of fund;
    ApproveAllocationWithdrawal: CHECKER of proposal;
    ProposePeriodClose: MAKER of fund;
    ApprovePeriodClose: CHECKER of proposal;
    RegisterCooperative: MAKER of ledger;
    AppointOfficer: MAKER of ledger;
    ConfirmReadiness: MAKER of ledger;
    OpenAccount: MAKER of fund;
    ProposeBankAccountChange: MAKER of fund;
    ApproveBankAccountChange: CHECKER of proposal;
    SuspendAccount: MAKER of fund;
    ResumeAccount: MAKER of fund;
    CloseAccount: MAKER of fund;
    ProposeLoan: MAKER of fund;
    ApproveLoan: CHECKER of loan;
    RefuseLoan: CHECKER of loan;
    WithdrawLoan: MAKER of loan;
    Disburse: MAKER of loan;
    ProposeDisbursement: MAKER of payee;
    ApproveDisbursement: CHECKER of proposal;
    DisburseGrant: MAKER of fund;
    ReturnDisbursement: MAKER of disbursement;
    Repay: MAKER of loan;
    ProposeWriteOff: MAKER of loan;
    ApproveWriteOff: CHECKER of proposal;
    RecordRecovery: MAKER of loan;
    ProposeRestructuring: MAKER of loan;
    ApproveRestructuring: CHECKER of proposal;
    ProposeReversal: MAKER of reverses;
    ApproveReversal: CHECKER of proposal;
    RefuseProposal: CHECKER of proposal;
    WithdrawProposal: MAKER of proposal;
}

const fn rule(method: &'static str, roles: Roles, of: Of) -> Rule {
    Rule { method, roles, of, lasts: false }
}

/// The same for a stream.
const fn lasting(method: &'static str, roles: Roles, of: Of) -> Rule {
    Rule { method, roles, of, lasts: true }
}

/// The making of a seal, which other methods ask for too.
pub(crate) const CREATE_SEAL: Rule =
    rule("/bergulir.v1.LedgerService/CreateSeal", OPERATOR, Of::Ledger);

/// Files of the static log.
pub(crate) const HTTP_LIST: Rule = rule("http:list", Roles::ALL, Of::SomeLedger);
pub(crate) const HTTP_CHECKPOINT: Rule = rule("http:checkpoint", Roles::ALL, Of::SomeFund);
pub(crate) const HTTP_TILE: Rule =
    rule("http:tile", Roles::AUDITOR.and(Roles::OPERATOR), Of::Ledger);
pub(crate) const HTTP_BUNDLE: Rule =
    rule("http:bundle", Roles::AUDITOR.and(Roles::OPERATOR), Of::Ledger);

/// Everything else.
const OTHERS: &[Rule] = &[
    CREATE_SEAL,
    // Each command of them is checked by its own rule.
    rule(
        "/bergulir.v1.LedgerService/SubmitBatch",
        Roles::MAKER.and(Roles::CHECKER).and(Roles::OPERATOR),
        Of::SomeFund,
    ),
    lasting(
        "/bergulir.v1.LedgerService/SubmitStream",
        Roles::MAKER.and(Roles::CHECKER).and(Roles::OPERATOR),
        Of::SomeFund,
    ),
    // How long a ledger is and whether it works says nothing of money.
    rule("/bergulir.v1.QueryService/GetLedger", Roles::ALL, Of::SomeFund),
    rule("/bergulir.v1.QueryService/ListLedgers", Roles::ALL, Of::SomeLedger),
    rule("/bergulir.v1.QueryService/GetFund", READERS, Of::Fund),
    rule("/bergulir.v1.QueryService/ListFunds", READERS, Of::SomeFund),
    // Cooperatives belong to no fund, and have no money by themselves.
    rule("/bergulir.v1.QueryService/GetCooperative", READERS, Of::SomeFund),
    rule("/bergulir.v1.QueryService/ListCooperatives", READERS, Of::SomeFund),
    rule("/bergulir.v1.QueryService/GetAccount", READERS, Of::Fund),
    rule("/bergulir.v1.QueryService/ListAccounts", READERS, Of::Fund),
    rule("/bergulir.v1.QueryService/GetLoan", READERS, Of::Fund),
    rule("/bergulir.v1.QueryService/ListLoans", READERS, Of::Fund),
    rule("/bergulir.v1.QueryService/ListProposals", READERS, Of::SomeFund),
    rule("/bergulir.v1.QueryService/GetBalance", READERS, Of::Fund),
    rule("/bergulir.v1.QueryService/BatchGetBalances", READERS, Of::Fund),
    // That of a cooperative, which has accounts in many funds, takes the whole ledger.
    rule("/bergulir.v1.QueryService/ListTrail", READERS, Of::Fund),
    rule("/bergulir.v1.QueryService/GetTrialBalance", READERS, Of::Fund),
    rule("/bergulir.v1.LogService/GetHead", Roles::ALL, Of::SomeFund),
    rule("/bergulir.v1.LogService/GetRecord", READERS, Of::Ledger),
    // Everyone's money: for auditors, and for the backup.
    lasting("/bergulir.v1.LogService/ReadRecords", Roles::AUDITOR.and(Roles::OPERATOR), Of::Ledger),
    lasting("/bergulir.v1.LogService/Subscribe", Roles::AUDITOR, Of::Ledger),
    rule("/bergulir.v1.BackupService/ListBackupLedgers", OPERATOR, Of::SomeLedger),
    lasting("/bergulir.v1.BackupService/ReadBackup", OPERATOR, Of::Ledger),
    // Hashes and signatures.
    rule("/bergulir.v1.LogService/GetCheckpoint", Roles::ALL, Of::SomeFund),
    rule("/bergulir.v1.LogService/GetConsistencyProof", Roles::ALL, Of::SomeFund),
    // Holds the record.
    rule("/bergulir.v1.LogService/GetInclusionProof", READERS, Of::Ledger),
    // May show the balances beside those that are asked for.
    rule("/bergulir.v1.LogService/GetBalanceProof", READERS, Of::Ledger),
    // What balances load asks, often without being known. Of a ledger it takes a role there.
    rule("/grpc.health.v1.Health/Check", Roles::ALL, Of::Anyone),
    lasting("/grpc.health.v1.Health/Watch", Roles::ALL, Of::SomeLedger),
    lasting(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        Roles::ALL,
        Of::SomeLedger,
    ),
    lasting(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        Roles::ALL,
        Of::SomeLedger,
    ),
    HTTP_LIST,
    HTTP_CHECKPOINT,
    HTTP_TILE,
    HTTP_BUNDLE,
];

/// The whole table.
pub(crate) fn all() -> impl Iterator<Item = &'static Rule> {
    COMMANDS.iter().chain(OTHERS)
}

/// The rule of a method, and its place in the table.
pub(crate) fn of_path(path: &str) -> Option<(usize, &'static Rule)> {
    static BY_PATH: LazyLock<HashMap<&'static str, (usize, &'static Rule)>> =
        LazyLock::new(|| all().enumerate().map(|(at, rule)| (rule.method, (at, rule))).collect());
    BY_PATH.get(path).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_proto::pb;
    use prost::Message as _;
    use prost_types::FileDescriptorSet;
    use std::collections::BTreeSet;

    fn methods(descriptors: &[u8]) -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(descriptors).unwrap();
        let mut methods = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let (package, service) = (file.package(), service.name());
                    methods.insert(format!("/{package}.{service}/{}", method.name()));
                }
            }
        }
        methods
    }

    #[test]
    fn every_method_of_every_service_has_a_rule_and_nothing_else_has() {
        let compiled: BTreeSet<String> = [
            pb::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ]
        .into_iter()
        .flat_map(methods)
        .collect();
        let listed = all().map(|rule| rule.method.to_owned());
        let listed: Vec<String> = listed.filter(|method| !method.starts_with("http:")).collect();
        assert_eq!(listed.len(), listed.iter().collect::<BTreeSet<_>>().len());
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), compiled);
    }

    #[test]
    fn a_command_takes_the_same_alone_and_in_a_batch() {
        for rule in COMMANDS {
            assert_eq!(of_path(rule.method).map(|(_, found)| found), Some(rule));
        }
        let command = Command::ApproveLoan(bergulir_domain::command::ApproveLoan {
            loan: LoanId::new("l").unwrap(),
        });
        let (rule, place) = of_command(&command);
        assert_eq!(Some(rule), of_path("/bergulir.v1.LedgerService/ApproveLoan").map(|(_, r)| r));
        assert_eq!(place, Place::Loan(LoanId::new("l").unwrap()));
    }

    #[test]
    fn who_proposes_needs_another_role_than_who_decides() {
        let proposing = ["Propose", "Withdraw", "Disburse", "Repay", "Return"];
        for rule in COMMANDS {
            let (_, name) = rule.method.rsplit_once('/').unwrap();
            if name.starts_with("Approve") || name.starts_with("Refuse") {
                assert_eq!(rule.roles, CHECKER, "{name}");
            } else if proposing.iter().any(|begin| name.starts_with(begin)) {
                assert_eq!(rule.roles, MAKER, "{name}");
            }
            assert!(!rule.roles.meet(Roles::AUDITOR), "an auditor writes nothing: {name}");
        }
    }

    #[test]
    fn everyones_money_is_for_auditors() {
        for method in ["ReadRecords", "Subscribe"] {
            let (_, rule) = of_path(&format!("/bergulir.v1.LogService/{method}")).unwrap();
            assert!(rule.of == Of::Ledger && !rule.roles.meet(MAKER | CHECKER), "{method}");
        }
        for rule in [HTTP_TILE, HTTP_BUNDLE] {
            assert!(rule.of == Of::Ledger && !rule.roles.meet(MAKER | CHECKER), "{rule:?}");
        }
    }
}
