//! What keeps machines from booting.

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $word:literal: $meaning:literal,)+) => {
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

            /// What the word means, in a clause for whoever meets it for the first time.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)+
                }
            }
        }
    };
}

causes! {
    /// It was to boot, and nothing was heard of it.
    NotHeard = "not-heard": "an order waits, and its machine has not asked to boot",
    /// Its site's agent is away, so nothing newer is known.
    AgentAway = "agent-away": "the site's agent is out of reach, so nothing newer is known",
    /// Its site's agent does not obey the newest plan, or refused it.
    PlanNotObeyed = "plan-not-obeyed": "the site's agent does not act by the newest plan",
    /// No host of the catalog has its address.
    UnknownMachine = "unknown-machine": "no host of the catalog has this MAC address",
    /// Its site's agent is silent to DHCP.
    DhcpOff = "dhcp-off": "the site says that its agent answers no DHCP",
    /// No address of the pool was free.
    PoolEmpty = "pool-empty": "there was no free address for it",
    /// Its address is used by another machine.
    AddressInUse = "address-in-use": "the address that it should have is used by another machine",
    /// It was offered an address and took none.
    OfferNotTaken = "offer-not-taken": "it was offered an address or what to boot, and did not accept",
    /// It took another DHCP server's offer.
    ForeignOfferTaken = "foreign-offer-taken": "it accepted the offer of another DHCP server",
    /// It took its address and asked for nothing.
    NothingAsked = "nothing-asked": "it has an address, and did not ask for what to boot",
    /// It asked for its loader's size and never for the loader.
    StoppedAtSizeProbe = "stopped-at-size-probe": "it asked for the size of its loader, and did not fetch it",
    /// No large block reached it, while smaller packets did.
    BlockTooLarge = "block-too-large": "large packets do not reach it, small ones do",
    /// Blocks were sent again and again until it fell silent.
    StuckRetransmitting = "stuck-retransmitting": "a transfer lost packets until the machine fell silent",
    /// A transfer ended before its end.
    TransferBroken = "transfer-broken": "a transfer ended before the whole file was sent",
    /// There is no loader for its firmware.
    NoLoader = "no-loader": "nothing imported can be run by its firmware",
    /// Its loader is one for another architecture.
    WrongLoader = "wrong-loader": "the loader that it fetched is for other firmware",
    /// It fetched its loader whole, and the loader was never heard.
    LoaderSilent = "loader-silent": "it has its loader, and the loader does not speak",
    /// Its loader asked for a file that does not exist.
    FileMissing = "file-missing": "it was refused a file, and asked for nothing more",
    /// Its loader has its script and asked for no kernel.
    NoKernelAsked = "no-kernel-asked": "the loader has its script, and asked for no kernel",
    /// It has its kernel, and nothing was heard of what that runs.
    KernelSilent = "kernel-silent": "it has its kernel, and nothing that the kernel starts was heard",
    /// Its installer runs and asked for no answer file.
    NoAnswerAsked = "no-answer-asked": "the installer has started, and did not ask for its answer file",
    /// Its answer file was refused.
    AnswerRefused = "answer-refused": "the installer asked for its answer file, and was refused",
    /// Its installer says nothing any more.
    InstallerSilent = "installer-silent": "the installer has started, and reports no more",
    /// Its installation failed, by the installer's word or because its time was over.
    InstallerFailed = "installer-failed": "the installation ended badly, or took too long",
    /// Its order ended before it did.
    OrderEnded = "order-ended": "the order that it booted by expired or was revoked",
    /// An order waits, and the machine was told to boot its disk all the same.
    OrderNotObeyed = "order-not-obeyed": "an order stands, and the agent has a reason not to act by it",
    /// It is not the machine that is recorded.
    IdentityDisagrees = "identity-disagrees": "it shows another UUID than its host's",
    /// What it boots has not arrived at its site yet.
    ImageArriving = "image-arriving": "what it boots is not all at its site yet",
    /// It begins again and again.
    Loops = "loops": "it begins to boot again and again",
    /// It ended, and no rule says why.
    Unexplained = "unexplained": "it stopped, and no rule knows why",
}
