//! The programme, small: from allocation to repayment, a wrong repayment among them.

use crate::support::*;
use bergulir_proto::pb;
use bergulir_proto::wire::Resource;

#[tokio::test]
async fn a_programme_goes_from_allocation_to_repayment() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(3).await;
    for n in 1..=3 {
        server.lend(n, 100_000_000).await;
    }
    for n in 1..=3 {
        let reference = format!("in-{n}");
        let reply = server.post("maker", repay(n, 3_030_303, 454_545, &reference)).await;
        let reply = reply.unwrap();
        let Some(Resource::Loan(loan)) = reply.resource else {
            panic!("a repayment concerns a loan: {:?}", reply.resource);
        };
        assert_eq!(loan.name, format!("{FUND}/accounts/a-{n}/loans/l-{n}"));
        assert_eq!(loan.state(), pb::LoanState::Disbursed);
        assert_eq!(loan.balances, reply.balances.unwrap().loan);
    }

    // The third pays again, and it is posted to the first.
    let wrong = server.post("maker", repay(1, 3_030_303, 454_545, "in-4")).await.unwrap();
    let wrong = wrong.receipt.unwrap().position;
    let proposed = server.post("maker", propose_reversal(wrong)).await.unwrap();
    let Some(Resource::Proposal(proposal)) = proposed.resource else {
        panic!("a proposal waits: {:?}", proposed.resource);
    };
    assert_eq!(proposal.fund, FUND);
    assert_eq!(proposal.maker, "maker");
    let undone = server.post("checker", approve_reversal(proposal.position)).await.unwrap();
    let undone = undone.receipt.unwrap().position;
    server.post("maker", repay(3, 3_030_303, 454_545, "in-4")).await.unwrap();

    let mut queries = server.queries();
    let request = pb::GetTrialBalanceRequest {
        name: KAB.to_owned(),
        ..pb::GetTrialBalanceRequest::default()
    };
    let trial = queries.get_trial_balance(request).await.unwrap().into_inner();
    assert_eq!(trial.as_of_position + 1, server.size().await);
    let [fund] = &trial.funds[..] else { panic!("one fund: {:?}", trial.funds) };
    assert_eq!(fund.total_debit, fund.total_credit);
    assert_eq!(fund.total_debit, rp(5_800_000_000 + 4 * 454_545));

    let request = pb::GetFundRequest { name: FUND.to_owned(), min_position: None };
    let fund = queries.get_fund(request).await.unwrap().into_inner().fund.unwrap();
    let balances = fund.balances.unwrap();
    assert_eq!(balances.principal_receivable, rp(300_000_000 - 4 * 3_030_303));
    assert_eq!(balances.available, rp(5_500_000_000 + 4 * 3_030_303));
    assert_eq!(balances.interest_income, rp(4 * 454_545));

    // All three events stay in the trail, with what became of the wrong one.
    let request = pb::ListTrailRequest {
        parent: format!("{FUND}/accounts/a-1"),
        ..pb::ListTrailRequest::default()
    };
    let trail = queries.list_trail(request).await.unwrap().into_inner();
    let line = |at: u64| {
        let found = trail.lines.iter().find(|line| line.position == at);
        found.unwrap_or_else(|| panic!("no line of {at}"))
    };
    assert_eq!(line(wrong).reversed_by, Some(undone));
    assert_eq!(line(undone).reverses, Some(wrong));
    for line in &trail.lines {
        let sum: i64 = line.postings.iter().map(|p| p.amount.as_ref().unwrap().units).sum();
        assert_eq!(sum, 0, "{line:?}");
    }
    let turned: Vec<_> = line(wrong)
        .postings
        .iter()
        .map(|posting| (posting.book, rp(-posting.amount.as_ref().unwrap().units)))
        .collect();
    let back: Vec<_> = line(undone)
        .postings
        .iter()
        .map(|posting| (posting.book, posting.amount.clone()))
        .collect();
    assert_eq!((turned.len(), turned), (3, back));
    let balance = account_balance(line(undone).balance.clone());
    assert_eq!(balance.outstanding, rp(100_000_000 - 3_030_303));
    server.stop().await;
}
