import Foundation
import MQLock
import MQLockKafka
import MQLockTesting

/// Looks without a pause at what is owned, as a program does that asks before each act. Writes lines:
///
///     NAME paused MILLISECONDS OWNED   after time in which it did not run: what its very first look found owned
///     NAME renewed NANOSECONDS         the instant, of the history's clock, at which an accepted renewal was sent
final class Lookout: @unchecked Sendable {
    private let ownership: ShardOwnership
    private let names: [LockName]
    private let shards: Int
    private let session: Duration
    private let name: String
    private let file: Int32

    init(_ ownership: ShardOwnership, _ configuration: ShardOwnership.Configuration, _ name: String, path: String) {
        self.ownership = ownership
        self.name = name
        session = configuration.session
        shards = configuration.partitions
        // A name of each shard.
        var found: [Int: LockName] = [:]
        var number = 0
        while found.count < configuration.partitions {
            if let name = try? LockName("customer-\(number)") { found[ownership.shard(of: name)] = name }
            number += 1
        }
        names = Array(found.values)
        file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0o600)
    }

    func run() {
        var last = ContinuousClock.now
        var proven: ContinuousClock.Instant?
        while true {
            let paused = last.duration(to: .now)
            let owned = names.count { ownership.owns($0) }
            if paused > session / 2 { tell("paused \(paused.nanoseconds / 1_000_000) \(owned)") }
            // What stopped us while we looked counts as a pause before the next look.
            last = paused > session / 2 ? .now : last.advanced(by: paused)
            let until = provenUntil
            if let until, until != proven {
                proven = until
                tell("renewed \(HistoryClock.nanoseconds(of: until.advanced(by: session / 10 - session)))")
            }
            usleep(1_000)
        }
    }

    /// Not by a lazy sequence: that looks twice, and between two looks ownership may end.
    private var provenUntil: ContinuousClock.Instant? {
        for shard in 0..<shards {
            if let lease = ownership.lease(for: shard) { return lease.record.proof.provenUntil }
        }
        return nil
    }

    private func tell(_ text: String) {
        let line = Array("\(name) \(text)\n".utf8)
        _ = write(file, line, line.count)
    }
}
