//! What lies where in a data directory, and so in a backup of one.

/// The folder of the ledgers in a data directory, each in a folder of its name.
pub const LEDGERS_FOLDER: &str = "ledgers";

/// The folder of a log, in that of its ledger.
pub const LOG_FOLDER: &str = "log";

/// The newest signed checkpoint, in the folder of its ledger.
pub const CHECKPOINT_FILE: &str = "checkpoint";

/// The newest checkpoint that a quorum of the policy's witnesses cosigned, beside the other.
pub const WITNESSED_FILE: &str = "checkpoint.witnessed";

/// The horizon of a ledger's answers, in its folder: up to which instants questions may have been answered
/// as of them.
pub const HORIZON_FILE: &str = "horizon";

/// The file in the folder of a ledger that goes on as another one.
pub const CONTINUED_FILE: &str = "continued";

/// The folder in which ledgers are restored, in a data directory: no server looks there.
pub const RESTORING_FOLDER: &str = "restoring";
