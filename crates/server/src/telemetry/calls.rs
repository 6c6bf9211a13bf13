//! How many calls there are, and how long they take, by method and code.

use crate::quotas::Kind;
use crate::receiving::Sends;
use bergulir_engine::meter::{Histogram, MICROS};
use bergulir_proto::pb::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::{FileDescriptorSet, MethodDescriptorProto};
use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tonic::Code;
use tonic_health::pb::health_server::SERVICE_NAME as HEALTH;

/// Whatever is called that nobody serves counts as one method, so that callers make no names.
const UNKNOWN: &str = "unknown";
/// gRPC has the codes 0 to 16.
const CODES: usize = 17;

/// Counts calls. The methods are those that are served, and known from the start: to find one takes
/// neither a lock nor memory.
#[derive(Debug)]
pub(crate) struct CallMeter {
    places: HashMap<String, usize>,
    methods: Vec<Method>,
}

/// One method.
#[derive(Debug)]
pub(crate) struct Method {
    /// Its path without the slash before it.
    pub(crate) name: String,
    /// What a call of it holds while it is under way; `None`: nothing, since it is answered at once, to
    /// whoever asks.
    pub(crate) kind: Option<Kind>,
    pub(crate) sends: Sends,
    pub(crate) in_flight: AtomicUsize,
    /// Made when the first call ends with that code.
    codes: [OnceLock<Histogram>; CODES],
}

impl Method {
    /// What nobody serves.
    fn unknown() -> Method {
        Method::new(UNKNOWN.to_owned(), Some(Kind::Call), Sends::Many)
    }

    fn served(service: &str, method: &MethodDescriptorProto) -> Method {
        let kind = match (method.client_streaming(), method.server_streaming()) {
            _ if service == HEALTH => (method.name() != "Check").then_some(Kind::Call),
            (true, _) => Some(Kind::Commands),
            (false, true) => Some(Kind::Records),
            (false, false) => Some(Kind::Call),
        };
        let sends = if kind == Some(Kind::Commands) { Sends::Commands } else { Sends::One };
        Method::new(format!("{service}/{}", method.name()), kind, sends)
    }

    fn new(name: String, kind: Option<Kind>, sends: Sends) -> Method {
        let codes = std::array::from_fn(|_| OnceLock::new());
        Method { name, kind, sends, in_flight: AtomicUsize::new(0), codes }
    }

    pub(crate) fn began(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A call ended, answered or given up by its caller.
    pub(crate) fn ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// A call was answered, or for a stream of answers: it began.
    pub(crate) fn answered(&self, code: Code, took: Duration) {
        if let Some(histogram) = self.codes.get(code as usize) {
            histogram.get_or_init(|| Histogram::new(MICROS)).record_micros(took);
        }
    }

    /// The codes that calls ended with so far.
    pub(crate) fn codes(&self) -> impl Iterator<Item = (Code, &Histogram)> {
        let codes = self.codes.iter().zip(0_i32..);
        codes.filter_map(|(code, number)| Some((Code::from(number), code.get()?)))
    }
}

impl Default for CallMeter {
    fn default() -> CallMeter {
        let mut methods = vec![Method::unknown()];
        for set in [FILE_DESCRIPTOR_SET, tonic_health::pb::FILE_DESCRIPTOR_SET] {
            let set = FileDescriptorSet::decode(set);
            for file in set.expect("the descriptors were made when this was built").file {
                for service in &file.service {
                    let name = format!("{}.{}", file.package(), service.name());
                    methods
                        .extend(service.method.iter().map(|method| Method::served(&name, method)));
                }
            }
        }
        let places = methods.iter().map(|method| method.name.clone()).zip(0..).collect();
        CallMeter { places, methods }
    }
}

impl CallMeter {
    /// Where the method of a path is counted.
    pub(crate) fn place(&self, path: &str) -> usize {
        let name = path.strip_prefix('/').unwrap_or(path);
        self.places.get(name).copied().unwrap_or(0)
    }

    /// The method at that place.
    pub(crate) fn method(&self, place: usize) -> &Method {
        &self.methods[place]
    }

    pub(crate) fn methods(&self) -> &[Method] {
        &self.methods
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_that_is_served_is_known_and_nobody_makes_new_ones() {
        let meter = CallMeter::default();
        for path in ["/bergulir.v1.LedgerService/Disburse", "/grpc.health.v1.Health/Check"] {
            assert_eq!(meter.method(meter.place(path)).name, path[1..]);
        }
        for path in ["/bergulir.v1.LedgerService/Steal", "", "/", "/unknown", "//"] {
            assert_eq!(meter.method(meter.place(path)).name, UNKNOWN);
        }
    }

    #[test]
    fn a_method_says_what_its_calls_hold() {
        let meter = CallMeter::default();
        let of = |path| {
            let method = meter.method(meter.place(path));
            (method.kind, method.sends)
        };
        let call = (Some(Kind::Call), Sends::One);
        assert_eq!(of("/bergulir.v1.LedgerService/Disburse"), call);
        let commands = (Some(Kind::Commands), Sends::Commands);
        assert_eq!(of("/bergulir.v1.LedgerService/SubmitStream"), commands);
        let records = (Some(Kind::Records), Sends::One);
        assert_eq!(of("/bergulir.v1.LogService/Subscribe"), records);
        assert_eq!(of("/bergulir.v1.BackupService/ReadBackup"), records);
        assert_eq!(of("/grpc.health.v1.Health/Check"), (None, Sends::One));
        assert_eq!(of("/grpc.health.v1.Health/Watch"), call);
        assert_eq!(of("/any.Service/Else"), (Some(Kind::Call), Sends::Many));
    }

    #[test]
    fn calls_are_counted_by_code() {
        let meter = CallMeter::default();
        let method = meter.method(meter.place("/bergulir.v1.LogService/GetHead"));
        method.began();
        method.answered(Code::Ok, Duration::from_micros(99));
        method.answered(Code::Unauthenticated, Duration::from_secs(60));
        let counted: Vec<(Code, u64)> =
            method.codes().map(|(code, histogram)| (code, histogram.counted().sum)).collect();
        assert_eq!(counted, [(Code::Ok, 99), (Code::Unauthenticated, 60_000_000)]);
        assert_eq!(method.in_flight.load(Ordering::Relaxed), 1);
        method.ended();
        assert_eq!(method.in_flight.load(Ordering::Relaxed), 0);
    }
}
