//! Until when a caller waits.

use crate::limits::DEADLINE_MARGIN;
use bergulir_proto::Described;
use std::time::{Duration, Instant};
use tonic::codegen::http::HeaderMap;
use tonic::{Code, Extensions, Status};

/// Until when the answer must be on its way. Set when the call arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline(pub(crate) Instant);

impl Deadline {
    /// How long the caller of a call that arrived at that moment waits, by its headers, and no longer
    /// than it may take; and the deadline that follows. A timeout of another form than the protocol's
    /// is as good as none.
    pub(crate) fn read(
        headers: &HeaderMap,
        arrived: Instant,
        most: Option<Duration>,
    ) -> Option<(Duration, Deadline)> {
        let timeout = parse(headers.get("grpc-timeout")?.to_str().ok()?)?;
        let timeout = most.map_or(timeout, |most| timeout.min(most));
        let margin = DEADLINE_MARGIN.min(timeout / 10);
        let deadline = arrived.checked_add(timeout.saturating_sub(margin))?;
        Some((timeout, Deadline(deadline)))
    }

    /// That of a call, if it has one.
    pub(crate) fn of(extensions: &Extensions) -> Option<Instant> {
        extensions.get::<Deadline>().map(|deadline| deadline.0)
    }
}

/// The timeout as the gRPC protocol writes it: at most eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Waits for work no longer than its caller does.
pub(crate) async fn within<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = T>,
) -> Result<T, Status> {
    let Some(deadline) = deadline else {
        return Ok(work.await);
    };
    tokio::time::timeout_at(deadline.into(), work).await.map_err(|_| passed())
}

/// What is said to a caller who waited for an answer too long.
pub(crate) fn passed() -> Status {
    let message = "the deadline passed before there was an answer, and the outcome is unknown: a \
                   retry with the same request id is safe";
    Described::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message).status()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        assert_eq!(parse("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("99999999H"), Some(Duration::from_hours(99_999_999)));
        for text in ["", "S", "5", "5x", "-5S", "+5S", "123456789S", "5 S", "é"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    /// See docs/adr/0036-fuzzing.md.
    #[test]
    fn any_timeout_is_taken_or_passed_over() {
        const WORDS: &[&str] = &["H", "M", "S", "m", "u", "n", "99999999", "+", "-", " "];
        let target = bergulir_fuzz::Target::new("grpc-timeout", env!("CARGO_MANIFEST_DIR"));
        bergulir_fuzz::fuzz!(target.sample("99999999H").sample("5n").words(WORDS), |input| {
            let Ok(value) = input.try_into() else { return "no header".to_owned() };
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", value);
            let arrived = Instant::now();
            match Deadline::read(&headers, arrived, None) {
                Some((timeout, Deadline(at))) => {
                    assert!(at >= arrived && at <= arrived + timeout);
                    assert!(input.len() <= 9, "at most eight digits");
                    "taken".to_owned()
                }
                None => "passed over".to_owned(),
            }
        });
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_too_long_is_told_that_the_outcome_is_unknown() {
        let soon = Some(Instant::now() + Duration::from_millis(5));
        let status = within(soon, std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(status.message().contains("unknown"));
        assert_eq!(within(None, async { 7 }).await.ok(), Some(7));
    }

    #[test]
    fn the_answer_leaves_before_the_caller_gives_up() {
        let mut headers = HeaderMap::new();
        let arrived = Instant::now();
        assert_eq!(Deadline::read(&headers, arrived, None), None);
        headers.insert("grpc-timeout", "1S".parse().unwrap());
        let (timeout, deadline) = Deadline::read(&headers, arrived, None).unwrap();
        assert_eq!(timeout, Duration::from_secs(1));
        assert_eq!(deadline.0, arrived + Duration::from_millis(990));
        let most = Some(Duration::from_millis(100));
        let (timeout, _) = Deadline::read(&headers, arrived, most).unwrap();
        assert_eq!(timeout, Duration::from_millis(100));
        headers.insert("grpc-timeout", "0m".parse().unwrap());
        let now = (Duration::ZERO, Deadline(arrived));
        assert_eq!(Deadline::read(&headers, arrived, None), Some(now));
    }
}
