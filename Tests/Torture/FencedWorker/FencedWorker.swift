import Foundation
import MQLock
import MQLockKafka

/// An owner in a process of its own that stops in the middle of its output's transaction, and finds out later what became
/// of it: a zombie, for tests.
///
/// `FencedWorker BROKERS TOPIC SESSION-MS TRANSACTION-MS OUTPUT-TOPIC offsets|commit fenced|unfenced`. Writes lines to its
/// standard output: `owned TOKEN`, then `stopping` and stops itself before that step, then `committed` or
/// `refused CODE VALIDITY`.
@main
struct FencedWorker {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 8, let session = Int(arguments[3]), let timeout = Int(arguments[4]) else {
            print("usage: FencedWorker BROKERS TOPIC SESSION-MS TRANSACTION-MS OUTPUT-TOPIC STEP fenced|unfenced")
            exit(64)
        }
        var configuration = ShardOwnership.Configuration(
            connection: KafkaConnection(brokers: arguments[1].split(separator: ",").map(String.init)),
            topic: arguments[2], partitions: 1)
        configuration.session = .milliseconds(session)
        let ownership = try ShardOwnership(configuration)
        var events = ownership.events.makeAsyncIterator()
        let running = Task { try await ownership.run() }
        while let event = await events.next(), event.kind != .owned {}
        guard let lease = ownership.lease(for: 0) else { exit(70) }

        var output = FencedProducer.Configuration()
        output.transactionTimeout = .milliseconds(timeout)
        let step: FencedProducer.Step = arguments[6] == "offsets" ? .offsets : .commit
        let producer = try FencedProducer(ownership, output, isUnfenced: arguments[7] == "unfenced") { reached in
            guard reached == step else { return }
            // What was sent is to be on its way before everything stands still.
            usleep(100_000)
            say("stopping")
            // Of this thread: by `kill` another one could take the signal, and this one go on for a moment.
            raise(SIGSTOP)
        }
        say("owned \(lease.fencingToken)")
        do {
            try await producer.transaction(for: lease) { $0.send(arguments[5], key: "k", value: "zombie") }
            say("committed")
        } catch let error as LockError {
            say("refused \(error.code) \(lease.isValid)")
        }
        running.cancel()
        _ = await running.result
    }

    /// At once, whatever happens to us next.
    private static func say(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        _ = write(1, bytes, bytes.count)
    }
}
