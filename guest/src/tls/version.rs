//! Protocol versions.

use std::fmt;

use rustls::{ProtocolVersion, SupportedProtocolVersion};

use crate::error::{Error, Result};

/// A version of TLS. Older ones than 1.2 are broken and not spoken (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsVersion {
    /// Returns Python's name of it: `TLSv1.2` or `TLSv1.3`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }

    pub(super) fn of(version: ProtocolVersion) -> Option<Self> {
        match version {
            ProtocolVersion::TLSv1_2 => Some(Self::Tls12),
            ProtocolVersion::TLSv1_3 => Some(Self::Tls13),
            _ => None,
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The versions from `lowest` to `highest`, the newest first.
pub(super) fn between(lowest: TlsVersion, highest: TlsVersion) -> Result<Vec<&'static SupportedProtocolVersion>> {
    if lowest > highest {
        return Err(Error::InvalidInput(
            format!("the minimum version {lowest} is above the maximum version {highest}").into(),
        ));
    }
    let all = [(TlsVersion::Tls13, &rustls::version::TLS13), (TlsVersion::Tls12, &rustls::version::TLS12)];
    let wanted = all.into_iter().filter(|(version, _)| (lowest..=highest).contains(version));
    Ok(wanted.map(|(_, supported)| supported).collect())
}
