//! How calls over a trunk are made.

/// How calls over a trunk are made, and who they say is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// What is said of reliable provisional answers (RFC 3262).
    pub reliable: ReliableProvisional,
    /// The trunk makes the offer.
    pub late_offer: bool,
    /// Redirections that are followed, for each destination.
    pub redirects: u8,
    /// Hosts they may name beside the trunk's own, lower case.
    pub redirect_hosts: Vec<String>,
    /// User of From, never empty.
    pub from_user: String,
    /// Display name of From.
    pub from_name: Option<String>,
    /// P-Asserted-Identity, a URI (RFC 3325).
    pub asserted_identity: Option<String>,
    /// The value of Privacy (RFC 3323): what the trunk is to hide.
    pub privacy: Option<String>,
    /// Names of header fields a back end may set, beside extensions of its own.
    pub pass_headers: Vec<&'static str>,
}

/// What is said of reliable provisional answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReliableProvisional {
    /// Nothing.
    Off,
    /// They are welcome.
    Supported,
    /// There must be no others.
    Required,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            reliable: ReliableProvisional::Supported,
            late_offer: false,
            redirects: 5,
            redirect_hosts: Vec::new(),
            from_user: "visitor".to_owned(),
            from_name: None,
            asserted_identity: None,
            privacy: None,
            pass_headers: Vec::new(),
        }
    }
}
