//! Questions to name servers.

use std::{net::IpAddr, pin::pin, time::Duration};

use hickory_resolver::{
    TokioResolver,
    net::NetError,
    proto::rr::{Name, RecordType},
};

use crate::target::Family;

/// Once one family's addresses are known, the other's may take this much longer (RFC 8305, section 3): some
/// name servers never answer questions about IPv6.
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// The addresses that name servers know for `name`, one question for each family that is wanted.
pub(super) async fn ask(
    servers: &TokioResolver,
    name: &str,
    family: Family,
) -> Result<Vec<IpAddr>, NetError> {
    match family {
        Family::Any => ask_both(servers, name).await,
        Family::V4 => ask_one(servers, name, RecordType::A).await,
        Family::V6 => ask_one(servers, name, RecordType::AAAA).await,
    }
}

/// Both families at once. The first answer that settles the matter bounds the wait for the other.
async fn ask_both(servers: &TokioResolver, name: &str) -> Result<Vec<IpAddr>, NetError> {
    let mut v4 = pin!(ask_one(servers, name, RecordType::A));
    let mut v6 = pin!(ask_one(servers, name, RecordType::AAAA));
    tokio::select! {
        first = &mut v4 => join(first, v6).await,
        first = &mut v6 => join(first, v4).await,
    }
}

async fn join(
    first: Result<Vec<IpAddr>, NetError>,
    other: impl Future<Output = Result<Vec<IpAddr>, NetError>>,
) -> Result<Vec<IpAddr>, NetError> {
    let other = if settles(&first) {
        tokio::time::timeout(RESOLUTION_DELAY, other).await.unwrap_or(Err(NetError::Timeout))
    } else {
        other.await
    };
    match (first, other) {
        (Ok(mut addresses), other) => {
            addresses.extend(other.unwrap_or_default());
            Ok(addresses)
        }
        (Err(_), Ok(addresses)) => Ok(addresses),
        // That there is no record of one kind says less than what went wrong with the other.
        (Err(error), Err(other)) => Err(if has_no_such_record(&error) { other } else { error }),
    }
}

/// Addresses do, and so does a name that does not exist: it has records of no kind.
fn settles(answer: &Result<Vec<IpAddr>, NetError>) -> bool {
    match answer {
        Ok(addresses) => !addresses.is_empty(),
        Err(error) => error.is_nx_domain(),
    }
}

fn has_no_such_record(error: &NetError) -> bool {
    error.is_no_records_found() && !error.is_nx_domain()
}

async fn ask_one(servers: &TokioResolver, name: &str, kind: RecordType) -> Result<Vec<IpAddr>, NetError> {
    // The URL's name is ASCII already. As text it would be held to the rules of host names, which forbid the
    // underscore that many use.
    let found = servers.lookup(Name::from_ascii(name)?, kind).await?;
    Ok(found.answers().iter().filter_map(|record| record.data.ip_addr()).collect())
}
