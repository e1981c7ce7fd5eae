//! What goes wrong in TLS, as kinds.

use rustls::{AlertDescription, CertificateError};

use crate::error::Error;

/// Why TLS failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsErrorKind {
    /// No trusted authority has issued the peer's certificate.
    UnknownIssuer,
    /// The peer's certificate, or one of its chain, has expired.
    Expired,
    /// The peer's certificate, or one of its chain, is not valid yet.
    NotYetValid,
    /// The peer's certificate is for other names.
    WrongName,
    /// The peer's certificate was revoked.
    Revoked,
    /// The peer's certificate is unusable for another reason.
    BadCertificate,
    /// The peer was asked for a certificate and sent none.
    NoCertificate,
    /// Both sides have no protocol version, cipher suite or application protocol in common.
    NothingInCommon,
    /// The peer sent an alert: it refuses us.
    Alert,
    /// The peer speaks something that is not TLS.
    NotTls,
    /// The peer broke the protocol, or somebody tampered with it.
    Protocol,
    /// The configuration cannot work.
    Configuration,
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        let kind = kind_of(&error);
        let message = match kind {
            TlsErrorKind::NotTls => "the peer spoke something that is not TLS: is this port plain?".into(),
            TlsErrorKind::NoCertificate => "the peer sent no certificate although one is required".into(),
            _ => format!("TLS: {error}"),
        };
        Self::Tls { kind, message: message.into() }
    }
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
            _ => TlsErrorKind::BadCertificate,
        },
        E::NoCertificatesPresented => TlsErrorKind::NoCertificate,
        E::PeerIncompatible(_) | E::NoApplicationProtocol => TlsErrorKind::NothingInCommon,
        E::AlertReceived(alert) => alert_kind(*alert),
        E::InvalidMessage(_) => TlsErrorKind::NotTls,
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
        _ => TlsErrorKind::Alert,
    }
}
