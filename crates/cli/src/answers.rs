//! How each answer of the server is shown to people.

use bergulir_proto::pb;

use crate::output::{Answer, Page, count, hex, instant, money};
use crate::{show, words};

/// An answer to a command: receipt, balances, and the thing that it concerned.
macro_rules! receipts {
    ($($response:ident { $field:ident: $show:ident }),+ $(,)?) => {$(
        impl Answer for pb::$response {
            const MESSAGE: &'static str = stringify!($response);
            fn show(&self, page: &mut Page) {
                show::receipt(page, self.receipt.as_ref());
                match &self.$field {
                    Some(thing) => show::$show(page, thing),
                    None => show::balances(page, self.balances.as_ref()),
                }
            }
        }
    )+};
}

receipts! {
    OpenLedgerResponse { ledger: ledger },
    AdoptRulesResponse { ledger: ledger },
    RotateKeyResponse { ledger: ledger },
    OpenFundResponse { fund: fund },
    ChangeTermsResponse { fund: fund },
    AllocateFundResponse { fund: fund_money },
    ProposeAllocationWithdrawalResponse { proposal: proposal },
    ApproveAllocationWithdrawalResponse { fund: fund_money },
    ProposePeriodCloseResponse { proposal: proposal },
    ApprovePeriodCloseResponse { fund: fund },
    RegisterCooperativeResponse { cooperative: cooperative },
    AppointOfficerResponse { cooperative: cooperative },
    ConfirmReadinessResponse { cooperative: cooperative },
    OpenAccountResponse { account: account },
    SuspendAccountResponse { account: account },
    ResumeAccountResponse { account: account },
    CloseAccountResponse { account: account },
    ProposeBankAccountChangeResponse { proposal: proposal },
    ApproveBankAccountChangeResponse { account: account },
    ProposeLoanResponse { loan: loan },
    ApproveLoanResponse { loan: loan },
    RefuseLoanResponse { loan: loan },
    WithdrawLoanResponse { loan: loan },
    DisburseResponse { loan: loan },
    DisburseGrantResponse { account: account },
    ProposeDisbursementResponse { proposal: proposal },
    ApproveDisbursementResponse { account: account },
    ReturnDisbursementResponse { account: account },
    RepayResponse { loan: loan },
    ProposeWriteOffResponse { proposal: proposal },
    ApproveWriteOffResponse { loan: loan },
    RecordRecoveryResponse { loan: loan },
    ProposeRestructuringResponse { proposal: proposal },
    ApproveRestructuringResponse { loan: loan },
    ProposeReversalResponse { proposal: proposal },
    ApproveReversalResponse { fund: fund_money },
    RefuseProposalResponse { fund: fund_money },
    WithdrawProposalResponse { fund: fund_money },
}

impl Answer for pb::CreateSealResponse {
    const MESSAGE: &'static str = "CreateSealResponse";
    fn show(&self, page: &mut Page) {
        show::receipt(page, self.receipt.as_ref());
        page.facts(
            "Segel / Seal",
            &[
                ("Sampai posisi / Through position", self.through.to_string()),
                ("Akar saldo / Balance root", hex(&self.balance_root)),
                ("Sidik keadaan / State digest", hex(&self.state_digest)),
            ],
        );
    }
}

/// One thing, and the position it is as of.
macro_rules! things {
    ($($response:ident { $field:ident: $show:ident }),+ $(,)?) => {$(
        impl Answer for pb::$response {
            const MESSAGE: &'static str = stringify!($response);
            fn show(&self, page: &mut Page) {
                if let Some(thing) = &self.$field {
                    show::$show(page, thing);
                }
                as_of(page, self.as_of_position);
            }
        }
    )+};
}

things! {
    GetLedgerResponse { ledger: ledger },
    GetFundResponse { fund: fund },
    GetCooperativeResponse { cooperative: cooperative },
    GetAccountResponse { account: account },
    GetLoanResponse { loan: loan },
}

/// Where a question was answered.
pub(crate) fn as_of(page: &mut Page, position: u64) {
    page.line(format_args!("Per posisi / As of position {position}"));
}

impl Answer for pb::GetBalanceResponse {
    const MESSAGE: &'static str = "GetBalanceResponse";
    fn show(&self, page: &mut Page) {
        show::balance(page, self.balance.as_ref());
        as_of(page, self.as_of_position);
    }
}

impl Answer for pb::BatchGetBalancesResponse {
    const MESSAGE: &'static str = "BatchGetBalancesResponse";
    fn show(&self, page: &mut Page) {
        for balance in &self.balances {
            show::balance(page, Some(balance));
        }
        as_of(page, self.as_of_position);
    }
}

impl Answer for pb::GetTrialBalanceResponse {
    const MESSAGE: &'static str = "GetTrialBalanceResponse";
    fn show(&self, page: &mut Page) {
        for fund in &self.funds {
            page.line(format_args!("Neraca saldo / Trial balance: {}", fund.fund));
            let total = vec![
                "Jumlah / Total".to_owned(),
                money(fund.total_debit.as_ref()),
                money(fund.total_credit.as_ref()),
            ];
            let lines = fund.lines.iter().map(|line| {
                vec![
                    words::book(line.book).to_owned(),
                    money(line.debit.as_ref()),
                    money(line.credit.as_ref()),
                ]
            });
            page.rows(&["Buku / Book", "Debit", "Kredit / Credit"], 1, lines.chain([total]));
        }
        as_of(page, self.as_of_position);
    }
}

impl Answer for pb::GetHeadResponse {
    const MESSAGE: &'static str = "GetHeadResponse";
    fn show(&self, page: &mut Page) {
        page.facts(
            "Kepala / Head",
            &[
                ("Jumlah catatan / Records", count(self.log_size)),
                ("Sidik / Hash", hex(&self.record_hash)),
                ("Dicatat / Recorded at", instant(self.recorded_at.as_ref())),
            ],
        );
    }
}

impl Answer for pb::GetRecordResponse {
    const MESSAGE: &'static str = "GetRecordResponse";
    fn show(&self, page: &mut Page) {
        let Some(record) = &self.record else { return };
        page.facts(
            "Catatan / Record",
            &[
                ("Posisi / Position", record.position.to_string()),
                ("Sidik / Hash", hex(&record.record_hash)),
                ("Sidik sebelumnya / Previous hash", hex(&record.previous_hash)),
                ("Dicatat / Recorded at", instant(record.recorded_at.as_ref())),
                ("Oleh / By", record.principal.clone()),
                ("Permintaan / Request id", record.request_id.clone()),
                ("Menyusul / Following", record.following.to_string()),
                ("Kejadian / Event", words::event(record.event.as_ref()).to_owned()),
                ("Bita / Bytes", hex(&record.record)),
            ],
        );
    }
}

impl Answer for pb::GetCheckpointResponse {
    const MESSAGE: &'static str = "GetCheckpointResponse";
    fn show(&self, page: &mut Page) {
        if let Some(checkpoint) = &self.checkpoint {
            page.facts("Titik periksa / Checkpoint", &checkpoint_facts(checkpoint));
        }
        match &self.witnessed {
            Some(witnessed) => {
                page.facts("Disaksikan / Witnessed", &checkpoint_facts(witnessed));
            }
            None => page.line("Disaksikan / Witnessed: belum ada / none yet"),
        }
        for checkpoint in [&self.checkpoint, &self.witnessed].into_iter().flatten() {
            page.line(format_args!("\n{}", checkpoint.note.trim_end()));
        }
    }
}

fn checkpoint_facts(checkpoint: &pb::Checkpoint) -> [(&'static str, String); 3] {
    [
        ("Log / Origin", checkpoint.origin.clone()),
        ("Jumlah catatan / Records", count(checkpoint.log_size)),
        ("Akar / Root hash", hex(&checkpoint.root_hash)),
    ]
}

/// Under which checkpoint a proof is.
fn under(checkpoint: Option<&pb::Checkpoint>) -> String {
    checkpoint.map_or_else(
        || "tidak ada / none of this size".to_owned(),
        |checkpoint| format!("{} ({})", count(checkpoint.log_size), checkpoint.origin),
    )
}

fn path(page: &mut Page, hashes: &[Vec<u8>]) {
    let rows = (0_usize..).zip(hashes).map(|(number, hash)| vec![number.to_string(), hex(hash)]);
    page.rows(&["No.", "Jalur / Path"], 2, rows);
}

impl Answer for pb::GetInclusionProofResponse {
    const MESSAGE: &'static str = "GetInclusionProofResponse";
    fn show(&self, page: &mut Page) {
        page.facts(
            "Bukti catatan / Proof of a record",
            &[
                ("Posisi / Position", self.position.to_string()),
                ("Sidik catatan / Record hash", hex(&self.record_hash)),
                ("Jumlah catatan / Log size", count(self.log_size)),
                ("Akar / Root hash", hex(&self.root_hash)),
                ("Titik periksa / Checkpoint", under(self.checkpoint.as_ref())),
            ],
        );
        path(page, &self.path);
    }
}

impl Answer for pb::GetConsistencyProofResponse {
    const MESSAGE: &'static str = "GetConsistencyProofResponse";
    fn show(&self, page: &mut Page) {
        page.facts(
            "Bukti hanya bertambah / Proof of extension",
            &[
                ("Dari jumlah / From log size", count(self.from_log_size)),
                ("Dari akar / From root hash", hex(&self.from_root_hash)),
                ("Ke jumlah / To log size", count(self.to_log_size)),
                ("Ke akar / To root hash", hex(&self.to_root_hash)),
                ("Titik periksa / Checkpoint", under(self.checkpoint.as_ref())),
            ],
        );
        path(page, &self.path);
    }
}

impl Answer for pb::GetBalanceProofResponse {
    const MESSAGE: &'static str = "GetBalanceProofResponse";
    fn show(&self, page: &mut Page) {
        let present = if self.present { "ada / present" } else { "tidak ada / absent" };
        page.facts(
            "Bukti saldo / Proof of balances",
            &[
                ("Saldo / Balances", present.to_owned()),
                ("Sampai posisi / Through position", self.through.to_string()),
                ("Disegel di / Sealed at", self.sealed_at.to_string()),
                ("Akar saldo / Balance root", hex(&self.balance_root)),
                ("Jumlah daun / Leaves", count(self.leaves)),
                ("Titik periksa / Checkpoint", under(self.checkpoint.as_ref())),
            ],
        );
        page.line("Periksa dengan / Check it with: bergulir proof verify FILE --key VKEY");
    }
}

impl Answer for pb::SubmitBatchResponse {
    const MESSAGE: &'static str = "SubmitBatchResponse";
    fn show(&self, page: &mut Page) {
        use pb::batch_item_result::Outcome;
        page.rows(
            &["No.", "Posisi / Position", "Hasil / Outcome"],
            3,
            (1_u32..).zip(&self.results).map(|(number, result)| {
                let (position, outcome) = match &result.outcome {
                    Some(Outcome::Receipt(receipt)) if receipt.duplicate => {
                        (receipt.position.to_string(), "ulangan / duplicate".to_owned())
                    }
                    Some(Outcome::Receipt(receipt)) => {
                        (receipt.position.to_string(), "dicatat / recorded".to_owned())
                    }
                    Some(Outcome::Error(error)) => {
                        (String::new(), format!("{}: {}", error.reason, error.message))
                    }
                    None => (String::new(), "? / unknown".to_owned()),
                };
                vec![number.to_string(), position, outcome]
            }),
        );
        page.line(format_args!("Jumlah catatan / Log size: {}", count(self.log_size)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output;

    #[test]
    fn every_answer_is_a_message_of_the_package_and_has_a_page() {
        fn check<A: Answer + Default>() {
            let descriptor = output::descriptor(A::MESSAGE);
            assert!(descriptor.fields().len() > 0);
            assert!(output::json(A::MESSAGE, &A::default()).starts_with('{'));
            let mut page = Page::default();
            A::default().show(&mut page);
        }
        check::<pb::OpenLedgerResponse>();
        check::<pb::AdoptRulesResponse>();
        check::<pb::RotateKeyResponse>();
        check::<pb::OpenFundResponse>();
        check::<pb::ChangeTermsResponse>();
        check::<pb::AllocateFundResponse>();
        check::<pb::ProposeAllocationWithdrawalResponse>();
        check::<pb::ApproveAllocationWithdrawalResponse>();
        check::<pb::ProposePeriodCloseResponse>();
        check::<pb::ApprovePeriodCloseResponse>();
        check::<pb::RegisterCooperativeResponse>();
        check::<pb::AppointOfficerResponse>();
        check::<pb::ConfirmReadinessResponse>();
        check::<pb::OpenAccountResponse>();
        check::<pb::SuspendAccountResponse>();
        check::<pb::ResumeAccountResponse>();
        check::<pb::CloseAccountResponse>();
        check::<pb::ProposeBankAccountChangeResponse>();
        check::<pb::ApproveBankAccountChangeResponse>();
        check::<pb::ProposeLoanResponse>();
        check::<pb::ApproveLoanResponse>();
        check::<pb::RefuseLoanResponse>();
        check::<pb::WithdrawLoanResponse>();
        check::<pb::DisburseResponse>();
        check::<pb::DisburseGrantResponse>();
        check::<pb::ProposeDisbursementResponse>();
        check::<pb::ApproveDisbursementResponse>();
        check::<pb::ReturnDisbursementResponse>();
        check::<pb::RepayResponse>();
        check::<pb::ProposeWriteOffResponse>();
        check::<pb::ApproveWriteOffResponse>();
        check::<pb::RecordRecoveryResponse>();
        check::<pb::ProposeRestructuringResponse>();
        check::<pb::ApproveRestructuringResponse>();
        check::<pb::ProposeReversalResponse>();
        check::<pb::ApproveReversalResponse>();
        check::<pb::RefuseProposalResponse>();
        check::<pb::WithdrawProposalResponse>();
        check::<pb::CreateSealResponse>();
        check::<pb::SubmitBatchResponse>();
        check::<pb::GetLedgerResponse>();
        check::<pb::ListLedgersResponse>();
        check::<pb::GetFundResponse>();
        check::<pb::ListFundsResponse>();
        check::<pb::GetCooperativeResponse>();
        check::<pb::ListCooperativesResponse>();
        check::<pb::GetAccountResponse>();
        check::<pb::ListAccountsResponse>();
        check::<pb::GetLoanResponse>();
        check::<pb::ListLoansResponse>();
        check::<pb::ListProposalsResponse>();
        check::<pb::GetBalanceResponse>();
        check::<pb::BatchGetBalancesResponse>();
        check::<pb::ListTrailResponse>();
        check::<pb::GetTrialBalanceResponse>();
        check::<pb::GetHeadResponse>();
        check::<pb::GetRecordResponse>();
        check::<pb::GetCheckpointResponse>();
        check::<pb::GetInclusionProofResponse>();
        check::<pb::GetConsistencyProofResponse>();
        check::<pb::GetBalanceProofResponse>();
    }
}
