import Foundation
import MQLock
import MQLockKafka
import MQLockLineReader
import MQLockTesting

/// Members of the group in a process of their own, for tests to stop and kill.
///
///     ShardWorker own BROKERS TOPIC PARTITIONS SESSION-MS HISTORY NAME sound|no-deadline
///
/// is one member until its standard input ends. It appends to HISTORY when it owns which shard, and up to when that was
/// valid, and to HISTORY.looks what ``Lookout`` sees. With `no-deadline` its own clock ends nothing: a defect, which
/// tests have to find.
///
///     ShardWorker grow BROKERS TOPIC PARTITIONS COUNT
///
/// joins and leaves COUNT times; see ``Growth``. With `owns` in the place of `grow` it measures ``LookCost``.
///
///     ShardWorker bill BROKERS ORDERS PARTITIONS SESSION-MS BILLS GROUP PARTITIONER
///
/// is a service on the topic ORDERS until its standard input ends; see ``Billing``.
@main
struct ShardWorker {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.count >= 5, let partitions = Int(arguments[4]), let number = Int(arguments[5]) else { usage() }
        var configuration = ShardOwnership.Configuration(
            connection: KafkaConnection(brokers: arguments[2].split(separator: ",").map(String.init)),
            topic: arguments[3], partitions: partitions)
        configuration.backoff = .milliseconds(50) ... .milliseconds(500)
        switch (arguments[1], arguments.count) {
        case ("own", 8):
            configuration.session = .milliseconds(number)
            try await own(configuration, history: arguments[6], arguments[7], hasDeadline: arguments[8] == "sound")
        case ("bill", 8):
            var own = ShardOwnership.Configuration(
                connection: configuration.connection, records: arguments[3], group: arguments[7], partitions: partitions
            )
            (own.session, own.backoff) = (.milliseconds(number), configuration.backoff)
            if arguments[8] == Partitioner.consistentRandom.description { own.partitioner = .consistentRandom }
            let billing = try Billing(own, bills: arguments[6])
            let running = Task { try await billing.run() }
            Thread.detachNewThread {
                for _ in LineReader() {}
                running.cancel()
            }
            try await running.value
        case ("grow", 5):
            configuration.session = .seconds(6)
            try await Growth(configuration).measure(count: number)
        case ("owns", 5):
            configuration.session = .seconds(6)
            try await LookCost(configuration).measure(count: number)
        default: usage()
        }
    }

    private static func usage() -> Never {
        print("usage: ShardWorker own BROKERS TOPIC PARTITIONS SESSION-MS HISTORY NAME sound|no-deadline")
        print("       ShardWorker bill BROKERS ORDERS PARTITIONS SESSION-MS BILLS GROUP PARTITIONER")
        print("       ShardWorker grow|owns BROKERS TOPIC PARTITIONS COUNT")
        exit(64)
    }

    private static func own(
        _ configuration: ShardOwnership.Configuration, history: String, _ name: String, hasDeadline: Bool
    ) async throws {
        let file = open(history, O_WRONLY | O_APPEND | O_CREAT, 0o600)
        let recorder = HistoryRecorder(process: name, appendingTo: file, keepsEvents: false)
        let validity: Duration? = hasDeadline ? nil : configuration.session * 10
        let ownership = try ShardOwnership(configuration, clock: SystemLockClock(), validity: validity)
        let events = ownership.events
        let running = Task { try await ownership.run() }
        Thread.detachNewThread {
            for _ in LineReader() {}
            running.cancel()
        }
        let lookout = Lookout(ownership, configuration, name, path: history + ".looks")
        Thread.detachNewThread { lookout.run() }
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
