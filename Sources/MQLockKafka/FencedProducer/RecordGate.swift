public import MQLock

/// The guard of a consumer's state: lets a record pass unless a larger fencing token of its lock passed before.
///
/// For consumers that read uncommitted, that get records from elsewhere than a ``FencedProducer``, or that keep their
/// state where a consumer of before may still write. It compares by lock name, since only numbers of one name can be
/// compared. A `MemoryFenceGate` remembers as long as the process lives, a `FileFenceGate` over
/// restarts; any other `FenceGate` will do.
///
/// ```swift
/// let gate = RecordGate(MemoryFenceGate())
/// try gate.apply(record.headers) { stock[record.key] = record.value }
/// ```
public struct RecordGate<Gate: FenceGate>: Sendable {
    private let gate: Gate

    /// A gate that remembers in `gate`.
    public init(_ gate: Gate) { self.gate = gate }

    /// Runs `change` if the record's token is not older than what the gate has seen, closed to all others meanwhile.
    /// - Throws: `LockError` with code `staleToken` for the record of a former holder, and `incompatible` for one whose
    ///   headers are no stamp, and then `change` has not run; what the gate beneath throws; else what `change` throws.
    public func apply<Result>(_ headers: [RecordHeader], _ change: () throws -> Result) throws -> Result {
        guard let stamp = RecordStamp(headers) else {
            throw LockError(
                .incompatible,
                """
                a record without a valid stamp (\(RecordStamp.nameHeader), \(RecordStamp.tokenHeader), \
                \(RecordStamp.ownerHeader)): whoever wrote it is not fenced
                """)
        }
        return try gate.withAdmission(stamp.token, for: stamp.name, change)
    }
}
