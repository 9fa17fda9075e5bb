public import MQLock

extension FenceStamp {
    /// The three headers, for a record.
    public var recordHeaders: [RecordHeader] { headers.map { RecordHeader($0.0, $0.1) } }

    /// Reads the headers of a record, as strictly as those of any other message.
    public static func read(_ headers: some Sequence<RecordHeader>) -> Reading {
        read(headers.lazy.map { ($0.name, $0.value) })
    }

    static func isReserved(_ header: String) -> Bool {
        header == Header.name || header == Header.fence || header == Header.owner
    }
}

extension StampedMessageGate {
    /// Reads the stamp of a record. If it is admitted, runs `write` with the gate closed to all others.
    /// - Throws: `LockError` when the gate cannot decide or cannot store the token: then `write` has not run; else what
    ///   `write` throws.
    public func withAdmission<Result>(
        _ headers: some Sequence<RecordHeader>, _ write: (FenceStamp) throws -> Result
    ) throws -> StampVerdict<Result> {
        try withAdmission(FenceStamp.read(headers), write)
    }
}
