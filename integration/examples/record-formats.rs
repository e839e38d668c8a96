//! Records every stored and sent format as this build writes it: `cargo run -p integration --example record-formats`.
//!
//! Writes `integration/fixtures/formats-N` under the next number and never changes an older set.

use integration::formats::{fixtures, next, record::record};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    certs::tls::install_provider();
    let (number, folder) = next(&fixtures())?;
    record(number, &folder).await
}
