//! `Debug` of the messages that hold secrets: their name alone (build.rs keeps prost from deriving it).

use std::fmt;

use crate::v1;

macro_rules! redacted {
    ($($message:ident),+ $(,)?) => {$(
        impl fmt::Debug for v1::$message {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(concat!(stringify!($message), "(…)"))
            }
        }
    )+};
}

redacted!(Entry, Secret, EnrolRequest, CreateTokenResponse, BackupRequest, OrderState, Document);
