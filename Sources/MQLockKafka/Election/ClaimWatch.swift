import MQLock

/// Reads which candidate has claimed a shard last, on a thread of its own: the library's calls block.
final class ClaimWatch: @unchecked Sendable {
    private let settings: ShardOwnership.Configuration
    private let shard: Int32
    private let queue = BlockingQueue("watch")
    // Used on the queue only.
    private var reader: OnDemand<LogReader, LockError>
    private var next: Int64 = 0
    private var leader: Leader?

    init(_ settings: ShardOwnership.Configuration, shard: Int32) {
        (self.settings, self.shard) = (settings, shard)
        // Never joined: only the watcher uses this group.
        let group = "mqlock.v1.watch/\(settings.topic)"
        reader = OnDemand { () throws(LockError) in try LogReader(settings.connection, group: group, .committed) }
    }

    /// Continues from the last look. After a temporary failure the next look tries again.
    func look() async throws(LockError) -> Leader? {
        try await queue.run { [self] _ throws(LockError) in try readOn() }
    }

    private func readOn() throws(LockError) -> Leader? {
        let reader = try reader.ready()
        do throws(KafkaFailure) {
            let bounds = try reader.bounds(settings.topic, shard, within: .seconds(2))
            // A topic that was created again starts from the beginning.
            if bounds.upperBound < next { (next, leader) = (bounds.lowerBound, nil) }
            next = max(next, bounds.lowerBound)
            guard next < bounds.upperBound else { return leader }
            // Records of an open transaction are read when it is decided.
            try reader.read(settings.topic, [shard: next..<bounds.upperBound], within: .seconds(1)) { record in
                next = record.offset + 1
                guard let claim = ClaimRecord(record), let token = FencingToken(rawValue: claim.number) else { return }
                if let leader, token <= leader.fencingToken { return }
                leader = Leader(owner: claim.owner, fencingToken: token)
            }
            next = max(next, bounds.upperBound)
        } catch {
            guard error.code.isTransient else { throw LockError(error, while: "looking who leads") }
        }
        return leader
    }
}
