//! A call of any method with any bytes.

use crate::requests;
use bergulir_fuzz::{Field, Value, fields, write_fields};
use bergulir_server::PRINCIPAL_KEY;
use prost::bytes::{Buf as _, BufMut as _};
use prost_reflect::{DynamicMessage, MethodDescriptor};
use std::time::Duration;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// So much of a stream of answers is read.
const ANSWERS: usize = 3;

/// How long something new of a ledger is waited for, which may never come.
const NEWS: Duration = Duration::from_millis(20);

/// More of a header than that ends a call before anything of it is looked at.
const MOST_HEADER_BYTES: usize = 1_000;

/// What is called, by whom, with which messages. As bytes it is a protobuf message, so that what changes
/// messages changes calls.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) messages: Vec<Vec<u8>>,
    pub(super) principal: Option<String>,
    pub(super) trace: Option<String>,
    pub(super) authorization: Option<String>,
}

impl Call {
    pub(super) fn write(&self) -> Vec<u8> {
        let text = |number, text: &str| Field { number, value: Value::Bytes(text.into()) };
        let message = |bytes: &Vec<u8>| Field { number: 2, value: Value::Bytes(bytes.clone()) };
        let mut call = vec![text(1, &self.method)];
        call.extend(self.messages.iter().map(message));
        call.extend(self.principal.as_ref().map(|principal| text(3, principal)));
        call.extend(self.trace.as_ref().map(|trace| text(4, trace)));
        call.extend(self.authorization.as_ref().map(|token| text(5, token)));
        let mut bytes = Vec::new();
        write_fields(&call, &mut bytes);
        bytes
    }

    /// The call of these bytes, if it can be made at all.
    pub(super) fn read(bytes: &[u8]) -> Option<Call> {
        let mut call = Call::default();
        for Field { number, value } in fields(bytes)? {
            let bytes = match value {
                Value::Bytes(bytes) => bytes,
                Value::Message(fields) => {
                    let mut bytes = Vec::new();
                    write_fields(&fields, &mut bytes);
                    bytes
                }
                _ => continue,
            };
            let header = |bytes: Vec<u8>| {
                let text = String::from_utf8(bytes).ok()?;
                let fits =
                    text.len() <= MOST_HEADER_BYTES && text.parse::<MetadataValue<_>>().is_ok();
                fits.then_some(text)
            };
            match number {
                1 => {
                    call.method =
                        header(bytes).filter(|path| path.parse::<PathAndQuery>().is_ok())?;
                }
                2 => call.messages.push(bytes),
                3 => call.principal = Some(header(bytes)?),
                4 => call.trace = Some(header(bytes)?),
                5 => call.authorization = Some(header(bytes)?),
                _ => {}
            }
        }
        (call.method.starts_with('/') && !call.messages.is_empty()).then_some(call)
    }

    /// What came back, each message of the type that the schema says; of an endless stream the first.
    pub(super) async fn send(&self, channel: Channel) -> Result<Vec<DynamicMessage>, Status> {
        self.send_and_read(channel, ANSWERS.max(self.messages.len())).await
    }

    /// The same, as far as so many messages.
    pub(super) async fn send_and_read(
        &self,
        channel: Channel,
        most: usize,
    ) -> Result<Vec<DynamicMessage>, Status> {
        let method = requests::method(&self.method);
        let streams = method.as_ref().is_some_and(MethodDescriptor::is_client_streaming);
        let messages = if streams { &self.messages[..] } else { &self.messages[..1] };
        let mut request = Request::new(futures::stream::iter(messages.to_vec()));
        for (key, value) in [
            (PRINCIPAL_KEY, &self.principal),
            ("traceparent", &self.trace),
            ("authorization", &self.authorization),
        ] {
            if let Some(value) = value {
                request.metadata_mut().insert(key, value.parse().unwrap());
            }
        }
        let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(64 << 20);
        grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
        let answer = grpc.streaming(request, self.method.parse().unwrap(), Raw).await?;
        let mut answers = answer.into_inner();
        let is_endless = self.method.ends_with("/Subscribe");
        let mut all = Vec::new();
        while all.len() < most {
            let next = if is_endless {
                match tokio::time::timeout(NEWS, answers.message()).await {
                    Ok(next) => next?,
                    Err(_) => break,
                }
            } else {
                answers.message().await?
            };
            let Some(bytes) = next else { break };
            let Some(method) = &method else { panic!("{} is answered", self.method) };
            let read = DynamicMessage::decode(method.output(), &bytes[..]);
            all.push(read.unwrap_or_else(|_| panic!("{}: the answer is none", self.method)));
        }
        Ok(all)
    }
}

/// Messages as their bytes.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&bytes);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}
