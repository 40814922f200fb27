//! Every reason to refuse a request, with its stable code and status.

use gatelatch_wire::session::GoneReason;

/// Why a request is not forwarded. The code of a denial is what clients, access logs and metrics
/// see; it never carries text from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// No session cookie.
    NoSession,
    /// A cookie that is not a session JWT of ours.
    InvalidSession,
    /// Several session cookies: one may shadow another.
    DuplicateSession,
    /// Expired, and past the window in which it can be refreshed.
    SessionExpired,
    /// Revoked, as the feed says.
    SessionRevoked,
    /// Ended, as the control service says.
    SessionEnded(GoneReason),
    /// A request with effects that another site has sent.
    CrossSite,
    /// The IdP could not be asked to refresh the session; it is kept.
    RefreshUnavailable,
    /// The control service could not be asked; the session is kept.
    ControlUnavailable,
    /// Nothing is known yet of what is revoked.
    NotSynced,
    /// What is known of revocations is too old.
    Stale,
    /// The IdP's metadata or keys are not known yet.
    IdpUnavailable,
    /// The IdP refused the login.
    LoginRefused,
    /// The callback does not belong to a login of this browser.
    LoginUnknown,
    /// The callback was used before.
    LoginReplayed,
    /// What the IdP answered is not a valid login.
    LoginInvalid,
    /// A malformed request to one of our own paths.
    BadRequest,
    /// One of our own paths with a method that it does not have.
    MethodNotAllowed,
    /// No such path of ours.
    NotFound,
    /// The session JWT could not be minted, as when its cookie would be too large.
    MintFailed,
}

impl Denial {
    /// The stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoSession => "no_session",
            Self::InvalidSession => "invalid_session",
            Self::DuplicateSession => "duplicate_session_cookie",
            Self::SessionExpired => "session_expired",
            Self::SessionRevoked => "session_revoked",
            Self::SessionEnded(reason) => match reason {
                GoneReason::Revoked | GoneReason::BackchannelLogout => "session_revoked",
                GoneReason::Expired | GoneReason::NoRefreshToken => "session_expired",
                _ => "session_ended",
            },
            Self::CrossSite => "cross_site",
            Self::RefreshUnavailable => "refresh_unavailable",
            Self::ControlUnavailable => "control_unavailable",
            Self::NotSynced => "revocations_not_synced",
            Self::Stale => "revocations_stale",
            Self::IdpUnavailable => "idp_unavailable",
            Self::LoginRefused => "login_refused",
            Self::LoginUnknown => "login_unknown",
            Self::LoginReplayed => "login_replayed",
            Self::LoginInvalid => "login_invalid",
            Self::BadRequest => "bad_request",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotFound => "not_found",
            Self::MintFailed => "mint_failed",
        }
    }

    /// The status of a refusal that is not a redirect.
    pub fn status(self) -> u32 {
        match self {
            Self::NoSession
            | Self::InvalidSession
            | Self::DuplicateSession
            | Self::SessionExpired
            | Self::SessionRevoked
            | Self::SessionEnded(_) => 401,
            Self::CrossSite => 403,
            Self::RefreshUnavailable
            | Self::ControlUnavailable
            | Self::NotSynced
            | Self::Stale
            | Self::IdpUnavailable => 503,
            Self::LoginRefused
            | Self::LoginUnknown
            | Self::LoginReplayed
            | Self::LoginInvalid
            | Self::BadRequest => 400,
            Self::MethodNotAllowed => 405,
            Self::NotFound => 404,
            Self::MintFailed => 500,
        }
    }

    /// Whether a new login is the way out.
    pub fn asks_for_login(self) -> bool {
        self.status() == 401
    }

    /// Whether the user must prove anew who they are: a provider that still has a session of theirs
    /// would lead a revoked user straight back in.
    pub fn asks_for_reauthentication(self) -> bool {
        matches!(
            self,
            Self::SessionRevoked
                | Self::SessionEnded(GoneReason::Revoked | GoneReason::BackchannelLogout)
        )
    }

    /// One sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoSession => "You are not logged in.",
            Self::InvalidSession | Self::DuplicateSession => {
                "Your session could not be recognised."
            }
            Self::SessionExpired | Self::SessionRevoked | Self::SessionEnded(_) => {
                "Your session has ended."
            }
            Self::CrossSite => "This request came from another site and was not carried out.",
            Self::RefreshUnavailable | Self::IdpUnavailable => {
                "The login service cannot be reached at the moment. Please try again shortly."
            }
            Self::ControlUnavailable | Self::NotSynced | Self::Stale => {
                "Your session cannot be checked at the moment. Please try again shortly."
            }
            Self::LoginRefused => "The login was refused or cancelled.",
            Self::LoginUnknown => "This login was not begun in this browser, or it took too long.",
            Self::LoginReplayed => "This login was already completed.",
            Self::LoginInvalid => "The login service gave an answer that cannot be trusted.",
            Self::BadRequest => "The request was malformed.",
            Self::MethodNotAllowed => "This address does not take requests of this method.",
            Self::NotFound => "There is nothing at this address.",
            Self::MintFailed => "Your session could not be written down. Please tell the operator.",
        }
    }
}
