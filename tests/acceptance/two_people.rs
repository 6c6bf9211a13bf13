//! What takes two people, on the command line of the real binary, up to the auditor.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::second_verifier::{python, second};
use crate::support::{Server, bergulir, last_json, run};

/// A served ledger, and officers at their desks.
struct Office {
    folder: tempfile::TempDir,
    server: Server,
}

impl Office {
    fn open() -> Office {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"));
        Office { folder, server }
    }

    /// What somebody types, words apart by blanks.
    fn types(&self, who: &str, line: &str) -> Output {
        bergulir(line.split(' ').chain(["--json"]))
            .env("BERGULIR_ADDRESS", &self.server.address)
            .env("BERGULIR_LEDGER", "kab")
            .env("BERGULIR_PRINCIPAL", who)
            .output()
            .unwrap()
    }

    /// It is accepted; the position of its record.
    #[track_caller]
    fn does(&self, who: &str, line: &str) -> String {
        let output = self.types(who, line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        last_json(&output)["receipt"]["position"].as_str().unwrap().to_owned()
    }

    /// It is refused; the reason.
    #[track_caller]
    fn is_refused(&self, who: &str, line: &str) -> String {
        let output = self.types(who, line);
        assert!(!output.status.success(), "{line}");
        let said: Value = serde_json::from_slice(&output.stderr).unwrap();
        said["error"]["reason"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned()
    }

    #[track_caller]
    fn sees(&self, line: &str) -> Value {
        let output = self.types("auditor", line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        last_json(&output)
    }

    /// A fund, a cooperative with an account, and an approved loan of Rp100,000,000.
    fn with_loan(self, terms: &str) -> Office {
        let open = "fund open dana --name Dana --opening-date 2025-01-02 --ceiling 3000000000 \
                    --rate 5 --method flat --tenor-months 36 --grace-months 3";
        for (who, line) in [
            ("ani", "ledger open --origin ledger.example.go.id/kab"),
            ("ani", &format!("{open}{terms}")),
            (
                "ani",
                "fund allocate dana --amount 5800000000 --source apbd --reference DPA --bank BJB \
                 --bank-reference ALLOC-1 --value-date 2025-01-02",
            ),
            ("ani", "coop register c1 --village 36.03.01.2003 --kind kdmp --name Cangkudu"),
            ("ani", "coop appoint c1 --office chair --officer ketua"),
            ("ani", "coop appoint c1 --office treasurer --officer bendahara"),
            (
                "ani",
                "account open a1 --fund dana --coop c1 --bank BJB --bank-account 001 \
                 --holder Cangkudu",
            ),
            (
                "ani",
                "loan propose l1 --fund dana --account a1 --amount 100000000 --contract SPK-1 \
                 --chair ketua --treasurer bendahara",
            ),
            ("budi", "loan approve l1"),
        ] {
            self.does(who, line);
        }
        self
    }

    /// Stops in order, and both verifiers find the log valid.
    fn passes_the_audit(self) {
        let data = self.folder.path().join("data");
        let bundle = self.folder.path().join("bundle");
        assert!(self.server.stop().success());
        let [data, path] = [&data, &bundle].map(|path| path.to_str().unwrap());
        for line in
            [vec!["audit", "verify", data], vec!["audit", "export", "--data", data, "--out", path]]
        {
            let output = run(line.iter().copied());
            assert!(output.status.success(), "{line:?}: {output:?}");
        }
        if python() {
            let (code, said) = second(&bundle, &[]);
            assert_eq!(code, Some(0), "{said}");
        }
    }
}

#[test]
fn a_disbursement_that_the_terms_leave_to_two_people() {
    let office = Office::open().with_loan(" --disbursement-approval-above 50000000");
    let paid = "--bank BJB --bank-reference TRF-1 --value-date 2025-02-03";
    let alone = format!("disburse l1 --amount 60000000 {paid}");
    assert_eq!(office.is_refused("ani", &alone), "NEEDS_SECOND_PERSON");
    let proposal = office.does("ani", "disbursement propose l1 --amount 60000000");
    let waiting = &office.sees("proposal list")["proposals"][0];
    assert_eq!(waiting["position"], proposal.as_str());
    assert_eq!(waiting["disbursement"]["loan"], "ledgers/kab/funds/dana/accounts/a1/loans/l1");
    let approve = format!("disbursement approve {proposal} {paid}");
    assert_eq!(office.is_refused("ani", &approve), "SAME_PERSON");
    office.does("budi", &approve);
    assert_eq!(office.is_refused("budi", &approve), "PROPOSAL_NOT_PENDING");
    let loan = office.sees("loan show l1");
    assert_eq!(loan["loan"]["balances"]["disbursed"]["units"], "60000000");
    // The rest is refused by the second person, and may be proposed anew.
    let rest = office.does("ani", "disbursement propose l1 --amount 40000000");
    let refuse = format!("proposal refuse {rest} --reason later");
    assert_eq!(office.is_refused("ani", &refuse), "SAME_PERSON");
    office.does("budi", &refuse);
    let again = office.does("ani", "disbursement propose l1 --amount 40000000");
    office.does("ani", &format!("proposal withdraw {again} --reason typo"));
    office.passes_the_audit();
}

#[test]
fn a_period_that_is_closed_by_two_people() {
    let office = Office::open().with_loan("");
    let close = "fund propose-close dana --through 2025-12-31 --reference LAP-2025";
    let proposal = office.does("ani", close);
    let waiting = &office.sees("proposal list")["proposals"][0];
    assert_eq!(waiting["periodClose"]["through"]["year"], 2025);
    assert_eq!(office.is_refused("ani", close), "PERIOD_CLOSE_PENDING");
    let approve = format!("fund approve-close {proposal}");
    assert_eq!(office.is_refused("ani", &approve), "SAME_PERSON");
    office.does("budi", &approve);
    let disburse = |day| {
        format!(
            "disburse l1 --amount 1000 --bank BJB --bank-reference TRF-{day} --value-date {day}"
        )
    };
    assert_eq!(office.is_refused("ani", &disburse("2025-12-31")), "PERIOD_CLOSED");
    office.does("ani", &disburse("2026-01-01"));
    assert_eq!(office.is_refused("ani", close), "PERIOD_OUT_OF_ORDER");
    assert_eq!(office.sees("fund show dana")["fund"]["closedThrough"]["month"], 12);
    // What it was closed with was sealed at once.
    let sealed = || office.sees("ledger show")["ledger"]["sealedThrough"].clone();
    let begun = Instant::now();
    while sealed().is_null() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(sealed().as_str().unwrap().parse::<u64>().unwrap() >= proposal.parse().unwrap());
    office.passes_the_audit();
}

#[test]
fn a_bank_account_that_is_changed_by_two_people() {
    let office = Office::open().with_loan("");
    let digest = "ab".repeat(32);
    let papers = format!("--reason closed --evidence letter/7 --evidence-digest {digest}");
    let change = |holder: &str| {
        format!(
            "account propose-bank-account a1 --fund dana --bank BRI --bank-account 0777 \
             --holder {holder} {papers}"
        )
    };
    assert_eq!(office.is_refused("ani", &change("Cisoka")), "HOLDER_NAME_MISMATCH");
    let proposal = office.does("ani", &change("Cangkudu"));
    let waiting = &office.sees("proposal list")["proposals"][0];
    assert_eq!(waiting["bankAccountChange"]["bankAccount"]["number"], "0777");
    assert_eq!(office.is_refused("ani", &change("Cangkudu")), "BANK_ACCOUNT_CHANGE_PENDING");
    let approve = format!("account approve-bank-account {proposal}");
    assert_eq!(office.is_refused("ani", &approve), "SAME_PERSON");
    // What is on its way goes first.
    let payment = office.does("ani", "disbursement propose l1 --amount 1000");
    assert_eq!(office.is_refused("budi", &approve), "DISBURSEMENT_PENDING");
    office.does("ani", &format!("proposal withdraw {payment} --reason wait"));
    office.does("budi", &approve);
    let account = office.sees("account show a1 --fund dana");
    assert_eq!(account["account"]["bankAccount"]["bank"], "BRI");
    office.passes_the_audit();
}

/// Rule 23, with the pilot's loan.
#[test]
fn a_write_off_by_two_people_and_what_comes_back() {
    let office = Office::open().with_loan("");
    let booked = |number| format!("--bank BJB --bank-reference W-{number} --value-date 2025-03-03");
    office.does("ani", &format!("disburse l1 --amount 100000000 {}", booked(1)));
    let paid = format!("repay l1 --amount 60000000 --pokok 60000000 {}", booked(2));
    office.does("ani", &paid);
    let digest = "cd".repeat(32);
    let propose = "write-off propose l1 --amount 40000000 --kind conditional --reason bubar";
    assert_eq!(office.is_refused("ani", propose), "INVALID_FIELD");
    let propose = format!("{propose} --evidence SK/7 --evidence-digest {digest}");
    let proposal = office.does("ani", &propose);
    let waiting = &office.sees("proposal list")["proposals"][0];
    assert_eq!(waiting["writeOff"]["amount"]["units"], "40000000");
    assert_eq!(waiting["writeOff"]["kind"], "WRITE_OFF_KIND_CONDITIONAL");
    assert_eq!(office.is_refused("ani", &propose), "WRITE_OFF_PENDING");
    let approve = format!("write-off approve {proposal} --value-date 2025-04-01");
    assert_eq!(office.is_refused("ani", &approve), "SAME_PERSON");
    let written_off = office.does("budi", &approve);

    let recover = |millions, number| {
        format!("write-off recover l1 --amount {millions}000000 {}", booked(number))
    };
    office.does("ani", &recover(25, 3));
    assert_eq!(office.is_refused("ani", &recover(20, 4)), "RECOVERY_EXCEEDED");
    let undo = format!("reversal propose {written_off} --reason mistake");
    assert_eq!(office.is_refused("ani", &undo), "WRITE_OFF_RECOVERED");
    let loan = &office.sees("loan show l1")["loan"];
    assert_eq!(loan["state"], "LOAN_STATE_WRITTEN_OFF");
    let units = |of: &Value, name: &str| of[name]["units"].as_str().unwrap_or("0").to_owned();
    let balances = &loan["balances"];
    for (name, millions) in
        [("outstanding", 0), ("writtenOff", 40), ("recovered", 25), ("recoverable", 15)]
    {
        assert_eq!(units(balances, name).parse::<i64>().unwrap(), millions * 1_000_000, "{name}");
    }
    let fund = office.sees("fund show dana");
    let fund = &fund["fund"]["balances"];
    // 5,800 m, less 100 m lent, with 60 m and 25 m back.
    assert_eq!(units(fund, "available"), "5785000000");
    assert_eq!(units(fund, "writeOffLoss"), "40000000");
    assert_eq!(units(fund, "recoveryIncome"), "25000000");
    let trial = office.sees("trial-balance");
    assert!(trial.to_string().contains("BOOK_WRITE_OFF_LOSS"), "{trial}");

    let absolute = format!(
        "write-off propose l1 --amount 15000000 --kind absolute --reason bubar --evidence SK/8 \
         --evidence-digest {digest}"
    );
    let proposal = office.does("ani", &absolute);
    office.does("budi", &format!("write-off approve {proposal} --value-date 2025-05-01"));
    assert_eq!(office.is_refused("ani", &recover(1, 5)), "CLAIM_ENDED");
    let late = format!("repay l1 --amount 1 --jasa 1 {}", booked(6));
    assert_eq!(office.is_refused("ani", &late), "CLAIM_ENDED");
    office.passes_the_audit();
}

#[test]
fn a_loan_that_gets_new_terms_by_two_people() {
    let office = Office::open().with_loan("");
    let booked = |number| format!("--bank BJB --bank-reference R-{number} --value-date 2025-03-03");
    let digest = "ef".repeat(32);
    let propose = format!(
        "restructuring propose l1 --effective-from 2025-06-01 --rate 4 --method declining \
         --tenor-months 48 --grace-months 6 --addendum ADD-1 --reason panen --evidence ADD/1 \
         --evidence-digest {digest}"
    );
    assert_eq!(office.is_refused("ani", &propose), "NOTHING_OUTSTANDING");
    office.does("ani", &format!("disburse l1 --amount 100000000 {}", booked(1)));
    let proposal = office.does("ani", &propose);
    let waiting = &office.sees("proposal list")["proposals"][0];
    assert_eq!(waiting["restructuring"]["terms"]["tenorMonths"], 48);
    assert_eq!(office.is_refused("ani", &propose), "RESTRUCTURING_PENDING");
    let approve = format!("restructuring approve {proposal}");
    assert_eq!(office.is_refused("ani", &approve), "SAME_PERSON");
    let approved = office.does("budi", &approve);
    // A payment of before is recorded after, and its answer says the terms, too.
    let paid = format!("repay l1 --amount 3030303 --pokok 3030303 {}", booked(2));
    let output = office.types("ani", &paid);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let loans = [last_json(&output)["loan"].clone(), office.sees("loan show l1")["loan"].clone()];
    for loan in loans {
        assert_eq!(loan["terms"]["tenorMonths"], 36);
        let new = &loan["restructurings"][0];
        assert_eq!(
            (&new["position"], &new["effectiveFrom"]["month"]),
            (&approved.as_str().into(), &6.into())
        );
        assert_eq!(
            (&new["terms"]["ratePercent"], &new["terms"]["tenorMonths"]),
            (&"4".into(), &48.into())
        );
        assert_eq!(loan["balances"]["outstanding"]["units"], "96969697");
    }
    office.passes_the_audit();
}
