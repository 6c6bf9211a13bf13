//! Scripts of lines of all kinds.

use super::messages::commands;
use super::people::PEOPLE;
use std::fmt::Write as _;

/// Names of lines, for changes, and of people.
pub(super) const WORDS: &[&str] = &[
    "\n",
    " ",
    "@",
    "?",
    "!1 ",
    "= ",
    "0",
    "1",
    "2",
    "200",
    "210",
    "240",
    "245",
    "Batch 3",
    "Stream 2",
    "Retry",
    "Call 7",
    "Ask",
    "CreateSeal",
    "ProposeLoan",
    "ApproveLoan",
    "Disburse",
    "Repay",
    "ProposeReversal",
    "ApproveReversal",
    "OpenLedger 1",
    "OpenLedger 2",
    "AdoptRules",
    "@nobody ",
    "@stranger ",
    "@late ",
    "@liar ",
    "@stating ",
    "@silent ",
    "@far ",
    "@few ",
    "@checker ",
    "@maker-2 ",
];

/// A script of lines of all kinds, more of those that go on from others.
pub(super) fn made(throw: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
    let others = ["Batch", "Stream", "Retry", "Call", "Ask", "CreateSeal"];
    let loans = [
        "ProposeLoan",
        "ApproveLoan",
        "Disburse",
        "Repay",
        "ProposeDisbursement",
        "ApproveDisbursement",
        "ProposeReversal",
        "ApproveReversal",
        "ProposeWriteOff",
        "ApproveWriteOff",
        "RecordRecovery",
        "ProposeRestructuring",
        "ApproveRestructuring",
        "ReturnDisbursement",
    ];
    let commands = commands();
    let mut script = format!("OpenLedger {}\n", throw(4));
    for _ in 0..10 + throw(60) {
        let word = match throw(8) {
            0 => others[throw(others.len())],
            1..4 => loans[throw(loans.len())],
            _ => &commands[throw(commands.len())],
        };
        if throw(12) == 0 {
            write!(script, "@{} ", PEOPLE[throw(PEOPLE.len())].name).unwrap();
        }
        match throw(30) {
            0 => script.push_str("? "),
            1 => script.push_str("= "),
            2 => script.push_str("=1 "),
            3 | 4 => write!(script, "!{} ", throw(1 << 30)).unwrap(),
            _ => {}
        }
        script.push_str(word);
        for _ in 0..throw(5) {
            let number = match throw(6) {
                0 => throw(256),
                1 => throw(100),
                2 => throw(6),
                _ => 0,
            };
            write!(script, " {number}").unwrap();
        }
        if word == "Call" {
            write!(script, " {}", throw(1 << 30)).unwrap();
        }
        script.push('\n');
    }
    script.into_bytes()
}
