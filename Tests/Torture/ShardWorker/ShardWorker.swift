import Foundation
import MQLock
import MQLockKafka
import MQLockTesting

/// A member of the group in a process of its own, for tests to stop and kill: appends to a history when it owns which
/// shard, and up to when that was valid.
///
/// `ShardWorker BROKERS TOPIC PARTITIONS SESSION-MS HISTORY NAME`. Leaves the group at the end of its standard input.
@main
struct ShardWorker {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 7, let partitions = Int(arguments[3]), let session = Int(arguments[4]) else {
            print("usage: ShardWorker BROKERS TOPIC PARTITIONS SESSION-MS HISTORY NAME")
            exit(64)
        }
        let history = open(arguments[5], O_WRONLY | O_APPEND | O_CREAT, 0o600)
        let recorder = HistoryRecorder(process: arguments[6], appendingTo: history, keepsEvents: false)
        var configuration = ShardOwnership.Configuration(
            connection: KafkaConnection(brokers: arguments[1].split(separator: ",").map(String.init)),
            topic: arguments[2], partitions: partitions)
        configuration.session = .milliseconds(session)
        configuration.backoff = .milliseconds(50) ... .milliseconds(500)
        let ownership = try ShardOwnership(configuration)
        let events = ownership.events
        let running = Task { try await ownership.run() }
        Thread.detachNewThread {
            while readLine() != nil {}
            running.cancel()
        }
        var recordings: [Task<Void, Never>] = []
        for await event in events where event.kind == .owned || event.kind == .regained {
            guard let shard = event.shard, let lease = ownership.lease(for: shard) else { continue }
            recordings.append(recorder.record(lease: lease, contender: "member"))
        }
        // Everything has ended by now; what is recorded of it counts.
        for recording in recordings { await recording.value }
        try await running.value
    }
}
