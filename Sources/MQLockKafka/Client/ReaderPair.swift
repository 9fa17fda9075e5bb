import MQLock

/// The two views of a log that belong together: what is decided, and everything. A read-committed reader is notified of
/// no more than the end of what is stable, so that the other one has to be asked for the end. Blocks; belongs to one
/// thread at a time.
struct ReaderPair {
    let committed: LogReader
    let uncommitted: LogReader

    init(
        _ connection: KafkaConnection, group: String, log: @escaping @Sendable (LogLine) -> Void = { _ in }
    ) throws(LockError) {
        committed = try LogReader(connection, group: group, .committed, log: log)
        uncommitted = try LogReader(connection, group: group, .uncommitted, log: log)
    }
}
