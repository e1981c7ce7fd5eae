//! What goes wrong in TLS, as kinds, and in words.

use std::fmt;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};
use x509_cert::der::DateTime;

use crate::error::Error;

/// Why TLS failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsErrorKind {
    /// No trusted authority has issued the peer's certificate.
    UnknownIssuer,
    /// The peer has issued its certificate itself, and it is not trusted; or it is trusted and an authority's, which Python accepts.
    SelfSigned,
    /// The peer's certificate, or one of its chain, has expired.
    Expired,
    /// The peer's certificate, or one of its chain, is not valid yet.
    NotYetValid,
    /// The peer's certificate is for other names, or for none.
    WrongName,
    /// The peer's certificate was revoked.
    Revoked,
    /// The peer's certificate is unusable for another reason.
    BadCertificate,
    /// The peer was asked for a certificate and sent none.
    NoCertificate,
    /// Both sides have no protocol version, cipher suite or application protocol in common.
    NothingInCommon,
    /// The peer refuses us, by the alert of this number (RFC 8446, section 6); the text names it.
    Alert(u8),
    /// The peer speaks something that is not TLS.
    NotTls,
    /// The peer broke the protocol, or somebody tampered with it.
    Protocol,
    /// The stream ended without the peer's goodbye, and the configuration does not suppress that.
    Truncated,
    /// The configuration cannot work.
    Configuration,
}

/// A certificate that nobody else has issued; rustls knows it as one of an unknown issuer.
#[derive(Debug)]
pub(super) struct SelfSigned {
    /// It is an authority's (CA:TRUE), which webpki takes for no server's, trusted or not.
    pub(super) authority: bool,
}

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is self-signed")
    }
}

impl std::error::Error for SelfSigned {}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        tls_error(kind_of(&error), format!("TLS: {}", in_words(&error)))
    }
}

/// Makes an error of a kind with a text.
pub(crate) fn tls_error(kind: TlsErrorKind, message: impl Into<std::sync::Arc<str>>) -> Error {
    Error::Tls { kind, message: message.into() }
}

fn kind_of(error: &rustls::Error) -> TlsErrorKind {
    use rustls::Error as E;
    match error {
        E::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer => TlsErrorKind::UnknownIssuer,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsErrorKind::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsErrorKind::NotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsErrorKind::WrongName
            }
            CertificateError::Revoked => TlsErrorKind::Revoked,
            CertificateError::Other(other) if other.0.is::<SelfSigned>() => TlsErrorKind::SelfSigned,
            _ => TlsErrorKind::BadCertificate,
        },
        E::NoCertificatesPresented => TlsErrorKind::NoCertificate,
        E::PeerIncompatible(_) | E::NoApplicationProtocol => TlsErrorKind::NothingInCommon,
        E::AlertReceived(alert) => alert_kind(*alert),
        E::General(_) | E::InconsistentKeys(_) => TlsErrorKind::Configuration,
        _ => TlsErrorKind::Protocol,
    }
}

fn alert_kind(alert: AlertDescription) -> TlsErrorKind {
    match alert {
        AlertDescription::HandshakeFailure
        | AlertDescription::ProtocolVersion
        | AlertDescription::InsufficientSecurity
        | AlertDescription::NoApplicationProtocol => TlsErrorKind::NothingInCommon,
        other => TlsErrorKind::Alert(other.into()),
    }
}

/// What people can act upon, where rustls has it in other words.
fn in_words(error: &rustls::Error) -> String {
    use rustls::Error as E;
    match error {
        E::NoCertificatesPresented => "the peer sent no certificate although one is required".into(),
        E::AlertReceived(alert) => format!("the peer refuses: alert {alert:?} ({})", u8::from(*alert)),
        E::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer => "no trusted authority has issued the peer's certificate".into(),
            CertificateError::ExpiredContext { not_after, .. } => {
                format!("the peer's certificate, or one of its chain, expired at {}", Moment(*not_after))
            }
            CertificateError::NotValidYetContext { not_before, .. } => {
                format!("the peer's certificate, or one of its chain, is not valid before {}", Moment(*not_before))
            }
            CertificateError::NotValidForNameContext { expected, presented } if presented.is_empty() => {
                format!("the peer's certificate is not for {}: it has no subjectAltName", expected.to_str())
            }
            CertificateError::NotValidForNameContext { expected, presented } => {
                let presented: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
                format!("the peer's certificate is not for {}, but for {}", expected.to_str(), presented.join(", "))
            }
            CertificateError::Revoked => "the peer's certificate was revoked".into(),
            CertificateError::Other(other) if other.0.downcast_ref().is_some_and(|it: &SelfSigned| it.authority) => {
                "the peer's certificate is a self-signed authority's (CA:TRUE), which even trusted cannot be a server's: issue \
                 one for the server from it, or make it with CA:FALSE"
                    .into()
            }
            CertificateError::Other(other) if other.0.is::<SelfSigned>() => {
                "the peer's certificate is self-signed and not trusted".into()
            }
            _ => error.to_string(),
        },
        _ => error.to_string(),
    }
}

/// A name without the kind that rustls writes around it: `DnsName("a.test")`.
fn bare(presented: &str) -> &str {
    let inner = presented.split_once('(').map_or(presented, |(_kind, name)| name);
    inner.trim_end_matches(')').trim_matches('"')
}

/// A moment in words.
struct Moment(UnixTime);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_unix_duration(Duration::from_secs(self.0.as_secs())) {
            Ok(moment) => moment.fmt(f),
            Err(_) => write!(f, "{} seconds after 1970", self.0.as_secs()),
        }
    }
}
