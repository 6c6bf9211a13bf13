//! Reads: what there is, pages, the past, and one's own writes.

use crate::support::*;
use bergulir_proto::pb;
use bergulir_proto::pb::command::Kind;
use bergulir_proto::pb::get_balance_request::AsOf;
use bergulir_proto::wire::Reply;
use tonic::Code;

/// A second loan of the first account.
fn propose_second_loan() -> Kind {
    match propose_loan(1, 1_000) {
        Kind::ProposeLoan(first) => {
            Kind::ProposeLoan(pb::ProposeLoan { loan: "second".to_owned(), ..first })
        }
        other => other,
    }
}

fn balance_of(name: &str, as_of: Option<AsOf>) -> pb::GetBalanceRequest {
    pb::GetBalanceRequest { name: name.to_owned(), min_position: None, as_of }
}

#[tokio::test]
async fn lists_come_in_pages_sorted_by_id() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(12).await;
    for n in 1..=12 {
        server.post("maker", propose_loan(n, 1_000_000)).await.unwrap();
    }
    server.post("checker", approve_loan(7)).await.unwrap();
    let mut queries = server.queries();
    let mut sorted: Vec<_> = (1..=12).map(|n| format!("{FUND}/accounts/a-{n}")).collect();
    sorted.sort();
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let request = pb::ListAccountsRequest {
            parent: FUND.to_owned(),
            page_size: 5,
            page_token: token,
            ..pb::ListAccountsRequest::default()
        };
        let page = queries.list_accounts(request).await.unwrap().into_inner();
        seen.extend(page.accounts.into_iter().map(|account| account.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, sorted);

    let loans = |parent: &str, state: pb::LoanState| pb::ListLoansRequest {
        parent: parent.to_owned(),
        state: state as i32,
        ..pb::ListLoansRequest::default()
    };
    let pending = queries.list_loans(loans(FUND, pb::LoanState::Pending)).await.unwrap();
    assert_eq!(pending.into_inner().loans.len(), 11);
    let of_account = format!("{FUND}/accounts/a-7");
    let approved = queries.list_loans(loans(&of_account, pb::LoanState::Approved)).await.unwrap();
    assert_eq!(approved.into_inner().loans[0].checker.as_deref(), Some("checker"));

    let cooperatives = pb::ListCooperativesRequest {
        parent: KAB.to_owned(),
        page_size: 1,
        ..pb::ListCooperativesRequest::default()
    };
    let page = queries.list_cooperatives(cooperatives).await.unwrap().into_inner();
    assert_eq!(page.cooperatives[0].name, "ledgers/kab/cooperatives/c-1");
    assert_eq!(page.cooperatives[0].chair.as_deref(), Some("chair-1"));
    // A token is for the list that it came with.
    let other = pb::ListAccountsRequest {
        parent: FUND.to_owned(),
        page_token: page.next_page_token,
        ..pb::ListAccountsRequest::default()
    };
    assert_eq!(reason(queries.list_accounts(other).await).1, "INVALID_FIELD");
    server.stop().await;
}

#[tokio::test]
async fn names_that_name_nothing_are_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(2).await;
    server.lend(1, 1_000).await;
    let mut queries = server.queries();
    for (name, expected) in [
        ("ledgers/no/funds/dana", "LEDGER_NOT_FOUND"),
        ("ledgers/kab/funds/no", "FUND_NOT_FOUND"),
        ("ledgers/kab/funds/dana/accounts/no", "ACCOUNT_NOT_FOUND"),
        ("ledgers/kab/loans/no", "LOAN_NOT_FOUND"),
        // Of another account.
        ("ledgers/kab/funds/dana/accounts/a-2/loans/l-1", "LOAN_NOT_FOUND"),
        ("ledgers/kab", "INVALID_FIELD"),
        ("ledgers/kab/cooperatives/c-1", "INVALID_FIELD"),
        ("", "INVALID_FIELD"),
    ] {
        let refused = queries.get_balance(balance_of(name, None)).await;
        assert_eq!(reason(refused).1, expected, "{name}");
    }
    let short = pb::GetLoanRequest { name: "ledgers/kab/loans/l-1".to_owned(), min_position: None };
    let loan = queries.get_loan(short).await.unwrap().into_inner().loan.unwrap();
    assert_eq!(loan.name, "ledgers/kab/funds/dana/accounts/a-1/loans/l-1");
    server.stop().await;
}

#[tokio::test]
async fn a_caller_reads_its_own_writes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    server.lend(1, 100_000_000).await;
    let mut queries = server.queries();
    for n in 1..=50 {
        let paid = server.post("maker", repay(1, 1_000, 0, &format!("in-{n}"))).await.unwrap();
        let position = paid.receipt.unwrap().position;
        // Without stating the position: what is acknowledged is read.
        let read = queries.get_balance(balance_of("ledgers/kab/loans/l-1", None)).await;
        let read = read.unwrap().into_inner();
        assert!(read.as_of_position >= position);
        assert_eq!(loan_balance(read.balance).principal_repaid, rp(n * 1_000));
    }
    let size = server.size().await;
    let request = pb::GetBalanceRequest { min_position: Some(size), ..balance_of(FUND, None) };
    let (code, info) = why(queries.get_balance(request).await);
    assert_eq!((code, info.reason.as_str()), (Code::FailedPrecondition, "POSITION_NOT_REACHED"));
    assert_eq!(info.metadata["log_size"], size.to_string());
    server.stop().await;
}

#[tokio::test]
async fn balances_of_the_past_are_what_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path()).await;
    server.prepare(2).await;
    let names = [FUND, "ledgers/kab/funds/dana/accounts/a-1", "ledgers/kab/loans/l-1"];
    let approve_second = Kind::ApproveLoan(pb::ApproveLoan { loan: "second".to_owned() });
    let mut told = Vec::new();
    server.post("maker", propose_loan(1, 100_000_000)).await.unwrap();
    for (who, kind) in [
        ("checker", approve_loan(1)),
        ("maker", disburse(1, 60_000_000, "out-1")),
        ("maker", propose_loan(2, 50_000_000)),
        ("maker", repay(1, 3_000_000, 454_545, "in-1")),
        ("checker", approve_loan(2)),
        // Another loan of the same account.
        ("maker", propose_second_loan()),
        ("checker", approve_second),
        ("maker", disburse(1, 40_000_000, "out-2")),
    ] {
        let reply = server.post(who, kind).await.unwrap();
        let receipt = reply.receipt.unwrap();
        let mut then = Vec::new();
        for name in names {
            let read = server.queries().get_balance(balance_of(name, None)).await;
            then.push(read.unwrap().into_inner().balance.unwrap());
        }
        told.push((receipt, then));
    }
    for round in 0..2 {
        let mut queries = server.queries();
        for (receipt, then) in &told {
            let by_position = pb::batch_get_balances_request::AsOf::AsOfPosition(receipt.position);
            let by_time =
                pb::batch_get_balances_request::AsOf::AsOfRecorded(receipt.recorded_at.unwrap());
            for as_of in [by_position, by_time] {
                let request = pb::BatchGetBalancesRequest {
                    parent: KAB.to_owned(),
                    names: names.map(str::to_owned).to_vec(),
                    min_position: None,
                    as_of: Some(as_of),
                };
                let read = queries.batch_get_balances(request).await.unwrap().into_inner();
                assert_eq!(read.as_of_position, receipt.position);
                assert_eq!(&read.balances, then, "round {round}, as of {as_of:?}");
            }
            let request = pb::GetTrialBalanceRequest {
                name: FUND.to_owned(),
                min_position: None,
                as_of: Some(pb::get_trial_balance_request::AsOf::AsOfPosition(receipt.position)),
            };
            let trial = queries.get_trial_balance(request).await.unwrap().into_inner();
            let cash = fund_balance(then.first().cloned()).cash;
            assert_eq!(trial.funds[0].lines[0].debit, cash);
            assert_eq!(trial.funds[0].total_debit, trial.funds[0].total_credit);
        }
        server = server.restart().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_moment_must_lie_in_the_ledgers_past() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let opened = server.post("maker", open_ledger("kab")).await.unwrap().receipt.unwrap();
    server.post("maker", open_fund()).await.unwrap();
    let items = (1..=3).map(|n| item(register(n))).collect();
    server.batch("maker", batch(pb::BatchMode::Atomic, items)).await.unwrap();
    let mut queries = server.queries();
    let mut ask = async |as_of| why(queries.get_balance(balance_of(FUND, Some(as_of))).await);

    // Before the fund: it is not there yet.
    let (code, info) = ask(AsOf::AsOfPosition(0)).await;
    assert_eq!((code, info.reason.as_str()), (Code::NotFound, "FUND_NOT_FOUND"));
    let (code, info) = ask(AsOf::AsOfPosition(9)).await;
    assert_eq!((code, info.reason.as_str()), (Code::FailedPrecondition, "POSITION_NOT_REACHED"));
    let (code, info) = ask(AsOf::AsOfPosition(3)).await;
    assert_eq!((code, info.reason.as_str()), (Code::FailedPrecondition, "INSIDE_BATCH"));
    assert_eq!((info.metadata["before"].as_str(), info.metadata["after"].as_str()), ("1", "4"));
    let mut before = opened.recorded_at.unwrap();
    before.seconds -= 1;
    let (code, info) = ask(AsOf::AsOfRecorded(before)).await;
    assert_eq!((code, info.reason.as_str()), (Code::InvalidArgument, "BEFORE_THE_LEDGER"));
    let mut later = opened.recorded_at.unwrap();
    later.seconds += 3_600;
    let (code, info) = ask(AsOf::AsOfRecorded(later)).await;
    assert_eq!((code, info.reason.as_str()), (Code::InvalidArgument, "IN_THE_FUTURE"));
    later.nanos = 1;
    assert_eq!(ask(AsOf::AsOfRecorded(later)).await.1.reason, "INVALID_FIELD");

    let contradiction = pb::GetBalanceRequest {
        min_position: Some(4),
        ..balance_of(FUND, Some(AsOf::AsOfPosition(1)))
    };
    assert_eq!(reason(server.queries().get_balance(contradiction).await).1, "INVALID_FIELD");
    server.stop().await;
}

async fn trail(server: &Server, parent: &str, page_size: i32) -> Vec<pb::TrailLine> {
    let (mut token, mut lines) = (String::new(), Vec::new());
    loop {
        let request = pb::ListTrailRequest {
            parent: parent.to_owned(),
            page_size,
            page_token: token,
            ..pb::ListTrailRequest::default()
        };
        let page = server.queries().list_trail(request).await.unwrap().into_inner();
        assert!(page.lines.len() <= usize::try_from(page_size).unwrap());
        lines.extend(page.lines);
        token = page.next_page_token;
        if token.is_empty() {
            return lines;
        }
    }
}

#[tokio::test]
async fn a_trail_holds_every_record_that_concerns_its_owner_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(2).await;
    server.lend(1, 50_000_000).await;
    server.lend(2, 50_000_000).await;
    for n in 1..=7 {
        server.post("maker", repay(1, 1_000, 10, &format!("in-1-{n}"))).await.unwrap();
        server.post("maker", repay(2, 1_000, 10, &format!("in-2-{n}"))).await.unwrap();
    }
    server.post("maker", propose_second_loan()).await.unwrap();

    let account = format!("{FUND}/accounts/a-1");
    let cooperative = "ledgers/kab/cooperatives/c-1";
    let kinds = |lines: &[pb::TrailLine]| lines.len();
    // Opened; proposed, approved, disbursed; seven repayments; the second proposed.
    assert_eq!(kinds(&trail(&server, &account, 1_000).await), 12);
    assert_eq!(kinds(&trail(&server, "ledgers/kab/loans/l-1", 1_000).await), 10);
    assert_eq!(kinds(&trail(&server, "ledgers/kab/loans/second", 1_000).await), 1);
    // Registered, chair, treasurer; and what its account has.
    assert_eq!(kinds(&trail(&server, cooperative, 1_000).await), 15);
    // Opened, allocated; and what its accounts have.
    assert_eq!(kinds(&trail(&server, FUND, 1_000).await), 2 + 12 + 11);

    for parent in [FUND, &account, cooperative, "ledgers/kab/loans/l-1"] {
        let whole = trail(&server, parent, 1_000).await;
        assert!(whole.is_sorted_by_key(|line| line.position), "{parent}");
        for size in [1, 3, 15] {
            assert_eq!(trail(&server, parent, size).await, whole, "{parent} by {size}");
        }
        for line in &whole {
            let record = pb::GetRecordRequest { ledger: KAB.to_owned(), position: line.position };
            let record = server.logs().get_record(record).await.unwrap().into_inner();
            let record = record.record.unwrap();
            assert_eq!(record.record_hash, line.record_hash);
            assert_eq!(record.event, line.event);
            assert_eq!(
                (&record.principal, &record.request_id),
                (&line.principal, &line.request_id)
            );
        }
    }
    // Each line shows the balance right after it.
    let loan = trail(&server, "ledgers/kab/loans/l-1", 1_000).await;
    let repaid = |line: &pb::TrailLine| loan_balance(line.balance.clone()).principal_repaid;
    assert_eq!(repaid(&loan[2]), rp(0));
    assert_eq!(repaid(&loan[9]), rp(7_000));

    let earlier = pb::ListTrailRequest {
        parent: "ledgers/kab/loans/l-1".to_owned(),
        as_of: Some(pb::list_trail_request::AsOf::AsOfPosition(loan[4].position)),
        ..pb::ListTrailRequest::default()
    };
    let earlier = server.queries().list_trail(earlier).await.unwrap().into_inner();
    assert_eq!(earlier.lines, loan[..5]);
    server.stop().await;
}

#[tokio::test]
async fn proposals_that_wait_are_listed_until_they_are_decided() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    server.post("maker", propose_loan(1, 1_000)).await.unwrap();
    let allocated = server.post("maker", allocate(7, "alloc-2")).await.unwrap();
    let allocated = allocated.receipt.unwrap().position;
    let proposed = server.post("maker", propose_reversal(allocated)).await.unwrap();
    let list = || pb::ListProposalsRequest {
        parent: KAB.to_owned(),
        ..pb::ListProposalsRequest::default()
    };
    let listed = server.queries().list_proposals(list()).await.unwrap().into_inner();
    let [proposal] = &listed.proposals[..] else { panic!("{:?}", listed.proposals) };
    let reversal = pb::PendingReversal { reverses: allocated };
    assert_eq!(proposal.kind, Some(pb::proposal::Kind::Reversal(reversal)));
    let at = proposed.receipt.unwrap().position;
    server.post("checker", approve_reversal(at)).await.unwrap();
    let listed = server.queries().list_proposals(list()).await.unwrap().into_inner();
    assert_eq!(listed.proposals, []);
    server.stop().await;
}

#[tokio::test]
async fn a_trail_shows_what_each_record_posted_and_undid() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    server.lend(1, 1_000).await;
    let at = |reply: Reply| reply.receipt.unwrap().position;
    let paid_out = server.size().await - 1;
    let back = Kind::ReturnDisbursement(pb::ReturnDisbursement {
        disbursement: paid_out,
        bank_reference: bank("back-1"),
        value_date: day(2024, 3, 5),
    });
    let back = at(server.post("maker", back).await.unwrap());
    let allocated = at(server.post("maker", allocate(50, "alloc-2")).await.unwrap());
    let withdraw = Kind::ProposeAllocationWithdrawal(pb::ProposeAllocationWithdrawal {
        fund: "dana".to_owned(),
        allocation: allocated,
        amount: rp(20),
        reason: "too much".to_owned(),
        expires_at: None,
    });
    let proposal = at(server.post("maker", withdraw).await.unwrap());
    let withdraw = Kind::ApproveAllocationWithdrawal(pb::ApproveAllocationWithdrawal {
        proposal,
        bank_reference: bank("out-of-fund"),
        value_date: day(2024, 4, 1),
    });
    let withdrawn = at(server.post("checker", withdraw).await.unwrap());
    let undo = at(server.post("maker", propose_reversal(withdrawn)).await.unwrap());
    let undone = at(server.post("checker", approve_reversal(undo)).await.unwrap());

    let lines = trail(&server, FUND, 1_000).await;
    let line = |at: u64| lines.iter().find(|line| line.position == at).unwrap();
    let posted = |at: u64| {
        let postings = line(at).postings.iter();
        let posted = postings.map(|p| (p.book(), p.amount.as_ref().unwrap().units));
        posted.collect::<Vec<_>>()
    };
    let (cash, capital) = (pb::Book::Cash, pb::Book::Capital);
    let receivable = pb::Book::PrincipalReceivable;
    assert_eq!(posted(paid_out), [(cash, -1_000), (receivable, 1_000)]);
    assert_eq!(posted(back), [(cash, 1_000), (receivable, -1_000)]);
    assert_eq!(posted(allocated), [(cash, 50), (capital, -50)]);
    assert_eq!(posted(proposal), []);
    assert_eq!(posted(withdrawn), [(cash, -20), (capital, 20)]);
    assert_eq!(posted(undone), [(cash, 20), (capital, -20)]);
    let links = |at: u64| (line(at).reverses, line(at).reversed_by);
    assert_eq!(links(paid_out), (None, Some(back)));
    assert_eq!(links(back), (Some(paid_out), None));
    assert_eq!(links(withdrawn), (None, Some(undone)));
    assert_eq!(links(undone), (Some(withdrawn), None));

    // Before it was undone, it was not.
    let earlier = pb::ListTrailRequest {
        parent: FUND.to_owned(),
        as_of: Some(pb::list_trail_request::AsOf::AsOfPosition(undo)),
        ..pb::ListTrailRequest::default()
    };
    let earlier = server.queries().list_trail(earlier).await.unwrap().into_inner();
    let earlier = earlier.lines.iter().find(|line| line.position == withdrawn);
    assert_eq!(earlier.unwrap().reversed_by, None);
    server.stop().await;
}
