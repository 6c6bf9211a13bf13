//! Where connections come in: how many there may be, and whether TLS lets them in. A client that is
//! slow or silent there is sent away, and holds up nobody.

use crate::access::certificate::Certificate;
use crate::files::Followed;
use crate::limits::Limits;
use crate::tls::{self, Keys};
use crate::warnings::Warnings;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// From whom a connection is.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// What it showed under TLS.
    pub(crate) certificate: Option<Certificate>,
}

/// A connection that was let in.
pub(crate) enum Arrival {
    Plain(TcpStream, Peer),
    Encrypted(Box<TlsStream<TcpStream>>, Peer),
}

/// Why a connection is not let in.
#[derive(Debug, Error)]
pub(crate) enum Refused {
    #[error("too many TLS handshakes are under way")]
    Crowded,
    #[error("its TLS handshake took too long")]
    Late,
    #[error("its TLS handshake failed: {0}")]
    Failed(std::io::Error),
    #[error("it did not agree on HTTP/2 (ALPN h2)")]
    OtherProtocol,
}

/// Where connections come in.
pub(crate) struct Door {
    tls: Option<Arc<Followed<Keys>>>,
    limits: Limits,
    connections: Arc<Semaphore>,
    handshakes: Handshakes,
    warnings: Warnings,
}

impl Door {
    pub(crate) fn new(tls: Option<Arc<Followed<Keys>>>, limits: Limits) -> Door {
        Door {
            connections: Arc::new(Semaphore::new(limits.connections)),
            handshakes: Handshakes::default(),
            warnings: Warnings::default(),
            tls,
            limits,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Room for one more connection.
    pub(crate) fn room(&self, from: SocketAddr) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.connections).try_acquire_owned().ok();
        if room.is_none()
            && let Some(untold) = self.warnings.next()
        {
            tracing::warn!(
                %from,
                most = self.limits.connections,
                untold,
                "a connection was closed: there are as many as may be"
            );
        }
        room
    }

    /// Does what comes before the first call.
    pub(crate) async fn let_in(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<Arrival, Refused> {
        let Some(tls) = &self.tls else {
            return Ok(Arrival::Plain(stream, Peer { address, certificate: None }));
        };
        let _under_way = self.handshakes.begin(address.ip(), &self.limits)?;
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.get().server));
        let handshake =
            tokio::time::timeout(self.limits.handshake_timeout, acceptor.accept(stream));
        let stream = handshake.await.map_err(|_| Refused::Late)?.map_err(Refused::Failed)?;
        let session = stream.get_ref().1;
        if !tls::speaks_http2(session.alpn_protocol()) {
            return Err(Refused::OtherProtocol);
        }
        let certificate = session.peer_certificates().map(Certificate::read);
        Ok(Arrival::Encrypted(Box::new(stream), Peer { address, certificate }))
    }
}

/// The handshakes that are under way, by where they come from.
#[derive(Default)]
struct Handshakes(Mutex<UnderWay>);

#[derive(Default)]
struct UnderWay {
    in_all: usize,
    from: HashMap<IpAddr, usize>,
}

impl Handshakes {
    fn begin(&self, from: IpAddr, limits: &Limits) -> Result<Handshake<'_>, Refused> {
        let mut under_way = self.held();
        if under_way.in_all >= limits.handshakes {
            return Err(Refused::Crowded);
        }
        let of_address = under_way.from.entry(from).or_default();
        if *of_address >= limits.handshakes_per_address {
            return Err(Refused::Crowded);
        }
        *of_address += 1;
        under_way.in_all += 1;
        Ok(Handshake { all: self, from })
    }

    fn held(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them; it is over when this is dropped.
struct Handshake<'a> {
    all: &'a Handshakes,
    from: IpAddr,
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        let mut under_way = self.all.held();
        under_way.in_all -= 1;
        if let Some(of_address) = under_way.from.get_mut(&self.from) {
            *of_address -= 1;
            if *of_address == 0 {
                under_way.from.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_of_one_address_leave_room_for_others() {
        let limits = Limits { handshakes: 3, handshakes_per_address: 2, ..Limits::default() };
        let (one, other): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let all = Handshakes::default();
        let held = [all.begin(one, &limits).ok(), all.begin(one, &limits).ok()];
        assert!(held.iter().all(Option::is_some));
        assert!(all.begin(one, &limits).is_err());
        let third = all.begin(other, &limits).ok();
        assert!(third.is_some());
        assert!(all.begin("192.0.2.3".parse().unwrap(), &limits).is_err());
        drop((held, third));
        let left = all.held();
        assert_eq!((left.in_all, left.from.len()), (0, 0));
    }
}
