//! What keeps machines from booting.

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)+) => {
        /// Why a machine did not boot. The set is closed, so a metric may be labelled with it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {
            $($(#[$doc])* $name,)+
        }

        impl Cause {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word in metrics, traces, lists and the manual's headings; in kebab case, and it stays what it is.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

causes! {
    /// It was to boot, and nothing was heard of it.
    NotHeard = "not-heard",
    /// Its site's agent is away, so nothing newer is known.
    AgentAway = "agent-away",
    /// Its site's agent does not obey the newest plan, or refused it.
    PlanNotObeyed = "plan-not-obeyed",
    /// No host of the catalog has its address.
    UnknownMachine = "unknown-machine",
    /// Its site's agent is silent to DHCP.
    DhcpOff = "dhcp-off",
    /// No address of the pool was free.
    PoolEmpty = "pool-empty",
    /// Its address is used by another machine.
    AddressInUse = "address-in-use",
    /// It was offered an address and took none.
    OfferNotTaken = "offer-not-taken",
    /// It took another DHCP server's offer.
    ForeignOfferTaken = "foreign-offer-taken",
    /// It took its address and asked for nothing.
    NothingAsked = "nothing-asked",
    /// It asked for its loader's size and never for the loader.
    StoppedAtSizeProbe = "stopped-at-size-probe",
    /// No large block reached it, while smaller packets did.
    BlockTooLarge = "block-too-large",
    /// Blocks were sent again and again until it fell silent.
    StuckRetransmitting = "stuck-retransmitting",
    /// A transfer ended before its end.
    TransferBroken = "transfer-broken",
    /// There is no loader for its firmware.
    NoLoader = "no-loader",
    /// Its loader is one for another architecture.
    WrongLoader = "wrong-loader",
    /// It fetched its loader whole, and the loader was never heard.
    LoaderSilent = "loader-silent",
    /// Its loader asked for a file that does not exist.
    FileMissing = "file-missing",
    /// Its loader has its script and asked for no kernel.
    NoKernelAsked = "no-kernel-asked",
    /// It has its kernel, and nothing was heard of what that runs.
    KernelSilent = "kernel-silent",
    /// Its installer runs and asked for no answer file.
    NoAnswerAsked = "no-answer-asked",
    /// Its answer file was refused.
    AnswerRefused = "answer-refused",
    /// Its installer says nothing any more.
    InstallerSilent = "installer-silent",
    /// Its installation failed, by the installer's word or because its time was over.
    InstallerFailed = "installer-failed",
    /// Its order ended before it did.
    OrderEnded = "order-ended",
    /// An order waits, and the machine was told to boot its disk all the same.
    OrderNotObeyed = "order-not-obeyed",
    /// It is not the machine that is recorded.
    IdentityDisagrees = "identity-disagrees",
    /// What it boots has not arrived at its site yet.
    ImageArriving = "image-arriving",
    /// It begins again and again.
    Loops = "loops",
    /// It ended, and no rule says why.
    Unexplained = "unexplained",
}
