import MQLock

/// Two readers of one log: one for decided records, one for all. A read-committed reader learns only the end of what is
/// stable, so the other one has to be asked for the end. Blocks; belongs to one thread at a time.
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
